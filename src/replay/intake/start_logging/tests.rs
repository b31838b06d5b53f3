use super::*;
use crate::pglog::SqlState;

fn told(ends: impl IntoIterator<Item = SourceEnd>) -> usize {
    let mut logging = StartLogging::default();
    ends.into_iter().filter(|end| logging.shows_with(*end)).count()
}

#[test]
fn a_log_of_starts_is_told_once() {
    assert_eq!(told([SourceEnd::Unknown; 500]), 1);
    assert_eq!(told([SourceEnd::Unknown; 49]), 0, "these may be DDL alone");
}

#[test]
fn a_log_of_ends_is_not_told_though_some_statements_failed_or_were_logged_as_they_started() {
    let failed = SourceEnd::Failed(SqlState::DEADLOCK_DETECTED);
    let each = [SourceEnd::Succeeded, SourceEnd::Unknown, SourceEnd::Succeeded, failed];
    assert_eq!(told(each.into_iter().cycle().take(1000)), 0);
}
