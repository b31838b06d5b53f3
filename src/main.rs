//! The `kreplay` command: the command line, the log, the daemon, the exit code.

use std::io::{self, Write};
use std::panic::resume_unwind;
use std::process::ExitCode;

use kreplay::cli::{Cli, Command};
use kreplay::compare::CompareOptions;
use kreplay::config::{self, Config, LogFormat, LogSettings};
use kreplay::daemon::{Screen, start_log};
use kreplay::exit::Exit;
use kreplay::{cli, compare, daemon, escape, mock_broker};

/// A statement is some ten allocations, which are freed on another path and often another thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match cli.command.take() {
        Some(Command::Check(options)) => return check(cli, options.json),
        Some(Command::Compare(options)) => return compare(&options),
        Some(Command::Completions { shell }) => {
            print(&cli::completions(shell));
            return Exit::Done.into();
        }
        Some(Command::Man) => {
            print(&cli::manual());
            return Exit::Done.into();
        }
        Some(Command::MockBroker { listen_file, topic, partitions }) => {
            return match mock_broker::run(&listen_file, &topic, partitions) {
                Ok(()) => Exit::Done.into(),
                Err(error) => fail(&error, Exit::Unexpected),
            };
        }
        None => {}
    }
    let config = match Config::resolve(cli, &|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(error) => return fail(&error, Exit::Usage),
    };
    let screen = Screen::new(config.log.format);
    start_log(&config.log, screen.clone());
    let format = config.log.format;
    let fail = |error: &dyn std::fmt::Display, exit: Exit| match format {
        LogFormat::Text => fail(error, exit),
        LogFormat::Json => {
            tracing::error!(exit_code = exit as u8, "{error}");
            exit.into()
        }
    };
    daemon::log_startup(&config);
    // What the system itself waits for is looked at each time an actor is: something small.
    let replay = actix_rt::System::new()
        .block_on(async { actix_rt::spawn(daemon::run(config, screen)).await });
    match replay.unwrap_or_else(|failed| resume_unwind(failed.into_panic())) {
        Ok(ended) => {
            print(&ended.report.tally.summary());
            print(&ended.report.table());
            match ended.reason {
                Some(reason) => {
                    let refused = matches!(ended.exit, Exit::TargetRefused | Exit::KafkaRefused);
                    let more = " (`kreplay check` with the same options tells more)";
                    fail(&format_args!("{reason}{}", if refused { more } else { "" }), ended.exit)
                }
                None => ended.exit.into(),
            }
        }
        Err(error) => fail(&format_args!("{error:#}"), Exit::Unexpected),
    }
}

fn check(cli: Cli, json: bool) -> ExitCode {
    let config = match Config::resolve(cli, &|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(error) => return fail(&error, Exit::Usage),
    };
    // What goes wrong is a finding: only the rest is left for the log.
    let filter = match config.log.filter.as_str() {
        config::DEFAULT_LOG => "error,kreplay::postgres=warn,librdkafka=off",
        given => given,
    };
    let log = LogSettings { filter: filter.to_owned(), ..config.log.clone() };
    start_log(&log, Screen::new(log.format));
    let report = actix_rt::System::new().block_on(kreplay::check::run(&config));
    match json {
        true => write(&escape::json(&report.json())),
        false => print(&report.text()),
    }
    if report.passed() { Exit::Done.into() } else { Exit::CheckFailed.into() }
}

/// Compares two reports; the exit code tells whether anything became worse.
fn compare(options: &CompareOptions) -> ExitCode {
    match compare::run(options) {
        Ok((text, is_worse)) => {
            match options.json {
                true => write(&escape::json(&text)),
                false => print(&text),
            }
            if is_worse { Exit::Worse.into() } else { Exit::Done.into() }
        }
        Err(error) => fail(&error, Exit::Usage),
    }
}

fn fail(error: &dyn std::fmt::Display, exit: Exit) -> ExitCode {
    // Where standard error is closed, the exit code tells.
    let _ = writeln!(io::stderr(), "kreplay: {}", escape::line(&error.to_string()));
    exit.into()
}

fn print(text: &str) {
    write(&escape::lines(text));
}

fn write(text: &str) {
    // A reader that has gone, as in `kreplay … | head`, wants no more.
    let _ = io::stdout().write_all(text.as_bytes());
}
