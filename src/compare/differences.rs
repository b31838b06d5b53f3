//! Whether two reports can be compared at all, and what else differs between their runs.

use jiff::Timestamp;

use super::judgement::Clock;
use super::report::{Digest, ReplayReport};
use crate::display::grouped;
use crate::replay::report::ClockCounts;

/// A run fell behind where so many of its calls are off pace, and the other run's are not.
const OFF_PACE: f64 = 0.5;
/// So many times as many statements at once make a difference.
const CONCURRENCY: f64 = 1.5;
/// Where fewer are active at once, hardly any runs beside another.
const FEW_ACTIVE: f64 = 1.0;

/// Why they can't be compared, in words that follow the names of the files; `None` if they can.
pub(super) fn refusal(baseline: &ReplayReport, candidate: &ReplayReport) -> Option<String> {
    let (before, after) = (&baseline.digest, &candidate.digest);
    if baseline.ran_nothing() {
        return Some(format!(
            "none of the baseline's {} statements ran: there is nothing to compare with",
            grouped(before.statements)
        ));
    }
    if before.hash == after.hash && before.statements == after.statements {
        return None;
    }
    let hint = if before.last_logged_ms != after.last_logged_ms {
        "replays of a topic that is still written to end at different moments: replay both up to one \
         end, with --input or with --until-end once nothing is written any more"
    } else if before.statements != after.statements {
        "the same time, but not the same statements: what is left out (--source-db, --skip-selects, \
         --skip-count, --after) has to be the same, and where a replay began"
    } else {
        "as many statements in the same time, but not the same ones"
    };
    Some(format!(
        "they are not of one log: the baseline replayed {}, the candidate {}; {hint}",
        in_words(before),
        in_words(after)
    ))
}

fn in_words(digest: &Digest) -> String {
    let moment = |ms: Option<i64>| {
        let moment = ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        moment.map_or_else(|| "?".to_owned(), |it| format!("{it:.3}"))
    };
    format!(
        "{} statements logged from {} to {}",
        grouped(digest.statements),
        moment(digest.first_logged_ms),
        moment(digest.last_logged_ms)
    )
}

/// What differs between the two runs besides the target, and may be the reason of what differs. `other`
/// is what the second one is called.
pub(super) fn notes(baseline: &ReplayReport, candidate: &ReplayReport, other: &str) -> Vec<String> {
    let mut notes = Vec::new();
    if baseline.since == candidate.since && baseline.until == candidate.until {
        notes.push(format!(
            "the baseline and the {other} are one run (it began at {}): nothing can differ",
            baseline.since
        ));
    }
    let mut differs = |what: &str, before: String, after: String| {
        if before != after {
            notes.push(format!("{what}: {before} in the baseline, {after} in the {other}"));
        }
    };
    let pace = |it: &ReplayReport| {
        it.pace.map_or_else(|| "as fast as it can".to_owned(), |pace| pace.to_string())
    };
    differs("order", baseline.order.clone(), candidate.order.clone());
    differs("pace", pace(baseline), pace(candidate));
    differs("kreplay", baseline.kreplay.clone(), candidate.kreplay.clone());
    differs("durations", measured(baseline), measured(candidate));
    let left_out = |it: &ReplayReport| grouped(it.records.left_out());
    differs("records that were not replayed", left_out(baseline), left_out(candidate));
    notes.extend(off_pace(baseline, candidate, other));
    notes.extend(concurrency(baseline, candidate, other));
    notes
}

/// Who measured the target's durations.
fn measured(report: &ReplayReport) -> String {
    let clocks = report.all().map(|shape| shape.clock);
    let (server, client) = clocks.fold((0_u64, 0_u64), |(server, client), it| {
        (server.saturating_add(it.server), client.saturating_add(it.client))
    });
    // A few answers tell nothing: of a connection that was lost, of what the server does not time.
    match Clock::of(ClockCounts { server, client }) {
        Clock::Server => "measured by the server".to_owned(),
        Clock::Client if server == 0 => "measured by kreplay".to_owned(),
        Clock::Client => "measured by the server in part".to_owned(),
    }
}

/// That one of the runs fell behind and the other did not.
fn off_pace(baseline: &ReplayReport, candidate: &ReplayReport, other: &str) -> Option<String> {
    let [before, after] = [baseline, candidate].map(|report| {
        let (off, all) = report.all().fold((0.0, 0.0), |(off, all), shape| {
            let [off_pace, cold, judged] =
                [shape.pace.off_pace, shape.pace.cold, shape.pace.judged].map(|it| it as f64);
            (off + off_pace, all + off_pace + cold + judged)
        });
        if all > 0.0 { off / all } else { 0.0 }
    });
    ((before > OFF_PACE) != (after > OFF_PACE)).then(|| {
        format!(
            "off the source's pace: {:.0} % of the calls in the baseline, {:.0} % in the {other}; one \
             of the targets had more to do at once",
            100.0 * before,
            100.0 * after
        )
    })
}

/// That one of the targets had more to do at once.
fn concurrency(baseline: &ReplayReport, candidate: &ReplayReport, other: &str) -> Option<String> {
    let [before, after] = [baseline, candidate].map(|report| {
        let sum = |of: fn(f64, f64) -> f64| {
            report.all().map(|it| of(it.calls as f64, it.concurrency.target)).sum::<f64>()
        };
        let calls = sum(|calls, _| calls);
        if calls > 0.0 { sum(|calls, active| calls * active) / calls } else { 0.0 }
    });
    let (least, most) = (before.min(after), before.max(after));
    (least > 0.0 && most > FEW_ACTIVE && most > CONCURRENCY * least).then(|| {
        format!(
            "statements active at once on the target: {before:.1} in the baseline, {after:.1} in the \
             {other}; more of them take longer each"
        )
    })
}

#[cfg(test)]
mod tests;
