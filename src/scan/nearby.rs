//! Keywords near a match: `call 0044...` is a phone number, `id 0044...` none.
//!
//! A keyword is looked for when a match asks for it, in the bytes right before
//! the match, and not by the literal database: words such as `key` or `net`
//! stand everywhere, while few matches ask.

use super::Format;
use super::unit::unclear_letter;
use super::window::{Window, sync};
use aho_corasick::AhoCorasick;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::OnceLock;

/// Raw bytes for each letter of a keyword that is written with escapes.
const LONGEST_LETTER: usize = 12;
/// Raw bytes in which the beginning of a unit is surely found.
const SYNC: usize = 64;

/// The bytes before the data of a scan, as far as keywords may stand there.
#[derive(Debug, Default)]
pub(super) struct Context {
    bytes: VecDeque<u8>,
    /// Nothing came before them.
    is_start: bool,
}

impl Context {
    /// The context of a body's first byte.
    pub(super) fn at_start() -> Self {
        Self { bytes: VecDeque::new(), is_start: true }
    }

    /// `gone` is no longer part of the data; `reach` bytes of it are kept.
    pub(super) fn push(&mut self, gone: &[u8], reach: usize) {
        let fresh = &gone[gone.len().saturating_sub(reach)..];
        self.is_start &= self.bytes.len() + gone.len() <= reach;
        let surplus = (self.bytes.len() + fresh.len()).saturating_sub(reach).min(self.bytes.len());
        self.bytes.drain(..surplus);
        self.bytes.extend(fresh);
    }
}

/// The keywords of one rule.
#[derive(Debug, Default)]
pub(super) struct Keywords {
    /// In lower case.
    list: Vec<Vec<u8>>,
    /// Finds all of them at once; made when first asked for.
    automaton: OnceLock<Option<AhoCorasick>>,
}

impl Keywords {
    pub(super) fn new(keywords: &[String]) -> Self {
        let list = keywords.iter().map(|keyword| keyword.to_ascii_lowercase().into_bytes()).collect();
        Self { list, automaton: OnceLock::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many raw bytes before a match matter.
    pub(super) fn reach(&self, proximity: usize) -> usize {
        let longest = self.list.iter().map(Vec::len).max().unwrap_or(0);
        proximity + longest * LONGEST_LETTER + SYNC
    }

    /// Whether one of the keywords stands before `place` of `data`, which
    /// `context` precedes, as a word of its own, with `proximity` raw bytes in
    /// between at most.
    pub(super) fn stand_before(
        &self,
        proximity: usize,
        context: &Context,
        data: &[u8],
        place: usize,
        format: Format,
    ) -> bool {
        let reach = self.reach(proximity);
        // A little of what follows tells whether the last word goes on.
        let near = &data[place.saturating_sub(reach)..data.len().min(place + SYNC)];
        let missing = reach.saturating_sub(place).min(context.bytes.len());
        let mut raw: Vec<u8> = context.bytes.iter().skip(context.bytes.len() - missing).copied().collect();
        raw.extend_from_slice(near);
        let place = missing + place.min(reach);
        let is_start = place < reach && context.is_start;
        let start = if is_start { 0 } else { sync(&raw, 0, place) };
        self.stand_in(&raw, start, (proximity, place), format)
    }

    fn stand_in(&self, raw: &[u8], start: usize, (proximity, place): (usize, usize), format: Format) -> bool {
        let mut window = Window::default();
        window.decode(raw, start..raw.len());
        let text = window.text();
        let fits = |span: Range<usize>, length: usize| {
            let from = place.saturating_sub(proximity + length * LONGEST_LETTER);
            span.start >= from && span.end <= place && place - span.end <= proximity
        };
        let whole =
            |range: Range<usize>| is_word(text, range.clone()) && fits(window.raw_range(range.clone()), range.len());
        if self.find(text).any(whole) {
            return true;
        }
        letters(raw, start, &window, format).into_iter().any(|(letter, behind)| {
            self.list.iter().filter(|keyword| keyword.first() == Some(&raw[letter])).any(|keyword| {
                let mut text = vec![raw[letter]];
                text.extend(window.text()[behind..].iter().take(keyword.len()));
                let end = behind + keyword.len() - 1;
                let span = letter..if end == behind { letter + 1 } else { window.raw_range(behind..end).end };
                reads(&text, 0..keyword.len(), keyword) && is_word(&text, 0..keyword.len()) && fits(span, keyword.len())
            })
        })
    }

    /// Every place in `text` where one of the keywords is spelled.
    fn find<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
        let make = || AhoCorasick::builder().ascii_case_insensitive(true).build(&self.list).ok();
        let automaton = self.automaton.get_or_init(make).as_ref();
        automaton
            .into_iter()
            .flat_map(move |automaton| automaton.find_overlapping_iter(text).map(|found| found.range()))
    }
}

/// The letters of escapes that may be none, with the index of the text behind.
fn letters(raw: &[u8], start: usize, window: &Window, format: Format) -> Vec<(usize, usize)> {
    let signs = (start..raw.len()).filter(|&at| raw[at] == b'\\' && (at == 0 || raw[at - 1] != b'\\'));
    signs
        .filter_map(|at| {
            let letter = unclear_letter(raw, at, format)?;
            // Where the backslashes are a unit of their own, it is no escape.
            let behind = window.index_of(letter + 1).unwrap_or(window.text().len());
            (window.index_of(letter) == window.index_of(at)).then_some((letter, behind))
        })
        .collect()
}

fn reads(text: &[u8], range: Range<usize>, keyword: &[u8]) -> bool {
    text.get(range).is_some_and(|found| found.eq_ignore_ascii_case(keyword))
}

/// Whether the word at `range` is not a part of a longer one, except of a name
/// such as `phoneNumber` or in the plural.
pub(super) fn is_word(text: &[u8], range: Range<usize>) -> bool {
    let (first, last) = (text[range.start], text[range.end - 1]);
    let begins = match range.start.checked_sub(1).map(|at| text[at]) {
        Some(before) if before.is_ascii_lowercase() => first.is_ascii_uppercase() || !first.is_ascii(),
        Some(before) => !before.is_ascii_alphabetic(),
        None => true,
    };
    let ends = match text.get(range.end) {
        Some(b's') => true,
        Some(after) if after.is_ascii_uppercase() => last.is_ascii_lowercase(),
        Some(after) => !after.is_ascii_alphabetic(),
        None => true,
    };
    begins && ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(text: &str, keyword: &str) -> bool {
        let place = text.find("0044").unwrap();
        let wanted = Keywords::new(&[keyword.to_owned()]);
        let whole = wanted.stand_before(12, &Context::at_start(), text.as_bytes(), place, Format::Json);
        for cut in 0..place {
            let mut context = Context::at_start();
            context.push(&text.as_bytes()[..cut], wanted.reach(12));
            let data = &text.as_bytes()[cut..];
            assert_eq!(
                wanted.stand_before(12, &context, data, place - cut, Format::Json),
                whole,
                "{text} cut at {cut}"
            );
        }
        whole
    }

    #[test]
    fn a_keyword_counts_as_a_word_and_within_its_proximity() {
        for text in ["call 0044", "Call: 0044", "my_call\":\"0044", "homeCall 0044", r"\ncall 0044", r"\\call 0044"] {
            assert!(near(text, "call"), "{text}");
        }
        for text in ["recall 0044", "callus 0044", "call 123456789012 0044", "0044 call", "calm 0044"] {
            assert!(!near(text, "call"), "{text}");
        }
        assert!(near(r"c\u0061ll 0044", "call") && near(r"\\net 0044", "net"));
    }

    #[test]
    fn no_more_context_is_kept_than_is_asked_for() {
        let mut context = Context::at_start();
        for _ in 0..100 {
            context.push(b"0123456789", 25);
            assert!(context.bytes.len() <= 25);
        }
        assert!(!context.is_start);
        context.push(&[b'x'; 1000], 25);
        assert_eq!(context.bytes, [b'x'; 25]);
    }
}
