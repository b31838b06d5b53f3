//! Constants, parameters, and what is computed of them.

use pg_query::NodeEnum;
use pg_query::protobuf::a_const::Val;
use pg_query::protobuf::{AConst, AExpr, AExprKind, Node};

use super::pins::{type_name, uncast};
use super::variables::{Bound, Step};
use super::{Analysis, qualified};
use crate::replay::order::footprint::computation::{CastTo, Computation, Operator};
use crate::replay::order::footprint::literals::{Value, literal_at};
use crate::replay::order::footprint::template::Given;

impl Analysis<'_> {
    /// A constant, a parameter or what is computed of them, and the types that it is cast to.
    pub(super) fn cast_value(&self, node: &Node) -> Option<(Value, Vec<Step>)> {
        match self.bound(node)? {
            Bound { given: Given::One(value), way } => Some((value, way)),
            _ => None,
        }
    }

    /// The same, or what a variable of a body stands for.
    pub(super) fn bound(&self, node: &Node) -> Option<Bound> {
        let (inner, casts) = uncast(node, false)?;
        if let Some(bound) = self.variable(inner) {
            return Some(
                casts
                    .iter()
                    .rev()
                    .fold(bound, |bound, cast| bound.through(Step::Cast((*cast).into()))),
            );
        }
        let (value, casts) = self.computed(node, inner, casts)?;
        let way = casts.into_iter().map(|cast| Step::Cast(cast.into())).collect();
        Some(Bound { given: Given::One(value), way })
    }

    /// What a variable of a body stands for.
    pub(super) fn variable(&self, node: &Node) -> Option<Bound> {
        let frame = self.frame.as_ref()?;
        match node.node.as_ref()? {
            NodeEnum::ColumnRef(reference) => frame.get(reference),
            NodeEnum::ParamRef(parameter) => {
                let number = usize::try_from(parameter.number).ok()?;
                frame.arguments.get(number.checked_sub(1)?)?.clone()
            }
            _ => None,
        }
    }

    fn computed<'n>(
        &self,
        node: &'n Node,
        inner: &'n Node,
        casts: Vec<&'n str>,
    ) -> Option<(Value, Vec<&'n str>)> {
        // What rounds or writes out a number makes another value of it.
        let keeps = |cast: &&str| !matches!(CastTo::named(cast), Some(CastTo::Integer(_)));
        let is_kept = casts.is_empty() || !is_number(inner) && casts.iter().all(keeps);
        if let Some(value) = self.value(inner)
            && (is_kept || value == Value::Null)
        {
            return Some((value, casts));
        }
        let computation = self.computation(node)?;
        let casts = vec![computation.type_name()];
        Some((Value::Computed(Box::new(computation)), casts))
    }

    fn computation(&self, node: &Node) -> Option<Computation> {
        match node.node.as_ref()? {
            NodeEnum::TypeCast(cast) => {
                let to = cast.type_name.as_ref()?;
                if !to.typmods.is_empty() || !to.array_bounds.is_empty() {
                    return None;
                }
                let inner = self.computation(cast.arg.as_deref()?)?;
                Some(Computation::Cast(Box::new(inner), CastTo::named(type_name(to))?))
            }
            NodeEnum::AExpr(operation) if operation.kind == AExprKind::AexprOp as i32 => {
                self.operation(operation)
            }
            _ => self.value(node).map(Computation::Of),
        }
    }

    fn operation(&self, operation: &AExpr) -> Option<Computation> {
        let (schema, name) = qualified(&operation.name);
        // Another schema before PostgreSQL's own may have operators by these names.
        let is_shadowed = self.names.path.iter().skip(1).any(|schema| &**schema == "pg_catalog");
        if !matches!(schema, "" | "pg_catalog") || schema.is_empty() && is_shadowed {
            return None;
        }
        let right = self.computation(operation.rexpr.as_deref()?)?;
        match (&operation.lexpr, name) {
            (Some(left), _) => {
                let sides = [self.computation(left)?, right];
                Some(Computation::Operation(Operator::named(name)?, Box::new(sides)))
            }
            (None, "-") => Some(Computation::Negation(Box::new(right))),
            (None, _) => None,
        }
    }

    /// What stands there, if it is a constant or a parameter.
    pub(super) fn value(&self, node: &Node) -> Option<Value> {
        match node.node.as_ref()? {
            NodeEnum::ParamRef(parameter) if self.frame.is_none() => {
                Some(Value::Parameter(usize::try_from(parameter.number).ok()?))
            }
            NodeEnum::AConst(constant) => self.constant(constant),
            _ => None,
        }
    }

    fn constant(&self, constant: &AConst) -> Option<Value> {
        if constant.isnull {
            return Some(Value::Null);
        }
        if let Some(Val::Boolval(value)) = &constant.val {
            return Some(Value::Constant(if value.boolval { "t" } else { "f" }.into()));
        }
        if self.frame.is_some() {
            return constant.val.as_ref().and_then(in_shape);
        }
        let literal = literal_at(self.sql, self.literals, constant.location);
        if literal.is_some() {
            return literal;
        }
        // What is no literal is part of the shape: a name, a keyword, an unusual number.
        let location = usize::try_from(constant.location).ok()?;
        if self.literals.iter().any(|range| range.contains(&location)) {
            return None;
        }
        let start = self.sql.get(location..)?;
        if start.starts_with(['\'', '.', '-']) {
            return None;
        }
        constant.val.as_ref().and_then(in_shape)
    }
}

/// A constant that is the same whatever the literals are.
fn in_shape(constant: &Val) -> Option<Value> {
    match constant {
        Val::Ival(value) => Some(Value::Constant(value.ival.to_string().into())),
        Val::Fval(value) => Some(Value::Constant((*value.fval).into())),
        Val::Sval(value) => Some(Value::Constant((*value.sval).into())),
        Val::Boolval(_) | Val::Bsval(_) => None,
    }
}

fn is_number(node: &Node) -> bool {
    let Some(NodeEnum::AConst(constant)) = &node.node else { return false };
    matches!(constant.val, Some(Val::Ival(_) | Val::Fval(_)))
}
