use super::*;

#[test]
fn a_password_is_never_shown() {
    let settings = TargetSettings {
        password: Some(SecretString::from("hunter2")),
        ..TargetSettings::default()
    };
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn an_address_names_host_and_port_or_the_socket() {
    let at = |host: &str| Host::new(host, 5432).address();
    assert_eq!(at("db.example"), "db.example:5432");
    assert_eq!(at("::1"), "[::1]:5432");
    assert_eq!(at("/run/postgresql/"), "/run/postgresql/.s.PGSQL.5432");
    let hosts = vec![Host::new("a", 1), Host::new("/b", 2)];
    let settings = TargetSettings { hosts, ..Default::default() };
    assert_eq!(settings.address(), "a:1, /b/.s.PGSQL.2");
}

#[test]
fn read_only_wins_over_the_users_options() {
    let settings = TargetSettings {
        read_only: true,
        options: Some("-c default_transaction_read_only=off".into()),
        ..Default::default()
    };
    assert_eq!(
        settings.startup_options().expect("some"),
        "-c default_transaction_read_only=off -c default_transaction_read_only=on"
    );
    assert_eq!(TargetSettings::default().startup_options(), None);
}
