use super::*;

#[test]
fn numbers_are_written_for_people() {
    assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!(
        [0, 999, 1000, 999_949, 1_000_000, 12_345_678_901].map(bytes),
        ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "12.3 GB"]
    );
    assert_eq!([0.0, 0.04, 9.9, 9.96, 1234.4].map(rate), ["0", "0.0", "9.9", "10", "1,234"]);
    let clocks = [0, 59, 60, 125, 3600, 90_000].map(Duration::from_secs).map(clock);
    assert_eq!(clocks, ["0s", "59s", "1m 00s", "2m 05s", "1h 00m", "1d 01h"]);
}

#[test]
fn a_line_is_cut_and_no_command_to_the_terminal() {
    assert_eq!(one_line("SELECT\n\u{1b}[31m", 20), "SELECT  [31m");
    assert_eq!(one_line("a\u{2028}b\u{202e}c\u{2067}d ä", 20), "a b c d ä");
    assert_eq!((one_line("ääääää", 6), one_line("ääääää", 5)), ("ääääää".into(), "ääää…".into()));
}
