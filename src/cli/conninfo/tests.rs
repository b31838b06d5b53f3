use super::*;

fn parsed(text: &str) -> Vec<(&'static str, String)> {
    let info = Conninfo::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    info.0.into_iter().collect()
}

fn is(text: &str, expected: &[(&'static str, &str)]) {
    let expected: Vec<_> =
        expected.iter().map(|&(keyword, value)| (keyword, value.to_owned())).collect();
    assert_eq!(parsed(text), expected, "{text}");
}

fn error(text: &str) -> String {
    Conninfo::parse(text).err().unwrap_or_else(|| panic!("{text} is taken"))
}

#[test]
fn a_uri_says_what_it_says_to_libpq() {
    is("postgresql://", &[]);
    is("postgres://db", &[("host", "db")]);
    is("postgresql://db:5433/shop", &[("dbname", "shop"), ("host", "db"), ("port", "5433")]);
    is("postgresql:///shop?host=/run/pg", &[("dbname", "shop"), ("host", "/run/pg")]);
    is("postgresql://%2Frun%2Fpg/shop", &[("dbname", "shop"), ("host", "/run/pg")]);
    is("postgresql://ann@/", &[("user", "ann")]);
    is(
        "postgresql://ann:p%40ss:w%2Frd@db?sslmode=require",
        &[("host", "db"), ("password", "p@ss:w/rd"), ("sslmode", "require"), ("user", "ann")],
    );
    is("postgresql://[::1]:5433/", &[("host", "::1"), ("port", "5433")]);
    is("postgresql://[2001:db8::1]", &[("host", "2001:db8::1")]);
    is("postgresql://db?ssl=true", &[("host", "db"), ("sslmode", "require")]);
    is("postgresql://db/?options=-c%20a%3Db", &[("host", "db"), ("options", "-c a=b")]);
    is("postgresql://ann:a?b@db", &[("host", "db"), ("password", "a?b"), ("user", "ann")]);
    // A parameter goes before what the address says.
    is("postgresql://db/a?dbname=b", &[("dbname", "b"), ("host", "db")]);
}

#[test]
fn a_uri_may_name_several_hosts_with_and_without_ports() {
    is("postgresql://a:1,b:2", &[("host", "a,b"), ("port", "1,2")]);
    is("postgresql://a,b", &[("host", "a,b")]);
    is("postgresql://a,[::1]:2,c/x", &[("dbname", "x"), ("host", "a,::1,c"), ("port", ",2,")]);
    is("postgresql://%2Frun,db:1/", &[("host", "/run,db"), ("port", ",1")]);
}

#[test]
fn pairs_may_be_quoted_escaped_and_spaced() {
    is("host=db port = 5433", &[("host", "db"), ("port", "5433")]);
    is(r"password='it\'s a \\ b' user=a\ b", &[("password", r"it's a \ b"), ("user", "a b")]);
    is("host='' user=ann", &[("host", ""), ("user", "ann")]);
    is("host=a host=b", &[("host", "b")]);
    is("options='-c statement_timeout=1s'", &[("options", "-c statement_timeout=1s")]);
    is("", &[]);
    assert_eq!(Conninfo::parse("host=''").map(|info| info.get("host").is_none()), Ok(true));
}

#[test]
fn an_unknown_keyword_is_named_and_so_is_one_that_kreplay_can_not_do() {
    assert!(error("postgresql://db?hots=x").contains("keyword hots"));
    assert!(error("hots=db").contains("keyword hots"));
    assert!(error("host=db sslcrl=/crl.pem").contains("sslcrl"));
    assert!(error("postgresql://db?require_auth=scram-sha-256").contains("require_auth"));
    is("host=db krbsrvname=pg sslcompression=0", &[("host", "db")]);
}

#[test]
fn what_is_wrong_is_said_and_no_value_is_shown() {
    for (text, right) in [
        ("hunter2", "postgres://"),
        ("mysql://ann:hunter2@db", "postgres://"),
        ("mysql://ann:hunter2@db?a=b", "postgres://"),
        ("password='hunter2", "no end"),
        ("postgres://ann:hunter2%@db", "password: a %"),
        ("postgres://ann:hunter2%00@db", "password: a %"),
        ("postgres://[::1/hunter2", "]"),
        ("postgres://[::1]x:1/hunter2", "colon"),
        ("postgres://db?password=hunter2=", "%3D"),
        ("postgres://db?hunter2", "keyword=value"),
        ("host=db password hunter2", "keyword=value"),
    ] {
        let error = error(text);
        assert!(error.contains(right) && !error.contains("hunter2"), "{text}: {error}");
        assert!(!redacted(text).contains("hunter2"), "{text}");
    }
}

#[test]
fn a_connection_string_is_shown_without_its_secrets() {
    assert_eq!(
        redacted("postgres://ann:hunter2@db:1/shop?sslmode=require"),
        "dbname=shop host=db password=*** port=1 sslmode=require user=ann"
    );
    assert_eq!(redacted("host=db user=ann"), "host=db user=ann");
    assert_eq!(redacted("postgres://ann:hunter2%@db"), "***");
    assert_eq!(redacted("postgres://ann@db?sslpassword=hunter2"), "***");
}
