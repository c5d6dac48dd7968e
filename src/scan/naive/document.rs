//! A document in the form in which the oracle reads it.

use super::super::Format;
use super::super::delimiter::Delimiter;
use super::super::line;
use super::super::unit::{Meaning, Unit, unclear_letter, unit};
use std::ops::Range;

/// A document, unit by unit.
pub(super) struct Document<'a> {
    pub(super) raw: &'a [u8],
    pub(super) format: Format,
    /// With the place where each begins.
    pub(super) units: Vec<(usize, Unit)>,
}

impl<'a> Document<'a> {
    pub(super) fn read(format: Format, raw: &'a [u8]) -> Self {
        let mut units = Vec::new();
        let mut at = 0;
        while at < raw.len() {
            let unit = unit(raw, at);
            units.push((at, unit));
            at += unit.len;
        }
        Self { raw, format, units }
    }

    /// Where the unit at `index` begins, or the document ends.
    pub(super) fn start(&self, index: usize) -> usize {
        self.units.get(index).map_or(self.raw.len(), |&(at, _)| at)
    }

    pub(super) fn meaning(&self, index: usize) -> Option<Meaning> {
        self.units.get(index).map(|(_, unit)| unit.meaning)
    }

    /// What the unit that begins at `place` means.
    pub(super) fn meaning_at(&self, place: usize) -> Option<Meaning> {
        let index = self.units.binary_search_by_key(&place, |&(at, _)| at).ok()?;
        self.meaning(index)
    }

    /// The delimiter of strings that the unit at `index` may be.
    pub(super) fn delimiter(&self, index: usize) -> Option<Delimiter> {
        self.units.get(index).and_then(|&(at, unit)| Delimiter::of(unit, self.raw, at))
    }

    pub(super) fn is(&self, index: usize, byte: u8) -> bool {
        self.meaning(index) == Some(Meaning::Byte(byte))
    }

    pub(super) fn is_line_feed(&self, index: usize) -> bool {
        self.units.get(index).is_some_and(|&(at, _)| self.raw[at] == b'\n')
    }

    /// Whether no match crosses the unit at `index`.
    pub(super) fn is_fence(&self, index: usize) -> bool {
        let quote = self.meaning(index) == Some(Meaning::Quote(0));
        match self.format {
            Format::Json => quote,
            Format::Ndjson => quote || self.is_line_feed(index),
            Format::Text => {
                self.units.get(index).is_some_and(|&(at, _)| self.raw[at] == b'\n' && line::ends(self.raw, at))
            }
        }
    }

    /// The stretches between fences, in units, with whether each lies within a
    /// top-level JSON string.
    pub(super) fn haystacks(&self) -> Vec<(Range<usize>, bool)> {
        let mut haystacks = Vec::new();
        let (mut start, mut inside) = (0, false);
        for index in 0..=self.units.len() {
            if index < self.units.len() && !self.is_fence(index) {
                continue;
            }
            haystacks.push((start..index, inside && self.format != Format::Text));
            inside = !inside && !self.is_line_feed(index);
            start = index + 1;
        }
        haystacks
    }

    /// The letter of an escape that, depending on how deep the text is nested,
    /// may also be a letter behind a backslash: `\\npm_...` in a JSON string is
    /// text that begins with `npm_`, or a line feed.
    pub(super) fn unclear_letter(&self, index: usize) -> Option<usize> {
        let (at, unit) = *self.units.get(index)?;
        unclear_letter(self.raw, at, self.format).filter(|letter| letter + 1 == at + unit.len)
    }
}

/// What some units mean, with the raw bytes of the unit that each byte comes from.
#[derive(Default)]
pub(super) struct Text {
    pub(super) bytes: Vec<u8>,
    pub(super) spans: Vec<Range<usize>>,
}

impl Text {
    pub(super) fn of(units: &[(usize, Unit)]) -> Self {
        let mut text = Self::default();
        for &(at, unit) in units {
            for &byte in unit.bytes(&mut [0; 4]) {
                text.push(byte, at..at + unit.len);
            }
        }
        text
    }

    pub(super) fn push(&mut self, byte: u8, span: Range<usize>) {
        self.bytes.push(byte);
        self.spans.push(span);
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.bytes.extend(other.bytes);
        self.spans.extend(other.spans);
    }

    /// Whether a unit begins at `index`.
    pub(super) fn begins(&self, index: usize) -> bool {
        index == 0 || self.spans[index] != self.spans[index - 1]
    }

    /// The raw bytes that stand for `range`, which is not empty.
    pub(super) fn raw(&self, range: Range<usize>) -> Range<usize> {
        self.spans[range.start].start..self.spans[range.end - 1].end
    }
}
