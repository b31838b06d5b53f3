//! Chromium without a screen, driven by WebDriver.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser with one window, which is gone when this is dropped.
pub struct Browser {
    driver: Child,
    /// WebDriver's address of this browser.
    session: String,
    /// Bookmarks, caches and all that: empty, and its own.
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts it, `width` pixels wide.
    pub fn start(width: u32) -> Self {
        let profile = tempfile::tempdir().expect("a directory for the profile");
        // It is killed where the test fails before the browser is there.
        let mut driver = Command::new("/usr/bin/chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium-driver is installed: setup/install");
        let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.expect("chromedriver says its port");
        // Nothing that it writes may fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let mut browser =
            Self { driver, session: format!("http://127.0.0.1:{port}/session"), _profile: profile };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--user-data-dir={}", browser._profile.path().display()),
            &format!("--window-size={width},1000"),
        ];
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": "/usr/bin/chromium", "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let session = browser.post("", json!({ "capabilities": { "alwaysMatch": wanted } }));
        let id = session["sessionId"].as_str().expect("a session's id");
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    /// Makes the window as narrow as a phone's, which a window of a desktop can't be.
    pub fn narrow(&self, width: u32) {
        let screen =
            json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": true });
        let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": screen });
        self.post("/goog/cdp/execute", command);
    }

    /// Makes it prefer `light` or `dark` colours.
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let command =
            json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": features } });
        self.post("/goog/cdp/execute", command);
    }

    /// Loads a page.
    pub fn open(&self, url: &str) {
        self.post("/url", json!({ "url": url }));
    }

    /// What a script returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({ "script": script, "args": [] }))
    }

    /// The text of the elements that a selector finds, as far as it can be seen.
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let found = self.run(&format!(
            "return [...document.querySelectorAll({selector:?})].map((it) => it.innerText)"
        ));
        serde_json::from_value(found).expect("texts")
    }

    /// Clicks the first element that a selector finds, as a mouse would.
    pub fn click(&self, selector: &str) {
        self.post(&format!("/element/{}/click", self.find(selector)), json!({}));
    }

    /// Presses keys in the first element that a selector finds.
    pub fn press(&self, selector: &str, keys: &str) {
        self.post(&format!("/element/{}/value", self.find(selector)), json!({ "text": keys }));
    }

    fn find(&self, selector: &str) -> String {
        let by = json!({ "using": "css selector", "value": selector });
        let element = self.post("/element", by);
        let id = element.as_object().and_then(|element| element.values().next()?.as_str());
        id.expect("an element's id").to_owned()
    }

    /// Waits until an expression is true of the page.
    #[track_caller]
    pub fn wait_until(&self, so: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.run(&format!("return Boolean({so})")) != true {
            assert!(
                Instant::now() < deadline,
                "it is not so after {PATIENCE:?}: {so}\n{}\n{:#?}",
                self.run("return document.body.innerText").as_str().unwrap_or_default(),
                self.complaints(),
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it wrote to its console since it was asked last: scripts' errors, what the content
    /// security policy refused, what could not be loaded.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.post("/se/log", json!({ "type": "browser" }));
        let entries = entries.as_array().expect("entries of the log");
        entries.iter().map(|entry| entry["message"].to_string()).collect()
    }

    #[track_caller]
    fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.session);
        let request = ureq::post(&url).config().http_status_as_error(false);
        let answer = request.timeout_global(Some(PATIENCE)).build().send_json(body);
        let answer = answer.and_then(|mut answer| answer.body_mut().read_json::<Value>());
        let mut answer = answer.unwrap_or_else(|error| panic!("WebDriver {path}: {error}"));
        let value = answer["value"].take();
        assert!(value.get("error").is_none(), "WebDriver {path}: {value:#}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser, then is ended.
        let _ = ureq::delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
