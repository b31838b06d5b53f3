use super::*;

/// The page without its escapes and fonts.
fn plain() -> String {
    let page = manual().replace("\\-", "-").replace("\\*(Aq", "'");
    ["\\fB", "\\fI", "\\fR"].iter().fold(page, |page, font| page.replace(font, ""))
}

#[test]
fn the_page_has_every_flag_and_every_command_that_is_shown() {
    let (page, command) = (plain(), Cli::command());
    for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
        assert!(page.contains(&format!("--{flag}")), "--{flag}");
    }
    for subcommand in command.get_subcommands() {
        let shown = page.contains(&format!("\nkreplay {}", subcommand.get_name()));
        assert_eq!(shown, !subcommand.is_hide_set(), "{}", subcommand.get_name());
    }
    assert!(page.contains("--fail-on <WHAT>"), "an option of a command is missing");
    assert!(!page.contains("mock"), "a hidden command shows");
}

#[test]
fn the_page_has_the_sections_that_man_pages_have() {
    let page = plain();
    assert!(page.contains(".TH kreplay 1"), "{page}");
    let sections = ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "ENVIRONMENT", "EXIT STATUS"];
    for section in sections {
        let heading = [format!(".SH {section}\n"), format!(".SH \"{section}\"\n")];
        assert!(heading.iter().any(|heading| page.contains(heading)), "{section}: {page}");
    }
    // mandb takes the one line of NAME apart at the dash.
    assert!(page.contains("\nkreplay - Replays the queries"), "{page}");
}

#[test]
fn no_line_of_text_is_taken_for_a_macro() {
    const MACROS: [&str; 10] = ["TH", "SH", "SS", "TP", "IP", "RS", "RE", "PP", "br", "ie"];
    for line in manual().lines().filter(|line| line.starts_with(['.', '\''])) {
        let name = line[1..].split(' ').next().unwrap_or_default();
        assert!(MACROS.contains(&name) || name == "el", "{line}");
    }
}
