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
mod tests {
    use super::*;

    fn header(width: usize) -> String {
        NAMES[..width].join(",")
    }

    #[test]
    fn the_columns_of_each_version_in_any_case_and_quoted_or_not_are_a_header() {
        for width in WIDTHS {
            let plain = header(width);
            let quoted = format!("\"{}\"\r\n", NAMES[..width].join("\",\""));
            for line in [&plain, &quoted, &plain.to_uppercase(), &plain.replace(',', ", ")] {
                assert_eq!(recognized(line.as_bytes()), Some(Malformed::Header), "{line}");
            }
        }
    }

    #[test]
    fn a_header_in_another_order_says_which_column_is_another() {
        let swapped = header(26).replace("user_name,database_name", "database_name,user_name");
        let expected = Malformed::ColumnOrder {
            column: 2,
            expected: "user_name",
            found: Some("database_name"),
        };
        assert_eq!(recognized(swapped.as_bytes()), Some(expected));
        let own = format!("id,{}", header(26));
        let expected =
            Malformed::ColumnOrder { column: 1, expected: "log_time", found: Some("another") };
        assert_eq!(recognized(own.as_bytes()), Some(expected));
    }

    #[test]
    fn a_header_with_too_few_or_too_many_columns_says_so() {
        let expected = Malformed::ColumnOrder { column: 26, expected: "query_id", found: None };
        assert_eq!(recognized(header(25).as_bytes()), Some(expected));
        let some = "log_time,user_name,database_name,message";
        assert!(matches!(recognized(some.as_bytes()), Some(Malformed::ColumnOrder { .. })));
        let more = header(26) + ",note";
        assert_eq!(recognized(more.as_bytes()), Some(Malformed::ColumnCount { columns: 27 }));
    }

    #[test]
    fn a_header_with_other_delimiters_says_so() {
        for (between, delimiter) in [(";", ';'), ("\t", '\t'), (" | ", '|'), ("|", '|')] {
            let line = format!(" {}", header(26).replace(',', between));
            assert_eq!(recognized(line.as_bytes()), Some(Malformed::Delimiter { delimiter }));
        }
    }

    #[test]
    fn a_line_of_a_statement_is_no_header() {
        for line in ["", "select log_time, user_name from postgres_log", "message,detail", "a,b,c"]
        {
            assert_eq!(recognized(line.as_bytes()), None, "{line}");
        }
    }
}
