use super::*;

fn finding(area: Area, level: Level, what: &str, remedy: Option<&str>) -> Finding {
    Finding { area, level, what: what.into(), remedy: remedy.map(Into::into) }
}

fn report() -> Report {
    Report(vec![
        finding(Area::Input, Level::Ok, "Kafka answers", None),
        finding(Area::Target, Level::Error, "no role\nx", Some("make it")),
        finding(Area::Input, Level::Warning, "no record", Some("start the shipper")),
    ])
}

#[test]
fn findings_stand_under_their_areas_with_their_remedies_below() {
    assert_eq!(
        report().text(),
        "Input\n  ok       Kafka answers\n  warning  no record\n           -> start the shipper\n\
             Target\n  error    no role x\n           -> make it\n\
             check: 1 error and 1 warning: the replay can't work as it should\n"
    );
    let well = Report(vec![finding(Area::Input, Level::Ok, "x", None)]);
    assert!(well.text().ends_with("check: all is well\n"));
    assert!(well.passed() && !report().passed());
}

#[test]
fn the_json_has_the_sums_and_every_finding() {
    let json: serde_json::Value = serde_json::from_str(&report().json()).expect("JSON");
    assert_eq!(
        (&json["ok"], &json["warnings"], &json["errors"]),
        (&1.into(), &1.into(), &1.into())
    );
    assert_eq!(json["findings"][1]["level"], "error");
    assert_eq!(json["findings"][1]["area"], "target");
    assert_eq!(json["findings"][0]["remedy"], serde_json::Value::Null);
}
