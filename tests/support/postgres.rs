//! Real PostgreSQL servers for the tests: a new one for each, in a fraction of a second.
//!
//! Each is a copy of a template cluster that is made once, so that nothing passes from one test to
//! another: roles, settings, prepared transactions. Roles other than `postgres` are up to the
//! test; everybody is trusted unless the test says otherwise.

use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a server may take to start or stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server of its own, which is gone when this is dropped.
pub struct Server {
    binaries: Binaries,
    port: u16,
    directory: tempfile::TempDir,
    process: Option<Child>,
}

impl Server {
    /// Starts a server of the major version 15 or 18.
    pub fn start(version: u32) -> Self {
        Self::start_with(version, |_| {})
    }

    /// Starts a server whose data directory `prepare` may change first: `postgresql.conf`,
    /// `pg_hba.conf`, certificates.
    pub fn start_with(version: u32, prepare: impl FnOnce(&Path)) -> Self {
        let binaries = Binaries::find(version);
        let template = binaries.template();
        let directory = tempfile::Builder::new()
            .prefix("kreplay-pg-")
            .tempdir()
            .expect("a temporary directory for the cluster");
        // The server runs as somebody else, who has to get through to its data.
        set_mode(directory.path(), 0o755);
        run(Command::new("cp").arg("-a").arg(&template).arg(directory.path().join("data")));
        let port = free_port();
        let mut server = Self { binaries, port, directory, process: None };
        let mut configuration = fs::OpenOptions::new()
            .append(true)
            .open(server.data().join("postgresql.conf"))
            .expect("the template has a postgresql.conf");
        writeln!(configuration, "port = {port}").expect("postgresql.conf can be written");
        prepare(&server.data());
        server.launch();
        server
    }

    /// The port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The cluster's data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Runs SQL with psql as `postgres` in the database `postgres` and gives what it prints:
    /// a line for each row, columns separated by `|`. Panics with psql's words where it fails.
    pub fn query(&self, sql: &str) -> String {
        self.query_in("postgres", sql)
    }

    /// Like [`query`](Self::query), in another database.
    pub fn query_in(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new("psql")
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1"])
            .args(["-U", "postgres", "-d", database, "-p", &self.port.to_string()])
            .env("PGPASSWORD", "postgres")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql is installed: tests/run says what the tests need");
        psql.stdin.take().expect("piped").write_all(sql.as_bytes()).expect("psql reads its input");
        let output = psql.wait_with_output().expect("psql ends");
        assert!(
            output.status.success(),
            "psql failed: {}\n{sql}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Stops the server in an orderly way: connections are ended, data is written.
    pub fn stop(&mut self) {
        self.end("INT");
    }

    /// Ends the server on the spot, as a crash would: no farewell to anybody, no checkpoint.
    pub fn kill(&mut self) {
        self.end("QUIT");
    }

    /// SIGKILL for all its processes: what clients see of a machine that goes down.
    pub fn crash(&mut self) {
        let Some(mut child) = self.process.take() else { return };
        let postmaster = child.id();
        // Stopped, it starts no new ones meanwhile.
        run(Command::new("kill").args(["-s", "STOP", &postmaster.to_string()]));
        let children = format!("/proc/{postmaster}/task/{postmaster}/children");
        let children = fs::read_to_string(children).expect("its children");
        let children: Vec<&str> = children.split_whitespace().collect();
        for pid in children.iter().copied().chain([&*postmaster.to_string()]) {
            // One may have ended by itself.
            let _ = Command::new("kill").args(["-s", "KILL", pid]).status();
        }
        child.wait().expect("own child");
        // As long as one lives, a new server refuses to start. Nobody may be there to bury them.
        let lives = |pid: &&str| {
            fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
        };
        let deadline = Instant::now() + PATIENCE;
        while children.iter().any(lives) {
            assert!(Instant::now() < deadline, "killed and still there");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Stops all its processes where they are: connections stay, and nothing answers. Until
    /// [`thaw`](Self::thaw).
    pub fn freeze(&self) {
        self.signal_all("STOP");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal_all("CONT");
    }

    fn signal_all(&self, signal: &str) {
        let postmaster = self.process.as_ref().expect("it runs").id();
        run(Command::new("kill").args(["-s", signal, &postmaster.to_string()]));
        let children = format!("/proc/{postmaster}/task/{postmaster}/children");
        for pid in fs::read_to_string(children).expect("its children").split_whitespace() {
            // One may have ended by itself.
            let _ = Command::new("kill").args(["-s", signal, pid]).stderr(Stdio::null()).status();
        }
    }

    /// Starts it again, on the same port and data.
    pub fn restart(&mut self) {
        self.stop();
        self.launch();
    }

    /// Makes the server the owner of a file, as it demands of a private key.
    pub fn hand_over(file: &Path) {
        if is_root() {
            run(Command::new("chown").arg("postgres:").arg(file));
        }
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn launch(&mut self) {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.path().join("log"))
            .expect("a log file");
        let child = self
            .binaries
            .command("postgres")
            .arg("-D")
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("setpriv and postgres can be run");
        self.process = Some(child);
        let deadline = Instant::now() + PATIENCE;
        while !is_ready(self.port) {
            let exited = self.process.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(
                exited.is_none() && Instant::now() < deadline,
                "PostgreSQL did not start:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn end(&mut self, signal: &str) {
        let Some(mut child) = self.process.take() else { return };
        // setpriv has become postgres: the pid is the postmaster's.
        run(Command::new("kill").args(["-s", signal, &child.id().to_string()]));
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().expect("own child").is_none() {
            assert!(Instant::now() < deadline, "PostgreSQL did not stop:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            // It may be frozen.
            let _ = Command::new("kill").args(["-s", "CONT", &child.id().to_string()]).status();
            let _ = Command::new("kill").args(["-s", "QUIT", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
}

/// The programs of one version.
struct Binaries {
    version: u32,
    /// Holds `postgres` and `initdb`.
    directory: PathBuf,
    /// What it needs that the system does not have.
    libraries: OsString,
}

impl Binaries {
    fn find(version: u32) -> Self {
        let directory = match version {
            15 => PathBuf::from("/usr/lib/postgresql/15/bin"),
            18 => match std::env::var_os("KREPLAY_PG18") {
                Some(directory) => PathBuf::from(directory).join("bin"),
                None => {
                    let unpacked = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/postgres-18");
                    // A link where the checkout is out of reach for the user postgres.
                    let unpacked = fs::canonicalize(unpacked);
                    unpacked.expect("tests/run installs PostgreSQL 18").join("bin")
                }
            },
            other => panic!("the tests know PostgreSQL 15 and 18, not {other}"),
        };
        assert!(
            directory.join("postgres").exists(),
            "PostgreSQL {version} is not in {}: tests/run installs what the tests need",
            directory.display()
        );
        Self { version, libraries: libraries(&directory), directory }
    }

    /// A program of this version, run as somebody who may be a server: `postgres` refuses to be
    /// root. It ends with the test that started it, however that ends.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        if is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
        }
        command.args(["--pdeathsig", "QUIT"]).arg(self.directory.join(program));
        command.current_dir("/").env("LD_LIBRARY_PATH", &self.libraries).env("LC_ALL", "C");
        command
    }

    /// A cluster that was never started, to be copied. Made once by whichever test process comes
    /// first.
    fn template(&self) -> PathBuf {
        static MAKING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        // Named after all that it depends on, since it outlives this run.
        let mut hash = DefaultHasher::new();
        (CONFIGURATION, &self.directory).hash(&mut hash);
        let template = std::env::temp_dir().join(format!(
            "kreplay-pg-template-{}-{:016x}",
            self.version,
            hash.finish()
        ));
        if template.join("complete").exists() {
            return template.join("data");
        }
        // Under a name of its own until it is whole: another process may be making it too.
        let making = tempfile::Builder::new()
            .prefix("kreplay-pg-making-")
            .tempdir()
            .expect("a temporary directory for the template");
        set_mode(making.path(), 0o755);
        if is_root() {
            run(Command::new("chown").arg("postgres:").arg(making.path()));
        }
        let data = making.path().join("data");
        run(self.command("initdb").arg("-D").arg(&data).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "-N",
        ]));
        let mut configuration = fs::OpenOptions::new()
            .append(true)
            .open(data.join("postgresql.conf"))
            .expect("initdb made a postgresql.conf");
        configuration.write_all(CONFIGURATION.as_bytes()).expect("it can be written");
        fs::write(making.path().join("complete"), "").expect("the template can be marked");
        // Fails where another process was quicker, whose template is as good.
        if fs::rename(making.path(), &template).is_ok() {
            std::mem::forget(making);
        }
        template.join("data")
    }
}

const CONFIGURATION: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
timezone = 'UTC'
log_timezone = 'UTC'
max_prepared_transactions = 20
max_connections = 200
shared_buffers = '16MB'
";

/// The directories beside `bin` that a packaged server brings its libraries in.
fn libraries(bin: &Path) -> OsString {
    let root = bin.parent().expect("bin stands somewhere");
    let mut directories = vec![root.join("lib")];
    // A Python wheel has them beside the package, two levels up.
    for parent in root.ancestors().take(3) {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        directories.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|extension| extension == "libs")),
        );
    }
    std::env::join_paths(directories).expect("no colon in the directories")
}

/// A port that nobody listens on, below those that the system gives to outgoing connections. Where
/// to begin differs from process to process, so that two of them rarely meet.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let start = (std::process::id() % 200) as u16 * 50;
        let port = 15_000 + (start + step) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Whether the server takes connections: it answers a log-in with anything but "starting up".
fn is_ready(port: u16) -> bool {
    let ask = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let mut startup = b"\0\0\0\0\0\x03\0\0user\0postgres\0database\0postgres\0\0".to_vec();
        startup[3] = startup.len() as u8;
        stream.write_all(&startup)?;
        let mut answer = vec![0; 512];
        let read = stream.read(&mut answer)?;
        answer.truncate(read);
        let _ = stream.write_all(b"X\0\0\0\x04");
        Ok(answer)
    };
    // 57P03: cannot connect now.
    ask().is_ok_and(|answer| {
        !answer.is_empty() && !answer.windows(5).any(|window| window == b"57P03")
    })
}

fn is_root() -> bool {
    fs::metadata("/proc/self")
        .is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("own directory");
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
