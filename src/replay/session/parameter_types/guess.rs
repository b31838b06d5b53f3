//! The types that a value may have had, from the way it is written.
//!
//! Values are logged as their type's output function writes them, which is what is recognised; dates
//! and times in the ISO format, intervals in every `IntervalStyle`.

use smallvec::{SmallVec, smallvec};

use super::oid;

/// Types by OID, the most likely first. Behind `text` stand those that hardly any value like this has.
pub(super) type Candidates = SmallVec<[u32; 8]>;

/// The types that a parameter with this value may have had; for a NULL the server's choice is the first.
///
/// `ranges`: the statement works with ranges, so that what can be one or a JSON array is a range.
pub(super) fn candidates(value: Option<&str>, ranges: bool) -> Candidates {
    let Some(value) = value else { return of_null() };
    let mut candidates = match value.as_bytes() {
        b"t" | b"f" => smallvec![oid::BOOL],
        b"NaN" | b"Infinity" | b"-Infinity" => smallvec![oid::FLOAT8, oid::NUMERIC],
        b"infinity" | b"-infinity" => smallvec![oid::TIMESTAMPTZ, oid::TIMESTAMP, oid::DATE],
        b"empty" => all_ranges(),
        [b'\\', b'x', ..] => smallvec![oid::BYTEA],
        [b'{', .., b'}'] => within_braces(value, ranges),
        [b'<', b'(', .., b'>'] => smallvec![oid::CIRCLE],
        [b'[' | b'(', .., b']' | b')'] => within_brackets(value, ranges),
        _ => scalar(value),
    };
    let text = if candidates.first().is_some_and(|first| is_array(*first)) {
        candidates.extend([oid::TEXT_ARRAY].into_iter().filter(|_| value.starts_with('{')));
        &[oid::JSONB, oid::TEXT][usize::from(value != "{}")..]
    } else {
        &[oid::TEXT][..]
    };
    // A word of the language rather than a range.
    let at = if value == "empty" && !ranges { 0 } else { candidates.len() };
    candidates.insert_from_slice(at, text);
    candidates.extend(unlikely(value));
    dedup(candidates)
}

/// What a NULL may be: any type will do that the statement takes.
fn of_null() -> Candidates {
    smallvec![
        oid::UNKNOWN,
        oid::TEXT,
        oid::INT4,
        oid::NUMERIC,
        oid::TIMESTAMPTZ,
        oid::DATE,
        oid::JSONB,
        oid::BOOL,
        oid::UUID,
        oid::TEXT_ARRAY,
        oid::INT4_ARRAY,
        oid::INTERVAL,
    ]
}

/// What a value may be rather than text where nothing else is taken.
fn unlikely(value: &str) -> Candidates {
    match value.as_bytes() {
        b"{}" => [oid::JSONB_ARRAY].into_iter().chain(all_multiranges()).collect(),
        b"true" | b"false" | b"null" | [b'"', .., b'"'] => smallvec![oid::JSONB],
        [b'<', .., b'>'] => smallvec![oid::XML],
        bits if bits.iter().all(|bit| matches!(bit, b'0' | b'1')) => {
            smallvec![oid::BIT, oid::JSONB]
        }
        [b'-' | b'0'..=b'9', ..] if number(value).is_some() => smallvec![oid::JSONB],
        _ => Candidates::new(),
    }
}

/// Whether a value can be of this type, as far as its text tells.
pub(super) fn fits(oid: u32, value: Option<&str>) -> bool {
    match (oid, value) {
        (oid::VOID, value) => value.is_none(),
        (oid::UNKNOWN | oid::TEXT, _) | (_, None) => true,
        (oid, Some("{}")) if is_array(oid) => true,
        (oid, value) => candidates(value, true).contains(&oid),
    }
}

/// The type that fits this value and, as far as can be told, those that were of the type before.
pub(super) fn widened(oid: u32, value: Option<&str>) -> u32 {
    let wider: &[u32] = match oid {
        // Nothing but NULLs was of it.
        oid::VOID => return candidates(value, true).first().copied().unwrap_or(oid::TEXT),
        oid::INT2 => &[oid::INT4, oid::INT8, oid::NUMERIC, oid::FLOAT8],
        oid::INT4 => &[oid::INT8, oid::NUMERIC, oid::FLOAT8],
        oid::INT8 => &[oid::NUMERIC, oid::FLOAT8],
        oid::DATE => &[oid::TIMESTAMP, oid::TIMESTAMPTZ],
        oid::TIMESTAMP => &[oid::TIMESTAMPTZ],
        oid::TIME => &[oid::INTERVAL],
        oid::INT4_ARRAY => &[oid::INT8_ARRAY, oid::NUMERIC_ARRAY, oid::TEXT_ARRAY],
        oid::INT8_ARRAY => &[oid::NUMERIC_ARRAY, oid::TEXT_ARRAY],
        oid::DATE_ARRAY => &[oid::TIMESTAMP_ARRAY, oid::TIMESTAMPTZ_ARRAY, oid::TEXT_ARRAY],
        oid::TIMESTAMP_ARRAY => &[oid::TIMESTAMPTZ_ARRAY, oid::TEXT_ARRAY],
        oid::INT4_RANGE => &[oid::INT8_RANGE, oid::NUM_RANGE],
        oid::INT8_RANGE => &[oid::NUM_RANGE],
        array if is_array(array) => &[oid::TEXT_ARRAY],
        _ => &[],
    };
    wider.iter().copied().find(|oid| fits(*oid, value)).unwrap_or(oid::TEXT)
}

fn scalar(value: &str) -> Candidates {
    number(value)
        .or_else(|| date_or_time(value))
        .or_else(|| uuid(value).then(|| smallvec![oid::UUID]))
        .or_else(|| interval(value).then(|| smallvec![oid::INTERVAL]))
        .or_else(|| hardware_address(value))
        .or_else(|| money(value).then(|| smallvec![oid::MONEY]))
        .unwrap_or_else(|| {
            let is_address = value.contains(['.', ':'])
                && value.bytes().all(|b| b.is_ascii_hexdigit() || b".:/".contains(&b));
            if is_address { smallvec![oid::TEXT, oid::INET] } else { Candidates::new() }
        })
}

fn number(value: &str) -> Option<Candidates> {
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
        Some(exponent) => is_digits(exponent.trim_start_matches(['+', '-']))
            .then(|| smallvec![oid::FLOAT8, oid::NUMERIC]),
        None if mantissa.contains('.') => Some(smallvec![oid::NUMERIC, oid::FLOAT8]),
        None if value.parse::<i32>().is_ok() => {
            let mut whole = smallvec![oid::INT4, oid::INT8, oid::NUMERIC, oid::FLOAT8];
            whole.extend([oid::INT2].into_iter().filter(|_| value.parse::<i16>().is_ok()));
            Some(whole)
        }
        None if value.parse::<i64>().is_ok() => {
            Some(smallvec![oid::INT8, oid::NUMERIC, oid::FLOAT8])
        }
        None => Some(smallvec![oid::NUMERIC, oid::FLOAT8]),
    }
}

fn matches(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| {
            if wanted == b'9' { byte.is_ascii_digit() } else { byte == wanted }
        })
}

/// `2026-11-22`, `2026-11-22 10:00:00.123`, `2026-11-22 10:00:00+00`; a `T` between the two as
/// JSON has it. `10:00:00` is a time of day or, more often where the server can't tell, an interval.
fn date_or_time(value: &str) -> Option<Candidates> {
    let value = value.strip_suffix(" BC").unwrap_or(value);
    let year = value.bytes().take_while(u8::is_ascii_digit).count();
    let date = value.get(..year + 6).filter(|date| year >= 4 && matches(&date[year..], "-99-99"));
    let Some(date) = date else {
        let rest = value.get(..8).filter(|clock| matches(clock, "99:99:99"));
        return match zone_behind_clock(value) {
            _ if rest.is_none() => None,
            Some(Zone::None) => Some(smallvec![oid::INTERVAL, oid::TIME]),
            Some(Zone::Some) => Some(smallvec![oid::TIMETZ]),
            None => None,
        };
    };
    let Some(time) = value[date.len()..].strip_prefix([' ', 'T']) else {
        let all = smallvec![oid::DATE, oid::TIMESTAMP, oid::TIMESTAMPTZ];
        return (value.len() == date.len()).then_some(all);
    };
    match zone_behind_clock(time)? {
        Zone::None => Some(smallvec![oid::TIMESTAMP, oid::TIMESTAMPTZ]),
        Zone::Some => Some(smallvec![oid::TIMESTAMPTZ]),
    }
}

enum Zone {
    None,
    Some,
}

/// What follows `10:00:00` or `10:00:00.123`; `None` where no time of day stands.
fn zone_behind_clock(time: &str) -> Option<Zone> {
    let clock = time.get(..8).filter(|clock| matches(clock, "99:99:99"))?;
    let mut rest = &time[clock.len()..];
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    match rest {
        "" => Some(Zone::None),
        "Z" => Some(Zone::Some),
        zone => {
            let offset = zone.strip_prefix(['+', '-'])?;
            let patterns = ["99", "99:99", "99:99:99", "9999"];
            patterns.iter().any(|pattern| matches(offset, pattern)).then_some(Zone::Some)
        }
    }
}

/// `1 mon 2 days 03:04:05`, `-1 days` (postgres), `@ 1 mon 2 days ago` (postgres_verbose), `+1-2 -3
/// +4:05:06` (sql_standard), `P1M2DT3H4M5S` (iso_8601), `100:00:00`.
fn interval(value: &str) -> bool {
    let is_number = |text: &str| {
        let digits = text.trim_start_matches(['+', '-']);
        digits.bytes().any(|b| b.is_ascii_digit())
            && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    let is_clock = |text: &str| {
        let parts: SmallVec<[&str; 3]> = text.trim_start_matches(['+', '-']).split(':').collect();
        parts.len() == 3 && parts.iter().all(|part| is_number(part))
    };
    if let Some(iso) = value.strip_prefix('P') {
        return !iso.is_empty()
            && iso.bytes().any(|b| b.is_ascii_digit())
            && iso.ends_with(|last: char| last.is_ascii_uppercase())
            && iso.bytes().all(|b| b.is_ascii_digit() || b"YMWDTHS.-".contains(&b));
    }
    let verbose = value.strip_prefix("@ ");
    let text = verbose.unwrap_or(value).strip_suffix(" ago").unwrap_or(verbose.unwrap_or(value));
    let words: SmallVec<[&str; 12]> = text.split(' ').collect();
    let units = ["year", "mon", "day", "hour", "min", "sec", "week", "month", "minute", "second"];
    let is_unit = |word: &&str| units.contains(&word.strip_suffix('s').unwrap_or(word));
    let mut at = 0;
    let mut told = false;
    while let Some(word) = words.get(at) {
        if is_number(word) && words.get(at + 1).is_some_and(is_unit) {
            at += 2;
        } else if is_clock(word) && at + 1 == words.len() {
            at += 1;
        } else {
            return told && is_sql_standard(&words[at..]) || at == 0 && is_sql_standard(&words);
        }
        told = true;
    }
    told
}

/// `1-2 3 4:05:06`, each with a sign perhaps: years and months, days, and time. `1-2` alone is rather a
/// code.
fn is_sql_standard(words: &[&str]) -> bool {
    let unsigned = |word: &&str| word.trim_start_matches(['+', '-']).to_owned();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_clock = |word: &str| {
        word.contains(':') && word.bytes().all(|b| b.is_ascii_digit() || b":.".contains(&b))
    };
    let months = |word: &str| {
        word.split_once('-').is_some_and(|(years, months)| digits(years) && digits(months))
    };
    let words: SmallVec<[String; 3]> = words.iter().map(unsigned).collect();
    match words.as_slice() {
        [one, two] => digits(one) && is_clock(two),
        [one, two, three] => months(one) && digits(two) && is_clock(three),
        _ => false,
    }
}

fn uuid(value: &str) -> bool {
    value.len() == 36
        && value.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `08:00:2b:01:02:03`, or eight pairs of digits.
fn hardware_address(value: &str) -> Option<Candidates> {
    let is_pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    if !value.split(':').all(is_pair) {
        return None;
    }
    match value.len() {
        17 => Some(smallvec![oid::MACADDR]),
        23 => Some(smallvec![oid::MACADDR8]),
        _ => None,
    }
}

/// `$1,234.50`, `-$1.00`, with the symbol of some currency before or behind.
fn money(value: &str) -> bool {
    let is_symbol = |c: char| "$\u{20ac}\u{a3}\u{a5}".contains(c);
    let unsigned = value.strip_prefix('-').unwrap_or(value);
    let amount = unsigned.trim_matches(|c: char| is_symbol(c) || c == ' ');
    amount.len() < unsigned.len()
        && amount.starts_with(|c: char| c.is_ascii_digit())
        && amount.bytes().all(|b| b.is_ascii_digit() || b",.".contains(&b))
}

fn all_multiranges() -> Candidates {
    all_ranges().into_iter().filter_map(multirange_of).collect()
}

fn multirange_of(range: u32) -> Option<u32> {
    Some(match range {
        oid::INT4_RANGE => oid::INT4_MULTIRANGE,
        oid::INT8_RANGE => oid::INT8_MULTIRANGE,
        oid::NUM_RANGE => oid::NUM_MULTIRANGE,
        oid::DATE_RANGE => oid::DATE_MULTIRANGE,
        oid::TS_RANGE => oid::TS_MULTIRANGE,
        oid::TSTZ_RANGE => oid::TSTZ_MULTIRANGE,
        _ => return None,
    })
}

fn all_ranges() -> Candidates {
    smallvec![
        oid::INT4_RANGE,
        oid::NUM_RANGE,
        oid::DATE_RANGE,
        oid::TS_RANGE,
        oid::TSTZ_RANGE,
        oid::INT8_RANGE
    ]
}

/// `[5,15]` is a range or a JSON array, `[1,2)` and `(1,2]` are ranges, `(1,2)` is a point or a row too.
fn within_brackets(value: &str, ranges: bool) -> Candidates {
    match value.as_bytes() {
        [b'[', b'(', ..] if value.contains("),(") => return smallvec![oid::LSEG, oid::PATH],
        [b'(', b'(', ..] if value.contains("),(") => return smallvec![oid::POLYGON, oid::PATH],
        [b'(', .., b')'] if value.contains("),(") => return smallvec![oid::BOX],
        _ => {}
    }
    let closed = value.starts_with('[') && value.ends_with(']');
    let open = value.starts_with('(') && value.ends_with(')');
    let found = range(value).unwrap_or_default();
    let (before, behind): (&[u32], &[u32]) = match (closed, open) {
        (true, _) if ranges && !found.is_empty() => (&[], &[oid::JSONB, oid::JSON]),
        (true, _) => (&[oid::JSONB, oid::JSON], &[]),
        (_, true) => (&[], &[oid::POINT]),
        _ => (&[], &[]),
    };
    before.iter().chain(&found).chain(behind).copied().collect()
}

/// The range types that bounds like these may have.
fn range(value: &str) -> Option<Candidates> {
    let inner = value.get(1..value.len().checked_sub(1)?)?;
    let (lower, upper) = inner.split_once(',')?;
    let bound = |text: &str| -> Option<u32> {
        let text = text.trim().trim_matches('"');
        if text.is_empty() {
            return Some(oid::UNKNOWN);
        }
        scalar(text).first().copied()
    };
    let widest = [
        oid::UNKNOWN,
        oid::INT4,
        oid::INT8,
        oid::NUMERIC,
        oid::DATE,
        oid::TIMESTAMP,
        oid::TIMESTAMPTZ,
    ];
    let rank = |oid: u32| widest.iter().position(|known| *known == oid);
    let wider = rank(bound(lower)?)?.max(rank(bound(upper)?)?);
    Some(match widest[wider] {
        oid::UNKNOWN => all_ranges(),
        oid::INT4 => smallvec![oid::INT4_RANGE, oid::NUM_RANGE, oid::INT8_RANGE],
        oid::INT8 => smallvec![oid::INT8_RANGE, oid::NUM_RANGE],
        oid::NUMERIC => smallvec![oid::NUM_RANGE],
        oid::DATE => smallvec![oid::DATE_RANGE, oid::TS_RANGE, oid::TSTZ_RANGE],
        oid::TIMESTAMP => smallvec![oid::TS_RANGE, oid::TSTZ_RANGE],
        _ => smallvec![oid::TSTZ_RANGE],
    })
}

/// `{…}` is a JSON object, an array or a multirange.
fn within_braces(value: &str, ranges: bool) -> Candidates {
    let inner = value[1..value.len() - 1].trim();
    if inner.starts_with("\"{\\\"") || inner.starts_with("\"[{\\\"") {
        return smallvec![oid::JSONB_ARRAY, oid::TEXT_ARRAY];
    }
    let is_object = inner.starts_with('"')
        && inner.split_once("\":").is_some_and(|(key, _)| !key[1..].contains("\","));
    if is_object {
        return smallvec![oid::JSONB, oid::JSON];
    }
    if inner.is_empty() {
        // All of these are written like that.
        return smallvec![oid::TEXT_ARRAY, oid::INT4_ARRAY, oid::INT8_ARRAY, oid::UUID_ARRAY];
    }
    if inner.starts_with(['[', '(']) && inner.ends_with([']', ')']) {
        return multirange(inner, ranges);
    }
    let elements = inner.split(',').map(|element| element.trim().trim_matches('"'));
    let types = elements.filter(|element| *element != "NULL").map(|element| match element {
        "t" | "f" => oid::BOOL,
        element => scalar(element).first().copied().unwrap_or(oid::TEXT),
    });
    let all: SmallVec<[u32; 16]> = types.collect();
    let only = |allowed: &[u32]| !all.is_empty() && all.iter().all(|oid| allowed.contains(oid));
    match () {
        () if only(&[oid::INT4]) => smallvec![oid::INT4_ARRAY, oid::INT8_ARRAY, oid::NUMERIC_ARRAY],
        () if only(&[oid::INT4, oid::INT8]) => smallvec![oid::INT8_ARRAY, oid::NUMERIC_ARRAY],
        () if only(&[oid::INT4, oid::INT8, oid::NUMERIC]) => {
            smallvec![oid::NUMERIC_ARRAY, oid::FLOAT8_ARRAY]
        }
        () if only(&[oid::INT4, oid::INT8, oid::NUMERIC, oid::FLOAT8]) => {
            smallvec![oid::FLOAT8_ARRAY, oid::NUMERIC_ARRAY]
        }
        () if only(&[oid::BOOL]) => smallvec![oid::BOOL_ARRAY],
        () if only(&[oid::UUID]) => smallvec![oid::UUID_ARRAY],
        () if only(&[oid::DATE]) => smallvec![oid::DATE_ARRAY, oid::TIMESTAMP_ARRAY],
        () if only(&[oid::TIMESTAMP]) => smallvec![oid::TIMESTAMP_ARRAY, oid::TIMESTAMPTZ_ARRAY],
        () if only(&[oid::TIMESTAMPTZ]) => smallvec![oid::TIMESTAMPTZ_ARRAY],
        () if only(&[oid::INTERVAL]) => smallvec![oid::INTERVAL_ARRAY],
        () => smallvec![oid::TEXT_ARRAY],
    }
}

fn multirange(inner: &str, ranges: bool) -> Candidates {
    let first = inner.find([']', ')']).map_or(inner, |end| &inner[..=end]);
    let multi = within_brackets(first, ranges).into_iter().filter_map(multirange_of);
    let mut multi: Candidates = multi.collect();
    multi.push(oid::TEXT_ARRAY);
    multi
}

fn is_array(oid: u32) -> bool {
    matches!(
        oid,
        oid::BOOL_ARRAY
            | oid::INT4_ARRAY
            | oid::TEXT_ARRAY
            | oid::INT8_ARRAY
            | oid::FLOAT8_ARRAY
            | oid::TIMESTAMP_ARRAY
            | oid::DATE_ARRAY
            | oid::TIMESTAMPTZ_ARRAY
            | oid::INTERVAL_ARRAY
            | oid::NUMERIC_ARRAY
            | oid::UUID_ARRAY
            | oid::JSONB_ARRAY
    )
}

fn dedup(candidates: Candidates) -> Candidates {
    let mut kept = Candidates::new();
    for oid in candidates {
        if !kept.contains(&oid) {
            kept.push(oid);
        }
    }
    kept
}
