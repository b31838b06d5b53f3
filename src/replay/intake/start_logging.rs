//! Whether the log tells when statements began instead of when they ended.

use crate::pglog::statement::SourceEnd;

/// Looks out for a log in which statements are logged as they start (`log_statement`), without a
/// duration.
#[derive(Debug, Default)]
pub struct StartLogging {
    at_start: u32,
    at_end: u32,
    is_told: bool,
}

/// So many statements are looked at before anything is said: `log_statement = 'ddl'` logs a few.
const FEW: u32 = 50;

impl StartLogging {
    /// Takes a statement's end as the log has told it. Returns true once: when most were logged as they
    /// started.
    pub fn shows_with(&mut self, end: SourceEnd) -> bool {
        match end {
            SourceEnd::Unknown => self.at_start += 1,
            SourceEnd::Succeeded => self.at_end += 1,
            SourceEnd::Failed(_) | SourceEnd::Terminated => return false,
        }
        let shows = self.at_start > self.at_end && self.at_start + self.at_end >= FEW;
        shows && !std::mem::replace(&mut self.is_told, true)
    }
}

#[cfg(test)]
mod tests {
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
}
