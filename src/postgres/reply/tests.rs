use super::*;

#[test]
fn a_command_tag_ends_in_its_rows() {
    assert_eq!(rows_of_command_tag(b"INSERT 0 3\0"), 3);
    assert_eq!(rows_of_command_tag(b"SELECT 1205\0"), 1205);
    assert_eq!(rows_of_command_tag(b"BEGIN\0"), 0);
    assert_eq!(rows_of_command_tag(b""), 0);
    assert_eq!(rows_of_command_tag(b"SELECT 99999999999999999999999\0"), u64::MAX);
}

#[test]
fn a_row_is_read_by_value_and_only_whole() {
    let body = b"\0\x03\0\0\0\x01a\xff\xff\xff\xff\0\0\0\0";
    let row = vec![Some("a".into()), None, Some("".into())];
    assert_eq!(row_of_data(body), Some(row));
    for end in 0..body.len() {
        assert_eq!(row_of_data(&body[..end]), None, "{end}");
    }
}

#[test]
fn an_error_report_is_read_by_field() {
    let error = ServerError::parse(
        b"SFEHLER\0VERROR\0C23505\0Mdoppelt\0DKey (id)=(7)\0P15\0Fnbtinsert.c\0\0",
    );
    assert_eq!(
        error,
        ServerError {
            severity_fatal: false,
            sqlstate: SqlState(*b"23505"),
            message: "doppelt".to_owned(),
            parameter: None,
            before_execute: false,
        }
    );
    assert_eq!(error.to_string(), "ERROR 23505: doppelt");
}

#[test]
fn an_error_names_the_parameter_that_it_is_about() {
    let parameter = |fields: &[u8]| ServerError::parse(fields).parameter;
    assert_eq!(parameter(b"C42P18\0Mcould not determine data type of parameter $12\0\0"), Some(12));
    let value = b"C22P02\0Minvalid input: \"a $3\"\0Wunnamed portal parameter $2 = 'a $3'\0\0";
    assert_eq!(parameter(value), Some(2));
    let all = b"C22012\0Mdivision by zero\0Wunnamed portal with parameters: $1 = '0', $2 = '1'\0\0";
    assert_eq!(parameter(all), None);
}

#[test]
fn a_report_that_is_cut_off_is_still_an_error() {
    let error = ServerError::parse(b"VFATAL\0C57P01\0Mterminating conn");
    assert!(error.severity_fatal);
    assert_eq!(error.sqlstate, SqlState::ADMIN_SHUTDOWN);
    assert_eq!(error.message, "terminating conn");
    assert_eq!(ServerError::parse(b"").sqlstate, SqlState(*b"XX000"));
}
