//! What a redactor writes itself. No rule finds a value in it: hex digits may
//! look like anything, a card's number for one, and what a mask keeps may look
//! like a password.
//!
//! Only what a policy really writes counts, by its own entities, keys and masks.
//! `[ERROR:card:4111111111111111]` and `hunter2!--------` are data like any other.

use std::collections::BTreeSet;
use std::ops::Range;

/// Fewest masked characters of a value of which some are kept.
pub const FEWEST_MASKED: usize = 4;
/// Longest pseudonym without its brackets: an entity and a key of 64 bytes at
/// most, a hash of 64 digits, and what stands between.
const LONGEST: usize = 3 * 64 + 2;
/// Fewest digits of a hash: 64 bits.
const FEWEST_DIGITS: usize = 16;

/// What the actions of a policy write, beside labels such as `[EMAIL_ADDRESS]`.
#[derive(Clone, Debug, Default)]
pub struct Written {
    labels: BTreeSet<Vec<u8>>,
    /// `ENTITY:key` of every pseudonym.
    names: BTreeSet<Vec<u8>>,
    masks: BTreeSet<Shape>,
}

/// A mask that keeps ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    character: u8,
    first: usize,
    last: usize,
}

impl Written {
    /// Whether there is anything.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.names.is_empty() && self.masks.is_empty()
    }

    /// A label that is written as it is.
    pub fn add_label(&mut self, label: &[u8]) {
        self.labels.insert(label.to_vec());
    }

    /// Pseudonyms: `[ENTITY:key:hex]`.
    pub fn add_pseudonym(&mut self, entity: &str, key: &str) {
        self.names.insert(format!("{entity}:{key}").into_bytes());
    }

    /// Masks of `character` that keep so many of the first and last characters at
    /// most.
    pub fn add_mask(&mut self, character: u8, first: usize, last: usize) {
        self.masks.insert(Shape { character, first, last });
    }

    /// Whether the value at `range` of `raw`, which means `text`, is such.
    pub(super) fn holds(&self, raw: &[u8], range: &Range<usize>, text: Option<&[u8]>) -> bool {
        text.is_some_and(|text| self.labels.contains(text) || self.masks.iter().any(|mask| mask.fits(text)))
            || !self.names.is_empty() && self.is_in_pseudonym(raw, range)
    }

    /// Whether `range` lies within a pseudonym, whose brackets may be
    /// percent-encoded, or within several that touch each other. What begins behind
    /// the bracket does so wherever it ends: nobody writes a value from there on.
    fn is_in_pseudonym(&self, raw: &[u8], range: &Range<usize>) -> bool {
        let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b':');
        let opening = bracket(raw.get(range.start..).unwrap_or_default(), b'[');
        let at = (range.start + opening).min(raw.len());
        let before = &raw[at.saturating_sub(LONGEST)..at];
        let length = before.iter().rev().take_while(|byte| in_name(byte)).count();
        let (outside, inside) = before.split_at(before.len() - length);
        // The end of `%5B` is made of letters too.
        let skipped = match outside {
            [.., b'['] => 0,
            [.., b'%'] if inside.len() >= 2 && inside[..2].eq_ignore_ascii_case(b"5B") => 2,
            _ => return false,
        };
        let mut begins = at - length + skipped;
        loop {
            let rest = &raw[begins..raw.len().min(begins + LONGEST + 1)];
            let length = rest.iter().take_while(|byte| in_name(byte)).count();
            let closing = bracket(&raw[begins + length..], b']');
            let end = begins + length + closing;
            if closing == 0 || !self.is_pseudonym(&rest[..length]) {
                return false;
            }
            if range.end <= end || opening == 0 {
                return true;
            }
            match bracket(&raw[end..], b'[') {
                0 => return false,
                opening => begins = end + opening,
            }
        }
    }

    fn is_pseudonym(&self, inner: &[u8]) -> bool {
        let Some(colon) = inner.iter().rposition(|&byte| byte == b':') else { return false };
        let (name, hash) = (&inner[..colon], &inner[colon + 1..]);
        let digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        hash.len() >= FEWEST_DIGITS && hash.iter().all(digit) && self.names.contains(name)
    }
}

impl Shape {
    fn fits(self, text: &[u8]) -> bool {
        let characters = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count();
        let Some(start) = text.windows(FEWEST_MASKED).position(|run| run.iter().all(|&byte| byte == self.character))
        else {
            return false;
        };
        let run = text[start..].iter().take_while(|&&byte| byte == self.character).count();
        let (first, last) = (characters(&text[..start]), characters(&text[start + run..]));
        first <= self.first && last <= self.last && run >= first + last
    }
}

/// The length of the bracket that `raw` begins with, percent-encoded or not.
fn bracket(raw: &[u8], bracket: u8) -> usize {
    match raw {
        [byte, ..] if *byte == bracket => 1,
        [b'%', b'5', digit, ..] if digit.to_ascii_uppercase() == bracket - b'[' + b'B' => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Written {
        let mut written = Written::default();
        written.add_label(b"<PHONE>");
        written.add_pseudonym("CREDIT_CARD", "k1");
        written.add_mask(b'*', 1, 4);
        written
    }

    /// Whether what stands between the bars of `text` is.
    fn holds(text: &str) -> bool {
        let parts: Vec<&str> = text.split('|').collect();
        let range = parts[0].len()..parts[0].len() + parts[1].len();
        written().holds(parts.concat().as_bytes(), &range, Some(parts[1].as_bytes()))
    }

    #[test]
    fn what_a_policy_writes_is_known() {
        for text in [
            "a |<PHONE>| b",
            "x [CREDIT_CARD:k1:|4111111111111111|] y",
            "x |[CREDIT_CARD:k1:4111111111111111]| y",
            "root:[CREDIT_CARD:k1:|9f86d081884c7d65]@tcp(db:3306)|/app",
            "x %5BCREDIT_CARD:k1:|4111111111111111|%5d y",
            "[CREDIT_CARD:|k1:41111111111111110f|]",
            "x |[CREDIT_CARD:k1:9f86d081884c7d65][CREDIT_CARD:k1:4111111111111111|] y",
            "|j*****1234|",
            "|****|",
            "|é*****1234|",
        ] {
            assert!(holds(text), "{text}");
        }
    }

    #[test]
    fn what_only_looks_alike_is_data() {
        for text in [
            "|<EMAIL>|",
            "[ERROR:card:|4111111111111111|]",
            "[CREDIT_CARD:k2:|4111111111111111|]",
            "[CREDIT_CARD:k1:|411111111111111|]",
            "[CREDIT_CARD:k1:|4111111111111111|",
            "|[CREDIT_CARD:k1:9f86d081884c7d65]hunter2|",
            "[DEBUG:password:|9f86d081884c7d65]hunter2|",
            "CREDIT_CARD:k1:|4111111111111111|",
            "|[CREDIT_CARD:k1:9f86d081884c7d65][hunter22|]",
            "[CREDIT_CARD:k1:|4111111111111111 1|]",
            "|jo****1234|",
            "|j***1234|",
            "|j****12345|",
            "|hunter2!--------|",
            "|tom@qq.com|",
        ] {
            assert!(!holds(text), "{text}");
        }
    }
}
