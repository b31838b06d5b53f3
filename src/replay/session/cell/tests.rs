use super::*;
use crate::pglog::statement::Protocol;
use crate::replay::session::{Next, SessionSettings};
use crate::replay::work::End;

fn cell() -> SessionCell {
    let settings = SessionSettings {
        depth: 1,
        takes_turns: true,
        replay_cancels: false,
        read_only: false,
        server_durations: false,
        explain: false,
    };
    SessionCell::new(Session::new(settings, Arc::default()))
}

fn work(seq: u64) -> Arc<Work> {
    crate::replay::session::tests::work(seq, "select 1", Protocol::Simple, End::default())
}

#[test]
fn what_the_supervisor_delivers_its_actor_moves_on_and_the_sequencer_sees() {
    let cell = cell();
    cell.inbox().push(work(3));
    assert_eq!(cell.view().head().map(|work| work.seq), Some(Seq(3)));
    {
        let mut driver = cell.driver();
        driver.connected();
        assert_eq!(driver.next_step(), Next::Ask(Seq(3)));
        driver.grant(Seq(3));
        assert!(matches!(driver.next_step(), Next::Send(_)));
    }
    assert_eq!(cell.view().running().map(|work| work.seq), Some(Seq(3)));
    assert!(cell.view().connection_state().running && cell.inbox().is_running());
}

#[test]
fn a_new_actor_finds_what_the_one_before_it_had_under_way() {
    let cell = cell();
    cell.inbox().push(work(1));
    let before = cell.clone();
    before.driver().connected();
    before.driver().grant(Seq(1));
    assert!(matches!(before.driver().next_step(), Next::Send(_)));
    drop(before);
    assert_eq!(cell.driver().lost().in_doubt, 1);
    assert_eq!(cell.inbox().drop_queue().len(), 1, "it is in the queue again");
}
