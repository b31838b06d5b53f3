use super::*;

#[test]
fn classes_that_postgresql_does_not_know_are_one() {
    assert!(ERROR_CLASSES.is_sorted());
    for (code, class) in [(*b"23505", "23"), (*b"XX000", "XX"), (*b"0A000", "0A")] {
        assert_eq!(error_class(SqlState(code)), class);
    }
    for made_up in [*b"MY001", *b"99999", *b"00000"] {
        assert_eq!(error_class(SqlState(made_up)), OTHER_CLASS);
    }
}
