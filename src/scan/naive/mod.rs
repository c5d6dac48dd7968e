//! The slow oracle: the same findings as [`super::Scanner`], found the plain way.
//!
//! The whole document lies in memory and is taken apart into units once.
//! Every rule is tried at every unit, with ordinary regular expressions: no
//! literals, no shapes, no chunks, no triggers. Shared with the scanner are
//! only parts with tests of their own: what a unit means, what a detector
//! confirms, the validators, how a number is wrapped, how overlaps are
//! resolved. Used by the properties, and by `expurgate check` on the examples
//! of rules.
//!
//! The limits of the scanner that are part of its meaning are kept: a match is
//! judged within [`LOOKAHEAD`] raw bytes of its start, a longer one goes on as
//! far as its last class does; a longer value under a key rule goes whole,
//! whatever its validator says.

mod document;
mod encoded;
mod folded;
mod region;

use super::again::{Begun, Log, Outer};
use super::around::quotes_agree;
use super::check::{Checks, Value};
use super::detector;
use super::engine::Engine;
use super::finding::{Finding, Opened, Part};
use super::key::{Names, Spelling, whole_unit};
use super::nearby::{Context, UNLESS, is_word};
use super::number::{self, Numbers, Place};
use super::pattern;
use super::protect::Protections;
use super::resolve::{Match, Resolver};
use super::unit::Meaning;
use super::window::Window;
use super::{Format, LOOKAHEAD};
use crate::rule::{Detector, Matcher, Ruleset};
use crate::span::Span;
use document::{Document, Text};
use folded::Folded;
use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input};
use region::Region;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Everything found in `document`, in order, each finding in one piece.
pub fn findings(engine: &Engine, format: Format, document: &[u8]) -> Vec<Finding> {
    all(engine, None, format, document).0
}

/// As [`findings`], without what is protected, and with what is found in texts in
/// base64.
pub fn all(
    engine: &Engine,
    protections: Option<&Arc<Protections>>,
    format: Format,
    document: &[u8],
) -> (Vec<Finding>, Vec<Opened>) {
    let ((findings, _), opened) = read(engine, format, document, Origin::Body(protections));
    (findings, opened)
}

/// What is read, and what is around it.
#[derive(Clone, Copy)]
enum Origin<'a> {
    /// With what is protected in it.
    Body(Option<&'a Arc<Protections>>),
    /// A text that is read a second time.
    Again(&'a dyn Outer),
    /// A text that stands in base64.
    Encoded(&'a dyn Outer),
}

fn read(engine: &Engine, format: Format, document: &[u8], origin: Origin<'_>) -> (Log, Vec<Opened>) {
    let plain = engine.naive.get_or_init(|| Plain::of(engine.ruleset()));
    let document = Document::read(format, document);
    let (candidates, folded, regions) = (Vec::new(), Vec::new(), Vec::new());
    let (outer, protections) = match origin {
        Origin::Body(protections) => (None, protections),
        Origin::Again(outer) | Origin::Encoded(outer) => (Some(outer), None),
    };
    let mut search = Search { engine, plain, document: &document, outer, protections, candidates, folded, regions };
    search.find_candidates();
    if !matches!(origin, Origin::Again(_)) {
        search.find_folded();
    }
    search.find_regions();
    let opened = if matches!(origin, Origin::Body(_)) { search.find_encoded() } else { Vec::new() };
    (search.resolve(&opened), opened)
}

/// The rules in the form in which the oracle uses them.
pub(super) struct Plain {
    /// By rule index.
    regexes: Vec<Option<Regex>>,
    /// Of the names of all key rules.
    spellings: Vec<Spelling>,
    private_key: Option<usize>,
}

impl Plain {
    fn of(ruleset: &Ruleset) -> Self {
        let mut plain = Self { regexes: Vec::new(), spellings: Vec::new(), private_key: None };
        for (index, rule) in ruleset.rules.iter().enumerate() {
            let mut regex = None;
            match &rule.matcher {
                _ if !rule.enabled => {}
                // The engine has compiled it before.
                Matcher::Pattern(source) => regex = compile(source),
                Matcher::Detector(Detector::PrivateKey) => plain.private_key = plain.private_key.or(Some(index)),
                Matcher::Detector(_) => {}
                Matcher::Key(names) => plain.spellings.extend(names.iter().flat_map(|name| Names::spellings(name))),
            }
            plain.regexes.push(regex);
        }
        plain
    }
}

fn compile(source: &str) -> Option<Regex> {
    pattern::matcher(&pattern::parse(source).ok()?).ok()
}

/// What a rule matches, before keywords, validators and overlaps are looked at.
struct Candidate {
    rule: usize,
    /// Where the whole match begins; the secret may begin further on.
    whole_start: usize,
    secret: Range<usize>,
    /// What led to it: what it begins with, or a detector's anchor.
    anchor: usize,
    text: Vec<u8>,
    haystack: Range<usize>,
    inside: bool,
    /// Cut off at the look-ahead, in the middle of its last repetition.
    open: bool,
}

struct Search<'a> {
    engine: &'a Engine,
    plain: &'a Plain,
    document: &'a Document<'a>,
    /// What is around it, where it is a text that is read a second time.
    outer: Option<&'a dyn Outer>,
    protections: Option<&'a Arc<Protections>>,
    candidates: Vec<Candidate>,
    folded: Vec<Folded>,
    regions: Vec<Region>,
}

impl Search<'_> {
    /// Every rule at every place.
    fn find_candidates(&mut self) {
        for (units, inside) in self.document.haystacks() {
            let haystack = self.document.start(units.start)..self.document.start(units.end);
            let text = Text::of(&self.document.units[units.clone()]);
            for rule in 0..self.plain.regexes.len() {
                self.try_pattern(rule, &text, &haystack, inside);
            }
            self.try_letters(units, &haystack, inside);
            for index in 0..self.engine.detectors.len() {
                let (detector, rule) = self.engine.detectors[index];
                self.try_detector(detector, rule, &text, &haystack, inside);
            }
        }
    }

    fn try_pattern(&mut self, rule: usize, text: &Text, haystack: &Range<usize>, inside: bool) {
        let Some(regex) = &self.plain.regexes[rule] else { return };
        if haystack.len() <= LOOKAHEAD && !regex.is_match(&text.bytes) {
            return;
        }
        for start in (0..text.bytes.len()).filter(|&start| text.begins(start)) {
            let found = self.match_at(rule, text, start, haystack, inside);
            self.candidates.extend(found);
        }
    }

    /// Patterns that begin at the letter of an escape that may be none.
    fn try_letters(&mut self, units: Range<usize>, haystack: &Range<usize>, inside: bool) {
        for index in units.clone() {
            let Some(letter) = self.document.unclear_letter(index) else { continue };
            let mut text = Text::default();
            text.push(b'\\', letter - 1..letter);
            text.push(self.document.raw[letter], letter..letter + 1);
            text.extend(Text::of(&self.document.units[index + 1..units.end]));
            for rule in 0..self.plain.regexes.len() {
                if self.engine.patterns[rule].as_ref().is_some_and(pattern::Pattern::starts_with_literal) {
                    let found = self.match_at(rule, &text, 1, haystack, inside);
                    self.candidates.extend(found);
                }
            }
        }
    }

    /// The match of a pattern that begins at `start` of `text`.
    fn match_at(
        &self,
        rule: usize,
        text: &Text,
        start: usize,
        haystack: &Range<usize>,
        inside: bool,
    ) -> Option<Candidate> {
        let regex = self.plain.regexes[rule].as_ref()?;
        let limit = text.spans[start].start + LOOKAHEAD;
        let cut = haystack.end > limit;
        let end = if cut { self.seen(text, start, limit) } else { text.bytes.len() };
        let mut captures = regex.create_captures();
        let input = Input::new(&text.bytes[..end]).range(start..).anchored(Anchored::Yes);
        regex.search_captures(&input, &mut captures);
        let whole = captures.get_match()?.range();
        let has_group = regex.group_info().to_index(captures.pattern()?, pattern::SECRET_GROUP).is_some();
        let secret = if has_group { captures.get_group_by_name(pattern::SECRET_GROUP)?.range() } else { whole.clone() };
        let outer = self.outer_end(text, secret.clone(), end, has_group);
        let secret = secret.start..outer.unwrap_or(secret.end);
        if outer == Some(secret.start) || self.goes_on_behind(text, secret.start, end) {
            return None;
        }
        let has_tail = || {
            let pattern = self.engine.patterns[rule].as_ref();
            pattern.is_some_and(|pattern| (0..=255).any(|byte| pattern.tail_takes(byte)))
        };
        Some(Candidate {
            rule,
            whole_start: text.spans[start].start,
            secret: text.raw(secret.clone()),
            anchor: text.spans[start].start,
            text: text.bytes[secret.clone()].to_vec(),
            haystack: haystack.clone(),
            inside,
            open: cut && outer.is_none() && whole.end == end && secret.end == end && has_tail(),
        })
    }

    /// Where in `secret` of `text`, which is seen up to `end`, a string ends that
    /// began before; see [`super::delimiter::outer_end`].
    fn outer_end(&self, text: &Text, secret: Range<usize>, end: usize, names: bool) -> Option<usize> {
        let meaning = |at: usize| self.document.meaning_at(text.spans[at].start);
        let mut open = BTreeSet::new();
        for at in secret {
            let Some(Meaning::Quote(level)) = meaning(at) else { continue };
            let is_space = |at: usize| matches!(meaning(at), Some(Meaning::Byte(b' ' | b'\t' | b'\n' | b'\r')));
            let next = (at + 1..end).find(|&next| !is_space(next));
            let ends = match next.map(|next| (text.bytes[next], meaning(next))) {
                None | Some((b',' | b'}' | b']', _)) => true,
                Some((_, Some(Meaning::Quote(around)))) => around < level,
                Some((next, _)) => names && next == b':',
            };
            if open.remove(&level) {
                continue;
            }
            if ends {
                return Some(at);
            }
            open.insert(level);
        }
        None
    }

    /// Whether a string ends right before `start`, by what follows; see
    /// [`super::delimiter::goes_on_behind`].
    fn goes_on_behind(&self, text: &Text, start: usize, end: usize) -> bool {
        let raw = self.document.raw;
        if text.spans[start].start.checked_sub(1).is_none_or(|at| raw[at] != b'"') {
            return false;
        }
        let is_space = |at: &usize| matches!(text.bytes[*at], b' ' | b'\t' | b'\n' | b'\r');
        let mut next = (start..end).filter(|at| !is_space(at));
        let Some(sign) = next.next() else { return false };
        let behind = next.next();
        let is_quote = |at: usize| matches!(self.document.meaning_at(text.spans[at].start), Some(Meaning::Quote(_)));
        let rest = behind.map_or(&[][..], |at| &text.bytes[at..end]);
        match text.bytes[sign] {
            b':' | b',' => {
                let word = |word: &[u8]| {
                    let (first, more) = word.split_at(1);
                    rest.starts_with(first) && behind.is_some_and(|at| raw[text.spans[at].end..].starts_with(more))
                };
                behind.is_some_and(is_quote)
                    || matches!(rest, [b'0'..=b'9' | b'-' | b'{' | b'[', ..])
                    || [&b"true"[..], b"false", b"null"].into_iter().any(word)
            }
            b'}' | b']' => behind.is_none_or(is_quote) || matches!(rest, [b',' | b'}' | b']', ..]),
            _ => false,
        }
    }

    /// How much of `text` is seen when the raw bytes are cut at `limit`: no
    /// unit that the cut might make another one.
    fn seen(&self, text: &Text, start: usize, limit: usize) -> usize {
        let raw = &self.document.raw[..limit];
        let whole = |span: &Range<usize>| whole_unit(raw, span.start, false).is_some();
        start + text.spans[start..].iter().take_while(|span| span.start < limit && whole(span)).count()
    }

    /// A detector at every place that can be its anchor.
    fn try_detector(&mut self, detector: Detector, rule: usize, text: &Text, haystack: &Range<usize>, inside: bool) {
        for anchor in (0..text.bytes.len()).filter(|&at| is_anchor(detector, &text.bytes, at)) {
            let Some(found) = detector::confirm(detector, &text.bytes, anchor) else { continue };
            let secret = text.raw(found.clone());
            let closing = anchor.checked_sub(1).map(|at| text.spans[at].start);
            if detector == Detector::Email && !quotes_agree(self.document.raw, secret.start, closing) {
                continue;
            }
            self.candidates.push(Candidate {
                rule,
                whole_start: secret.start,
                secret,
                anchor: text.raw(anchor..anchor + 1).start,
                text: text.bytes[found].to_vec(),
                haystack: haystack.clone(),
                inside,
                open: false,
            });
        }
    }

    /// Whether validator, paths and exceptions of a rule let a value be a finding.
    fn is_valid(&self, rule: usize, value: &Value<'_>) -> bool {
        let mut checks = Checks::new(self.engine, self.document.format);
        checks.set_protections(self.protections, self.document.format);
        checks.accepts(self.engine, rule, (self.document.raw, 0), self.outer, value)
    }

    /// Where the match of a candidate begins, with the keyword that belongs to it,
    /// if it is a finding.
    fn begin_of(&self, candidate: &Candidate) -> Option<usize> {
        let begins = self.keyword(candidate.rule, candidate.whole_start)?;
        if !self.engine.counts(candidate.rule, begins, candidate.haystack.start..candidate.whole_start) {
            return None;
        }
        let (range, begins_at) = (candidate.secret.clone(), candidate.whole_start);
        let value = Value { text: Some(&candidate.text), range, begins: begins_at };
        self.is_valid(candidate.rule, &value).then_some(begins)
    }

    /// Where the nearest of a rule's keywords begins that stands near before
    /// `place`, if it has any.
    fn keyword(&self, rule: usize, place: usize) -> Option<usize> {
        let known = &self.engine.ruleset().rules[rule];
        let other = known.unless.iter().filter_map(|word| self.nearest(word, UNLESS, place));
        let other = other.max_by_key(|span| (span.end, span.start));
        if other.is_some_and(|span| !self.document.raw[span.end..place].iter().any(u8::is_ascii_alphanumeric)) {
            return None;
        }
        if known.keywords.is_empty() {
            return Some(place);
        }
        let nearest = known.keywords.iter().filter_map(|word| self.nearest(word, known.proximity, place));
        let nearest = nearest.max_by_key(|span| (span.end, span.start)).map(|span| span.start);
        nearest.or_else(|| self.outer?.is_near(rule, place).then_some(place))
    }

    /// Where `keyword` stands as a word of its own at most `proximity` bytes
    /// before `place`, as near as can be.
    fn nearest(&self, keyword: &str, proximity: usize, place: usize) -> Option<Range<usize>> {
        let keyword = keyword.to_ascii_lowercase().into_bytes();
        // Room for the keyword itself, escaped.
        let from = place.saturating_sub(proximity + keyword.len() * 12);
        let units = &self.document.units;
        let (first, last) = (units.partition_point(|&(at, _)| at < from), units.partition_point(|&(at, _)| at < place));
        let spans = (first..last).flat_map(|index| {
            // With one unit before and after, to see whether it is a word.
            let after = &units[index + 1..units.len().min(index + keyword.len() + 1)];
            let around = Text::of(&[&units[index.saturating_sub(1)..=index], after].concat());
            let start = around.spans.partition_point(|span| span.start < units[index].0);
            let letter = self.document.unclear_letter(index).and_then(|letter| {
                let mut text = Text::default();
                text.push(self.document.raw[letter], letter..letter + 1);
                text.extend(Text::of(after));
                reads(&keyword, &text, 0)
            });
            [reads(&keyword, &around, start), letter]
        });
        let near = |span: &Range<usize>| {
            span.end <= place
                && place - span.end <= proximity
                && self.engine.vocabulary.labels.end_around(self.document.raw, span.start).is_none()
        };
        spans.flatten().filter(near).max_by_key(|span| (span.end, span.start))
    }

    /// Lets regions and matches settle who stays.
    fn resolve(mut self, opened: &[Opened]) -> Log {
        let mut resolver = Resolver::default();
        let mut out = Vec::new();
        let mut log = Vec::new();
        let candidates = std::mem::take(&mut self.candidates);
        let mut matches: Vec<Match> =
            candidates.iter().filter_map(|candidate| self.judge(candidate, &mut log)).collect();
        matches.extend(opened.iter().filter_map(|opened| self.judge_encoded(opened)));
        matches.extend(self.folded.iter().filter_map(|folded| self.judge_folded(folded)));
        matches.sort_by_key(|found| found.start);
        let mut rest = &matches[..];
        let mut kept = Vec::new();
        for region in &self.regions {
            let (before, after) = rest.split_at(rest.partition_point(|found| found.start < region.span.start as u64));
            rest = after;
            before.iter().for_each(|found| resolver.add(*found));
            resolver.region(region.span.start as u64, &mut kept);
            out.extend(kept.drain(..).map(Finding::from));
            let span = Span::new(region.span.start as u64, region.span.end as u64);
            out.push(Finding { span, rule: region.rule, wrap: region.wrap, part: Part::Whole });
            log.push(Begun { begins: region.begins as u64, secret: span, rule: region.rule });
            resolver.pass(span.end);
        }
        rest.iter().for_each(|found| resolver.add(*found));
        resolver.settle(u64::MAX, &mut kept);
        out.extend(kept.drain(..).map(Finding::from));
        (out, log)
    }

    /// The match that a candidate is, if it is one.
    fn judge(&self, candidate: &Candidate, log: &mut Vec<Begun>) -> Option<Match> {
        let covered = |at: usize| self.regions.iter().any(|region| region.span.contains(&at));
        if candidate.open || covered(candidate.whole_start) || covered(candidate.secret.start) {
            return None;
        }
        // What is seen only behind the start of a region is not followed to
        // before that.
        let behind =
            |region: &Region| region.span.start <= candidate.anchor && candidate.secret.start < region.span.end;
        if self.regions.iter().any(behind) {
            return None;
        }
        let begins = self.begin_of(candidate)? as u64;
        let found = self.matched(candidate.rule, &candidate.secret, &candidate.haystack, candidate.inside)?;
        let secret = Span::new(candidate.secret.start as u64, candidate.secret.end as u64);
        log.push(Begun { begins, secret, rule: candidate.rule });
        Some(found)
    }

    /// The same of what a second reading found.
    fn judge_folded(&self, folded: &Folded) -> Option<Match> {
        let rest = self.rest_of(folded).filter(|_| !folded.is_head)?;
        self.matched(folded.rule, &rest, &folded.haystack, folded.inside)
    }

    fn matched(&self, rule: usize, secret: &Range<usize>, haystack: &Range<usize>, inside: bool) -> Option<Match> {
        let known = &self.engine.ruleset().rules[rule];
        let range = whole_characters(self.document.raw, haystack, secret.clone());
        let place = Place {
            raw: self.document.raw,
            format: self.document.format,
            bounds: (haystack.start, haystack.end),
            inside,
            behind_quote: false,
            context: &Context::at_start(),
        };
        let wrap = number::wrap(place, &range, Numbers::of(known), &mut Window::default())?;
        let (start, end) = (range.start as u64, range.end as u64);
        Some(Match { start, end, rule, priority: known.priority, wrap, ahead: false })
    }
}

/// The raw bytes of `keyword` if it is at `start` of `text`, as a word.
fn reads(keyword: &[u8], text: &Text, start: usize) -> Option<Range<usize>> {
    let range = start..start + keyword.len();
    let found = text.bytes.get(range.clone())?.eq_ignore_ascii_case(keyword) && is_word(&text.bytes, range.clone());
    found.then(|| text.raw(range))
}

/// Whether a detector is asked about the byte at `at`. For phone numbers with
/// `00`: that begin a run of four digits or more.
fn is_anchor(detector: Detector, text: &[u8], at: usize) -> bool {
    let digits = || text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let in_run = || at.checked_sub(1).is_some_and(|before| text[before].is_ascii_digit());
    match detector {
        Detector::Email => text[at] == b'@',
        Detector::PhoneInternational => {
            text[at] == b'+' || (text[at..].starts_with(b"00") && !in_run() && digits() >= 4)
        }
        Detector::PhoneNanp | Detector::PhoneNational | Detector::UsSsn | Detector::Card => text[at].is_ascii_digit(),
        Detector::Iban => text[at].is_ascii_uppercase(),
        Detector::PrivateKey => false,
        Detector::IpAddress | Detector::MacAddress => matches!(text[at], b'.' | b':' | b'-'),
    }
}

/// `range`, widened so that it cuts no UTF-8 character in two. Bytes that go on
/// nothing stay.
fn whole_characters(raw: &[u8], haystack: &Range<usize>, mut range: Range<usize>) -> Range<usize> {
    let continues = |at: usize| haystack.contains(&at) && raw[at] & 0xc0 == 0x80;
    let back = (0..3).take_while(|&by| range.start - by > haystack.start && continues(range.start - by)).count();
    if raw.get(range.start - back).is_some_and(|&byte| byte >= 0xc0) {
        range.start -= back;
    }
    range.end += (0..3).take_while(|&by| continues(range.end + by)).count();
    range
}
