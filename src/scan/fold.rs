//! Characters that hide a value from who compares bytes: those that have no
//! width, and digits and signs of other forms.
//!
//! ```text
//! bob<U+200B>@example.com    ４１１１ 1111 1111 1111    bob＠example.com
//! ```
//!
//! A text with such characters is read once more, without the former and with
//! ASCII for the latter. What is found there and holds one of them is a finding
//! too. The second reading goes over the [`CELL`] of the body that holds the
//! character and [`MARGIN`] bytes to either side, but over no fence: so it
//! depends on the bytes alone, not on how they come, and each byte is read again
//! a few times at most.
//!
//! Which characters: Unicode's `Default_Ignorable_Code_Point`, of those that
//! editors and messengers really leave behind; its decimal digits (`Nd`) of the
//! scripts in use; full-width forms.

use super::finding::{Finding, Part};
use super::unit::unit;
use super::window::{Window, unit_before};
use crate::span::Span;
use std::ops::Range;

/// Bytes of the body that are read again together.
const CELL: u64 = 1024;
/// Raw bytes around a cell that are read with it.
const MARGIN: u64 = 512;
/// What is shorter holds no value that any rule finds.
const SHORTEST: usize = 6;

/// The ignored or folded character that `text` begins with: its length, and the
/// byte that it is read as, if any.
pub(super) fn at(text: &[u8]) -> Option<(usize, Option<u8>)> {
    match *text {
        // Soft hyphen.
        [0xc2, 0xad, ..] => Some((2, None)),
        // Zero-width space, joiners, directional marks; word joiner, isolates.
        [0xe2, 0x80, 0x8b..=0x8f | 0xaa..=0xae, ..] | [0xe2, 0x81, 0xa0..=0xa9, ..] => Some((3, None)),
        // Byte order mark, or zero-width no-break space.
        [0xef, 0xbb, 0xbf, ..] => Some((3, None)),
        // Full-width plus, hyphen, full stop and at sign.
        [0xef, 0xbc, sign @ (0x8b | 0x8d | 0x8e | 0xa0), ..] => Some((3, Some(sign - 0x60))),
        // Arabic-Indic digits, Eastern and Western.
        [0xd9, digit @ 0xa0..=0xa9, ..] => Some((2, Some(digit - 0xa0 + b'0'))),
        [0xdb, digit @ 0xb0..=0xb9, ..] => Some((2, Some(digit - 0xb0 + b'0'))),
        [first, second, third, ..] => {
            let zero = ZEROS.iter().find(|zero| zero[..2] == [first, second])?[2];
            (zero..zero + 10).contains(&third).then(|| (3, Some(third - zero + b'0')))
        }
        _ => None,
    }
}

/// The digit zero of scripts whose digits take three bytes: full-width,
/// Devanagari, Bengali, Gurmukhi, Gujarati, Oriya, Tamil, Telugu, Kannada,
/// Malayalam, Thai, Lao, Myanmar and Khmer.
const ZEROS: [[u8; 3]; 14] = [
    [0xef, 0xbc, 0x90],
    [0xe0, 0xa5, 0xa6],
    [0xe0, 0xa7, 0xa6],
    [0xe0, 0xa9, 0xa6],
    [0xe0, 0xab, 0xa6],
    [0xe0, 0xad, 0xa6],
    [0xe0, 0xaf, 0xa6],
    [0xe0, 0xb1, 0xa6],
    [0xe0, 0xb3, 0xa6],
    [0xe0, 0xb5, 0xa6],
    [0xe0, 0xb9, 0x90],
    [0xe0, 0xbb, 0x90],
    [0xe1, 0x81, 0x80],
    [0xe1, 0x9f, 0xa0],
];

/// Whether such a character, escaped or not, begins with the unit at `start`.
pub(super) fn begins(raw: &[u8], start: usize) -> bool {
    let mut text = Vec::with_capacity(8);
    let mut place = start;
    while text.len() < 3 && place < raw.len() {
        let unit = unit(raw, place);
        text.extend_from_slice(unit.bytes(&mut [0; 4]));
        if !matches!(text[0], 0xc2 | 0xd9 | 0xdb | 0xe0..=0xe2 | 0xef) {
            return false;
        }
        place += unit.len;
    }
    at(&text).is_some()
}

/// The raw bytes that are read again for the character at `at`: relative to
/// `raw`, which begins at `origin` of the body and in which `haystack` holds
/// `at` and no fence.
fn stretch(raw: &[u8], origin: u64, haystack: Range<usize>, at: usize) -> Range<usize> {
    let cell = (origin + at as u64) / CELL * CELL;
    let relative = |place: u64| usize::try_from(place.saturating_sub(origin)).unwrap_or(usize::MAX);
    let end = relative(cell + CELL + MARGIN).min(haystack.end);
    let start = relative(cell.saturating_sub(MARGIN));
    if start <= haystack.start {
        return haystack.start..end;
    }
    unit_before(raw, haystack.start, start, end)..end
}

/// What a second reading found, in the bytes of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) span: Span,
    pub(super) rule: usize,
    /// The first of the characters in it.
    first: u64,
}

/// What was found in the stretch that was last read once more.
#[derive(Debug, Default)]
pub(super) struct Again {
    /// In bytes of the body.
    stretch: Option<Span>,
    /// In the order of the first characters.
    found: Vec<Found>,
}

impl Again {
    /// What holds the character at `at` of `raw` first: see [`stretch`]. `scan`
    /// finds what the second reading says.
    pub(super) fn around<E>(
        &mut self,
        raw: &[u8],
        origin: u64,
        haystack: Range<usize>,
        at: usize,
        scan: impl FnOnce(&[u8]) -> Result<Vec<Finding>, E>,
    ) -> Result<&[Found], E> {
        let stretch = stretch(raw, origin, haystack, at);
        let span = Span::new(origin + stretch.start as u64, origin + stretch.end as u64);
        if self.stretch != Some(span) {
            let reading = Reading::of(raw, stretch);
            self.found = match reading.text() {
                [] => Vec::new(),
                text => reading.found(&scan(text)?, origin),
            };
            self.stretch = Some(span);
        }
        let first = origin + at as u64;
        let from = self.found.partition_point(|found| found.first < first);
        let to = self.found.partition_point(|found| found.first <= first);
        Ok(&self.found[from..to])
    }
}

/// A stretch as it is read the second time.
#[derive(Debug, Default)]
struct Reading {
    window: Window,
    /// Where in the text the characters were, whether one is left, and where
    /// in the raw bytes.
    folded: Vec<(usize, bool, usize)>,
}

impl Reading {
    fn of(raw: &[u8], stretch: Range<usize>) -> Self {
        let mut plain = Window::default();
        plain.decode(raw, stretch);
        let mut reading = Self::default();
        let mut index = 0;
        while index < plain.text().len() {
            let (length, byte) = at(&plain.text()[index..]).unwrap_or((0, None));
            let span = plain.raw_range(index..index + length.max(1));
            if length > 0 {
                reading.folded.push((reading.window.text().len(), byte.is_some(), span.start));
            }
            let kept = if length == 0 { Some(plain.text()[index]) } else { byte };
            if let Some(byte) = kept {
                reading.window.push_byte(byte, span.start, span.end);
            }
            index += length.max(1);
        }
        reading
    }

    /// The text; empty where nothing can be found.
    fn text(&self) -> &[u8] {
        let text = self.window.text();
        if text.len() < SHORTEST { &[] } else { text }
    }

    /// What of `findings`, which are in order, holds one of the characters.
    /// `origin` is where the raw bytes begin in the body.
    fn found(&self, findings: &[Finding], origin: u64) -> Vec<Found> {
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let mut found: Vec<Found> = Vec::new();
        let mut last = 0..0;
        for finding in findings {
            let range = index(finding.span.start)..index(finding.span.end);
            // The next piece of a long one.
            let goes_on = finding.part == Part::More && last.end == range.start;
            last = if goes_on { last.start..range.end } else { range };
            let Some((raw, first)) = self.place(last.clone()) else { continue };
            let (start, first) = (origin + raw.start as u64, origin + first as u64);
            if goes_on && found.last().is_some_and(|found| found.span.start == start) {
                found.pop();
            }
            let span = Span::new(start, origin + raw.end as u64);
            found.push(Found { span, rule: finding.rule, first });
        }
        found
    }

    /// The raw bytes of `range` of the text, and the first of the characters in
    /// it; `None` when it holds none.
    fn place(&self, range: Range<usize>) -> Option<(Range<usize>, usize)> {
        let from = self.folded.partition_point(|&(index, left, _)| index + usize::from(left) <= range.start);
        let &(index, _, first) = self.folded.get(from)?;
        (index < range.end).then(|| (self.window.raw_range(range), first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_other_scripts_are_read_as_ascii() {
        for (text, digit) in
            [("０", b'0'), ("９", b'9'), ("٤", b'4'), ("۷", b'7'), ("५", b'5'), ("๓", b'3'), ("៩", b'9')]
        {
            assert_eq!(at(text.as_bytes()), Some((text.len(), Some(digit))), "{text}");
        }
        for (text, sign) in [("＠", b'@'), ("＋", b'+'), ("－", b'-'), ("．", b'.')] {
            assert_eq!(at(text.as_bytes()), Some((3, Some(sign))), "{text}");
        }
        for text in ["1", "é", "、", "，", "क", "์", "—", "\u{2028}", "ａ"] {
            assert_eq!(at(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn such_a_character_is_seen_in_any_spelling() {
        for raw in
            ["\u{200b}", r"\u200b", r"\\u200B", r"\u{200b}", r"\U0000200b", r"\xe2\x80\x8b", "%E2%80%8B", r"\uff10"]
        {
            assert!(begins(raw.as_bytes(), 0), "{raw}");
        }
        for raw in [r"\u2028", "%E2%80", r"\xe2", "x", "%41"] {
            assert!(!begins(raw.as_bytes(), 0), "{raw}");
        }
    }

    #[test]
    fn what_is_found_is_told_with_its_first_folded_character() {
        let raw = "ab\u{200b}c d٤e \u{feff}f";
        let reading = Reading::of(raw.as_bytes(), 0..raw.len());
        assert_eq!(reading.text(), b"abc d4e f");
        assert_eq!(reading.place(0..3), Some((0..6, 2)));
        assert_eq!(reading.place(4..7), Some((7..11, 8)));
        assert_eq!(reading.place(0..2), None);
        assert_eq!(reading.place(8..9), None);
    }
}
