use std::time::Duration;

use super::*;
use crate::pglog::SessionId;
use crate::replay::order::Start;
use crate::replay::order::wait_chain::{Holder, Place, Stall, WaitState};
use crate::replay::work::Seq;

#[test]
fn a_chain_is_told_in_one_line_with_places_and_holders() {
    let id = |pid| SessionId { start: 1, pid };
    let link = |pid: u32, wait_state, holder| {
        let at = Position { partition: 0, offset: 0, line: pid.into() };
        let statement = Some(Place { seq: Seq(pid.into()), at });
        Link { session: id(pid), statement, wait_state, holder: Some(holder) }
    };
    let gid = "lost".to_owned();
    let links = vec![
        link(3, WaitState::Turn(Seq(3)), Holder::Session(id(2))),
        link(2, WaitState::Request(9), Holder::Prepared { gid, finisher: None }),
    ];
    let remedy = Remedy::GiveUpStatement(Start { session: id(2), seq: Seq(2) });
    let stall = Stall { links, remedy: remedy.clone(), may_be_read: false };
    let still_for = Duration::from_secs(60);
    let told = ReportedStall { still_for, stall, chains: 1, remedies: vec![remedy] };
    let report = StallReport::new(&told, |at| format!("app.csv, line {}", at.line));
    assert_eq!(
        report.in_words(),
        "session 1.3 (app.csv, line 3) waits for its turn, held up by session 1.2; session 1.2 \
             (app.csv, line 2) waits for a lock, held up by the prepared transaction 'lost', which \
             nothing that was read finishes"
    );
    assert_eq!(report.given_up, ["the statement of session 1.2 is canceled and given up"]);
}
