use super::*;

fn state(code: &str) -> SqlState {
    code.parse().expect("a SQLSTATE")
}

fn guess(value: &str) -> u32 {
    candidates(Some(value), false)[0]
}

fn values(values: &[Option<&str>]) -> Vec<Value> {
    values.iter().map(|value| value.map(Into::into)).collect()
}

fn refusal(code: &str, parameter: u16) -> Refusal {
    Refusal { code: state(code), parameter: Some(parameter).filter(|number| *number > 0) }
}

// ---- What a value may be ----

#[test]
fn the_type_is_guessed_from_the_way_the_value_is_written() {
    for (value, expected) in [
        ("7", oid::INT4),
        ("-2147483648", oid::INT4),
        ("2147483648", oid::INT8),
        ("9223372036854775808", oid::NUMERIC),
        ("0.50", oid::NUMERIC),
        ("-12.5", oid::NUMERIC),
        ("1e-05", oid::FLOAT8),
        ("1.5e+300", oid::FLOAT8),
        ("NaN", oid::FLOAT8),
        ("t", oid::BOOL),
        ("true", oid::TEXT),
        ("2026-11-22", oid::DATE),
        ("0044-03-15 BC", oid::DATE),
        ("12026-11-22", oid::DATE),
        ("2026-11-22 10:00:00", oid::TIMESTAMP),
        ("2026-11-22 10:00:00.123456", oid::TIMESTAMP),
        ("2026-11-22 10:00:00+00", oid::TIMESTAMPTZ),
        ("2026-11-22T10:00:00.5Z", oid::TIMESTAMPTZ),
        ("2026-11-22 10:00:00.5-03:30", oid::TIMESTAMPTZ),
        ("infinity", oid::TIMESTAMPTZ),
        ("2026-11-22 noon", oid::TEXT),
        ("10:00:00+02", oid::TIMETZ),
        ("0f8fad5b-d9cb-469f-a165-70867728950e", oid::UUID),
        ("fa8fad5b-d9cb-469f-a165-70867728950e", oid::UUID),
        ("\\x00ff", oid::BYTEA),
        (r#"{"a": 1}"#, oid::JSONB),
        ("[1, 2]", oid::JSONB),
        ("{}", oid::TEXT_ARRAY),
        ("{1,2,3}", oid::INT4_ARRAY),
        ("{1,NULL}", oid::INT4_ARRAY),
        ("{1,3000000000}", oid::INT8_ARRAY),
        ("{1,2.5}", oid::NUMERIC_ARRAY),
        ("{t,f}", oid::BOOL_ARRAY),
        ("{2026-11-22,2026-11-23}", oid::DATE_ARRAY),
        (r#"{"2026-11-22 10:00:00"}"#, oid::TIMESTAMP_ARRAY),
        (r#"{"2026-11-22 10:00:00+00"}"#, oid::TIMESTAMPTZ_ARRAY),
        ("{0f8fad5b-d9cb-469f-a165-70867728950e}", oid::UUID_ARRAY),
        (r#"{a,"b c",NULL}"#, oid::TEXT_ARRAY),
        (r#"{"a b","c:d"}"#, oid::TEXT_ARRAY),
        ("0049301234", oid::TEXT),
        ("1.2.3", oid::TEXT),
        ("10.0.0.1", oid::TEXT),
        ("1-2", oid::TEXT),
        ("P12", oid::TEXT),
        ("10:30", oid::TEXT),
        ("days", oid::TEXT),
        ("5 apples", oid::TEXT),
        ("-", oid::TEXT),
        ("", oid::TEXT),
        ("[", oid::TEXT),
        ("(", oid::TEXT),
        ("größe", oid::TEXT),
        ("2026-11-2ü", oid::TEXT),
        ("2026-11ü22", oid::TEXT),
    ] {
        assert_eq!(guess(value), expected, "{value:?}");
        assert!(candidates(Some(value), false).contains(&oid::TEXT), "{value:?}");
    }
}

#[test]
fn what_is_hardly_ever_meant_is_tried_behind_text() {
    for (value, likely, unlikely) in [
        ("5", oid::INT4, oid::JSONB),
        ("1010", oid::INT4, oid::BIT),
        ("0101", oid::TEXT, oid::BIT),
        ("null", oid::TEXT, oid::JSONB),
        ("\"s\"", oid::TEXT, oid::JSONB),
        ("<a/>", oid::TEXT, oid::XML),
        ("{}", oid::TEXT_ARRAY, oid::NUM_MULTIRANGE),
    ] {
        let all = candidates(Some(value), false);
        let place = |oid| all.iter().position(|candidate| *candidate == oid);
        assert_eq!(all[0], likely, "{value}");
        assert!(place(oid::TEXT) < place(unlikely), "{value}");
    }
    assert_eq!(candidates(None, false)[..2], [oid::UNKNOWN, oid::TEXT]);
}

#[test]
fn shapes_addresses_and_amounts_are_known_by_their_writing() {
    for (value, expected) in [
        ("(3,4),(0,0)", oid::BOX),
        ("[(0,0),(1,1)]", oid::LSEG),
        ("((0,0),(1,1),(2,0))", oid::POLYGON),
        ("<(1,2),3>", oid::CIRCLE),
        ("08:00:2b:01:02:03", oid::MACADDR),
        ("08:00:2b:01:02:03:04:05", oid::MACADDR8),
        ("$1,000.00", oid::MONEY),
        ("-$1.00", oid::MONEY),
        ("{\"{\\\"a\\\": 1}\"}", oid::JSONB_ARRAY),
        ("$x", oid::TEXT),
        ("ab:cd", oid::TEXT),
    ] {
        assert_eq!(guess(value), expected, "{value}");
    }
    assert!(fits(oid::NUMERIC_ARRAY, Some("{}")) && fits(oid::INT4_MULTIRANGE, Some("{}")));
}

#[test]
fn an_interval_is_known_in_every_style() {
    for value in [
        "5 days",
        "-1 days",
        "1 mon 2 days 03:04:05",
        "1 year 2 mons -3 days +04:05:06.5",
        "00:00:30",
        "-00:00:30",
        "100:00:00",
        "@ 1 mon 2 days 3 hours",
        "@ 5 mins 6.5 secs ago",
        "3 4:05:06",
        "+1-2 -3 +4:05:06",
        "P1M2DT3H4M5S",
        "PT30S",
        "P-1D",
    ] {
        assert_eq!(guess(value), oid::INTERVAL, "{value}");
    }
    assert!(candidates(Some("00:00:30"), false).contains(&oid::TIME));
}

#[test]
fn a_range_has_the_type_of_its_bounds() {
    for (value, expected) in [
        ("[1,2)", oid::INT4_RANGE),
        ("(1,2]", oid::INT4_RANGE),
        ("[1,3000000000)", oid::INT8_RANGE),
        ("[1.5,2)", oid::NUM_RANGE),
        ("[2026-01-01,2026-02-01)", oid::DATE_RANGE),
        (r#"["2026-01-01 00:00:00","2026-02-01 00:00:00")"#, oid::TS_RANGE),
        (r#"["2026-01-01 00:00:00+00",)"#, oid::TSTZ_RANGE),
        ("[,5)", oid::INT4_RANGE),
        ("(,)", oid::INT4_RANGE),
        ("[5,15]", oid::JSONB),
        ("empty", oid::TEXT),
        ("{[1,2),[5,6)}", oid::INT4_MULTIRANGE),
        (r#"{["2026-01-01 00:00:00+00",)}"#, oid::TSTZ_MULTIRANGE),
    ] {
        assert_eq!(guess(value), expected, "{value}");
    }
    // Where the statement has to do with ranges, that is what they are.
    assert_eq!(candidates(Some("[5,15]"), true)[0], oid::INT4_RANGE);
    assert_eq!(candidates(Some("[5,15,20]"), true)[0], oid::JSONB);
    assert_eq!(candidates(Some("empty"), true)[0], oid::INT4_RANGE);
    assert!(works_with_ranges("select $1 @> 7") && works_with_ranges("select $1::INT4RANGE"));
    assert!(!works_with_ranges("select jsonb_build_array($1)"));
}

#[test]
fn a_type_is_widened_to_what_fits_the_values_before_and_the_one_at_hand() {
    for (oid, value, expected) in [
        (oid::INT4, "3000000000", oid::INT8),
        (oid::INT4, "12.5", oid::NUMERIC),
        (oid::INT4, "A-17", oid::TEXT),
        (oid::INT4, "007", oid::TEXT),
        (oid::NUMERIC, "x", oid::TEXT),
        (oid::DATE, "2026-11-22 10:00:00", oid::TIMESTAMP),
        (oid::TIMESTAMP, "2026-11-22 10:00:00+00", oid::TIMESTAMPTZ),
        (oid::INT4_ARRAY, "{a}", oid::TEXT_ARRAY),
        (oid::INT4_RANGE, "[1.5,2)", oid::NUM_RANGE),
        (oid::UUID, "x", oid::TEXT),
        (oid::INTERVAL, "never", oid::TEXT),
    ] {
        assert!(!fits(oid, Some(value)), "{value}");
        assert_eq!(widened(oid, Some(value)), expected, "{value}");
    }
    assert!(fits(oid::INT8, Some("7")) && fits(oid::TIMESTAMP, Some("2026-11-22")));
    assert!(fits(oid::VOID, None) && !fits(oid::VOID, Some("7")));
}

// ---- The search ----

#[test]
fn a_parameter_that_the_server_names_is_the_only_one_that_is_guessed() {
    let values = values(&[Some("k"), Some("4711")]);
    let mut search = TypeSearch::new(2);
    assert_eq!(search.types(), [0_u32; 0]);
    assert!(search.refused(refusal("42P18", 2), &values, "insert"));
    assert_eq!(search.types(), [oid::UNKNOWN, oid::INT4]);
    assert!(search.refused(refusal("22P02", 2), &values, "insert"));
    assert_eq!(search.types(), [oid::UNKNOWN, oid::INT8]);
}

#[test]
fn what_the_text_casts_is_left_to_the_server() {
    let sql = "select $1::numrange @> $2, cast( $3 as int)";
    let values = values(&[Some("[5,15]"), Some("7"), Some("1")]);
    let mut search = TypeSearch::new(3);
    assert!(search.refused(refusal("42883", 0), &values, sql));
    assert_eq!(search.types(), [oid::UNKNOWN, oid::INT4, oid::UNKNOWN]);
    // No operator numrange @> integer.
    let mut tried = Vec::new();
    while search.refused(refusal("42883", 0), &values, sql) {
        tried.push(search.types());
    }
    assert!(tried.contains(&vec![oid::UNKNOWN, oid::NUMERIC, oid::UNKNOWN]), "{tried:?}");
    assert_eq!(search.first_refusal(), Some(state("42883")));
}

#[test]
fn likely_types_are_tried_first_and_the_search_ends() {
    let sql = "select f($1, $2, $3, $4)";
    let values = values(&[Some("7"); 4]);
    let mut search = TypeSearch::new(4);
    let mut tried = Vec::new();
    while search.refused(refusal("42883", 0), &values, sql) {
        tried.push(search.types());
    }
    assert_eq!(tried[0], [oid::INT4; 4]);
    assert!(
        tried[1..5].iter().all(|types| types.iter().filter(|oid| **oid != oid::INT4).count() == 1)
    );
    assert!(tried.len() < 40, "{}", tried.len());
}

#[test]
fn one_type_for_all_is_tried_before_several_others() {
    let (sql, values) = ("select $1 & $2", values(&[Some("0000"), Some("1111")]));
    let mut search = TypeSearch::new(2);
    let mut attempts = 0;
    while search.types() != [oid::BIT; 2] {
        attempts += 1;
        assert!(search.refused(refusal("42883", 0), &values, sql), "after {attempts}");
    }
    assert!(attempts < 15, "{attempts}");
}

#[test]
fn a_null_behind_values_has_the_type_that_they_had_and_leaves_it_open_before_them() {
    let mut search = TypeSearch::new(1);
    let whole = values(&[Some("7")]);
    assert!(search.refused(refusal("42P18", 1), &whole, "select jsonb_build_object('a', $1)"));
    assert_eq!(search.typing().types(&values(&[None]), ""), [oid::INT4]);

    let null =
        types_of_values(&[oid::TEXT, oid::UNKNOWN, oid::INT4], &values(&[None, None, Some("7")]));
    assert_eq!(null, [oid::VOID, oid::UNKNOWN, oid::INT4]);
    assert!(has_untold(&null) && all_fit(&null, &values(&[None, Some("x"), None])));
    assert!(!all_fit(&null, &values(&[Some("7"), None, None])));
    assert_eq!(TypeSearch::widening(&null[..1], &whole).types(), [oid::INT4]);
}

#[test]
fn a_null_may_be_an_out_parameter_of_a_function() {
    let values = values(&[Some("7"), None, Some("x")]);
    let mut search = TypeSearch::new(3);
    assert!(search.refused(refusal("42883", 0), &values, "select f($1, $2, $3)"));
    assert_eq!(search.types(), [oid::INT4, oid::UNKNOWN, oid::TEXT]);
    assert!(search.refused(refusal("42883", 0), &values, "select f($1, $2, $3)"));
    assert_eq!(search.types(), [oid::INT4, oid::VOID, oid::TEXT]);
    let typing = search.typing();
    assert_eq!(typing.types(&values, ""), [oid::INT4, oid::VOID, oid::TEXT]);
}

#[test]
fn a_null_that_the_server_can_not_type_is_text_and_what_comes_after_is_not() {
    let null = values(&[None]);
    let mut search = TypeSearch::new(1);
    assert!(search.refused(refusal("42P18", 1), &null, "select concat($1)"));
    assert_eq!(search.types(), [oid::TEXT]);
    assert_eq!(search.typing().types(&null, ""), [oid::TEXT]);
    assert_eq!(search.typing().types(&values(&[Some("7")]), ""), [oid::INT4]);
}

#[test]
fn types_that_were_found_hold_for_the_values_that_they_fit() {
    let (whole, code) = (values(&[Some("7")]), values(&[Some("A-17")]));
    let mut search = TypeSearch::new(1);
    search.refused(refusal("42P18", 1), &whole, "");
    let typing = search.typing();
    // The most likely type is guessed anew for each value,
    assert_eq!(typing.types(&whole, ""), [oid::INT4]);
    assert_eq!(typing.types(&code, ""), [oid::TEXT]);
    // one that was prepared or found by trying is widened.
    assert!(all_fit(&[oid::INT4], &whole) && !all_fit(&[oid::INT4], &code));
    let widened = TypeSearch::widening(&[oid::INT4], &code);
    assert_eq!(widened.types(), [oid::TEXT]);
    assert!(widened.typing().fits(&whole));
    assert_eq!(widened.typing().types(&whole, ""), [oid::TEXT]);
    search.refused(refusal("42883", 1), &whole, "");
    assert_eq!(search.types(), [oid::INT8]);
    assert!(!search.typing().fits(&code));
    assert_eq!(search.typing().widening(&code, "").types(), [oid::TEXT]);
}

#[test]
fn what_is_known_can_be_forgotten_and_what_nothing_helps_is_not_searched_for_ever() {
    let known = KnownTypes::default();
    assert_eq!(known.get("a"), None);
    known.put("a", ParamTyping::default());
    assert_eq!(known.get("a"), Some(ParamTyping::default()));
    assert!(known.forget("a") && !known.forget("a"));
    for _ in 0..KnownTypes::SEARCHES {
        assert_eq!(known.get("b"), None);
        known.refused("b");
    }
    assert_eq!(known.get("b"), Some(ParamTyping::default()));
    assert!(!known.forget("b"));
}
