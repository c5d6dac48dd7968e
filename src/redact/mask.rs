//! Masks: characters in place of characters.
//!
//! Characters are those of the decoded text, so that an escape, or a character
//! of several bytes, is kept whole or not at all. A value may come in pieces
//! and be of any length; only the few characters that may turn out to be its
//! last ones are held:
//!
//! ```text
//! j  a  n  e  .  d  o  e  @  e  x  a  m  p  l  e  .  c  o  m
//! |keep_first|     written as masks    |held|keep_last|
//! ```

use super::replacement;
use crate::scan::{FEWEST_MASKED, LONGEST_RUN, Wrap, unit};
use bytes::Bytes;
use std::collections::VecDeque;

/// What characters may be masked with.
pub const MASKS: [u8; 5] = [b'*', b'x', b'X', b'-', b'_'];
/// Most characters kept at either end.
const MOST_KEPT: u32 = 16;
/// Longest mask of a fixed length.
const LONGEST_FIXED: u32 = 64;
/// Raw bytes of a character that is kept; written with more it is masked.
const LONGEST_KEPT: usize = 64;
/// Bytes of a mask that are written at a time.
const PIECE: u64 = 16 << 10;

/// What a mask shows and what it hides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    character: u8,
    first: usize,
    last: usize,
    length: Length,
}

/// How long a mask is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// One per character, and [`FEWEST_MASKED`] at least.
    Characters,
    /// One per raw byte.
    Bytes,
    /// So many, whatever the value.
    Fixed(u64),
}

impl Default for Mask {
    fn default() -> Self {
        Self { character: b'*', first: 0, last: 0, length: Length::Characters }
    }
}

impl Mask {
    /// What it masks with, and how many of the first and the last characters it
    /// keeps at most.
    pub(super) fn shape(self) -> (u8, usize, usize) {
        (self.character, self.first, self.last)
    }

    /// Masks with another character.
    ///
    /// # Errors
    /// When rules could take it for a value.
    pub fn with_character(self, character: char) -> Result<Self, String> {
        let known = u8::try_from(character).ok().filter(|byte| MASKS.contains(byte));
        let character = known.ok_or_else(|| {
            let known = MASKS.map(|byte| format!("\"{}\"", char::from(byte)));
            format!("a mask's \"character\" is one of {}", known.join(", "))
        })?;
        Ok(Self { character, ..self })
    }

    /// Keeps so many characters at the beginning and the end of values that are
    /// long enough: at least half of the characters, and at least
    /// [`FEWEST_MASKED`], are masked, or all are.
    ///
    /// # Errors
    /// When that is too many.
    pub fn keeping(self, first: u32, last: u32) -> Result<Self, String> {
        if first > MOST_KEPT || last > MOST_KEPT {
            return Err(format!("\"keep_first\" and \"keep_last\" must not exceed {MOST_KEPT}"));
        }
        let count = |kept: u32| usize::try_from(kept).unwrap_or(0);
        Ok(Self { first: count(first), last: count(last), ..self })
    }

    /// Masks keep the length of values in raw bytes.
    #[must_use]
    pub fn of_same_length(self) -> Self {
        Self { length: Length::Bytes, ..self }
    }

    /// Masks are so many characters long, without those that are kept.
    ///
    /// # Errors
    /// When they would be too long, or too short for what is kept: that must
    /// not be more than what is masked.
    pub fn of_length(self, length: u32) -> Result<Self, String> {
        let least = (self.first + self.last).max(FEWEST_MASKED);
        if length > LONGEST_FIXED || u64::from(length) < least as u64 {
            return Err(format!(
                "a mask's \"length\" must be at least {FEWEST_MASKED} and not less than \"keep_first\" and \
                 \"keep_last\" together, at most {LONGEST_FIXED}"
            ));
        }
        Ok(Self { length: Length::Fixed(u64::from(length)), ..self })
    }

    /// Fewest characters of a value of which some are kept.
    fn fewest(&self) -> usize {
        let kept = self.first + self.last;
        if kept == 0 { 0 } else { (2 * kept).max(kept + FEWEST_MASKED) }
    }

    /// What stands in place of `raw`, a number, written as `wrap` says.
    pub(super) fn of_number(&self, raw: &[u8], wrap: Wrap) -> Bytes {
        if self.length != Length::Bytes {
            let mut masked = Vec::new();
            let mut masking = Masking::new(*self);
            masking.push(raw, &mut masked);
            masking.finish(&mut masked);
            return replacement::wrapped(masked.concat().into(), wrap);
        }
        if wrap == Wrap::Encoded {
            return vec![b'A'; raw.len()].into();
        }
        let quotes = replacement::wrapped(Bytes::new(), wrap).len();
        match raw.len().checked_sub(quotes) {
            Some(length) if wrap != Wrap::Zero => replacement::wrapped(self.of_digits(raw, length), wrap),
            _ => zero_of_length(raw.len()),
        }
    }

    /// A mask of `length` bytes for the bytes of a number, which are as many or more.
    fn of_digits(&self, raw: &[u8], length: usize) -> Bytes {
        let mut mask = vec![self.character; length];
        if self.fewest() > 0 && length >= self.fewest() {
            mask[..self.first].copy_from_slice(&raw[..self.first]);
            mask[length - self.last..].copy_from_slice(&raw[raw.len() - self.last..]);
        }
        mask.into()
    }
}

/// Zero, written as a number of JSON with `length` bytes.
fn zero_of_length(length: usize) -> Bytes {
    match length {
        0 | 1 => Bytes::from_static(b"0"),
        2 => Bytes::from_static(b"-0"),
        _ => [b"0.".to_vec(), vec![b'0'; length - 2]].concat().into(),
    }
}

/// One character of a value, as it was written.
#[derive(Clone, Copy, Debug)]
struct Character {
    /// Raw bytes it takes.
    length: u64,
    /// Those of it that are in [`Masking::raw`]: all, or none when it is written
    /// too long to be kept.
    stored: usize,
}

/// Masks one value, piece by piece.
#[derive(Debug)]
pub(super) struct Masking {
    mask: Mask,
    /// The last characters, which may be kept; the newest may go on.
    held: VecDeque<Character>,
    /// Their bytes.
    raw: VecDeque<u8>,
    /// The value is long enough: what is kept of its beginning was written.
    begun: bool,
    /// Characters written as masks.
    masked: u64,
    /// Masks still to be written.
    due: u64,
}

impl Masking {
    pub(super) fn new(mask: Mask) -> Self {
        let (held, raw) = (VecDeque::new(), VecDeque::new());
        Self { mask, held, raw, begun: mask.fewest() == 0, masked: 0, due: 0 }
    }

    /// Takes the next piece of the value, which consists of whole units.
    pub(super) fn push(&mut self, raw: &[u8], out: &mut Vec<Bytes>) {
        if self.mask.length == Length::Bytes && self.mask.fewest() == 0 {
            self.due += raw.len() as u64;
            return self.write_due(out);
        }
        let mut at = 0;
        while at < raw.len() {
            let unit = unit(raw, at);
            let written = &raw[at..at + unit.len];
            let mut buffer = [0; 4];
            let first = unit.bytes(&mut buffer).first().copied().unwrap_or_default();
            // Of very long runs of backslashes the scanner gives parts.
            let goes_on = first & 0xc0 == 0x80 || is_long_run(written);
            if !goes_on {
                self.begin_character(out);
            }
            self.extend_character(written);
            at += unit.len;
        }
        self.write_due(out);
    }

    /// The value has ended.
    pub(super) fn finish(mut self, out: &mut Vec<Bytes>) {
        if !self.begun && self.held.len() >= self.mask.fewest() {
            self.begin(out);
        }
        let kept = if self.begun { self.mask.last } else { 0 };
        while self.held.len() > kept {
            self.mask_oldest();
        }
        let whole = !self.begun || self.mask.fewest() == 0;
        self.due += match self.mask.length {
            Length::Characters => (FEWEST_MASKED as u64).saturating_sub(self.masked),
            Length::Fixed(length) if whole => length,
            Length::Fixed(_) | Length::Bytes => 0,
        };
        while !self.held.is_empty() {
            self.keep_oldest(out);
        }
        self.write_due(out);
    }

    fn begin_character(&mut self, out: &mut Vec<Bytes>) {
        if !self.begun && self.held.len() >= self.mask.fewest() {
            self.begin(out);
        }
        while self.begun && self.held.len() >= self.mask.last.max(1) {
            self.mask_oldest();
        }
        self.held.push_back(Character { length: 0, stored: 0 });
    }

    /// Writes what is kept of the value's beginning.
    fn begin(&mut self, out: &mut Vec<Bytes>) {
        self.begun = true;
        for _ in 0..self.mask.first {
            self.keep_oldest(out);
        }
        if let Length::Fixed(length) = self.mask.length {
            self.due += length;
        }
    }

    fn keep_oldest(&mut self, out: &mut Vec<Bytes>) {
        let Some(character) = self.held.pop_front() else { return };
        if character.stored == 0 {
            self.due += self.masks_of(character);
            return;
        }
        self.write_due(out);
        out.push(self.raw.drain(..character.stored).collect());
    }

    fn extend_character(&mut self, written: &[u8]) {
        let Some(character) = self.held.back_mut() else {
            // No whole character, and none before it: nothing to keep.
            if self.mask.length == Length::Bytes {
                self.due += written.len() as u64;
            }
            return;
        };
        let is_stored = character.length == character.stored as u64;
        character.length += written.len() as u64;
        // A line break would end what a format keeps on one line, such as an event's data.
        let is_break = matches!(written, b"\n" | b"\r");
        if is_stored && !is_break && character.stored + written.len() <= LONGEST_KEPT {
            character.stored += written.len();
            self.raw.extend(written);
        } else {
            self.raw.truncate(self.raw.len() - character.stored);
            character.stored = 0;
        }
    }

    fn mask_oldest(&mut self) {
        if let Some(character) = self.held.pop_front() {
            self.raw.drain(..character.stored);
            self.masked += 1;
            self.due += self.masks_of(character);
        }
    }

    fn masks_of(&self, character: Character) -> u64 {
        match self.mask.length {
            Length::Characters => 1,
            Length::Bytes => character.length,
            Length::Fixed(_) => 0,
        }
    }

    fn write_due(&mut self, out: &mut Vec<Bytes>) {
        while self.due > 0 {
            let length = self.due.min(PIECE);
            self.due -= length;
            out.push(vec![self.mask.character; usize::try_from(length).unwrap_or(0)].into());
        }
    }
}

/// Whether it is a run of backslashes that the scanner may have given in parts.
pub(super) fn is_long_run(written: &[u8]) -> bool {
    written.len() >= LONGEST_RUN / 2 && written.iter().all(|&byte| byte == b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(mask: Mask, pieces: &[impl AsRef<[u8]>]) -> String {
        let mut out = Vec::new();
        let mut masking = Masking::new(mask);
        pieces.iter().for_each(|piece| masking.push(piece.as_ref(), &mut out));
        masking.finish(&mut out);
        String::from_utf8(out.concat()).unwrap()
    }

    fn keeping(first: u32, last: u32) -> Mask {
        Mask::default().keeping(first, last).unwrap()
    }

    #[test]
    fn line_breaks_are_not_kept() {
        assert_eq!(masked(keeping(2, 3), &["se\nret-value\r", "\nok"]), "se************ok");
        assert_eq!(masked(keeping(0, 3), &["secret-value\\nok"]), "************\\nok");
    }

    #[test]
    fn a_mask_has_one_character_per_character_and_at_least_four() {
        assert_eq!(masked(Mask::default(), &["jane@example.com"]), "*".repeat(16));
        assert_eq!(masked(Mask::default(), &["ab"]), "****");
        assert_eq!(masked(Mask::default(), &[r"j\u00fcrgen", "é", r"\ud83c\udf89"]), "********");
    }

    #[test]
    fn the_ends_of_long_values_are_kept() {
        assert_eq!(masked(keeping(0, 4), &["4111111111111111"]), "************1111");
        assert_eq!(masked(keeping(2, 3), &["abcdefghij"]), "ab*****hij");
        assert_eq!(masked(keeping(2, 3), &["abcdefghi"]), "*********");
        assert_eq!(masked(keeping(1, 0), &["abcd"]), "****");
        assert_eq!(masked(keeping(1, 0), &["abcde"]), "a****");
    }

    #[test]
    fn escapes_are_kept_whole_or_not_at_all() {
        let value = r"\u00fcbc\nd\u0040efg%C3%A9";
        assert_eq!(masked(keeping(1, 1), &[value]), r"\u00fc********%C3%A9");
        assert_eq!(masked(keeping(1, 1).of_same_length(), &[value]), r"\u00fc**************%C3%A9");
        // One that is written with more than it is worth keeping.
        let long = format!(r"{}n", "\\".repeat(100));
        assert_eq!(masked(keeping(1, 1), &[&long, "abcdef", &long]), "********");
    }

    #[test]
    fn the_length_in_raw_bytes_may_stay() {
        for value in ["", "a", r"j\u00fcrgen", "päßwörd", &"secret\\n".repeat(9000)] {
            for mask in [Mask::default(), keeping(2, 2), keeping(0, 16)] {
                assert_eq!(masked(mask.of_same_length(), &[value]).len(), value.len());
            }
        }
    }

    #[test]
    fn a_fixed_length_says_nothing_of_the_value() {
        let fixed = Mask::default().of_length(6).unwrap();
        assert_eq!(masked(fixed, &["ab"]), "******");
        assert_eq!(masked(fixed, &[&"ab".repeat(500)]), "******");
        let kept = keeping(1, 2).of_length(6).unwrap();
        assert_eq!(masked(kept, &["abcdefghij"]), "a******ij");
        assert_eq!(masked(kept, &["abcdef"]), "******");
    }

    #[test]
    fn pieces_make_no_difference() {
        let value = format!(r"ab\u00fc{}päß{}x\ny%40z", "\\".repeat(3000), "q".repeat(100));
        let masks =
            [Mask::default(), keeping(3, 5), keeping(0, 2).of_same_length(), keeping(2, 2).of_length(9).unwrap()];
        for mask in masks {
            let whole = masked(mask, &[&value]);
            // As the scanner cuts: between units, and very long runs anywhere.
            for cut in [0, 1, 2, 8, 8 + 512, 8 + 2 * 512, 3010, value.len() - 5, value.len()] {
                assert_eq!(
                    masked(mask, &[&value.as_bytes()[..cut], &value.as_bytes()[cut..]]),
                    whole,
                    "{mask:?} {cut}"
                );
            }
        }
    }

    #[test]
    fn numbers_stay_json() {
        let number = |mask: Mask, raw: &str, wrap| String::from_utf8(mask.of_number(raw.as_bytes(), wrap).to_vec());
        let same = Mask::default().of_same_length();
        for (mask, raw, wrap, expected) in [
            (keeping(0, 4), "4111111111111111", Wrap::Quoted(0), r#""************1111""#),
            (keeping(0, 4), "4111111111111111", Wrap::Zero, "0"),
            (keeping(0, 4).of_same_length(), "4111111111111111", Wrap::Quoted(0), r#""**********1111""#),
            (same, "1234", Wrap::Quoted(1), r#"\"\""#),
            (same, "123", Wrap::Quoted(1), "0.0"),
            (same, "1234", Wrap::Apostrophes, "'**'"),
            (same, "1234567", Wrap::Zero, "0.00000"),
            (same, "12", Wrap::Zero, "-0"),
            (same, "1", Wrap::Quoted(0), "0"),
            (same, "aHVudGVyMjJ4", Wrap::Encoded, "AAAAAAAAAAAA"),
        ] {
            assert_eq!(number(mask, raw, wrap).unwrap(), expected);
        }
    }

    #[test]
    fn what_would_reveal_too_much_or_be_found_is_refused() {
        assert!(Mask::default().keeping(17, 0).is_err());
        assert!(Mask::default().of_length(3).is_err());
        assert!(keeping(4, 4).of_length(7).is_err());
        assert!(keeping(4, 4).of_length(8).is_ok());
        for character in ['*', 'x', '_'] {
            assert!(Mask::default().with_character(character).is_ok());
        }
        for character in ['"', '\\', '0', 'n', '#', 'ä'] {
            let error = Mask::default().with_character(character).unwrap_err();
            assert_eq!(error, r#"a mask's "character" is one of "*", "x", "X", "-", "_""#);
        }
    }
}
