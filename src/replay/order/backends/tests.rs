use super::*;

#[test]
fn a_signal_is_aimed_at_the_replayed_session_or_not_sent() {
    let backends = Backends::default();
    let session = SessionId { start: 1, pid: 12415 };
    backends.connected(session, 77);
    assert_eq!(
        backends
            .rewrite_backend_pids("select pg_cancel_backend(12415), pg_terminate_backend( 12415 )")
            .as_deref(),
        Some("select pg_cancel_backend(77), pg_terminate_backend( 77 )")
    );
    assert_eq!(backends.rewrite_backend_pids("select pg_cancel_backend(1)"), None);
    assert_eq!(
        backends.rewrite_backend_pids("select pg_cancel_backend(pid) from pg_stat_activity"),
        None
    );
    let own = "select pg_terminate_backend(pg_backend_pid())";
    assert_eq!(backends.rewrite_backend_pids(own).as_deref(), Some(own));
    backends.disconnected(session, 77);
    assert_eq!(backends.rewrite_backend_pids("select pg_cancel_backend(12415)"), None);
}

#[test]
fn nothing_is_kept_of_sessions_that_are_disconnected_whichever_had_a_process_id_last() {
    let backends = Backends::default();
    let sessions = [1, 2].map(|start| SessionId { start, pid: 12415 });
    backends.connected(sessions[0], 77);
    backends.connected(sessions[1], 78);
    assert_eq!(backends.sessions(), sessions.into_iter().collect());
    backends.disconnected(sessions[0], 77);
    assert_eq!(backends.sessions(), [sessions[1]].into_iter().collect());
    backends.disconnected(sessions[1], 78);
    let maps = backends.maps.lock();
    assert!(maps.target.is_empty() && maps.session.is_empty());
}
