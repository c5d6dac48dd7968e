//! Which of several overlapping matches stay.
//!
//! Matches are looked at in clusters: a cluster is a chain of matches each of
//! which overlaps one before it, cut off at [`LONGEST_CLUSTER`] bytes so that
//! hostile input cannot make one grow without end. Within a cluster the match
//! of highest priority stays, then the longest, the earliest, the one whose
//! rule comes first. What the next in line covers beyond that stays a finding
//! of its own, so that nothing a rule has found is left over; and so on.
//!
//! A *region* (a value under a key rule, a private key, a token longer than
//! the look-ahead) beats whatever it touches: matches that start within it are
//! dropped, one that reaches into it ends at its start, and goes on at its end
//! if it is longer.

use crate::span::Span;
use std::cmp::Reverse;

/// Bytes from the start of a cluster in which further matches may join it.
pub(crate) const LONGEST_CLUSTER: u64 = 4096;

/// A confirmed match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) rule: usize,
    pub(crate) priority: i32,
    pub(crate) wrap: Wrap,
    /// It was added before what begins before it was looked at. Of such a match
    /// a region takes what it covers, not all.
    pub(crate) ahead: bool,
}

impl Match {
    /// A run of base64 with a finding of `rule` in its text. Whatever it touches
    /// comes before it: that says what the run is, and not only what it holds.
    pub(crate) fn of_run(run: Span, rule: usize) -> Self {
        Self { start: run.start, end: run.end, rule, priority: i32::MIN, wrap: Wrap::Base64, ahead: false }
    }

    /// What of it is left for later when a region begins at `start`.
    fn behind(&self, start: u64) -> Option<Self> {
        match self.wrap {
            _ if self.start >= start => self.ahead.then_some(*self),
            // A number is replaced as a whole or not at all.
            Wrap::Plain | Wrap::Base64 if start < self.end => Some(Self { ahead: true, ..self.piece(start, self.end) }),
            _ => None,
        }
    }

    /// What of it lies between these. A part of a run cannot be decoded, and so
    /// goes as it is.
    fn piece(self, start: u64, end: u64) -> Self {
        let is_part = self.wrap == Wrap::Base64 && (start, end) != (self.start, self.end);
        Self { start, end, wrap: if is_part { Wrap::Plain } else { self.wrap }, ..self }
    }
}

/// How the replacement must be written so that JSON stays valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrap {
    /// As it is.
    Plain,
    /// A number becomes a string: between quotes of this nesting level.
    Quoted(u32),
    /// The same between single quotes, as Python and JavaScript write strings.
    Apostrophes,
    /// A number of unclear nesting becomes `0`, which is valid at every level.
    Zero,
    /// Bytes in base64 become others: what is written is encoded.
    Encoded,
    /// Text in base64, in which something is found: decoded, that replaced, and
    /// encoded again.
    Base64,
}

/// Collects matches in any order, gives those that stay in order.
#[derive(Debug, Default)]
pub(crate) struct Resolver {
    pending: Vec<Match>,
    /// No match may begin before this any more.
    done: u64,
}

impl Resolver {
    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.pending.clear();
        self.done = 0;
    }

    /// Adds a match. What of it lies in settled bytes is cut off when it is
    /// chosen, not now: clusters go by where matches really begin.
    pub(crate) fn add(&mut self, found: Match) {
        if found.start < found.end {
            self.pending.push(found);
        }
    }

    /// A region begins at `start`: nothing may reach into it. Everything
    /// before it is settled into `kept`. What lies behind its end, which is told
    /// later, stays to be looked at.
    pub(crate) fn region(&mut self, start: u64, kept: &mut Vec<Match>) {
        let ahead = self.pending.iter().filter_map(|found| found.behind(start)).collect();
        self.pending.retain(|found| found.start < start);
        for found in &mut self.pending {
            *found = found.piece(found.start, found.end.min(start));
        }
        self.settle(u64::MAX, kept);
        self.done = self.done.max(start);
        self.pending = ahead;
    }

    /// A region has reached `end`.
    pub(crate) fn pass(&mut self, end: u64) {
        self.done = self.done.max(end);
    }

    /// All matches that begin before `known` have been added: appends to
    /// `kept` what is settled by that. The place up to which nothing more
    /// will come: at least the end of what was kept, which a cluster that was cut
    /// off may have told before all that begins within it is known.
    pub(crate) fn settle(&mut self, known: u64, kept: &mut Vec<Match>) -> u64 {
        self.pending.sort_by_key(|found| (found.start, found.end, found.rule));
        // Several triggers may lead to one match.
        self.pending.dedup();
        let mut first = 0;
        while let Some(cluster) = self.cluster(first) {
            if cluster.complete_at > known {
                let start = self.pending[first].start;
                self.pending.drain(..first);
                return start.min(known).max(self.done);
            }
            let end = first + cluster.members;
            self.choose(first..end, kept);
            first = end;
        }
        self.pending.clear();
        known.max(self.done)
    }

    /// Where the first match begins that is not settled yet.
    pub(crate) fn first_start(&self) -> Option<u64> {
        self.pending.iter().map(|found| found.start).min()
    }

    fn cluster(&self, first: usize) -> Option<Cluster> {
        let head = self.pending.get(first)?;
        let limit = head.start + LONGEST_CLUSTER;
        let mut end = head.end;
        let mut members = 1;
        while let Some(next) = self.pending.get(first + members) {
            if next.start >= end || next.start >= limit {
                break;
            }
            end = end.max(next.end);
            members += 1;
        }
        Some(Cluster { members, complete_at: end.min(limit) })
    }

    fn choose(&mut self, members: std::ops::Range<usize>, kept: &mut Vec<Match>) {
        let done = self.done;
        let cluster = &mut self.pending[members];
        for found in cluster.iter_mut() {
            *found = found.piece(found.start.max(done), found.end);
        }
        cluster.sort_by_key(|found| {
            (Reverse(found.priority), Reverse(found.end.saturating_sub(found.start)), found.start, found.rule)
        });
        let from = kept.len();
        for found in cluster.iter().filter(|found| found.start < found.end) {
            let free = free_of(found, &kept[from..]);
            match found.wrap {
                Wrap::Plain | Wrap::Base64 => kept.extend(free),
                // A number is replaced as a whole or not at all.
                _ => kept.extend(free.into_iter().filter(|piece| piece == found)),
            }
        }
        kept[from..].sort_by_key(|found| found.start);
        if let Some(last) = kept[from..].last() {
            self.done = self.done.max(last.end);
        }
    }
}

/// The pieces of `found` that none of `kept` covers, in order.
fn free_of(found: &Match, kept: &[Match]) -> Vec<Match> {
    let mut overlapping: Vec<&Match> =
        kept.iter().filter(|other| other.start < found.end && found.start < other.end).collect();
    overlapping.sort_by_key(|other| other.start);
    let mut free = Vec::new();
    let mut start = found.start;
    for other in overlapping {
        if start < other.start {
            free.push(found.piece(start, other.start));
        }
        start = start.max(other.end);
    }
    if start < found.end {
        free.push(found.piece(start, found.end));
    }
    free
}

struct Cluster {
    members: usize,
    /// When all matches that begin before this are known, so is the cluster.
    complete_at: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(start: u64, end: u64, rule: usize, priority: i32) -> Match {
        Match { start, end, rule, priority, wrap: Wrap::Plain, ahead: false }
    }

    fn all(matches: &[Match]) -> Vec<Match> {
        let mut resolver = Resolver::default();
        let mut kept = Vec::new();
        for one in matches {
            resolver.add(*one);
        }
        resolver.settle(u64::MAX, &mut kept);
        kept
    }

    #[test]
    fn priority_beats_length_beats_place_beats_rule() {
        let long = found(0, 10, 0, 0);
        let urgent = found(4, 6, 1, 1);
        assert_eq!(all(&[long, urgent]), [found(0, 4, 0, 0), urgent, found(6, 10, 0, 0)]);
        assert_eq!(all(&[long, found(5, 12, 1, 0)]), [long, found(10, 12, 1, 0)]);
        assert_eq!(all(&[found(0, 6, 3, 0), found(4, 10, 1, 0)]), [found(0, 6, 3, 0), found(6, 10, 1, 0)]);
        assert_eq!(all(&[found(0, 6, 3, 0), found(0, 6, 1, 0)]), [found(0, 6, 1, 0)]);
    }

    #[test]
    fn nothing_that_was_found_is_left_over() {
        let (a, b, c) = (found(0, 6, 0, 0), found(4, 14, 1, 0), found(10, 30, 2, 0));
        assert_eq!(all(&[a, b, c]), [found(0, 4, 0, 0), found(4, 10, 1, 0), c]);
    }

    #[test]
    fn a_number_is_replaced_whole_or_not_at_all() {
        let number = Match { wrap: Wrap::Quoted(0), ..found(0, 6, 3, 0) };
        assert_eq!(all(&[number, found(4, 12, 1, 0)]), [found(4, 12, 1, 0)]);
        assert_eq!(all(&[number, found(6, 12, 1, 0)]), [number, found(6, 12, 1, 0)]);
    }

    #[test]
    fn a_region_cuts_what_reaches_into_it() {
        let mut resolver = Resolver::default();
        let mut kept = Vec::new();
        resolver.add(found(0, 10, 0, 0));
        resolver.add(found(8, 12, 1, 0));
        resolver.region(6, &mut kept);
        assert_eq!(kept, [found(0, 6, 0, 0)]);
    }

    #[test]
    fn what_is_longer_than_a_region_goes_on_behind_it() {
        let mut resolver = Resolver::default();
        let mut kept = Vec::new();
        resolver.add(found(0, 20, 0, 0));
        resolver.add(found(4, 10, 1, 0));
        resolver.region(6, &mut kept);
        resolver.pass(12);
        resolver.settle(u64::MAX, &mut kept);
        assert_eq!(kept, [found(0, 6, 0, 0), Match { ahead: true, ..found(12, 20, 0, 0) }]);
    }

    #[test]
    fn what_is_longer_than_a_cluster_is_settled_as_far_as_it_was_kept() {
        let mut resolver = Resolver::default();
        let mut kept = Vec::new();
        let long = found(0, LONGEST_CLUSTER + 900, 0, 0);
        resolver.add(long);
        assert_eq!(resolver.settle(LONGEST_CLUSTER, &mut kept), long.end);
        resolver.add(found(LONGEST_CLUSTER + 800, LONGEST_CLUSTER + 2000, 1, 0));
        resolver.settle(u64::MAX, &mut kept);
        assert_eq!(kept, [long, found(long.end, LONGEST_CLUSTER + 2000, 1, 0)]);
    }

    proptest! {
        #[test]
        fn settling_bit_by_bit_keeps_the_same(
            mut matches in prop::collection::vec((0_u64..9000, 1_u64..3000, 0_usize..4, 0_i32..3), 0..40),
            step in 1_u64..500,
        ) {
            matches.sort();
            let matches: Vec<Match> = matches.into_iter().map(|(s, l, r, p)| found(s, s + l, r, p)).collect();
            let whole = all(&matches);
            let mut resolver = Resolver::default();
            let mut kept = Vec::new();
            let mut known = 0;
            let mut rest = &matches[..];
            while known < 13_000 {
                known += step;
                let upto = rest.partition_point(|m| m.start < known);
                for one in &rest[..upto] {
                    resolver.add(*one);
                }
                rest = &rest[upto..];
                resolver.settle(known, &mut kept);
            }
            prop_assert_eq!(&kept, &whole);
            for pair in kept.windows(2) {
                prop_assert!(pair[0].end <= pair[1].start);
            }
        }
    }
}
