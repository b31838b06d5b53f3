//! The page, in a real browser.

use serde_json::{Value, json};

use super::made_up_report::{self, Page};
use super::regression::{self, SLOWER, TIMES};
use testkit::browser::Browser;
use testkit::kafka;
use testkit::kreplay::Kreplay;

/// WebDriver's name of the key.
const ENTER: &str = "\u{E007}";

const QUERIES: &str = "tr.shape:not([hidden]) .open";

/// The rows that a verdict was given to.
fn judged(browser: &Browser, verdict: &str) -> Vec<String> {
    let verdicts = browser.texts("tr.shape td.c-verdict .badge");
    let queries = browser.texts("tr.shape .open");
    assert_eq!(verdicts.len(), queries.len());
    let rows = queries.into_iter().zip(verdicts);
    rows.filter(|(_, it)| it.contains(verdict)).map(|(query, _)| query).collect()
}

/// What the page says of the run, apart from the moment and the round trip, which is measured for as
/// long as kreplay runs.
fn told(browser: &Browser) -> Vec<String> {
    ["tr.shape", "#changes tr", "#records tr", "#errors tr", "#lag tr"]
        .map(|selector| browser.texts(selector).join("\n"))
        .into()
}

fn shows_the_regression(browser: &Browser) {
    let degraded = judged(browser, "degraded");
    assert!(
        degraded.len() == 1 && degraded[0].starts_with(SLOWER),
        "{degraded:#?} of {:#?}",
        browser.texts("tr.shape")
    );
    let headline = browser.texts("#verdict.bad #headline").join("\n");
    assert!(headline.contains("1 of 8 shapes is slower"), "{headline}");
    assert!(headline.contains(&format!("{} new errors", 2 * TIMES)), "{headline}");
    // It takes the most time by far, which the table is sorted by.
    assert_eq!(browser.texts(QUERIES)[0], degraded[0]);
    assert_eq!(browser.texts("th[aria-sort=descending]"), ["Total"]);
}

fn shows_what_changed(browser: &Browser) {
    let changes = browser.texts("#changes tbody tr");
    assert_eq!(changes.len(), 1, "{changes:?}");
    let times = (2 * TIMES).to_string();
    for told in ["SELECT k FROM gone", "success → 42P01", "partition 0, offset ", &times] {
        assert!(changes[0].contains(told), "no {told} in {changes:?}");
    }
    // What the log holds is text, and no literal of it is there.
    let hostile = "</script><script>alert(1)</script><!--";
    assert!(browser.texts(QUERIES).iter().any(|query| query.contains(hostile)));
    assert_eq!(browser.run("return document.scripts.length"), 2);
    let page = browser.run("return document.documentElement.outerHTML").to_string();
    assert!(!page.contains("hunter2") && !page.contains("99177123"), "{page}");
}

fn sorts_by_click_and_by_keyboard(browser: &Browser) {
    let sorted = |ascending: bool| {
        let queries = browser.texts(QUERIES);
        let mut sorted = queries.clone();
        sorted.sort();
        if !ascending {
            sorted.reverse();
        }
        assert_eq!(queries, sorted);
    };
    browser.click("#shapes th.c-query button");
    assert_eq!(browser.texts("th[aria-sort=ascending]"), ["Query"]);
    sorted(true);
    browser.press("#shapes th.c-query button", ENTER);
    assert_eq!(browser.texts("th[aria-sort=descending]"), ["Query"]);
    sorted(false);
}

/// Texts that can't be read on what is behind them, with their contrast: 4.5 is the least that WCAG 2.2
/// asks for (1.4.3).
const PALE: &str = r#"
    const channels = (colour) => colour.match(/[\d.]+/g).map(Number);
    const luminance = (colour) => channels(colour).slice(0, 3).map((it) => it / 255)
        .map((it) => (it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4))
        .reduce((sum, it, at) => sum + it * [0.2126, 0.7152, 0.0722][at], 0);
    const behind = (element) => {
        const { backgroundColor } = getComputedStyle(element);
        return channels(backgroundColor)[3] === 0 ? behind(element.parentElement) : backgroundColor;
    };
    const contrast = (element) => {
        const { color, fill } = getComputedStyle(element);
        const [low, high] = [luminance(element.namespaceURI.endsWith('svg') ? fill : color), luminance(behind(element))]
            .sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    };
    const isText = (node) => node.nodeType === Node.TEXT_NODE && node.data.trim();
    return [...document.body.querySelectorAll('*')]
        .filter((it) => it.getClientRects().length && [...it.childNodes].some(isText) && contrast(it) < 4.5)
        .map((it) => `${contrast(it).toFixed(2)}: ${it.textContent.trim().slice(0, 40)}`);
"#;

/// From a phone to a desk, by day and by night, with a row opened.
fn can_be_read(browser: &Browser) {
    browser.run("open([...rows.values()][0], true)");
    for width in [360, 768, 1600] {
        browser.narrow(width);
        for scheme in ["light", "dark"] {
            browser.prefer(scheme);
            let wide = browser.run("return document.documentElement.scrollWidth");
            assert_eq!(wide, width, "the page scrolls sideways at {width} pixels");
            assert_eq!(browser.run(PALE), json!([]), "at {width} pixels, {scheme}");
        }
    }
    browser.run("open([...rows.values()][0], false)");
}

#[test]
fn the_page_opens_with_the_verdict_in_words_and_leads_to_what_it_rests_on() {
    let page = Page::written();
    let browser = Browser::start(1500);
    let shows = |report: &Value| {
        browser.open(&page.with(report));
        browser.wait_until("!document.querySelector('#report').hidden");
        assert_eq!(browser.complaints(), [""; 0]);
        browser.texts("#headline").remove(0)
    };

    let report = made_up_report::report(
        &page,
        400,
        &["same", "degraded", "same", "improved", "cannot_tell"],
    );
    assert_eq!(
        shows(&report),
        "✕ 80 of 400 shapes are slower beyond the machine’s 0.82; no new error"
    );
    let named = browser.texts("#worst li");
    assert_eq!(named.len(), 6, "{named:?}");
    assert!(named[0].starts_with("+90 %") && named[5] == "and 75 more", "{named:?}");
    // Only what is seen is drawn.
    browser.wait_until("document.querySelectorAll('.strip').length > 0");
    let drawn = browser.run("return document.querySelectorAll('.strip').length");
    assert!(drawn.as_u64().is_some_and(|drawn| drawn < 100), "{drawn} of 400");

    // By the keyboard, from the verdict to the row and its plans.
    browser.run(
        "document.querySelector('#text').value = 'none'; document.querySelector('#text').oninput()",
    );
    assert_eq!(browser.texts(QUERIES), [""; 0]);
    browser.press("#worst a", ENTER);
    browser.wait_until("document.querySelector('tr.more:not([hidden]) .plans')");
    assert_eq!(browser.run("return document.activeElement.innerText === rows.get(location.hash.slice(7)).shape.query"), true);
    let marked = browser.texts(".plan mark").join("; ").replace('\n', " ");
    assert_eq!(
        marked,
        "1 row; Index Scan using a_table_pkey on a_table (differs); 50,000 rows; \
         Seq Scan on a_table (differs)"
    );
    can_be_read(&browser);

    let report = made_up_report::report(&page, 3, &["same"]);
    assert_eq!(shows(&report), "✓ Nothing is slower beyond the machine’s 0.82; no new error");

    let mut report = made_up_report::report(&page, 11, &["cannot_tell"]);
    report["factor"] = Value::Null;
    report["outcomes"] = json!({ "same": 1099, "new_error": 1 });
    assert_eq!(
        shows(&report),
        "✕ Off pace: 825 of 1,100 calls, nothing can be told against the source; 1 new error"
    );
    assert_eq!(
        browser.texts("#rests-on"),
        ["Replay at --speed 1, or compare two replays with kreplay compare."]
    );
    can_be_read(&browser);

    // Few calls, and no others: what little is told is no verdict.
    for (verdicts, told) in [
        (vec!["cannot_tell"], "? As the tests have it: 20 of 20 shapes; no new error"),
        (
            [vec!["cannot_tell"; 19], vec!["same"]].concat(),
            "? As the tests have it: 19 of 20 shapes; no new error",
        ),
    ] {
        let mut report = made_up_report::report(&page, 20, &verdicts);
        for shape in report["shapes"].as_array_mut().expect("shapes") {
            shape["pace"] = json!({ "judged": 10, "off_pace": 0, "cold": 0 });
        }
        assert_eq!(shows(&report), told);
    }
}

#[test]
fn the_page_follows_a_replay_and_is_the_same_in_a_file() {
    let records = regression::recorded("simple");
    // Measured before there is a browser, which takes the machine's time.
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("log.csv");
    std::fs::write(&log, records.join(&b"\n"[..])).expect("it can be written");
    let measured = directory.path().join("measured.html");
    let server = regression::target();
    let replay = Kreplay::new().target(&server).args(regression::AT_PACE).arg("--report");
    let finished = replay.arg(&measured).arg("--input").arg(&log).run();
    assert_eq!(finished.code, Some(0), "{finished}");

    let server = regression::target();
    let broker = kafka::shared();
    let topic = broker.topic("page", 1);
    let file = directory.path().join("report.HTML");
    let source = ["-t", &topic, "-b", broker.address()];
    let replay = Kreplay::new().args(source).args(regression::AT_PACE).target(&server);
    let replay = replay.arg("--report").arg(&file).spawn();

    let browser = Browser::start(1500);
    browser.open(&replay.url());
    browser.wait_until("document.querySelector('#answers').innerText.includes('✓ Ready')");
    assert_eq!(browser.texts("#empty"), ["No statement has been replayed yet."]);
    browser.run("window.loadedOnce = true");
    broker.produce(&topic, 0, records.iter().map(Vec::as_slice));
    let read = records.len();
    browser.wait_until(&format!("report.records.consumed === {read} && !report.records.pending"));
    browser.wait_until("document.querySelector('#answers').innerText.includes('All is read')");
    shows_what_changed(&browser);
    sorts_by_click_and_by_keyboard(&browser);

    // What the reader chose stays when it shows the next report.
    browser.click("tr.shape .open");
    let opened = "tr.more:not([hidden]) pre";
    assert_eq!(browser.texts(opened), [browser.texts(QUERIES)[0].clone()]);
    browser.press("#text", "42p01");
    assert_eq!(browser.texts("#shown")[0].split(' ').next(), Some("1"));
    browser.run("scrollTo(0, 150); window.before = document.querySelector('#news').innerText");
    browser.wait_until("document.querySelector('#news').innerText !== window.before");
    assert_eq!(browser.texts("th[aria-sort=descending]"), ["Query"]);
    assert_eq!(browser.texts(QUERIES), ["SELECT k FROM gone WHERE k IN (?, ?, …);"]);
    browser.run("document.querySelector('#text').value = ''; filter.text = ''; arrange()");
    assert_eq!(browser.texts(opened).len(), 1);
    assert_eq!(browser.run("return [scrollY, window.loadedOnce]"), serde_json::json!([150, true]));

    browser.click("tr.shape .open");
    browser.click("#shapes th.c-total button");
    // What the other test makes up is what there is.
    let made_up = json!({ "of": made_up_report::shape(0, "same") });
    let names = "((it) => Object.keys(it).sort().join())";
    let same = format!("return {names}(report.shapes[0]) === {names}(({made_up}).of)");
    assert_eq!(browser.run(&same), true, "{}", browser.run("return report.shapes[0]"));
    let live = told(&browser);
    assert_eq!(browser.complaints(), [""; 0]);
    replay.term();
    let finished = replay.wait();
    assert_eq!(finished.code, Some(0), "{finished}");
    browser.wait_until("document.querySelector('#news.late')");

    // The browser tells of the server that is gone, too.
    browser.complaints();
    browser.open(&format!("file://{}", file.display()));
    browser.wait_until("!document.querySelector('#report').hidden");
    shows_what_changed(&browser);
    assert_eq!(told(&browser), live);
    sorts_by_click_and_by_keyboard(&browser);
    can_be_read(&browser);
    assert_eq!(browser.complaints(), [""; 0]);

    browser.open(&format!("file://{}", measured.display()));
    browser.wait_until("!document.querySelector('#report').hidden");
    shows_the_regression(&browser);
    assert_eq!(browser.complaints(), [""; 0]);
}
