//! The program itself, run as a user runs it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::postgres::Server;

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A kreplay that is about to be started. It sees nothing of the environment but what
/// [`env`](Self::env) gives.
#[derive(Debug, Default)]
pub struct Kreplay {
    subcommand: Option<&'static str>,
    arguments: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    on_terminal: bool,
    stdin: Option<PathBuf>,
    stderr: Option<Stdio>,
    listen: Listen,
}

/// Where it serves HTTP.
#[derive(Debug, Default, Clone)]
enum Listen {
    /// Where the test needs it: nowhere, or on a free port.
    #[default]
    AsNeeded,
    /// Where it does by itself.
    ByDefault,
    /// On this address.
    On(String),
}

impl Kreplay {
    pub fn new() -> Self {
        Self::default()
    }

    /// `kreplay check` with the same options.
    pub fn check(self) -> Self {
        Self { subcommand: Some("check"), ..self }
    }

    /// `kreplay compare`, to which the arguments are all that is told.
    pub fn compare() -> Self {
        Self { subcommand: Some("compare"), ..Self::default() }
    }

    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Replays on this server.
    pub fn target(self, server: &Server) -> Self {
        self.args(["-H", "127.0.0.1", "-P"]).arg(server.port().to_string())
    }

    /// Gives it a terminal, 200 columns wide, in place of pipes: all that it writes, to standard
    /// output and error, comes as the standard output, with what moves the cursor.
    pub fn on_terminal(self) -> Self {
        Self { on_terminal: true, ..self }.env("TERM", "xterm")
    }

    /// Gives it this file as standard input.
    pub fn stdin(self, file: PathBuf) -> Self {
        Self { stdin: Some(file), ..self }
    }

    /// Gives it this as standard error, of which the test then sees nothing.
    pub fn stderr(self, to: impl Into<Stdio>) -> Self {
        Self { stderr: Some(to.into()), ..self }
    }

    /// Has it listen where it does by itself.
    pub fn default_port(self) -> Self {
        Self { listen: Listen::ByDefault, ..self }
    }

    /// Has it listen on this address.
    pub fn listen(self, address: &str) -> Self {
        Self { listen: Listen::On(address.to_owned()), ..self }
    }

    /// Runs it to its end, which has to come by itself.
    pub fn run(self) -> Finished {
        self.start("off").wait()
    }

    /// Starts it and leaves it running, once it serves its metrics.
    pub fn spawn(self) -> Running {
        let mut running = self.start("127.0.0.1:0");
        let marker = "HTTP on http://";
        let line = running.wait_for_line(marker);
        let address = line.split_once(marker).map_or("", |(_, rest)| rest);
        running.address = address.split(": ").next().unwrap_or_default().to_owned();
        running
    }

    fn start(self, listen: &str) -> Running {
        let directory = tempfile::tempdir().expect("a directory for the report");
        let mut line: Vec<OsString> = vec![program().into()];
        line.extend(self.subcommand.map(OsString::from));
        let replays = self.subcommand != Some("compare");
        match &self.listen {
            _ if !replays => {}
            Listen::AsNeeded => line.extend(["--listen", listen].map(OsString::from)),
            Listen::ByDefault => {}
            Listen::On(address) => line.extend(["--listen", address].map(OsString::from)),
        }
        if replays && !self.arguments.iter().any(|argument| argument == "--report") {
            line.extend(["--report".into(), directory.path().join("report.json").into()]);
        }
        line.extend(self.arguments);
        if self.on_terminal {
            line = terminal(&line);
        }
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]).env_clear().envs(self.environment);
        let stdin = self.stdin.map(|file| std::fs::File::open(file).expect("standard input"));
        command
            .stdin(stdin.map_or_else(Stdio::null, Stdio::from))
            .stdout(Stdio::piped())
            .stderr(self.stderr.unwrap_or_else(Stdio::piped));
        let mut child = command.spawn().expect("cargo has built it");
        let stdout = Stream::of(child.stdout.take().expect("piped"));
        let stderr = child.stderr.take().map_or_else(|| Stream::of(io::empty()), Stream::of);
        Running { child, stdout, stderr, directory, address: String::new() }
    }
}

/// The command line that runs another one in a pseudo terminal (Debian: bsdutils) and ends as it does.
fn terminal(line: &[OsString]) -> Vec<OsString> {
    let quoted = line.iter().map(|word| {
        let word = word.to_str().expect("a test's command line is UTF-8");
        format!("'{}'", word.replace('\'', r"'\''"))
    });
    let quoted = quoted.collect::<Vec<_>>().join(" ");
    let sized = format!("/bin/stty cols 200 rows 100; exec {quoted}");
    let script = ["/usr/bin/script", "--quiet", "--return", "--command", &sized, "/dev/null"];
    script.map(OsString::from).into()
}

/// How a run ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// What `--report` was given; null where nothing was written.
    pub report: Value,
}

impl Finished {
    /// Checks that it ended well and that its ledger balances with nothing pending.
    #[track_caller]
    pub fn well(self) -> Self {
        self.ended(0)
    }

    /// The same of a run that had to reject or give up something.
    #[track_caller]
    pub fn incomplete(self) -> Self {
        self.ended(8)
    }

    #[track_caller]
    fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        assert_eq!(self.report["records"]["balances"], true, "{self}");
        assert_eq!(self.report["records"]["pending"], 0, "{self}");
        self
    }

    /// A number of the report by its path: `/records/skipped/reasons/copy_data`; 0 where there is
    /// none.
    pub fn count(&self, pointer: &str) -> u64 {
        self.report.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
    }

    /// Statements that ran, whatever came of them.
    pub fn statements(&self) -> u64 {
        let outcomes = self.report["outcomes"].as_object();
        outcomes.map_or(0, |outcomes| outcomes.values().filter_map(Value::as_u64).sum())
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, .. } = self;
        write!(f, "exit code {code:?}\n---- stdout\n{stdout}\n---- stderr\n{stderr}")
    }
}

/// A kreplay that runs. It is killed when this is dropped; where a test has failed, what it wrote
/// is shown.
pub struct Running {
    child: Child,
    stdout: Stream,
    stderr: Stream,
    directory: tempfile::TempDir,
    address: String,
}

impl Running {
    /// Where it listens: `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The metrics of the moment: a series as it stands in the scrape, labels and all, and its
    /// value. `kreplay_records_total{result="replayed"}`.
    pub fn metrics(&self) -> HashMap<String, f64> {
        parse(&self.get("/metrics").1)
    }

    /// Where it serves HTTP, `/` at the end.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The status and the body of an answer over HTTP.
    pub fn get(&self, path: &str) -> (u16, String) {
        self.try_get(path)
            .unwrap_or_else(|error| panic!("GET {path} of {}: {error}\n{self}", self.address))
    }

    fn try_get(&self, path: &str) -> Result<(u16, String), ureq::Error> {
        let request = ureq::get(format!("http://{}{path}", self.address)).config();
        let request = request.http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        let mut answer = request.call()?;
        Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
    }

    /// Waits until the metrics are so.
    #[track_caller]
    pub fn wait_for(&mut self, so: impl Fn(&HashMap<String, f64>) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(self.is_running(), "it has ended\n{self}");
            let metrics = self.metrics();
            if so(&metrics) {
                return;
            }
            if Instant::now() > deadline {
                let mut shown: Vec<_> = metrics
                    .iter()
                    .filter(|(name, value)| **value != 0.0 && !name.contains("_bucket"))
                    .collect();
                shown.sort_by_key(|(name, _)| name.as_str());
                panic!("the metrics are not so after {PATIENCE:?}: {shown:#?}\n{self}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a line of the log holds this, and gives the line.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = !self.is_running();
            if let Some(line) = self.stderr().lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(!ended && Instant::now() < deadline, "no line holds {text:?}\n{self}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until so many lines of the log hold this.
    #[track_caller]
    pub fn wait_for_lines(&mut self, text: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.stderr().lines().filter(|line| line.contains(text)).count() < times {
            let goes_on = self.is_running() && Instant::now() < deadline;
            assert!(goes_on, "{text:?} is not there {times} times\n{self}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A line of the process's `/proc/PID/status` that counts kilobytes: `VmHWM`, `VmRSS`.
    pub fn memory_kb(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        number.unwrap_or_else(|| panic!("no {name} in {status}"))
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("own child").is_none()
    }

    /// What it has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// SIGTERM; see [`wait`](Self::wait).
    pub fn term(&self) {
        self.signal("TERM");
    }

    /// SIGKILL, and the end.
    pub fn kill(self) -> Finished {
        self.signal("KILL");
        self.wait()
    }

    /// Sends a signal, named without its `SIG`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill").success(), "SIG{name} can't be sent\n{self}");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(self) -> Finished {
        self.wait_at_most(PATIENCE)
    }

    /// Waits for its end, which has to come within this time.
    #[track_caller]
    pub fn wait_at_most(mut self, patience: Duration) -> Finished {
        let deadline = Instant::now() + patience;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("own child") {
                break status;
            }
            assert!(Instant::now() < deadline, "it still runs after {patience:?}");
            std::thread::sleep(Duration::from_millis(5));
        };
        let report = std::fs::read(self.directory.path().join("report.json"));
        Finished {
            code: status.code(),
            stdout: self.stdout.end(),
            stderr: self.stderr.end(),
            report: report.map_or(Value::Null, |report| {
                serde_json::from_slice(&report).expect("the report is JSON")
            }),
        }
    }
}

impl std::fmt::Display for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "---- stdout\n{}\n---- stderr\n{}", self.stdout.text(), self.stderr.text())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            if std::thread::panicking() {
                eprintln!("kreplay was still running:\n{self}");
            }
        }
    }
}

/// The metrics in Prometheus's text format.
fn parse(scrape: &str) -> HashMap<String, f64> {
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            Some((series.to_owned(), value.parse().ok()?))
        })
        .collect()
}

/// What a process writes, read as it comes so that the process never waits for its reader.
struct Stream {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Stream {
    fn of(source: impl Read + Send + 'static) -> Self {
        let text: Arc<Mutex<String>> = Arc::default();
        let read = text.clone();
        let reader = std::thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut line = Vec::new();
            while matches!(source.read_until(b'\n', &mut line), Ok(1..)) {
                let mut text = read.lock().unwrap_or_else(PoisonError::into_inner);
                let _ = write!(text, "{}", String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All of it, once the process has ended.
    fn end(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader does not panic");
        }
        self.text()
    }
}

/// The program that cargo has built beside the test or the bench that runs.
fn program() -> PathBuf {
    let running = std::env::current_exe().expect("a running program");
    // In `deps` below it.
    let folder = running.parent().and_then(Path::parent).expect("a target folder");
    folder.join("kreplay")
}
