//! Objects and their values, from JSON and msgpack by one visitor.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::columns::{COLUMN_KINDS, Column};
use super::encoding::ColumnDecoder;
use super::malformed::Malformed;
use super::record::SqlState;

/// A value as far as a column can hold it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Value<'a> {
    /// Absent, null, or of a kind that no column has.
    #[default]
    Absent,
    /// Text that the format says is Unicode.
    Text(Cow<'a, str>),
    /// Bytes that nobody has decoded.
    Bytes(Cow<'a, [u8]>),
    /// A whole number that is not negative.
    Integer(u64),
    /// Any other number.
    Number(f64),
    /// An object, where one is looked for.
    Object(Box<Columns<'a>>),
}

impl<'a> Value<'a> {
    /// The text of a column that PostgreSQL writes in ASCII; empty where it is not.
    pub(super) fn ascii(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).unwrap_or_default().into(),
            Self::Integer(number) => number.to_string().into(),
            Self::Number(number) => number.to_string().into(),
            Self::Absent | Self::Object(_) => Cow::Borrowed(""),
        }
    }

    pub(super) fn integer(&self) -> u64 {
        match self {
            Self::Integer(number) => *number,
            other => other.ascii().parse().unwrap_or(0),
        }
    }

    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Self::Integer(number) => Some(*number as f64),
            Self::Number(number) => Some(*number),
            other => other.ascii().trim().parse().ok(),
        }
        .filter(|number: &f64| number.is_finite() && *number >= 0.0)
    }

    pub(super) fn sqlstate(&self) -> SqlState {
        match self {
            // `00000` or `42601` that a shipper has made a number of.
            Self::Integer(number) => format!("{number:05}").parse(),
            other => other.ascii().parse(),
        }
        .unwrap_or(SqlState::SUCCESS)
    }

    /// The database's name, which decides how the rest is decoded.
    pub(super) fn decoded_with_default(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Bytes(Cow::Borrowed(bytes)) => String::from_utf8_lossy(bytes),
            other => other.into_plain_text(),
        }
    }

    pub(super) fn lossy(self, decoder: ColumnDecoder) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Bytes(Cow::Borrowed(bytes)) => decoder.lossy(bytes),
            Self::Bytes(Cow::Owned(bytes)) => Cow::Owned(decoder.lossy(&bytes).into_owned()),
            other => other.into_plain_text(),
        }
    }

    pub(super) fn exact(
        self,
        column: &'static str,
        decoder: ColumnDecoder,
    ) -> Result<Cow<'a, str>, Malformed> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Bytes(Cow::Borrowed(bytes)) => decoder.exact(column, bytes),
            Self::Bytes(Cow::Owned(bytes)) => {
                decoder.exact(column, &bytes).map(|text| Cow::Owned(text.into_owned()))
            }
            other => Ok(other.into_plain_text()),
        }
    }

    fn into_plain_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Bytes(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Absent | Self::Object(_) => Cow::Borrowed(""),
        }
    }
}

/// How many unknown keys are remembered for a warning.
const REMEMBERED_KEYS: usize = 3;

/// An object's values by column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Columns<'a> {
    pub(super) values: [Value<'a>; COLUMN_KINDS],
    unknown_keys: [Cow<'a, str>; REMEMBERED_KEYS],
}

impl<'a> Columns<'a> {
    pub(super) fn get(&self, column: Column) -> &Value<'a> {
        &self.values[column as usize]
    }

    pub(super) fn take(&mut self, column: Column) -> Value<'a> {
        std::mem::take(&mut self.values[column as usize])
    }

    /// The first value wins: `user_name` beside `user` is the same column twice.
    pub(super) fn set(&mut self, column: Column, value: Value<'a>) {
        let slot = &mut self.values[column as usize];
        if *slot == Value::Absent {
            *slot = value;
        }
    }

    /// Notes a key that names no column.
    pub(super) fn remember(&mut self, key: Cow<'a, str>) {
        if let Some(slot) = self.unknown_keys.iter_mut().find(|slot| slot.is_empty()) {
            *slot = key;
        }
    }

    /// Every value, changed.
    pub(super) fn map<'b>(self, change: impl Fn(Value<'a>) -> Value<'b>) -> Columns<'b> {
        Columns {
            values: self.values.map(change),
            unknown_keys: self.unknown_keys.map(|key| Cow::Owned(key.into_owned())),
        }
    }

    /// The first unknown keys, shortened, for a warning.
    pub(super) fn unknown_keys(&self) -> String {
        let keys = self.unknown_keys.iter().filter(|key| !key.is_empty());
        let shortened: Vec<String> =
            keys.map(|key| key.chars().take(24).flat_map(char::escape_debug).collect()).collect();
        if shortened.is_empty() { "none".to_owned() } else { shortened.join(", ") }
    }
}

/// Reads a [`Value`]; within it, objects are read to this depth and ignored below.
#[derive(Debug, Clone, Copy)]
pub(super) struct ValueSeed {
    /// How many more objects may stand within one another.
    pub(super) depth: u8,
}

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a log record")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'de>, E> {
        Ok(Value::Absent)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(u64::try_from(number).map_or(Value::Number(number as f64), Value::Integer))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Integer(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_string<E>(self, text: String) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text)))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Value<'de>, E> {
        Ok(Value::Bytes(Cow::Owned(bytes.to_owned())))
    }

    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Value<'de>, E> {
        Ok(Value::Bytes(Cow::Borrowed(bytes)))
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Absent)
    }

    fn visit_none<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Absent)
    }

    /// A msgpack extension: a type and bytes. fluentd's EventTime is type 0: seconds and
    /// nanoseconds, 32 bits each, big-endian (Fluentd Forward Protocol Specification).
    fn visit_newtype_struct<D: Deserializer<'de>>(self, ext: D) -> Result<Value<'de>, D::Error> {
        ext.deserialize_any(ExtensionVisitor)
    }

    /// `[time, record]`, as fluentd and fluent-bit keep their events. Of several objects the last
    /// is taken, so that fluent-bit's `[[time, metadata], record]` reads too.
    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value<'de>, A::Error> {
        let Some(depth) = self.depth.checked_sub(1) else {
            while elements.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Absent);
        };
        let mut time = Value::Absent;
        let mut object = None;
        while let Some(element) = elements.next_element_seed(Self { depth })? {
            match element {
                Value::Object(columns) => object = Some(columns),
                Value::Integer(_) | Value::Number(_) => time = element,
                _ => {}
            }
        }
        Ok(object.map_or(time.clone(), |mut columns| {
            columns.set(Column::EventTime, time);
            Value::Object(columns)
        }))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let Some(depth) = self.depth.checked_sub(1) else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Absent);
        };
        let mut columns = Box::new(Columns::default());
        while let Some(key) = map.next_key_seed(KeySeed)? {
            match key {
                Key::Column(column) => {
                    let depth = column.depth(depth);
                    columns.set(column, map.next_value_seed(Self { depth })?);
                }
                Key::Unknown(key) => {
                    map.next_value::<IgnoredAny>()?;
                    columns.remember(key);
                }
            }
        }
        Ok(Value::Object(columns))
    }
}

enum Key<'a> {
    Column(Column),
    Unknown(Cow<'a, str>),
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = Key<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
        Ok(Column::named(key).map_or_else(|| Key::Unknown(Cow::Owned(key.to_owned())), Key::Column))
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
        Ok(Column::named(key).map_or(Key::Unknown(Cow::Borrowed(key)), Key::Column))
    }

    fn visit_bytes<E: serde::de::Error>(self, key: &[u8]) -> Result<Key<'de>, E> {
        self.visit_str(&String::from_utf8_lossy(key))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Key<'de>, E> {
        Ok(Key::Unknown(Cow::Borrowed("(a number)")))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Key<'de>, E> {
        Ok(Key::Unknown(Cow::Borrowed("(a number)")))
    }
}

struct ExtensionVisitor;

impl<'de> Visitor<'de> for ExtensionVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a msgpack extension")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Value<'de>, A::Error> {
        let flat = ValueSeed { depth: 0 };
        let kind = parts.next_element_seed(flat)?;
        let data = parts.next_element_seed(flat)?;
        if let (Some(Value::Integer(0)), Some(Value::Bytes(data))) = (kind, data)
            && let Some((seconds, nanos)) = data.split_first_chunk::<4>()
            && let Ok(nanos) = <[u8; 4]>::try_from(nanos)
        {
            let seconds = f64::from(u32::from_be_bytes(*seconds));
            return Ok(Value::Number(seconds + f64::from(u32::from_be_bytes(nanos)) / 1e9));
        }
        Ok(Value::Absent)
    }
}
