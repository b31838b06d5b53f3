use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;

use clap::CommandFactory;

use super::*;
use crate::postgres::{
    CertificateFiles, ChannelBinding, ClientCertificate, Host, RootCertificates, SslMode,
    TargetSessionAttrs, TargetSettings,
};
use crate::replay::account::policy::Tolerance;
use crate::replay::pace::Pace;
use crate::replay::settings::{Filters, Order};
use crate::source::kafka::OnGap;

/// The environment of a test: these variables and no others.
fn environment(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    move |name| variables.get(name).cloned()
}

fn read(line: &str) -> Result<Cli, clap::Error> {
    Cli::read(std::iter::once("kreplay").chain(line.split_whitespace()).map(OsString::from))
}

fn resolve(line: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let cli = read(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    Config::resolve(cli, &environment(variables))
}

/// With a topic, so that there is something to read.
fn config(line: &str, variables: &[(&str, &str)]) -> Config {
    resolve(&format!("-t log {line}"), variables).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn error(line: &str, variables: &[(&str, &str)]) -> String {
    match read(&format!("-t log {line}")) {
        Err(error) => error.to_string(),
        Ok(cli) => Config::resolve(cli, &environment(variables)).unwrap_err().to_string(),
    }
}

fn kafka(config: Config) -> KafkaSettings {
    match config.source {
        SourceSettings::Kafka(settings) => settings,
        SourceSettings::Files(files) => panic!("files {files:?}"),
    }
}

#[test]
fn a_topic_alone_is_enough_and_the_rest_has_the_documented_defaults() {
    let config = config("", &[]);
    assert_eq!(config.target.hosts, [Host::new("localhost", 5432)]);
    assert_eq!(config.target.sslmode, SslMode::Prefer);
    assert_eq!(config.listen, Listen::On("127.0.0.1:11432".parse().unwrap()));
    let replay = &config.replay;
    assert_eq!(replay.order, Order::Conflict);
    assert_eq!(replay.filters, Filters::default());
    assert_eq!(replay.errors.tolerance, Tolerance::Never);
    assert_eq!(replay.idle_timeout, Some(Duration::from_secs(60)));
    assert_eq!(replay.stall_check, Duration::from_millis(2));
    assert_eq!(replay.stall_timeout, Some(Duration::from_secs(60)));
    assert_eq!(replay.lookahead, Duration::from_millis(100));
    assert_eq!(replay.max_in_flight_bytes, 256 << 20);
    assert_eq!((replay.max_in_flight, replay.max_sessions, replay.workers), (10_000, None, None));
    assert_eq!(config.warnings, Vec::<String>::new());
    let kafka = kafka(config);
    assert_eq!(kafka.brokers, ["localhost:9092"]);
    assert_eq!((kafka.topic.as_str(), kafka.group_id.as_str()), ("log", "kreplay_log"));
    assert_eq!((kafka.start, kafka.on_gap), (Start::Earliest, OnGap::Stop));
    assert!(!kafka.reset && !kafka.until_end);
}

#[test]
fn the_flag_wins_over_kreplay_over_the_older_name_over_libpqs() {
    let host =
        |line, variables: &[(&str, &str)]| config(line, variables).target.hosts[0].name.clone();
    let all = [("KREPLAY_DB_HOST", "own"), ("dbHost", "older"), ("PGHOST", "libpq")];
    assert_eq!(host("-H typed", &all), "typed");
    assert_eq!(host("", &all), "own");
    assert_eq!(host("", &all[1..]), "older");
    assert_eq!(host("", &all[2..]), "libpq");
    assert_eq!(host("", &[("dbHost", ""), ("PGHOST", "libpq")]), "libpq");
    assert_eq!(host("", &[]), "localhost");
}

#[test]
fn every_older_name_of_the_environment_is_read() {
    let config = resolve(
        "",
        &[
            ("topic", "pg"),
            ("brokers", "a:1, b:2"),
            ("dbName", "app"),
            ("dbUser", "joe"),
            ("dbHost", "target"),
            ("dbPort", "5433"),
            ("skipSelects", "true"),
            ("timeoutMS", "1500"),
            ("replayAfter", "1763856000"),
            ("ignoreErrorSeconds", "-1"),
            ("skipCount", "7"),
        ],
    )
    .unwrap();
    assert_eq!(config.target.hosts, [Host::new("target", 5433)]);
    assert_eq!(config.replay.identity.database("other"), "app");
    assert_eq!(config.replay.identity.user("other"), "joe");
    assert_eq!(config.replay.idle_timeout, Some(Duration::from_millis(1500)));
    assert_eq!(config.replay.errors.tolerance, Tolerance::ForEver);
    assert_eq!(
        config.replay.filters,
        Filters {
            skip_selects: true,
            after_unix_ms: Some(1_763_856_000_000),
            skip_count: 7,
            ..Filters::default()
        }
    );
    let kafka = kafka(config);
    assert_eq!(kafka.topic, "pg");
    assert_eq!(kafka.brokers, ["a:1", "b:2"]);
    assert_eq!(kafka.start, Start::At(1_763_856_000_000));
}

#[test]
fn libpqs_names_of_the_environment_are_read() {
    let config = config(
        "",
        &[
            ("PGPORT", "6000"),
            ("PGDATABASE", "app"),
            ("PGUSER", "joe"),
            ("PGPASSWORD", "hunter2"),
            ("PGSSLMODE", "verify-full"),
            ("PGSSLROOTCERT", "/ca.pem"),
            ("PGPASSFILE", "/pass"),
        ],
    );
    assert_eq!(config.target.hosts, [Host::new("localhost", 6000)]);
    assert_eq!(config.replay.identity.one_database(), Some("app"));
    assert_eq!(config.replay.identity.one_user(), Some("joe"));
    assert!(config.target.password.is_some());
    assert_eq!(config.target.sslmode, SslMode::VerifyFull);
    assert_eq!(config.target.sslrootcert, RootCertificates::File("/ca.pem".into()));
    assert_eq!(config.target.passfile, Some("/pass".into()));
    assert_eq!(config.warnings, Vec::<String>::new());
    let system = self::config("", &[("PGSSLROOTCERT", "system")]);
    assert_eq!(system.target.sslrootcert, RootCertificates::System);
}

#[test]
fn skipping_selects_is_switched_by_every_form() {
    let skips = |line, variables| config(line, variables).replay.filters.skip_selects;
    for on in ["-s", "-s true", "-strue", "-s=true", "--skip-selects", "--skip-selects true"] {
        assert!(skips(on, &[("skipSelects", "false")]), "{on}");
    }
    for off in ["", "-s false", "-sfalse", "-s=false", "--skip-selects false", "-s=0"] {
        assert!(!skips(off, &[]), "{off}");
    }
    assert!(skips("-s -c 3", &[]));
    assert!(skips("", &[("skipSelects", "true")]));
    assert!(!skips("-s=false", &[("skipSelects", "true")]));
    assert!(!skips("", &[("KREPLAY_SKIP_SELECTS", "false"), ("skipSelects", "true")]));
    assert!(error("-s maybe", &[]).contains("--skip-selects"));
}

#[test]
fn a_pace_is_kept_where_a_factor_is_given() {
    let pace = |line: &str| config(line, &[]).replay.pace();
    let ms = Duration::from_millis;
    assert_eq!(pace(""), None);
    assert_eq!(pace("--speed max"), None);
    assert_eq!(pace("--speed 0.5"), Some(Pace { speed: 0.5, playout_delay: ms(0) }));
    let delayed = pace("--speed 1 --playout-delay 250ms");
    assert_eq!(delayed, Some(Pace { speed: 1.0, playout_delay: ms(250) }));
    let idle = config("--playout-delay 1s", &[]);
    assert!(idle.replay.pace().is_none() && idle.warnings[0].contains("--playout-delay"));
}

#[test]
fn a_bad_value_is_told_with_its_flag_or_variable_and_what_is_right() {
    for (line, flag, right) in [
        ("-P x", "--db-port", "1 to 65535"),
        ("-P=", "--db-port", "expected a port"),
        ("-P 70000", "--db-port", "1 to 65535"),
        ("-i -2", "--ignore-error-seconds", "-1 for ever"),
        ("-c x", "--skip-count", "whole number"),
        ("-a 1763856000000", "--after", "milliseconds"),
        ("-m 5s", "--timeout-ms", "whole number"),
        ("--idle-timeout 5", "--idle-timeout", "60s"),
        ("--from sometimes", "--from", "RFC 3339"),
        ("--listen 80", "--listen", "127.0.0.1:11432"),
        ("--workers 0", "--workers", "from 1"),
        ("--speed 0", "--speed", "factor above 0"),
        ("--spin 50", "--spin", "unit"),
        ("--spin 1s", "--spin", "10ms at most"),
        ("--map-db ab", "--map-db", "="),
        ("--sslmode always", "--sslmode", "prefer"),
        ("--dead-letter topic:", "--dead-letter", "name"),
        ("--log kreplay=loud", "--log", "level"),
        ("-X group.id=x", "--kafka-property", "--group-id"),
        ("-X group.instance.id=x", "--kafka-property", "--group-instance-id"),
        ("--group-instance-id a/b", "--group-instance-id", "letters"),
        ("-X bootstrap.servers=x", "--kafka-property", "--brokers"),
        ("--map-db a=b --map-db a=c", "--map-db", "both b and c"),
        ("-d one --map-db a=b", "--db-name", "--map-db"),
    ] {
        let error = error(line, &[]);
        assert!(error.contains(flag) && error.contains(right), "{line}: {error}");
    }
    for (name, value, right) in [
        ("dbPort", "x", "1 to 65535"),
        ("KREPLAY_DB_PORT", "0", "1 to 65535"),
        ("skipSelects", "maybe", "true or false"),
        ("timeoutMS", "5s", "whole number"),
        ("PGSSLMODE", "always", "disable, allow, prefer"),
        ("KREPLAY_ORDER", "parallel", "conflict, serial, session"),
        ("RUST_LOG", "kreplay=loud", "level"),
        ("KREPLAY_MAP_USER", "a=b,c", "source"),
    ] {
        let error = error("", &[(name, value)]);
        assert!(error.contains(name) && error.contains(right), "{name}: {error}");
        assert!(error.contains("--"), "{name} does not name the flag: {error}");
    }
    assert!(resolve("", &[]).unwrap_err().to_string().contains("--topic"));
}

#[test]
fn files_and_a_topic_exclude_each_other_and_what_was_typed_wins() {
    assert!(read("--input a.csv -t log").is_err_and(|e| e.to_string().contains("--topic")));
    assert!(read("--input a.csv -b host:1").is_err());
    let config = resolve("--input a.csv - b.csv", &[("topic", "log")]).unwrap();
    let SourceSettings::Files(files) = &config.source else { panic!("{:?}", config.source) };
    assert_eq!(*files, [PathBuf::from("a.csv"), "-".into(), "b.csv".into()]);
    assert!(config.warnings[0].contains("topic") && config.warnings[0].contains("--input"));
    let both = [("topic", "log"), ("KREPLAY_INPUT", "a.csv")];
    assert!(resolve("", &both).unwrap_err().to_string().contains("KREPLAY_INPUT"));
    let letters = resolve("--input a.csv --dead-letter topic:bad", &[]).unwrap_err().to_string();
    assert!(letters.contains("--dead-letter") && letters.contains("file"), "{letters}");
}

#[test]
fn after_seeks_and_filters_unless_from_says_where_to_start() {
    let after = config("-a 1763856000", &[]);
    assert_eq!(after.replay.filters.after_unix_ms, Some(1_763_856_000_000));
    assert_eq!(kafka(after).start, Start::At(1_763_856_000_000));
    let from = kafka(config("-a 1763856000 --from latest", &[]));
    assert_eq!(from.start, Start::Latest);
    let from = kafka(config("--from 2025-11-23T00:00:00Z --reset", &[]));
    assert_eq!((from.start, from.reset), (Start::At(1_763_856_000_000), true));
}

#[test]
fn names_are_mapped_one_by_one_or_all_to_one() {
    let identity = config("--map-db a=b --map-user joe=jim", &[]).replay.identity;
    assert_eq!((identity.database("a"), identity.database("c")), ("b", "c"));
    assert_eq!((identity.user("joe"), identity.user("ann")), ("jim", "ann"));
    let identity = config("-d one -u all", &[]).replay.identity;
    assert_eq!((identity.database("a"), identity.user("joe")), ("one", "all"));
    // What was typed wins over the environment, and says so.
    let mapped = config("--map-db a=b", &[("PGDATABASE", "postgres")]);
    assert_eq!(mapped.replay.identity.database("c"), "c");
    assert!(mapped.warnings[0].contains("PGDATABASE"));
    let own = config("--db-name=", &[("PGDATABASE", "postgres")]);
    assert_eq!(own.replay.identity.database("c"), "c");
}

#[test]
fn the_idle_timeout_is_milliseconds_or_a_duration_and_0_is_never() {
    let idle = |line, variables| config(line, variables).replay.idle_timeout;
    assert_eq!(idle("-m 1", &[]), Some(Duration::from_millis(1)));
    assert_eq!(idle("--idle-timeout 2m", &[("timeoutMS", "1")]), Some(Duration::from_secs(120)));
    assert_eq!(idle("-m 5", &[("KREPLAY_IDLE_TIMEOUT", "2m")]), Some(Duration::from_millis(5)));
    assert_eq!(idle("-m 0", &[]), None);
    assert!(error("-m 1 --idle-timeout 1s", &[]).contains("--idle-timeout"));
}

#[test]
fn a_stall_is_told_after_a_minute_another_time_or_never() {
    let timeout = |line| config(line, &[]).replay.stall_timeout;
    assert_eq!(timeout("--stall-timeout 300ms"), Some(Duration::from_millis(300)));
    assert_eq!((timeout("--stall-timeout off"), timeout("--stall-timeout 0")), (None, None));
    assert!(error("--stall-timeout on", &[]).contains("--stall-timeout"));
}

#[test]
fn the_status_line_comes_each_minute_unless_another_interval_is_given() {
    let interval = |line| config(line, &[]).status_interval;
    assert_eq!(interval(""), Some(Duration::from_secs(60)));
    assert_eq!(interval("--status-interval 5m"), Some(Duration::from_secs(300)));
    assert_eq!(interval("--status-interval 0"), None);
}

#[test]
fn the_order_and_the_depth_of_the_pipeline_can_be_chosen() {
    let chosen = |line| {
        let config = config(line, &[]);
        assert_eq!(config.warnings, [""; 0]);
        (config.replay.order, config.replay.pipeline)
    };
    assert_eq!(chosen(""), (Order::Conflict, 16));
    assert_eq!(chosen("--order serial"), (Order::Serial, 16));
    assert_eq!(chosen("--order session"), (Order::Session, 16));
    assert_eq!(chosen("--order conflict --pipeline 1"), (Order::Conflict, 1));
}

#[test]
fn switches_can_be_set_in_the_environment_and_taken_back() {
    let variables = [("KREPLAY_DRY_RUN", "true"), ("KREPLAY_UNTIL_END", "1")];
    assert!(config("", &variables).replay.dry_run);
    assert!(!config("--dry-run=false", &variables).replay.dry_run);
    assert!(kafka(config("", &variables)).until_end);
}

#[test]
fn every_flag_and_every_variable_that_the_help_names_is_looked_up() {
    let asked = RefCell::new(BTreeSet::new());
    let environment = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        (name == "topic").then(|| "log".to_owned())
    };
    let config = Config::resolve(read("").expect("it is right"), &environment).unwrap();
    assert_eq!(kafka(config).topic, "log");
    let asked = asked.into_inner();
    for argument in Cli::command().get_arguments() {
        let Some(flag) = argument.get_long() else { continue };
        assert!(asked.contains(&lookup::variable(flag)), "--{flag}");
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let others = help.split_once("[env: ").map(|(_, rest)| rest.trim_end_matches(']'));
        for variable in others.into_iter().flat_map(|names| names.split(", ")) {
            assert!(asked.contains(variable), "{variable} of --{flag}");
        }
    }
}

#[test]
fn the_bound_on_connections_is_the_targets_unless_one_is_given() {
    assert_eq!(
        config("--max-sessions 0", &[("KREPLAY_MAX_SESSIONS", "5")]).replay.max_sessions,
        None
    );
    assert_eq!(config("--max-sessions 40", &[]).replay.max_sessions, Some(40));
}

// ---- The connection to the target ----

fn target(line: &str, variables: &[(&str, &str)]) -> TargetSettings {
    config(line, variables).target
}

#[test]
fn a_connection_string_says_where_the_target_is_and_as_whom_everything_is_replayed() {
    let config = config(
        "--target postgres://ann:hunter2@a:1,b/shop?target_session_attrs=read-write\
         &sslmode=require&connect_timeout=3&options=-c%20a.b%3D1&keepalives=0\
         &channel_binding=require&load_balance_hosts=random",
        &[],
    );
    let target = &config.target;
    assert_eq!(target.hosts, [Host::new("a", 1), Host::new("b", 5432)]);
    assert_eq!(target.target_session_attrs, TargetSessionAttrs::ReadWrite);
    assert_eq!(target.sslmode, SslMode::Require);
    assert_eq!(target.connect_timeout, Duration::from_secs(3));
    assert_eq!(target.options.as_deref(), Some("-c a.b=1"));
    assert_eq!(target.channel_binding, ChannelBinding::Require);
    assert!(target.load_balance && !target.keepalives && target.password.is_some());
    assert_eq!(config.replay.identity.one_user(), Some("ann"));
    assert_eq!(config.replay.identity.one_database(), Some("shop"));
    assert!(config.warnings[0].contains("process list"), "{:?}", config.warnings);
    let own = self::config("-u= -d= --target postgres://ann@db/shop", &[]);
    assert_eq!((own.replay.identity.one_user(), own.replay.identity.one_database()), (None, None));
    assert_eq!(own.warnings, [""; 0]);
    let one_port = self::target("-P 7 --target postgres://a,%2Frun", &[]);
    assert_eq!(one_port.hosts, [Host::new("a", 7), Host::new("/run", 7)]);
    let address = self::target("--target hostaddr=127.0.0.9", &[]).hosts;
    let address = address.first().expect("one");
    assert_eq!((&*address.name, address.address), ("127.0.0.9", "127.0.0.9".parse().ok()));
}

#[test]
fn each_level_goes_before_the_next_and_in_it_the_flag_before_the_connection_string() {
    let mut levels = vec![
        ("KREPLAY_SSLMODE", "require"),
        ("KREPLAY_TARGET", "sslmode=verify-ca sslrootcert=/ca"),
        ("PGSSLMODE", "disable"),
    ];
    let mode = |line: &str, variables: &[(&str, &str)]| target(line, variables).sslmode;
    assert_eq!(mode("--sslmode allow --target sslmode=verify-full", &levels), SslMode::Allow);
    assert_eq!(mode("--target sslmode=verify-full", &levels), SslMode::VerifyFull);
    assert_eq!(mode("", &levels), SslMode::Require);
    levels.remove(0);
    assert_eq!(mode("", &levels), SslMode::VerifyCa);
    // What was typed takes the place of the variable of the same name, whole.
    assert_eq!(mode("--target host=db", &levels), SslMode::Disable);
    levels.remove(0);
    assert_eq!(mode("", &levels), SslMode::Disable);
    assert_eq!(mode("--target sslmode=", &levels), SslMode::Disable);
}

#[test]
fn a_service_goes_before_libpqs_variables_and_after_the_connection_string() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(b"[t]\nhost=service\nport=7\nsslmode=hunter2\n[u]\nuser=ann\n")
        .expect("written");
    let path = file.path().to_str().expect("UTF-8");
    let named =
        [("PGSERVICE", "t"), ("PGSERVICEFILE", path), ("PGHOST", "variable"), ("PGPORT", "9")];
    let wrong = error("", &named);
    assert!(wrong.contains("sslmode in the service t"), "{wrong}");
    assert!(wrong.contains("prefer") && !wrong.contains("hunter2"), "{wrong}");
    assert_eq!(target("--sslmode disable", &named).hosts, [Host::new("service", 7)]);
    let string = target("--target postgres://string/?sslmode=disable", &named);
    assert_eq!(string.hosts, [Host::new("string", 7)]);
    let other = format!("--target postgres:///?service=u&servicefile={path}");
    let other = config(&other, &[("PGSERVICE", "t"), ("PGHOST", "variable")]);
    assert_eq!(other.target.hosts, [Host::new("variable", 5432)]);
    assert_eq!(other.replay.identity.one_user(), Some("ann"));
    assert!(error("", &[("PGSERVICE", "x"), ("PGSERVICEFILE", path)]).contains("no service x"));
}

#[test]
fn a_client_certificate_is_the_given_one_or_libpqs_default() {
    let home = ("HOME", "/home/ann");
    let files = |certificate: &str, key: &str| CertificateFiles {
        certificate: certificate.into(),
        key: key.into(),
    };
    let certificate = |line: &str, variables: &[(&str, &str)]| target(line, variables).certificate;
    let default = "/home/ann/.postgresql/postgresql";
    let (crt, key) = (format!("{default}.crt"), format!("{default}.key"));
    assert_eq!(certificate("", &[home]), ClientCertificate::IfPresent(files(&crt, &key)));
    assert_eq!(certificate("", &[]), ClientCertificate::None);
    let given = certificate("--sslcert /a.crt", &[home, ("PGSSLKEY", "/a.key")]);
    assert_eq!(given, ClientCertificate::File(files("/a.crt", "/a.key")));
    let given = certificate("--target sslcert=/b.crt", &[home]);
    assert_eq!(given, ClientCertificate::File(files("/b.crt", &key)));
    let none = certificate("--sslcert /a.crt --target sslcertmode=disable", &[home]);
    assert_eq!(none, ClientCertificate::None);
    assert!(error("--sslcert /a.crt", &[]).contains("--sslkey"));
    let root = target("", &[home]).sslrootcert;
    assert_eq!(root, RootCertificates::IfPresent("/home/ann/.postgresql/root.crt".into()));
}

#[test]
fn what_is_wrong_with_a_connection_is_told_with_where_it_was_said() {
    for (line, place, right) in [
        ("--target postgres://db?hots=x", "--target", "no keyword hots"),
        ("--target db", "--target", "postgres://"),
        ("--target postgres://db:x", "port in --target", "1 to 65535"),
        ("--target postgres://db?sslmode=x", "sslmode in --target", "verify-full"),
        ("--target postgres://db?target_session_attrs=x", "target_session_attrs", "prefer-standby"),
        ("--target postgres://db?connect_timeout=x", "connect_timeout", "whole number"),
        ("--target postgres://db?hostaddr=db", "hostaddr in --target", "IP address"),
        ("--target postgres://db?gssencmode=require", "gssencmode", "GSSAPI"),
        ("--target postgres://db?sslnegotiation=direct", "sslnegotiation", "require"),
        ("--target postgres://db?ssl_max_protocol_version=TLSv1", "ssl_max", "TLSv1.2"),
        ("-H a,b,c --target port=1,2", "port", "2 ports"),
        ("--target postgres://a,b?hostaddr=::1", "host", "2 hosts"),
        ("--sslrootcert system --sslmode require", "--sslrootcert", "verify-full"),
        ("--target sslkey=engine:x", "sslkey in --target", "engines"),
    ] {
        let error = error(line, &[]);
        assert!(error.contains(place) && error.contains(right), "{line}: {error}");
    }
    let variable = error("", &[("KREPLAY_TARGET", "postgres://ann:hunter2@db?hots=x")]);
    assert!(variable.contains("KREPLAY_TARGET") && !variable.contains("hunter2"), "{variable}");
    let unused = config("--target application_name=x", &[("PGSSLCRL", "/crl")]).warnings.join("\n");
    assert!(unused.contains("application_name in --target") && unused.contains("PGSSLCRL"));
}

const SECRET: &str = "hunter2";

#[test]
fn no_secret_is_shown_however_it_was_given() {
    for line in [
        "-p hunter2",
        "-phunter2",
        "--target postgres://ann:hunter2@db/shop",
        "--target password=hunter2",
        "-p=hunter2",
        "--db-password hunter2",
        "--db-password=hunter2",
        "-X sasl.password=hunter2 -X ssl.key.password=hunter2",
        "--kafka-property=sasl.oauthbearer.client.secret=hunter2",
        "-X sasl.passwort=hunter2",
        "-X sasl.username=hunter2",
        "-X hunter2==",
    ] {
        let config = config(line, &[]);
        assert!(!config.redacted_command_line().contains(SECRET), "{line}: {}", config.redacted);
        assert!(config.redacted_command_line().contains("***"), "{line}: {}", config.redacted);
        assert!(!format!("{config:?}").contains(SECRET), "{line}: {config:?}");
        assert!(!config.warnings.concat().contains(SECRET), "{line}");
    }
    let config = config("", &[("PGPASSWORD", SECRET)]);
    assert!(config.target.password.is_some());
    assert!(!format!("{config:?}").contains(SECRET));
    // A property without its key might be the secret itself.
    let error = error("-X hunter2", &[]);
    assert!(error.contains("--kafka-property") && !error.contains(SECRET), "{error}");
}

#[test]
fn a_password_on_the_command_line_is_warned_about_once() {
    let config = config("-p hunter2", &[]);
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].contains("PGPASSWORD"), "{:?}", config.warnings);
}

#[test]
fn the_command_line_is_shown_with_long_names_and_all_that_is_no_secret() {
    let config = config("-b a:1,b:2 -s -X security.protocol=SSL --idle-timeout 2m", &[]);
    assert_eq!(
        config.redacted_command_line(),
        "kreplay --topic=log --brokers=a:1 --brokers=b:2 \
         --kafka-property=security.protocol=SSL --skip-selects=true --idle-timeout=2m"
    );
}

#[test]
fn a_replay_with_an_end_does_not_wait_for_ever_and_makes_do_with_another_port() {
    for end in ["--input a.csv", "-t log --until-end"] {
        let config = resolve(end, &[]).unwrap();
        assert_eq!(config.connect_timeout, Some(Duration::from_secs(30)), "{end}");
        assert_eq!(config.listen, Listen::Preferably(DEFAULT_LISTEN), "{end}");
        assert!(!config.allow_losses, "{end}");
    }
    let daemon = resolve("-t log", &[]).unwrap();
    assert_eq!((daemon.connect_timeout, daemon.listen), (None, Listen::On(DEFAULT_LISTEN)));
}

#[test]
fn what_was_given_goes_before_what_a_replay_with_an_end_does_by_default() {
    let given = "--input a.csv --connect-timeout 0 --listen 127.0.0.1:11432 --allow-losses";
    let config = resolve(given, &[]).unwrap();
    assert_eq!((config.connect_timeout, config.listen), (None, Listen::On(DEFAULT_LISTEN)));
    assert!(config.allow_losses);
    let given = [("KREPLAY_LISTEN", "127.0.0.1:11432"), ("KREPLAY_CONNECT_TIMEOUT", "5s")];
    let config = resolve("--input a.csv", &given).unwrap();
    assert_eq!(config.connect_timeout, Some(Duration::from_secs(5)));
    assert_eq!(config.listen, Listen::On(DEFAULT_LISTEN));
    assert_eq!(resolve("--input a.csv --listen off", &[]).unwrap().listen, Listen::Off);
}
