use super::{AlteredLogins, altered_logins, vacated_database};
use crate::sql::Outline;

#[test]
fn a_database_that_nobody_may_be_connected_to_is_told_by_its_name() {
    for (sql, database) in [
        ("drop database Shop", Some("shop")),
        ("/* x */ DROP DATABASE IF EXISTS \"a\"\"B\" WITH (FORCE)", Some("a\"B")),
        ("alter database a rename to b", Some("a")),
        ("alter database a set tablespace t", Some("a")),
        ("alter database a set search_path = b", None),
        ("create database a template b", Some("b")),
        ("create database a with owner = o template = 'B' encoding 'UTF8'", Some("B")),
        ("create database a", None),
        ("drop table database", None),
        ("drop database", None),
        ("", None),
    ] {
        assert_eq!(vacated_database(sql).as_deref(), database, "{sql}");
    }
}

#[test]
fn whose_log_ins_are_altered_is_told_by_names() {
    let of = |sql| {
        let AlteredLogins { of_all, roles, databases, prevents } = altered_logins(sql);
        (of_all, roles.join("|"), databases.join("|"), prevents)
    };
    for (sql, all, roles, databases, prevents) in [
        ("alter role Shop set search_path = a, b", false, "shop", "", false),
        ("alter user \"A\" in database d reset all", false, "A", "", false),
        ("alter role r rename to q", false, "r", "", true),
        ("alter role r nologin", false, "r", "", true),
        ("alter role all set work_mem = '8MB'", true, "all", "", false),
        ("drop role if exists a, \"b c\", d", false, "a|b c|d", "", true),
        ("alter database x rename to y; drop database z with (force)", false, "", "x|z", true),
        ("alter database x set timezone = 'UTC'", false, "", "x", false),
        ("revoke connect on database a, b from public", false, "", "a|b", true),
        ("revoke all on t from r", false, "", "", false),
        ("revoke staff from r", true, "", "", false),
        ("do $$ begin execute 'drop role ' || x; end $$", true, "", "", true),
        ("create database d", false, "", "", false),
        ("alter system set work_mem = '8MB'", false, "", "", false),
        ("", false, "", "", false),
    ] {
        let right = (all, roles.to_owned(), databases.to_owned(), prevents);
        assert_eq!(of(sql), right, "{sql}");
    }
    let altered = altered_logins("alter role r rename to q; drop database d");
    assert!(altered.has("r", "x") && altered.has("x", "d") && !altered.has("d", "r"));
}

#[test]
fn what_changes_a_log_in_is_told_by_its_words() {
    let (adds, alters, neither) = ((true, false), (true, true), (false, false));
    for (sql, changes) in [
        ("create database shop", alters),
        ("/* by hand */ CREATE ROLE clerk LOGIN", adds),
        ("create user clerk", adds),
        ("alter user clerk password 'x'", alters),
        ("alter role all set search_path = a", alters),
        ("alter database a rename to b", alters),
        ("drop group g", alters),
        ("alter system set work_mem = '8MB'", alters),
        ("grant staff to clerk", adds),
        ("revoke connect on database shop from public", alters),
        ("begin; drop role clerk; commit", alters),
        ("do $$ begin execute 'create role ' || x; end $$", alters),
        ("do $$ begin perform 1; end $$", neither),
        ("create table role (a int)", neither),
        ("select 'create role x'", neither),
        ("insert into t values ('do', 'create role x')", neither),
        ("create \"role\" x", neither),
        ("", neither),
    ] {
        let outline = Outline::of(sql);
        assert_eq!((outline.changes_logins, outline.alters_logins), changes, "{sql}");
    }
}
