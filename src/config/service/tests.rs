use super::*;
use crate::cli::Typed;
use crate::config::ConfigFile;

const FILE: &str = "# comment\n\n[shop18]\nhost=other\n[shop]\n  host = db1,db2 \nport=5433\n\
                        host=ignored\npassword=a=b\n[late]\nhots=db\n";

#[test]
fn a_service_is_the_section_of_its_name() {
    let shop = parse(FILE, "shop").expect("there is one").expect("it is right");
    assert_eq!(shop.get("host"), Some("db1,db2"));
    assert_eq!((shop.get("port"), shop.get("password")), (Some("5433"), Some("a=b")));
    assert!(parse(FILE, "sho").is_none());
    let other = parse(FILE, "shop18").expect("there is one").expect("it is right");
    assert_eq!((other.get("host"), other.get("port")), (Some("other"), None));
}

#[test]
fn a_line_that_is_wrong_is_named_and_only_in_the_service_that_is_meant() {
    let error = parse(FILE, "late").expect("there is one").err().expect("hots");
    assert_eq!(error, ":11: libpq has no keyword hots");
    for line in ["hunter2", "service=a", "ldap://hunter2/x?y", "sslpassword=hunter2"] {
        let file = format!("[a]\n{line}\n");
        let error = parse(&file, "a").expect("there is one").err().expect(line);
        assert!(error.starts_with(":2: ") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn the_users_file_goes_before_the_systems_and_a_given_one_before_both() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    for (name, service) in [
        (".pg_service.conf", "[a]\nhost=home\n"),
        ("pg_service.conf", "[a]\nhost=system\n[b]\nhost=system\n"),
        ("given", "[a]\nhost=given\n"),
    ] {
        fs::write(path(name), service).expect("it can be written");
    }
    let host = |service: &str, given: Option<&str>| {
        let environment = |name: &str| matches!(name, "HOME" | "PGSYSCONFDIR").then(|| path(""));
        let (typed, file) = (Typed::default(), ConfigFile::default());
        let look = Lookup { typed: &typed, environment: &environment, file: &file };
        find(&look, service, given).map(|info| info.get("host").unwrap_or_default().to_owned())
    };
    assert_eq!(host("a", None), Ok("home".to_owned()));
    assert_eq!(host("b", None), Ok("system".to_owned()));
    assert_eq!(host("a", Some(&path("given"))), Ok("given".to_owned()));
    assert_eq!(host("b", Some(&path("given"))), Ok("system".to_owned()));
    assert!(host("c", None).is_err_and(|error| error.contains("no service c")));
    assert!(host("a", Some("/no/such")).is_err_and(|e| e.contains("/no/such")));
}
