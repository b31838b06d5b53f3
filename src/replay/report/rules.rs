//! By which rules shapes are judged: the settings of it.

use std::time::Duration;

use clap::Args;

use crate::flag_values::{duration, share};

/// What a verdict asks for.
#[derive(Debug, Clone, Copy, PartialEq, Args)]
#[command(next_help_heading = "Verdicts")]
pub struct Rules {
    /// How long the target warms up from its first statement on: in the first tenth of this, calls are
    /// not judged, and in the rest only where too few come later; 0: not at all
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub warm_up: Duration,
    /// By how much a query shape has to become slower or faster, beyond what the machine makes of all of
    /// them, to be called degraded or improved: 10% or 0.1
    #[arg(long, value_name = "SHARE", default_value = "10%", value_parser = share)]
    pub threshold: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { warm_up: Duration::from_secs(60), threshold: 0.1 }
    }
}
