//! The line of column names that an export of the log begins with: `COPY … HEADER` of the table that
//! PostgreSQL's manual has for csvlog (`postgres_log`), or the csv of a graphical client.

use super::super::malformed::Malformed;
use super::WIDTHS;

/// The columns as the manual names them.
const NAMES: [&str; 26] = [
    "log_time",
    "user_name",
    "database_name",
    "process_id",
    "connection_from",
    "session_id",
    "session_line_num",
    "command_tag",
    "session_start_time",
    "virtual_transaction_id",
    "transaction_id",
    "error_severity",
    "sql_state_code",
    "message",
    "detail",
    "hint",
    "internal_query",
    "internal_query_pos",
    "context",
    "query",
    "query_pos",
    "location",
    "application_name",
    "backend_type",
    "leader_pid",
    "query_id",
];

/// How many of a line's fields have to be names of columns for the line to be a header. Nothing else
/// in a log holds so many of them between commas.
const ENOUGH: usize = 3;

/// What stands between the columns of an export that is no csv: that of a spreadsheet, of COPY's text
/// form, of psql.
const OTHER_DELIMITERS: [char; 3] = [';', '\t', '|'];

/// Whether a payload is a header, and what that means for the records below it: `None` where it is
/// something else.
pub(super) fn recognized(payload: &[u8]) -> Option<Malformed> {
    let line = std::str::from_utf8(payload).ok()?;
    let Some(fields) = names(line, ',') else {
        let delimiter = OTHER_DELIMITERS.into_iter().find(|it| names(line, *it).is_some());
        return delimiter.map(|delimiter| Malformed::Delimiter { delimiter });
    };
    let other = (0..NAMES.len()).find(|&at| fields.get(at) != Some(&Some(at)));
    match other {
        // Columns that an older version does not have are missing at the end.
        Some(at) if fields.len() != at || !WIDTHS.contains(&at) => Some(Malformed::ColumnOrder {
            column: at + 1,
            expected: NAMES[at],
            found: fields.get(at).map(|field| field.map_or("another", |column| NAMES[column])),
        }),
        None if fields.len() > NAMES.len() => {
            Some(Malformed::ColumnCount { columns: fields.len() })
        }
        _ => Some(Malformed::Header),
    }
}

/// Which columns a line names between these delimiters; `None` where it is no header.
fn names(line: &str, delimiter: char) -> Option<Vec<Option<usize>>> {
    let fields: Vec<Option<usize>> = line.split(delimiter).map(column).collect();
    let known = fields.iter().flatten().count();
    (known >= ENOUGH && known * 2 >= fields.len()).then_some(fields)
}

/// Which column a field names.
fn column(field: &str) -> Option<usize> {
    let field = field.trim();
    let field = field.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(field);
    NAMES.iter().position(|name| name.eq_ignore_ascii_case(field))
}

#[cfg(test)]
mod tests;
