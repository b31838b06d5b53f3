//! What Grafana finds below `/etc/grafana/provisioning`.

use serde_json::Value;

use super::yaml;

#[test]
fn grafana_finds_the_dashboard_where_the_documentation_has_it_put() {
    let file: Value = yaml("provisioning/dashboards/kreplay.yml");
    assert_eq!(file["apiVersion"], 1);
    let [provider] = &**file["providers"].as_array().expect("a list") else { panic!("{file}") };
    assert_eq!(provider["type"], "file");
    let folder = provider["options"]["path"].as_str().expect("a path");
    let page = include_str!("../../docs/reference/alerts.md");
    for line in [
        &format!("install -D -m 644 -t {folder} grafana/kreplay.json"),
        "install -D -m 644 -t /etc/grafana/provisioning/dashboards grafana/provisioning/dashboards/kreplay.yml",
        "install -D -m 644 -t /etc/grafana/provisioning/datasources grafana/provisioning/datasources/prometheus.yml",
    ] {
        assert!(page.contains(&format!("    {line}\n")), "docs/reference/alerts.md lacks {line}");
    }
}

#[test]
fn grafana_knows_how_often_prometheus_scrapes() {
    let file: Value = yaml("provisioning/datasources/prometheus.yml");
    assert_eq!(file["apiVersion"], 1);
    let [source] = &**file["datasources"].as_array().expect("a list") else { panic!("{file}") };
    assert_eq!((&source["type"], &source["access"]), (&"prometheus".into(), &"proxy".into()));
    let prometheus: Value = yaml("prometheus.yml");
    assert_eq!(source["jsonData"]["timeInterval"], prometheus["global"]["scrape_interval"]);
}
