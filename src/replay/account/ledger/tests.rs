use super::*;
use proptest::prelude::*;

fn any_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Replayed),
        Just(Fate::Failed),
        proptest::sample::select(Filtered::ALL).prop_map(Fate::Filtered),
        proptest::sample::select(Skipped::ALL).prop_map(Fate::Skipped),
        proptest::sample::select(vec!["columns", "quoting"]).prop_map(Fate::Rejected),
        proptest::sample::select(GivenUp::ALL).prop_map(Fate::GivenUp),
    ]
}

/// Either so many records read, or one settled.
fn any_entry() -> impl Strategy<Value = Result<Fate, u64>> {
    prop_oneof![any_fate().prop_map(Ok), (0..4_u64).prop_map(Err)]
}

proptest! {
    #[test]
    fn consumed_is_the_sum_of_all_fates_and_pending_after_any_entries(
        entries in proptest::collection::vec(any_entry(), 0..200)
    ) {
        let mut ledger = Ledger::new();
        let (mut read, mut settled, mut too_many) = (0, 0, 0);
        for entry in entries {
            match entry {
                Err(records) => { ledger.consume(records); read += records; }
                Ok(fate) => {
                    let before = ledger.count(fate);
                    let pending = settled < read;
                    ledger.settle(fate);
                    if pending { settled += 1 } else { too_many += 1 }
                    prop_assert_eq!(ledger.count(fate), before + u64::from(pending));
                }
            }
            let sum: u64 = ledger.by_fate().iter().map(|(_, n)| n).sum();
            prop_assert_eq!(ledger.consumed(), read);
            prop_assert_eq!(sum, settled);
            prop_assert_eq!(ledger.pending(), read - settled);
            prop_assert_eq!(ledger.balances(), too_many == 0);
            for (fate, total) in &ledger.by_fate()[2..] {
                let reasons = ledger.by_reason().filter(|(of, _)| of.label() == *fate);
                prop_assert_eq!(reasons.map(|(_, n)| n).sum::<u64>(), *total);
            }
        }
    }
}

#[test]
fn a_record_settled_twice_is_told_and_not_hidden() {
    let mut ledger = Ledger::new();
    ledger.consume(1);
    ledger.settle(Fate::Replayed);
    assert!(ledger.balances());
    ledger.settle(Fate::Rejected("columns"));
    assert!(!ledger.balances());
    assert_eq!((ledger.double_settled(), ledger.pending(), ledger.settled()), (1, 0, 1));
    assert!(ledger.summary().contains("DOES NOT BALANCE: 1 records"));
}

#[test]
fn the_summary_is_aligned_and_names_the_reasons_that_occurred() {
    let mut ledger = Ledger::new();
    ledger.consume(120);
    ledger.settle_many(Fate::Replayed, 100);
    ledger.settle_many(Fate::Filtered(Filtered::Connection), 9);
    ledger.settle(Fate::GivenUp(GivenUp::ConnectFailed));
    assert_eq!(
        ledger.summary(),
        "\
consumed            120
  replayed          100
  failed              0
  filtered            9
    connection        9
  skipped             0
  rejected            0
  given up            1
    connect_failed    1
  pending            10
"
    );
}

#[test]
fn what_was_rejected_or_given_up_is_lost_and_what_failed_or_was_filtered_is_not() {
    let mut ledger = Ledger::new();
    ledger.consume(9);
    ledger.settle(Fate::Failed);
    ledger.settle(Fate::Filtered(Filtered::Duplicate));
    ledger.settle(Fate::Skipped(Skipped::CopyData));
    assert_eq!(ledger.losses(), None);
    ledger.settle_many(Fate::Rejected("torn"), 2);
    ledger.settle(Fate::Rejected("stray_quote"));
    ledger.settle(Fate::GivenUp(GivenUp::ConnectFailed));
    let losses = ledger.losses();
    let expected = "3 rejected (stray_quote 1, torn 2), 1 given up (connect_failed 1)";
    assert_eq!(losses.as_deref(), Some(expected));
}

#[test]
fn the_report_holds_every_reason_even_at_zero() {
    let mut ledger = Ledger::new();
    ledger.consume(3);
    ledger.settle(Fate::Skipped(Skipped::CopyData));
    ledger.settle(Fate::Rejected("columns"));
    let report = serde_json::to_value(&ledger).unwrap();
    assert_eq!(report["consumed"], 3);
    assert_eq!(report["replayed"], 0);
    assert_eq!(report["skipped"]["total"], 1);
    assert_eq!(report["skipped"]["reasons"]["copy_data"], 1);
    assert_eq!(report["skipped"]["reasons"]["truncated"], 0);
    assert_eq!(report["rejected"]["reasons"]["columns"], 1);
    assert_eq!(report["given_up"]["reasons"]["connect_failed"], 0);
    assert_eq!(report["pending"], 1);
    assert_eq!(report["balances"], true);
}

#[test]
fn labels_are_distinct_and_fit_for_a_metric() {
    let filtered = Filtered::ALL.iter().map(|reason| (1, reason.label()));
    let skipped = Skipped::ALL.iter().map(|reason| (2, reason.label()));
    let given_up = GivenUp::ALL.iter().map(|reason| (3, reason.label()));
    let labels: Vec<_> = filtered.chain(skipped).chain(given_up).collect();
    let distinct: std::collections::BTreeSet<_> = labels.iter().collect();
    assert_eq!(labels.len(), distinct.len());
    let fit = |label: &str| label.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    assert!(labels.iter().all(|(_, label)| fit(label)));
    assert_eq!(
        Filtered::Noise.meaning(),
        "The record is no statement: a checkpoint, a notice, the plan of a function's statement."
    );
}
