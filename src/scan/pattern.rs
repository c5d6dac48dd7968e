//! One rule's regular expression, run anchored over units.
//!
//! The automaton takes decoded bytes one by one, straight from the raw ones:
//! text without escapes is never copied to be matched, and an escape costs
//! its own decoding only. It stops at the first byte after which no match is
//! possible, so a candidate that is none costs a few bytes.

use super::follow;
use super::key::whole_unit;
use super::literal::{self, ByteSet, Needed};
use super::window::Window;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::meta::Regex;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Class, Hir, HirKind};
use std::ops::Range;

/// A compiled pattern.
pub(crate) struct Pattern {
    /// Its states come to be as text needs them, in the caller's [`Cache`]:
    /// counted repetitions would need millions of states built ahead.
    automaton: DFA,
    /// Finds the `secret` group within a match; `None` when there is no such group.
    groups: Option<Regex>,
    /// The class whose repetition ends the pattern without a limit.
    tail: Option<Box<[bool; 256]>>,
    /// Literals of which every match holds one.
    pub(crate) needed: Option<Vec<Needed>>,
    /// Bytes that a match can begin with.
    first: Box<[bool; 256]>,
}

/// The group that is redacted, where a pattern has it.
pub(crate) const SECRET_GROUP: &str = "secret";

/// Bytes that the states of one pattern may take; when full they are dropped
/// and built anew.
const CACHE: usize = 256 << 10;

/// A match, in indices of the window's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// What is redacted.
    pub(crate) secret: Range<usize>,
    /// The match goes up to where the data was cut, and its tail may go on.
    pub(crate) open: bool,
}

/// Working memory of a match.
pub(crate) struct Memory<'a> {
    /// The pattern's own; made at its first use.
    pub(crate) cache: &'a mut Option<Cache>,
    /// Gets the decoded text.
    pub(crate) window: &'a mut Window,
}

impl Pattern {
    /// Compiles `source`.
    ///
    /// # Errors
    /// What is wrong with it, for the author of the rule.
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        let hir = regex_syntax::ParserBuilder::new()
            .unicode(false)
            .utf8(false)
            .build()
            .parse(source)
            .map_err(|error| error.to_string())?;
        let automaton = DFA::builder()
            .configure(
                DFA::config()
                    .match_kind(MatchKind::LeftmostFirst)
                    .cache_capacity(CACHE)
                    .skip_cache_capacity_check(true),
            )
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .build(source)
            .map_err(|_| "the pattern is too complex; make its repetitions smaller".to_owned())?;
        let groups = if source.contains(&format!("<{SECRET_GROUP}>")) { Some(groups(source)?) } else { None };
        let tail = tail(&hir);
        if hir.properties().maximum_len().is_none() && tail.is_none() {
            return Err("the pattern has no greatest width; only its last part may repeat without limit".into());
        }
        Ok(Self { automaton, groups, tail, needed: literal::needed(&hir), first: literal::first_bytes(&hir) })
    }

    /// The bytes that can stand behind one of the required literals.
    pub(crate) fn follow(&self, needed: &Needed) -> ByteSet {
        follow::follow(self.automaton.get_nfa(), needed)
    }

    /// Whether every match begins with one of the required literals.
    pub(crate) fn starts_with_literal(&self) -> bool {
        self.needed.as_ref().is_some_and(|needed| needed.iter().all(|literal| literal.offset == (0, 0)))
    }

    /// The match that begins with the unit at `range.start` of `raw`, behind
    /// the decoded byte `before`. Its text goes into `window`, after `before`.
    /// `cut` tells that `range.end` is no real end of the text.
    pub(crate) fn match_at(
        &self,
        raw: &[u8],
        range: Range<usize>,
        before: Option<u8>,
        cut: bool,
        memory: &mut Memory<'_>,
    ) -> Option<Extent> {
        let cache = memory.cache.get_or_insert_with(|| self.automaton.create_cache());
        let (end, reached) = self.run(raw, range.clone(), before, cut, cache)?;
        let window = &mut *memory.window;
        window.clear();
        if let Some(byte) = before {
            window.push_byte(byte, range.start, range.start);
        }
        let first = window.text().len();
        let mut at = range.start;
        while at < end {
            at = window.push_unit(&raw[..range.end], at);
        }
        let last = window.text().len();
        if at < range.end && !reached {
            // Shown to the groups, since a `\b` may end the pattern.
            window.push_unit(&raw[..range.end], at);
        }
        let secret = self.secret(window.text(), first..last)?;
        let open = cut && reached && self.tail.is_some() && secret.end == last;
        Some(Extent { secret, open })
    }

    /// Steps over the units; the raw end of the match, and whether that is the
    /// end of what can be seen. An escape that is cut in two cannot.
    fn run(
        &self,
        raw: &[u8],
        range: Range<usize>,
        before: Option<u8>,
        cut: bool,
        cache: &mut Cache,
    ) -> Option<(usize, bool)> {
        let config = start::Config::new().anchored(Anchored::Yes).look_behind(before);
        let mut state = self.automaton.start_state(cache, &config).ok()?;
        let mut found = None;
        let mut at = range.start;
        let raw = &raw[..range.end];
        let mut buffer = [0; 4];
        while let Some(&byte) = raw.get(at) {
            let plain = [byte];
            let (text, len): (&[u8], usize) = if matches!(byte, b'\\' | b'%') {
                let Some(unit) = whole_unit(raw, at, !cut) else { break };
                (unit.bytes(&mut buffer), unit.len)
            } else {
                (&plain, 1)
            };
            for &byte in text {
                state = self.automaton.next_state(cache, state, byte).ok()?;
                if state.is_tagged() {
                    // The automaton says a match one byte after its end.
                    if state.is_match() {
                        found = Some(at);
                    } else if state.is_dead() || state.is_quit() {
                        return found.map(|end| (end, false));
                    }
                }
            }
            at += len;
        }
        state = self.automaton.next_eoi_state(cache, state).ok()?;
        if state.is_match() {
            found = Some(at);
        }
        found.map(|end| (end, end == at))
    }

    fn secret(&self, text: &[u8], whole: Range<usize>) -> Option<Range<usize>> {
        let Some(groups) = &self.groups else {
            return Some(whole);
        };
        let mut captures = groups.create_captures();
        // The byte behind the match is shown too: a `\b` may end the pattern.
        let input = Input::new(text).span(whole.start..text.len()).anchored(Anchored::Yes);
        groups.search_captures(&input, &mut captures);
        let span = captures.get_group_by_name(SECRET_GROUP)?;
        Some(span.start..span.end)
    }

    /// Whether a match can begin with `byte`.
    pub(crate) fn can_begin_with(&self, byte: u8) -> bool {
        self.first[usize::from(byte)]
    }

    /// Whether the tail goes on over `byte`.
    pub(crate) fn tail_takes(&self, byte: u8) -> bool {
        self.tail.as_ref().is_some_and(|tail| tail[usize::from(byte)])
    }
}

fn groups(source: &str) -> Result<Regex, String> {
    Regex::builder()
        .configure(Regex::config().utf8_empty(false).match_kind(MatchKind::LeftmostFirst))
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build(source)
        .map_err(|error| error.to_string())
}

/// The class of a last, unlimited repetition.
fn tail(hir: &Hir) -> Option<Box<[bool; 256]>> {
    match hir.kind() {
        HirKind::Concat(parts) => {
            let limited = |part: &Hir| part.properties().maximum_len().is_some();
            let (last, rest) = parts.split_last()?;
            rest.iter().all(limited).then(|| tail(last))?
        }
        HirKind::Capture(group) => tail(&group.sub),
        HirKind::Repetition(repetition) if repetition.max.is_none() && repetition.greedy => class(&repetition.sub),
        _ => None,
    }
}

fn class(hir: &Hir) -> Option<Box<[bool; 256]>> {
    let mut set = Box::new([false; 256]);
    match hir.kind() {
        HirKind::Class(Class::Bytes(class)) => {
            for byte in class.iter().flat_map(|range| range.start()..=range.end()) {
                set[usize::from(byte)] = true;
            }
        }
        HirKind::Literal(literal) if literal.0.len() == 1 => set[usize::from(literal.0[0])] = true,
        _ => return None,
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matched(pattern: &str, raw: &str) -> Option<String> {
        let pattern = Pattern::compile(pattern).unwrap();
        let mut window = Window::default();
        let extent = pattern.match_at(
            raw.as_bytes(),
            0..raw.len(),
            None,
            false,
            &mut Memory { cache: &mut None, window: &mut window },
        )?;
        Some(raw[window.raw_range(extent.secret)].to_owned())
    }

    #[test]
    fn a_match_is_found_in_plain_and_escaped_text() {
        let pattern = r"\bghp_[A-Za-z0-9]{4,6}\b";
        assert_eq!(matched(pattern, "ghp_abcd rest").as_deref(), Some("ghp_abcd"));
        assert_eq!(matched(pattern, r"ghp_abcd\n").as_deref(), Some("ghp_abcd"));
        assert_eq!(matched(pattern, r"g\u0068p_ab\\u0063d\n").as_deref(), Some(r"g\u0068p_ab\\u0063d"));
        assert_eq!(matched(pattern, "ghp_abcdefg"), None);
        assert_eq!(matched(pattern, r"ghp_abcdef\u0067"), None);
    }

    #[test]
    fn the_secret_group_is_what_counts() {
        let pattern = r#"(?i)password[ \t]{0,4}=[ \t]{0,4}"?(?P<secret>[^\s"]{3,})"#;
        assert_eq!(matched(pattern, r#"Password = \"a\u0040bc\" x"#).as_deref(), Some(r"a\u0040bc"));
    }

    #[test]
    fn an_open_end_is_reported_only_where_the_text_was_cut() {
        let pattern = Pattern::compile(r"\btok_[a-z]{2,}").unwrap();
        let mut window = Window::default();
        let mut open = |text: &str, cut| {
            pattern
                .match_at(
                    text.as_bytes(),
                    0..text.len(),
                    None,
                    cut,
                    &mut Memory { cache: &mut None, window: &mut window },
                )
                .unwrap()
                .open
        };
        assert!(open("tok_abc", true));
        assert!(!open("tok_abc", false));
        assert!(!open("tok_abc-", true));
        assert!(pattern.tail_takes(b'q') && !pattern.tail_takes(b'-'));
    }

    #[test]
    fn an_escape_that_is_cut_in_two_does_not_end_a_match() {
        let pattern = Pattern::compile(r"\btok_[a-z]{2,}").unwrap();
        let mut window = Window::default();
        for raw in [r"tok_abc\u006", r"tok_abc\\\", "tok_abc%7"] {
            let memory = &mut Memory { cache: &mut None, window: &mut window };
            let extent = pattern.match_at(raw.as_bytes(), 0..raw.len(), None, true, memory).unwrap();
            assert_eq!(extent, Extent { secret: 0..7, open: true }, "{raw}");
        }
    }

    #[test]
    fn a_pattern_without_a_greatest_width_is_refused() {
        assert!(Pattern::compile("[a-z]+x").is_err());
        assert!(Pattern::compile("ab[a-z]+").is_ok());
    }
}
