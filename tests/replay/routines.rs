//! Functions and triggers whose bodies tell what they touch, recorded from many clients at once.

use std::io::Write as _;

use serde_json::json;
use tempfile::NamedTempFile;

use testkit::kreplay::Kreplay;
use testkit::postgres::Server;
use testkit::source::{pgbench, record};

const TABLES: &str = "
    create table account (id int primary key, v bigint not null, changes int not null default 0);
    insert into account select i, i from generate_series(1, 50) i;
    create table audit (account int, before bigint, after bigint);";

/// Changes two accounts, in the order of their keys, so that the changes don't commute.
const TRANSFER: &str = r"
\set one random(1, 50)
\set other random(1, 50)
\set low least(:one, :other)
\set high greatest(:one, :other)
\set k random(1, 1000)
BEGIN;
";

const STATEMENTS: &str = "
UPDATE account SET v = (v * 31 + :k) % 1000003 WHERE id = :low;
UPDATE account SET v = (v * 31 + :k) % 1000003 WHERE id = :high;
COMMIT;
";

const STATE: &str = "select id, v, changes from account order by id;
    select * from audit order by account, before, after";

/// The same load with these functions and triggers, replayed in conflict order, ends as on the source.
fn leads_to_the_sources_state(routines: &str, statements: &str) {
    let set_up = format!("{TABLES}{routines}");
    let mut source = String::new();
    let (records, _) = record(&set_up, |server| {
        let clients = ["-c", "16", "-t", "20", "--random-seed=7"];
        let mut clients = pgbench(server, &format!("{TRANSFER}{statements}"), &clients);
        assert!(clients.wait().expect("pgbench").success());
        source = server.query(STATE);
    });
    let mut log = NamedTempFile::new().expect("a file");
    log.write_all(&records.join(&b"\n"[..])).expect("it can be written");
    for time in 1..=3 {
        let server = Server::start(15);
        server.query(&set_up);
        let replay = Kreplay::new().target(&server).args(["--order", "conflict"]);
        let finished = replay.arg("--input").arg(log.path()).run().well();
        assert!(server.query(STATE) == source, "time {time}: {finished}");
        assert_eq!(finished.statements(), finished.count("/outcomes/same"), "{finished}");
        assert_eq!(finished.report["stalls_broken"], json!({}), "time {time}: {finished}");
    }
}

#[test]
fn a_trigger_that_changes_the_row_at_hand_leads_to_the_sources_state() {
    let trigger = "
        create function touch() returns trigger language plpgsql as $$
            begin new.changes := old.changes * 3 % 1009 + 1; return new; end $$;
        create trigger touch before update on account for each row execute function touch();";
    leads_to_the_sources_state(trigger, STATEMENTS);
}

#[test]
fn a_trigger_that_audits_leads_to_the_sources_state() {
    let trigger = "
        create function note() returns trigger language plpgsql as $$
            begin insert into audit values (new.id, old.v, new.v); return null; end $$;
        create trigger note after update on account for each row execute function note();";
    leads_to_the_sources_state(trigger, STATEMENTS);
}

#[test]
fn a_function_that_is_given_the_keys_leads_to_the_sources_state() {
    let function = "
        create function change(a int, k int) returns void language plpgsql as $$ begin
            update account set v = (v * 31 + k) % 1000003 where id = a;
            insert into audit select id, 0, v from account where id = a; end $$;
        create function transfer(low int, high int, k int) returns void language sql as
            'select change(low, k); select change($2, $3)';";
    leads_to_the_sources_state(function, "SELECT transfer(:low, :high, :k);\nCOMMIT;\n");
}
