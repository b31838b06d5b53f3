use std::io::Write;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::{error, warn};
use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// What is written to it, which is kept.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn logged(ansi: bool, log: impl FnOnce()) -> String {
    let kept = Kept::default();
    let subscriber =
        tracing_subscriber::fmt().fmt_fields(TextFields).with_ansi(ansi).without_time();
    let subscriber = subscriber.with_target(false).with_writer(kept.clone()).finish();
    tracing::subscriber::with_default(subscriber, log);
    String::from_utf8(kept.0.lock().clone()).unwrap()
}

const HOSTILE: &str =
    "ann\n2026-11-30T00:00:00.000000Z ERROR kreplay: forged \u{1b}[2J\u{202e}\u{200b}";
const SHOWN: &str =
    r"ann\n2026-11-30T00:00:00.000000Z ERROR kreplay: forged \u{1b}[2J\u{202e}\u{200b}";

#[test]
fn no_name_makes_a_line_of_its_own_or_commands_the_terminal() {
    for ansi in [false, true] {
        let text = logged(ansi, || warn!(user = %HOSTILE, count = 2, "not let in: {HOSTILE}"));
        assert!(text.ends_with(&format!("not let in: {SHOWN} user={SHOWN} count=2\n")), "{text:?}");
        assert_eq!(text.lines().count(), 1, "{text:?}");
    }
}

#[test]
fn texts_values_and_errors_are_written_as_ever() {
    let source: Result<u8, _> = "x".parse();
    let failure = source.unwrap_err();
    let text = logged(false, || {
        error!(name = "a b", after = ?Some(1), failure = &failure as &dyn std::error::Error, "went wrong");
    });
    assert_eq!(
        text.trim_start(),
        "ERROR went wrong name=\"a b\" after=Some(1) failure=invalid digit found in string\n"
    );
}
