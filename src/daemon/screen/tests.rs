use super::*;

#[test]
fn a_bar_is_for_people_at_a_terminal() {
    assert!(takes_a_bar(true, "xterm-256color", LogFormat::Text));
    assert!(!takes_a_bar(false, "xterm", LogFormat::Text), "a pipe");
    assert!(!takes_a_bar(true, "dumb", LogFormat::Text));
    assert!(!takes_a_bar(true, "", LogFormat::Text));
    assert!(!takes_a_bar(true, "xterm", LogFormat::Json), "a program reads it");
}
