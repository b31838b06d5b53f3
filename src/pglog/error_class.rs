//! The classes of errors.

use super::SqlState;

/// The SQLSTATE classes of PostgreSQL 18's errors (its `errcodes.txt`), sorted.
pub const ERROR_CLASSES: [&str; 40] = [
    "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "10", "20", "21", "22", "23", "24", "25",
    "26", "27", "28", "2B", "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40", "42", "44", "53",
    "54", "55", "57", "58", "F0", "HV", "P0", "XX",
];
/// The class of a SQLSTATE that PostgreSQL does not know: one that a function made up.
pub const OTHER_CLASS: &str = "other";

/// The class of an error: one of [`ERROR_CLASSES`], or [`OTHER_CLASS`].
pub fn error_class(code: SqlState) -> &'static str {
    let known = ERROR_CLASSES.binary_search(&code.class());
    known.map_or(OTHER_CLASS, |index| ERROR_CLASSES[index])
}

#[cfg(test)]
mod tests;
