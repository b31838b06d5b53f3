use super::*;
use proptest::prelude::*;

fn values(detail: &str) -> Vec<Option<String>> {
    match read_detail(detail) {
        Detail::Parameters(list) => {
            list.into_iter().map(|value| value.map(Cow::into_owned)).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn values_that_look_like_a_list_are_values() {
    let detail = r"parameters: $1 = '', $2 = NULL, $3 = 'NULL', $4 = 'null', $5 = ''', $2 = ''x', $6 = '\''', $7 = 'a
b'";
    assert_eq!(
        values(detail),
        [some(""), None, some("NULL"), some("null"), some("', $2 = 'x"), some("\\'"), some("a\nb")]
    );
}

#[test]
fn both_spellings_are_read() {
    assert_eq!(values("Parameters: $1 = '600', $2 = '6'"), [some("600"), some("6")]);
    assert_eq!(values("parameters: $1 = '600'"), [some("600")]);
}

#[test]
fn a_prepare_is_given_verbatim() {
    assert_eq!(
        read_detail("prepare: prepare ins(int) as  insert …"),
        Detail::Prepare("prepare ins(int) as  insert …")
    );
    assert_eq!(read_detail("Key (i)=(3) is not present"), Detail::None);
    assert_eq!(read_detail(""), Detail::None);
}

#[test]
fn a_damaged_list_is_not_guessed() {
    for detail in [
        "parameters: ",
        "parameters: $1 = '600",
        "parameters: $1 = '600' and",
        "parameters: $2 = '600'",
        "parameters: $1 = 'a', $3 = 'b'",
        "parameters: $1 = 600",
        "parameters: $1 = NULLS",
    ] {
        assert_eq!(read_detail(detail), Detail::Unreadable, "{detail}");
    }
}

#[test]
fn a_failed_statements_parameters_stand_in_the_context() {
    let zero = Some(vec![Some(Cow::Borrowed("0"))]);
    assert_eq!(read_error_parameters("unnamed portal with parameters: $1 = '0'"), zero);
    assert_eq!(read_error_parameters("portal \"c 1\" with parameters: $1 = '0'"), zero);
    assert_eq!(
        read_error_parameters(
            "PL/pgSQL function f() line 3 at RAISE\nunnamed portal with parameters: $1 = '0'"
        ),
        zero
    );
    assert_eq!(
        read_error_parameters("unnamed portal with parameters: $1 = '0'\nmore context"),
        zero
    );
}

#[test]
fn a_cut_parameter_in_the_context_gives_nothing() {
    for context in [
        "",
        "unnamed portal parameter $1 = '...'",
        "said: unnamed portal with parameters: $1 = '0'",
        "unnamed portal with parameters: $1 = '0",
    ] {
        assert_eq!(read_error_parameters(context), None, "{context}");
    }
}

proptest! {
    #[test]
    fn any_parameters_read_back(
        values_in in prop::collection::vec(prop::option::of("[',$ =NUL0-9\\\\\né]{0,12}"), 1..6)
    ) {
        let items: Vec<String> = values_in
            .iter()
            .enumerate()
            .map(|(index, value)| match value {
                Some(value) => format!("${} = '{}'", index + 1, value.replace('\'', "''")),
                None => format!("${} = NULL", index + 1),
            })
            .collect();
        prop_assert_eq!(values(&format!("parameters: {}", items.join(", "))), values_in);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in ".*") {
        let _ = read_detail(&text);
        let _ = read_detail(&format!("parameters: {text}"));
        let _ = read_error_parameters(&text);
        let _ = read_error_parameters(&format!("unnamed portal with parameters: {text}"));
    }
}
