use std::io::Write as _;

use super::*;
use crate::cli::tests::default;
use crate::config::Config;

fn parse(text: &str) -> Result<ConfigFile, ConfigError> {
    ConfigFile::parse(Path::new("kreplay.toml"), text, false)
}

fn file(text: &str) -> ConfigFile {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn value(text: &str, flag: &'static str) -> Option<Value> {
    file(text).get(flag).map(|given| given.value)
}

fn error(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

fn one(text: &str) -> Option<Value> {
    Some(Value::One(text.to_owned()))
}

/// What a command line means with this file and these variables.
fn resolve(
    line: &str,
    variables: &[(&str, &str)],
    file: &ConfigFile,
) -> Result<Config, ConfigError> {
    let words = std::iter::once("kreplay").chain(line.split_whitespace());
    let cli = Cli::read(words.map(Into::into)).unwrap_or_else(|error| panic!("{line}: {error}"));
    let environment = |name: &str| {
        let set = variables.iter().find(|(variable, _)| *variable == name);
        set.map(|(_, value)| (*value).to_owned())
    };
    Config::resolve_with(cli, &environment, file)
}

#[test]
fn values_of_every_kind_become_what_would_be_typed() {
    assert_eq!(value("order = 'conflict'", "order"), one("conflict"));
    assert_eq!(value("db-port = 5433", "db-port"), one("5433"));
    assert_eq!(value("db-port = '5433,5434'", "db-port"), one("5433,5434"));
    assert_eq!(value("max-in-flight = 20_000", "max-in-flight"), one("20000"));
    assert_eq!(value("ignore-error-seconds = -1", "ignore-error-seconds"), one("-1"));
    assert_eq!(value("reset = true", "reset"), one("true"));
    assert_eq!(value("speed = 1.5", "speed"), one("1.5"));
    assert_eq!(value("speed = 'max'", "speed"), one("max"));
    assert_eq!(value("spin = 0", "spin"), one("0"));
    assert_eq!(value("after = 1763856000", "after"), one("1763856000"));
    assert_eq!(value("after = 2025-11-23T00:00:00Z", "after"), one("2025-11-23T00:00:00Z"));
    let brokers = Value::List(vec!["a:1".into(), "b:2".into()]);
    assert_eq!(value("brokers = ['a:1', 'b:2']", "brokers"), Some(brokers));
    assert_eq!(value("brokers = 'a:1,b:2'", "brokers"), one("a:1,b:2"));
    assert_eq!(value("order = 'conflict'", "topic"), None);
}

#[test]
fn a_wrong_type_is_told_with_its_file_line_and_key_and_what_is_right() {
    for (text, right) in [
        ("order = 1", "text in quotes"),
        ("topic = ['pg']", "text in quotes"),
        ("reset = 'true'", "true or false, without quotes"),
        ("db-port = '5432'", "a number, without quotes"),
        ("idle-timeout = true", "\"60s\""),
        ("after = true", "2025-11-23T00:00:00Z"),
        ("source-db = 1", "[\"a\", \"b\"]"),
        ("source-db = ['a', 1]", "[\"a\", \"b\"]"),
    ] {
        let error = error(&format!("# a comment\n\n{text}\n"));
        let key = text.split(' ').next().unwrap_or_default();
        assert!(error.starts_with(&format!("kreplay.toml:3: {key}: expected ")), "{error}");
        assert!(error.contains(right), "{error}");
    }
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_one() {
    for (key, nearest) in [
        ("db-hots", "db-host"),
        ("db_host", "db-host"),
        ("brokrs", "brokers"),
        ("max-inflight", "max-in-flight"),
    ] {
        let error = error(&format!("topic = 'pg'\n{key} = 'x'"));
        let said = format!("kreplay.toml:2: no setting is called {key}; {nearest} may be meant");
        assert_eq!(error, said);
    }
    assert!(error("zzz = 1").contains("the names of the long flags"));
    // It is the command line that names the file.
    assert!(error("config = 'other.toml'").contains("no setting is called config"));
    assert!(error("[source]\ntopic = 'pg'").contains("kreplay.toml:1: source is a table"));
    assert!(error("topic = 'a'\ntopic = 'b'").contains("kreplay.toml:2: not TOML: "));
}

#[test]
fn an_error_of_syntax_has_its_line_and_shows_nothing_of_the_file() {
    let error = error("topic = 'pg'\ndb-password = hunter2\n");
    assert!(error.starts_with("kreplay.toml:2: not TOML: "), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_value_that_the_flag_would_refuse_is_told_with_its_line_and_the_flag() {
    for (text, right) in [
        ("order = 'parallel'", "expected one of conflict, serial, session"),
        ("db-port = 70000", "1 to 65535"),
        ("report = ''", "expected a value"),
        ("idle-timeout = 5", "with its unit"),
        ("after = 2025-11-23T00:00:00", "RFC 3339"),
        ("map-db = ['ab']", "the name on the source"),
        ("spin = '1s'", "10ms at most"),
        ("kafka-property = ['group.id=x']", "--group-id"),
        ("log = 'kreplay=loud'", "a level"),
    ] {
        let key = text.split(' ').next().unwrap_or_default();
        let error = resolve("-t log", &[], &file(&format!("\n{text}"))).expect_err(text);
        let error = error.to_string();
        assert!(error.starts_with(&format!("kreplay.toml:2: {key} (--{key}): ")), "{error}");
        assert!(error.contains(right), "{error}");
    }
}

#[test]
fn the_file_comes_after_the_command_line_and_every_variable_and_before_the_default() {
    let file = file("topic = 'pg'\ndb-host = 'file'\nmax-sessions = 7\nreset = true");
    let host = |line, variables: &[(&str, &str)]| {
        resolve(line, variables, &file)
            .map(|config| config.target.hosts[0].name.clone())
            .unwrap_or_default()
    };
    let all = [("KREPLAY_DB_HOST", "own"), ("dbHost", "older"), ("PGHOST", "libpq")];
    assert_eq!(host("-H typed", &all), "typed");
    assert_eq!(host("", &all), "own");
    assert_eq!(host("", &all[1..]), "older");
    assert_eq!(host("", &all[2..]), "libpq");
    assert_eq!(host("", &[("PGHOST", "")]), "file");
    let config = resolve("--reset=false", &[], &file).expect("it is right");
    assert_eq!(config.replay.max_sessions, Some(7));
    let crate::source::SourceSettings::Kafka(kafka) = config.source else { panic!("no topic") };
    assert_eq!((kafka.topic.as_str(), kafka.reset), ("pg", false));
}

#[test]
fn of_two_that_exclude_each_other_the_file_s_gives_way() {
    let topic = file("topic = 'pg'\nmap-db = ['a=b']\nidle-timeout = '5m'");
    let config = resolve("--input a.csv -d one -m 1000", &[], &topic).expect("it is right");
    assert!(matches!(config.source, crate::source::SourceSettings::Files(_)));
    assert_eq!(config.replay.identity.database("a"), "one");
    assert_eq!(config.replay.idle_timeout, Some(std::time::Duration::from_secs(1)));
    let warnings = config.warnings.join("\n");
    assert!(warnings.contains("--input is given, so kreplay.toml:1: topic"), "{warnings}");
    assert!(warnings.contains("--db-name is given, so kreplay.toml:2: map-db"), "{warnings}");

    let both = file("topic = 'pg'\ninput = ['a.csv']");
    let error = resolve("", &[], &both).expect_err("both").to_string();
    assert!(error.contains("kreplay.toml:1: topic") && error.contains("kreplay.toml:2: input"));
}

#[test]
fn an_empty_name_on_the_command_line_takes_back_the_file_s() {
    let one = file("topic = 'pg'\ndb-name = 'one'\ndb-user = 'all'");
    let database = |line| {
        let config = resolve(line, &[], &one).expect("it is right");
        config.replay.identity.database("own").to_owned()
    };
    assert_eq!(database(""), "one");
    assert_eq!(database("--db-name="), "own");
    // In the file it says what is so anyway.
    let none = file("topic = 'pg'\ndb-name = ''");
    let config = resolve("", &[], &none).expect("it is right");
    assert_eq!(config.replay.identity.database("own"), "own");
}

#[test]
fn a_file_with_secrets_that_others_may_read_is_warned_about() {
    let warning = |text: &str, open| {
        let file = ConfigFile::parse(Path::new("kreplay.toml"), text, open).expect("it is right");
        file.warning()
    };
    for secret in [
        "db-password = 'hunter2'",
        "target = 'postgres://ann:hunter2@db'",
        "target = 'password hunter2'",
        "kafka-property = ['sasl.password=hunter2']",
        "kafka-property = \"a=b\\nsasl.password=hunter2\"",
    ] {
        let told = warning(secret, true).unwrap_or_else(|| panic!("{secret}: no warning"));
        assert!(told.contains("chmod 600 kreplay.toml") && !told.contains("hunter2"), "{told}");
        assert_eq!(warning(secret, false), None);
    }
    assert_eq!(warning("topic = 'pg'\nkafka-property = ['security.protocol=SSL']", true), None);
    let config = resolve("-t log", &[], &file("db-password = 'hunter2'")).expect("it is right");
    assert!(config.target.password.is_some());
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn the_file_is_named_by_the_flag_or_its_variable() {
    let mut named = tempfile::NamedTempFile::new().expect("a file");
    named.write_all(b"topic = 'pg'\ndb-password = 'x'\n").expect("it can be written");
    let path = named.path().to_str().expect("UTF-8");
    let config = |arguments: &[&str], variable: &str| {
        let words = std::iter::once(&"kreplay").chain(arguments);
        let cli = Cli::read(words.map(Into::into)).expect("it is right");
        Config::resolve(cli, &|name| (name == "KREPLAY_CONFIG").then(|| variable.to_owned()))
    };
    // Temporary files are for their owner alone.
    assert_eq!(config(&["--config", path], "").expect("typed").warnings, Vec::<String>::new());
    assert!(config(&[], path).is_ok());
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(path, open).expect("it is ours");
    assert!(config(&[], path).expect("a variable").warnings[0].contains("chmod 600"));
    let missing = config(&["--config", "/no/such.toml"], path).expect_err("no such file");
    let missing = missing.to_string();
    assert!(missing.starts_with("--config: /no/such.toml can't be read: "), "{missing}");
}

// ---- dist/kreplay.toml ----

const EXAMPLE: &str = include_str!("../../../dist/kreplay.toml");

/// The settings of the example, out of their comments: the key, the line, whether it is called an
/// example and not the default.
fn example() -> Vec<(&'static str, &'static str, bool)> {
    let lines = EXAMPLE.lines().filter_map(|line| line.strip_prefix('#'));
    let settings = lines.filter_map(|line| {
        let (key, _) = line.split_once(" = ")?;
        let is_key = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        is_key.then(|| (key, line, line.contains("  # an example")))
    });
    settings.collect()
}

#[test]
fn the_example_has_every_setting_once_in_the_order_of_the_help() {
    let keys: Vec<&str> = example().into_iter().map(|(key, ..)| key).collect();
    let command = Cli::command();
    let flags: Vec<&str> = settable(&command).filter_map(Arg::get_long).collect();
    assert_eq!(
        keys, flags,
        "dist/kreplay.toml lacks a flag, or has it in another place than --help"
    );
}

#[test]
fn the_example_says_nothing_as_it_is_and_is_right_out_of_its_comments() {
    assert!(file(EXAMPLE).settings.is_empty());
    let lines: Vec<&str> = example().into_iter().map(|(_, line, _)| line).collect();
    assert_eq!(file(&lines.join("\n")).settings.len(), lines.len());
}

#[test]
fn the_defaults_of_the_example_are_the_true_ones() {
    let command = Cli::command();
    let defaults: Vec<_> = example().into_iter().filter(|(.., example)| !example).collect();
    assert!(defaults.len() > 30, "{defaults:?}");
    for (key, line, _) in &defaults {
        let flag = settable(&command).find(|flag| flag.get_long() == Some(key));
        let default = flag.map(default).unwrap_or_default();
        let said = default.split(',').next();
        let set = match file(line).settings.remove(*key).map(|setting| setting.value) {
            Some(Value::One(text)) => text,
            Some(Value::List(texts)) => texts.join(","),
            None => panic!("{line}"),
        };
        assert_eq!(Some(set.as_str()), said, "{line}");
    }
    // And they change nothing, but for the warnings about what has no effect.
    let lines: Vec<&str> = defaults.iter().map(|(_, line, _)| *line).collect();
    let shown = |file: &ConfigFile| {
        let config = resolve("-t log", &[], file).expect("it is right");
        format!("{:#?}", Config { warnings: Vec::new(), ..config })
    };
    assert_eq!(shown(&file(&lines.join("\n"))), shown(&ConfigFile::default()));
}
