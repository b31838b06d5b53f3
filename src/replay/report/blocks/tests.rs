use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_run_has_sixty_four_blocks_at_the_most_and_no_call_is_lost() {
    let (mut timeline, mut often, mut seldom) =
        (Timeline::default(), Blocks::default(), Blocks::default());
    let calls = 20_000;
    for call in 0..calls {
        let block = timeline.block(ms(5000 + call * 37));
        assert!(block < MOST);
        often.add(&timeline, block, 1.0);
        if call % 1000 == 0 {
            seldom.add(&timeline, block, 2.0);
        }
    }
    let often = often.aligned(&timeline);
    assert!(often.len() > MOST as usize / 2 && often.len() <= MOST as usize, "{}", often.len());
    assert!(often.is_sorted_by_key(|block| block.number));
    assert_eq!(often.iter().map(|block| block.ratios.len()).sum::<u64>(), calls);
    let seldom = seldom.aligned(&timeline);
    assert_eq!(seldom.iter().map(|block| block.calls).sum::<u64>(), calls / 1000);
    let at = |blocks: &[Block]| blocks.iter().map(|block| block.number).collect::<Vec<_>>();
    assert!(at(&seldom).iter().all(|block| at(&often).contains(block)));
}

#[test]
fn a_call_that_is_told_late_is_counted_where_it_began() {
    let (mut timeline, mut blocks) = (Timeline::default(), Blocks::default());
    for began in [0, 2000, 500, 1000, 520, 0] {
        let block = timeline.block(ms(began));
        blocks.add(&timeline, block, 1.0);
    }
    let blocks: Vec<_> =
        blocks.aligned(&timeline).iter().map(|it| (it.number, it.ratios.len())).collect();
    assert_eq!(blocks, [(0, 2), (2, 2), (4, 1), (8, 1)]);
}

#[test]
fn the_block_after_a_moment_is_the_first_that_begins_no_earlier() {
    let mut timeline = Timeline::default();
    timeline.block(ms(6000));
    timeline.block(ms(6000 + 40_000));
    // Of 1 s each.
    assert_eq!(timeline.first_block_after(ms(1000)), 0);
    assert_eq!(timeline.first_block_after(ms(6000)), 0);
    assert_eq!(timeline.first_block_after(ms(6001)), 1);
    assert_eq!(timeline.first_block_after(ms(9000)), 3);
    assert_eq!(Timeline::default().first_block_after(ms(0)), 0);
}
