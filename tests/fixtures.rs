//! That the logs in `tests/data` are what their descriptions say.

use std::fs;

use testkit::fixture::{Fixture, csv_records};
use testkit::postgres::Server;

#[test]
fn every_fixture_holds_the_records_that_its_run_wrote() {
    for fixture in Fixture::all() {
        let name = &fixture.name;
        let log = fs::read(fixture.csv()).expect("a log");
        let records = csv_records(&log).len() as u64;
        if let Some(expected) = fixture.run.csv_records {
            assert_eq!(records, expected, "{name}");
        }
        assert!(matches!(fixture.major_version(), 12 | 15 | 18), "{name}");
        if let Some(json) = fixture.json() {
            let objects = fs::read_to_string(json).expect("a log").lines().count() as u64;
            assert_eq!(objects, records, "{name}.json");
        }
        if let Some(wire) = &fixture.run.wire {
            assert!(wire.sessions > 0 && wire.command_complete > 0, "{name}");
            assert!(wire.errors_by_sqlstate.keys().all(|code| code.len() == 5), "{name}");
        }
    }
}

#[test]
fn a_fixture_is_set_up_as_its_source_was() {
    let race = Fixture::load("15-B-race");
    let server = Server::start(15);
    race.set_up(&server);
    // Its clients changed the accounts and nothing else.
    let (before, after) = (race.checksum_on(&server), &race.run.checksum);
    let changed: Vec<_> =
        before.iter().zip(after).filter(|(before, after)| before != after).collect();
    assert_eq!(before.len(), after.len());
    assert!(matches!(&changed[..], [(before, _)] if before.starts_with("acc 10 ")), "{changed:?}");
    assert_eq!(race.sequence_on(&server), race.run.events_id_seq_last_value);
}
