use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};

use super::*;
use crate::replay::report::QueryShape;

fn report() -> Report {
    let query = r#"SELECT ? AS "</script><script>alert(1)</script><!-- {{script}} &amp;""#;
    Report {
        source: "topic <pg> of a:9092".to_owned(),
        target: "db & co:5432".to_owned(),
        shapes: vec![QueryShape { query: Some(query.to_owned()), ..QueryShape::default() }],
        ..Report::default()
    }
}

/// What stands between two texts.
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    page.split_once(before).unwrap().1.split_once(after).unwrap().0
}

#[test]
fn what_the_report_holds_stays_data_in_the_page() {
    let page = file(&report()).unwrap();
    let data = between(&page, "id=\"data\">", "</script>");
    assert!(!data.contains('<'), "{data}");
    let read: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(read["shapes"][0]["query"], report().shapes[0].query.as_deref().unwrap());
    assert_eq!(page.matches("</script>").count(), 2, "{page}");
    assert!(page.ends_with(&format!("<script>{}</script>\n", DOCUMENT.script)), "{page}");
}

#[test]
fn without_a_script_the_account_is_there_and_escaped() {
    let shown = Shown { report: report(), now: Some(Now::default()) };
    let page = shown.page().unwrap();
    let account = between(&page, "<noscript>", "</noscript>");
    for told in ["topic &lt;pg&gt; of a:9092", "db &amp; co:5432", "consumed", "new error"] {
        assert!(account.contains(told), "no {told} in {account}");
    }
}

#[test]
fn the_policy_of_a_file_lets_its_own_script_and_style_in_alone() {
    let page = file(&report()).unwrap();
    let policy = between(&page, "content-security-policy\" content=\"", "\"");
    let hash = |text| BASE64_STANDARD.encode(Sha256::digest(text));
    let style = hash(between(&page, "<style>", "</style>"));
    assert!(
        policy.contains(&format!("script-src 'sha256-{}';", hash(DOCUMENT.script))),
        "{policy}"
    );
    assert!(policy.contains(&format!("style-src 'sha256-{style}';")), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("connect-src"), "{policy}");
}
