//! Under what a session's statements run, for whoever asks the target how it plans them.

use std::sync::Arc;

use super::context::Restore;
use super::{Findings, Session};
use crate::replay::settings::Login;

/// Who a session is, and what it has set.
#[derive(Debug)]
pub struct CallContext {
    /// Who it logs in as.
    pub login: Arc<Login>,
    /// Its settings, to be made in this order.
    pub settings: Vec<Restore>,
    /// What is known of the types of parameters.
    pub findings: Arc<Findings>,
}

impl Session {
    /// Who it is, and what it has set by now.
    pub fn call_context(&mut self, login: &Arc<Login>) -> Arc<CallContext> {
        let changes = self.context.changes();
        if let Some((as_of, context)) = &self.call_context
            && *as_of == changes
        {
            return context.clone();
        }
        let context = Arc::new(CallContext {
            login: login.clone(),
            settings: self.context.settings(),
            findings: self.findings.clone(),
        });
        self.call_context = Some((changes, context.clone()));
        context
    }
}
