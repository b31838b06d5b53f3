use serde_json::{Value, json};

use super::*;
use crate::compare::report::tests::{report, shape};

fn read(change: impl FnOnce(&mut Value)) -> ReplayReport {
    let mut json = report(json!([shape("a1", &[10.0; 100])]));
    change(&mut json);
    ReplayReport::read(&json.to_string()).unwrap()
}

/// Another run of the same.
fn again(change: impl FnOnce(&mut Value)) -> ReplayReport {
    read(|it| {
        it["since"] = json!("2026-11-30T11:00:00Z");
        it["until"] = json!("2026-11-30T11:01:00Z");
        change(it);
    })
}

#[test]
fn two_runs_of_one_log_on_two_targets_differ_in_nothing_worth_a_note() {
    let (one, other) = (read(|_| {}), again(|it| it["target"] = json!("db18:5432")));
    assert_eq!(refusal(&one, &other), None);
    assert_eq!(notes(&one, &other, "candidate"), [""; 0]);
}

#[test]
fn another_log_is_refused_and_how_it_differs_is_said() {
    let one = read(|_| {});
    let refused = |change: fn(&mut Value)| refusal(&one, &again(change)).unwrap();
    let longer = refused(|it| {
        it["digest"]["hash"] = json!("1");
        it["digest"]["statements"] = json!(1300);
        it["digest"]["last_logged_ms"] = json!(1_790_000_090_000_i64);
    });
    for says in ["1,234 statements logged from 2026-", "1,300 statements", "--until-end"] {
        assert!(longer.contains(says), "{longer}");
    }
    let filtered = refused(|it| {
        it["digest"]["hash"] = json!("1");
        it["digest"]["statements"] = json!(1000);
    });
    assert!(filtered.contains("--source-db"), "{filtered}");
    let other = refused(|it| it["digest"]["hash"] = json!("1"));
    assert!(other.contains("not the same ones"), "{other}");
}

#[test]
fn what_else_differs_between_the_runs_is_said() {
    let one = read(|_| {});
    let noted = |change: fn(&mut Value)| notes(&one, &again(change), "candidate").join("\n");
    for (noted, says) in [
        (noted(|it| it["order"] = json!("session")), "order: conflict in the baseline, session"),
        (
            noted(|it| it["pace"] = json!({ "speed": 1.0 })),
            "pace: as fast as it can in the baseline, --speed 1 in",
        ),
        (noted(|it| it["kreplay"] = json!("0.2.0")), "kreplay: 0.1.0 in the baseline, 0.2.0"),
        (
            noted(|it| it["shapes"][0]["clock"] = json!({ "server": 0, "client": 100 })),
            "measured by the server in the baseline, measured by kreplay in",
        ),
        (noted(|it| it["records"]["skipped"]["total"] = json!(7)), "0 in the baseline, 7 in"),
        (
            noted(|it| {
                it["shapes"][0]["pace"] = json!({ "judged": 10, "off_pace": 90, "cold": 0 })
            }),
            "0 % of the calls in the baseline, 90 % in the candidate",
        ),
    ] {
        assert!(noted.contains(says) && noted.lines().count() == 1, "{noted}");
    }
    let busy = |active: f64| {
        read(|it| it["shapes"][0]["concurrency"] = json!({ "source": 1.0, "target": active }))
    };
    let busier =
        again(|it| it["shapes"][0]["concurrency"] = json!({ "source": 1.0, "target": 6.0 }));
    assert!(
        notes(&busy(2.0), &busier, "repeat")
            .join("")
            .contains("2.0 in the baseline, 6.0 in the repeat")
    );
    assert_eq!(notes(&busy(5.0), &busier, "repeat"), [""; 0]);
    let hardly = |active: f64| {
        again(|it| it["shapes"][0]["concurrency"] = json!({ "source": 1.0, "target": active }))
    };
    assert_eq!(notes(&busy(0.01), &hardly(0.02), "repeat"), [""; 0]);
}

#[test]
fn one_run_given_twice_is_said() {
    let noted = notes(&read(|_| {}), &read(|_| {}), "candidate");
    assert!(noted.join("").contains("are one run"), "{noted:?}");
}
