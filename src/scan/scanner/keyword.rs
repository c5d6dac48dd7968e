//! The words that rules want near a match.

use super::super::detector::national;
use super::super::meter::Meter;
use super::super::nearby::Sightings;
use super::{Data, Scanner};
use crate::rule::Detector;

impl<M: Meter> Scanner<M> {
    /// Where the match at `start` begins with the keyword that it needs; `None`
    /// where there is none.
    pub(super) fn keyword(
        &self,
        seen: &mut Sightings,
        data: Data<'_>,
        rule: usize,
        (start, scan): (usize, u64),
    ) -> Option<usize> {
        let (before, now) = ((&self.context, data.raw), (scan, self.format));
        if data.engine.is_other(seen, rule, before, start, now) {
            return None;
        }
        let near = data.engine.keyword(seen, rule, before, start, now);
        near.or_else(|| {
            data.outer?.is_near(rule, usize::try_from(self.absolute(start)).unwrap_or(usize::MAX)).then_some(start)
        })
    }

    /// Whether it is plain that no rule for `detector` has its keyword near `anchor`,
    /// which is asked before what takes longer. Not where verdicts are kept.
    pub(super) fn is_alone(&self, data: Data<'_>, detector: Detector, anchor: usize) -> bool {
        if detector != Detector::PhoneNational || data.outer.is_some() || self.checks.keeps_verdicts() {
            return false;
        }
        let lead = (anchor, national::LEAD);
        let mut rules = data.engine.detectors.iter().filter(|(which, _)| *which == detector);
        rules.all(|&(_, rule)| !data.engine.may_have_keyword(rule, data.raw, lead))
    }
}
