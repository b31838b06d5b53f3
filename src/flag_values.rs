//! How the values of flags are written: the parsers that several declarations share. Each error says
//! what would be right, and none shows the value.

use std::time::Duration;

use bytesize::ByteSize;
use jiff::{SignedDuration, Timestamp};

/// Unix seconds from here on are taken for a mistake: the year 5138, or today in milliseconds.
const TOO_MANY_SECONDS: f64 = 1e11;

/// How long something may take, written as a duration; `None`, written `0` or `off`: for ever.
pub(crate) type Timeout = Option<Duration>;

/// So many at the most; `None`, written `0`: as many as there are.
pub(crate) type Limit = Option<usize>;

/// true or false, and the usual other words for them.
pub(crate) fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("expected true or false".into()),
    }
}

/// A TCP port.
pub(crate) fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a port from 1 to 65535".into()),
        Ok(port) => Ok(port),
    }
}

/// A number from 0.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a whole number from 0 on".into())
}

/// A number from 1.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number from 1 on".into()),
        Ok(number) => Ok(number),
    }
}

/// A number of bytes, from 1: `MB` are 1000² and `MiB` 1024².
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let size = text.trim().parse::<ByteSize>().ok();
    let bytes = size.and_then(|size| usize::try_from(size.as_u64()).ok());
    let expected = || "expected a size in bytes from 1 on, as 256MiB or 1GiB".to_owned();
    bytes.filter(|&bytes| bytes > 0).ok_or_else(expected)
}

/// A share of something, above 0: `10%` or `0.1`.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let number = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    let is_share = |share: &f64| share.is_finite() && *share > 0.0;
    number.ok().filter(is_share).ok_or_else(|| "expected a share above 0, as 10% or 0.1".into())
}

/// A length of time with its unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "expected a duration with its unit, as 5ms, 60s, 2m or 1h30m".into())
}

/// A length of time, or none.
pub(crate) fn timeout(text: &str) -> Result<Timeout, String> {
    if text.trim().eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    duration(text).map(|duration| Some(duration).filter(|duration| !duration.is_zero()))
}

/// A number of which 0 means none.
pub(crate) fn limit(text: &str) -> Result<Limit, String> {
    count(text).map(|limit| usize::try_from(limit).ok().filter(|&limit| limit > 0))
}

/// A moment, in Unix milliseconds.
pub(crate) fn moment(text: &str) -> Result<i64, String> {
    const EXPECTED: &str = "expected Unix seconds, as 1763856000, or an RFC 3339 timestamp, as \
                            2025-11-23T00:00:00Z";
    if let Ok(seconds) = text.parse::<f64>() {
        if seconds >= TOO_MANY_SECONDS {
            return Err(format!("{EXPECTED}; this looks like milliseconds"));
        }
        if seconds.is_finite() && seconds >= 0.0 {
            return Ok((seconds * 1000.0).round() as i64);
        }
    }
    text.parse::<Timestamp>().map(Timestamp::as_millisecond).map_err(|_| EXPECTED.to_owned())
}

#[cfg(test)]
mod tests;
