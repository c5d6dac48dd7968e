//! The sans-IO redactor: bytes in by [`Redactor::push`], redacted bytes out.
//!
//! Invariant: the concatenated output depends on the concatenated input
//! alone, never on how it was cut into chunks.

mod judge;
mod mask;
pub mod naive;
mod outputs;
mod packed;
mod policy;
mod pseudonym;
mod redactor;
mod replacement;
#[cfg(test)]
pub(crate) mod rig;
mod template;

pub use judge::{FINDERS, Finder, Problem, Test, Tested, find, judge, judge_own, test};
pub use mask::{MASKS, Mask};
pub use outputs::{Refusal, judge_policy};
pub(crate) use packed::{Unpacked, is_text as is_packed_text, may_be_packed, repack};
pub use policy::{Action, Policy, Treatment, UnknownAction};
pub use pseudonym::{HashKey, Pseudonym};
pub use redactor::{Applied, Edit, Redactor};
pub use template::Template;

use crate::rule::Rule;
pub use crate::scan::Format;
use crate::scan::{Encoding, Engine, Finding, Protections, Written};
use bytes::Bytes;
use replacement::{Replacement, Writing};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

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
    /// What is compressed within a text is too large, or cannot change.
    #[error("what is compressed within a text is larger than the limit")]
    Large,
    /// A string holds compressed bytes as they are.
    #[error("a string holds compressed bytes")]
    Zipped,
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

    /// Takes over what was found in the same bytes, looked at in another way: of each count
    /// the larger one.
    pub(crate) fn take_most(&mut self, other: &Self) {
        self.scanned = self.scanned.max(other.scanned);
        for tally in &other.findings {
            match self.findings.iter_mut().find(|known| known.rule == tally.rule && known.action == tally.action) {
                Some(known) => known.count = known.count.max(tally.count),
                None => self.findings.push(*tally),
            }
        }
        for &(rule, count) in &other.rejections {
            match self.rejections.iter_mut().find(|(known, _)| *known == rule) {
                Some((_, known)) => *known = (*known).max(count),
                None => self.rejections.push((rule, count)),
            }
        }
    }

    /// Adds what was found elsewhere in the same body.
    pub fn add(&mut self, other: &Self) {
        self.scanned += other.scanned;
        for tally in &other.findings {
            match self.findings.iter_mut().find(|known| known.rule == tally.rule && known.action == tally.action) {
                Some(known) => known.count += tally.count,
                None => self.findings.push(*tally),
            }
        }
        for &(rule, count) in &other.rejections {
            match self.rejections.iter_mut().find(|(known, _)| *known == rule) {
                Some((_, known)) => *known += count,
                None => self.rejections.push((rule, count)),
            }
        }
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
    writings: Vec<Writing>,
    /// By rule index: whether its findings are counted only.
    quiet: Arc<[bool]>,
    /// What is written beside the usual labels, if anything.
    written: Option<Arc<Written>>,
    /// What stays, whatever is found in it.
    protections: Option<Arc<Protections>>,
    /// See [`Plan::of_same_length`]; made when it is asked for.
    same_length: OnceLock<Arc<Plan>>,
    /// It is such a plan.
    keeps_length: bool,
}

impl Plan {
    /// Looks up the action of every rule once.
    pub fn new(engine: Arc<Engine>, policy: &Policy) -> Self {
        let protections = Protections::compile(engine.ruleset(), &policy.protected);
        Self::by(engine, protections, &policy.keys, |rule| policy.treatment(rule).clone())
    }

    fn by(
        engine: Arc<Engine>,
        protections: Option<Arc<Protections>>,
        keys: &[String],
        treatment: impl Fn(&Rule) -> Treatment,
    ) -> Self {
        let rules = &engine.ruleset().rules;
        let mut written = Written::default();
        for rule in rules.iter().filter(|rule| rule.enabled && !rule.shadow) {
            treatment(rule).tell(rule, keys, &mut written);
        }
        let treatment = |rule: &Rule| if rule.shadow { Treatment::Report } else { treatment(rule) };
        let writings: Vec<Writing> = rules.iter().map(|rule| Writing::new(treatment(rule), rule)).collect();
        let quiet = writings.iter().map(|writing| writing.action() == Action::Report).collect();
        let written = (!written.is_empty()).then(|| Arc::new(written));
        Self { engine, writings, quiet, written, protections, same_length: OnceLock::new(), keeps_length: false }
    }

    /// The same with a mask of the same length wherever something else would be
    /// written, for what has a length in front of it that has left already.
    pub fn of_same_length(&self) -> &Arc<Self> {
        self.same_length.get_or_init(|| {
            let rules = &self.engine.ruleset().rules;
            let known: HashMap<&str, &Treatment> =
                rules.iter().zip(&self.writings).map(|(rule, writing)| (&*rule.id, writing.treatment())).collect();
            let treatment = |rule: &Rule| match known.get(&*rule.id) {
                Some(kept @ (Treatment::Block | Treatment::Report)) => (*kept).clone(),
                Some(Treatment::Mask(mask)) => Treatment::Mask(mask.of_same_length()),
                _ => Treatment::Mask(Mask::default().of_same_length()),
            };
            let plan = Self::by(Arc::clone(&self.engine), self.protections.clone(), &[], treatment);
            Arc::new(Self { keeps_length: true, ..plan })
        })
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// What stays, whatever is found in it.
    pub fn protections(&self) -> Option<&Arc<Protections>> {
        self.protections.as_ref()
    }

    /// What is done with a finding of the rule with this index.
    pub fn action(&self, rule: usize) -> Action {
        self.writings.get(rule).map_or(Action::Replace, Writing::action)
    }

    /// By rule index: rules that must not hide findings of others.
    fn quiet(&self) -> Arc<[bool]> {
        Arc::clone(&self.quiet)
    }

    /// Text in base64 with what was found in it acted on.
    fn encoded(&self, run: &[u8], findings: &[Finding]) -> Bytes {
        let (text, encoding) = Encoding::read(run);
        let place = |at: u64| usize::try_from(at).unwrap_or(text.len()).min(text.len());
        let (mut pieces, mut rest) = (Vec::new(), 0);
        for finding in findings {
            let (start, end) = (place(finding.span.start), place(finding.span.end));
            pieces.push(Bytes::copy_from_slice(text.get(rest..start).unwrap_or_default()));
            if let Some(mut replacement) = self.begin(finding, &mut pieces) {
                replacement.push(text.get(start..end).unwrap_or_default(), &mut pieces);
                replacement.finish(&mut pieces);
            }
            rest = end;
        }
        pieces.push(Bytes::copy_from_slice(&text[rest..]));
        encoding.write(&pieces.concat()).into()
    }

    /// Begins to write what replaces a finding.
    fn begin(&self, finding: &Finding, out: &mut Vec<Bytes>) -> Option<Replacement> {
        Some(self.writings.get(finding.rule)?.begin(finding, out))
    }
}
