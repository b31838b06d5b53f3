//! Database encodings. One log file holds the bytes of every database, each in its own encoding.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use super::malformed::Malformed;

mod logged;

pub(super) use logged::LoggedChanges;

/// The encoding of a PostgreSQL database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    name: &'static str,
    codec: Codec,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    /// UTF-8, and SQL_ASCII, of which nothing else is known.
    Utf8,
    /// ISO-8859-1: every byte is the code point of its value.
    Latin1,
    /// A codec whose bytes 0x80 to 0x9f are the control characters U+0080 to U+009F in ISO's (and
    /// PostgreSQL's) definition, where the Encoding Standard has printable ones.
    IsoControls(&'static encoding_rs::Encoding),
    /// The Encoding Standard's codec of this encoding.
    Standard(&'static encoding_rs::Encoding),
}

/// PostgreSQL's names, without hyphens, underscores and case, the name it prints, and the codec.
/// EUC_TW, EUC_JIS_2004, JOHAB and MULE_INTERNAL have no codec here.
const ENCODINGS: &[(&str, &str, Codec)] = &[
    ("UTF8", "UTF8", Codec::Utf8),
    ("UNICODE", "UTF8", Codec::Utf8),
    ("SQLASCII", "SQL_ASCII", Codec::Utf8),
    ("LATIN1", "LATIN1", Codec::Latin1),
    ("ISO88591", "LATIN1", Codec::Latin1),
    ("LATIN2", "LATIN2", Codec::Standard(encoding_rs::ISO_8859_2)),
    ("ISO88592", "LATIN2", Codec::Standard(encoding_rs::ISO_8859_2)),
    ("LATIN3", "LATIN3", Codec::Standard(encoding_rs::ISO_8859_3)),
    ("ISO88593", "LATIN3", Codec::Standard(encoding_rs::ISO_8859_3)),
    ("LATIN4", "LATIN4", Codec::Standard(encoding_rs::ISO_8859_4)),
    ("ISO88594", "LATIN4", Codec::Standard(encoding_rs::ISO_8859_4)),
    ("LATIN5", "LATIN5", Codec::IsoControls(encoding_rs::WINDOWS_1254)),
    ("ISO88599", "LATIN5", Codec::IsoControls(encoding_rs::WINDOWS_1254)),
    ("LATIN6", "LATIN6", Codec::Standard(encoding_rs::ISO_8859_10)),
    ("ISO885910", "LATIN6", Codec::Standard(encoding_rs::ISO_8859_10)),
    ("LATIN7", "LATIN7", Codec::Standard(encoding_rs::ISO_8859_13)),
    ("ISO885913", "LATIN7", Codec::Standard(encoding_rs::ISO_8859_13)),
    ("LATIN8", "LATIN8", Codec::Standard(encoding_rs::ISO_8859_14)),
    ("ISO885914", "LATIN8", Codec::Standard(encoding_rs::ISO_8859_14)),
    ("LATIN9", "LATIN9", Codec::Standard(encoding_rs::ISO_8859_15)),
    ("ISO885915", "LATIN9", Codec::Standard(encoding_rs::ISO_8859_15)),
    ("LATIN10", "LATIN10", Codec::Standard(encoding_rs::ISO_8859_16)),
    ("ISO885916", "LATIN10", Codec::Standard(encoding_rs::ISO_8859_16)),
    ("ISO88595", "ISO_8859_5", Codec::Standard(encoding_rs::ISO_8859_5)),
    ("ISO88596", "ISO_8859_6", Codec::Standard(encoding_rs::ISO_8859_6)),
    ("ISO88597", "ISO_8859_7", Codec::Standard(encoding_rs::ISO_8859_7)),
    ("ISO88598", "ISO_8859_8", Codec::Standard(encoding_rs::ISO_8859_8)),
    ("WIN866", "WIN866", Codec::Standard(encoding_rs::IBM866)),
    ("ALT", "WIN866", Codec::Standard(encoding_rs::IBM866)),
    ("WIN874", "WIN874", Codec::Standard(encoding_rs::WINDOWS_874)),
    ("WIN1250", "WIN1250", Codec::Standard(encoding_rs::WINDOWS_1250)),
    ("WIN1251", "WIN1251", Codec::Standard(encoding_rs::WINDOWS_1251)),
    ("WIN", "WIN1251", Codec::Standard(encoding_rs::WINDOWS_1251)),
    ("WIN1252", "WIN1252", Codec::Standard(encoding_rs::WINDOWS_1252)),
    ("WIN1253", "WIN1253", Codec::Standard(encoding_rs::WINDOWS_1253)),
    ("WIN1254", "WIN1254", Codec::Standard(encoding_rs::WINDOWS_1254)),
    ("WIN1255", "WIN1255", Codec::Standard(encoding_rs::WINDOWS_1255)),
    ("WIN1256", "WIN1256", Codec::Standard(encoding_rs::WINDOWS_1256)),
    ("WIN1257", "WIN1257", Codec::Standard(encoding_rs::WINDOWS_1257)),
    ("WIN1258", "WIN1258", Codec::Standard(encoding_rs::WINDOWS_1258)),
    ("ABC", "WIN1258", Codec::Standard(encoding_rs::WINDOWS_1258)),
    ("TCVN", "WIN1258", Codec::Standard(encoding_rs::WINDOWS_1258)),
    ("TCVN5712", "WIN1258", Codec::Standard(encoding_rs::WINDOWS_1258)),
    ("VSCII", "WIN1258", Codec::Standard(encoding_rs::WINDOWS_1258)),
    ("KOI8", "KOI8R", Codec::Standard(encoding_rs::KOI8_R)),
    ("KOI8R", "KOI8R", Codec::Standard(encoding_rs::KOI8_R)),
    ("KOI8U", "KOI8U", Codec::Standard(encoding_rs::KOI8_U)),
    ("EUCJP", "EUC_JP", Codec::Standard(encoding_rs::EUC_JP)),
    ("EUCCN", "EUC_CN", Codec::Standard(encoding_rs::GBK)),
    ("EUCKR", "EUC_KR", Codec::Standard(encoding_rs::EUC_KR)),
    ("UHC", "UHC", Codec::Standard(encoding_rs::EUC_KR)),
    ("WIN949", "UHC", Codec::Standard(encoding_rs::EUC_KR)),
    ("SJIS", "SJIS", Codec::Standard(encoding_rs::SHIFT_JIS)),
    ("SHIFTJIS", "SJIS", Codec::Standard(encoding_rs::SHIFT_JIS)),
    ("MSKANJI", "SJIS", Codec::Standard(encoding_rs::SHIFT_JIS)),
    ("WIN932", "SJIS", Codec::Standard(encoding_rs::SHIFT_JIS)),
    ("GBK", "GBK", Codec::Standard(encoding_rs::GBK)),
    ("WIN936", "GBK", Codec::Standard(encoding_rs::GBK)),
    ("GB18030", "GB18030", Codec::Standard(encoding_rs::GB18030)),
    ("BIG5", "BIG5", Codec::Standard(encoding_rs::BIG5)),
    ("WIN950", "BIG5", Codec::Standard(encoding_rs::BIG5)),
];

/// The encodings that a database can have, by PostgreSQL's numbers (`pg_enc` in `pg_wchar.h`).
#[rustfmt::skip]
const NUMBERED: &[&str] = &[
    "SQL_ASCII", "EUC_JP", "EUC_CN", "EUC_KR", "EUC_TW", "EUC_JIS_2004", "UTF8", "MULE_INTERNAL",
    "LATIN1", "LATIN2", "LATIN3", "LATIN4", "LATIN5", "LATIN6", "LATIN7", "LATIN8", "LATIN9",
    "LATIN10", "WIN1256", "WIN1258", "WIN866", "WIN874", "KOI8R", "WIN1251", "WIN1252",
    "ISO_8859_5", "ISO_8859_6", "ISO_8859_7", "ISO_8859_8", "WIN1250", "WIN1253", "WIN1254",
    "WIN1255", "WIN1257", "KOI8U",
];

impl Encoding {
    /// UTF-8.
    pub const UTF8: Self = Self { name: "UTF8", codec: Codec::Utf8 };

    /// The encoding that PostgreSQL calls so, whatever its case, hyphens and underscores
    /// (`UTF8`, `utf-8`, `LATIN1`, `EUC_JP`); `None` where the name is unknown or the encoding
    /// cannot be read (EUC_TW, EUC_JIS_2004, JOHAB, MULE_INTERNAL).
    pub fn from_postgres_name(name: &str) -> Option<Self> {
        let plain: String =
            name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_uppercase();
        let plain = plain.replace("WINDOWS", "WIN");
        let &(_, name, codec) = ENCODINGS.iter().find(|(spelling, ..)| *spelling == plain)?;
        Some(Self { name, codec })
    }

    /// The encoding of a database that PostgreSQL numbers so; `None` where there is none, or it cannot
    /// be read.
    pub fn from_postgres_number(number: usize) -> Option<Self> {
        Self::from_postgres_name(NUMBERED.get(number)?)
    }

    /// The name as PostgreSQL prints it.
    pub fn postgres_name(&self) -> &'static str {
        self.name
    }

    /// Whether text in this encoding can be taken as it is: UTF-8, and SQL_ASCII as far as it is
    /// UTF-8.
    pub(super) fn is_utf8(self) -> bool {
        self.codec == Codec::Utf8
    }

    /// The text of these bytes; `None` where they are not valid in this encoding.
    pub fn decode<'a>(&self, bytes: &'a [u8]) -> Option<Cow<'a, str>> {
        match self.codec {
            Codec::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Codec::Latin1 => Some(encoding_rs::mem::decode_latin1(bytes)),
            Codec::IsoControls(codec) => Some(decode_iso_controls(codec, bytes)),
            Codec::Standard(codec) => {
                codec.decode_without_bom_handling_and_without_replacement(bytes)
            }
        }
    }

    /// The text of these bytes, with U+FFFD for what is not valid in this encoding.
    pub fn decode_lossy<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        match self.codec {
            Codec::Utf8 => String::from_utf8_lossy(bytes),
            Codec::Latin1 => encoding_rs::mem::decode_latin1(bytes),
            Codec::IsoControls(codec) => decode_iso_controls(codec, bytes),
            Codec::Standard(codec) => codec.decode_without_bom_handling(bytes).0,
        }
    }
}

/// Decodes a single-byte encoding, but 0x80 to 0x9f one to one.
fn decode_iso_controls<'a>(codec: &'static encoding_rs::Encoding, bytes: &'a [u8]) -> Cow<'a, str> {
    if !bytes.iter().any(|byte| (0x80..=0x9f).contains(byte)) {
        return codec.decode_without_bom_handling(bytes).0;
    }
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
    for piece in bytes.chunk_by(|a, b| (0x80..=0x9f).contains(a) == (0x80..=0x9f).contains(b)) {
        if (0x80..=0x9f).contains(&piece[0]) {
            text.extend(piece.iter().map(|&byte| char::from(byte)));
        } else {
            text.push_str(&codec.decode_without_bom_handling(piece).0);
        }
    }
    Cow::Owned(text)
}

impl Default for Encoding {
    fn default() -> Self {
        Self::UTF8
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Which database of the source has which encoding; UTF-8 unless said otherwise.
#[derive(Debug, Clone, Default)]
pub struct Encodings {
    default: Encoding,
    by_database: HashMap<String, Encoding>,
}

impl Encodings {
    /// Every database has this encoding, as long as nothing else is said.
    pub fn all(default: Encoding) -> Self {
        Self { default, by_database: HashMap::new() }
    }

    /// This database has this encoding.
    pub fn insert(&mut self, database: impl Into<String>, encoding: Encoding) {
        self.by_database.insert(database.into(), encoding);
    }

    /// What a database's encoding was known to be, now that it is this; `None`: the one of all others.
    fn set(&mut self, database: String, encoding: Option<Encoding>) -> Option<Encoding> {
        match encoding {
            Some(encoding) => self.by_database.insert(database, encoding),
            None => self.by_database.remove(&database),
        }
    }

    /// What a database's encoding is known to be.
    fn known(&self, database: &str) -> Option<Encoding> {
        self.by_database.get(database).copied()
    }

    /// The encoding of a database.
    pub fn of(&self, database: &str) -> Encoding {
        self.known(database).unwrap_or(self.default)
    }

    /// Whether no database can have another encoding than UTF-8, so that valid UTF-8 needs no
    /// look-up.
    pub(super) fn are_utf8(&self) -> bool {
        self.default.is_utf8() && self.by_database.values().all(|encoding| encoding.is_utf8())
    }
}

impl FromIterator<(String, Encoding)> for Encodings {
    fn from_iter<I: IntoIterator<Item = (String, Encoding)>>(encodings: I) -> Self {
        Self { default: Encoding::UTF8, by_database: encodings.into_iter().collect() }
    }
}

/// Turns the bytes of one record's columns into text, by the encoding of its database.
#[derive(Debug, Clone, Copy)]
pub(super) struct ColumnDecoder {
    encoding: Encoding,
    /// A record of no database (the postmaster's) may hold bytes of any.
    has_database: bool,
}

impl ColumnDecoder {
    /// For a record of this database; the name is empty where there is none.
    pub(super) fn new(encodings: &Encodings, database: &str) -> Self {
        Self { encoding: encodings.of(database), has_database: !database.is_empty() }
    }

    /// A column that a replay sends or decides by: message, detail, query.
    pub(super) fn exact<'a>(
        &self,
        column: &'static str,
        bytes: &'a [u8],
    ) -> Result<Cow<'a, str>, Malformed> {
        if !self.has_database {
            return Ok(self.lossy(bytes));
        }
        self.encoding
            .decode(bytes)
            .ok_or(Malformed::Undecodable { column, encoding: self.encoding.postgres_name() })
    }

    /// Any other column: better with a replacement character than not at all.
    pub(super) fn lossy<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        self.encoding.decode_lossy(bytes)
    }
}

#[cfg(test)]
mod tests;
