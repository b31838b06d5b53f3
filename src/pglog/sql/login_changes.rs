//! Statements that change what a log-in finds.

/// Whether a statement that begins with these words may change what a log-in finds: whether a role or
/// a database is there, under which name, who may use it, and the settings that a session begins with.
pub(super) fn begins_so(first: &str, second: &str) -> bool {
    // Most statements are told apart by the length of their first word alone.
    let verb = match first.len() {
        4 => first.eq_ignore_ascii_case("drop"),
        5 => first.eq_ignore_ascii_case("alter") || is_grant(first),
        6 => first.eq_ignore_ascii_case("create") || is_grant(first),
        _ => false,
    };
    let objects = ["role", "user", "group", "database", "system"];
    verb && (is_grant(first) || objects.iter().any(|object| second.eq_ignore_ascii_case(object)))
}

/// Rights on a database, or membership in a role, decide who may log in.
fn is_grant(word: &str) -> bool {
    word.eq_ignore_ascii_case("grant") || word.eq_ignore_ascii_case("revoke")
}

/// Whether such a statement may be in this text: a routine's body, which may put it together from
/// strings.
pub(super) fn are_in(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    let mut before = "";
    for word in words.filter(|word| !word.is_empty()) {
        if begins_so(before, word) {
            return true;
        }
        before = word;
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::pglog::sql::Outline;

    #[test]
    fn what_changes_a_log_in_is_told_by_its_words() {
        for (sql, changes) in [
            ("create database shop", true),
            ("/* by hand */ CREATE ROLE clerk LOGIN", true),
            ("create user clerk", true),
            ("alter user clerk password 'x'", true),
            ("alter role all set search_path = a", true),
            ("alter database a rename to b", true),
            ("drop group g", true),
            ("alter system set work_mem = '8MB'", true),
            ("grant staff to clerk", true),
            ("revoke connect on database shop from public", true),
            ("begin; drop role clerk; commit", true),
            ("do $$ begin execute 'create role ' || x; end $$", true),
            ("do $$ begin perform 1; end $$", false),
            ("create table role (a int)", false),
            ("select 'create role x'", false),
            ("insert into t values ('do', 'create role x')", false),
            ("create \"role\" x", false),
            ("", false),
        ] {
            assert_eq!(Outline::of(sql).changes_logins, changes, "{sql}");
        }
    }
}
