use std::ffi::OsString;

use strum::VariantArray as _;

use super::*;
use crate::exit::Exit;

fn read(arguments: &[&str]) -> Result<Cli, clap::Error> {
    Cli::read(std::iter::once(&"kreplay").chain(arguments).map(OsString::from))
}

fn refused(arguments: &[&str]) -> clap::Error {
    read(arguments).err().unwrap_or_else(|| panic!("{arguments:?} is taken"))
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn the_letters_of_the_first_kreplay_have_their_meaning() {
    let letters = [
        ('t', "topic"),
        ('b', "brokers"),
        ('d', "db-name"),
        ('u', "db-user"),
        ('p', "db-password"),
        ('H', "db-host"),
        ('P', "db-port"),
        ('s', "skip-selects"),
        ('m', "timeout-ms"),
        ('a', "after"),
        ('i', "ignore-error-seconds"),
        ('c', "skip-count"),
    ];
    let command = Cli::command();
    for (letter, long) in letters {
        let argument = command.get_arguments().find(|arg| arg.get_short() == Some(letter));
        assert_eq!(argument.and_then(clap::Arg::get_long), Some(long), "-{letter}");
    }
}

#[test]
fn brokers_are_repeatable_and_separated_by_commas() {
    let cli = read(&["-b", "a:1,b:2", "-b", "c:3", "-t", "log"]).expect("it is right");
    assert_eq!(cli.settings.source.brokers, ["a:1", "b:2", "c:3"]);
}

#[test]
fn the_version_names_the_revision() {
    let version = refused(&["--version"]);
    assert_eq!(version.exit_code(), 0);
    assert_eq!(version.to_string().trim(), format!("kreplay {VERSION}"));
    assert!(VERSION.ends_with(')') && !REVISION.is_empty());
}

#[test]
fn an_unknown_flag_is_named_and_exits_with_2() {
    let error = refused(&["--db-hots", "x"]);
    assert!(error.to_string().contains("--db-hots"), "{error}");
    assert_eq!(error.exit_code(), Exit::Usage as i32);
    // A value given to a misspelt flag may be a password.
    let error = refused(&["--db-pasword=hunter2"]);
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn every_flag_is_explained_under_a_heading_and_none_shows_a_value_of_the_environment() {
    for argument in Cli::command().get_arguments() {
        let name = argument.get_id();
        assert!(argument.get_help().is_some(), "{name}");
        assert!(argument.get_help_heading().is_some(), "{name}");
        assert!(argument.get_env().is_none(), "{name} would be read behind config's back");
    }
}

#[test]
fn a_completion_script_knows_the_flags() {
    let script = completions(Shell::Bash);
    assert!(script.contains("--skip-selects") && script.contains("_kreplay"));
    let Some(Command::Completions { shell: Shell::Zsh }) =
        read(&["completions", "zsh"]).expect("it is right").command
    else {
        panic!("no completions")
    };
}

const FLAGS: &str = include_str!("../../docs/reference/flags.md");
const EXIT_CODES: &str = include_str!("../../docs/reference/exit-codes.md");

/// A flag's default: the declared one, or what the help says where it depends on other settings.
pub(crate) fn default(argument: &clap::Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    match noted(&help, "default") {
        Some(worded) => worded.to_owned(),
        None => {
            let declared = argument.get_default_values().iter();
            declared.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(",")
        }
    }
}

/// What stands between `[key: ` and `]` in a help text.
fn noted<'a>(help: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = help.split_once(&format!("[{key}: "))?;
    Some(rest.split_once(']')?.0)
}

#[test]
fn the_documentation_has_every_flag_with_its_letter_default_and_variables() {
    for argument in Cli::command().get_arguments() {
        let Some(long) = argument.get_long() else { continue };
        let cell = format!("`--{long}`");
        let row = FLAGS
            .lines()
            .filter(|line| line.starts_with("| `-"))
            .find(|line| line.split(" | ").next().is_some_and(|first| first.contains(&cell)))
            .unwrap_or_else(|| panic!("docs/reference/flags.md has no row for --{long}"));
        if let Some(letter) = argument.get_short() {
            assert!(row.starts_with(&format!("| `-{letter}` ")), "{row}");
        }
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let default = default(argument);
        assert!(row.replace('`', "").contains(&format!("| {default} |")), "{default}: {row}");
        for variable in noted(&help, "env").unwrap_or_default().split_terminator(", ") {
            assert!(row.contains(&format!("`{variable}`")), "{variable}: {row}");
        }
    }
}

#[test]
fn the_documentation_has_every_exit_code() {
    let codes = EXIT_CODES.replace('`', "");
    for &exit in Exit::VARIANTS {
        let row = format!("\n| {} | {} |\n", exit as u8, exit.meaning());
        assert!(codes.contains(&row), "{row}");
    }
}

#[test]
fn of_two_passwords_both_are_secrets_although_the_last_one_counts() {
    let target = "host=db password=hunter2 password=";
    let shown = Cli::read(["kreplay", "--target", target].map(Into::into)).expect("arguments");
    let shown = format!("{} {:?}", shown.typed.redacted(), shown.typed);
    assert!(shown.contains("host=db") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn of_several_settings_in_one_value_each_is_judged_by_itself() {
    let several = "client.id=a\nsasl.password=hunter2\nhunter2";
    let shown = Cli::read(["kreplay", "-X", several].map(Into::into)).expect("arguments");
    let shown = shown.typed.redacted();
    assert!(shown.contains("client.id=a") && !shown.contains("hunter2"), "{shown}");
}
