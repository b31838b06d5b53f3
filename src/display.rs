//! Numbers as people read them.

use std::time::Duration;

use bytesize::ByteSize;
use indicatif::HumanCount;

/// 1234567 as 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A size in the unit that suits it, as ls and df -H show it.
pub(crate) fn bytes(bytes: u64) -> String {
    ByteSize::b(bytes).display().si().to_string()
}

/// A rate in as many digits as it has a meaning in.
pub(crate) fn rate(per_second: f64) -> String {
    if per_second > 0.0 && per_second < 9.95 {
        format!("{per_second:.1}")
    } else {
        grouped(per_second.round() as u64)
    }
}

/// A time in its two largest units.
pub(crate) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {:02}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes:02}m"),
        (days, hours, _) => format!("{days}d {hours:02}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 999, 1000, 999_949, 1_000_000, 12_345_678_901].map(bytes),
            ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "12.3 GB"]
        );
        assert_eq!([0.0, 0.04, 9.9, 9.96, 1234.4].map(rate), ["0", "0.0", "9.9", "10", "1,234"]);
        let clocks = [0, 59, 60, 125, 3600, 90_000].map(Duration::from_secs).map(clock);
        assert_eq!(clocks, ["0s", "59s", "1m 00s", "2m 05s", "1h 00m", "1d 01h"]);
    }
}
