//! What became of a long run of an automaton, so that the next one need not
//! walk the same way.
//!
//! `eyJ-eyJ-eyJ-...` begins a token at every fourth byte, each of which goes on
//! for as far as is looked. But two runs that are in the same state at the same
//! place go on alike. So a run leaves its state at every [`STEP`] bytes, and one
//! that comes by in the same state takes its end over: together they step over
//! each byte a few times at most.
//!
//! The states of a lazy automaton have names that change when its memory is
//! full and dropped. That shows in the memory it uses, and the trail is lost.

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::Cache;

/// Raw bytes between two marks.
const STEP: usize = 64;

/// The trail of the last long run of one pattern.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// The scan that the places belong to.
    scan: u64,
    /// Places with the state there, in order.
    marks: Vec<(usize, LazyStateID)>,
    end: Option<RunEnd>,
    /// Memory of the automaton at the last mark.
    memory: usize,
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunEnd {
    /// Where it stopped.
    pub(super) at: usize,
    /// Its state there; `None` when no match can go on.
    pub(super) state: Option<LazyStateID>,
    /// The end of the last match seen.
    pub(super) found: Option<usize>,
}

impl Trail {
    /// A run begins: what an earlier one left is lost if the automaton has
    /// dropped its states meanwhile.
    pub(super) fn begin(&mut self, scan: u64, cache: &Cache) {
        let memory = cache.memory_usage();
        if scan != self.scan || memory < self.memory {
            *self = Self { scan, ..Self::default() };
        }
        self.memory = memory;
    }

    /// Where a run that begins at `start` has to leave or look for a mark first.
    pub(super) fn first_mark(start: usize) -> usize {
        next_mark(start + STEP)
    }

    /// A run is in `state` at `at`, the first unit at or behind a mark's place.
    /// What it comes to, if that is known; else the mark is left.
    pub(super) fn pass(&mut self, at: usize, state: LazyStateID, cache: &Cache) -> Option<RunEnd> {
        self.begin(self.scan, cache);
        let index = self.marks.partition_point(|&(place, _)| place < at);
        if self.marks.get(index) == Some(&(at, state)) && self.end.is_some() {
            return self.end;
        }
        self.marks.truncate(index);
        self.marks.push((at, state));
        self.end = None;
        None
    }

    /// A run that has left marks has ended.
    pub(super) fn finish(&mut self, end: RunEnd) {
        self.end = Some(end);
    }
}

/// The first place at or behind `at` where a mark is left.
pub(super) fn next_mark(at: usize) -> usize {
    at.next_multiple_of(STEP)
}
