//! The sans-IO redactor: bytes in by [`Redactor::push`], redacted bytes out.
//!
//! Invariant: the concatenated output depends on the concatenated input
//! alone, never on how it was cut into chunks.

mod judge;
mod label;
pub mod naive;
mod policy;
mod redactor;

pub use judge::{FINDERS, Finder, Problem, Test, Tested, find, judge, judge_own, test};
pub use policy::{Action, Policy};
pub use redactor::{Applied, Redactor};

use crate::scan::Engine;
pub use crate::scan::Format;
use bytes::Bytes;
use std::sync::Arc;

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
    /// By rule index.
    labels: Vec<Bytes>,
    /// By rule index: whether its findings are counted only.
    quiet: Arc<[bool]>,
}

impl Plan {
    /// Looks up the action of every rule once.
    pub fn new(engine: Arc<Engine>, policy: &Policy) -> Self {
        let actions: Vec<Action> = engine
            .ruleset()
            .rules
            .iter()
            .map(|rule| if rule.shadow { Action::Report } else { policy.action(&rule.entity) })
            .collect();
        let labels = engine.ruleset().rules.iter().map(|rule| label::of(&rule.entity)).collect();
        let quiet = actions.iter().map(|action| *action == Action::Report).collect();
        Self { engine, actions, labels, quiet }
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What is done with a finding of the rule with this index.
    pub fn action(&self, rule: usize) -> Action {
        self.actions.get(rule).copied().unwrap_or(Action::Replace)
    }

    /// By rule index: rules that must not hide findings of others.
    fn quiet(&self) -> Arc<[bool]> {
        Arc::clone(&self.quiet)
    }

    /// What replaces a finding of the rule with this index.
    fn label(&self, rule: usize) -> Bytes {
        self.labels.get(rule).cloned().unwrap_or_else(|| label::of("REDACTED"))
    }
}
