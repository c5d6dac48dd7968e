//! The second reading: a text in which characters hide something is read once
//! more as [`fold`] says. What is found there and holds one of the characters,
//! be it in the value or in the name or keyword before it, is a finding too.
//!
//! The second reading goes over the [`CELL`] of the body that holds the
//! character and [`MARGIN`] bytes to either side, but over no fence: so it
//! depends on the bytes alone, not on how they come, and each byte is read again
//! a few times at most. What rules ask about the place of a value, its path and
//! the keywords before it, is answered by the body: see [`Outer`].

use super::Format;
use super::check::Checks;
use super::engine::Engine;
use super::finding::{Finding, Part};
use super::fold;
use super::key::whole_unit;
use super::nearby::{Context, Sightings};
use super::path::PathId;
use super::window::{Window, unit_before};
use crate::rule::Matcher;
use crate::span::Span;
use std::cell::RefCell;
use std::ops::Range;

/// Bytes of the body that are read again together.
pub(super) const CELL_SIZE: usize = 1024;
const CELL: u64 = CELL_SIZE as u64;
/// Raw bytes around a cell that are read with it.
const MARGIN: u64 = 512;
/// What is shorter holds no literal of a pattern.
const SHORTEST: usize = 3;

/// The raw bytes that are read again for the character at `at`: relative to
/// `raw`, which begins at `origin` of the body and in which `haystack` holds
/// `at` and no fence.
pub(super) fn stretch(raw: &[u8], origin: u64, haystack: Range<usize>, at: usize) -> Range<usize> {
    let cell = (origin + at as u64) / CELL * CELL;
    let relative = |place: u64| usize::try_from(place.saturating_sub(origin)).unwrap_or(usize::MAX);
    let end = relative(cell + CELL + MARGIN).min(haystack.end);
    let start = relative(cell.saturating_sub(MARGIN));
    if start <= haystack.start {
        return haystack.start..end;
    }
    unit_before(raw, haystack.start, start, end)..end
}

/// `stretch` without the unit that its end cuts in two, if there is more up to
/// `end`: half an escape means something else, and the finding would take it.
pub(super) fn whole_units(raw: &[u8], stretch: Range<usize>, end: usize) -> Range<usize> {
    let raw = &raw[..stretch.end];
    let mut at = stretch.start;
    while at < stretch.end
        && let Some(unit) = whole_unit(raw, at, stretch.end == end)
    {
        at += unit.len;
    }
    stretch.start..at.min(stretch.end)
}

/// Whether `finding` leaves JSON what it is: of a value without quotes under a
/// member's name nobody knows here how it must be written.
pub(super) fn is_whole(engine: &Engine, text: &[u8], finding: &Finding) -> bool {
    let is_key = matches!(engine.ruleset().rules[finding.rule].matcher, Matcher::Key(_));
    let before = usize::try_from(finding.span.start).ok().and_then(|start| text.get(start.checked_sub(1)?));
    !is_key || matches!(before, Some(b'"' | b'\''))
}

/// What is around a text that is read once more; places are those of the text.
pub(super) trait Outer {
    /// Whether one of a rule's keywords stands near before `at`.
    fn is_near(&self, rule: usize, at: usize) -> bool;
    /// Whether `path` leads to the value at `at`.
    fn leads(&self, path: PathId, at: usize) -> bool;
}

/// The body around a text that the scanner reads once more.
pub(super) struct Body<'a> {
    pub(super) engine: &'a Engine,
    pub(super) window: &'a Window,
    /// The data, where it begins, and what stands before.
    pub(super) raw: &'a [u8],
    pub(super) origin: u64,
    pub(super) context: &'a Context,
    /// The scan, as [`Sightings`] ask for it.
    pub(super) now: (u64, Format),
    pub(super) memory: RefCell<(&'a mut Sightings, &'a mut Checks)>,
    /// Where the data stands, if it is a text within the body.
    pub(super) outer: Option<&'a dyn Outer>,
}

impl Outer for Body<'_> {
    fn is_near(&self, rule: usize, at: usize) -> bool {
        let (sightings, _) = &mut *self.memory.borrow_mut();
        let at = self.window.raw_start(at);
        self.engine.keyword(sightings, rule, (self.context, self.raw), at, self.now).is_some()
    }

    fn leads(&self, path: PathId, at: usize) -> bool {
        if let Some(outer) = self.outer {
            return outer.leads(path, at);
        }
        let (_, checks) = &mut *self.memory.borrow_mut();
        checks.leads(path, (self.raw, self.origin), self.window.raw_start(at))
    }
}

/// A candidate that was accepted, and where its match begins: with the context,
/// the member's name or the keyword that belong to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) begins: u64,
    pub(super) secret: Span,
    pub(super) rule: usize,
}

/// Where the match that a finding comes from begins.
pub(super) fn begin_of(finding: &Finding, log: &[Begun]) -> u64 {
    let same = log.iter().filter(|begun| begun.rule == finding.rule && begun.secret.overlaps(&finding.span));
    same.map(|begun| begun.begins).min().unwrap_or(finding.span.start).min(finding.span.start)
}

/// What a second reading found, in the bytes of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) span: Span,
    pub(super) rule: usize,
    /// It is the head of a private key, which goes on.
    pub(super) is_head: bool,
    /// The first and the last of the characters in its match.
    characters: (u64, u64),
}

/// What was found in the stretch that was last read once more.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// In bytes of the body.
    stretch: Option<Span>,
    reading: Reading,
    /// In the order of their first characters.
    found: Vec<Found>,
}

/// What a reading gives: the findings, and what they come from.
pub(super) type Log = (Vec<Finding>, Vec<Begun>);

impl Again {
    /// What was read last is not the text any more.
    pub(super) fn forget(&mut self) {
        self.stretch = None;
    }

    /// Appends to `out` what holds the character at `at` of `raw` and no earlier
    /// one that is at or behind `resume` of the body. `scan` finds what a text
    /// holds whose raw bytes a window knows.
    pub(super) fn around<E>(
        &mut self,
        (raw, origin): (&[u8], u64),
        (haystack, at): (Range<usize>, usize),
        inside: bool,
        resume: u64,
        out: &mut Vec<Found>,
        scan: impl FnOnce(&Window) -> Result<Log, E>,
    ) -> Result<(), E> {
        let end = haystack.end;
        let stretch = stretch(raw, origin, haystack, at);
        let span = Span::new(origin + stretch.start as u64, origin + stretch.end as u64);
        if self.stretch != Some(span) {
            self.stretch = None;
            self.reading.read(raw, origin, whole_units(raw, stretch, end), inside);
            self.found.clear();
            if self.reading.window.text().len() >= SHORTEST {
                let (findings, log) = scan(&self.reading.window)?;
                self.reading.found(&findings, &log, &mut self.found);
            }
            self.stretch = Some(span);
        }
        let place = origin + at as u64;
        // Nothing of this stretch was told at one of another cell.
        let resume = resume.max(place / CELL * CELL);
        let from = self.found.partition_point(|found| found.characters.0 < place);
        let to = self.found.partition_point(|found| found.characters.0 <= place);
        if self.reading.before(place).is_some_and(|before| before < resume) {
            // Earlier ones are part of something judged before.
            out.extend(self.found[..from].iter().filter(|found| place <= found.characters.1));
        }
        out.extend_from_slice(&self.found[from..to]);
        Ok(())
    }
}

/// A stretch as it is read the second time: all but the characters stays as it is
/// written, so that quotes keep their levels. What stands in a string of the body
/// stands behind a quote.
#[derive(Debug, Default)]
struct Reading {
    window: Window,
    /// The stretch as it is.
    plain: Window,
    /// Where in the text the characters were, whether one is left, and where
    /// in the raw bytes.
    folded: Vec<(usize, bool, usize)>,
    /// Where the raw bytes began in the body when it was read.
    origin: u64,
}

impl Reading {
    fn read(&mut self, raw: &[u8], origin: u64, stretch: Range<usize>, inside: bool) {
        self.origin = origin;
        self.window.clear();
        self.folded.clear();
        if inside {
            self.window.push_byte(b'"', stretch.start, stretch.start);
        }
        self.plain.decode(raw, stretch);
        let text = self.plain.text();
        let (mut index, mut before) = (0, None);
        while index < text.len() {
            // Behind a backslash it stays: what follows would become an escape.
            let is_joined = self.window.text().last() == Some(&b'\\');
            let character = fold::at(&text[index..], before).filter(|_| !is_joined);
            let (length, byte) = character.unwrap_or((1, Some(text[index])));
            let span = self.plain.raw_range(index..index + length);
            before = byte.or(before);
            index += length;
            if character.is_some() {
                self.folded.push((self.window.text().len(), byte.is_some(), span.start));
                byte.into_iter().for_each(|byte| self.window.push_byte(byte, span.start, span.end));
            } else if index == text.len() || self.plain.raw_start(index) != span.start {
                (span.start..span.end).for_each(|at| self.window.push_byte(raw[at], at, at + 1));
            }
        }
    }

    /// The last of the characters before `place` of the body.
    fn before(&self, place: u64) -> Option<u64> {
        let at = |&(_, _, at): &(usize, bool, usize)| self.origin + at as u64;
        let index = self.folded.partition_point(|folded| at(folded) < place);
        index.checked_sub(1).map(|index| at(&self.folded[index]))
    }

    /// What of `findings` comes from a match that holds one of the characters.
    fn found(&self, findings: &[Finding], log: &[Begun], out: &mut Vec<Found>) {
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        for finding in findings.iter().filter(|finding| finding.part != Part::More) {
            let range = index(finding.span.start)..index(finding.span.end);
            let Some((first, last)) = self.characters(index(begin_of(finding, log))..range.end) else { continue };
            let raw = self.window.raw_range(range);
            let place = |at: usize| self.origin + at as u64;
            out.push(Found {
                span: Span::new(place(raw.start), place(raw.end)),
                rule: finding.rule,
                is_head: finding.part == Part::First,
                characters: (place(first), place(last)),
            });
        }
        out.sort_by_key(|found| found.characters);
    }

    /// The first and the last of the characters within `range` of the text, in
    /// raw bytes.
    fn characters(&self, range: Range<usize>) -> Option<(usize, usize)> {
        let from = self.folded.partition_point(|&(index, left, _)| index + usize::from(left) <= range.start);
        let to = self.folded.partition_point(|&(index, ..)| index < range.end);
        let within = self.folded.get(from..to)?;
        Some((within.first()?.2, within.last()?.2))
    }
}

#[cfg(test)]
mod tests {
    use super::super::resolve::Wrap;
    use super::*;
    use std::convert::Infallible;

    fn read(raw: &str) -> Reading {
        let mut reading = Reading::default();
        reading.read(raw.as_bytes(), 0, 0..raw.len(), false);
        reading
    }

    #[test]
    fn the_characters_that_a_match_holds_are_known() {
        let reading = read("ab\u{200b}c d٤e \u{feff}f");
        assert_eq!(reading.window.text(), b"abc d4e f");
        assert_eq!(reading.characters(0..3), Some((2, 2)));
        assert_eq!(reading.characters(4..7), Some((8, 8)));
        assert_eq!(reading.characters(0..7), Some((2, 8)));
        assert_eq!(reading.characters(0..2), None);
        assert_eq!(reading.characters(8..9), None);
    }

    #[test]
    fn a_dash_is_read_as_a_hyphen_between_digits_of_any_form() {
        assert_eq!(read("４\u{2010}5 \u{2010} x\u{fe0f}\u{fe0e}y").window.text(), "4-5 \u{2010} xy".as_bytes());
    }

    /// What is told at the place of each character, where a region reaches up to
    /// `resume`: `begins..end` of the text is found, of a match from `log` on.
    fn told(raw: &str, resume: u64, log: u64, found: Range<u64>) -> Vec<(usize, Span)> {
        let mut again = Again::default();
        let mut told = Vec::new();
        for (at, _) in raw.match_indices('\u{200b}').filter(|&(at, _)| at as u64 >= resume) {
            let mut out = Vec::new();
            let secret = Span::from(found.clone());
            let finding = Finding { span: secret, rule: 0, wrap: Wrap::Plain, part: Part::Whole };
            let scan = |_: &Window| Ok::<_, Infallible>((vec![finding], vec![Begun { begins: log, secret, rule: 0 }]));
            let Ok(()) = again.around((raw.as_bytes(), 0), (0..raw.len(), at), false, resume, &mut out, scan);
            told.extend(out.iter().map(|found| (at, found.span)));
        }
        told
    }

    #[test]
    fn a_finding_is_told_at_the_first_character_of_its_match_that_is_not_gone() {
        let raw = "a\u{200b}bc=1\u{200b}2\u{200b}345";
        let secret = Span::new(7, 18);
        assert_eq!(told(raw, 0, 0, 4..9), [(1, secret)]);
        assert_eq!(told(raw, 0, 4, 4..9), [(8, secret)]);
        assert_eq!(told(raw, 4, 0, 4..9), [(8, secret)]);
        assert_eq!(told(raw, 9, 0, 4..9), [(12, secret)]);
        assert_eq!(told(raw, 0, 7, 7..9), []);
    }
}
