//! A real rsyslogd that ships a csvlog to Kafka, with the configuration that kreplay's users get.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

const CONFIGURATION: &str = include_str!("../../dist/rsyslog-kreplay.conf");
/// What one writes who knows csvlog's first column and nothing of imfile's options.
const DEFAULTS: &str = r#"
global(workDirectory="@WORKDIR@")
module(load="imfile")
module(load="omkafka")
template(name="raw" type="list") { property(name="msg") }
input(type="imfile" File="@LOGDIR@/*.csv" Tag="pg" ruleset="k"
      startmsg.regex="^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
ruleset(name="k") {
    action(type="omkafka" broker=["@BROKER@"] topic="@TOPIC@" template="raw" confParam=["linger.ms=0"])
}
"#;
const PROGRAM: &str = "/usr/sbin/rsyslogd";

/// A shipper that ends when this is dropped, or with the thread that started it.
pub struct Rsyslog {
    process: Child,
    /// Its configuration, its working directory and what it says.
    directory: TempDir,
}

impl Rsyslog {
    /// Starts a shipper of the `*.csv` in `log_directory`, from their beginnings, to `topic` on
    /// `broker` (`host:port`). The topic has to be there.
    pub fn start(broker: &str, topic: &str, log_directory: &Path) -> Self {
        Self::start_as(CONFIGURATION, broker, topic, log_directory)
    }

    /// The same with rsyslog's defaults, which damage records.
    pub fn start_with_defaults(broker: &str, topic: &str, log_directory: &Path) -> Self {
        Self::start_as(DEFAULTS, broker, topic, log_directory)
    }

    fn start_as(configuration: &str, broker: &str, topic: &str, log_directory: &Path) -> Self {
        assert!(
            Path::new(PROGRAM).exists(),
            "this test ships with rsyslog, which is not installed: tests/run installs it"
        );
        let directory = tempfile::Builder::new()
            .prefix("kreplay-rsyslog-")
            .tempdir()
            .expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("work")).expect("a working directory");
        fs::write(
            path("rsyslog.conf"),
            fill_in(configuration, broker, topic, log_directory, &path("work")),
        )
        .expect("a configuration");
        let output = File::create(path("output")).expect("a file for what it says");
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", PROGRAM, "-n", "-f"])
            .arg(path("rsyslog.conf"))
            .arg("-i")
            .arg(path("work").join("pid"))
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the same file"))
            .stderr(output)
            .spawn()
            .expect("setpriv and rsyslogd can be run");
        Self { process, directory }
    }

    /// What rsyslogd has to say: nothing, as long as all goes well.
    pub fn output(&self) -> String {
        fs::read_to_string(self.directory.path().join("output")).unwrap_or_default()
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        // Not an orderly end: nothing that it would still write is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The configuration without its placeholders, as its own comment says.
fn fill_in(
    configuration: &str,
    broker: &str,
    topic: &str,
    log_directory: &Path,
    work_directory: &Path,
) -> String {
    let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
    [
        ("@BROKER@", broker.to_owned()),
        ("@TOPIC@", topic.to_owned()),
        ("@LOGDIR@", path(log_directory)),
        ("@WORKDIR@", path(work_directory)),
    ]
    .iter()
    .fold(configuration.to_owned(), |text, (placeholder, value)| {
        assert!(text.contains(placeholder), "{placeholder} is gone from the configuration");
        text.replace(placeholder, value)
    })
}
