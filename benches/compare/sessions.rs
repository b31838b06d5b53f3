//! What many short sessions that have ended leave behind.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;

use crate::process;
use crate::target::{Target, TargetKind};
use testkit::kafka::Broker;

/// How many.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Sessions of the longest log; the others have a tenth and a hundredth of them.
    #[arg(long, default_value_t = 1_000_000)]
    sessions: usize,
    /// What sessions do.
    #[arg(long, value_delimiter = ',', default_values = ["two", "gap", "parse"])]
    kinds: Vec<Kind>,
    /// Where the logs come from, and whether they are replayed on a sink.
    #[arg(long, value_delimiter = ',', default_values = ["counted", "file", "kafka"])]
    ways: Vec<Way>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a session does before it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Two statements.
    Two,
    /// One statement, and 1,998 lines of its log are missing before its end.
    Gap,
    /// A statement of 5 kB that is parsed, and not run.
    Parse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Way {
    /// From a file, with --dry-run.
    Counted,
    /// From a file.
    File,
    /// From a topic.
    Kafka,
}

/// How often a process's memory is looked at: the last look is close to its end.
const LOOK: Duration = Duration::from_millis(5);

/// Replays logs of ever more sessions and prints what the process took at its peak.
pub fn measure(arguments: &Arguments) -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let broker = arguments.ways.contains(&Way::Kafka).then(Broker::start);
    println!("### Sessions that have ended, a sink: resident memory at its peak, in MB\n");
    println!(
        "| sessions | each | {} |",
        arguments.ways.iter().map(|way| way.name()).collect::<Vec<_>>().join(" | ")
    );
    println!("|--:|---|{}", "--:|".repeat(arguments.ways.len()));
    for &kind in &arguments.kinds {
        for sessions in [arguments.sessions / 100, arguments.sessions / 10, arguments.sessions] {
            let log = directory.path().join("sessions.csv");
            write_log(kind, sessions, &log)?;
            print!("| {sessions} | {} |", kind.name());
            for &way in &arguments.ways {
                let peak = peak(way, kind, sessions, &log, broker.as_ref())?;
                print!(" {} |", peak / 1000);
                io::stdout().flush()?;
            }
            println!();
        }
    }
    Ok(())
}

/// What one replay took, in kB.
fn peak(
    way: Way,
    kind: Kind,
    sessions: usize,
    log: &Path,
    broker: Option<&Broker>,
) -> io::Result<usize> {
    let target = Target::start(TargetKind::Sink)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_kreplay"));
    command.args(["-H", "127.0.0.1", "-P", &target.port().to_string(), "--sslmode", "disable"]);
    command.args(["--listen", "off", "--order", "session"]);
    let topic = broker.filter(|_| way == Way::Kafka).map(|broker| {
        let topic = broker.topic("sessions", 1);
        broker.produce(&topic, 0, records(kind, sessions));
        command.args(["-b", broker.address(), "-t", &topic, "--until-end"]);
        (broker, topic)
    });
    match way {
        Way::Counted => command.arg("--dry-run").arg("--input").arg(log),
        Way::File => command.arg("--input").arg(log),
        Way::Kafka => &mut command,
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut replay = command.spawn()?;
    let mut peak = 0;
    let status = loop {
        // Between its end and ours it has no memory.
        peak = peak.max(process::memory_kb(replay.id(), "VmHWM").unwrap_or_default());
        match replay.try_wait()? {
            Some(status) => break status,
            None => thread::sleep(LOOK),
        }
    };
    if let Some((broker, topic)) = topic {
        broker.delete_topic(&topic);
    }
    if status.success() {
        Ok(peak)
    } else {
        Err(io::Error::other(format!("{command:?}: {status}")))
    }
}

fn write_log(kind: Kind, sessions: usize, path: &Path) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for record in records(kind, sessions) {
        file.write_all(record.as_bytes())?;
    }
    file.flush()
}

/// The log of sessions one after the other, each with its end.
fn records(kind: Kind, sessions: usize) -> impl Iterator<Item = String> {
    let long = format!("SELECT {}1", "1+".repeat(2500));
    let end = "disconnection: session time: 0:00:00.002 user=postgres database=app host=127.0.0.1";
    (0..sessions).flat_map(move |session| {
        let select = "duration: 0.042 ms  statement: SELECT 1".to_owned();
        let messages = match kind {
            Kind::Two => vec![(1, select.clone()), (2, select), (3, end.to_owned())],
            Kind::Gap => vec![(1, select), (2000, end.to_owned())],
            Kind::Parse => {
                vec![
                    (1, format!("duration: 0.042 ms  parse <unnamed>: {long}")),
                    (2, end.to_owned()),
                ]
            }
        };
        messages.into_iter().map(move |(line, message)| record(session, line, &message))
    })
}

/// A record of a server that has a new session in each millisecond, and process ids up to 30,000.
fn record(session: usize, line: usize, message: &str) -> String {
    let seconds = session / 1000;
    let pid = 1000 + session % 30_000;
    let time = format!("{:02}:{:02}:{:02}", 10 + seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!(
        "2026-11-22 {time}.{:03} UTC,\"postgres\",\"app\",{pid},\"127.0.0.1:40000\",{:x}.{pid:x},{line},\"\",\
         2026-11-22 {time} UTC,3/{session},0,LOG,00000,\"{message}\",,,,,,,,,\"\",\"client backend\",,0\n",
        session % 1000,
        0x6b03_0000 + seconds,
    )
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Two => "two statements",
            Self::Gap => "a gap in its lines",
            Self::Parse => "a parse of 5 kB",
        }
    }
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Counted => "`--dry-run`",
            Self::File => "from a file",
            Self::Kafka => "from Kafka",
        }
    }
}
