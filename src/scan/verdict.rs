//! What validators and allow lists say to what was found.

use super::engine::Engine;
use crate::span::Span;
use crate::validator::Validator;

/// The verdicts on one body's candidates.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    /// By rule index: candidates that a validator turned down.
    rejections: Vec<u64>,
    /// What a validator said last, and of which bytes.
    last: Option<(Validator, Span, bool)>,
}

impl Verdicts {
    /// Candidates that a validator turned down: (rule index, count).
    pub(super) fn rejections(&self) -> impl Iterator<Item = (usize, u64)> {
        self.rejections.iter().copied().enumerate().filter(|&(_, count)| count > 0)
    }

    /// Validator and allow list of a rule, for the `text` at `place`.
    pub(super) fn is_valid(&mut self, engine: &Engine, rule: usize, place: Span, text: &[u8]) -> bool {
        let known = &engine.ruleset().rules[rule];
        if known.validator.is_some_and(|validator| !self.accepts(validator, place, text)) {
            if self.rejections.len() <= rule {
                self.rejections.resize(rule + 1, 0);
            }
            self.rejections[rule] += 1;
            return false;
        }
        !engine.allows[rule].iter().any(|allow| allow.is_match(text))
    }

    /// Asks a validator once, though several rules may find the same.
    fn accepts(&mut self, validator: Validator, place: Span, text: &[u8]) -> bool {
        match self.last {
            Some((known, span, verdict)) if (known, span) == (validator, place) => verdict,
            _ => {
                let verdict = validator.accepts(text);
                self.last = Some((validator, place, verdict));
                verdict
            }
        }
    }
}
