//! The words that rules want, or do not want, before a match.

use super::super::Format;
use super::super::nearby::{Context, Sightings};
use super::Engine;

impl Engine {
    /// Where the nearest of a rule's keywords begins that stands near before `start`
    /// of the data, which a context precedes; `start` where the rule has none, or
    /// the keyword stands in the context.
    pub(in crate::scan) fn keyword(
        &self,
        sightings: &mut Sightings,
        rule: usize,
        data: (&Context, &[u8]),
        start: usize,
        now: (u64, Format),
    ) -> Option<usize> {
        let keywords = &self.keywords[rule];
        let proximity = self.ruleset.rules[rule].proximity;
        match keywords.is_empty() {
            true => Some(start),
            false => sightings.stand_before((&self.vocabulary, keywords), proximity, data, start, now),
        }
    }

    /// Whether a rule may have its keyword before a value around `anchor` of the data,
    /// which begins at most `lead` bytes before: a quick look.
    pub(in crate::scan) fn may_have_keyword(
        &self,
        sightings: &mut Sightings,
        rule: usize,
        data: (&[u8], u64),
        anchor: (usize, usize),
    ) -> bool {
        let keywords = &self.keywords[rule];
        let proximity = self.ruleset.rules[rule].proximity;
        keywords.is_empty() || sightings.may_stand_before((&self.vocabulary, keywords), proximity, data, anchor)
    }

    /// Whether a word stands right before `start` of the data that says that the
    /// value there is something else. As [`Engine::keyword`] otherwise.
    pub(in crate::scan) fn is_other(
        &self,
        sightings: &mut Sightings,
        rule: usize,
        data: (&Context, &[u8]),
        start: usize,
        now: (u64, Format),
    ) -> bool {
        let unless = &self.unless[rule];
        !unless.is_empty() && sightings.stand_right_before((&self.vocabulary, unless), data, start, now)
    }
}
