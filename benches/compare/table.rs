//! Medians and the tables that they stand in.

use std::time::Duration;

use crate::client::Client;
use crate::process::Cost;

/// One run of one client.
#[derive(Debug, Clone, Copy)]
pub struct Run {
    /// Statements sent.
    pub statements: usize,
    /// What the client took.
    pub client: Cost,
    /// What the server took meanwhile.
    pub server: Duration,
}

impl Run {
    /// Statements a second, from the client's start to its end.
    fn rate(&self) -> f64 {
        self.statements as f64 / self.client.wall.as_secs_f64()
    }

    fn micros(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / self.statements as f64
    }
}

/// Prints a table of what was measured side by side: for each client a row of medians. `rounds` holds
/// a run of each client that was measured, round by round.
pub fn print(clients: &[Client], rounds: &[Vec<Run>]) {
    println!();
    println!(
        "| client | statements/s | µs CPU | µs CPU of the server | × pgreplay | × raw writer |"
    );
    println!("|---|--:|--:|--:|--:|--:|");
    for (index, client) in clients.iter().enumerate() {
        let of = |figure: &dyn Fn(&Run) -> f64| {
            median(rounds.iter().map(|round| figure(&round[index])).collect())
        };
        // Round by round: the machine's speed may drift from one to the next.
        let beside = |other: Client| {
            let Some(other) = clients.iter().position(|client| *client == other) else {
                return String::new();
            };
            let ratios = rounds.iter().map(|round| round[index].rate() / round[other].rate());
            format!("{:.2}", median(ratios.collect()))
        };
        println!(
            "| {} | {} | {:.2} | {:.2} | {} | {} |",
            client.name(),
            thousands(of(&Run::rate)),
            of(&|run| run.micros(run.client.cpu)),
            of(&|run| run.micros(run.server)),
            beside(Client::Pgreplay),
            beside(Client::Raw),
        );
    }
    println!();
}

/// The figure in the middle.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 {
        figures[middle]
    } else {
        (figures[middle - 1] + figures[middle]) / 2.0
    }
}

/// A whole number, its thousands set apart.
pub fn thousands(rate: f64) -> String {
    let rate = rate.round() as u64;
    match rate / 1000 {
        0 => rate.to_string(),
        above => format!("{above},{:03}", rate % 1000),
    }
}
