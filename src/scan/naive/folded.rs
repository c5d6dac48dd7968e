//! The second reading (see [`again`]), the plain way: over characters, by tables
//! of their ranges.

use super::super::again::{self, Begun, Outer};
use super::super::check::Checks;
use super::super::detector::private_key;
use super::super::finding::Finding;
use super::super::path::PathId;
use super::super::unit::{Unit, unit};
use super::document::{Document, Text};
use super::{Format, Origin, Search, read};
use crate::rule::{Detector, Matcher};
use std::ops::{Range, RangeInclusive};

/// Characters that show nothing.
const IGNORED: [RangeInclusive<char>; 13] = [
    '\u{ad}'..='\u{ad}',
    '\u{34f}'..='\u{34f}',
    '\u{61c}'..='\u{61c}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{e0000}'..='\u{e0fff}',
    SELECTORS,
];
/// The same, where ASCII stands before them.
const SELECTORS: RangeInclusive<char> = '\u{fe00}'..='\u{fe0f}';
/// What stands for ASCII: the character, and how many that follow go on with it.
const FORMS: [(char, u32, u8); 20] = [
    ('\u{660}', 9, b'0'),
    ('\u{6f0}', 9, b'0'),
    ('\u{966}', 9, b'0'),
    ('\u{9e6}', 9, b'0'),
    ('\u{a66}', 9, b'0'),
    ('\u{ae6}', 9, b'0'),
    ('\u{b66}', 9, b'0'),
    ('\u{be6}', 9, b'0'),
    ('\u{c66}', 9, b'0'),
    ('\u{ce6}', 9, b'0'),
    ('\u{d66}', 9, b'0'),
    ('\u{e50}', 9, b'0'),
    ('\u{ed0}', 9, b'0'),
    ('\u{1040}', 9, b'0'),
    ('\u{17e0}', 9, b'0'),
    ('\u{ff10}', 9, b'0'),
    ('＋', 0, b'+'),
    ('－', 0, b'-'),
    ('．', 0, b'.'),
    ('＠', 0, b'@'),
];
/// Dashes, within a number.
const DASHES: [char; 5] = ['\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2212}'];
/// Spaces, there, beside a capital letter and a digit, and beside a colon or `=`.
const SPACES: [char; 4] = ['\u{a0}', '\u{2007}', '\u{2009}', '\u{202f}'];

/// What `char` is read as wherever it stands: `None` as itself.
fn read_as(char: char) -> Option<Option<u8>> {
    if IGNORED.iter().any(|range| range.contains(&char)) {
        return Some(None);
    }
    FORMS.iter().find_map(|&(first, more, byte)| {
        let by = u32::from(char).checked_sub(u32::from(first)).filter(|&by| by <= more)?;
        Some(Some(byte + u8::try_from(by).ok()?))
    })
}

/// The character that `bytes` begin with.
fn first_char(bytes: &[u8]) -> Option<char> {
    let text = (1..=4).find_map(|length| std::str::from_utf8(bytes.get(..length)?).ok())?;
    text.chars().next()
}

/// What `char` is read as between what was read before and what follows.
fn read_between(char: char, before: Option<u8>, next: Option<u8>) -> Option<Option<u8>> {
    if SELECTORS.contains(&char) && !before.is_some_and(|before| before.is_ascii()) {
        return None;
    }
    if let Some(read) = read_as(char) {
        return Some(read);
    }
    let (before, next) = (char::from(before?), char::from(next?));
    let behind_number = before.is_ascii_digit() || before == ')';
    let before_number = next.is_ascii_digit() || next == '(';
    if DASHES.contains(&char) {
        return (behind_number && before_number).then_some(Some(b'-'));
    }
    let fits = ":=".contains([before, next])
        || behind_number && (before_number || next.is_ascii_uppercase())
        || before.is_ascii_uppercase() && before_number;
    (SPACES.contains(&char) && fits).then_some(Some(b' '))
}

/// The units of one character that `units` begin with and that is ignored, or
/// read as a byte, wherever it stands.
pub(super) fn folded_units(units: &[(usize, Unit)]) -> Option<(usize, Option<u8>)> {
    (1..=units.len().min(4)).find_map(|number| {
        let bytes = Text::of(&units[..number]).bytes;
        let char = first_char(&bytes).filter(|char| char.len_utf8() == bytes.len())?;
        Some((number, read_as(char)?))
    })
}

/// A stretch as it is read the second time.
#[derive(Default)]
struct Reading {
    text: Text,
    characters: Vec<Character>,
}

/// What is read otherwise.
struct Character {
    /// Where it begins, in raw bytes.
    at: usize,
    /// What of the text lies before it.
    before: usize,
    is_left: bool,
}

impl Reading {
    fn of(raw: &[u8], stretch: Range<usize>, inside: bool) -> Self {
        let begins = stretch.start;
        let raw = &raw[..stretch.end];
        let mut units = Vec::new();
        let mut at = stretch.start;
        while at < raw.len() {
            let unit = unit(raw, at);
            units.push((at, unit));
            at += unit.len;
        }
        let plain = Text::of(&units);
        let mut reading = Self::default();
        if inside {
            // It goes on in a string.
            reading.text.push(b'"', begins..begins);
        }
        let (mut index, mut before) = (0, None);
        while index < plain.bytes.len() {
            let rest = &plain.bytes[index..];
            let other = first_char(rest).and_then(|char| {
                let next = rest.get(char.len_utf8()).copied();
                Some((char.len_utf8(), read_between(char, before, next)?))
            });
            // Behind a backslash it stays: what follows would become an escape.
            let other = other.filter(|_| reading.text.bytes.last() != Some(&b'\\'));
            let (length, byte) = other.unwrap_or((1, Some(rest[0])));
            let span = plain.raw(index..index + length);
            if other.is_some() {
                let (at, before) = (span.start, reading.text.bytes.len());
                reading.characters.push(Character { at, before, is_left: byte.is_some() });
                byte.into_iter().for_each(|byte| reading.text.push(byte, span.clone()));
            } else if plain.begins(index) {
                span.for_each(|at| reading.text.push(raw[at], at..at + 1));
            }
            before = byte.or(before);
            index += length;
        }
        reading
    }

    /// Those that `range` of the text holds.
    fn characters(&self, range: Range<usize>) -> impl Iterator<Item = usize> {
        let holds = move |one: &&Character| match one.is_left {
            true => range.contains(&one.before),
            false => range.start < one.before && one.before < range.end,
        };
        self.characters.iter().filter(holds).map(|one| one.at)
    }
}

/// The document around a text that is read once more.
struct Around<'a> {
    search: &'a Search<'a>,
    spans: &'a [Range<usize>],
}

impl Outer for Around<'_> {
    fn is_near(&self, rule: usize, at: usize) -> bool {
        self.search.keyword(rule, self.spans[at].start).is_some()
    }

    fn leads(&self, path: PathId, at: usize) -> bool {
        let document = self.search.document;
        if let Some(outer) = self.search.outer {
            return outer.leads(path, at);
        }
        let mut checks = Checks::new(self.search.engine, document.format);
        checks.leads(path, (document.raw, 0), self.spans[at].start)
    }
}

/// What a second reading found that holds the character at `at`.
pub(super) struct Folded {
    pub(super) at: usize,
    pub(super) rule: usize,
    pub(super) secret: Range<usize>,
    /// It is the head of a private key.
    pub(super) is_head: bool,
    pub(super) haystack: Range<usize>,
    pub(super) inside: bool,
}

impl Search<'_> {
    /// What second readings find, cell by cell.
    pub(super) fn find_folded(&mut self) {
        let mut found = Vec::new();
        for (units, inside) in self.document.haystacks() {
            let haystack = self.document.start(units.start)..self.document.start(units.end);
            let mut at = haystack.start;
            while at < haystack.end {
                let cell = at..haystack.end.min((at + 1).next_multiple_of(again::CELL_SIZE));
                self.read_cell(&cell, &haystack, inside, &mut found);
                at = cell.end;
            }
        }
        self.folded = found;
    }

    fn read_cell(&self, cell: &Range<usize>, haystack: &Range<usize>, inside: bool, out: &mut Vec<Folded>) {
        let raw = self.document.raw;
        let stretch = again::whole_units(raw, again::stretch(raw, 0, haystack.clone(), cell.start), haystack.end);
        let reading = Reading::of(raw, stretch, inside);
        if !reading.characters.iter().any(|one| cell.contains(&one.at)) {
            return;
        }
        let around = Around { search: self, spans: &reading.text.spans };
        let ((findings, log), _) = read(self.engine, self.document.format, &reading.text.bytes, Origin::Again(&around));
        let text = &reading.text.bytes;
        for finding in findings.into_iter().filter(|one| again::is_whole(self.engine, text, one)) {
            let (range, begins) = begun(&finding, &log);
            let is_head =
                matches!(self.engine.ruleset().rules[finding.rule].matcher, Matcher::Detector(Detector::PrivateKey));
            let range = if is_head { head(&reading.text.bytes, range) } else { range };
            for at in reading.characters(begins..range.end).filter(|at| cell.contains(at)) {
                let (haystack, secret) = (haystack.clone(), reading.text.raw(range.clone()));
                out.push(Folded { at, rule: finding.rule, secret, is_head, haystack, inside });
            }
        }
    }

    /// What of a second reading's finding was not part of something before.
    pub(super) fn rest_of(&self, folded: &Folded) -> Option<Range<usize>> {
        if self.regions.iter().any(|region| region.span.contains(&folded.at)) {
            return None;
        }
        let before = self.regions.iter().filter(|region| region.span.start <= folded.at);
        let resume = before.map(|region| region.span.end).max().unwrap_or(0);
        let rest = resume.max(folded.secret.start)..folded.secret.end;
        (!rest.is_empty()).then_some(rest)
    }
}

/// The first line of the private key at `block` of `text`.
fn head(text: &[u8], block: Range<usize>) -> Range<usize> {
    let line = Text::of(&Document::read(Format::Text, &text[block.clone()]).units);
    let end = private_key::head(&line.bytes, 0).map_or(block.len(), |found| line.raw(found).end);
    block.start..block.start + end
}

/// The text of a finding, and where its match begins.
fn begun(finding: &Finding, log: &[Begun]) -> (Range<usize>, usize) {
    let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    let begins = index(again::begin_of(finding, log));
    (index(finding.span.start)..index(finding.span.end), begins)
}
