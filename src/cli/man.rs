//! The manual page, made from the command line's own description.

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use strum::VariantArray as _;

use super::{Cli, ENVIRONMENT};
use crate::exit::Exit;

/// The manual page of section 1, for man(1).
///
/// There is one page: the subcommands are told on it, with the options that the replay has not. Hidden
/// ones are not.
pub fn manual() -> String {
    let mut page = Vec::new();
    render(&mut page).expect("a Vec takes all that is written to it");
    String::from_utf8_lossy(&page).into_owned()
}

fn render(page: &mut Vec<u8>) -> io::Result<()> {
    let mut command = Cli::command();
    command.build();
    let man = Man::new(command.clone()).manual("User Commands");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    commands(&command).to_writer(page)?;
    environment().to_writer(page)?;
    exit_status().to_writer(page)?;
    let mut see_also = Roff::new();
    see_also.control("SH", ["SEE ALSO"]);
    see_also.text([
        bold("psql"),
        roman("(1), "),
        bold("pgbench"),
        roman("(1), "),
        bold("systemd.service"),
        roman("(5)"),
    ]);
    see_also.to_writer(page)
}

fn commands(command: &clap::Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for subcommand in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        let mut call = vec![bold(format!("kreplay {}", subcommand.get_name()))];
        for argument in subcommand.get_positionals() {
            for name in argument.get_value_names().unwrap_or_default() {
                call.extend([roman(" "), italic(format!("<{name}>"))]);
            }
        }
        roff.control("TP", []);
        roff.text(call);
        roff.text([roman(subcommand.get_about().map(ToString::to_string).unwrap_or_default())]);
        own_options(subcommand, command, &mut roff);
    }
    roff
}

/// The options of a subcommand that are not the replay's.
fn own_options(subcommand: &clap::Command, command: &clap::Command, roff: &mut Roff) {
    let of_the_replay = |long: &str| command.get_arguments().any(|it| it.get_long() == Some(long));
    for option in subcommand.get_arguments() {
        let Some(long) = option.get_long().filter(|it| !of_the_replay(it) && *it != "help") else {
            continue;
        };
        let mut call = vec![bold(format!("--{long}"))];
        if option.get_action().takes_values() {
            for name in option.get_value_names().unwrap_or_default() {
                call.extend([roman(" "), italic(format!("<{name}>"))]);
            }
        }
        roff.control("RS", []);
        roff.control("TP", []);
        roff.text(call);
        roff.text([roman(option.get_help().map(ToString::to_string).unwrap_or_default())]);
        roff.control("RE", []);
    }
}

fn environment() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["ENVIRONMENT"]);
    roff.text([roman(ENVIRONMENT)]);
    roff
}

fn exit_status() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for &exit in Exit::VARIANTS {
        roff.control("TP", []);
        roff.text([bold((exit as u8).to_string())]);
        roff.text([roman(exit.meaning())]);
    }
    roff
}

#[cfg(test)]
mod tests;
