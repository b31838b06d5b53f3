//! Situations of users, each a log with the state that it began in and what is right after it.
//!
//! `data/NAME.csv` is the log as a server wrote it, `data/NAME.setup.sql` what the database held when
//! it began. A case is run in each order that it names, on a server of its own.

mod behind_commit;
mod canceled;
mod copy;
mod files;
mod logins;
mod pipelines;
mod prepared;
mod sequences;
mod snapshots;
mod state;
mod two_phase;
mod victims;

use std::path::{Path, PathBuf};

use testkit::kreplay::{Finished, Kreplay};
use testkit::postgres::Server;

/// A case that is about to be run: by default as one log, on PostgreSQL 15, in serial and in conflict
/// order.
#[must_use]
struct Case {
    name: &'static str,
    setup: &'static str,
    database: &'static str,
    version: u32,
    orders: &'static [&'static str],
    arguments: &'static [&'static str],
    files: Option<Files>,
}

/// Writes a log to files in a directory, and names them as they are given.
type Files = fn(&[u8], &Path) -> Vec<PathBuf>;

impl Case {
    /// The case with this log.
    fn new(name: &'static str) -> Self {
        let orders = &["serial", "conflict"];
        Self {
            name,
            setup: name,
            database: "app",
            version: 15,
            orders,
            arguments: &[],
            files: None,
        }
    }

    /// The set-up of this name, which several cases share.
    fn setup(self, setup: &'static str) -> Self {
        Self { setup, ..self }
    }

    /// The database that the log was written for.
    fn database(self, database: &'static str) -> Self {
        Self { database, ..self }
    }

    /// The target's major version.
    fn version(self, version: u32) -> Self {
        Self { version, ..self }
    }

    /// The orders that it is run in.
    fn orders(self, orders: &'static [&'static str]) -> Self {
        Self { orders, ..self }
    }

    /// More options.
    fn args(self, arguments: &'static [&'static str]) -> Self {
        Self { arguments, ..self }
    }

    /// The log in other files than the one that the server wrote.
    fn files(self, files: Files) -> Self {
        Self { files: Some(files), ..self }
    }

    /// Runs it in each of its orders, and has what came out judged.
    fn check(self, judge: impl Fn(&Replayed)) {
        for order in self.orders {
            let server = self.server();
            let log = data(&format!("{}.csv", self.name));
            let directory = tempfile::tempdir().expect("a directory");
            let files = match self.files {
                Some(write) => write(&std::fs::read(log).expect("a log"), directory.path()),
                None => vec![log],
            };
            let kreplay = Kreplay::new().target(&server).args(["--order", order]);
            let finished = kreplay.args(self.arguments).arg("--input").args(files).run();
            judge(&Replayed { server, finished, database: self.database });
        }
    }

    /// A server in the state that the log began in.
    fn server(&self) -> Server {
        let server = Server::start(self.version);
        if self.database != "postgres" {
            server.query(&format!("create database {}", self.database));
        }
        let setup = data(&format!("{}.setup.sql", self.setup));
        let setup = std::fs::read_to_string(&setup)
            .unwrap_or_else(|error| panic!("{}: {error}", setup.display()));
        server.query_in(self.database, &setup);
        server
    }
}

/// What came out of a run.
struct Replayed {
    server: Server,
    finished: Finished,
    database: &'static str,
}

impl Replayed {
    /// Checks the rows of a query in the case's database: columns separated by `|`.
    #[track_caller]
    fn rows<R>(&self, sql: &str, right: &[R]) -> &Self
    where
        R: AsRef<str>,
    {
        let rows = self.server.query_in(self.database, sql);
        let right: Vec<&str> = right.iter().map(AsRef::as_ref).collect();
        assert_eq!(rows.lines().collect::<Vec<_>>(), right, "{sql}\n{}", self.finished);
        self
    }

    /// Checks that the run ended well and that each statement ended as on the source.
    #[track_caller]
    fn all_same(&self) -> &Self {
        let Finished { code, report, .. } = &self.finished;
        assert_eq!(*code, Some(0), "{}", self.finished);
        assert_eq!(report["records"]["balances"], true, "{}", self.finished);
        assert_eq!(report["records"]["pending"], 0, "{}", self.finished);
        let outcomes = report["outcomes"].as_object().expect("outcomes");
        let others = outcomes.iter().filter(|(outcome, count)| *outcome != "same" && **count != 0);
        assert_eq!(others.collect::<Vec<_>>(), [], "{}", self.finished);
        self
    }
}

/// The rows that each situation of a log has left in a table of its own.
const SITUATIONS: &str = "select tableoid::regclass || ': ' || string_agg(n::text, ' ' order by n) \
                          from situation group by tableoid order by tableoid::regclass::text";

/// The lines of `data/NAME.rows`: what a query gave on the source.
fn source_rows(name: &str) -> Vec<String> {
    let rows = std::fs::read_to_string(data(&format!("{name}.rows"))).expect("the source's rows");
    rows.lines().map(str::to_owned).collect()
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/data").join(name)
}
