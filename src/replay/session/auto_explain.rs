//! The plans that a session's statements really use: what has auto_explain tell them in band (`--explain`).
//!
//! A plan comes as a notice when the executor is through with its statement, which may be with the answer
//! to a later one. At the level INFO it comes whatever the session has set `client_min_messages` to, and
//! is not written to the target's log. The settings are made as the one who logs in, between transactions,
//! where a refusal undoes nothing. What the session sets of them itself is left to it.

use super::on_connection::{Role, Sent};
use super::steps::Pipeline;
use super::{Answered, Next, Session};
use crate::pglog::SqlState;
use crate::replay::session::request::Request;
use crate::replay::work::Work;
use crate::sql::DurationSettings;

/// The settings of auto_explain that are set, and to what. One statement in fifty is enough to see a plan
/// change, and leaves the others as they are: the answers that plans come with are not measured.
const SETTINGS: [(&str, &str); 8] = [
    ("auto_explain.log_format", "json"),
    ("auto_explain.log_level", "info"),
    ("auto_explain.log_min_duration", "0"),
    ("auto_explain.sample_rate", "0.02"),
    ("auto_explain.log_parameter_max_length", "0"),
    ("auto_explain.log_analyze", "off"),
    ("auto_explain.log_nested_statements", "off"),
    ("auto_explain.log_verbose", "off"),
];
/// So many of them are not so by default. The last of these, which keeps parameters out, came with 16.
const CHANGED: usize = 5;

/// What has auto_explain tell the plans of some statements. Only what is not so already is set: its owner
/// may have given a role all of it that may set nothing itself. Whoever is no superuser may load what
/// lies in `$libdir/plugins`.
pub fn set_up() -> String {
    let wanted: Vec<String> =
        SETTINGS.iter().map(|(name, value)| format!("('{name}', '{value}')")).collect();
    format!(
        "DO $kreplay$ BEGIN \
         IF NOT EXISTS (SELECT FROM pg_catalog.pg_settings WHERE name = 'auto_explain.sample_rate') THEN \
         IF pg_catalog.current_setting('is_superuser') = 'on' THEN LOAD 'auto_explain'; \
         ELSE LOAD '$libdir/plugins/auto_explain'; END IF; END IF; \
         PERFORM pg_catalog.set_config(s.name, wanted.setting, false) \
         FROM (VALUES {}) AS wanted(name, setting) \
         JOIN pg_catalog.pg_settings s ON s.name = wanted.name AND s.setting <> wanted.setting; \
         END $kreplay$",
        wanted.join(", ")
    )
}

/// What is known of auto_explain on a connection.
#[derive(Debug, Default)]
pub(super) struct AutoExplain {
    /// Whether it was asked for on this connection.
    asked: bool,
    /// Whether it is set as kreplay has it, as of what has been sent.
    is_set: bool,
    /// Whether the server has let it be.
    granted: bool,
    /// It was refused.
    given_up: bool,
}

impl AutoExplain {
    /// The session's own values may be in force again.
    pub(super) fn changed(&mut self) {
        self.is_set = false;
    }
}

impl Session {
    /// Sets it up on a new connection, as the one who logged in: before what the session has set.
    pub(super) fn auto_explain_step(&mut self) -> Option<Next> {
        let state = &mut self.connection.auto_explain;
        if state.asked || !self.settings.explain || !self.connection.connected {
            return None;
        }
        state.asked = true;
        state.given_up = self.login.may_not_explain();
        if state.given_up { None } else { Some(self.set_up_auto_explain()) }
    }

    /// Sets it up again, where something has undone that.
    pub(super) fn auto_explain_again_step(&mut self) -> Option<Next> {
        let AutoExplain { is_set, given_up, .. } = self.connection.auto_explain;
        let may_be = self.settings.explain
            && !is_set
            && !given_up
            && self.connection.pipeline == Pipeline::Closed
            && self.is_surely_idle()
            && self.acts_as_login();
        may_be.then(|| self.set_up_auto_explain())
    }

    fn set_up_auto_explain(&mut self) -> Next {
        self.connection.auto_explain.is_set = true;
        self.connection.sends(Role::AutoExplain, false);
        Next::Send(Request::Text(set_up().into()))
    }

    /// A statement goes out, or its first request.
    pub(super) fn note_auto_explain_of(&mut self, work: &Work) {
        if self.settings.explain && self.settings_use(work).changes == DurationSettings::ALL {
            self.connection.auto_explain.changed();
        }
    }

    /// The settings whose values are kreplay's and not the session's.
    pub(super) fn settings_of_auto_explain(&self) -> Vec<&'static str> {
        let names = SETTINGS.iter().map(|(name, _)| *name);
        let is_ours = |name: &&str| !self.context.has_set(name);
        names.filter(|_| self.connection.auto_explain.asked).filter(is_ours).collect()
    }

    /// The answer to what was set. A refusal is told once for each login.
    pub(super) fn auto_explain_answered(&mut self, error: Option<SqlState>) -> Answered {
        let state = &mut self.connection.auto_explain;
        let Some(code) = error else {
            state.granted = true;
            return Answered::default();
        };
        state.given_up = true;
        // Otherwise a function has made the session act as another role, say.
        let is_news = !state.granted && self.login.note_may_not_explain();
        Answered { explain_refused: is_news.then_some(code), ..Answered::default() }
    }
}

/// Whether what was sent changes nothing that is the session's.
pub(super) fn is_kreplays(sent: &Sent) -> bool {
    matches!(sent.role, Role::Durations(_) | Role::AutoExplain)
}

/// How a role comes to have its plans told.
pub fn remedy(role: &str, server_version: u32) -> String {
    let role = format!("\"{}\"", role.replace('"', "\"\""));
    let changed = &SETTINGS[..CHANGED - usize::from(server_version < 160_000)];
    let load = format!("ALTER ROLE {role} SET session_preload_libraries = 'auto_explain'");
    let rights = match server_version {
        150_000.. => {
            let names: Vec<&str> = changed.iter().map(|(name, _)| *name).collect();
            format!("GRANT SET ON PARAMETER {} TO {role}", names.join(", "))
        }
        _ => {
            let sets = changed
                .iter()
                .map(|(name, value)| format!("ALTER ROLE {role} SET {name} = {value}"));
            sets.collect::<Vec<_>>().join("; ")
        }
    };
    format!("on the target, as a superuser: {load}; {rights}")
}

#[cfg(test)]
mod tests;
