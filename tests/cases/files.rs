//! Files as users have them: exported, from Windows, compressed, in any order.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Case, Files, Replayed, data};
use testkit::kreplay::Kreplay;
use testkit::postgres::Server;

const ITEMS: &str = "select id, replace(name, chr(10), '/'), price, tags, doc, at at time zone 'UTC' \
                     from item order by id";

/// Checks that the log of items has been replayed as it was written.
#[track_caller]
fn all_items(replayed: &Replayed) {
    replayed.all_same().rows(
        ITEMS,
        &[
            r#"1|tea, "green"/loose|7.00|{a,"b c"}|{"k": "vw"}|2024-05-01 08:00:00"#,
            r#"2|multi/line, with 'quotes' and "double"||||"#,
            "3|x – ünïcode ✓||||",
        ],
    );
}

fn write(directory: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, content).expect("written");
    path
}

// ---- Line ends ----

/// The log as a server on Windows writes it.
fn in_text_mode(log: &[u8]) -> String {
    String::from_utf8_lossy(log).replace('\n', "\r\n")
}

#[test]
fn a_log_whose_records_end_in_cr_lf_has_its_crs_taken_out() {
    let case = Case::new("items");
    case.files(|log, to| vec![write(to, "windows.csv", in_text_mode(log))]).check(all_items);
}

#[test]
fn the_last_record_of_a_log_with_cr_lf_may_lack_its_line_end() {
    let case = Case::new("items").orders(&["serial"]);
    let cut_before_the_disconnection = |log: &[u8], to: &Path| {
        let log = String::from_utf8_lossy(log);
        let multi_line = log.find(",11,\"COMMIT\"").and_then(|at| log[..at].rfind('\n'));
        let log = in_text_mode(&log.as_bytes()[..multi_line.expect("a statement of two lines")]);
        vec![write(to, "windows.csv", log)]
    };
    case.files(cut_before_the_disconnection).check(|replayed| {
        let names = "select position(chr(13) in name) from item order by id";
        replayed.rows(names, &["0"]);
    });
}

#[test]
fn a_cr_lf_of_the_client_in_a_log_whose_records_end_in_lf_stays() {
    let case = Case::new("items").orders(&["serial"]);
    let with_client = |log: &[u8], to: &Path| {
        let log = String::from_utf8_lossy(log).replace("multi\nline", "multi\r\nline");
        vec![write(to, "log.csv", log)]
    };
    case.files(with_client).check(|replayed| {
        let name = "select position(chr(13) || chr(10) in name) > 0 from item where id < 3";
        replayed.rows(&format!("{name} order by id"), &["f", "t"]);
    });
}

// ---- Order ----

/// The log of two days, in files that sort the wrong way round.
fn by_weekday(log: &[u8], to: &Path) -> Vec<PathBuf> {
    let (thursday, friday) = halves(log);
    vec![write(to, "postgresql-Fri.csv", friday), write(to, "postgresql-Thu.csv", thursday)]
}

/// A log cut in the middle of its session.
fn halves(log: &[u8]) -> (&[u8], &[u8]) {
    let lines = log.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let middle = lines.map(|(at, _)| at + 1).nth(30).expect("60 records");
    log.split_at(middle)
}

#[test]
fn files_that_are_given_in_another_order_are_read_in_that_of_their_first_records() {
    Case::new("weekdays").files(by_weekday).check(|replayed| {
        replayed.all_same().rows("select count(*), count(distinct n) from x", &["60|60"]);
        let finished = &replayed.finished;
        assert_eq!(finished.count("/records/filtered/reasons/duplicate"), 0, "{finished}");
        let mut lines = finished.stderr.lines();
        let told = lines.find(|line| line.contains("in the order of their first records"));
        let told = told.unwrap_or_else(|| panic!("{finished}"));
        assert!(told.find("-Thu.csv") < told.find("-Fri.csv"), "{told}");
    });
}

/// Checks that files are refused by their names before anything is replayed.
#[track_caller]
fn refused(files: Files, names: [&str; 2]) {
    Case::new("weekdays").orders(&["serial"]).files(files).check(|replayed| {
        let finished = &replayed.finished;
        assert_eq!(finished.code, Some(2), "{finished}");
        let last = finished.stderr.lines().last().unwrap_or_default();
        assert!(names.iter().all(|name| last.contains(name)), "{finished}");
        replayed.rows("select count(*) from x", &["0"]);
    });
}

#[test]
fn a_log_that_is_given_twice_is_refused() {
    let twice = |log: &[u8], to: &Path| {
        vec![write(to, "log.csv", log), write(to, "copy.csv.gz", packed(log))]
    };
    refused(twice, ["log.csv", "copy.csv.gz"]);
}

#[test]
fn a_file_whose_records_another_one_holds_is_refused() {
    let part = |log: &[u8], to: &Path| {
        let (first, _) = halves(log);
        vec![write(to, "part.csv", first), write(to, "log.csv", log)]
    };
    refused(part, ["part.csv", "log.csv"]);
}

#[test]
fn a_stream_whose_session_runs_backwards_ends_the_replay_instead_of_losing_half_of_it() {
    let server = Case::new("weekdays").server();
    let directory = tempfile::tempdir().expect("a directory");
    let log = fs::read(data("weekdays.csv")).expect("a log");
    let (thursday, friday) = halves(&log);
    let joined = write(directory.path(), "joined", [friday, thursday].concat());
    let replay = Kreplay::new().target(&server).args(["--input", "-"]).stdin(joined);
    let finished = replay.run();
    assert_eq!(finished.code, Some(2), "{finished}");
    let last = finished.stderr.lines().last().unwrap_or_default();
    assert!(last.contains("standard input") && last.contains("run backwards"), "{finished}");
}

#[test]
fn what_a_shipper_repeats_at_the_beginning_of_a_file_is_a_repeat() {
    let overlapping = |log: &[u8], to: &Path| {
        let (thursday, _) = halves(log);
        let again = log[..thursday.len() - 1].iter().rposition(|byte| *byte == b'\n');
        let friday = &log[again.expect("a line") + 1..];
        vec![write(to, "friday.csv", friday), write(to, "thursday.csv", thursday)]
    };
    Case::new("weekdays").orders(&["serial"]).files(overlapping).check(|replayed| {
        replayed.all_same().rows("select count(*) from x", &["60"]);
        let repeats = replayed.finished.count("/records/filtered/reasons/duplicate");
        assert_eq!(repeats, 1, "{}", replayed.finished);
    });
}

// ---- Compression ----

fn packed(log: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(log).expect("in memory");
    encoder.finish().expect("in memory")
}

#[test]
fn a_compressed_log_is_read_whatever_its_name() {
    let rotated = |log: &[u8], to: &Path| vec![write(to, "log.csv", packed(log))];
    Case::new("items").files(rotated).check(all_items);
}

#[test]
fn a_compressed_log_on_standard_input_is_read() {
    let server = Case::new("items").server();
    let directory = tempfile::tempdir().expect("a directory");
    let log = fs::read(data("items.csv")).expect("a log");
    let stdin = write(directory.path(), "log", zstd::encode_all(&log[..], 0).expect("in memory"));
    let finished = Kreplay::new().target(&server).args(["--input", "-"]).stdin(stdin).run();
    all_items(&Replayed { server, finished, database: "app" });
}

#[test]
fn a_compressed_log_that_was_cut_off_ends_the_replay_with_what_is_lost() {
    let cut = |log: &[u8], to: &Path| {
        let packed = packed(log);
        vec![write(to, "log.csv.gz", &packed[..packed.len() - 200])]
    };
    Case::new("items").orders(&["serial"]).files(cut).check(|replayed| {
        let finished = &replayed.finished;
        assert_eq!(finished.code, Some(1), "{finished}");
        let last = finished.stderr.lines().last().unwrap_or_default();
        for part in ["log.csv.gz", "gzip", "line ", "is lost"] {
            assert!(last.contains(part), "{part}: {finished}");
        }
    });
}

#[test]
fn a_check_reads_a_compressed_log_and_says_in_which_order_files_are_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let log = fs::read(data("weekdays.csv")).expect("a log");
    let (thursday, friday) = halves(&log);
    let friday = write(directory.path(), "friday.csv.gz", packed(friday));
    let thursday = write(directory.path(), "thursday.csv", thursday);
    let check = Kreplay::new().check().arg("--dry-run").arg("--input").args([friday, thursday]);
    let checked = check.run();
    assert_eq!(checked.code, Some(0), "{checked}");
    let mut lines = checked.stdout.lines();
    assert!(lines.any(|line| line.contains("61 of 61 records")), "{checked}");
    let order = checked.stdout.split("in the order of their first records").nth(1);
    let order = order.unwrap_or_else(|| panic!("{checked}"));
    assert!(order.find("thursday") < order.find("friday"), "{checked}");
}

// ---- Exports ----

/// The table that PostgreSQL's manual has for csvlog, filled with this log, and exported.
fn exported(server: &Server, log: &Path, options: &str) -> String {
    server.query(
        "create table if not exists postgres_log (log_time timestamp(3) with time zone, \
         user_name text, database_name text, process_id integer, connection_from text, \
         session_id text, session_line_num bigint, command_tag text, session_start_time timestamp \
         with time zone, virtual_transaction_id text, transaction_id bigint, error_severity text, \
         sql_state_code text, message text, detail text, hint text, internal_query text, \
         internal_query_pos integer, context text, query text, query_pos integer, location text, \
         application_name text, backend_type text, leader_pid integer, query_id bigint, \
         primary key (session_id, session_line_num)); truncate postgres_log",
    );
    server.query(&format!("copy postgres_log from '{}' with csv", log.display()));
    server.query(&format!("copy postgres_log to stdout with (format csv, header{options})"))
}

#[test]
fn the_column_names_of_an_exported_log_are_filtered() {
    let source = Server::start(15);
    for options in ["", ", force_quote *"] {
        let export = exported(&source, &data("items.csv"), options);
        let server = Case::new("items").server();
        let directory = tempfile::tempdir().expect("a directory");
        let file = write(directory.path(), "export.csv", export + "\n");
        let finished = Kreplay::new().target(&server).arg("--input").arg(file).run();
        assert_eq!(finished.count("/records/filtered/reasons/header"), 1, "{finished}");
        all_items(&Replayed { server, finished, database: "app" });
    }
}

#[test]
fn an_export_with_its_columns_in_another_order_is_refused_before_anything_of_it_is_replayed() {
    let swapped = |log: &[u8], to: &Path| {
        let mut header = "log_time,database_name,user_name,process_id,connection_from,session_id,\
            session_line_num,command_tag,session_start_time,virtual_transaction_id,\
            transaction_id,error_severity,sql_state_code,message,detail,hint,internal_query,\
            internal_query_pos,context,query,query_pos,location,application_name,backend_type,\
            leader_pid,query_id\n"
            .to_owned();
        header += &String::from_utf8_lossy(log).replace("\"shop\",\"app\"", "\"app\",\"shop\"");
        vec![write(to, "swapped.csv", header)]
    };
    Case::new("items").orders(&["serial"]).files(swapped).check(|replayed| {
        let finished = &replayed.finished;
        assert_eq!(finished.code, Some(2), "{finished}");
        for part in ["swapped.csv, line 1", "column 2 is database_name", "user_name"] {
            assert!(finished.stderr.contains(part), "{part}: {finished}");
        }
        replayed.rows("select count(*) from item", &["0"]);
    });
}
