//! Decoded text around a place, with the way back to raw offsets.

use super::Format;
use super::unit::{LONGEST_RUN, run_before, unclear_letter, unit};
use std::ops::Range;

/// Where secrets overlap, this much more is decoded at once.
const AHEAD: usize = 8192;

/// The text that a stretch of raw bytes means. Reused between candidates, so
/// that the hot path does not allocate.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Decoded bytes.
    text: Vec<u8>,
    /// For every byte of `text`, the raw bytes of its unit, counted from `base`.
    units: Vec<(u32, u32)>,
    base: usize,
    /// The raw bytes that were decoded, as long as nothing else was.
    whole: Option<Range<usize>>,
    /// Raw bytes that are known to hold no escape.
    plain: Range<usize>,
}

impl Window {
    /// Decodes `raw[range]`; `range.start` must be the first byte of a unit.
    pub(crate) fn decode(&mut self, raw: &[u8], range: Range<usize>) {
        self.decode_around(raw, range, usize::MAX, 0);
    }

    /// Where the text of `raw[range]`, whole units, stands in the window: decodes
    /// it unless it was decoded before. Several rules ask for the same secret,
    /// and in `pwd\u003dpwd\u003d...` each for one that begins within the last.
    /// The data is the same since the window was cleared.
    pub(crate) fn text_of(&mut self, raw: &[u8], range: Range<usize>) -> Range<usize> {
        if let Some(known) = self.known(&range) {
            return known;
        }
        let overlaps = self.whole.as_ref().is_some_and(|whole| whole.contains(&range.start));
        let ahead = if overlaps { AHEAD } else { 0 };
        let end = self.decode_around(&raw[..range.end], range.clone(), usize::MAX, 0);
        let text = 0..self.text.len();
        let at = self.push_units(raw, end..raw.len().min(end + ahead));
        self.whole = Some(range.start..at);
        text
    }

    /// Where the text of `range` stands, if it was decoded.
    fn known(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let whole = self.whole.as_ref().filter(|whole| whole.start <= range.start && range.end <= whole.end)?;
        let index = |at: usize| match at == whole.end {
            true => Some(self.text.len()),
            false => self.index_of(at).filter(|&index| self.raw_start(index) == at),
        };
        Some(index(range.start)?..index(range.end)?)
    }

    /// As [`Window::decode`], but stops `reach` characters behind the raw
    /// place `anchor`. The place up to which it got.
    pub(crate) fn decode_around(&mut self, raw: &[u8], range: Range<usize>, anchor: usize, reach: usize) -> usize {
        self.clear();
        let raw = &raw[..range.end];
        let mut at = self.push_units(raw, range.start..raw.len().min(anchor));
        let most = self.text.len().saturating_add(reach);
        while at < raw.len() && self.text.len() < most {
            // A character takes a byte at least.
            at = self.push_units(raw, at..raw.len().min(at.saturating_add(most - self.text.len())));
        }
        at
    }

    /// As [`Window::decode`], with the letter of every escape that may be none
    /// ([`unclear_letter`]) behind what the escape means: for finding what may
    /// begin at the letter. Whether there are any.
    pub(crate) fn decode_with_letters(&mut self, raw: &[u8], range: Range<usize>, format: Format) -> bool {
        self.clear();
        let mut any = false;
        let raw = &raw[..range.end];
        let mut at = range.start;
        while at < raw.len() {
            at = self.push_unit(raw, at);
            if let Some(letter) = self.letter_at(raw, self.text.len() - 1, format) {
                self.push_byte(raw[letter], letter, at);
                any = true;
            }
        }
        any
    }

    /// Whether `raw[range]` holds no escape. Bytes that overlapping ranges share
    /// are looked at once, until [`Window::forget`].
    pub(crate) fn is_plain(&mut self, raw: &[u8], range: Range<usize>) -> bool {
        if !(self.plain.start..=self.plain.end).contains(&range.start) {
            self.plain = range.start..range.start;
        }
        if let Some(fresh) = raw.get(self.plain.end..range.end) {
            self.plain.end += memchr::memchr2(b'\\', b'%', fresh).unwrap_or(fresh.len());
        }
        range.end <= self.plain.end
    }

    /// Forgets everything: the data has moved.
    pub(crate) fn forget(&mut self) {
        self.clear();
        self.plain = 0..0;
    }

    /// Forgets the text.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.units.clear();
        self.whole = None;
    }

    /// Appends the units that begin in `raw[range]`; the place after the last.
    pub(crate) fn push_units(&mut self, raw: &[u8], range: Range<usize>) -> usize {
        let mut at = range.start;
        while at < range.end {
            let rest = &raw[at..range.end];
            let plain = memchr::memchr2(b'\\', b'%', rest).unwrap_or(rest.len());
            self.push_plain(&rest[..plain], at);
            at += plain;
            if at < range.end {
                at = self.push_unit(raw, at);
            }
        }
        at
    }

    /// Appends bytes that mean themselves, of which the first stands at `start`.
    fn push_plain(&mut self, bytes: &[u8], start: usize) {
        if self.text.is_empty() {
            self.base = start;
        }
        self.text.extend_from_slice(bytes);
        let offset = |place: usize| u32::try_from(place - self.base).unwrap_or(u32::MAX);
        self.units.extend((offset(start)..offset(start + bytes.len())).map(|at| (at, at.saturating_add(1))));
    }

    /// Appends the unit at `at`; the place after it.
    #[inline]
    pub(crate) fn push_unit(&mut self, raw: &[u8], at: usize) -> usize {
        let byte = raw[at];
        if !matches!(byte, b'\\' | b'%') {
            self.push_byte(byte, at, at + 1);
            return at + 1;
        }
        let unit = unit(raw, at);
        let end = at + unit.len;
        for &byte in unit.bytes(&mut [0; 4]) {
            self.push_byte(byte, at, end);
        }
        end
    }

    /// Appends one decoded byte that stands for the raw bytes `start..end`.
    #[inline]
    pub(crate) fn push_byte(&mut self, byte: u8, start: usize, end: usize) {
        if self.text.is_empty() {
            self.base = start;
        }
        self.text.push(byte);
        let offset = |place: usize| u32::try_from(place - self.base).unwrap_or(u32::MAX);
        self.units.push((offset(start), offset(end)));
    }

    /// The decoded bytes.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The raw place of the unit that the byte at `index` belongs to.
    pub(crate) fn raw_start(&self, index: usize) -> usize {
        self.base + self.units[index].0 as usize
    }

    /// The place of the letter of the escape that the byte at `index` is written
    /// as, where it may be none ([`unclear_letter`]).
    pub(crate) fn letter_at(&self, raw: &[u8], index: usize, format: Format) -> Option<usize> {
        let start = self.is_escaped(index).then(|| self.raw_start(index))?;
        let letter = (raw[start] == b'\\').then(|| unclear_letter(raw, start, format)).flatten()?;
        (letter + 1 == self.raw_end(index)).then_some(letter)
    }

    /// The end of that unit.
    pub(crate) fn raw_end(&self, index: usize) -> usize {
        self.base + self.units[index].1 as usize
    }

    /// Whether the byte at `index` is written with an escape.
    pub(crate) fn is_escaped(&self, index: usize) -> bool {
        self.units[index].1 - self.units[index].0 > 1
    }

    /// The raw bytes that `text[range]` stands for, whole units only.
    pub(crate) fn raw_range(&self, range: Range<usize>) -> Range<usize> {
        match self.units.get(range.clone()) {
            Some([first, .., last]) => self.base + first.0 as usize..self.base + last.1 as usize,
            Some([only]) => self.base + only.0 as usize..self.base + only.1 as usize,
            _ => {
                let before = range.start.checked_sub(1).filter(|&index| index < self.units.len());
                let at = before.map_or(self.base, |index| self.raw_end(index));
                at..at
            }
        }
    }

    /// The first byte of `text` whose unit starts at raw place `raw` or holds it.
    pub(crate) fn index_of(&self, raw: usize) -> Option<usize> {
        let index = self.units.partition_point(|unit| self.base + unit.1 as usize <= raw);
        (index < self.text.len() && self.raw_start(index) <= raw).then_some(index)
    }
}

/// The first place at or after `from` that surely begins a unit, at most `to`:
/// right behind a byte that no escape can go on after, before a sign that
/// begins one, or behind more letters than an escape has. Whatever lies before
/// is not looked at.
pub(crate) fn sync(raw: &[u8], from: usize, to: usize) -> usize {
    let mut letters = 0;
    for (at, &byte) in raw.iter().enumerate().take(to).skip(from) {
        match byte {
            b'%' => return at,
            b'\\' if letters > 0 => return at,
            byte if matches!(byte, b'\\' | b'{') || byte.is_ascii_alphanumeric() => {
                letters = if byte == b'\\' { 0 } else { letters + 1 };
                if letters > LONGEST_ESCAPE {
                    return at;
                }
            }
            _ => return at + 1,
        }
    }
    to
}

/// A place at which a unit surely begins, at `far` or, in a run of backslashes,
/// before; else the first one behind it.
pub(crate) fn unit_before(raw: &[u8], floor: usize, far: usize, start: usize) -> usize {
    match run_before(raw, far.saturating_sub(LONGEST_RUN).max(floor), far) {
        // The first of a run.
        0 if raw.get(far) == Some(&b'\\') => far,
        0 => sync(raw, far, start),
        // Of a longer one a part will do.
        run => far - run,
    }
}

/// Letters and digits behind the sign of an escape at most: `%25252540`.
const LONGEST_ESCAPE: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_backslashes_begins_a_unit_wherever_it_is_met() {
        let raw = br"a\\\\nsts_c";
        for far in 1..=5 {
            assert_eq!(unit_before(raw, 0, far, raw.len()), 1, "{far}");
        }
    }

    #[test]
    fn a_unit_is_found_to_begin_even_in_long_runs_of_letters() {
        for (raw, begins) in [("ab cdef", 3), (r"0040abc\ndef", 7), ("2540%41", 4), ("0123456789abcdef", 10)] {
            assert_eq!(sync(raw.as_bytes(), 0, raw.len()), begins, "{raw}");
        }
    }
}
