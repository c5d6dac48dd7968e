//! One rule's regular expression, run anchored over units.
//!
//! The automaton takes decoded bytes one by one, straight from the raw ones:
//! text without escapes is never copied to be matched, and an escape costs
//! its own decoding only. It stops at the first byte after which no match is
//! possible, so a candidate that is none costs a few bytes.

use super::delimiter::{goes_on_behind, outer_end};
use super::follow;
use super::key::whole_unit;
use super::literal::{self, Needed};
use super::token::Opening;
use super::trail::{RunEnd, Trail, next_mark};
use super::unit::unit;
use super::window::Window;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::start;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Class, Hir, HirKind};
use std::ops::Range;
use std::sync::OnceLock;

/// Why a pattern without a literal is refused, and what to do about it.
pub(super) const LACKS_TEXT: &str = r"the pattern needs a fixed text of at least 3 characters near its start; give it its context, such as 'order=(?P<secret>\d{6,12})'";

/// A compiled pattern.
pub(crate) struct Pattern {
    source: String,
    /// Made at the first candidate, since most rules never meet one. Its states
    /// come to be as text needs them, in the caller's [`Cache`]: counted
    /// repetitions would need millions of states built ahead.
    automaton: OnceLock<Option<DFA>>,
    /// Whether a `secret` group tells what of a match is redacted.
    has_group: bool,
    /// Finds where that group begins, mostly; made when first asked for.
    lead: OnceLock<Option<Lead>>,
    /// Finds that group always; made when first asked for.
    groups: OnceLock<Option<Regex>>,
    /// The class whose repetition ends the pattern without a limit.
    tail: Option<Box<[bool; 256]>>,
    /// Literals of which every match holds one.
    pub(crate) needed: Option<Vec<Needed>>,
    /// Bytes that a match can begin with.
    first: Box<[bool; 256]>,
    /// Where every match begins with a run that [`super::shape::TOKEN`] sees, and with one
    /// of the literals: that run, and further bytes of its kind.
    pub(super) token: Option<Opening>,
}

/// The group that is redacted, where a pattern has it.
pub(crate) const SECRET_GROUP: &str = "secret";

/// Bytes that the states of one pattern may take; when full they are dropped
/// and built anew.
const CACHE: usize = 1 << 20;

/// A match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// What is redacted, as raw bytes.
    pub(crate) secret: Range<usize>,
    /// Where its text stands in the window, unless it is the raw bytes as they are.
    text: Option<Range<usize>>,
    /// The match goes up to where the data was cut, and its tail may go on.
    pub(crate) open: bool,
}

impl Extent {
    /// A secret from `found.start` to `behind` bytes of text before `found.end`.
    fn of(raw: &[u8], found: Range<usize>, behind: usize, open: bool, window: &mut Window) -> Self {
        let open = open && behind == 0;
        if window.is_plain(raw, found.clone()) {
            return Self { secret: found.start..found.end.saturating_sub(behind).max(found.start), text: None, open };
        }
        let text = window.text_of(raw, found);
        let text = text.start..text.end.saturating_sub(behind).max(text.start);
        Self { secret: window.raw_range(text.clone()), text: Some(text), open }
    }

    /// The same, up to where a string ends in it that is none of its own, see
    /// [`outer_end`]; `None` when nothing is left, or one has ended before.
    fn within_string(mut self, raw: &[u8], names: bool, whole: bool, window: &Window) -> Option<Self> {
        if goes_on_behind(raw, self.secret.start, whole) {
            return None;
        }
        if self.text.is_none() && memchr::memchr(b'"', &raw[self.secret.clone()]).is_none() {
            return Some(self);
        }
        let Some(end) = outer_end(raw, self.secret.clone(), names, whole) else { return Some(self) };
        self.secret.end = end;
        self.open = false;
        if let Some(text) = &mut self.text {
            text.end = window.index_of(end)?.max(text.start);
        }
        (!self.secret.is_empty()).then_some(self)
    }

    /// What the secret means.
    pub(crate) fn text<'a>(&self, raw: &'a [u8], window: &'a Window) -> &'a [u8] {
        match &self.text {
            Some(range) => &window.text()[range.clone()],
            None => &raw[self.secret.clone()],
        }
    }
}

/// What of a pattern stands before its group. Where it matches up to one place
/// only at which the group can begin, the group begins there: the automaton tells in a few steps what a
/// search for groups takes a thousand times as long for.
struct Lead {
    automaton: DFA,
    /// The bytes that the group and what follows can begin with.
    first: Box<[bool; 256]>,
    /// The bytes that stand behind the group, in each match as many.
    behind: usize,
}

/// The lazily built states of a pattern's automata.
#[derive(Debug, Default)]
pub(crate) struct Caches {
    pub(super) whole: Option<Cache>,
    pub(super) lead: Option<Cache>,
}

/// Working memory of a match.
pub(crate) struct Memory<'a> {
    /// The pattern's own; made at their first use.
    pub(crate) caches: &'a mut Caches,
    /// Gets the decoded text.
    pub(crate) window: &'a mut Window,
    /// The pattern's own.
    pub(super) trail: &'a mut Trail,
    /// A number of its own for every scan.
    pub(super) scan: u64,
}

/// An automaton on its way over raw bytes.
struct Run {
    at: usize,
    state: LazyStateID,
    /// The end of the last match seen.
    found: Option<usize>,
}

impl Run {
    /// Steps over the units that begin before `end`, or up to one that is cut
    /// in two. Whether a match may go on; `None` when the automaton gives up.
    #[inline]
    fn step_to(&mut self, automaton: &DFA, cache: &mut Cache, raw: &[u8], end: usize, cut: bool) -> Option<bool> {
        let mut buffer = [0; 4];
        while self.at < end {
            let plain = [raw[self.at]];
            let (text, len): (&[u8], usize) = if matches!(plain[0], b'\\' | b'%') {
                let Some(unit) = whole_unit(raw, self.at, !cut) else { break };
                (unit.bytes(&mut buffer), unit.len)
            } else {
                (&plain, 1)
            };
            for (index, &byte) in text.iter().enumerate() {
                self.state = automaton.next_state(cache, self.state, byte).ok()?;
                if self.state.is_tagged() {
                    // The automaton says a match one byte after its end. One that ends
                    // within a character has all of it.
                    if self.state.is_match() {
                        self.found = Some(if index == 0 { self.at } else { self.at + len });
                    } else if self.state.is_dead() || self.state.is_quit() {
                        return Some(false);
                    }
                }
            }
            self.at += len;
        }
        Some(true)
    }
}

impl Pattern {
    /// Compiles `source`.
    ///
    /// # Errors
    /// What is wrong with it, for the author of the rule.
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        let hir = parse(source)?;
        let automaton = automaton(&hir, MatchKind::LeftmostFirst)?;
        let pairs = || literal::pairs(&hir).filter(|pairs| Opening::of(&hir, pairs).is_some());
        let needed = literal::needed(&hir).or_else(pairs).map(|mut needed| {
            needed.iter_mut().for_each(|one| one.follow = follow::follow(automaton.get_nfa(), one));
            needed
        });
        let token = needed.as_ref().and_then(|needed| Opening::of(&hir, needed));
        Ok(Self {
            source: source.to_owned(),
            automaton: OnceLock::new(),
            has_group: source.contains(&format!("<{SECRET_GROUP}>")),
            lead: OnceLock::new(),
            groups: OnceLock::new(),
            tail: tail(&hir),
            needed,
            first: literal::first_bytes(&hir),
            token,
        })
    }

    /// Gives back the memory of what was made for the text seen so far.
    pub(super) fn cool(&mut self) {
        self.automaton.take();
        self.lead.take();
        self.groups.take();
    }

    /// The automaton; `None` cannot be, since it was made once before.
    fn automaton(&self) -> Option<&DFA> {
        self.automaton.get_or_init(|| automaton(&parse(&self.source).ok()?, MatchKind::LeftmostFirst).ok()).as_ref()
    }

    /// Whether every match begins with one of the required literals.
    pub(crate) fn starts_with_literal(&self) -> bool {
        self.needed.as_ref().is_some_and(|needed| needed.iter().all(|literal| literal.offset == (0, 0)))
    }

    /// The match that begins with the unit at `range.start` of `raw`, behind
    /// the decoded byte `before`. Where escapes stand in its secret, the text
    /// goes into the window.
    /// `cut` tells that `range.end` is no real end of the text; `wanted`
    /// is asked about its raw end before anything is decoded.
    pub(crate) fn match_at(
        &self,
        raw: &[u8],
        range: Range<usize>,
        before: Option<u8>,
        cut: bool,
        memory: &mut Memory<'_>,
        wanted: impl FnOnce(usize) -> bool,
    ) -> Option<Extent> {
        let (end, reached) = self.run(raw, range.clone(), before, cut, memory)?;
        if !wanted(end) {
            return None;
        }
        let open = cut && reached && self.tail.is_some();
        let extent = self.extent(raw, range.clone(), (end, reached), before, open, memory)?;
        extent.within_string(&raw[..range.end], self.has_group, !cut, memory.window)
    }

    /// What of a match up to `end` is redacted; `reached` tells whether that is the
    /// end of what can be seen.
    fn extent(
        &self,
        raw: &[u8],
        range: Range<usize>,
        (end, reached): (usize, bool),
        before: Option<u8>,
        open: bool,
        memory: &mut Memory<'_>,
    ) -> Option<Extent> {
        if !self.has_group {
            return Some(Extent::of(raw, range.start..end, 0, open, memory.window));
        }
        if let Some((begin, behind)) = self.begin_of_group(raw, range.start..end, before, memory) {
            return Some(Extent::of(raw, begin..end, behind, open, memory.window));
        }
        let window = &mut *memory.window;
        window.clear();
        if let Some(byte) = before {
            window.push_byte(byte, range.start, range.start);
        }
        let first = window.text().len();
        let at = window.push_units(&raw[..range.end], range.start..end);
        let last = window.text().len();
        if at < range.end && !reached {
            // Shown to the groups, since a `\b` may end the pattern.
            window.push_unit(&raw[..range.end], at);
        }
        let text = self.secret(window.text(), first)?;
        let secret = window.raw_range(text.clone());
        let open = open && text.end == last;
        Some(Extent { secret, text: Some(text), open })
    }

    /// Where the group of a match begins, if it can at one place only, and how
    /// many bytes of text stand behind it.
    fn begin_of_group(
        &self,
        raw: &[u8],
        found: Range<usize>,
        before: Option<u8>,
        memory: &mut Memory<'_>,
    ) -> Option<(usize, usize)> {
        let lead = self.lead.get_or_init(|| lead(&parse(&self.source).ok()?)).as_ref()?;
        let cache = memory.caches.lead.get_or_insert_with(|| lead.automaton.create_cache());
        let config = start::Config::new().anchored(Anchored::Yes).look_behind(before);
        let mut state = lead.automaton.start_state(cache, &config).ok()?;
        let (mut at, mut begin, mut buffer) = (found.start, None, [0; 4]);
        while at < found.end && !state.is_dead() {
            let unit = unit(&raw[..found.end], at);
            for (index, &byte) in unit.bytes(&mut buffer).iter().enumerate() {
                state = lead.automaton.next_state(cache, state, byte).ok()?;
                // The automaton says a match one byte after its end.
                let ends = state.is_match() && lead.first[usize::from(byte)];
                if state.is_quit() || ends && (index > 0 || begin.replace(at).is_some()) {
                    return None;
                }
            }
            at += unit.len;
        }
        begin.map(|begin| (begin, lead.behind))
    }

    /// Steps over the units; the raw end of the match, and whether that is the
    /// end of what can be seen. An escape that is cut in two cannot.
    fn run(
        &self,
        raw: &[u8],
        range: Range<usize>,
        before: Option<u8>,
        cut: bool,
        memory: &mut Memory<'_>,
    ) -> Option<(usize, bool)> {
        let automaton = self.automaton()?;
        let cache = memory.caches.whole.get_or_insert_with(|| automaton.create_cache());
        memory.trail.begin(memory.scan, cache);
        let config = start::Config::new().anchored(Anchored::Yes).look_behind(before);
        let state = automaton.start_state(cache, &config).ok()?;
        let mut run = Run { at: range.start, state, found: None };
        let raw = &raw[..range.end];
        let mut mark = Trail::first_mark(range.start);
        let mut marked = false;
        let alive = loop {
            let end = raw.len().min(mark);
            if !run.step_to(automaton, cache, raw, end, cut)? {
                break false;
            }
            if run.at < mark {
                break true;
            }
            mark = next_mark(run.at + 1);
            match memory.trail.pass(run.at, run.state, cache) {
                // Never beyond what this run may see.
                Some(known) if known.at <= raw.len() => {
                    run.found = known.found.filter(|&end| end >= run.at).or(run.found);
                    run.at = known.at;
                    match known.state {
                        Some(state) => run.state = state,
                        None => break false,
                    }
                    mark = next_mark(run.at + 1);
                }
                Some(_) => {}
                None => marked = true,
            }
        };
        if marked {
            memory.trail.finish(RunEnd { at: run.at, state: alive.then_some(run.state), found: run.found });
        }
        if !alive {
            return run.found.map(|end| (end, false));
        }
        let state = automaton.next_eoi_state(cache, run.state).ok()?;
        let found = if state.is_match() { Some(run.at) } else { run.found };
        found.map(|end| (end, end == run.at))
    }

    /// The group of the match that begins at `first`.
    fn secret(&self, text: &[u8], first: usize) -> Option<Range<usize>> {
        let groups = self.groups.get_or_init(|| matcher(&parse(&self.source).ok()?).ok()).as_ref()?;
        let mut captures = groups.create_captures();
        let input = Input::new(text).span(first..text.len()).anchored(Anchored::Yes);
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

/// Parses a pattern over bytes. Repetitions of one class for [`ENDLESS`] times
/// and more have no limit: nothing is matched beyond the look-ahead anyway, and
/// an automaton that need not count has few states.
///
/// # Errors
/// What is wrong with it, for the author of the rule.
pub(super) fn parse(source: &str) -> Result<Hir, String> {
    let hir = regex_syntax::ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .build()
        .parse(source)
        .map_err(|error| error.to_string())?;
    Ok(widen(&hir))
}

/// Limits from here on count as none.
const ENDLESS: u32 = 256;

fn widen(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            let mut repetition = repetition.clone();
            if repetition.max >= Some(ENDLESS) && class(&repetition.sub).is_some() {
                repetition.max = None;
            }
            repetition.sub = Box::new(widen(&repetition.sub));
            Hir::repetition(repetition)
        }
        HirKind::Capture(group) => {
            let mut group = group.clone();
            group.sub = Box::new(widen(&group.sub));
            Hir::capture(group)
        }
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(widen).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(widen).collect()),
        _ => hir.clone(),
    }
}

/// What stands before the group of a pattern that is a plain sequence.
fn lead(hir: &Hir) -> Option<Lead> {
    let HirKind::Concat(parts) = hir.kind() else { return None };
    let is_group =
        |part: &Hir| matches!(part.kind(), HirKind::Capture(group) if group.name.as_deref() == Some(SECRET_GROUP));
    let group = parts.iter().position(is_group)?;
    let behind = Hir::concat(parts[group + 1..].to_vec());
    let behind = behind.properties().minimum_len().filter(|&least| behind.properties().maximum_len() == Some(least))?;
    let automaton = automaton(&Hir::concat(parts[..group].to_vec()), MatchKind::All).ok()?;
    let first = literal::first_bytes(&Hir::concat(parts[group..].to_vec()));
    Some(Lead { automaton, first, behind })
}

fn automaton(hir: &Hir, kind: MatchKind) -> Result<DFA, String> {
    let nfa = thompson::Compiler::new()
        .configure(thompson::Config::new().utf8(false).which_captures(WhichCaptures::None))
        .build_from_hir(hir)
        .map_err(|_| "the pattern is too complex; make its repetitions smaller".to_owned())?;
    let config = DFA::config().match_kind(kind);
    DFA::builder()
        .configure(config.cache_capacity(CACHE).skip_cache_capacity_check(true))
        .build_from_nfa(nfa)
        .map_err(|error| error.to_string())
}

/// A regular expression for all of a pattern, which knows its groups.
pub(super) fn matcher(hir: &Hir) -> Result<Regex, String> {
    Regex::builder()
        .configure(Regex::config().utf8_empty(false).match_kind(MatchKind::LeftmostFirst))
        .build_from_hir(hir)
        .map_err(|error| error.to_string())
}

/// The class of a last, unlimited repetition.
fn tail(hir: &Hir) -> Option<Box<[bool; 256]>> {
    match hir.kind() {
        HirKind::Concat(parts) => match parts.as_slice() {
            // As `[!-~]{2,}[0-9A-Za-z]`: no value is that long for its last byte
            // to matter.
            [.., before, last] => tail(last).or_else(|| {
                let (tail, last) = (tail(before)?, class(last)?);
                last.iter().zip(tail.iter()).all(|(&last, &tail)| tail || !last).then_some(tail)
            }),
            [last] => tail(last),
            [] => None,
        },
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

    fn memory<'a>(caches: &'a mut Caches, window: &'a mut Window, trail: &'a mut Trail) -> Memory<'a> {
        Memory { caches, window, trail, scan: 0 }
    }

    fn matched(pattern: &str, raw: &str) -> Option<String> {
        let pattern = Pattern::compile(pattern).unwrap();
        let mut window = Window::default();
        let extent = pattern.match_at(
            raw.as_bytes(),
            0..raw.len(),
            None,
            false,
            &mut memory(&mut Caches::default(), &mut window, &mut Trail::default()),
            |_| true,
        )?;
        Some(raw[extent.secret].to_owned())
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
    fn the_group_is_found_alike_by_its_lead_and_by_a_search() {
        for (pattern, raw, led) in [
            (
                r#"(?i)token["']?[ \t]{0,4}(?:=>|:=|=|:)[ \t]{0,4}["']?(?P<secret>[a-z0-9=]{4,})"#,
                r#"token\" => \"a=b0c\" x"#,
                true,
            ),
            (r#"token["']?:[ ]?["'](?P<secret>[^"']{4,})["']"#, r#"token\":\"a\u0041bcd\u0022 x"#, true),
            (r#"token["']?:[ ]?["'](?P<secret>[^"']{4,})["']"#, r#"token":"abcd" x"#, true),
            // The lead may end at several places, or the group is no part of a sequence.
            (r"token[=a]{1,4}(?P<secret>[a-z]{4,})", "token=aabbbb x", false),
            (r"token=(?:a(?P<secret>[a-z]{4,})|b[a-z]{4,})", "token=abbbb x", false),
            (r"token=(?P<secret>[a-z]{4,})(?:;|;;)", "token=abbbb;; x", false),
            (r"token[^a-z]{1,3}(?P<secret>[a-z]{4,})", r"token=\u00e9abcd x", true),
        ] {
            let compiled = Pattern::compile(pattern).unwrap();
            let mut window = Window::default();
            window.decode(raw.as_bytes(), 0..raw.len());
            let group = compiled.secret(window.text(), 0).unwrap();
            let (range, text) = (window.raw_range(group.clone()), window.text()[group].to_vec());
            let (mut caches, mut trail) = (Caches::default(), Trail::default());
            let one = &mut memory(&mut caches, &mut window, &mut trail);
            let extent = compiled.match_at(raw.as_bytes(), 0..raw.len(), None, false, one, |_| true).unwrap();
            assert_eq!(extent.secret, range, "{pattern}");
            assert_eq!(extent.text(raw.as_bytes(), &window), text, "{pattern}");
            let memory = &mut memory(&mut caches, &mut window, &mut trail);
            let begins = compiled.begin_of_group(raw.as_bytes(), 0..raw.len(), None, memory);
            assert_eq!(begins.is_some(), led, "{pattern}");
        }
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
                    &mut memory(&mut Caches::default(), &mut window, &mut Trail::default()),
                    |_| true,
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
    fn a_long_repetition_before_one_of_its_bytes_is_a_tail() {
        let has_tail = |pattern: &str| Pattern::compile(pattern).unwrap().tail_takes(b'q');
        assert!(has_tail(r"tok_[a-z.]{2,300}[a-z]"));
        assert!(has_tail(r"tok_(?P<secret>[a-z.]{2,}[a-z])"));
        assert!(!has_tail(r"tok_[a-z.]{2,200}[a-z]"));
        assert!(!has_tail(r"tok_[a-z.]{2,300}[a-z=]"));
        assert!(!has_tail(r"tok_[a-z.]{2,300}[a-z]{2}"));
    }

    #[test]
    fn an_escape_that_is_cut_in_two_does_not_end_a_match() {
        let pattern = Pattern::compile(r"\btok_[a-z]{2,}").unwrap();
        let mut window = Window::default();
        for raw in [r"tok_abc\u006", r"tok_abc\\\", "tok_abc%7"] {
            let (mut caches, mut trail) = (Caches::default(), Trail::default());
            let memory = &mut memory(&mut caches, &mut window, &mut trail);
            let extent = pattern.match_at(raw.as_bytes(), 0..raw.len(), None, true, memory, |_| true).unwrap();
            assert_eq!((extent.secret, extent.open), (0..7, true), "{raw}");
        }
    }

    #[test]
    fn a_match_that_ends_within_an_escaped_character_has_all_of_it() {
        let pattern = Pattern::compile(r"\btok_[^ ]{2,4}").unwrap();
        let mut window = Window::default();
        for (raw, end) in [(r"tok_abc\ufe0fx", 13), (r"tok_ab\ufe0fx", 12), (r"tok_abcd\ufe0fx", 8)] {
            let (mut caches, mut trail) = (Caches::default(), Trail::default());
            let memory = &mut memory(&mut caches, &mut window, &mut trail);
            let extent = pattern.match_at(raw.as_bytes(), 0..raw.len(), None, false, memory, |_| true).unwrap();
            assert_eq!(extent.secret, 0..end, "{raw}");
        }
    }

    #[test]
    fn a_run_that_meets_the_trail_of_another_ends_alike() {
        let (raw, starts) = ("ab-".repeat(500), (0..1500).step_by(3));
        for (source, tail) in [
            (r"\bab-[a-z-]{10,1000}\.[a-z]{3}", ""),
            (r"\bab-[a-z-]{10,1000}\.[a-z]{3}", ".abc d"),
            (r"\bab-[a-z-]{3,700}", ""),
            (r"\bab-[a-z-]{3,}", "x y"),
        ] {
            let raw = format!("{raw}{tail}");
            let pattern = Pattern::compile(source).unwrap();
            let (mut caches, mut window, mut trail) = (Caches::default(), Window::default(), Trail::default());
            for start in starts.clone() {
                let to = raw.len().min(start + 1200);
                let mut found = |trail: &mut Trail| {
                    let memory = &mut memory(&mut caches, &mut window, trail);
                    pattern.match_at(raw.as_bytes(), start..to, Some(b'-'), to < raw.len(), memory, |_| true)
                };
                let alone = found(&mut Trail::default());
                assert_eq!(found(&mut trail), alone, "{source} at {start}");
            }
        }
    }

    #[test]
    fn only_what_repeats_at_the_very_end_is_a_tail() {
        let takes = |pattern: &str| Pattern::compile(pattern).unwrap().tail_takes(b'q');
        assert!(takes("ab[a-z]+") && takes("ab[a-z]+-[a-z]{2,}"));
        assert!(takes("ab[a-z]{2,300}"));
        assert!(!takes("ab[a-z]+7") && !takes("ab[a-z]{2,9}"));
    }
}
