//! The second reading of a text: see [`again`](super::super::again).

use super::super::Format;
use super::super::again::{Again, Begun, Body, Found, Log, Outer, is_whole};
use super::super::engine::Engine;
use super::super::finding::ScanError;
use super::super::meter::Meter;
use super::super::region::Region;
use super::super::resolve::Match;
use super::super::window::Window;
use super::super::workspace::Workspace;
use super::{Data, Finding, Scanner};
use crate::span::Span;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

/// What a scanner keeps for second readings.
#[derive(Default)]
pub(super) struct Second {
    again: Again,
    /// Of the text; made at its first use.
    scanner: Option<Box<Scanner>>,
    /// What holds a character.
    found: Vec<Found>,
}

impl Second {
    /// The same memory for another text.
    fn restarted(mut self, format: Format) -> Self {
        self.again.forget();
        self.scanner.iter_mut().for_each(|scanner| scanner.format = format);
        self
    }
}

impl<M: Meter> Scanner<M> {
    /// Reads the text around `at` once more and adds what holds the character
    /// there first.
    pub(super) fn confirm_folded(&mut self, work: &mut Workspace, data: Data<'_>, at: usize, out: &mut Vec<Finding>) {
        let Some(mut second) = self.second.take() else { return };
        let (fence, end) = work.shapes.fences_around(at);
        let haystack = fence.map_or(0, |fence| fence + 1)..end.unwrap_or(data.raw.len());
        let inner = second.scanner.get_or_insert_with(|| Box::new(self.of_texts()));
        let place = (data.raw, self.origin);
        let now = (work.scan, self.format);
        let inside = work.shapes.lexical_at(haystack.start).inside;
        let (context, sightings, checks) = (&self.context, &mut work.sightings, &mut self.checks);
        let scan = |window: &Window| {
            let memory = RefCell::new((sightings, checks));
            let (engine, raw, origin, outer) = (data.engine, data.raw, place.1, data.outer);
            inner.read(window.text(), &Body { engine, window, raw, origin, context, now, memory, outer })
        };
        second.found.clear();
        if let Err(error) = second.again.around(place, (haystack, at), inside, self.resume, &mut second.found, scan) {
            self.failed = Some(error);
        }
        for found in &second.found {
            self.take_folded(work, data, at, found, out);
        }
        self.second = Some(second);
    }

    /// Adds what a second reading found around `at`: what of it was not part of
    /// something before.
    fn take_folded(&mut self, work: &mut Workspace, data: Data<'_>, at: usize, found: &Found, out: &mut Vec<Finding>) {
        let range = self.relative(found.span.start.max(self.resume))..self.relative(found.span.end);
        if range.is_empty() {
            return;
        }
        if found.is_head {
            return self.open_region(Region::PrivateKey, found.rule, range.start, range.end, None, out);
        }
        let bounds = self.bounds(work, data, at);
        if let Some(found) = self.matched(work, data, &bounds, found.rule, range) {
            self.add_match(Match { ahead: true, ..found });
        }
    }

    /// Remembers what was accepted, in a second reading.
    pub(super) fn log(&mut self, rule: usize, begins: usize, secret: &Range<usize>) {
        let (begins, secret) =
            (self.absolute(begins), Span::new(self.absolute(secret.start), self.absolute(secret.end)));
        if let Some(log) = &mut self.log {
            log.push(Begun { begins, secret, rule });
        }
    }

    /// A scanner of texts that are read a second time.
    fn of_texts(&self) -> Scanner {
        let mut scanner = Scanner::new(Arc::clone(&self.engine), self.format);
        scanner.set_written(self.checks.written());
        Scanner { second: None, encoded: None, quiet: Arc::clone(&self.quiet), ..scanner }
    }
}

impl Scanner {
    /// What is found in a text that stands where `outer` tells.
    fn read(&mut self, text: &[u8], outer: &dyn Outer) -> Result<Log, ScanError> {
        self.restart();
        self.log = Some(Vec::new());
        let engine = Arc::clone(&self.engine);
        let mut work = engine.take_workspace()?;
        let mut found = Vec::new();
        self.scan_all(&engine, &mut work, text, outer, &mut found)?;
        engine.put_workspace(work);
        found.retain(|finding| is_whole(&engine, text, finding));
        Ok((found, self.log.take().unwrap_or_default()))
    }

    /// Scans all of a text that stands where `outer` tells.
    pub(super) fn scan_all(
        &mut self,
        engine: &Engine,
        work: &mut Workspace,
        text: &[u8],
        outer: &dyn Outer,
        found: &mut Vec<Finding>,
    ) -> Result<(), ScanError> {
        let mut judged = None;
        while judged.is_none() || self.behind && judged < Some(self.judged) {
            judged = Some(self.judged);
            let from = usize::try_from(self.origin).unwrap_or(usize::MAX);
            let raw = text.get(from..).unwrap_or_default();
            self.scan_with(work, Data { engine, raw, last: true, outer: Some(outer) }, found)?;
        }
        Ok(())
    }

    /// Goes to the first byte of another text; keeps its memory.
    pub(super) fn restart(&mut self) {
        let fresh = Scanner::new(Arc::clone(&self.engine), self.format);
        let old = std::mem::replace(self, Scanner { encoded: None, ..fresh });
        self.second = old.second.map(|second| second.restarted(self.format));
        self.quiet = old.quiet;
        self.checks.set_written(old.checks.written());
        (self.resolver, self.quiet_resolver) = (old.resolver, old.quiet_resolver);
        self.resolver.clear();
        self.quiet_resolver.clear();
    }
}
