//! The working memory of a scan.

use super::Format;
use super::address;
use super::around::Decoded;
use super::delimiter::Doubts;
use super::engine::Engine;
use super::nearby::Sightings;
use super::pattern::Caches;
use super::shape::{Candidate, Lexical, Shapes};
use super::trail::Trail;
use super::trigger::{Trigger, Triggers};
use super::window::Window;
use crate::hyperscan::{Hits, Scratch};
use regex_automata::hybrid::dfa::Cache;

/// Bytes that the automata of one workspace may take together, looked at now and
/// then: each may take a megabyte, and there are hundreds. What agents send takes
/// some 2 MB.
const MOST_CACHED: usize = 8 << 20;
/// Scans, and bytes of data, from one look to the next.
const SCANS_PER_LOOK: u64 = 256;
const BYTES_PER_LOOK: usize = 1 << 20;

/// Working memory of a scan, kept from body to body.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    pub(super) scratch: Option<(Scratch, Hits)>,
    pub(super) shapes: Shapes,
    pub(super) shapes_escaped: Vec<Candidate>,
    pub(super) found: Found,
    pub(super) found_escaped: Found,
    pub(super) escaped: Vec<Trigger>,
    /// Text around the anchors of detectors.
    pub(super) decoded: Decoded,
    /// Text of the candidate being confirmed.
    pub(super) window: Window,
    /// Keywords near matches.
    pub(super) sightings: Sightings,
    /// Strings in single quotes that nothing closes.
    pub(super) doubts: Doubts,
    /// Text before a number being confirmed.
    pub(super) context: Window,
    pub(super) starts: Vec<usize>,
    /// By rule index.
    pub(super) caches: Vec<Caches>,
    /// By rule index.
    pub(super) trails: Vec<Trail>,
    /// Counts the scans.
    pub(super) scan: u64,
    /// Bytes that were scanned since the automata were looked at.
    pub(super) scanned: usize,
}

impl Found {
    /// Drops the hits in `data` of which nothing can come: most.
    pub(super) fn drop_idle(&mut self, engine: &Engine, data: &[u8], shapes: &Shapes) {
        let goes_on = |id: usize, end| engine.literals[id].goes_on(data, end, || shapes.room(end));
        self.hits.retain(|&(id, end)| goes_on(id, end));
    }
}

impl Caches {
    /// Bytes that the states take.
    fn memory(&self) -> usize {
        [&self.whole, &self.lead].into_iter().flatten().map(Cache::memory_usage).sum()
    }
}

impl Workspace {
    /// Drops the states of all automata if they take too much, every few scans.
    pub(super) fn look_at_caches(&mut self) {
        if self.scan.is_multiple_of(SCANS_PER_LOOK) || self.scanned >= BYTES_PER_LOOK {
            self.scanned = 0;
            self.bound(MOST_CACHED);
        }
    }

    fn bound(&mut self, most: usize) {
        if self.caches.iter().map(Caches::memory).sum::<usize>() > most {
            self.caches.iter_mut().for_each(|caches| *caches = Caches::default());
            // What they say is in terms of those states.
            self.trails.iter_mut().for_each(|trail| *trail = Trail::default());
        }
    }

    /// Finds the structure of `raw`, and all shapes that rules look at.
    pub(super) fn find_shapes(&mut self, engine: &Engine, raw: &[u8], before: Lexical, format: Format) {
        self.shapes.analyze(raw, before, format, &engine.tokens);
        address::collect(raw, engine.kinds, &mut self.shapes.candidates);
    }

    /// Takes the triggers out, so that the rest can be lent while they are read.
    pub(super) fn take_triggers(&mut self) -> Triggers {
        Triggers {
            hits: std::mem::take(&mut self.found.hits),
            shapes: std::mem::take(&mut self.shapes.candidates),
            escaped: std::mem::take(&mut self.escaped),
        }
    }

    /// Puts their memory back.
    pub(super) fn put_triggers(&mut self, triggers: Triggers) {
        self.found.hits = triggers.hits;
        self.shapes.candidates = triggers.shapes;
        self.escaped = triggers.escaped;
    }
}

/// The literals found by one scan.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// (literal id, end), in the order of the ends.
    pub(super) hits: Vec<(usize, usize)>,
    /// Where the last one ends when there were too many: those that end there or
    /// behind may be missing.
    pub(super) cut: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::super::Scanner;
    use super::*;
    use crate::rule::Ruleset;
    use std::sync::Arc;

    #[test]
    fn automata_that_take_too_much_begin_anew_and_find_the_same() {
        let engine = Arc::new(Engine::compile(Arc::new(Ruleset::builtin().unwrap())).unwrap());
        let text = "password=q8f1o2m3n4b5 ghp_0123 Authorization: Bearer q8f1o2m3n4b5v6c7x8z9";
        let find = || {
            let mut found = Vec::new();
            Scanner::new(Arc::clone(&engine), Format::Text).scan(text.as_bytes(), true, &mut found).unwrap();
            found
        };
        let before = find();
        assert!(!before.is_empty());
        let mut workspace = engine.take_workspace().unwrap();
        let memory = |workspace: &Workspace| workspace.caches.iter().map(Caches::memory).sum::<usize>();
        let taken = memory(&workspace);
        workspace.bound(taken);
        assert_eq!(memory(&workspace), taken);
        workspace.bound(taken - 1);
        assert_eq!(memory(&workspace), 0);
        engine.put_workspace(workspace);
        assert_eq!(find(), before);
    }
}
