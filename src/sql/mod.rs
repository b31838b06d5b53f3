//! As much of SQL as a replay has to understand without a server: where a statement string is cut,
//! what each statement commands, and which backends it signals.
//!
//! The rules are PostgreSQL's own lexical rules (`scan.l`, and psql's `psqlscan.l` for where a
//! statement ends) with `standard_conforming_strings` on. Nothing here parses a grammar.

mod command;
mod database_changes;
mod duration_settings;
mod known;
pub(crate) mod lexer;
mod login_changes;
mod names;
mod outline;
mod read_only;
mod scan;
mod settings;
pub mod shape;
mod signals;
mod snapshots;
#[cfg(test)]
mod tests;
mod verb;
mod words;

pub use command::{Command, Part};
pub use database_changes::{DatabaseChange, NewEncoding, database_changes};
pub use duration_settings::{
    DURATION_SETTINGS, DurationSettings, SettingsUse, duration_settings_use,
};
pub use lexer::joined_parts;
pub use login_changes::{AlteredLogins, altered_logins, vacated_database};
pub use outline::{Outline, exports_snapshot};
pub use read_only::{kept_read_only, names_setting};
pub use scan::{
    after_keyword, cast_parameters, has_parameters, has_stray_backslash, has_stray_colon,
    identifier, key, last_token, mentions, prepared_name,
};
pub use settings::{
    CLIENT_ENCODING, ROLE, SESSION_AUTHORIZATION, SettingChange, SettingValue, custom_names,
    setting_changes,
};
pub use signals::{Signal, signals};
pub use snapshots::{SnapshotImport, VirtualTransaction, snapshot_imports, snapshot_number};
pub use verb::Verb;
