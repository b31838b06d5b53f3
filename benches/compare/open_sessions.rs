//! What sessions take that are open and have a connection.

use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::process;
use crate::target::{Target, TargetKind};
use crate::workload::{FLAT_OUT, Kind, LogStyle, Workload};

/// How many.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Sessions that are open at once.
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// As many as make the rest of the process small beside them.
const STATEMENTS_EACH: usize = 4;
const PATIENCE: Duration = Duration::from_secs(120);

/// Opens so many sessions at once on a sink, and a hundred in another run, and prints what one of
/// them takes more.
pub fn measure(arguments: &Arguments) -> io::Result<()> {
    let few = resident(100)?;
    let many = resident(arguments.sessions)?;
    let each = (many - few) as f64 / (arguments.sessions - 100) as f64;
    println!("### {} open sessions, a sink\n", arguments.sessions);
    println!("| sessions | resident |\n|--:|--:|");
    println!("| 100 | {few} kB |\n| {} | {many} kB |\n", arguments.sessions);
    println!("{each:.1} kB a session");
    Ok(())
}

/// The memory of a kreplay that has so many sessions open, in kB.
fn resident(sessions: usize) -> io::Result<usize> {
    let statements = sessions * STATEMENTS_EACH;
    let workload = Workload { kind: Kind::Short, sessions, statements, per_ms: FLAT_OUT };
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("sessions.csv");
    workload.write_log(LogStyle::AtEnd, &log)?;
    let mut target = Target::start(TargetKind::Sink)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_kreplay"));
    command.args(["-H", "127.0.0.1", "-P", &target.port().to_string(), "--sslmode", "disable"]);
    command.args(["--listen", "off", "--order", "session", "--max-sessions"]);
    command.arg((sessions + 10).to_string()).args(["--input", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut replay = command.spawn()?;
    // Behind the log it waits for more, until the pipe is closed.
    let mut input = replay.stdin.take().ok_or_else(|| io::Error::other("piped"))?;
    io::copy(&mut fs::File::open(log)?, &mut input)?;
    let started = Instant::now();
    let mut sent = 0;
    while sent < statements && started.elapsed() < PATIENCE {
        sent += target.statements()?.unwrap_or_default();
        thread::sleep(Duration::from_millis(20));
    }
    let resident = process::memory_kb(replay.id(), "VmRSS");
    drop(input);
    replay.kill()?;
    replay.wait()?;
    if sent < statements {
        return Err(io::Error::other(format!("{sent} of {statements} statements were sent")));
    }
    resident
}
