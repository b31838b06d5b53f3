use super::*;

#[test]
fn a_bar_is_for_people_at_a_terminal() {
    assert!(takes_a_bar(true, "xterm-256color", LogFormat::Text));
    assert!(!takes_a_bar(false, "xterm", LogFormat::Text), "a pipe");
    assert!(!takes_a_bar(true, "dumb", LogFormat::Text));
    assert!(!takes_a_bar(true, "", LogFormat::Text));
    assert!(!takes_a_bar(true, "xterm", LogFormat::Json), "a program reads it");
}

#[test]
fn a_line_of_json_is_harmless_on_a_terminal_and_stays_the_same_json() {
    let line = "{\"message\":\"ann\\n\u{202e}\u{9b}2J\"}\n";
    let shown = harmless(line.as_bytes(), LogFormat::Json);
    assert_eq!(&*shown, b"{\"message\":\"ann\\n\\u202e\\u009b2J\"}\n");
    let coloured = b"\x1b[32mINFO\x1b[0m ready\n";
    assert_eq!(&*harmless(coloured, LogFormat::Text), coloured);
}
