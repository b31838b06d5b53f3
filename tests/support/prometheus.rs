//! A real Prometheus (Debian's) that scrapes a kreplay.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::postgres::free_port;

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that ends when this is dropped, or with the thread that started it.
pub struct Prometheus {
    process: Child,
    port: u16,
    /// Its configuration, its data and what it says.
    directory: TempDir,
}

impl Prometheus {
    /// Starts a server with this configuration and this file of rules beside it.
    pub fn start(configuration: &str, rules: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("kreplay-prometheus-").tempdir();
        let directory = directory.expect("a temporary directory");
        let path = |name: &str| directory.path().join(name);
        fs::write(path("prometheus.yml"), configuration).expect("a configuration");
        fs::copy(rules, path(rules.file_name().and_then(|name| name.to_str()).expect("a file")))
            .expect("rules");
        let output = File::create(path("output")).expect("a file for what it says");
        let port = free_port();
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "prometheus"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg(format!("--config.file={}", path("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", path("data").display()))
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("the same file"))
            .stderr(output)
            .spawn()
            .expect("setpriv can be run");
        let mut prometheus = Self { process, port, directory };
        prometheus.wait_until(|it| match it.get("/-/ready") {
            Ok((200, _)) => Ok(()),
            answer => Err(format!("it is not ready: {answer:?}")),
        });
        prometheus
    }

    /// Asks the API (`query`, `rules`, `targets`) and gives its `data`, or what it objects to.
    pub fn api(&self, what: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let query = query.extend_pairs(parameters).finish();
        let answer = self.get(&format!("/api/v1/{what}?{query}"));
        let (_, body) = answer.map_err(|error| error.to_string())?;
        let mut answer: Value =
            serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"].take()),
            _ => Err(answer["error"].to_string()),
        }
    }

    /// The series that an expression gives now.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let data = self.api("query", &[("query", expression)])?;
        Ok(data["result"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until it is so; what is asked says why it is not.
    #[track_caller]
    pub fn wait_until(&mut self, mut so: impl FnMut(&Self) -> Result<(), String>) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(why) = so(self) {
            let ended = self.process.try_wait().expect("own child");
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{why}\nPrometheus (Debian: prometheus) says\n{}",
                self.output()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What it has said.
    pub fn output(&self) -> String {
        fs::read_to_string(self.directory.path().join("output")).unwrap_or_default()
    }

    fn get(&self, path: &str) -> Result<(u16, String), ureq::Error> {
        let request = ureq::get(format!("http://127.0.0.1:{}{path}", self.port)).config();
        let request = request.http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        let mut answer = request.call()?;
        Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
