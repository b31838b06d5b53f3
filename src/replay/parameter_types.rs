//! The types of a statement's parameters, which the source's log does not hold.
//!
//! A driver says what it sends (`$1` is a `bigint`) or leaves it to the server to infer from where
//! the parameter stands. The log holds the values alone. So the server is asked first; where it can't
//! tell, the statement is prepared again one [`ParamTyping`] up the ladder, until it is accepted or the
//! ladder ends.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::pglog::SqlState;

/// A way to choose the parameters' types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ParamTyping {
    /// None given: the server infers them.
    #[default]
    Untyped,
    /// Guessed from the values.
    Guessed,
    /// Guessed, and a NULL is of type `void`. PostgreSQL leaves parameters of that type out of a
    /// function's arguments, which is how JDBC sends the OUT parameters of a call.
    VoidNulls,
}

impl ParamTyping {
    /// The typing to try after the server has refused this one with `sqlstate`; `None` if no other
    /// choice of types would help.
    pub fn next(self, sqlstate: SqlState) -> Option<Self> {
        match self {
            Self::Untyped if is_inference_failure(sqlstate) => Some(Self::Guessed),
            // No such function: perhaps there is one with fewer arguments.
            Self::Guessed if sqlstate == UNDEFINED_FUNCTION => Some(Self::VoidNulls),
            _ => None,
        }
    }

    /// The type of each parameter, as OIDs for Parse.
    pub fn types<P: AsRef<str>>(self, params: &[Option<P>]) -> Vec<u32> {
        let guessed = params.iter().map(|value| guess(value.as_ref().map(AsRef::as_ref)));
        match self {
            Self::Untyped => Vec::new(),
            Self::Guessed => guessed.collect(),
            Self::VoidNulls => {
                guessed.map(|oid| if oid == oid::UNKNOWN { oid::VOID } else { oid }).collect()
            }
        }
    }
}

/// Which typing each statement text was accepted on. Shared by all sessions: one that has found out
/// spares the others the savepoint.
#[derive(Debug, Default)]
pub struct KnownTypes {
    /// By a hash of the text; a collision costs a failed statement its second chance, no more. A std
    /// mutex, held for a look-up.
    typings: Mutex<HashMap<u64, ParamTyping>>,
}

impl KnownTypes {
    /// How many texts are kept; past it all are forgotten and found out again.
    const KEPT: usize = 100_000;

    /// The typing that this text was accepted on.
    pub fn get(&self, sql: &str) -> Option<ParamTyping> {
        self.lock().get(&hash(sql)).copied()
    }

    /// This text was accepted on this typing.
    pub fn put(&self, sql: &str, typing: ParamTyping) {
        let mut typings = self.lock();
        if typings.len() >= Self::KEPT {
            typings.clear();
        }
        typings.insert(hash(sql), typing);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, ParamTyping>> {
        self.typings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(sql: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    sql.hash(&mut hasher);
    hasher.finish()
}

const UNDEFINED_FUNCTION: SqlState = SqlState(*b"42883");

/// Whether a statement was refused because the server could not infer its parameters' types, or
/// inferred others than the source's driver had given.
///
/// `22P02` (invalid text representation) is among them, but only where Parse or Bind raised it
/// (`ServerError::before_execute`): a value then does not fit the inferred type. Raised while the
/// statement ran, it is the statement's own.
pub fn is_inference_failure(sqlstate: SqlState) -> bool {
    matches!(
        &sqlstate.0,
        // indeterminate datatype, ambiguous function, undefined function, datatype mismatch,
        // cannot coerce, invalid text representation
        b"42P18" | b"42725" | b"42883" | b"42804" | b"42846" | b"22P02"
    )
}

/// The OIDs of built-in types, which never change (`pg_type.dat`).
mod oid {
    /// Left to the server.
    pub const UNKNOWN: u32 = 0;
    pub const BOOL: u32 = 16;
    pub const INT8: u32 = 20;
    pub const INT4: u32 = 23;
    pub const TEXT: u32 = 25;
    pub const FLOAT8: u32 = 701;
    pub const TEXT_ARRAY: u32 = 1009;
    pub const INT4_ARRAY: u32 = 1007;
    pub const INT8_ARRAY: u32 = 1016;
    pub const DATE: u32 = 1082;
    pub const TIMESTAMP: u32 = 1114;
    pub const TIMESTAMPTZ: u32 = 1184;
    pub const NUMERIC: u32 = 1700;
    pub const VOID: u32 = 2278;
    pub const UUID: u32 = 2950;
    pub const JSONB: u32 = 3802;
}

/// The type that a parameter most likely had, from the text of its value; 0, which leaves it to
/// the server, for a NULL.
///
/// Values are logged as the type's output function writes them, which is what is recognised:
/// `int4` before `int8` before `numeric`, `bool` only as `t` or `f`, and timestamps in the ISO
/// format. What is nothing else is `text`.
pub fn guess(value: Option<&str>) -> u32 {
    let Some(value) = value else { return oid::UNKNOWN };
    match value.as_bytes() {
        b"t" | b"f" => oid::BOOL,
        b"NaN" | b"Infinity" | b"-Infinity" => oid::FLOAT8,
        [b'0'..=b'9' | b'-' | b'.', ..] => {
            { guess_number(value).or_else(|| guess_time(value)).or_else(|| guess_uuid(value)) }
                .unwrap_or(oid::TEXT)
        }
        [b'{', .., b'}'] | [b'[', .., b']'] => guess_compound(value),
        _ => guess_uuid(value).unwrap_or(oid::TEXT),
    }
}

fn guess_number(value: &str) -> Option<u32> {
    let digits = value.strip_prefix('-').unwrap_or(value);
    // A leading zero is a code or a telephone number, not a count.
    if digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.") {
        return None;
    }
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_mantissa = match mantissa.split_once('.') {
        Some((whole, fraction)) => is_digits(whole) && is_digits(fraction),
        None => is_digits(mantissa),
    };
    if !is_mantissa {
        return None;
    }
    match exponent {
        // Only the floating-point types write one.
        Some(exponent) => is_digits(exponent.trim_start_matches(['+', '-'])).then_some(oid::FLOAT8),
        None if mantissa.contains('.') => Some(oid::NUMERIC),
        None if value.parse::<i32>().is_ok() => Some(oid::INT4),
        None if value.parse::<i64>().is_ok() => Some(oid::INT8),
        None => Some(oid::NUMERIC),
    }
}

/// `2026-11-22`, `2026-11-22 10:00:00.123`, `2026-11-22 10:00:00+00`; a `T` between the two as
/// JSON has it.
fn guess_time(value: &str) -> Option<u32> {
    let matches = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| {
                if wanted == b'9' { byte.is_ascii_digit() } else { byte == wanted }
            })
    };
    let date = value.get(..10).filter(|date| matches(date, "9999-99-99"))?;
    let Some(time) = value[date.len()..].strip_prefix([' ', 'T']) else {
        return (value.len() == date.len()).then_some(oid::DATE);
    };
    let clock = time.get(..8).filter(|clock| matches(clock, "99:99:99"))?;
    let mut rest = &time[clock.len()..];
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    match rest {
        "" => Some(oid::TIMESTAMP),
        "Z" => Some(oid::TIMESTAMPTZ),
        zone => {
            let offset = zone.strip_prefix(['+', '-'])?;
            ["99", "99:99", "99:99:99", "9999"]
                .iter()
                .any(|pattern| matches(offset, pattern))
                .then_some(oid::TIMESTAMPTZ)
        }
    }
}

fn guess_uuid(value: &str) -> Option<u32> {
    (value.len() == 36
        && value.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        }))
    .then_some(oid::UUID)
}

/// `{…}` is a JSON object or an array literal, `[…]` a JSON array.
fn guess_compound(value: &str) -> u32 {
    let inner = value[1..value.len() - 1].trim();
    if value.starts_with('[') {
        return oid::JSONB;
    }
    let is_object = inner.starts_with('"')
        && inner.split_once("\":").is_some_and(|(key, _)| !key[1..].contains("\","));
    if is_object {
        return oid::JSONB;
    }
    // `{}` is both; as an array it fits more functions.
    let types = || inner.split(',').map(|element| guess_number(element.trim()));
    if !inner.is_empty() && types().all(|element| element == Some(oid::INT4)) {
        oid::INT4_ARRAY
    } else if !inner.is_empty()
        && types().all(|element| matches!(element, Some(oid::INT4 | oid::INT8)))
    {
        oid::INT8_ARRAY
    } else {
        oid::TEXT_ARRAY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_guessed_from_the_way_the_value_is_written() {
        for (value, expected) in [
            ("7", oid::INT4),
            ("-2147483648", oid::INT4),
            ("2147483648", oid::INT8),
            ("9223372036854775808", oid::NUMERIC),
            ("0.50", oid::NUMERIC),
            ("-12.5", oid::NUMERIC),
            ("1e-05", oid::FLOAT8),
            ("1.5e+300", oid::FLOAT8),
            ("NaN", oid::FLOAT8),
            ("t", oid::BOOL),
            ("true", oid::TEXT),
            ("2026-11-22", oid::DATE),
            ("2026-11-22 10:00:00", oid::TIMESTAMP),
            ("2026-11-22 10:00:00.123456", oid::TIMESTAMP),
            ("2026-11-22 10:00:00+00", oid::TIMESTAMPTZ),
            ("2026-11-22T10:00:00.5Z", oid::TIMESTAMPTZ),
            ("2026-11-22 10:00:00.5-03:30", oid::TIMESTAMPTZ),
            ("2026-11-22 noon", oid::TEXT),
            ("0f8fad5b-d9cb-469f-a165-70867728950e", oid::UUID),
            ("fa8fad5b-d9cb-469f-a165-70867728950e", oid::UUID),
            (r#"{"a": 1}"#, oid::JSONB),
            ("[1, 2]", oid::JSONB),
            ("{}", oid::TEXT_ARRAY),
            ("{1,2,3}", oid::INT4_ARRAY),
            ("{1,3000000000}", oid::INT8_ARRAY),
            (r#"{a,"b c",NULL}"#, oid::TEXT_ARRAY),
            (r#"{"a b","c:d"}"#, oid::TEXT_ARRAY),
            ("0049301234", oid::TEXT),
            ("1.2.3", oid::TEXT),
            ("-", oid::TEXT),
            ("", oid::TEXT),
            ("größe", oid::TEXT),
            ("2026-11-2ü", oid::TEXT),
        ] {
            assert_eq!(guess(Some(value)), expected, "{value:?}");
        }
        assert_eq!(guess(None), oid::UNKNOWN);
    }

    #[test]
    fn the_ladder_is_climbed_only_where_types_are_the_trouble() {
        let state = |code: &str| code.parse::<SqlState>().expect("a SQLSTATE");
        assert_eq!(ParamTyping::Untyped.next(state("42P18")), Some(ParamTyping::Guessed));
        assert_eq!(ParamTyping::Untyped.next(state("22P02")), Some(ParamTyping::Guessed));
        assert_eq!(ParamTyping::Untyped.next(state("23505")), None);
        assert_eq!(ParamTyping::Guessed.next(state("42883")), Some(ParamTyping::VoidNulls));
        assert_eq!(ParamTyping::Guessed.next(state("42P18")), None);
        assert_eq!(ParamTyping::VoidNulls.next(state("42883")), None);
    }

    #[test]
    fn each_rung_types_the_parameters_its_way() {
        let params = [Some("7"), None, Some("x")];
        assert_eq!(ParamTyping::Untyped.types(&params), [0_u32; 0]);
        assert_eq!(ParamTyping::Guessed.types(&params), [oid::INT4, oid::UNKNOWN, oid::TEXT]);
        assert_eq!(ParamTyping::VoidNulls.types(&params), [oid::INT4, oid::VOID, oid::TEXT]);
    }
}
