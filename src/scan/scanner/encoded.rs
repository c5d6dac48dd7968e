//! Text that stands in base64: see [`base64`](super::super::base64).

use super::super::again::Outer;
use super::super::base64::{self, Alphabet};
use super::super::check::Checks;
use super::super::engine::Engine;
use super::super::finding::{Finding, Opened, Part, ScanError};
use super::super::meter::{Meter, Work};
use super::super::path::PathId;
use super::super::resolve::Match;
use super::super::shape::{self, Lexical};
use super::super::workspace::Workspace;
use super::super::{Format, LOOKAHEAD};
use super::{Data, Scanner};
use crate::span::Span;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

/// What a scanner keeps for texts in base64.
#[derive(Default)]
pub(super) struct Encoded {
    /// Of the texts, by those rules that look at them; made at its first use.
    scanner: Option<Box<Scanner>>,
    text: Vec<u8>,
    /// Where a run began that was looked at and is the same in both alphabets.
    of_both: Option<u64>,
    /// What was found in those that are not known to be dealt with, in order.
    opened: VecDeque<Opened>,
}

/// The body around such a text: where it stands, and nothing else. The text is a
/// document of its own.
struct Place<'a> {
    checks: RefCell<&'a mut Checks>,
    raw: &'a [u8],
    origin: u64,
    start: usize,
}

impl Outer for Place<'_> {
    fn is_near(&self, _: usize, _: usize) -> bool {
        false
    }

    fn leads(&self, path: PathId, _: usize) -> bool {
        self.checks.borrow_mut().leads(path, (self.raw, self.origin), self.start)
    }
}

impl<M: Meter> Scanner<M> {
    /// What was found in the text of a finding that stands in base64, in order, in
    /// bytes of the text; of rules whose findings change nothing too.
    pub fn opened(&self, run: Span) -> &[Finding] {
        let Some(Encoded { opened, .. }) = &self.encoded else { return &[] };
        let from = opened.partition_point(|one| one.run.start < run.start);
        opened.range(from..).find(|one| one.run == run).map_or(&[], |one| &one.findings)
    }

    /// All findings of the body that begin before this were dealt with, but for
    /// those that change nothing: they may be settled later.
    pub fn forget_opened(&mut self, before: u64) {
        let before = self.quiet_resolver.first_start().map_or(before, |quiet| before.min(quiet));
        if let Some(encoded) = &mut self.encoded {
            let gone = encoded.opened.partition_point(|one| one.run.start < before);
            encoded.opened.drain(..gone);
        }
    }

    /// Adds the run of `alphabet` at `start`, if something is found in its text.
    pub(super) fn confirm_base64(&mut self, work: &mut Workspace, data: Data<'_>, alphabet: Alphabet, start: usize) {
        self.meter.turn(Work::Escapes);
        let bounds = self.bounds(work, data, start);
        let raw = &data.raw[..bounds.to.min(start + LOOKAHEAD)];
        let from = bounds.from.max(start.saturating_sub(base64::MEDIA_REACH));
        let place = self.absolute(start);
        let Some(mut encoded) = self.encoded.take_if(|encoded| encoded.of_both != Some(place)) else { return };
        let run = base64::decode(raw, start, bounds.cut, alphabet, &mut encoded.text);
        encoded.of_both = run.is_of_both.then_some(place);
        if let Some(end) = run.end.filter(|_| !base64::is_media(&raw[from..start])) {
            let run = Span::new(place, self.absolute(end));
            match self.open(data, &mut encoded, start) {
                Ok(findings) => self.add_opened(&mut encoded, run, findings),
                Err(error) => self.failed = Some(error),
            }
        }
        self.encoded = Some(encoded);
    }

    /// What is found in a text whose run begins at `start`.
    fn open(&mut self, data: Data<'_>, encoded: &mut Encoded, start: usize) -> Result<Vec<Finding>, ScanError> {
        let Some(engine) = &data.engine.encoded else { return Ok(Vec::new()) };
        let scanner = encoded.scanner.get_or_insert_with(|| {
            let mut scanner = Scanner::new(Arc::clone(engine), Format::Text);
            scanner.set_quiet(Arc::clone(&self.quiet));
            scanner.set_written(self.checks.written());
            Box::new(scanner)
        });
        let place = Place { checks: RefCell::new(&mut self.checks), raw: data.raw, origin: self.origin, start };
        scanner.read_document(&encoded.text, &place)
    }

    /// One finding stands for those that change the text, one for the others.
    fn add_opened(&mut self, encoded: &mut Encoded, run: Span, findings: Vec<Finding>) {
        if findings.is_empty() {
            return;
        }
        for quiet in [false, true] {
            if let Some(first) = findings.iter().find(|finding| self.is_quiet(finding.rule) == quiet) {
                self.add_match(Match::of_run(run, first.rule));
            }
        }
        encoded.opened.push_back(Opened { run, findings });
    }
}

impl Scanner {
    /// What is found in a whole document that stands where `outer` tells.
    fn read_document(&mut self, text: &[u8], outer: &dyn Outer) -> Result<Vec<Finding>, ScanError> {
        let engine = Arc::clone(&self.engine);
        let mut work = engine.take_workspace()?;
        let mut found = Vec::new();
        if may_hold(&engine, text, &mut work)? {
            self.format = base64::format_of(text);
            self.restart();
            self.scan_all(&engine, &mut work, text, outer, &mut found)?;
        }
        engine.put_workspace(work);
        Ok(in_one_piece(found))
    }
}

impl Engine {
    /// Whether there is anything in `text` to look at.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn may_hold(&self, text: &[u8]) -> Result<bool, ScanError> {
        let mut work = self.take_workspace()?;
        let may_hold = may_hold(self, text, &mut work);
        self.put_workspace(work);
        may_hold
    }
}

/// Whether there is anything in `text` to look at: in most there is not.
fn may_hold(engine: &Engine, text: &[u8], work: &mut Workspace) -> Result<bool, ScanError> {
    work.find_shapes(engine, text, Lexical::default(), Format::Text);
    let wanted = engine.kinds | shape::ESCAPE | shape::FOLD | shape::TOKEN;
    if work.shapes.candidates.iter().any(|candidate| candidate.kinds & wanted != 0) {
        return Ok(true);
    }
    engine.find_literals(text, &mut work.scratch, &mut work.found)?;
    Ok(!work.found.hits.is_empty())
}

/// Joins the pieces of long findings.
fn in_one_piece(pieces: Vec<Finding>) -> Vec<Finding> {
    let mut whole: Vec<Finding> = Vec::new();
    for piece in pieces {
        let goes_on = |one: &&mut Finding| one.rule == piece.rule && one.span.end == piece.span.start;
        let before = if piece.part == Part::More { whole.iter_mut().rev().find(goes_on) } else { None };
        match before {
            Some(before) => before.span.end = piece.span.end,
            None => whole.push(Finding { part: Part::Whole, ..piece }),
        }
    }
    whole
}
