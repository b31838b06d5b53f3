//! Whether several partitions make one order again.

use super::sample::Sample;
use super::{Section, counted};
use crate::display::grouped;

pub(super) fn judge(sample: &Sample, lines: &mut Section) {
    let keys = sample.keys;
    let readable = sample.readable();
    if sample.files {
        return files(sample, lines);
    }
    if sample.partitions < 2 {
        if readable > 0 && keys.session == readable {
            lines.ok("every record's key is its session");
        }
        return;
    }
    let remedy = "let the shipper use the session id as the key (see dist/rsyslog-kreplay.conf), or \
                  make the topic of one partition";
    if sample.spread > 0 {
        lines.error(
            format!(
                "{} on more than one partition: the order of their own statements is lost",
                match sample.spread {
                    1 => "1 session is".to_owned(),
                    spread => format!("{} are", counted(spread as u64, "session")),
                }
            ),
            remedy,
        );
    } else if keys.session < readable {
        lines.warning(
            format!(
                "{} of {} in the sample have a key other than their session, or none: sessions can \
                 be spread over the {} partitions",
                grouped(keys.other + keys.none),
                counted(readable, "record"),
                sample.partitions
            ),
            remedy,
        );
    } else {
        lines.ok("every record's key is its session: sessions are whole on one partition");
    }
    if sample.placed == readable {
        lines.ok("records tell their place in the log: the partitions are merged exactly");
    } else {
        lines.warning(
            format!(
                "{} of {} in the sample do not tell their place in the log: the partitions are \
                 merged by log_time, in which the order within a millisecond is lost",
                grouped(readable - sample.placed),
                counted(readable, "record")
            ),
            "let the shipper send kreplay.pos (rsyslog: the template in the comment of \
             dist/rsyslog-kreplay.conf; Filebeat: leave the field log in), make the topic of one \
             partition, or replay with --order session",
        );
    }
}

/// Files have no keys: their order is the one they were given in.
fn files(sample: &Sample, lines: &mut Section) {
    let mut firsts = sample.first_ms.iter().zip(sample.first_ms.iter().skip(1));
    if let Some(((before, _), (after, _))) = firsts.find(|((_, a), (_, b))| a > b) {
        lines.error(
            format!("file {} of --input begins later than file {}", before + 1, after + 1),
            "give the files in the order in which they were written",
        );
    }
}
