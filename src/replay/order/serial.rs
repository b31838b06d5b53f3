//! Serial order: every statement waits for all before it.

use std::collections::{BTreeMap, BTreeSet};

use super::Start;
use crate::pglog::SessionId;
use crate::replay::work::Seq;

/// Serial order: one turn, which goes from statement to statement.
///
/// A session that has finished a statement goes on with the next one without asking if that is its
/// own too: places have no holes, so the place after its own tells.
#[derive(Debug)]
pub struct SerialOrder {
    /// The first statement that has not finished.
    turn: Seq,
    /// Statements whose sessions ask to start them.
    asking: BTreeMap<Seq, SessionId>,
    /// Statements behind the turn that have finished: a stall made them run early.
    early: BTreeSet<Seq>,
}

impl Default for SerialOrder {
    fn default() -> Self {
        Self { turn: Seq(1), asking: BTreeMap::new(), early: BTreeSet::new() }
    }
}

impl SerialOrder {
    /// A session asks to start its statement.
    pub fn ask(&mut self, seq: Seq, session: SessionId) -> Option<Start> {
        if seq < self.turn {
            // It has had its turn: a statement that is run again after its connection was lost.
            return Some(Start { session, seq });
        }
        self.asking.insert(seq, session);
        self.start()
    }

    /// A statement has finished, or will never start.
    pub fn finish(&mut self, seq: Seq) -> Option<Start> {
        self.asking.remove(&seq);
        if seq > self.turn {
            self.early.insert(seq);
        } else if seq == self.turn {
            self.turn = self.turn.next();
            while self.early.remove(&self.turn) {
                self.turn = self.turn.next();
            }
        }
        self.start()
    }

    fn start(&mut self) -> Option<Start> {
        let session = self.asking.remove(&self.turn)?;
        Some(Start { session, seq: self.turn })
    }

    /// The first statement that has not finished.
    pub fn turn(&self) -> Seq {
        self.turn
    }

    /// Whether a statement waits for its turn.
    pub fn is_waited_for(&self) -> bool {
        !self.asking.is_empty()
    }

    /// The first statement that waits for its turn.
    pub fn first_waiting(&self) -> Option<Start> {
        self.asking.first_key_value().map(|(&seq, &session)| Start { session, seq })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn session(pid: u32) -> SessionId {
        SessionId { start: 1, pid }
    }

    #[test]
    fn statements_start_one_by_one_whoever_asks_first() {
        let mut order = SerialOrder::default();
        assert_eq!(order.ask(Seq(2), session(2)), None);
        assert_eq!(order.ask(Seq(1), session(1)), Some(Start { session: session(1), seq: Seq(1) }));
        assert_eq!(order.ask(Seq(3), session(1)), None);
        assert_eq!(order.finish(Seq(1)), Some(Start { session: session(2), seq: Seq(2) }));
        assert_eq!(order.finish(Seq(2)), Some(Start { session: session(1), seq: Seq(3) }));
    }

    #[test]
    fn a_statement_that_ran_early_is_passed_over() {
        let mut order = SerialOrder::default();
        order.ask(Seq(1), session(1));
        order.ask(Seq(3), session(3));
        assert_eq!(order.finish(Seq(2)), None, "it was told to run ahead of its turn");
        assert_eq!(order.finish(Seq(1)), Some(Start { session: session(3), seq: Seq(3) }));
    }

    #[test]
    fn a_statement_that_had_its_turn_may_run_again() {
        let mut order = SerialOrder::default();
        order.ask(Seq(1), session(1));
        order.finish(Seq(1));
        assert_eq!(order.ask(Seq(1), session(1)), Some(Start { session: session(1), seq: Seq(1) }));
    }

    proptest! {
        #[test]
        fn every_statement_starts_once_after_all_before_it(order_asked in Just((1..=30u64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut order = SerialOrder::default();
            let mut started = Vec::new();
            for seq in order_asked {
                let mut next = order.ask(Seq(seq), session(seq as u32));
                while let Some(start) = next {
                    started.push(start.seq.0);
                    next = order.finish(start.seq);
                }
            }
            prop_assert_eq!(started, (1..=30).collect::<Vec<_>>());
        }
    }
}
