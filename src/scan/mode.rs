//! What a scanner remembers of what it has begun.

use super::delimiter::Delimiter;
use super::meter::Work;
use super::region::Region;
use super::walk::Walk;
use crate::span::Span;

/// What the scanner is in the middle of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Looking for candidates.
    Open,
    /// Behind the name `value` at `at`, which begins at `begins`: the name that says what the
    /// value is may follow it.
    Seeking { quote: Delimiter, begins: u64, at: u64 },
    /// On the way from a member name to its value.
    Walking { walk: Walk, at: u64 },
    /// At a value under a key rule, which begins at `at`.
    Judging { walk: Walk, at: u64, number: bool },
    /// Inside a secret; it goes on at `at`.
    Swallowing { region: Region, rule: usize, at: u64, walk: Option<Walk> },
}

impl Mode {
    /// Where it goes on, unless it is open.
    pub(super) fn at(self) -> Option<u64> {
        match self {
            Self::Open => None,
            Self::Seeking { at, .. }
            | Self::Walking { at, .. }
            | Self::Judging { at, .. }
            | Self::Swallowing { at, .. } => Some(at),
        }
    }

    /// Whose work it is.
    pub(super) fn work(self) -> Work {
        match self {
            Self::Open => Work::Order,
            Self::Seeking { .. } => Work::Names,
            Self::Walking { walk, .. } | Self::Judging { walk, .. } => Work::Rule(walk.rules.first()),
            Self::Swallowing { rule, .. } => Work::Rule(rule),
        }
    }

    /// Whether it must run before what stands at `place` is judged.
    pub(super) fn is_before(self, place: u64) -> bool {
        self.at().is_some_and(|at| at < place)
    }
}

/// A match that was added, remembered so that `password=password=password=...`
/// is not decoded again from every word on: what begins within it and ends with
/// it, by the same rule, adds nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    pub(super) rule: usize,
    pub(super) secret: Span,
}

impl Last {
    /// Whether a match of `rule` from `start` to `end` adds nothing to it.
    pub(super) fn covers(self, rule: usize, start: u64, end: u64) -> bool {
        self.rule == rule && self.secret.start <= start && end == self.secret.end
    }
}
