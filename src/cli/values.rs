//! How single values are written. The same functions read the command line and the environment;
//! each error says what would be right.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};

use super::{DeadLetter, Listen, Renaming, Speed, StartAt};

/// Unix seconds from here on are taken for a mistake: the year 5138, or today in milliseconds.
const TOO_MANY_SECONDS: f64 = 1e11;

/// Any text.
pub fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}

/// A path.
pub fn path(text: &str) -> Result<PathBuf, String> {
    Ok(text.into())
}

/// One of an enum's names.
pub fn name<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, true).map_err(|_| {
        let names: Vec<_> = T::value_variants()
            .iter()
            .filter_map(ValueEnum::to_possible_value)
            .filter(|value| !value.is_hide_set())
            .map(|value| value.get_name().to_owned())
            .collect();
        format!("expected one of {}", names.join(", "))
    })
}

/// true or false, and the usual other words for them.
pub fn switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("expected true or false".into()),
    }
}

/// A TCP port.
pub fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a port from 1 to 65535".into()),
        Ok(port) => Ok(port),
    }
}

/// A number from 0.
pub fn count(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a whole number from 0 on".into())
}

/// A number from 1.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number from 1 on".into()),
        Ok(number) => Ok(number),
    }
}

/// A number of bytes, from 1.
pub fn size(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "kb" | "kib" => Some(1 << 10),
        "mb" | "mib" => Some(1 << 20),
        "gb" | "gib" => Some(1 << 30),
        _ => None,
    };
    let bytes = unit.and_then(|unit: usize| number.parse::<usize>().ok()?.checked_mul(unit));
    let expected = || "expected a size in bytes from 1 on, as 256MiB or 1GiB".to_owned();
    bytes.filter(|&bytes| bytes > 0).ok_or_else(expected)
}

/// Seconds from 0, or -1.
pub fn seconds_or_for_ever(text: &str) -> Result<i64, String> {
    match text.parse() {
        Ok(seconds @ -1..) => Ok(seconds),
        _ => Err("expected seconds from 0 on, or -1 for ever".into()),
    }
}

/// A length of time with its unit.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "expected a duration with its unit, as 5ms, 60s, 2m or 1h30m".into())
}

/// A length of time, or none: zero.
pub fn timeout(text: &str) -> Result<Duration, String> {
    if text.trim().eq_ignore_ascii_case("off") { Ok(Duration::ZERO) } else { duration(text) }
}

/// A factor, or as fast as can be.
pub fn speed(text: &str) -> Result<Speed, String> {
    match text.parse::<f64>() {
        _ if text.eq_ignore_ascii_case("max") => Ok(Speed::Max),
        Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Speed::Times(factor)),
        _ => Err("expected max, or a factor above 0: 1 as on the source, 2 twice as fast".into()),
    }
}

/// A moment, in Unix milliseconds.
pub fn moment(text: &str) -> Result<i64, String> {
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

/// Where a group starts.
pub fn start(text: &str) -> Result<StartAt, String> {
    match text {
        "earliest" => Ok(StartAt::Earliest),
        "latest" => Ok(StartAt::Latest),
        _ => moment(text)
            .map(StartAt::At)
            .map_err(|expected| format!("neither earliest nor latest; otherwise {expected}")),
    }
}

/// An address to serve on.
pub fn listen(text: &str) -> Result<Listen, String> {
    if text == "off" {
        return Ok(Listen::Off);
    }
    let expected = || "expected an address and a port, as 127.0.0.1:11432, or off".to_owned();
    if let Some(port) = text.strip_prefix("localhost:") {
        let port = port.parse().map_err(|_| expected())?;
        return Ok(Listen::On(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
    }
    text.parse().map(Listen::On).map_err(|_| expected())
}

/// Where unreadable records go.
pub fn dead_letter(text: &str) -> Result<DeadLetter, String> {
    match text.strip_prefix("topic:") {
        Some("") => Err("expected the topic's name after topic:".into()),
        Some(topic) => Ok(DeadLetter::Topic(topic.to_owned())),
        None if text.is_empty() => Err("expected a file or topic:NAME".into()),
        None => Ok(DeadLetter::File(text.into())),
    }
}

/// `source=target`.
pub fn renaming(text: &str) -> Result<Renaming, String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => {
            Ok(Renaming { from: from.to_owned(), to: to.to_owned() })
        }
        _ => Err("expected the name on the source, =, the name on the target".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_and_no_sign() {
        assert_eq!(duration("5ms"), Ok(Duration::from_millis(5)));
        assert_eq!(duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("500us"), Ok(Duration::from_micros(500)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for wrong in ["5", "-5s", "", "fast", "5 ago"] {
            assert!(duration(wrong).unwrap_err().contains("unit"), "{wrong}");
        }
    }

    #[test]
    fn a_speed_is_a_factor_above_0_or_max() {
        assert_eq!(speed("max"), Ok(Speed::Max));
        assert_eq!(speed("0.25"), Ok(Speed::Times(0.25)));
        for wrong in ["0", "-1", "inf", "NaN", "", "1x", "fast"] {
            assert!(speed(wrong).unwrap_err().contains("factor above 0"), "{wrong}");
        }
    }

    #[test]
    fn a_moment_is_unix_seconds_or_a_timestamp_with_its_zone() {
        assert_eq!(moment("1763856000"), Ok(1_763_856_000_000));
        assert_eq!(moment("1763856000.25"), Ok(1_763_856_000_250));
        assert_eq!(moment("2025-11-23T00:00:00Z"), Ok(1_763_856_000_000));
        assert_eq!(moment("2025-11-23T01:00:00+01:00"), Ok(1_763_856_000_000));
        assert!(moment("1763856000000").unwrap_err().contains("milliseconds"));
        for wrong in ["", "-5", "nan", "inf", "yesterday", "2025-11-23T00:00:00"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_to_listen_on_has_a_port_or_is_off() {
        assert_eq!(listen("off"), Ok(Listen::Off));
        assert_eq!(listen("localhost:80"), listen("127.0.0.1:80"));
        assert!(listen("[::1]:80").is_ok());
        for wrong in ["", "80", "127.0.0.1", "localhost", "localhost:x", "on"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_those_of_the_help() {
        assert_eq!(name("verify-full"), Ok(super::super::SslMode::VerifyFull));
        let error = name::<super::super::Order>("parallel").unwrap_err();
        assert_eq!(error, "expected one of conflict, serial, session");
    }
}
