//! Bytes to findings, across chunk borders.

use crate::rule::Ruleset;
use std::sync::Arc;

/// A rule set compiled for scanning. Immutable and shared between threads.
pub struct Engine {
    ruleset: Arc<Ruleset>,
}

/// Why a rule set cannot be compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A rule's pattern cannot be used.
    #[error("rule {id}: {reason}")]
    Pattern {
        /// The rule's id.
        id: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The literal database could not be built.
    #[error("cannot build the literal database")]
    Database,
}

impl Engine {
    /// Compiles the enabled rules of `ruleset`.
    ///
    /// # Errors
    /// When a pattern is invalid or too wide to bound.
    pub fn compile(ruleset: Arc<Ruleset>) -> Result<Self, CompileError> {
        Ok(Self { ruleset })
    }

    /// The rules it was compiled from.
    pub fn ruleset(&self) -> &Arc<Ruleset> {
        &self.ruleset
    }
}
