//! From the places of the parser's tree to the literals of a text, and from those to values.

use std::borrow::Cow;
use std::ops::Range;

use super::computation::Computation;
use crate::sql;
use crate::sql::lexer::Lexer;

/// What a key column, a function's argument or a setting is given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Value {
    /// The literal with this number.
    Literal {
        index: usize,
        is_negative: bool,
    },
    /// `$1` is 1.
    Parameter(usize),
    /// A keyword's value, or a number that is part of the shape.
    Constant(Box<str>),
    Null,
    /// What is computed of others.
    Computed(Box<Computation>),
}

/// What was found where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read<'a> {
    Null,
    Text(Cow<'a, str>),
    /// It can't be told from the text alone.
    Unknown,
}

/// The values of a statement's parameters.
#[derive(Debug, Clone, Copy)]
pub(super) enum Parameters<'a> {
    /// As the log tells them.
    Bound(&'a [Option<Box<str>>]),
    /// As an EXECUTE gives them.
    Execute(&'a [Read<'a>]),
}

/// One statement of a known shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) sql: &'a str,
    pub(super) literals: &'a [Range<usize>],
    pub(super) parameters: Parameters<'a>,
}

impl<'a> Call<'a> {
    pub(super) fn read(&self, value: &'a Value) -> Read<'a> {
        match value {
            Value::Null => Read::Null,
            Value::Computed(computation) => computation.value(self),
            Value::Constant(text) => Read::Text(Cow::Borrowed(text)),
            Value::Parameter(number) => match self.parameters {
                Parameters::Bound(values) => match values.get(number.wrapping_sub(1)) {
                    Some(Some(text)) => Read::Text(Cow::Borrowed(text)),
                    Some(None) => Read::Null,
                    None => Read::Unknown,
                },
                Parameters::Execute(values) => {
                    values.get(number.wrapping_sub(1)).cloned().unwrap_or(Read::Unknown)
                }
            },
            Value::Literal { index, is_negative } => {
                let text =
                    self.literals.get(*index).and_then(|range| unquoted(&self.sql[range.clone()]));
                match text {
                    Some(text) if *is_negative => Read::Text(Cow::Owned(format!("-{text}"))),
                    Some(text) => Read::Text(text),
                    None => Read::Unknown,
                }
            }
        }
    }
}

/// What a literal stands for.
fn unquoted(literal: &str) -> Option<Cow<'_, str>> {
    match sql::joined_parts(literal) {
        Cow::Borrowed(literal) => unquoted_part(literal),
        Cow::Owned(joined) => unquoted_part(&joined).map(|text| text.into_owned().into()),
    }
}

fn unquoted_part(literal: &str) -> Option<Cow<'_, str>> {
    let inner = |start: usize| literal.get(start..literal.len().checked_sub(1)?);
    match literal.as_bytes() {
        [b'\'', .., b'\''] => {
            let inner = inner(1)?;
            Some(if inner.contains('\'') {
                Cow::Owned(inner.replace("''", "'"))
            } else {
                inner.into()
            })
        }
        [b'e' | b'E', b'\'', .., b'\''] => {
            let inner = inner(2)?;
            if inner.contains(['\\', '\'']) {
                unescaped(inner).map(Cow::Owned)
            } else {
                Some(inner.into())
            }
        }
        [b'$', ..] => {
            let tag = literal[1..].find('$')? + 2;
            let end = literal.len().checked_sub(tag)?;
            Some(literal.get(tag..end)?.into())
        }
        [b'0'..=b'9', ..] => Some(literal.into()),
        _ => None,
    }
}

/// The text of an `E''` constant; `None` where it names bytes or code points by number.
fn unescaped(inner: &str) -> Option<String> {
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        text.push(match char {
            '\'' => {
                chars.next();
                '\''
            }
            '\\' => match chars.next()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '0'..='7' | 'x' | 'u' | 'U' => return None,
                other => other,
            },
            other => other,
        });
    }
    Some(text)
}

/// The literal that stands at this byte, or behind minus signs and brackets that begin there.
pub(super) fn literal_at(sql: &str, literals: &[Range<usize>], location: i32) -> Option<Value> {
    let location = usize::try_from(location).ok()?;
    let index = literals.partition_point(|range| range.start < location);
    let range = literals.get(index)?;
    let signs = sql.get(location..range.start)?;
    let mut is_negative = false;
    for (_, sign) in Lexer::new(signs) {
        match &signs[sign] {
            "-" => is_negative = !is_negative,
            "(" => {}
            _ => return None,
        }
    }
    Some(Value::Literal { index, is_negative })
}
