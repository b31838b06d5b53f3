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
mod tests;
