//! The types whose values can be told apart by their text.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::computation::NUMBER;

/// A type of key columns, as far as equality goes: values that PostgreSQL takes for equal are
/// written alike here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum KeyType {
    Integer,
    /// With the most characters that fit.
    Text(Option<usize>),
    /// `character(n)`: blanks at the end don't count.
    Padded,
    Uuid,
    Bool,
    Date,
    /// With the most decimal places that fit.
    Numeric(Option<usize>),
}

impl KeyType {
    /// The type with this OID (`pg_type.dat`; they never change) and modifier.
    pub(super) fn of(oid: u32, modifier: i32) -> Option<Self> {
        let modifier = usize::try_from(modifier - 4).ok();
        match oid {
            20 | 21 | 23 | 26 => Some(Self::Integer),
            25 | 1043 => Some(Self::Text(modifier)),
            1042 => Some(Self::Padded),
            2950 => Some(Self::Uuid),
            16 => Some(Self::Bool),
            1082 => Some(Self::Date),
            1700 => match modifier.map(|modifier| modifier & 0x7ff) {
                // A scale below zero rounds.
                Some(1024..) => None,
                scale => Some(Self::Numeric(scale)),
            },
            _ => None,
        }
    }

    /// Whether a cast to the type by this name leaves a value of this one what it is.
    pub(super) fn takes(self, type_name: &str) -> bool {
        let names: &[&str] = match self {
            Self::Integer => &["int2", "int4", "int8", "oid", NUMBER],
            Self::Text(_) => &["text", "varchar"],
            Self::Padded => &["bpchar", "text", "varchar"],
            Self::Uuid => &["uuid"],
            Self::Bool => &["bool"],
            Self::Date => &["date"],
            Self::Numeric(_) => &["numeric", "int2", "int4", "int8", NUMBER],
        };
        names.contains(&type_name)
    }

    /// Whether a value that went through a column of this type is still told by its text in a key of
    /// another.
    pub(super) fn keeps_for(self, key: Self) -> bool {
        let widens = matches!(
            (self, key),
            (Self::Text(None), Self::Text(_)) | (Self::Numeric(None), Self::Numeric(_))
        );
        self == key || widens
    }

    /// Adds a value to a key; `false` if it can't be read.
    pub(super) fn write(self, text: &str, key: &mut impl Hasher) -> bool {
        match self {
            Self::Integer => hash(text.trim_matches(is_blank).parse::<i64>().ok(), key),
            Self::Text(Some(most)) if text.len() > most && text.chars().count() > most => false,
            Self::Text(_) => hash(Some(text), key),
            Self::Padded => hash(Some(text.trim_end_matches(' ')), key),
            Self::Uuid => hash(uuid(text), key),
            Self::Bool => hash(boolean(text.trim_matches(is_blank)), key),
            Self::Date => hash(date(text.trim_matches(is_blank)), key),
            Self::Numeric(scale) => hash(decimal(text.trim_matches(is_blank), scale), key),
        }
    }
}

fn hash<T: Hash>(value: Option<T>, key: &mut impl Hasher) -> bool {
    value.inspect(|value| value.hash(key)).is_some()
}

/// What PostgreSQL's input functions skip.
fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn uuid(text: &str) -> Option<u128> {
    let inner = text.strip_prefix('{').map_or(Some(text), |inner| inner.strip_suffix('}'))?;
    let mut digits = 0;
    let mut value = 0u128;
    let mut after_hyphen = true;
    for byte in inner.bytes() {
        // A hyphen may stand behind every fourth digit.
        if byte == b'-' && digits % 4 == 0 && !after_hyphen {
            after_hyphen = true;
            continue;
        }
        after_hyphen = false;
        digits += 1;
        value = value << 4 | u128::from(char::from(byte).to_digit(16)?);
    }
    (digits == 32 && !after_hyphen).then_some(value)
}

fn boolean(text: &str) -> Option<bool> {
    let is = |word: &str, least: usize| {
        text.len() >= least
            && text.len() <= word.len()
            && word.as_bytes()[..text.len()].eq_ignore_ascii_case(text.as_bytes())
    };
    if is("true", 1) || is("yes", 1) || is("on", 2) || text == "1" {
        Some(true)
    } else if is("false", 1) || is("no", 1) || is("off", 2) || text == "0" {
        Some(false)
    } else {
        None
    }
}

/// `2026-11-22`, which means the same in every DateStyle.
fn date(text: &str) -> Option<[u8; 10]> {
    let bytes: [u8; 10] = text.as_bytes().try_into().ok()?;
    let fits = bytes.iter().enumerate().all(|(at, byte)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    fits.then_some(bytes)
}

/// The sign, the digits before the point without leading zeros, those behind it without trailing.
fn decimal(text: &str, scale: Option<usize>) -> Option<(bool, &str, &str)> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    if scale.is_some_and(|scale| fraction.len() > scale) {
        return None;
    }
    let is_zero = whole.is_empty() && fraction.is_empty();
    Some((is_negative && !is_zero, whole, fraction))
}

/// The elements of an array's text as PostgreSQL writes it, of types that need no quotes; `None` for
/// anything else. A NULL element is `None`.
pub(super) fn elements(text: &str) -> Option<Vec<Option<&str>>> {
    let inner = text.trim_matches(is_blank).strip_prefix('{')?.strip_suffix('}')?;
    if inner.contains(['{', '}', '"', '\\']) {
        return None;
    }
    if inner.trim_matches(is_blank).is_empty() {
        return Some(Vec::new());
    }
    let elements = inner.split(',').map(|element| element.trim_matches(is_blank));
    let elements =
        elements.map(|element| (!element.eq_ignore_ascii_case("null")).then_some(element));
    Some(elements.collect())
}

/// The hasher of keys: the same in all of a process's life.
pub(super) fn hasher() -> DefaultHasher {
    DefaultHasher::new()
}
