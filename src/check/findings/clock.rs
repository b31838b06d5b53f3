//! Times: how far behind the source the log comes, and whether the clocks agree.

use super::sample::Sample;
use super::{CheckPlan, Section, span};

/// A clock that is off by less is as good as right here.
const TOLERANCE_MS: i64 = 1000;
/// A log with a younger record is live.
const LIVE_MS: i64 = 10 * 60_000;

pub(super) fn judge(
    sample: &Sample,
    now_ms: i64,
    live: bool,
    plan: &CheckPlan,
    lines: &mut Section,
) {
    let Some(newest) = sample.newest else { return };
    let age = now_ms - newest.log_ms;
    if age < -TOLERANCE_MS {
        lines.warning(
            format!("the newest record is of {} in the future", span(age)),
            "compare the clocks of the source and of this machine, and log_timezone",
        );
    } else if live && age > LIVE_MS {
        lines.ok(format!(
            "the newest record was logged {} ago: the source is silent, or the shipper behind or \
             stopped",
            span(age)
        ));
    } else {
        lines.ok(format!("the newest record was logged {} ago", span(age)));
    }
    let delay = median(&sample.delays_ms);
    if let Some(delay) = delay {
        if delay < -TOLERANCE_MS {
            lines.warning(
                format!(
                    "records came to Kafka {} before they were logged, by the clocks of both",
                    span(delay)
                ),
                "compare the clocks of the source, the shipper and the broker, and log_timezone",
            );
        } else if age < LIVE_MS {
            lines
                .ok(format!("records come to Kafka {} after they were logged", span(delay.max(0))));
        }
    }
    let Some(pace) = plan.pace.filter(|_| live && age < LIVE_MS) else { return };
    // A statement begins its duration before its record is written.
    let longest = sample.logging.durations_ms.map_or(0.0, |(_, longest)| longest) as i64;
    let late = highest(&sample.delays_ms).max(0);
    let needed = late + plan.lookahead_ms + longest;
    let given = i64::try_from(pace.playout_delay.as_millis()).unwrap_or(i64::MAX);
    if given < needed {
        lines.warning(
            format!(
                "with --speed, records come up to {} after their statements began: they are late by \
                 what --playout-delay {} leaves",
                span(needed),
                span(given)
            ),
            // Rounded up, with some room.
            format!("--playout-delay {}s or more", (needed + needed / 4) / 1000 + 1),
        );
    } else {
        lines.ok(format!(
            "--playout-delay {} covers the way of the records ({})",
            span(given),
            span(needed)
        ));
    }
}

fn median(ascending: &[i64]) -> Option<i64> {
    ascending.get(ascending.len() / 2).copied()
}

/// What nearly all are below.
fn highest(ascending: &[i64]) -> i64 {
    ascending.get(ascending.len() * 99 / 100).copied().unwrap_or(0)
}
