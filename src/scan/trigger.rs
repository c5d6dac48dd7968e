//! The places that must be confirmed, in the order in which they end.
//!
//! Most stand in the raw bytes as they are. Where ASCII is escaped
//! (`\u0040`, `%40`) a literal or a shape shows only in the decoded text: such
//! stretches are decoded and looked at again.

use super::Format;
use super::address;
use super::around::LONGEST_UNIT;
use super::base64::{self, Alphabet};
use super::detector::national::WINDOW;
use super::engine::Engine;
use super::finding::ScanError;
use super::shape::{
    self, CARD, Candidate, ESCAPE, FOLD, IBAN, IP, MAC, NANP, NATIONAL, PLUS, RUN, SSN, Shapes, TOKEN, TOKEN_RUN,
};
use super::unit::{LONGEST_RUN, run_before, unit};
use super::window::{Window, unit_before};
use super::workspace::Workspace;
use crate::rule::Detector;
use std::ops::Range;

/// Something to confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Trigger {
    /// One past the last byte that triggered.
    pub(super) end: usize,
    pub(super) what: What,
}

/// What triggered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// A literal that begins at `start`.
    Literal { id: usize, start: usize },
    /// A token's prefix, of [`super::token::Tokens`], that begins at `start`.
    Token { id: usize, start: usize },
    /// A character at `at` that the text is read once more without.
    Folded { at: usize },
    /// A run of base64 that begins at `start`.
    Base64 { alphabet: Alphabet, start: usize },
    /// The anchor of a detector.
    Shape { detector: Detector, anchor: usize },
}

/// All triggers of one scan.
#[derive(Debug, Default)]
pub(super) struct Triggers {
    /// (literal id, end), in the order of the ends.
    pub(super) hits: Vec<(usize, usize)>,
    /// In the order of their places.
    pub(super) shapes: Vec<Candidate>,
    /// In order.
    pub(super) escaped: Vec<Trigger>,
}

impl Triggers {
    /// Those that end behind `from`, in order.
    pub(super) fn queue<'a>(&'a self, engine: &'a Engine, from: usize) -> Queue<'a> {
        Queue {
            engine,
            hits: &self.hits[self.hits.partition_point(|&(_, end)| end <= from)..],
            shapes: &self.shapes[self.shapes.partition_point(|shape| shape.at < from)..],
            escaped: &self.escaped[self.escaped.partition_point(|trigger| trigger.end <= from)..],
        }
    }
}

/// Triggers not yet taken, each list in order.
pub(super) struct Queue<'a> {
    engine: &'a Engine,
    hits: &'a [(usize, usize)],
    shapes: &'a [Candidate],
    escaped: &'a [Trigger],
}

/// What a queue gives next.
pub(super) enum Popped {
    Trigger(Trigger),
    /// Several shapes at one place.
    Shapes(Candidate),
    Nothing,
}

impl Queue<'_> {
    /// Where the next one ends.
    pub(super) fn next_end(&self) -> Option<usize> {
        let ends = self.ends();
        let least = ends.0.min(ends.1).min(ends.2);
        (least != usize::MAX).then_some(least)
    }

    /// Takes the next one: of those with the same end literals first.
    pub(super) fn pop(&mut self) -> Popped {
        let (hit, shape, escaped) = self.ends();
        // A token has begun before a literal that ends with its run.
        let token = hit == shape && self.shapes.first().is_some_and(|shape| shape.kinds & TOKEN != 0);
        let first = hit <= shape && hit <= escaped && !token;
        if let (Some((&(id, end), rest)), true) = (self.hits.split_first(), first) {
            self.hits = rest;
            let start = end - self.engine.literals[id].length;
            return Popped::Trigger(Trigger { end, what: What::Literal { id, start } });
        }
        if let (Some((&candidate, rest)), true) = (self.shapes.split_first(), shape <= escaped) {
            self.shapes = rest;
            return Popped::Shapes(candidate);
        }
        let Some((&trigger, rest)) = self.escaped.split_first() else { return Popped::Nothing };
        self.escaped = rest;
        Popped::Trigger(trigger)
    }

    fn ends(&self) -> (usize, usize, usize) {
        let hit = self.hits.first().map_or(usize::MAX, |&(_, end)| end);
        let shape = self.shapes.first().map_or(usize::MAX, |shape| shape.at + 1);
        let escaped = self.escaped.first().map_or(usize::MAX, |trigger| trigger.end);
        (hit, shape, escaped)
    }
}

/// The detectors that a candidate is for, with their anchors.
pub(super) fn of_shapes(candidate: Candidate, wanted: shape::Kinds) -> impl Iterator<Item = Trigger> {
    let mut kinds = candidate.kinds & wanted & !TOKEN;
    let at = candidate.at;
    std::iter::from_fn(move || {
        while kinds != 0 {
            let kind = kinds & kinds.wrapping_neg();
            kinds &= kinds - 1;
            let (detector, back) = detector(kind);
            if let Some(anchor) = at.checked_sub(back) {
                return Some(Trigger { end: at + 1, what: What::Shape { detector, anchor } });
            }
        }
        None
    })
}

/// The tokens that may begin where a candidate says, with their places in `text`.
pub(super) fn tokens_of<'a>(
    engine: &'a Engine,
    text: &'a [u8],
    candidate: Candidate,
) -> impl Iterator<Item = (usize, usize)> + 'a {
    let start = (candidate.at + 1).checked_sub(TOKEN_RUN).filter(|_| candidate.kinds & TOKEN != 0);
    let found = start.map(|start| engine.tokens.find(&text[start..]).map(move |id| (id, start)));
    found.into_iter().flatten()
}

/// The detector for a kind of shape, and how far before the place its anchor is.
fn detector(kind: shape::Kinds) -> (Detector, usize) {
    match kind {
        PLUS => (Detector::PhoneInternational, 1),
        RUN => (Detector::PhoneInternational, 3),
        NANP => (Detector::PhoneNanp, 0),
        NATIONAL => (Detector::PhoneNational, WINDOW - 1),
        SSN => (Detector::UsSsn, 0),
        CARD => (Detector::Card, 0),
        IBAN => (Detector::Iban, 3),
        IP => (Detector::IpAddress, 1),
        MAC => (Detector::MacAddress, 0),
        _ => (Detector::Email, 0),
    }
}

/// Finds the triggers that escapes of ASCII characters hide, into
/// `work.triggers.escaped`.
pub(super) fn collect_escaped(
    engine: &Engine,
    work: &mut Workspace,
    raw: &[u8],
    format: Format,
) -> Result<(), ScanError> {
    work.escaped.clear();
    collect_folded(work, raw);
    if engine.encoded.is_some() {
        let found = |alphabet, start| Trigger { end: start + 1, what: What::Base64 { alphabet, start } };
        base64::runs(raw, |alphabet, start| work.escaped.push(found(alphabet, start)));
    }
    let margin = engine.longest_literal.max(24) + 8;
    let stretches = stretches(raw, &mut work.shapes, margin);
    for stretch in stretches {
        work.window.decode(raw, stretch.clone());
        collect_decoded(engine, work)?;
        // Behind a letter that may be an escape no word begins, and at one a
        // word may.
        if work.window.decode_with_letters(raw, stretch, format) {
            collect_decoded(engine, work)?;
        }
    }
    work.escaped.sort_unstable();
    // Long stretches overlap.
    work.escaped.dedup();
    Ok(())
}

/// The characters that the text is read once more without.
fn collect_folded(work: &mut Workspace, raw: &[u8]) {
    for &Candidate { at, .. } in work.shapes.candidates.iter().filter(|candidate| candidate.kinds & FOLD != 0) {
        let at = if raw[at] >= 0x80 { at } else { unit_start(raw, at) };
        work.escaped.push(Trigger { end: at + 1, what: What::Folded { at } });
    }
}

/// Where the unit begins whose sign, a letter behind backslashes or a percent
/// sign, stands at `at`.
fn unit_start(raw: &[u8], at: usize) -> usize {
    // Backslashes before a percent sign are no part of its escape.
    if raw[at] == b'%' { at } else { at - run_before(raw, at.saturating_sub(LONGEST_RUN), at) }
}

/// The triggers of the text in `work.window` that escapes hide.
fn collect_decoded(engine: &Engine, work: &mut Workspace) -> Result<(), ScanError> {
    engine.find_literals(work.window.text(), &mut work.scratch, &mut work.found_escaped)?;
    for &(id, end) in &work.found_escaped.hits {
        let text = end - engine.literals[id].length..end;
        if text.clone().any(|index| work.window.is_escaped(index)) {
            let place = work.window.raw_range(text);
            work.escaped.push(Trigger { end: place.end, what: What::Literal { id, start: place.start } });
        }
    }
    shape::of_text(work.window.text(), &engine.tokens, &mut work.shapes_escaped);
    address::collect(work.window.text(), engine.kinds, &mut work.shapes_escaped);
    for candidate in &work.shapes_escaped {
        escaped_shape(engine, &work.window, *candidate, &mut work.escaped);
    }
    Ok(())
}

/// The widest shape, in characters.
const WIDEST_SHAPE: usize = 20;

fn escaped_shape(engine: &Engine, window: &Window, candidate: Candidate, out: &mut Vec<Trigger>) {
    let from = candidate.at.saturating_sub(WIDEST_SHAPE);
    if !(from..=candidate.at).any(|index| window.is_escaped(index)) {
        return;
    }
    for (id, start) in tokens_of(engine, window.text(), candidate) {
        let end = window.raw_range(candidate.at..candidate.at + 1).end;
        out.push(Trigger { end, what: What::Token { id, start: window.raw_start(start) } });
    }
    for trigger in of_shapes(candidate, engine.kinds) {
        if let What::Shape { detector, anchor } = trigger.what {
            let end = window.raw_range(candidate.at..candidate.at + 1).end;
            out.push(Trigger { end, what: What::Shape { detector, anchor: window.raw_start(anchor) } });
        }
    }
}

/// The stretches around escapes of ASCII, `margin` bytes to either side, not
/// across fences; each begins with a unit.
fn stretches(raw: &[u8], shapes: &mut Shapes, margin: usize) -> Vec<Range<usize>> {
    let mut stretches: Vec<Range<usize>> = Vec::new();
    for index in 0..shapes.candidates.len() {
        let Candidate { at, kinds } = shapes.candidates[index];
        if kinds & ESCAPE == 0 {
            continue;
        }
        let start = unit_start(raw, at);
        let end = start + unit(raw, start).len;
        let (before, after) = shapes.fences_around(start);
        let floor = before.map_or(0, |fence| fence + 1);
        // With the quote itself, which ends the literals of member names.
        let to = after.map_or(raw.len(), |fence| fence + 1).min(end + margin);
        match stretches.last_mut() {
            Some(last) if last.end + margin >= start && floor <= last.start && start - last.start < LONGEST_STRETCH => {
                last.end = to.max(last.end);
            }
            _ => {
                // Where the stretch before was cut, all may be escaped.
                let cut = stretches.last().is_some_and(|last| last.end + margin >= start && floor <= last.start);
                let back = if cut { margin * LONGEST_UNIT } else { margin };
                let far = start.saturating_sub(back).max(floor);
                let from = if far == floor { far } else { unit_before(raw, floor, far, start) };
                stretches.push(from..to);
            }
        }
    }
    stretches
}

/// Longer stretches are cut, so that all of their literals fit into the buffer.
const LONGEST_STRETCH: usize = 4096;
