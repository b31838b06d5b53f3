use proptest::prelude::*;

use super::*;

fn watermark(checkpoint: &mut Checkpoint) -> Watermark {
    checkpoint.watermarks().pop().expect("a new watermark")
}

#[test]
fn the_watermark_stands_at_the_first_pending_record() {
    let mut checkpoint = Checkpoint::default();
    checkpoint.resume(0, 100, "");
    checkpoint.begin(0, 100);
    checkpoint.pass(0, 101);
    checkpoint.begin(0, 102);
    assert_eq!(watermark(&mut checkpoint).offset, 100);
    checkpoint.settle(0, 102);
    assert_eq!(watermark(&mut checkpoint).offset, 100);
    checkpoint.settle(0, 100);
    let last = watermark(&mut checkpoint);
    assert_eq!((last.offset, last.metadata.as_str()), (103, ""));
    assert!(checkpoint.watermarks().is_empty(), "nothing changed");
}

#[test]
fn a_restart_repeats_only_what_was_pending() {
    let mut before = Checkpoint::default();
    before.resume(3, 10, "");
    for offset in 10..20 {
        before.begin(3, offset);
    }
    for offset in [11, 12, 15, 18, 19] {
        before.settle(3, offset);
    }
    let committed = watermark(&mut before);
    assert_eq!(committed.offset, 10);

    let mut after = Checkpoint::default();
    after.resume(3, committed.offset, &committed.metadata);
    let settled: Vec<i64> = (10..25).filter(|&o| after.is_settled(3, o)).collect();
    assert_eq!(settled, [11, 12, 15, 18, 19]);
}

#[test]
fn a_second_restart_before_everything_was_read_again_remembers_the_first() {
    let mut first = Checkpoint::default();
    first.resume(0, 0, "");
    (0..10).for_each(|offset| first.begin(0, offset));
    [1, 2, 3, 8].into_iter().for_each(|offset| first.settle(0, offset));
    let committed = watermark(&mut first);

    let mut second = Checkpoint::default();
    second.resume(0, committed.offset, &committed.metadata);
    second.begin(0, 0);
    second.pass(0, 1);
    second.settle(0, 0);
    let committed = watermark(&mut second);
    assert_eq!(committed.offset, 4, "2 and 3 were settled by the first run");

    let mut third = Checkpoint::default();
    third.resume(0, committed.offset, &committed.metadata);
    let settled: Vec<i64> = (4..12).filter(|&o| third.is_settled(0, o)).collect();
    assert_eq!(settled, [8]);
}

#[test]
fn what_an_earlier_run_settled_is_not_pending_while_it_is_read_again() {
    let mut first = Checkpoint::default();
    first.resume(0, 0, "");
    (0..5).for_each(|offset| first.begin(0, offset));
    first.settle_together([(0, 1), (0, 2), (0, 3)]);
    let committed = watermark(&mut first);

    let mut second = Checkpoint::default();
    second.resume(0, committed.offset, &committed.metadata);
    (0..4).for_each(|offset| second.begin(0, offset));
    let committed = watermark(&mut second);

    let mut third = Checkpoint::default();
    third.resume(0, committed.offset, &committed.metadata);
    assert!((1..4).all(|offset| third.is_settled(0, offset)));
}

#[test]
fn a_partition_that_is_given_away_and_given_back_begins_where_its_owner_between_came_to() {
    let mut checkpoint = Checkpoint::default();
    checkpoint.resume(0, 0, "");
    (0..3).for_each(|offset| checkpoint.begin(0, offset));
    checkpoint.revoke(0);
    assert!(checkpoint.watermarks().is_empty(), "it is somebody else's");
    checkpoint.resume(0, 5, "");
    checkpoint.pass(0, 5);
    assert_eq!(watermark(&mut checkpoint).offset, 6);
}

#[test]
fn what_could_not_be_committed_is_handed_out_again() {
    let mut checkpoint = Checkpoint::default();
    checkpoint.resume(0, 0, "");
    checkpoint.pass(0, 0);
    let committed = watermark(&mut checkpoint);
    assert!(checkpoint.watermarks().is_empty());
    checkpoint.hand_out_again();
    assert_eq!(watermark(&mut checkpoint), committed);
}

#[test]
fn metadata_never_outgrows_what_kafka_keeps_and_stays_true() {
    let mut checkpoint = Checkpoint::default();
    checkpoint.resume(0, 0, "");
    (0..100_000).for_each(|offset| checkpoint.begin(0, offset));
    // Without a pattern: nothing is as long.
    let settled = |offset: &i64| offset.wrapping_mul(2_654_435_761) >> 9 & 1 == 1;
    (0..100_000).filter(settled).for_each(|offset| checkpoint.settle(0, offset));
    let committed = watermark(&mut checkpoint);
    assert!(committed.metadata.len() < 4096, "{}", committed.metadata.len());
    let mut after = Checkpoint::default();
    after.resume(0, committed.offset, &committed.metadata);
    assert!((0..100_000).all(|offset| settled(&offset) || !after.is_settled(0, offset)));
    let known = (0..100_000).filter(|&offset| after.is_settled(0, offset)).count();
    assert!((8_000..40_000).contains(&known), "{known} of 50,000");
}

#[test]
fn metadata_of_others_counts_as_none() {
    for foreign in [
        "",
        "x",
        "kreplay2 5 B",
        "kreplay1",
        "kreplay1 x",
        "kreplay1 5",
        "kreplay1 5 A",
        "kreplay1 5 -",
        "kreplay1 5 B B",
        "kreplay1 5 B(9223372036854775807)A",
        "kreplay1 5 (1000000000000)/",
        "kreplay1 5 (",
        "kreplay1 5 (0)B",
        "kreplay1 9223372036854775807 B",
    ] {
        assert_eq!(decode(7, foreign), None, "{foreign:?}");
    }
}

proptest! {
    #[test]
    fn nothing_pending_is_ever_taken_for_settled(
        records in prop::collection::vec((any::<bool>(), any::<bool>()), 0..200),
    ) {
        let mut checkpoint = Checkpoint::default();
        checkpoint.resume(0, 5, "");
        let mut pending = Vec::new();
        for (offset, (replayed, settled)) in (5..).zip(&records) {
            if *replayed {
                checkpoint.begin(0, offset);
                if *settled { checkpoint.settle(0, offset) } else { pending.push(offset) }
            } else {
                checkpoint.pass(0, offset);
            }
        }
        let end = 5 + records.len() as i64;
        let committed = watermark(&mut checkpoint);
        let mut after = Checkpoint::default();
        after.resume(0, committed.offset, &committed.metadata);
        let repeated: Vec<i64> =
            (committed.offset..end).filter(|&o| !after.is_settled(0, o)).collect();
        prop_assert_eq!(repeated, pending);
        prop_assert!((end..end + 10).all(|o| !after.is_settled(0, o)));
    }

    /// Sessions' transactions are interleaved; now and then one ends, now and then offsets are
    /// committed, now and then everything is killed and read again from there.
    #[test]
    fn a_restart_repeats_a_transaction_from_its_beginning_or_not_at_all(
        sessions in prop::collection::vec(0..6usize, 1..150),
        lengths in prop::collection::vec(1..5usize, 6),
        steps in prop::collection::vec((0..4u8, any::<prop::sample::Index>()), 1..120),
        room in 20..80usize,
    ) {
        // Which transaction each record belongs to.
        let mut open = [(0, 0); 6];
        let mut transactions: Vec<Vec<i64>> = Vec::new();
        for (offset, &session) in (0..).zip(&sessions) {
            let (transaction, left) = &mut open[session];
            if *left == 0 {
                (*transaction, *left) = (transactions.len(), lengths[session]);
                transactions.push(Vec::new());
            }
            transactions[*transaction].push(offset);
            *left -= 1;
        }
        let all = sessions.len() as i64;
        let begun = |offset| Checkpoint {
            room,
            partitions: BTreeMap::from([(0, Partition { next: offset, ..Partition::default() })]),
        };
        let mut checkpoint = begun(0);
        let (mut read, mut committed) = (0, (0, String::new()));
        // Transactions whose effects are there.
        let mut done = BTreeSet::new();
        for (what, which) in steps {
            match what {
                0 | 1 if read < all => {
                    for _ in 0..=which.index(8) {
                        if read < all {
                            checkpoint.begin(0, read);
                            read += 1;
                        }
                    }
                }
                2 => {
                    let runs = |t: &&Vec<i64>| {
                        t.iter().all(|&o| o < read)
                            && t.iter().all(|o| checkpoint.partitions[&0].pending.contains(o))
                    };
                    let whole: Vec<&Vec<i64>> = transactions.iter().filter(runs).collect();
                    if !whole.is_empty() {
                        let ended = whole[which.index(whole.len())];
                        done.insert(ended[0]);
                        checkpoint.settle_together(ended.iter().map(|&offset| (0, offset)));
                    }
                }
                _ => {
                    if let Some(news) = checkpoint.watermarks().pop() {
                        prop_assert!(news.metadata.len() <= room);
                        committed = (news.offset, news.metadata);
                    }
                    if which.index(3) == 0 {
                        checkpoint = begun(committed.0);
                        checkpoint.resume(0, committed.0, &committed.1);
                        read = committed.0;
                        for transaction in &transactions {
                            let repeated = |&&offset: &&i64| {
                                offset >= committed.0 && !checkpoint.is_settled(0, offset)
                            };
                            let repeats = transaction.iter().filter(repeated).count();
                            prop_assert!(
                                repeats == transaction.len()
                                    || repeats == 0 && done.contains(&transaction[0]),
                                "{repeats} of {transaction:?} with {committed:?}"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn metadata_that_stands_for_more_than_was_ever_written_counts_as_none() {
    let most = MOST_LISTED as i64 / 6;
    for (bits, is_read) in [
        (format!("({most})/"), true),
        (format!("({})/", most + 1), false),
        (format!("({most})/").repeat(400), false),
        (format!("/({})B", i64::MAX / 8), false),
        (format!("B({})A/", i64::MAX), false),
    ] {
        let mut checkpoint = Checkpoint::default();
        checkpoint.resume(0, 0, &format!("kreplay1 {} {bits}", i64::MAX));
        assert_eq!(checkpoint.is_settled(0, i64::MAX - 1), is_read, "{}", bits.len());
    }
}
