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
    let expected =
        Malformed::ColumnOrder { column: 2, expected: "user_name", found: Some("database_name") };
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
    for line in ["", "select log_time, user_name from postgres_log", "message,detail", "a,b,c"] {
        assert_eq!(recognized(line.as_bytes()), None, "{line}");
    }
}
