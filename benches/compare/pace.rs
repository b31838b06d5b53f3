//! How late statements start under `--speed 1`.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::target::{Target, TargetKind};
use crate::workload::{Kind, LogStyle, Workload};

/// What is due.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Statements in each millisecond.
    #[arg(long, default_value_t = 5)]
    per_ms: usize,
    /// For how many seconds.
    #[arg(long, default_value_t = 20)]
    seconds: usize,
    /// Sessions that they are spread over.
    #[arg(long, default_value_t = 64)]
    sessions: usize,
    /// The orders.
    #[arg(long, value_delimiter = ',', default_value = "session,conflict")]
    orders: Vec<String>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// Replays at the pace of the log, on a sink, and prints how late statements started.
pub fn measure(arguments: &Arguments) -> io::Result<()> {
    let Arguments { per_ms, seconds, sessions, .. } = *arguments;
    let statements = per_ms * 1000 * seconds;
    let workload = Workload { kind: Kind::Long, sessions, statements, per_ms };
    let directory = tempfile::tempdir()?;
    let log = directory.path().join("pace.csv");
    workload.write_log(LogStyle::AtEnd, &log)?;
    println!("### --speed 1, {} statements/s, {sessions} sessions, a sink\n", per_ms * 1000);
    println!("| order | statements | late by less than 1 ms | 2 ms | 5 ms | 10 ms |");
    println!("|---|--:|--:|--:|--:|--:|");
    for order in &arguments.orders {
        let target = Target::start(TargetKind::Sink)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_kreplay"));
        command.args(["-H", "127.0.0.1", "-P", &target.port().to_string()]);
        command.args(["--sslmode", "disable", "--speed", "1", "--playout-delay", "500ms"]);
        command.args(["--listen", "127.0.0.1:0", "--order", order, "--input"]).arg(&log);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut replay = command.spawn()?;
        let address = address(replay.stderr.take().ok_or_else(|| io::Error::other("piped"))?)?;
        // The last look before it ends has all but its last moments.
        let mut seen = String::new();
        while replay.try_wait()?.is_none() {
            if let Ok(scrape) = scrape(&address) {
                seen = scrape;
            }
            thread::sleep(Duration::from_millis(200));
        }
        let all = within(&seen, "+Inf");
        let share = |bound: &str| format!("{:.2} %", 100.0 * within(&seen, bound) / all);
        let shares = ["0.001", "0.002", "0.005", "0.01"].map(share);
        println!("| {order} | {all} | {} |", shares.join(" | "));
    }
    println!();
    Ok(())
}

/// Where it serves its metrics, from its log, which is read on and thrown away.
fn address(log: ChildStderr) -> io::Result<String> {
    let mut lines = BufReader::new(log).lines();
    let marker = "HTTP on http://";
    for line in lines.by_ref() {
        if let Some((_, rest)) = line?.split_once(marker) {
            let address = rest.split(": ").next().unwrap_or_default().to_owned();
            thread::spawn(move || lines.for_each(drop));
            return Ok(address);
        }
    }
    Err(io::Error::other("kreplay serves no metrics"))
}

fn scrape(address: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// How many statements were late by no more than so many seconds.
fn within(scrape: &str, bound: &str) -> f64 {
    let name = format!("kreplay_schedule_delay_seconds_bucket{{le=\"{bound}\"}} ");
    let line = scrape.lines().find_map(|line| line.strip_prefix(&name));
    line.and_then(|value| value.parse().ok()).unwrap_or_default()
}
