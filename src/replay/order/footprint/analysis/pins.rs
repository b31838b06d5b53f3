//! Which rows the conditions of a statement leave of a table: `WHERE id = 5 AND …`.

use std::hash::{Hash, Hasher};

use pg_query::NodeEnum;
use pg_query::protobuf::{AExpr, AExprKind, BoolExprType, JoinType, Node, TypeName};

use super::variables::{Bound, Step};
use super::{Analysis, Found, Oid, Relation, Widening, parts, qualified};
use crate::replay::order::footprint::catalog::KeyColumn;
use crate::replay::order::footprint::template::{Given, Rows};
use crate::replay::order::footprint::values;
use crate::replay::order::footprint::{Access, Mode};

/// What a FROM brings into sight, and the conditions that all of it meets.
#[derive(Default)]
pub(super) struct Scope<'n, 'a> {
    pub(super) items: Vec<Item<'n, 'a>>,
    pub(super) conditions: Vec<&'n Node>,
}

/// A relation in a FROM.
pub(super) struct Item<'n, 'a> {
    pub(super) found: Found<'a>,
    /// What its columns are qualified with.
    pub(super) name: &'n str,
    /// Its schema, where it has no alias.
    pub(super) schema: &'n str,
    /// Whether its columns go by other names here.
    pub(super) is_renamed: bool,
}

/// A column and what it is compared with.
pub(super) struct Pin<'n> {
    pub(super) column: &'n str,
    pub(super) given: Given,
    /// What the value goes through on its way.
    pub(super) way: Vec<Step>,
}

impl Item<'_, '_> {
    fn is_meant_by(&self, reference: &[&str]) -> bool {
        let Found::Relation(_, relation) = self.found else { return false };
        if self.is_renamed {
            return false;
        }
        match *reference {
            // If another table had it too, the server would refuse the statement.
            [column] => relation.column(column).is_some(),
            [table, _] => table == self.name,
            [schema, table, _] => table == self.name && schema == self.schema,
            _ => false,
        }
    }
}

impl<'a> Analysis<'a> {
    /// What pins the columns of one of the scope's relations.
    pub(super) fn pins<'n>(&self, scope: &Scope<'n, 'a>, item: usize) -> Vec<Pin<'n>> {
        let mut pins = Vec::new();
        for condition in &scope.conditions {
            self.pins_of(condition, &scope.items[item], &mut pins);
        }
        pins
    }

    fn pins_of<'n>(&self, condition: &'n Node, item: &Item<'n, 'a>, pins: &mut Vec<Pin<'n>>) {
        match &condition.node {
            Some(NodeEnum::BoolExpr(all)) if all.boolop == BoolExprType::AndExpr as i32 => {
                all.args.iter().for_each(|condition| self.pins_of(condition, item, pins));
            }
            Some(NodeEnum::AExpr(comparison)) if is_equality(comparison) => {
                let (Some(left), Some(right)) = (&comparison.lexpr, &comparison.rexpr) else {
                    return;
                };
                match AExprKind::try_from(comparison.kind) {
                    Ok(AExprKind::AexprOp) => {
                        for (column, value) in row_wise(left, right) {
                            let pin = self.pin(column, value, item);
                            pins.extend(pin.or_else(|| self.pin(value, column, item)));
                        }
                    }
                    Ok(AExprKind::AexprIn) => pins.extend(self.pin_in(left, right, item)),
                    Ok(AExprKind::AexprOpAny) => pins.extend(self.pin_any(left, right, item)),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn pin<'n>(&self, column: &'n Node, value: &'n Node, item: &Item<'n, 'a>) -> Option<Pin<'n>> {
        let column = self.column_of(column, item)?;
        let Bound { given, way } = self.bound(value)?;
        Some(Pin { column, given, way })
    }

    fn column_of<'n>(&self, node: &'n Node, item: &Item<'n, 'a>) -> Option<&'n str> {
        let Some(NodeEnum::ColumnRef(reference)) = &node.node else { return None };
        let parts = parts(&reference.fields);
        let is_variable = self.frame.as_ref().is_some_and(|frame| frame.may_mean(&parts));
        let is_column = parts.len() == reference.fields.len() && item.is_meant_by(&parts);
        parts.last().copied().filter(|_| is_column && !is_variable)
    }

    fn pin_in<'n>(&self, column: &'n Node, list: &'n Node, item: &Item<'n, 'a>) -> Option<Pin<'n>> {
        let column = self.column_of(column, item)?;
        let Some(NodeEnum::List(list)) = &list.node else { return None };
        self.pin_list(column, &list.items)
    }

    fn pin_list<'n>(&self, column: &'n str, list: &'n [Node]) -> Option<Pin<'n>> {
        let (mut given, mut all_ways) = (Vec::with_capacity(list.len()), Vec::new());
        for value in list {
            let (value, way) = self.cast_value(value)?;
            given.push(value);
            all_ways.extend(way);
        }
        Some(Pin { column, given: Given::Any(given), way: all_ways })
    }

    fn pin_any<'n>(
        &self,
        column: &'n Node,
        array: &'n Node,
        item: &Item<'n, 'a>,
    ) -> Option<Pin<'n>> {
        let column = self.column_of(column, item)?;
        let (array, casts) = uncast(array, true)?;
        let mut casts: Vec<Step> = casts.into_iter().map(|cast| Step::Cast(cast.into())).collect();
        if let Some(NodeEnum::AArrayExpr(array)) = &array.node {
            let mut pin = self.pin_list(column, &array.elements)?;
            pin.way.append(&mut casts);
            return Some(pin);
        }
        if let Some(bound) = self.variable(array) {
            let Given::One(value) = bound.given else { return None };
            // The type of an array is named after that of its elements.
            let element = |step| match step {
                Step::Cast(name) => Some(Step::Cast(name.strip_prefix('_')?.into())),
                Step::Column(_) => None,
            };
            let way: Option<Vec<Step>> = bound.way.into_iter().map(element).collect();
            casts.append(&mut way?);
            return Some(Pin { column, given: Given::Array(value), way: casts });
        }
        Some(Pin { column, given: Given::Array(self.value(array)?), way: casts })
    }

    /// Reads or locks what the pins leave of a table.
    pub(super) fn pinned(&mut self, relation: &'a Relation, pins: &[Pin<'_>], mode: Mode) {
        let why = match self.rows(relation.root, pins, mode) {
            Ok(rows) => return self.template.rows.push(rows),
            Err(why) => why,
        };
        self.whole(relation.root, mode, why);
    }

    /// An access to rows of a table that can't be told.
    pub(super) fn whole(&mut self, root: Oid, mode: Mode, why: Widening) {
        let table = self.table(root);
        self.add(Access::Table(table, mode));
        self.widen(why);
    }

    fn rows(&mut self, root: Oid, pins: &[Pin<'_>], mode: Mode) -> Result<Rows, Widening> {
        let storage = self.names.catalog.storage(root).ok_or(Widening::NoKey)?;
        let key = storage.key.as_ref().map_err(|why| *why)?;
        let pinned = |name: &str| pins.iter().any(|pin| pin.column == name);
        let other = storage.others.iter().any(|other| {
            other.exact.is_some() && other.columns.iter().all(|column| pinned(column))
        });
        let missing = if other { Widening::OtherKey } else { Widening::NotPinned };
        self.rows_of_key(root, key, pins, mode).map_err(|why| why.unwrap_or(missing))
    }

    /// The rows with these values in the columns of a key; an error without a reason where a column
    /// has none.
    pub(super) fn rows_of_key(
        &mut self,
        root: Oid,
        key: &[KeyColumn],
        pins: &[Pin<'_>],
        mode: Mode,
    ) -> Result<Rows, Option<Widening>> {
        let mut columns = Vec::with_capacity(key.len());
        for column in key {
            let of_column = || pins.iter().filter(|pin| *pin.column == *column.name);
            let fits = |pin: &&Pin<'_>| pin.way.iter().all(|step| step.fits(column.kind));
            let pin = of_column().find(fits);
            let why = of_column().next().map(|_| Widening::KeyType);
            columns.push((&column.name, column.kind, pin.ok_or(why)?.given.clone()));
        }
        // Whoever names the same columns means the same key.
        columns.sort_by_key(|(name, ..)| *name);
        let mut hasher = values::hasher();
        columns.iter().for_each(|(name, ..)| name.hash(&mut hasher));
        let columns = columns.into_iter().map(|(_, kind, given)| (kind, given)).collect();
        Ok(Rows { table: self.table(root), key: hasher.finish(), mode, columns })
    }
}

fn is_equality(comparison: &AExpr) -> bool {
    let (schema, operator) = qualified(&comparison.name);
    operator == "=" && matches!(schema, "" | "pg_catalog")
}

/// `(a, b) = (1, 2)` column by column.
fn row_wise<'n>(left: &'n Node, right: &'n Node) -> Vec<(&'n Node, &'n Node)> {
    match (&left.node, &right.node) {
        (Some(NodeEnum::RowExpr(left)), Some(NodeEnum::RowExpr(right))) => {
            left.args.iter().zip(&right.args).collect()
        }
        _ => vec![(left, right)],
    }
}

/// What is cast, and the names of the types that it is cast to.
pub(super) fn uncast(mut node: &Node, to_array: bool) -> Option<(&Node, Vec<&str>)> {
    let mut casts = Vec::new();
    while let Some(NodeEnum::TypeCast(cast)) = &node.node {
        let to = cast.type_name.as_ref()?;
        // A modifier may change the value.
        if !to.typmods.is_empty() || to.array_bounds.is_empty() == to_array {
            return None;
        }
        casts.push(type_name(to));
        node = cast.arg.as_ref()?;
    }
    Some((node, casts))
}

pub(super) fn type_name(name: &TypeName) -> &str {
    qualified(&name.names).1
}

/// Whether a join leaves nothing of either side that does not meet its condition.
pub(super) fn is_inner(join: i32) -> bool {
    join == JoinType::JoinInner as i32
}
