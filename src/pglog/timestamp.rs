//! Log times: `2026-11-22 15:32:20.435 UTC` and its relatives.
//!
//! By hand, since it runs once a record and a general parser costs more than the rest of the
//! record.

use super::record::LogTime;

impl LogTime {
    /// Reads `2026-11-22 15:32:20.435 UTC`: the date, a blank or `T`, the time of day, an optional
    /// fraction (cut to milliseconds) and a zone: `UTC`, `GMT`, `Z`, `-03`, `+05:30`, or an
    /// abbreviation, which is read as UTC and leaves `zone_known` false.
    ///
    /// `None` where the text is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        // `2026-11-22 15:32:20`
        if bytes.len() < 19
            || bytes[4] != b'-'
            || bytes[7] != b'-'
            || !matches!(bytes[10], b' ' | b'T' | b't')
            || bytes[13] != b':'
            || bytes[16] != b':'
        {
            return None;
        }
        let year = digits(&bytes[0..4])?;
        let month = digits(&bytes[5..7])?;
        let day = digits(&bytes[8..10])?;
        let hour = digits(&bytes[11..13])?;
        let minute = digits(&bytes[14..16])?;
        let second = digits(&bytes[17..19])?;
        // 60 is a leap second.
        if !(1..=12).contains(&month)
            || day < 1
            || day > days_in_month(year, month)
            || hour > 23
            || minute > 59
            || second > 60
        {
            return None;
        }
        let (millis, zone) = fraction(&bytes[19..])?;
        let (offset_seconds, zone_known) = zone_offset(zone)?;
        let seconds =
            days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
                - offset_seconds;
        Some(Self { unix_ms: seconds * 1_000 + millis, zone_known })
    }

    /// From seconds since the Unix epoch, or milliseconds where the number is too large for
    /// seconds (after the year 5138): what shippers write as an event's time.
    pub(super) fn from_epoch(number: f64) -> Option<Self> {
        let millis = if number.abs() < 1e11 { number * 1_000.0 } else { number };
        // Within ±290,000 years: far from where the conversion would saturate.
        (millis.abs() < 1e16)
            .then_some(Self { unix_ms: (millis + 1e-6).floor() as i64, zone_known: true })
    }
}

/// Whether these bytes begin with a date, as every csvlog record does.
pub(super) fn begins_with_date(bytes: &[u8]) -> bool {
    bytes.len() >= 10
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && [0, 1, 2, 3, 5, 6, 8, 9].iter().all(|&at: &usize| bytes[at].is_ascii_digit())
}

fn digits(bytes: &[u8]) -> Option<i64> {
    let mut number = 0;
    for byte in bytes {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(byte - b'0');
    }
    Some(number)
}

/// The milliseconds of an optional `.123456`, and what follows it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.' | b',', rest)) = rest.split_first() else { return Some((0, rest)) };
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&len) {
        return None;
    }
    let shown = len.min(3);
    let millis = digits(&rest[..shown])? * [1, 100, 10, 1][shown];
    Some((millis, &rest[len..]))
}

/// The zone's seconds east of Greenwich, and whether they are certain.
fn zone_offset(zone: &[u8]) -> Option<(i64, bool)> {
    let zone = zone.strip_prefix(b" ").unwrap_or(zone);
    match zone {
        b"UTC" | b"GMT" | b"Z" | b"z" | b"UCT" | b"Etc/UTC" => Some((0, true)),
        [] => Some((0, false)),
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let seconds = match rest {
                [_, _] => digits(rest)? * 3_600,
                [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => {
                    digits(&[*h1, *h2])? * 3_600 + digits(&[*m1, *m2])? * 60
                }
                _ => return None,
            };
            Some((if *sign == b'-' { -seconds } else { seconds }, true))
        }
        // The longest abbreviation of the zone database has six letters.
        name if name.len() <= 8 && name.iter().all(u8::is_ascii_alphabetic) => Some((0, false)),
        _ => None,
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar: Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `days_from_civil`. Years here are 0 to 9999.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests;
