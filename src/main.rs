//! The `kreplay` command.

fn main() {}
