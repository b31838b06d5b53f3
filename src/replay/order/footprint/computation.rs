//! Constant expressions: `12 + 1`, `'a' || $1`, computed as PostgreSQL does.
//!
//! Only what surely comes out alike is computed: whole numbers and decimals under `+`, `-` and `*`, whole
//! numbers under `/` and `%`, texts under `||`. The types of literals are those that PostgreSQL gives them;
//! a parameter's type is in no log, so that it is computed with only where every type it can have leads to
//! the same value. What would overflow is not computed: the server refuses it.

use std::borrow::Cow;

use super::literals::{Call, Read, Value};

/// An expression of constants and parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Computation {
    Of(Value),
    Cast(Box<Computation>, CastTo),
    /// `- x`.
    Negation(Box<Computation>),
    Operation(Operator, Box<[Computation; 2]>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum CastTo {
    Integer(Width),
    Numeric,
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    Plus,
    Minus,
    Times,
    Divide,
    Modulo,
    Concatenate,
}

/// A type of whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Width {
    Int2,
    Int4,
    Int8,
    /// A parameter's: it may even be a floating-point number.
    Any,
}

/// The type of what comes out as a number, whole or not.
pub(super) const NUMBER: &str = "a number";

/// Up to here every whole number is one in floating point too.
const EXACT_IN_FLOAT: u64 = 1 << 53;

/// Decimals with more digits are not computed with.
const MOST_DIGITS: usize = 18;

/// The value of an expression, with as much as is known of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Term<'a> {
    Null,
    /// A literal in quotes: it takes the type that is wanted of it.
    Quoted(Cow<'a, str>),
    Parameter(Cow<'a, str>),
    Integer(i64, Width),
    /// So many units of the decimal place.
    Numeric {
        units: i128,
        places: u32,
    },
    Text(Cow<'a, str>),
}

impl CastTo {
    /// The type by this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "int2" => Self::Integer(Width::Int2),
            "int4" => Self::Integer(Width::Int4),
            "int8" => Self::Integer(Width::Int8),
            "numeric" => Self::Numeric,
            "text" | "varchar" => Self::Text,
            _ => return None,
        })
    }
}

impl Operator {
    /// The binary operator by this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "+" => Self::Plus,
            "-" => Self::Minus,
            "*" => Self::Times,
            "/" => Self::Divide,
            "%" => Self::Modulo,
            "||" => Self::Concatenate,
            _ => return None,
        })
    }
}

impl Computation {
    /// What [`KeyType::takes`](super::values::KeyType::takes) knows its type by.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Operation(Operator::Concatenate, _) | Self::Cast(_, CastTo::Text) => "text",
            _ => NUMBER,
        }
    }

    /// Its value as PostgreSQL would write it.
    pub(super) fn value<'a>(&'a self, call: &Call<'a>) -> Read<'a> {
        match self.term(call) {
            Some(Term::Null) => Read::Null,
            Some(Term::Integer(value, _)) => Read::Text(value.to_string().into()),
            Some(Term::Numeric { units, places }) => Read::Text(written(units, places).into()),
            Some(Term::Text(text)) => Read::Text(text),
            Some(Term::Quoted(_) | Term::Parameter(_)) | None => Read::Unknown,
        }
    }

    fn term<'a>(&'a self, call: &Call<'a>) -> Option<Term<'a>> {
        match self {
            Self::Of(value) => of(value, call),
            Self::Cast(inner, to) => cast(inner.term(call)?, *to),
            Self::Negation(inner) => negative(inner.term(call)?),
            Self::Operation(Operator::Concatenate, sides) => {
                concatenated(sides[0].term(call)?, sides[1].term(call)?)
            }
            Self::Operation(operator, sides) => {
                calculated(*operator, sides[0].term(call)?, sides[1].term(call)?)
            }
        }
    }
}

fn of<'a>(value: &'a Value, call: &Call<'a>) -> Option<Term<'a>> {
    let text = match call.read(value) {
        Read::Null => return Some(Term::Null),
        Read::Text(text) => text,
        Read::Unknown => return None,
    };
    match value {
        Value::Parameter(_) => Some(Term::Parameter(text)),
        Value::Literal { index, .. } => {
            let literal = call.sql.get(call.literals.get(*index)?.clone())?;
            match literal.starts_with(|first: char| first.is_ascii_digit()) {
                true => number(&text),
                false => Some(Term::Quoted(text)),
            }
        }
        Value::Constant(_) | Value::Null | Value::Computed(_) => None,
    }
}

/// A number that stands in the text: of the first type that it fits.
fn number(text: &str) -> Option<Term<'static>> {
    if let Some(value) = integer(text) {
        let width = if i32::try_from(value).is_ok() { Width::Int4 } else { Width::Int8 };
        return Some(Term::Integer(value, width));
    }
    decimal(text)
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn decimal(text: &str) -> Option<Term<'static>> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.len() + fraction.len() > MOST_DIGITS || !fraction.bytes().all(|it| it.is_ascii_digit())
    {
        return None;
    }
    let units = integer(&format!("{whole}{fraction}"))?;
    Some(Term::Numeric { units: units.into(), places: u32::try_from(fraction.len()).ok()? })
}

fn written(units: i128, places: u32) -> String {
    let one = 10i128.pow(places);
    let sign = if units < 0 { "-" } else { "" };
    match places {
        0 => units.to_string(),
        _ => {
            let (whole, fraction) = (units.abs() / one, units.abs() % one);
            format!("{sign}{whole}.{fraction:0places$}", places = places as usize)
        }
    }
}

/// What PostgreSQL's input functions skip around a number.
fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c'])
}

fn cast(term: Term<'_>, to: CastTo) -> Option<Term<'_>> {
    match (term, to) {
        (Term::Null, _) => Some(Term::Null),
        (Term::Integer(value, _), CastTo::Integer(width)) => in_range(value, width),
        (Term::Quoted(text) | Term::Parameter(text), CastTo::Integer(width)) => {
            in_range(integer(trimmed(&text))?, width)
        }
        (Term::Integer(value, width), CastTo::Numeric) if width != Width::Any => {
            Some(Term::Numeric { units: value.into(), places: 0 })
        }
        (Term::Quoted(text) | Term::Parameter(text), CastTo::Numeric) => decimal(trimmed(&text)),
        (term @ Term::Numeric { .. }, CastTo::Numeric) => Some(term),
        (Term::Quoted(text) | Term::Text(text), CastTo::Text) => Some(Term::Text(text)),
        (Term::Integer(value, width), CastTo::Text) if width != Width::Any => {
            Some(Term::Text(value.to_string().into()))
        }
        _ => None,
    }
}

fn in_range(value: i64, width: Width) -> Option<Term<'static>> {
    let fits = match width {
        Width::Int2 => i16::try_from(value).is_ok(),
        Width::Int4 => i32::try_from(value).is_ok(),
        Width::Int8 => true,
        Width::Any => value.unsigned_abs() <= EXACT_IN_FLOAT,
    };
    fits.then_some(Term::Integer(value, width))
}

fn negative(term: Term<'_>) -> Option<Term<'static>> {
    match term {
        Term::Null => Some(Term::Null),
        Term::Integer(value, width) => in_range(value.checked_neg()?, width),
        Term::Numeric { units, places } => Some(Term::Numeric { units: -units, places }),
        Term::Quoted(_) | Term::Parameter(_) | Term::Text(_) => None,
    }
}

/// What becomes of both sides of an operator of numbers, of which one may take the other's type.
fn calculated<'a>(operator: Operator, left: Term<'a>, right: Term<'a>) -> Option<Term<'static>> {
    match (left, right) {
        (Term::Null, _) | (_, Term::Null) => Some(Term::Null),
        // The server can't tell which operator is meant.
        (Term::Quoted(_), Term::Quoted(_)) => None,
        (Term::Integer(a, one), Term::Integer(b, other)) => {
            integers(operator, a, b, one.max(other))
        }
        (Term::Integer(a, width), Term::Quoted(b)) if width != Width::Any => {
            calculated(operator, Term::Integer(a, width), in_range(integer(trimmed(&b))?, width)?)
        }
        (Term::Quoted(a), Term::Integer(b, width)) if width != Width::Any => {
            calculated(operator, in_range(integer(trimmed(&a))?, width)?, Term::Integer(b, width))
        }
        (Term::Parameter(a), right @ (Term::Integer(..) | Term::Parameter(_))) => {
            calculated(operator, in_range(integer(&a)?, Width::Any)?, right)
        }
        (left @ Term::Integer(..), Term::Parameter(b)) => {
            calculated(operator, left, in_range(integer(&b)?, Width::Any)?)
        }
        (left, right) => decimals(operator, as_numeric(left)?, as_numeric(right)?),
    }
}

fn integers(operator: Operator, a: i64, b: i64, width: Width) -> Option<Term<'static>> {
    let value = match operator {
        Operator::Plus => a.checked_add(b),
        Operator::Minus => a.checked_sub(b),
        Operator::Times => a.checked_mul(b),
        // How it divides depends on its type.
        Operator::Divide | Operator::Modulo if width == Width::Any => None,
        Operator::Divide => a.checked_div(b),
        Operator::Modulo => a.checked_rem(b),
        Operator::Concatenate => None,
    };
    in_range(value?, width)
}

fn as_numeric(term: Term<'_>) -> Option<(i128, u32)> {
    match term {
        Term::Numeric { units, places } => Some((units, places)),
        Term::Integer(value, width) if width != Width::Any => Some((value.into(), 0)),
        Term::Quoted(text) => as_numeric(decimal(trimmed(&text))?),
        _ => None,
    }
}

fn decimals(operator: Operator, a: (i128, u32), b: (i128, u32)) -> Option<Term<'static>> {
    let places = a.1.max(b.1);
    let scaled = |(units, own): (i128, u32)| units.checked_mul(10i128.checked_pow(places - own)?);
    let (units, places) = match operator {
        Operator::Plus => (scaled(a)?.checked_add(scaled(b)?)?, places),
        Operator::Minus => (scaled(a)?.checked_sub(scaled(b)?)?, places),
        Operator::Times => (a.0.checked_mul(b.0)?, a.1 + b.1),
        Operator::Divide | Operator::Modulo | Operator::Concatenate => return None,
    };
    // What is written has to be read again.
    (places <= 30).then_some(Term::Numeric { units, places })
}

/// `||` of texts; of numbers too, if the other side is a text.
fn concatenated<'a>(left: Term<'a>, right: Term<'a>) -> Option<Term<'a>> {
    let is_text = |term: &Term<'_>| {
        matches!(term, Term::Quoted(_) | Term::Parameter(_) | Term::Text(_) | Term::Null)
    };
    if !is_text(&left) && !is_text(&right) {
        return None;
    }
    match (left, right) {
        (Term::Null, _) | (_, Term::Null) => Some(Term::Null),
        (left, right) => Some(Term::Text(Cow::Owned(piece(left)? + &piece(right)?))),
    }
}

fn piece(term: Term<'_>) -> Option<String> {
    match term {
        Term::Quoted(text) | Term::Text(text) => Some(text.into_owned()),
        Term::Integer(value, width) if width != Width::Any => Some(value.to_string()),
        // As a boolean it would be written out, as a `character(n)` without its blanks.
        Term::Parameter(text) if matches!(&*text, "t" | "f") || text.ends_with(' ') => None,
        Term::Parameter(text) => Some(text.into_owned()),
        Term::Integer(..) | Term::Numeric { .. } | Term::Null => None,
    }
}
