use super::*;
use crate::replay::order::Start;
use crate::replay::order::wait_chain::{Link, Place, WaitState};
use crate::replay::work::Position;

const A: SessionId = SessionId { start: 1, pid: 1 };

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn watch() -> StallWatch {
    StallWatch::new(s(60), s(600), s(0))
}

#[test]
fn a_catalog_may_take_seconds_to_be_read_whatever_the_time_out() {
    let mut watch = StallWatch::new(Duration::from_millis(300), s(600), s(10));
    let mut stall = stall(1, Remedy::GoWithoutCatalog("app".to_owned()));
    stall.links[0].holder = Some(Holder::Catalog("app".to_owned()));
    let mut told_at = |seconds| {
        let probe = watch.due(s(seconds)).expect("a probe is due each second");
        watch.on_probe(probe, vec![stall.clone()], s(seconds)).is_some()
    };
    assert_eq!([11, 12, 13, 14].map(&mut told_at), [false, false, false, true]);
}

fn stall(seq: u64, remedy: Remedy) -> Stall {
    let at = Position { partition: 0, offset: 0, line: seq };
    let statement = Some(Place { seq: Seq(seq), at });
    let wait_state = WaitState::Request(1);
    let link = Link { session: A, statement, wait_state, holder: None };
    Stall { links: vec![link], remedy, may_be_read: false }
}

fn give_up(seq: u64) -> Stall {
    stall(seq, Remedy::GiveUpStatement(Start { session: A, seq: Seq(seq) }))
}

/// Looks where one is due, once a second, finds this, and gives when it was told and what was done.
fn tell(
    watch: &mut StallWatch,
    seconds: std::ops::Range<u64>,
    found: impl Fn(u64) -> Vec<Stall>,
) -> Vec<(u64, usize)> {
    let told = seconds.filter_map(|at| {
        let probe = watch.due(s(at))?;
        Some((at, watch.on_probe(probe, found(at), s(at))?.remedies.len()))
    });
    told.collect()
}

#[test]
fn a_stall_is_told_after_its_time_out_and_again_after_each() {
    assert_eq!(tell(&mut watch(), 0..200, |_| vec![give_up(1)]), [(60, 1), (120, 1), (180, 1)]);
    let told = tell(&mut watch(), 0..100, |_| vec![stall(1, Remedy::None)]);
    assert_eq!(told, [(60, 0)], "what is not kreplay's is only told");
}

#[test]
fn nothing_is_told_while_no_chain_is_found_or_things_end() {
    assert_eq!(tell(&mut watch(), 0..600, |_| Vec::new()), []);
    let mut watch = watch();
    let told = (0..600).filter_map(|at| {
        if at % 50 == 0 {
            assert!(!watch.progressed(s(at)));
        }
        let probe = watch.due(s(at))?;
        watch.on_probe(probe, vec![give_up(1)], s(at))
    });
    assert_eq!(told.count(), 0);
}

#[test]
fn who_has_just_come_to_the_head_is_not_given_up_though_nothing_has_ended_for_long() {
    let found = |at| if at < 590 { Vec::new() } else { vec![give_up(1)] };
    assert_eq!(tell(&mut watch(), 0..640, found), [(630, 1)]);
    let changing = |at: u64| vec![give_up(at)];
    assert_eq!(tell(&mut watch(), 0..640, changing), []);
}

#[test]
fn an_answer_that_comes_behind_an_end_is_not_heeded() {
    let mut watch = watch();
    let probe = watch.due(s(30)).expect("half of the time is over");
    watch.on_probe(probe, vec![give_up(1)], s(30));
    let probe = watch.due(s(60)).expect("all of it is");
    assert!(!watch.progressed(s(61)), "nothing was told");
    assert_eq!(watch.on_probe(probe, vec![give_up(1)], s(61)), None);
    assert_eq!(tell(&mut watch, 62..130, |_| vec![give_up(2)]), [(121, 1)]);
    assert!(watch.progressed(s(130)), "what was told is over");
}

#[test]
fn what_may_still_be_read_is_waited_for_longer() {
    let unread = |stall: Stall| Stall { may_be_read: true, ..stall };
    let told = tell(&mut watch(), 0..700, |_| vec![unread(give_up(1))]);
    let acted: Vec<_> = told.iter().filter(|(_, remedies)| *remedies > 0).collect();
    assert_eq!((told[0], acted[0]), ((60, 0), &(660, 1)), "{told:?}");
    let mut silent = stall(1, Remedy::CloseSession(A));
    silent.links[0].wait_state = WaitState::Silent;
    let told = tell(&mut watch(), 0..700, |_| vec![unread(silent.clone())]);
    assert_eq!(told[0], (630, 1), "until then it is the source's silence");
}

#[test]
fn of_several_chains_the_first_is_told_and_all_are_broken() {
    let mut watch = watch();
    for at in [30, 60] {
        let probe = watch.due(s(at)).expect("it is due");
        let told = watch.on_probe(probe, vec![give_up(1), give_up(2)], s(at));
        if at == 60 {
            let told = told.expect("it has been seen twice");
            assert_eq!((told.chains, told.remedies.len(), told.still_for), (2, 2, s(60)));
            assert_eq!(told.stall, give_up(1));
        }
    }
}
