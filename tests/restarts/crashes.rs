//! kreplay is killed, again and again, and started again.

use super::*;

/// Lets each single statement of the [`Workload`] take this long, and none through that stands
/// behind the [`gate`], so that every kill finds a replay in its middle, however fast it is.
fn hold_back(target: &Server, workload: &Workload, milliseconds: u32) {
    let places: Vec<_> = workload.singles.iter().map(|(id, at)| format!("({id}, {at})")).collect();
    target.query(&format!(
        "create table gate (at int not null);
         insert into gate values (0);
         create table place (id bigint primary key, at int not null);
         insert into place values {};
         create function wait() returns trigger language plpgsql as $$begin
            if (select place.at >= gate.at from place, gate where id = new.id) then
                perform pg_sleep(3600);
            end if;
            perform pg_sleep({milliseconds} / 1000.0);
            return new;
         end$$;
         create trigger wait before insert on single for each row execute function wait();
         -- Whoever sleeps there finds out that kreplay is gone.
         alter database postgres set client_connection_check_interval = '50ms'",
        places.join(", ")
    ));
}

/// Puts the gate before this record.
fn gate(target: &Server, at: usize) {
    target.query(&format!("update gate set at = {at}"));
}

fn survives(order: &str, kills: usize, seed: u64) {
    let workload = Workload::shared();
    let broker = kafka::shared();
    let topic = workload.topic(broker, "crashes");
    let target = target(SET_UP);
    hold_back(&target, workload, if order == "serial" { 20 } else { 60 });
    let mut random = fastrand::Rng::with_seed(seed);
    // What was through below a committed offset, and how often it was there then.
    let mut through: BTreeMap<i64, i64> = BTreeMap::new();
    let mut committed = 0;
    for kill in 1..=kills {
        // Further on than the last time by more than any kill waits for.
        let held_from = workload.records.len() * kill / (kills + 1);
        gate(&target, held_from);
        let mut running = replay(broker, &topic, &target).args(["--order", order]).spawn();
        // Every fourth time it lives on until it has committed something.
        let further = if kill % 4 == 0 { committed as f64 } else { -1.0 };
        let enough = random.u64(..400) as f64;
        running.wait_for(|metrics| {
            let known = metrics.get(r#"kreplay_consumer_committed_offset{partition="0"}"#);
            statements(metrics) >= enough && known.copied().unwrap_or(0.0) > further
        });
        running.kill();
        wait_for_silence(&target);

        let found = workload.on(&target);
        let mut held = workload.singles.iter().filter(|(_, at)| **at >= held_from).peekable();
        assert!(held.peek().is_some() && held.all(|(id, _)| !found.singles.contains_key(id)));
        committed = broker.committed(&group(&topic), &topic).unwrap_or(0);
        for (id, times) in &through {
            assert_eq!(found.transactions[id], *times, "{id} was sent again, kill {kill}");
        }
        for (id, (_, last)) in &workload.transactions {
            if (*last as i64) < committed {
                let times = found.transactions.get(id);
                through.insert(*id, *times.unwrap_or_else(|| panic!("{id} is lost, kill {kill}")));
            }
        }
    }
    assert!(committed > 0, "offsets are committed while it runs");
    target.query("drop trigger wait on single");
    let last = replay(broker, &topic, &target).args(["--order", order, "--until-end"]).run().well();
    assert!(last.statements() > 0, "it was killed in the middle");
    let found = workload.on(&target);
    let doubled = found.doubled(workload);
    for (id, times) in &through {
        assert_eq!(found.transactions[id], *times, "{id} was sent again by the last run");
    }
    println!(
        "{order} order, {kills} kills: {} transactions and {} single statements, of which {doubled} \
         are there once too often; {} below committed offsets",
        workload.transactions.len(),
        workload.singles.len(),
        through.len(),
    );
}

#[test]
fn killed_many_times_in_serial_order_it_loses_nothing_and_leaves_no_fragment() {
    survives("serial", 12, 1);
}

#[test]
fn killed_many_times_in_session_order_it_loses_nothing_and_leaves_no_fragment() {
    survives("session", 12, 2);
}
