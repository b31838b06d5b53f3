use super::{DatabaseChange, NewEncoding, database_changes};

fn created(database: &str, encoding: Option<&str>, template: &str) -> DatabaseChange {
    let (database, template) = (database.to_owned(), template.to_owned());
    let encoding = encoding.map(|encoding| match encoding.parse() {
        Ok(number) => NewEncoding::Numbered(number),
        Err(_) => NewEncoding::Named(encoding.to_owned()),
    });
    DatabaseChange::Create { database, encoding, template }
}

fn renamed(from: &str, to: &str) -> DatabaseChange {
    DatabaseChange::Rename { from: from.to_owned(), to: to.to_owned() }
}

#[test]
fn a_new_database_has_its_own_encoding_or_its_templates() {
    for (sql, change) in [
        ("create database a", created("a", None, "template1")),
        (
            "CREATE DATABASE Old ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C';",
            created("old", Some("LATIN1"), "template0"),
        ),
        (
            "/* dump */ create database \"A b\" with template = template0 encoding = 'EUC_JP'",
            created("A b", Some("EUC_JP"), "template0"),
        ),
        ("create database a encoding latin9", created("a", Some("latin9"), "template1")),
        (
            "create database U&\"d\\0061ta\" encoding 8 template E'template0'",
            created("data", Some("8"), "template0"),
        ),
        ("create database a encoding E'EUC_JP'", created("a", Some("EUC_JP"), "template1")),
        ("create database a encoding default template \"T\"", created("a", None, "T")),
        ("create database a template default", created("a", None, "template1")),
    ] {
        assert_eq!(database_changes(sql), [change], "{sql}");
    }
}

#[test]
fn a_database_keeps_what_it_is_under_another_name() {
    assert_eq!(
        database_changes("begin; alter database a rename to b; alter database c rename to a"),
        [renamed("a", "b"), renamed("c", "a")]
    );
}

#[test]
fn other_statements_change_no_database() {
    for sql in [
        "",
        "create table database (a int)",
        "alter database a set work_mem = '1MB'",
        "select 'create database a'",
        "drop database a",
        "create database",
        "alter database a rename to",
    ] {
        assert_eq!(database_changes(sql), [], "{sql}");
    }
}
