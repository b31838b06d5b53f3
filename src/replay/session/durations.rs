//! The server's own durations: what has to be set on a connection so that the server tells them, and
//! what a session is not to see of it.
//!
//! A server tells its client durations with `log_duration` on and `client_min_messages` at `log`. A
//! session has its own values for these, and may set and read them. So what it has set is left to it,
//! and set over behind it; before a statement that reads one, the session's values are put back. What
//! is set is as of what has been sent: a `SET` goes out with what goes out anyway, and takes no round
//! trip. A rollback undoes both alike, since ours are in force between any two statements.
//!
//! Nothing here may fail in a transaction that is open. There only `client_min_messages` is set, which is
//! anybody's to set: a function may have made the session act as a role that may not set the others, and
//! no text tells. These are set between transactions, where a refusal undoes nothing. The one exception
//! is a `FROM CURRENT` that would store ours: it takes the same right, and fails where that fails.

use super::auto_explain::is_kreplays;
use super::on_connection::{Role, Sent};
use super::steps::Pipeline;
use super::{Answer, Next, Session};
use crate::pglog::SqlState;
use crate::pglog::statement::Statement;
use crate::replay::session::request::{Request, TransactionStatus as Status};
use crate::replay::work::Work;
use crate::sql::{
    Command, DURATION_SETTINGS, DurationSettings, ROLE, SESSION_AUTHORIZATION, SettingChange,
    SettingsUse, duration_settings_use, setting_changes,
};

mod sampling;

pub use sampling::FigureBudget;
use sampling::Sampling;

/// Has the server measure durations, and keep them out of its log: as log lines of every statement they
/// would be a load that the source does not have. Where its owner has statements logged anyway, that
/// is left alone. Both or none: the log is not to be filled by whoever may set the first alone.
pub const MEASURE: &str = "RESET log_duration; \
    SELECT pg_catalog.set_config('log_min_messages', 'fatal', false) \
    WHERE pg_catalog.current_setting('log_duration') = 'off' \
    AND pg_catalog.current_setting('log_min_duration_statement') <> '0' \
    AND pg_catalog.current_setting('log_statement') <> 'all'; \
    SET log_duration TO on";

const TELL: &str = "SET client_min_messages TO log";
const MUTE: &str = "SET client_min_messages TO notice";

/// After a figure was missing, so many statements go by before another is taken to be missing. After a
/// refusal, so many before it is tried again, then twice as many, up to so many times.
const REPAIRED_FOR: u16 = 16;
const DOUBLINGS: u8 = 8;

/// What a request is that sets what the server tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DurationStep {
    /// The session's own value of `client_min_messages`.
    PutBack { within: bool },
    /// The session's own values of the others. Apart, since that may be refused.
    PutBackOthers { within: bool },
    /// Durations are measured.
    Measure,
    /// They are told.
    Tell,
    /// They are not told: what is told costs the server more than a short statement takes.
    Mute,
}

/// Whose value a setting has, as of what has been sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Value {
    #[default]
    Sessions,
    /// The session's in a transaction, whose rollback makes them ours again.
    SessionsWithin,
    /// The session has changed some of them, perhaps.
    Either,
    Ours,
}

/// Whether the server tells its client durations, as of what has been sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Telling {
    /// As the session has it.
    #[default]
    AsSession,
    /// As the session has it in a transaction, whose rollback undoes that.
    AsSessionWithin,
    /// The session has changed that, perhaps.
    Either,
    Tells,
    Muted,
}

/// What is known of a connection's durations.
#[derive(Debug, Default)]
pub(super) struct Durations {
    telling: Telling,
    /// Of the settings that not anybody may set.
    measuring: Value,
    /// Whether that was asked for on this connection.
    asked: bool,
    /// Whether the one who logged in may set these, as the first answer says; `None` before that.
    granted: Option<bool>,
    refusals: Refusals,
    /// Whether the settings were refused to be put back for the statement that is next.
    kept: bool,
    /// Whether what the server tells from here on is the whole of it, as of the last answer.
    counts: bool,
    /// Whether that has ever been so.
    has_counted: bool,
    /// Nothing makes the server tell them.
    given_up: bool,
    /// How many statements are still to go by until a missing figure means something.
    repaired: u16,
    sampling: Sampling,
}

/// That a role which once could measure could not: a function has changed the session's role, or that
/// has lost its right. It would be tried for each statement, and the target's log would tell each time.
#[derive(Debug, Default)]
struct Refusals {
    met: u8,
    /// How many statements are still to go by until it is tried again.
    left: u16,
}

impl Refusals {
    fn meet(&mut self) {
        self.left = REPAIRED_FOR << self.met;
        self.met = (self.met + 1).min(DOUBLINGS);
    }

    fn pass_statement(&mut self) {
        self.left = self.left.saturating_sub(1);
    }
}

impl Durations {
    /// What is to be sent before a statement. `idle`: no transaction is open for sure. `as_login`: the
    /// session acts as the one who logged in, as far as is known.
    fn next(
        &self,
        uses: SettingsUse,
        idle: bool,
        as_login: impl Fn() -> bool,
    ) -> Option<DurationStep> {
        let may_set =
            || idle && self.granted != Some(false) && self.refusals.left == 0 && as_login();
        let within = !idle;
        if uses.reads.any() {
            if uses.reads.telling && self.telling.is_ours() {
                return Some(DurationStep::PutBack { within });
            }
            let may = || may_set() || (uses.stores && !self.kept);
            return (uses.reads.measuring && self.measuring.is_ours() && may())
                .then_some(DurationStep::PutBackOthers { within });
        }
        if self.given_up {
            // In a transaction, a rollback would undo it.
            return match (idle && self.telling != Telling::AsSession, self.measuring) {
                (true, _) => Some(DurationStep::PutBack { within }),
                (false, Value::Sessions) => None,
                (false, _) => may_set().then_some(DurationStep::PutBackOthers { within }),
            };
        }
        if self.measuring != Value::Ours && may_set() {
            return Some(DurationStep::Measure);
        }
        match (self.telling, self.sampling.measures()) {
            (Telling::Tells, true) | (Telling::AsSession | Telling::Muted, false) => None,
            (_, true) => Some(DurationStep::Tell),
            (Telling::Tells | Telling::Either | Telling::AsSessionWithin, false) => {
                Some(DurationStep::Mute)
            }
        }
    }

    /// The settings whose values are not the session's, between two transactions.
    pub(super) fn kreplays(&self) -> &'static [&'static str] {
        let all: &'static [&'static str] = &DURATION_SETTINGS;
        match (self.telling.is_ours(), self.measuring.is_ours()) {
            (true, true) => all,
            (true, false) => &all[..1],
            (false, true) => &all[1..],
            (false, false) => &[],
        }
    }

    fn sends(&mut self, step: DurationStep) {
        match step {
            DurationStep::PutBack { within: false } => self.telling = Telling::AsSession,
            DurationStep::PutBack { within: true } => self.telling = Telling::AsSessionWithin,
            DurationStep::PutBackOthers { within: false } => self.measuring = Value::Sessions,
            DurationStep::PutBackOthers { within: true } => {
                self.measuring = Value::SessionsWithin;
            }
            DurationStep::Measure => {
                self.measuring = Value::Ours;
                if self.telling == Telling::Tells {
                    // That it tells all is known by the answer to that.
                    self.telling = Telling::Either;
                }
            }
            DurationStep::Tell => self.telling = Telling::Tells,
            DurationStep::Mute => self.telling = Telling::Muted,
        }
    }

    /// The session's values of these may be in force again.
    pub(super) fn changed(&mut self, which: DurationSettings) {
        if which.telling && self.telling != Telling::AsSession {
            self.telling = Telling::Either;
        }
        if which.measuring && self.measuring != Value::Sessions {
            self.measuring = Value::Either;
        }
    }

    /// What was set in a transaction may be undone.
    fn leaves_transaction(&mut self) {
        if self.telling == Telling::AsSessionWithin {
            self.telling = Telling::Either;
        }
        if self.measuring == Value::SessionsWithin {
            self.measuring = Value::Either;
        }
    }
}

impl Session {
    /// Has the server measure durations on a new connection, as the one who logged in: the first there is.
    pub(super) fn measure_step(&mut self) -> Option<Next> {
        let durations = &mut self.connection.durations;
        if durations.asked || !self.settings.server_durations || !self.connection.connected {
            return None;
        }
        durations.asked = true;
        durations.given_up = self.login.tells_nothing();
        if durations.given_up || self.login.may_not_measure() {
            durations.granted = Some(false);
            return None;
        }
        Some(self.send_durations(DurationStep::Measure))
    }

    /// What has to be set before this statement.
    pub(super) fn durations_step(&mut self, work: &Work) -> Option<Next> {
        if !self.settings.server_durations
            || self.connection.pipeline != Pipeline::Closed
            || (self.connection.status == Status::Failed && self.connection.sent.is_empty())
        {
            return None;
        }
        let idle = self.is_surely_idle();
        if idle {
            let (budget, now) = (&self.findings.figures, self.now);
            self.connection.durations.sampling.decide(|figures| budget.lock().take(figures, now));
        }
        let uses = self.settings_use(work);
        let step = self.connection.durations.next(uses, idle, || self.acts_as_login())?;
        // Which values are the session's is known when all its statements have been answered.
        let puts_back =
            matches!(step, DurationStep::PutBack { .. } | DurationStep::PutBackOthers { .. });
        let waits = puts_back && !self.connection.sent.iter().all(is_kreplays);
        Some(if waits { Next::Wait } else { self.send_durations(step) })
    }

    /// Whether the session acts as the one who logged in, when what is sent next arrives; as far as the log
    /// tells.
    pub(super) fn acts_as_login(&self) -> bool {
        let may_change = |sent: &Sent| match &sent.role {
            Role::Whole(work, _) => may_change_role(&work.statement),
            _ => false,
        };
        !self.context.acts_as_another() && !self.connection.sent.iter().any(may_change)
    }

    fn send_durations(&mut self, step: DurationStep) -> Next {
        let text = match step {
            DurationStep::PutBack { .. } => {
                self.context.own_settings(&DURATION_SETTINGS[..1]).into()
            }
            DurationStep::PutBackOthers { .. } => {
                self.context.own_settings(&DURATION_SETTINGS[1..]).into()
            }
            DurationStep::Measure => MEASURE.into(),
            DurationStep::Tell => TELL.into(),
            DurationStep::Mute => MUTE.into(),
        };
        self.connection.durations.sends(step);
        self.connection.sends(Role::Durations(step), false);
        Next::Send(Request::Text(text))
    }

    /// A statement goes out, or its first request.
    pub(super) fn note_durations_of(&mut self, work: &Work) {
        if !self.settings.server_durations {
            return;
        }
        let is_behind =
            self.connection.sent.iter().any(|sent| matches!(sent.role, Role::Whole(..)));
        let changes = self.settings_use(work).changes;
        let durations = &mut self.connection.durations;
        durations.sampling.sends(is_behind);
        durations.repaired = durations.repaired.saturating_sub(1);
        durations.refusals.pass_statement();
        durations.kept = false;
        durations.changed(changes);
        if ends_or_rolls_back(&work.statement) {
            durations.leaves_transaction();
        }
    }

    pub(super) fn settings_use(&self, work: &Work) -> SettingsUse {
        let Statement { sql, outline, .. } = &work.statement;
        let prepared = |name: &str| self.context.prepared(name);
        duration_settings_use(sql, outline, work.statement.parameters(), prepared)
    }

    /// Whether no transaction can be open when what is sent next arrives.
    pub(super) fn is_surely_idle(&self) -> bool {
        let connection = &self.connection;
        if connection.current.is_some() || connection.undoing.is_some() {
            return false;
        }
        let mut statements = connection.sent.iter().rev().filter_map(|sent| match &sent.role {
            Role::Whole(work, _) => Some(&work.statement),
            _ => None,
        });
        let Some(last) = statements.next() else { return connection.status == Status::Idle };
        if last.only_ends_transaction() {
            return last.outline.single() != Some(Command::Chain);
        }
        connection.status == Status::Idle
            && !last.controls_transaction()
            && !statements.any(Statement::controls_transaction)
    }

    /// The answer to what was set.
    pub(super) fn durations_answered(&mut self, step: DurationStep, answer: &Answer) {
        let measures = |sent: &Sent| matches!(sent.role, Role::Durations(DurationStep::Measure));
        let measure_follows = self.connection.sent.iter().any(measures);
        let statement_waits = self.connection.running().is_none();
        let durations = &mut self.connection.durations;
        let error = answer.error.map(|(code, _)| code);
        match (step, error) {
            (DurationStep::Measure, None) => {
                (durations.granted, durations.refusals) = (Some(true), Refusals::default());
            }
            (DurationStep::PutBackOthers { .. }, None) => {}
            // What was in force before is so still.
            (DurationStep::PutBackOthers { .. }, Some(_)) => {
                durations.changed(DurationSettings::ALL);
                durations.measuring = Value::Either;
                durations.kept = statement_waits;
                durations.refusals.meet();
            }
            (DurationStep::Measure, Some(_)) if durations.granted == Some(true) => {
                durations.measuring = Value::Either;
                durations.refusals.meet();
            }
            (DurationStep::Measure, Some(_)) => {
                if durations.granted.is_none() {
                    self.login.note_may_not_measure();
                }
                (durations.granted, durations.measuring) = (Some(false), Value::Sessions);
            }
            // Its transaction was aborted: what was in force before that will be again.
            (DurationStep::Tell, Some(SqlState::IN_FAILED_TRANSACTION)) => {
                durations.changed(DurationSettings::ALL);
            }
            // It is timed itself, and tells.
            (DurationStep::Tell, None) => {
                durations.counts = answer.took.on_server.is_some();
                durations.has_counted |= durations.counts;
                let pending = measure_follows
                    || durations.granted == Some(true) && durations.measuring != Value::Ours;
                if !durations.counts && !pending {
                    durations.given_up = true;
                    if !durations.has_counted {
                        self.login.note_tells_nothing();
                    }
                }
            }
            (DurationStep::Tell, Some(_)) => durations.telling = Telling::AsSession,
            (DurationStep::Mute | DurationStep::PutBack { .. }, _) => durations.counts = false,
        }
    }

    /// Leaves a figure of the server's in an answer only where it tells all.
    pub(super) fn judge_figure(&self, answer: &mut Answer) {
        if !self.connection.durations.counts {
            answer.took.on_server = None;
        }
    }

    /// A statement has succeeded: where the server has told no figure although it should, something that
    /// no text tells (a function) has changed what it tells, and that is set again.
    pub(super) fn miss_figure(&mut self, work: &Work, answer: &Answer) {
        let durations = &self.connection.durations;
        if !durations.counts
            || durations.repaired > 0
            || durations.telling != Telling::Tells
            || answer.error.is_some()
            || answer.took.on_server.is_some()
            || self.settings_use(work) != SettingsUse::default()
        {
            return;
        }
        self.connection.durations.repaired = REPAIRED_FOR;
        self.connection.durations.changed(DurationSettings::ALL);
        self.connection.auto_explain.changed();
    }
}

impl Value {
    fn is_ours(self) -> bool {
        !matches!(self, Self::Sessions | Self::SessionsWithin)
    }
}

impl Telling {
    fn is_ours(self) -> bool {
        !matches!(self, Self::AsSession | Self::AsSessionWithin)
    }
}

/// Whether it ends a transaction, or a part of one.
fn ends_or_rolls_back(statement: &Statement) -> bool {
    statement.outline.has(|it| it.ends_transaction() || it == Command::Savepoint)
}

/// Whether a statement may change as whom its session acts.
fn may_change_role(statement: &Statement) -> bool {
    let is_role = |name: &str| matches!(name, ROLE | SESSION_AUTHORIZATION);
    let outline = &statement.outline;
    outline.parts.iter().any(|part| {
        let sets = matches!(part.command, Command::Set | Command::SetLocal);
        if !sets && !outline.names_settings {
            return false;
        }
        let text = &statement.sql[part.range.clone()];
        let changes = setting_changes(text, part.command, statement.parameters());
        changes.iter().any(|change| match change {
            SettingChange::Set { name, .. }
            | SettingChange::SetLocal { name, .. }
            | SettingChange::Reset(name) => is_role(name),
            SettingChange::Unknown => true,
            SettingChange::ResetAll => false,
        })
    })
}
