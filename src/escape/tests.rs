use std::fmt::Write as _;

use super::*;

/// A line of its own, a screen that is cleared (by ESC and by C1's CSI), a name written backwards, and
/// one that only seems to be another.
const HOSTILE: [(&str, &str); 8] = [
    ("ann\n2026 ERROR forged", "ann\\n2026 ERROR forged"),
    ("ann\r2026", "ann\\r2026"),
    ("\u{1b}[2J\u{1b}]0;owned\u{7}", "\\u{1b}[2J\\u{1b}]0;owned\\u{7}"),
    ("\u{9b}2J", "\\u{9b}2J"),
    ("nna\u{202e}\u{2066}", "nna\\u{202e}\\u{2066}"),
    ("ad\u{200b}min\u{feff}", "ad\\u{200b}min\\u{feff}"),
    ("a\u{2028}b\u{ad}", "a\\u{2028}b\\u{ad}"),
    ("\u{e0041}\t\u{7f}\0", "\\u{e0041}\\t\\u{7f}\\u{0}"),
];

#[test]
fn nothing_is_left_of_what_commands_a_terminal_or_has_it_lie() {
    for (text, shown) in HOSTILE {
        assert_eq!(line(text), shown);
        assert!(!line(text).contains(is_deceptive), "{text:?}");
        let mut written = String::new();
        write!(Line(&mut written), "{text}{}", 1).unwrap();
        assert_eq!(written, format!("{shown}1"));
    }
}

#[test]
fn what_can_be_seen_stays_as_it_is() {
    for text in ["", r"select 'a\b' -- ä", "名前 שלום مرحبا 😀", "\"quoted\" 'name'"]
    {
        assert!(matches!(line(text), Cow::Borrowed(same) if same == text), "{text}");
        assert!(matches!(json(text), Cow::Borrowed(same) if same == text), "{text}");
    }
}

#[test]
fn lines_stay_lines_where_there_are_several() {
    assert_eq!(lines("a\nb\r\u{202e}\n"), "a\nb\\r\\u{202e}\n");
}

#[test]
fn json_means_the_same_and_has_nothing_deceptive_outside_of_its_line_feeds() {
    for (text, _) in HOSTILE {
        let value = serde_json::json!({ text: [text, "😀"] });
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let shown = json(&pretty);
        assert!(!shown.replace('\n', "").contains(is_deceptive), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
