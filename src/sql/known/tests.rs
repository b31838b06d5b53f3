use proptest::prelude::*;

use super::*;

fn read(sql: &str) -> Outline {
    Outline::read(sql, |_, _| {}).0
}

#[test]
fn a_text_that_came_twice_is_known_whatever_its_literals() {
    let mut known = Known::default();
    let text = |n: u64, s: &str| format!("update t set v = {n}, w = '{s}' where k = {n} ; ");
    for (n, s) in [(1, "a"), (20, ""), (3, "it''s"), (12345, "; commit")] {
        let sql = text(n, s);
        assert_eq!(known.outline(&sql), read(&sql), "{sql}");
    }
    let texts: usize = known.buckets.iter().map(|bucket| bucket.texts.len()).sum();
    assert_eq!(texts, 1);
    let sql = text(7, "x");
    let remembered = known.buckets.iter().flat_map(|bucket| &bucket.texts).next();
    assert_eq!(remembered.expect("one").outline_of(&sql), Some(read(&sql)));
}

#[test]
fn what_its_literals_tell_of_a_text_is_read_each_time() {
    let mut known = Known::default();
    for setting in ["search_path", "search_path", "search_path", "transaction_read_only"] {
        let sql = format!("select set_config('{setting}', 'off', false)");
        assert_eq!(known.outline(&sql), read(&sql), "{sql}");
    }
}

#[test]
fn a_literal_is_no_end_of_the_word_before_it() {
    let mut known = Known::default();
    for sql in ["select a'x'", "select a'x'", "select a'x'", "select a$$x$$", "select ae'x'"] {
        assert_eq!(known.outline(sql), read(sql), "{sql}");
    }
}

#[test]
fn a_literal_may_go_on_in_another_line() {
    let mut known = Known::default();
    for sql in [
        "select 'a' ; ",
        "select 'a' ; ",
        "select 'a'\n'b; c' ; ",
        "select $$a$$\n'b' ; ",
        "select $$a$$\n'b' ; ",
        "select e'a' ; ",
        "select e'a' ; ",
        "select e'a'-- c\n'\\'; c' ; ",
    ] {
        assert_eq!(known.outline(sql), read(sql), "{sql}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_memo_changes_nothing(texts in prop::collection::vec(
        prop::collection::vec(prop::sample::select(vec![
            "select ", "a", "E", "u&", "'x'", "'y''z'", "'", "\"", "$$", "$1", "1", "2.5", "0x", "-", "--",
            "/*", "*/", "\n", " ", ";", "(", ")", "into ", "do ", "é", "\\",
        ]), 0..7),
        1..12,
    )) {
        let mut known = Known::default();
        let texts: Vec<String> = texts.into_iter().map(|pieces| pieces.concat()).collect();
        for sql in texts.iter().chain(&texts).chain(&texts) {
            prop_assert_eq!(known.outline(sql), read(sql), "{}", sql);
        }
    }
}
