//! Files as users have them: exported, from Windows, compressed, in any order.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Case, Replayed, data};
use crate::support::kreplay::Kreplay;
use crate::support::postgres::Server;

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
