//! What a record's detail says: parameters, or the text of a PREPARE.

use std::borrow::Cow;

/// A parameter in text form; `None` is NULL.
pub type Parameter<'a> = Option<Cow<'a, str>>;

/// The detail of a statement's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail<'a> {
    /// The values of `$1`, `$2`, …
    Parameters(Vec<Parameter<'a>>),
    /// The PREPARE that an EXECUTE refers to.
    Prepare(&'a str),
    /// It announces parameters but does not list them as PostgreSQL does: it is damaged.
    Unreadable,
    /// Neither.
    None,
}

/// Reads a detail. PostgreSQL 17 changed `parameters: ` to `Parameters: `.
pub fn read_detail(detail: &str) -> Detail<'_> {
    if let Some(list) =
        detail.strip_prefix("parameters: ").or_else(|| detail.strip_prefix("Parameters: "))
    {
        match parameter_list(list) {
            Some((parameters, "")) => Detail::Parameters(parameters),
            _ => Detail::Unreadable,
        }
    } else if let Some(text) = read_prepared(detail) {
        Detail::Prepare(text)
    } else {
        Detail::None
    }
}

/// The PREPARE of what an EXECUTE has run, from its detail.
pub fn read_prepared(detail: &str) -> Option<&str> {
    detail.strip_prefix("prepare: ")
}

/// The parameters of a failed statement, from the context of its ERROR record: a line
/// `unnamed portal with parameters: …` or `portal "x" with parameters: …`, which
/// `log_parameter_max_length_on_error` adds. `None` where there is none, as by default.
pub fn read_error_parameters(context: &str) -> Option<Vec<Parameter<'_>>> {
    const ANNOUNCED: &str = " with parameters: ";
    let mut from = 0;
    while let Some(found) = context[from..].find(ANNOUNCED) {
        let at = from + found;
        from = at + ANNOUNCED.len();
        // A portal's name may hold line feeds, but a line that begins as this one does is enough.
        let line = context[..at].rfind('\n').map_or(0, |line_feed| line_feed + 1);
        let portal = &context[line..at];
        let is_portal = portal == "unnamed portal"
            || (portal.starts_with("portal \"") && portal.len() > 8 && portal.ends_with('"'));
        if is_portal
            && let Some((parameters, rest)) = parameter_list(&context[from..])
            && (rest.is_empty() || rest.starts_with('\n'))
        {
            return Some(parameters);
        }
    }
    None
}

/// Reads `$1 = 'v', $2 = NULL, …`, in which only quotes are doubled, and gives what follows.
/// `None` where the list is not whole, or its numbers do not count from 1.
fn parameter_list(mut rest: &str) -> Option<(Vec<Parameter<'_>>, &str)> {
    let mut parameters = Vec::new();
    loop {
        let (number, value) = rest.strip_prefix('$')?.split_once(" = ")?;
        if number.parse() != Ok(parameters.len() + 1) {
            return None;
        }
        let after = if let Some(after) = value.strip_prefix("NULL") {
            parameters.push(None);
            after
        } else {
            let (text, after) = quoted(value.strip_prefix('\'')?)?;
            parameters.push(Some(text));
            after
        };
        match after.strip_prefix(", ") {
            Some(more) => rest = more,
            None => return Some((parameters, after)),
        }
    }
}

/// The text up to the closing quote, with its quotes single, and what follows.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut doubled = false;
    let mut from = 0;
    let end = loop {
        let quote = from + memchr::memchr(b'\'', &text.as_bytes()[from..])?;
        if text.as_bytes().get(quote + 1) != Some(&b'\'') {
            break quote;
        }
        doubled = true;
        from = quote + 2;
    };
    let (value, after) = (&text[..end], &text[end + 1..]);
    let value = if doubled { Cow::Owned(value.replace("''", "'")) } else { Cow::Borrowed(value) };
    Some((value, after))
}

#[cfg(test)]
mod tests;
