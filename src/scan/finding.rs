//! What a scan comes to.

use super::resolve::{Match, Wrap};
use crate::hyperscan::HyperscanError;
use crate::span::Span;

/// A settled finding, or a piece of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// In bytes of the body.
    pub span: Span,
    /// Index into [`crate::rule::Ruleset::rules`].
    pub rule: usize,
    /// How the replacement must be written.
    pub wrap: Wrap,
    /// Whether this is all of it.
    pub part: Part,
}

impl From<Match> for Finding {
    fn from(found: Match) -> Self {
        let span = Span::new(found.start, found.end);
        Self { span, rule: found.rule, wrap: found.wrap, part: Part::Whole }
    }
}

/// What was found in a text that stands in base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The run, in bytes of the body.
    pub run: Span,
    /// In order, in bytes of the text.
    pub findings: Vec<Finding>,
}

/// Which part of a finding a [`Finding`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// The first piece of a long one: the replacement goes here.
    First,
    /// A further piece: nothing goes here.
    More,
}

/// The engine failed; the body must be refused.
#[derive(Debug, thiserror::Error)]
#[error("the scan engine failed")]
pub struct ScanError(#[from] HyperscanError);
