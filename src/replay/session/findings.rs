//! What sessions find out about the target and tell each other.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::replay::parameter_types::KnownTypes;

/// What sessions find out about the target and tell each other.
#[derive(Debug, Default)]
pub struct Findings {
    /// The types of statements' parameters.
    pub types: KnownTypes,
    /// Whether the target has chosen a victim that the source had not.
    victims: AtomicBool,
}

impl Findings {
    /// Whether the target has chosen a victim that the source had not: others may follow.
    pub fn has_victims(&self) -> bool {
        self.victims.load(Ordering::Relaxed)
    }

    pub(super) fn note_victim(&self) {
        self.victims.store(true, Ordering::Relaxed);
    }
}
