//! Who holds up whom when nothing ends any more.

use actix::prelude::*;
use tracing::warn;

use super::Sequencer;
use super::observer::locks_held;
use crate::actors::messages::{GiveUpHeads, StallProbed, WaitStates};
use crate::replay::order::holders::note_holders;
use crate::replay::order::wait_chain::{Remedy, WaitState, stalls};

impl Handler<WaitStates> for Sequencer {
    type Result = ();

    fn handle(&mut self, WaitStates { probe, mut sessions }: WaitStates, ctx: &mut Self::Context) {
        if self.dispatcher.stays_away(self.began.elapsed(), &self.connections) {
            return;
        }
        let in_request = sessions.iter().filter_map(|it| match it.wait_state {
            WaitState::Request(backend) => Some(backend),
            _ => None,
        });
        let asked: Vec<i32> = in_request.collect();
        let (target, login) = (self.settings.target.clone(), self.settings.observer.clone());
        let backends = self.backends.clone();
        let asking = async move {
            let is_ours = |backend: i32| backends.session(backend).is_some();
            locks_held(&target, login, &asked, is_ours).await
        };
        ctx.spawn(asking.into_actor(self).map(move |locks, actor, _| match locks {
            Ok(locks) => {
                let served_by = |backend| actor.backends.session(backend);
                note_holders(&mut sessions, actor.dispatcher.order(), &locks, served_by);
                let stalls = stalls(&sessions, probe.no_more);
                probe.answer.do_send(StallProbed { probe: probe.probe, stalls });
            }
            Err(error) => {
                warn!("nothing has ended for long, and the target can't be asked why: {error}");
            }
        }));
    }
}

impl Handler<GiveUpHeads> for Sequencer {
    type Result = ();

    fn handle(&mut self, GiveUpHeads(remedies): GiveUpHeads, ctx: &mut Self::Context) {
        let databases = remedies.iter().filter_map(|remedy| match remedy {
            Remedy::GoWithoutCatalog(database) => Some(database.as_str()),
            _ => None,
        });
        self.decide(ctx, |dispatcher, round| dispatcher.go_without_catalogs(databases, round));
    }
}
