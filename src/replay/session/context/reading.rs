//! The settings by which the server reads a statement that it prepares. What they say is part of the
//! prepared statement: it is prepared again under the same.

use std::collections::BTreeMap;

use super::{Context, Entry, Key, Restore};

/// What tells the tokens of a string (`gram.y`'s scanner).
const LEXED_BY: [&str; 2] = ["standard_conforming_strings", "backslash_quote"];

/// What names and literals mean when a statement is analyzed: PostgreSQL turns a literal into a value
/// of its type there. Where it analyzes a statement again, because a table or `search_path` has
/// changed, it does so under the settings of then.
const ANALYZED_BY: [&str; 8] = [
    "array_nulls",
    "datestyle",
    "intervalstyle",
    "lc_monetary",
    "search_path",
    "timezone",
    "transform_null_equals",
    "xmloption",
];

/// How those settings were set that a session had set when it prepared a statement; `None` where
/// that is not known.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadUnder(Option<BTreeMap<&'static str, Restore>>);

impl Context {
    /// The settings by which a string is read that comes now.
    pub(super) fn lexed_under(&self) -> ReadUnder {
        ReadUnder(Some(self.set(&LEXED_BY)))
    }

    /// The same, with those by which a statement is analyzed that stands in it.
    pub(super) fn read_under(&self, lexed: ReadUnder) -> ReadUnder {
        ReadUnder(lexed.0.map(|mut under| {
            under.append(&mut self.set(&ANALYZED_BY));
            under
        }))
    }

    fn set(&self, names: &[&'static str]) -> BTreeMap<&'static str, Restore> {
        if self.entries.is_empty() {
            return BTreeMap::new();
        }
        let restore = |name: &'static str| {
            let entry = self.entries.get(&Key::Setting(name.into()))?;
            Some((name, entry.restore.clone()))
        };
        names.iter().filter_map(|name| restore(name)).collect()
    }

    /// These, in their order, each prepared statement under the settings that it was read under.
    pub(super) fn restore_as_read<'a>(
        &self,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> Vec<Restore> {
        let names = [&LEXED_BY[..], &ANALYZED_BY].concat();
        let own = self.set(&names);
        let mut now = own.clone();
        let mut restores = Vec::new();
        for entry in entries {
            let prepares =
                matches!(entry.restore, Restore::Parse { .. }) || entry.under.0.is_some();
            if prepares {
                change(&mut now, entry.under.0.as_ref().unwrap_or(&own), &names, &mut restores);
            }
            restores.push(entry.restore.clone());
        }
        change(&mut now, &own, &names, &mut restores);
        restores
    }
}

/// Goes over from settings to others.
fn change(
    now: &mut BTreeMap<&'static str, Restore>,
    wanted: &BTreeMap<&'static str, Restore>,
    names: &[&'static str],
    restores: &mut Vec<Restore>,
) {
    for name in names {
        if now.get(name) != wanted.get(name) {
            let reset = || Restore::Text(format!("RESET {name}").into());
            restores.push(wanted.get(name).cloned().unwrap_or_else(reset));
        }
    }
    now.clone_from(wanted);
}
