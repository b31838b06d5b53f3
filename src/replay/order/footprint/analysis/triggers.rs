//! What the triggers do that a write sets off.

use std::collections::BTreeSet;

use super::pins::Pin;
use super::plpgsql::Body;
use super::routines::of_trigger;
use super::variables::{Bound, Record, Step};
use super::written::{Change, Row, Target, Written};
use super::{Analysis, Widening};
use crate::replay::order::footprint::catalog::{Routine, Trigger, Write};
use crate::replay::order::footprint::template::Given;
use crate::replay::order::footprint::values::KeyType;

/// The columns of the row that triggers may change before it is written.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    columns: BTreeSet<String>,
    /// Whether all of them may change.
    whole: bool,
}

impl Rewritten {
    pub(super) fn is_none(&self) -> bool {
        self.columns.is_empty() && !self.whole
    }

    /// All columns that change where an UPDATE sets these.
    pub(super) fn with<'n>(&'n self, set: &[&'n str], target: &'n Target<'_>) -> Vec<&'n str> {
        let mut changed = set.to_vec();
        changed.extend(self.of(target).filter(|column| !set.contains(column)));
        changed
    }

    /// Those of this table.
    pub(super) fn of<'n>(&'n self, target: &'n Target<'_>) -> impl Iterator<Item = &'n str> {
        let all = target.relation.columns.iter().map(|column| &*column.name);
        all.filter(|name| self.whole || self.columns.contains(*name))
    }

    fn add(&mut self, body: &Body) {
        self.whole |= body.returns_other;
        self.whole |= ["new", "old"].iter().any(|record| body.assigned.contains(*record));
        let fields = body.assigned_fields.iter();
        let of_row = fields.filter(|(record, _)| record == "new" || record == "old");
        self.columns.extend(of_row.map(|(_, field)| field.clone()));
    }

    fn forget_in(&self, record: &mut Record) {
        if self.whole {
            record.columns.clear();
        }
        record.columns.retain(|column, _| !self.columns.contains(column));
    }
}

impl<'a> Analysis<'a> {
    /// Sets off the triggers of a write; `changed` are the columns that an UPDATE sets, if that is
    /// known, and `rows` what changes. Returns what else they change of the rows themselves.
    pub(super) fn fire(
        &mut self,
        target: &Target<'a>,
        write: Write,
        changed: Option<&[&str]>,
        rows: &[Change],
    ) -> Rewritten {
        let mut rewritten = Rewritten::default();
        let mut bodies = Vec::new();
        for trigger in target.storage.firing(write, changed) {
            match self.body_of(trigger) {
                Ok((routine, body)) => {
                    if trigger.rewrites {
                        rewritten.add(&body);
                    }
                    bodies.push((trigger, routine, body));
                }
                Err(why) => self.barrier(why),
            }
        }
        for (trigger, routine, body) in bodies {
            let none = [Change { old: Record::null(), new: Record::null() }];
            for change in if trigger.has_row { rows } else { &none } {
                let mut change = change.clone();
                rewritten.forget_in(&mut change.new);
                self.set_off(trigger, routine, &body, change);
            }
        }
        rewritten
    }

    fn body_of(&self, trigger: &Trigger) -> Result<(&'a Routine, Body), Widening> {
        let routine = self.names.catalog.routine(trigger.function);
        let routine = routine.filter(|_| trigger.is_plain).ok_or(Widening::Trigger)?;
        match Body::of(&routine.row) {
            Ok(body) => Ok((routine, body)),
            Err(Widening::DynamicSql) => Err(Widening::DynamicSql),
            Err(_) => Err(Widening::Trigger),
        }
    }

    fn set_off(
        &mut self,
        trigger: &Trigger,
        routine: &'a Routine,
        body: &Body,
        mut change: Change,
    ) {
        match self.is_recursion(trigger.function) {
            Some(true) => return,
            Some(false) => change = Change::default(),
            None => {}
        }
        let is_open = [&change.new, &change.old].iter().all(|it| **it == Record::default());
        let variables = of_trigger(&routine.row, body, change.new, change.old);
        self.transition_tables =
            trigger.transition_tables.iter().map(|it| it.to_string()).collect();
        let found =
            self.apart(|this| this.run(trigger.function, routine, body, variables, is_open));
        self.transition_tables.clear();
        if !found.is_barrier() {
            return self.template.join(found);
        }
        self.barrier(match found.footprint.widened {
            Some(Widening::DynamicSql) => Widening::DynamicSql,
            _ => Widening::Trigger,
        });
    }

    /// What becomes of the row that an UPDATE or DELETE finds by these pins.
    pub(super) fn found_row(&self, target: &Target<'a>, pins: &[Pin<'_>]) -> Record {
        let mut record = Record::default();
        for column in &target.relation.columns {
            let fits = |pin: &&Pin<'_>| {
                let kind = column.kind;
                *pin.column == *column.name
                    && kind.is_some_and(|kind| pin.way.iter().all(|step| step.fits(kind)))
            };
            if let Some(pin) = pins.iter().find(fits) {
                let bound = Bound { given: pin.given.clone(), way: pin.way.clone() };
                let bound = bound.through(Step::Column(column.kind));
                record.columns.insert(column.name.to_string(), bound);
            }
        }
        record
    }

    /// The row that an UPDATE makes of one: `row` is what it sets.
    pub(super) fn updated_row(
        &self,
        target: &Target<'a>,
        old: &Record,
        row: &Row<'_>,
        changed: &[&str],
    ) -> Record {
        let mut new = old.clone();
        for column in &target.relation.columns {
            let name = &*column.name;
            if !changed.contains(&name) && !column.generated {
                continue;
            }
            let set = row.iter().find(|(set, _)| *set == name).map(|(_, written)| written);
            match set.and_then(|written| bound(written, column.kind)) {
                Some(bound) => new.columns.insert(name.to_owned(), bound),
                None => new.columns.remove(name),
            };
        }
        new
    }

    /// A row that an INSERT adds.
    pub(super) fn inserted_row(&self, target: &Target<'a>, row: &Row<'_>) -> Record {
        let mut new = Record::default();
        for column in target.relation.columns.iter().filter(|column| !column.generated) {
            if let Some(bound) = bound(target.given(row, &column.name), column.kind) {
                new.columns.insert(column.name.to_string(), bound);
            }
        }
        new
    }
}

fn bound(written: &Written, kind: Option<KeyType>) -> Option<Bound> {
    match written {
        Written::Null => Some(Bound::null()),
        Written::Known(value, way) => {
            let given = Given::One(value.clone());
            Some(Bound { given, way: way.clone() }.through(Step::Column(kind)))
        }
        Written::Generated | Written::Unknown => None,
    }
}
