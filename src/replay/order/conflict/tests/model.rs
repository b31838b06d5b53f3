//! Random histories of random transactions, replayed in random interleavings: with two-phase commit,
//! stale catalogs and pauses in which one is read, fewer connections than sessions, and transactions that
//! are rolled back and run again.
//!
//! Nothing is run again where statements touch whole tables: the order does not know whose rows they
//! have locked, so that others may get these first when a transaction is rolled back.

mod history;
mod replay;

use history::{Dice, Record, Shape, TABLES, history};
use proptest::prelude::*;
use replay::{Conditions, Replay};

use super::store::{Blocked, Op, Store};

/// One statement after the other, in the order of the log. A session that another waits for goes on
/// ahead of its turn. Returns the state, what was read, and how often that was so.
fn serially(shape: &Shape, log: &[Record]) -> (Store, Vec<i64>, usize) {
    let mut store = Store::new(TABLES, shape.keys);
    let mut seen: Vec<Option<i64>> = vec![None; log.len()];
    let mut ahead = 0;
    for at in 0..log.len() {
        let mut next = at;
        while seen[at].is_none() {
            let Record { session, op, number, .. } = log[next];
            match store.run(session, op, number) {
                Ok(read) => {
                    seen[next] = Some(read);
                    next = at;
                }
                Err(by) => {
                    let by = session_of(by, log);
                    let of_blocker =
                        |later: &usize| log[*later].session == by && seen[*later].is_none();
                    next = (at..log.len()).find(of_blocker).expect("a blocker goes on");
                    ahead += 1;
                }
            }
        }
    }
    (store, seen.into_iter().flatten().collect(), ahead)
}

/// The session that ends what holds the lock.
fn session_of(blocked: Blocked, log: &[Record]) -> usize {
    match blocked {
        Blocked::Session(session) => session,
        Blocked::Prepared(gid) => {
            let ends =
                |record: &&Record| matches!(record.op, Op::FinishPrepared(it, _) if it == gid);
            log.iter().find(ends).expect("it is finished").session
        }
    }
}

fn replayed(shape: &Shape, conditions: &Conditions, seed: u64) -> Result<(), TestCaseError> {
    let mut dice = Dice::new(seed);
    let (log, source) = history(shape, &mut dice);
    let (serial, reads, ahead) = serially(shape, &log);
    prop_assert_eq!(serial.state(), source.state(), "{:#?}", log);
    for _ in 0..4 {
        let mut replay = Replay::of(shape, conditions, &log);
        let outcome = replay.run_to_the_end(&mut dice);
        prop_assert!(outcome.is_ok(), "{outcome:?}\n{log:#?}");
        prop_assert_eq!(replay.store.state(), serial.state(), "{:#?}", log);
        if ahead == 0 && replay.run_again == 0 {
            let differs = |(serially, seen): &(&i64, &Option<i64>)| Some(**serially) != **seen;
            let other = reads.iter().zip(&replay.seen).position(|pair| differs(&pair));
            prop_assert!(other.is_none(), "{:?} read otherwise\n{:#?}", other, log);
        }
        if !shape.wide && !shape.stale_catalogs && !shape.two_phase {
            prop_assert_eq!(replay.stalls, 0, "{:#?}", log);
        }
    }
    Ok(())
}

/// As many statements in flight as there may be, and nothing else that happens.
fn at_peace(window: usize) -> Conditions {
    Conditions { window, catalog_pauses: false, connections: 100, victims: false }
}

fn shapes() -> impl Strategy<Value = Shape> {
    let sizes = (2usize..7, 1usize..7, 1u64..6);
    let kinds = (any::<bool>(), any::<bool>(), any::<bool>());
    (sizes, kinds).prop_map(|(sizes, (late_commits, wide, foreign_keys))| {
        let (sessions, transactions, keys) = sizes;
        let (two_phase, stale_catalogs) = (false, false);
        Shape {
            sessions,
            transactions,
            keys,
            late_commits,
            wide,
            foreign_keys,
            table_locks: false,
            two_phase,
            stale_catalogs,
        }
    })
}

/// Histories in which a blocker was let ahead that another stall, or reading on, would have freed.
#[test]
fn a_stall_breaks_the_order_of_no_other_statements() {
    let shape = |sessions, transactions, keys| Shape {
        sessions,
        transactions,
        keys,
        late_commits: true,
        wide: true,
        foreign_keys: false,
        table_locks: false,
        two_phase: false,
        stale_catalogs: false,
    };
    for (shape, window, seed) in [
        (shape(5, 5, 4), 14, 10_274_693_493_475_810_768),
        (shape(6, 2, 3), 1, 11_001_946_237_326_962_920),
        (shape(6, 3, 4), 12, 10_765_158_178_487_873_652),
        (shape(6, 3, 1), 1, 14_880_549_852_326_788_490),
    ] {
        replayed(&shape, &at_peace(window), seed).expect("the same state");
    }
}

/// So many histories at least; `PROPTEST_CASES` asks for more.
fn cases(at_least: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(at_least), ..asked }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn every_interleaving_ends_in_the_source_s_state(
        shape in shapes(),
        window in 1usize..40,
        seed in any::<u64>(),
    ) {
        replayed(&shape, &at_peace(window), seed)?;
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn prepared_transactions_are_finished_by_whoever_does_and_nobody_runs_past_them(
        shape in shapes(),
        window in 1usize..40,
        seed in any::<u64>(),
    ) {
        replayed(&Shape { two_phase: true, ..shape }, &at_peace(window), seed)?;
    }

    #[test]
    fn whoever_locks_a_table_waits_for_those_in_its_way_and_they_for_it(
        shape in shapes(),
        two_phase in any::<bool>(),
        window in 1usize..40,
        connections in 1usize..10,
        seed in any::<u64>(),
    ) {
        let shape = Shape { table_locks: true, foreign_keys: false, two_phase, ..shape };
        replayed(&shape, &Conditions { connections, ..at_peace(window) }, seed)?;
    }

    #[test]
    fn catalogs_that_are_read_or_stale_in_the_middle_of_transactions_change_no_state(
        shape in shapes(),
        window in 1usize..40,
        seed in any::<u64>(),
    ) {
        let shape = Shape { stale_catalogs: true, ..shape };
        replayed(&shape, &Conditions { catalog_pauses: true, ..at_peace(window) }, seed)?;
    }

    #[test]
    fn with_fewer_connections_than_sessions_nothing_stands_still_and_no_state_changes(
        shape in shapes(),
        window in 1usize..40,
        connections in 1usize..4,
        seed in any::<u64>(),
    ) {
        replayed(&shape, &Conditions { connections, ..at_peace(window) }, seed)?;
    }

    #[test]
    fn two_phase_commit_amid_catalog_pauses_and_few_connections_changes_no_state(
        shape in shapes(),
        window in 1usize..40,
        connections in 1usize..4,
        seed in any::<u64>(),
    ) {
        let shape = Shape { two_phase: true, stale_catalogs: true, ..shape };
        let conditions = Conditions { catalog_pauses: true, connections, ..at_peace(window) };
        replayed(&shape, &conditions, seed)?;
    }

    #[test]
    fn transactions_that_are_rolled_back_and_run_again_end_in_the_source_s_state(
        shape in shapes(),
        window in 1usize..40,
        seed in any::<u64>(),
    ) {
        let shape = Shape { wide: false, ..shape };
        replayed(&shape, &Conditions { victims: true, ..at_peace(window) }, seed)?;
    }
}
