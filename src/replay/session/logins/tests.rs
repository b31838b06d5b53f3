use super::*;

/// Sessions by pid, each with its first unfinished statement and whether it is in a transaction.
type Sessions<'a> = &'a [(u32, Option<u64>, bool)];

fn id(pid: u32) -> SessionId {
    SessionId { start: 1, pid }
}

fn due(log_ins: &mut LogIns, sessions: Sessions<'_>, retry: bool) -> Vec<(u32, bool)> {
    let blocker = |session: SessionId| {
        let known = sessions.iter().find(|(pid, ..)| *pid == session.pid);
        known.map_or_else(Blocker::default, |&(_, first, in_transaction)| Blocker {
            first_unfinished: first.map(Seq),
            in_transaction,
        })
    };
    let earlier = |own: SessionId, place| {
        let others = sessions.iter().map(|(pid, ..)| id(*pid)).filter(|other| *other != own);
        others.into_iter().find(|other| blocker(*other).is_before(place))
    };
    let due = log_ins.due(blocker, earlier, retry);
    due.into_iter().map(|due| (due.session.pid, due.is_final)).collect()
}

fn before(place: u64) -> LogIn {
    LogIn { before: Seq(place), first: Some(Seq(place)) }
}

#[test]
fn a_log_in_waits_for_the_changes_before_it_and_for_nothing_else() {
    let mut log_ins = LogIns::default();
    log_ins.note_change(Seq(5), id(1));
    log_ins.ask(id(2), before(4), false);
    log_ins.ask(id(3), before(6), false);
    assert_eq!(due(&mut log_ins, &[(1, Some(5), false), (4, Some(1), false)], false), [(2, false)]);
    assert_eq!(due(&mut log_ins, &[(1, None, false), (4, Some(1), false)], false), [(3, false)]);
    assert!(!log_ins.has_changes() && !log_ins.has_waiting());
}

#[test]
fn a_change_counts_from_the_end_of_its_transaction_if_that_comes_before_the_log_in() {
    let mut log_ins = LogIns::default();
    log_ins.note_change(Seq(5), id(1));
    log_ins.ask(id(2), before(8), false);
    log_ins.ask(id(3), before(10), false);
    let commit_waits = [(1, Some(9), true)];
    assert_eq!(due(&mut log_ins, &commit_waits, false), [(2, false)], "its COMMIT comes later");
    assert_eq!(due(&mut log_ins, &[(1, None, false)], false), [(3, false)]);
}

#[test]
fn a_session_does_not_wait_for_its_own_change() {
    let mut log_ins = LogIns::default();
    log_ins.note_change(Seq(5), id(1));
    log_ins.ask(id(1), before(5), false);
    assert_eq!(due(&mut log_ins, &[(1, Some(5), false)], false), [(1, false)]);
}

#[test]
fn a_refusal_is_final_only_when_nothing_earlier_is_unfinished() {
    let mut log_ins = LogIns::default();
    log_ins.ask(id(2), before(6), true);
    let others = [(1, Some(3), false), (3, Some(4), false), (4, Some(9), false)];
    assert_eq!(due(&mut log_ins, &others, false), []);
    assert_eq!(due(&mut log_ins, &[(3, Some(4), false), (4, Some(9), false)], false), []);
    assert_eq!(due(&mut log_ins, &[(4, Some(9), false)], false), [(2, true)]);
}

#[test]
fn who_was_refused_tries_again_now_and_then() {
    let mut log_ins = LogIns::default();
    log_ins.ask(id(2), before(6), true);
    assert_eq!(due(&mut log_ins, &[(1, Some(3), false)], true), [(2, false)]);
    assert!(!log_ins.has_waiting());
}

#[test]
fn nothing_is_kept_of_a_session_that_is_gone() {
    let mut log_ins = LogIns::default();
    log_ins.ask(id(1), before(6), true);
    log_ins.ask_change(id(1), change());
    log_ins.note_change(Seq(5), id(1));
    log_ins.forget(id(1));
    assert!(!log_ins.has_waiting());
    log_ins.ask(id(2), before(7), false);
    assert_eq!(due(&mut log_ins, &[], false), [(2, false)]);
    assert!(!log_ins.has_changes());
}

fn change() -> Change {
    Change { seq: Seq(5), logins: AlteredLogins::default(), behind_statements: false }
}

fn due_changes(log_ins: &mut LogIns, blocking: &[u32], is_look: bool) -> Vec<(u32, bool)> {
    let blocks = |session: SessionId, _: &Change| blocking.contains(&session.pid);
    let find = |own, change: &Change| {
        let mut others = blocking.iter().map(|pid| id(*pid)).filter(|other| *other != own);
        others.find(|other| blocks(*other, change))
    };
    let due = log_ins.due_changes(blocks, find, is_look);
    due.into_iter().map(|due| (due.session.pid, due.in_vain)).collect()
}

#[test]
fn a_change_waits_for_each_session_that_holds_it_up_and_not_for_its_own() {
    let mut log_ins = LogIns::default();
    log_ins.ask_change(id(1), change());
    assert!(log_ins.has_waiting());
    for blocking in [&[1, 2, 3][..], &[1, 3], &[3]] {
        assert_eq!(due_changes(&mut log_ins, blocking, false), []);
    }
    assert_eq!(due_changes(&mut log_ins, &[1], false), [(1, false)]);
    assert!(!log_ins.has_waiting());
}

#[test]
fn a_change_does_not_wait_for_ever() {
    let mut log_ins = LogIns::default();
    log_ins.ask_change(id(1), change());
    for _ in 1..PATIENCE {
        assert_eq!(due_changes(&mut log_ins, &[2], true), []);
        assert_eq!(due_changes(&mut log_ins, &[2], false), []);
    }
    assert_eq!(due_changes(&mut log_ins, &[2], true), [(1, true)]);
    assert!(!log_ins.has_waiting());
}
