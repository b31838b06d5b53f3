use super::*;

#[test]
fn a_tear_at_rsyslogs_limit_names_the_setting() {
    let torn = Malformed::Torn { column: 14, bytes: 8096 };
    assert!(torn.to_string().contains("maxMessageSize"));
    assert!(torn.remedy().unwrap().starts_with("raise the shipper's limit"));
    let elsewhere = Malformed::Torn { column: 14, bytes: 700 };
    assert!(!elsewhere.to_string().contains("maxMessageSize"));
    assert!(elsewhere.remedy().unwrap().contains("readTimeout"));
}

#[test]
fn every_reason_is_listed_once() {
    let mut reasons = Malformed::REASONS.to_vec();
    reasons.sort_unstable();
    reasons.dedup();
    assert_eq!(reasons.len(), Malformed::REASONS.len());
    assert!(reasons.contains(&Malformed::Time { given: true }.reason()));
}

#[test]
fn the_documentation_says_what_to_do_about_every_reason() {
    let page = include_str!("../../../docs/operations/troubleshooting.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let explained: Vec<_> = rows.filter_map(|row| row.split(" | ").next()).collect();
    for reason in Malformed::REASONS {
        let cell = format!("`{reason}`");
        assert!(explained.iter().any(|reasons| reasons.contains(&cell)), "{reason}");
    }
}
