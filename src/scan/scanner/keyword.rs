//! The words that rules want near a match.

use super::super::detector::{national, ssn};
use super::super::meter::Meter;
use super::super::nearby::Sightings;
use super::{Data, Scanner, Workspace};
use crate::rule::Detector;
use crate::validator::Validator;

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

    /// Whether it is plain that no rule for `detector` finds anything near `anchor`: none
    /// has its keyword there, or what its validator wants. Asked before what takes longer,
    /// and not where verdicts are kept.
    pub(super) fn is_alone(&self, work: &mut Workspace, data: Data<'_>, detector: Detector, anchor: usize) -> bool {
        if detector != Detector::PhoneNational || data.outer.is_some() || self.checks.keeps_verdicts() {
            return false;
        }
        let mut rules = data.engine.detectors.iter().filter(|(which, _)| *which == detector);
        rules.all(|&(_, rule)| !self.may_find_national(work, data, rule, anchor))
    }

    fn may_find_national(&self, work: &mut Workspace, data: Data<'_>, rule: usize, anchor: usize) -> bool {
        let is_ssn = data.engine.ruleset().rules[rule].validator == Some(Validator::UsSsn);
        let lead = (anchor, national::LEAD);
        (!is_ssn || ssn::may_surround(data.raw, anchor))
            && data.engine.may_have_keyword(&mut work.sightings, rule, (data.raw, work.scan), lead)
    }
}
