use secrecy::ExposeSecret as _;

use super::*;

const KEY: Key<'_> = Key { host: "db", port: 5432, database: "shop", user: "app" };

fn password(contents: &str) -> Option<String> {
    find(contents, KEY)
}

#[test]
fn the_first_line_that_matches_counts() {
    assert_eq!(password("other:5432:shop:app:a\ndb:5432:shop:app:b\n*:*:*:*:c"), some("b"));
    assert_eq!(password("*:*:*:*:c\ndb:5432:shop:app:b"), some("c"));
    assert_eq!(password("db:5433:shop:app:a"), None);
    assert_eq!(password(""), None);
}

#[test]
fn a_star_is_a_wildcard_only_as_a_whole_field() {
    assert_eq!(password("*:5432:*:app:a"), some("a"));
    assert_eq!(password("d*:5432:shop:app:a"), None);
}

#[test]
fn colons_and_backslashes_are_escaped() {
    let key = Key { host: "::1", database: r"a\b", ..KEY };
    assert_eq!(find(r"\:\:1:5432:a\\b:app:p\:w\\d", key), some(r"p:w\d"));
    assert_eq!(password("db:5432:shop:app:a:future"), some("a"));
    assert_eq!(password("db:5432:shop:app:a\\"), some("a\\"));
}

#[test]
fn comments_empty_lines_and_short_lines_are_passed_over() {
    assert_eq!(password("# db:5432:shop:app:a\n\ndb:5432\r\ndb:5432:shop:app:b\r\n"), some("b"));
}

#[test]
fn the_default_socket_is_localhost() {
    let key = Key { host: "/var/run/postgresql", ..KEY };
    assert_eq!(find("localhost:5432:shop:app:a", key), some("a"));
    let key = Key { host: "/srv/sockets", ..KEY };
    assert_eq!(find("localhost:5432:shop:app:a", key), None);
    assert_eq!(find("/srv/sockets:5432:shop:app:a", key), some("a"));
}

#[test]
fn a_file_that_others_can_read_is_not_used() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), "*:*:*:*:a").expect("written");
    let mode = |mode| fs::set_permissions(file.path(), fs::Permissions::from_mode(mode));
    mode(0o640).expect("own file");
    assert!(PasswordFile::load(Some(file.path())).find(KEY).is_none());
    mode(0o600).expect("own file");
    let found = PasswordFile::load(Some(file.path())).find(KEY);
    assert_eq!(found.expect("a line matches").expose_secret(), "a");
}

fn some(password: &str) -> Option<String> {
    Some(password.to_owned())
}
