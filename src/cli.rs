//! The command line as it is typed. What it means, with the environment and the configuration file,
//! is [`config`](crate::config)'s to say.

pub(crate) mod conninfo;
mod man;
pub(crate) mod settings;
#[cfg(test)]
pub(crate) mod tests;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

pub use man::manual;
use settings::Settings;

use self::conninfo::Conninfo;
use crate::compare::CompareOptions;
use crate::source::kafka::Property;

/// The version of the package and the git revision it was built from.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("KREPLAY_REVISION"), ")");

/// The git revision that the program was built from; `unknown` outside a checkout.
pub const REVISION: &str = env!("KREPLAY_REVISION");

const ENVIRONMENT: &str = "\
Every option can be set in the environment as KREPLAY_ and its long name: KREPLAY_DB_HOST for \
--db-host; lists are separated by commas (--kafka-property: by line feeds). The command line \
goes first, then KREPLAY_*, then the names given with the option, in their order, then the file \
of --config, where the long names are the keys.";

const OUTPUT: &str = "\
The log goes to standard error, the summary to standard output. Exit codes: 0 done, 1 unexpected, \
2 wrong usage, 3 the target refused, 4 Kafka refused, 5 the committed offset is gone, 6 a \
statement failed and --on-error is stop, 7 `kreplay check` found an error, 8 a replay with an end has \
ended, but not everything could be replayed, 9 `kreplay compare` found something worse.";

const COMPARED: &str = "\
Both replays have to be of the same statements: of the same files, or of a topic up to the same end. \
Exit codes: 0 nothing is worse, 9 a shape is degraded or has a new error (--fail-on), \
or more than 1 % of the statements, or most of a shape's, did not run on the candidate's target, \
2 wrong usage, or reports that can't be read or compared.";

const USAGE: &str = "\
kreplay [OPTIONS] --topic <NAME>
       kreplay [OPTIONS] --input <FILE>...
       kreplay check [OPTIONS]
       kreplay compare [OPTIONS] <BASELINE> <CANDIDATE>
       kreplay completions <SHELL>
       kreplay man";

/// Replays the queries of a live PostgreSQL, streamed as csvlog through Kafka, on another
/// PostgreSQL, in the original order.
#[derive(Parser)]
#[command(name = "kreplay", version = VERSION, override_usage = USAGE, after_help = format!("{ENVIRONMENT}\n\n{OUTPUT}"))]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do instead of replaying.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings as far as the command line tells them.
    #[command(flatten)]
    pub settings: Settings,
    /// What was typed, by flag.
    #[arg(skip)]
    pub(crate) typed: Typed,
}

/// What to do instead of replaying.
#[derive(Subcommand)]
pub enum Command {
    /// Look at the brokers, the topic, its records and the target, and say whether a replay with the
    /// same options can work; changes nothing
    #[command(override_usage = "kreplay check [--json] [the options of the replay]")]
    Check(Box<CheckOptions>),
    /// Compare two reports of one log, replayed on two targets, shape by shape: what takes longer and what
    /// fails on the second one alone
    #[command(override_usage = "kreplay compare [OPTIONS] <BASELINE> <CANDIDATE>", after_help = COMPARED)]
    Compare(CompareOptions),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, for man(1)
    Man,
    /// Run librdkafka's mock cluster until SIGTERM or the end of standard input
    #[command(hide = true)]
    MockBroker {
        /// Where the cluster's address is written once it serves
        #[arg(long, value_name = "FILE")]
        listen_file: PathBuf,
        /// A topic to create; repeatable
        #[arg(long, value_name = "NAME")]
        topic: Vec<String>,
        /// Partitions of each of these topics
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
        partitions: i32,
    },
}

/// What is checked: a replay with these options.
#[derive(Args)]
pub struct CheckOptions {
    /// Print the findings as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    settings: Settings,
}

impl Cli {
    /// Reads a command line, the program's name first. The error is also how `--help` and
    /// `--version` come back: `exit()` prints it and ends the process with the right code.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let matches = Self::command().try_get_matches_from(arguments)?;
        let typed = Typed::of(matches.subcommand_matches("check").unwrap_or(&matches));
        Ok(Self { typed, ..Self::from_arg_matches(&matches)? })
    }
}

/// The completion script of a shell.
pub fn completions(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kreplay", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// What was typed: each setting's flag, by its long name, and its values, in the order of `--help`.
#[derive(Default)]
pub(crate) struct Typed(Vec<(String, Vec<OsString>)>);

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Typed").field(&self.redacted()).finish()
    }
}

impl Typed {
    fn of(matches: &ArgMatches) -> Self {
        let mut typed = Vec::new();
        for argument in Cli::command().get_arguments() {
            let id = argument.get_id().as_str();
            let is_typed = matches.try_contains_id(id).unwrap_or(false)
                && matches.value_source(id) == Some(ValueSource::CommandLine);
            let (Some(long), true) = (argument.get_long(), is_typed) else { continue };
            let values = matches.get_raw(id).into_iter().flatten();
            typed.push((long.to_owned(), values.map(ToOwned::to_owned).collect()));
        }
        Self(typed)
    }

    /// The values of a flag, if it was typed.
    pub(crate) fn get(&self, flag: &str) -> Option<&[OsString]> {
        self.0.iter().find(|(typed, _)| typed == flag).map(|(_, values)| values.as_slice())
    }

    /// The command line put together again from what clap understood, every secret blanked: only
    /// there is it certain which characters were a secret (`-spsecret`, `--db-password=secret`).
    pub(crate) fn redacted(&self) -> String {
        let mut line = String::from("kreplay");
        for (flag, value) in
            self.0.iter().flat_map(|(flag, values)| values.iter().map(move |it| (flag, it)))
        {
            let value = blanked(flag, value.to_string_lossy().into_owned());
            let quote = if value.contains(char::is_whitespace) { "'" } else { "" };
            line.push_str(&format!(" --{flag}={quote}{value}{quote}"));
        }
        line
    }
}

/// A setting's value as it may be shown.
fn blanked(flag: &str, value: String) -> String {
    if !holds_secret(flag, &value) {
        return value;
    }
    match flag {
        "target" => conninfo::redacted(&value),
        "kafka-property" => {
            let property = |line: &str| match line.split_once('=') {
                Some((key, value)) => Property::shown(key, value),
                None => "***".to_owned(),
            };
            value.lines().map(property).collect::<Vec<_>>().join("\n")
        }
        _ => "***".to_owned(),
    }
}

/// Whether there may be a secret in what is given for a flag.
pub(crate) fn holds_secret(flag: &str, value: &str) -> bool {
    match flag {
        "db-password" => true,
        // What is no connection string, or no KEY=VALUE, may be anything.
        "target" => Conninfo::parse(value).map_or(true, |info| info.holds_secret()),
        "kafka-property" => value.lines().any(|property| {
            property.split_once('=').is_none_or(|(key, _)| !Property::is_shown(key))
        }),
        _ => false,
    }
}
