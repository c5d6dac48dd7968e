//! The streaming scanner: candidates, confirmation, regions, settled findings.
//!
//! The caller keeps a window of the body and calls [`Scanner::scan`] with it
//! again and again as it grows at its end:
//!
//! ```text
//! origin        settled            horizon           end of data
//!   |  context     |  may still change  |  not judged yet  |
//! ```
//!
//! Everything before `settled` is final and may be released; everything
//! before `origin` is not needed any more.

use super::again::{Begun, Outer};
use super::around;
use super::check::{Checks, Value, Verdict};
use super::detector::private_key;
use super::engine::{Engine, PatternUse};
use super::finding::{Finding, Part, ScanError};
use super::horizon::Horizon;
use super::key::End;
use super::late;
use super::meter::{Meter, Unmetered, Work};
use super::mode::{Last, Mode};
use super::nearby::Context;
use super::number::{self, Numbers, Place};
use super::packed;
use super::pattern::Memory;
use super::place::{self, Before, Bounds};
use super::protect::REACH;
use super::region::Region;
use super::resolve::{Match, Resolver, Wrap};
use super::shape::{self, Lexical};
use super::trigger::{self, Popped, Trigger, Triggers, What};
use super::typed;
use super::unit::unit;
use super::walk::Walk;
use super::workspace::Workspace;
use super::written::Written;
use super::zipped;
use super::{Format, LOOKAHEAD, LOOKBACK};
use crate::rule::{Detector, Rule};
use crate::span::Span;
use std::ops::Range;
use std::sync::Arc;

mod embedded;
mod encoded;
mod folded;
mod keyword;
mod name;
mod protected;
mod value;
use encoded::Encoded;
use folded::Second;

/// Scans one body.
pub struct Scanner<M = Unmetered> {
    engine: Arc<Engine>,
    format: Format,
    /// Where the data of the next scan begins.
    origin: u64,
    /// The lexical state there.
    lexical: Lexical,
    /// A top-level quote stands right before it.
    behind_quote: bool,
    /// Triggers up to here have been judged.
    judged: u64,
    /// The last scan stopped early: see [`Scanner::is_behind`].
    behind: bool,
    /// No further match can begin before this.
    known: u64,
    /// Matches that begin before this are part of something judged before.
    resume: u64,
    mode: Mode,
    /// What was left for another: walks over arrays, for what one of their values holds,
    /// and looks for a name behind a value, for the walk from a name before it.
    outer: Vec<Mode>,
    /// The last match of a pattern.
    last: Option<Last>,
    resolver: Resolver,
    /// By rule index: findings that change nothing, see [`Scanner::set_quiet`].
    quiet: Arc<[bool]>,
    /// Resolves those among themselves.
    quiet_resolver: Resolver,
    kept: Vec<Match>,
    /// What stands before `origin`.
    context: Context,
    checks: Checks,
    /// For second readings; `None` in one.
    second: Option<Second>,
    /// For texts in base64; `None` where no rule looks at them.
    encoded: Option<Encoded>,
    /// Where JSON in base64 begins: see [`Scanner::take_embedded`].
    embedded: Vec<u64>,
    /// Where text in zlib or zstd may begin: see [`Scanner::take_packed`].
    packed: Vec<u64>,
    /// Where names of bytes end: see [`Scanner::take_bytes`].
    bytes: Vec<u64>,
    is_zipped: bool,
    /// In a second reading: what was accepted.
    log: Option<Vec<Begun>>,
    /// Such a reading failed.
    failed: Option<ScanError>,
    meter: M,
}

/// Arrays within arrays that are followed at most, each in a document of its own.
const DEEPEST: usize = 8;

/// The data of one scan.
#[derive(Clone, Copy)]
struct Data<'a> {
    engine: &'a Engine,
    raw: &'a [u8],
    /// Nothing follows.
    last: bool,
    /// What is around it, where it is a text that is read a second time.
    outer: Option<&'a dyn Outer>,
}

impl Scanner {
    /// A scanner at the first byte of a body.
    pub fn new(engine: Arc<Engine>, format: Format) -> Self {
        Self::metered(engine, format, Unmetered)
    }
}

impl<M: Meter> Scanner<M> {
    /// As [`Scanner::new`], with somebody to tell what the scanner does.
    pub fn metered(engine: Arc<Engine>, format: Format, meter: M) -> Self {
        Self {
            checks: Checks::new(&engine, format),
            encoded: engine.encoded.is_some().then(Encoded::default),
            engine,
            format,
            origin: 0,
            lexical: Lexical::default(),
            behind_quote: false,
            judged: 0,
            behind: false,
            known: 0,
            resume: 0,
            mode: Mode::Open,
            outer: Vec::new(),
            last: None,
            resolver: Resolver::default(),
            quiet: Arc::default(),
            quiet_resolver: Resolver::default(),
            kept: Vec::new(),
            context: Context::at_start(),
            second: Some(Second::default()),
            embedded: Vec::new(),
            packed: Vec::new(),
            bytes: Vec::new(),
            is_zipped: false,
            log: None,
            failed: None,
            meter,
        }
    }

    /// Who was told.
    pub fn into_meter(self) -> M {
        self.meter
    }

    /// Whether the last scan stopped early, since it met too many literals: it
    /// must be called again before more data comes.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Everything before this place of the body has been looked at.
    pub fn judged(&self) -> u64 {
        self.judged
    }

    /// By rule index: rules whose findings change nothing. They are found beside
    /// the others and hide none of them; of a long secret only the head is told.
    /// Their findings come in order within one scan, but may come late.
    pub fn set_quiet(&mut self, quiet: Arc<[bool]>) {
        self.quiet = quiet;
    }

    /// What the redactor writes itself, beside its usual labels: no rule finds a
    /// value in it.
    pub fn set_written(&mut self, written: Option<Arc<Written>>) {
        self.checks.set_written(written);
    }

    fn is_quiet(&self, rule: usize) -> bool {
        self.quiet.get(rule).copied().unwrap_or(false)
    }

    /// Where the data of the next scan must begin.
    pub fn origin(&self) -> u64 {
        self.origin
    }

    /// What became of candidates.
    pub fn checks(&mut self) -> &mut Checks {
        &mut self.checks
    }

    /// Scans `raw`, which begins at [`Scanner::origin`] and goes at least as
    /// far as the last time. Appends to `out`, in order, the findings that are
    /// settled by it; the place (in bytes of the body) before which all is.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn scan(&mut self, raw: &[u8], last: bool, out: &mut Vec<Finding>) -> Result<u64, ScanError> {
        let engine = Arc::clone(&self.engine);
        let mut work = engine.take_workspace()?;
        let settled = self.scan_with(&mut work, Data { engine: &engine, raw, last, outer: None }, out);
        self.meter.turn(Work::Idle);
        work.scanned += raw.len();
        engine.put_workspace(work);
        settled
    }

    fn scan_with(&mut self, work: &mut Workspace, data: Data<'_>, out: &mut Vec<Finding>) -> Result<u64, ScanError> {
        let first = out.len();
        work.decoded.clear();
        work.window.forget();
        work.doubts.clear();
        work.scan += 1;
        self.meter.turn(Work::Masks);
        work.find_shapes(data.engine, data.raw, self.lexical, self.format);
        self.meter.turn(Work::Literals);
        data.engine.find_literals(data.raw, &mut work.scratch, &mut work.found)?;
        let horizon = Horizon::of(&work.shapes, &work.found, data.raw.len(), data.last);
        work.found.drop_idle(data.engine, data.raw, &work.shapes);
        self.behind = horizon.early;
        self.meter.turn(Work::Escapes);
        trigger::collect_escaped(data.engine, work, data.raw, self.format)?;
        self.meter.turn(Work::Order);
        let stopped = self.judge(work, data, horizon, out);
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        self.meter.turn(Work::Order);
        // What was known stays known, though this scan may have seen less.
        let known = self.known(horizon, stopped).max(self.known);
        self.known = known;
        self.judged = match stopped {
            Some(at) => self.judged.max(at.min(self.absolute(horizon.at))),
            None => self.judged.max(self.absolute(horizon.at)),
        };
        let settled = self.resolver.settle(known, &mut self.kept);
        self.flush(out);
        self.quiet_resolver.settle(known, &mut self.kept);
        if !self.kept.is_empty() {
            self.flush(out);
            out[first..].sort_by_key(|finding| finding.span.start);
        }
        self.move_origin(work, settled, data.raw);
        Ok(settled)
    }

    /// The place before which no further match can begin.
    fn known(&self, horizon: Horizon, stopped: Option<u64>) -> u64 {
        let reached = |at: u64, hard: bool| if hard { at } else { at.saturating_sub(LOOKBACK as u64) };
        let end = self.absolute(horizon.at);
        let known = match stopped {
            Some(at) if at < end => reached(at, false),
            _ => reached(end, horizon.hard),
        };
        // What begins before `resume` is part of a region.
        known.max(self.resume)
    }

    /// Goes through the triggers; where it stopped for want of data, if it did.
    fn judge(&mut self, work: &mut Workspace, data: Data<'_>, horizon: Horizon, out: &mut Vec<Finding>) -> Option<u64> {
        let triggers = work.take_triggers();
        let stopped = self.judge_all(work, data, &triggers, horizon, out);
        work.put_triggers(triggers);
        stopped.or_else(|| self.run(work, data, self.absolute(horizon.at) + 1, out))
    }

    fn judge_all(
        &mut self,
        work: &mut Workspace,
        data: Data<'_>,
        triggers: &Triggers,
        horizon: Horizon,
        out: &mut Vec<Finding>,
    ) -> Option<u64> {
        let from = self.relative(self.judged);
        let mut queue = triggers.queue(data.engine, from);
        while let Some(place) = queue.next_end().filter(|&end| end <= horizon.at) {
            if let Some(at) = self.run(work, data, self.absolute(place), out) {
                return Some(at);
            }
            self.meter.turn(Work::Order);
            match queue.pop() {
                Popped::Trigger(trigger) => self.confirm(work, data, trigger, out),
                Popped::Shapes(candidate) => {
                    self.note_embedded(data.raw, candidate);
                    for (id, start) in trigger::tokens_of(data.engine, data.raw, candidate) {
                        let what = What::Token { id, start };
                        self.confirm(work, data, Trigger { end: candidate.at + 1, what }, out);
                    }
                    for trigger in trigger::of_shapes(candidate, data.engine.kinds) {
                        self.confirm(work, data, trigger, out);
                    }
                }
                Popped::Nothing => break,
            }
        }
        None
    }

    fn confirm(&mut self, work: &mut Workspace, data: Data<'_>, trigger: Trigger, out: &mut Vec<Finding>) {
        match trigger.what {
            What::Literal { id, start } if self.absolute(start) >= self.resume => {
                self.confirm_literal(work, data, id, start..trigger.end, out);
            }
            What::Token { id, start } if self.absolute(start) >= self.resume => {
                self.confirm_token(work, data, id, start, out);
            }
            What::Shape { detector, anchor } if self.absolute(anchor) >= self.resume => {
                self.confirm_detector(work, data, detector, anchor);
            }
            What::Base64 { alphabet, start } if self.absolute(start) >= self.resume => {
                self.confirm_base64(work, data, alphabet, start);
            }
            What::Folded { at } if self.absolute(at) >= self.resume => self.confirm_folded(work, data, at, out),
            _ => {}
        }
    }

    fn confirm_literal(
        &mut self,
        work: &mut Workspace,
        data: Data<'_>,
        id: usize,
        literal: Range<usize>,
        out: &mut Vec<Finding>,
    ) {
        let usage = &data.engine.literals[id];
        let (before, next) = (&data.raw[..literal.start], data.raw.get(literal.end));
        let room = work.shapes.room(literal.end);
        let may_match = |usage: &&PatternUse| usage.goes_on(next, || room) && usage.may_lead(before);
        let mut patterns = usage.patterns.iter().filter(may_match).peekable();
        if patterns.peek().is_some() {
            let bounds = self.bounds(work, data, literal.start);
            for usage in patterns {
                self.confirm_pattern(work, data, usage, literal.start, &bounds, out);
            }
        }
        self.is_zipped |= usage.zipped && zipped::begins_string(data.raw, literal.start, self.behind_quote);
        // Not where it is written with escapes.
        if usage.packed && literal.len() == usage.length && packed::begins_at(&self.context, data.raw, literal.start) {
            self.packed.push(self.absolute(literal.start));
        }
        if usage.bytes {
            self.bytes.push(self.absolute(literal.end));
        }
        if let Some(rule) = usage.private_key {
            self.confirm_private_key(work, data, rule, literal.start, out);
        }
        if let Some(key) = usage.key
            && self.may_enter()
        {
            // Of a name like `key`, which only others end with, nothing need be
            // looked up.
            let whole = literal.start.checked_sub(1).is_some_and(|before| data.raw[before] == b'"');
            if key.alone || key.head || !whole {
                self.confirm_key(work, data, literal.start);
            }
        }
        if usage.value && late::may_open(data.raw, literal.start) {
            self.confirm_value(work, data, literal.start);
        }
    }

    fn confirm_token(&mut self, work: &mut Workspace, data: Data<'_>, id: usize, start: usize, out: &mut Vec<Finding>) {
        let token = data.engine.tokens.get(id);
        let bounds = self.bounds(work, data, start);
        let end = start + token.length();
        let (next, room) = (data.raw.get(end), work.shapes.room(end));
        // Written with escapes, the prefix is longer than it says.
        let plain = data.raw[start..].iter().take(token.length()).all(|&byte| shape::is_token_byte(byte));
        for usage in token.uses.iter().filter(|usage| !plain || usage.goes_on(next, || room)) {
            self.try_start(work, data, usage.rule, start, &bounds, out);
        }
    }

    fn confirm_detector(&mut self, work: &mut Workspace, data: Data<'_>, detector: Detector, anchor: usize) {
        let rules = data.engine.detectors.iter().filter(|(which, _)| *which == detector).map(|&(_, rule)| rule);
        self.meter.ask(rules.clone());
        if self.is_alone(work, data, detector, anchor) {
            return;
        }
        let bounds = self.bounds(work, data, anchor);
        let place = (bounds.from, bounds.to);
        let Some(found) = around::confirm(detector, data.raw, place, anchor, &mut work.decoded) else { return };
        for rule in rules {
            let text = found.text(data.raw, &work.decoded);
            let (range, begins) = (found.raw.clone(), found.raw.start);
            let keyword = self.keyword(&mut work.sightings, data, rule, (begins, work.scan));
            let Some(keyword) = keyword.filter(|&at| data.engine.counts(rule, at, bounds.from..begins)) else {
                self.checks.keep(rule, self.origin, range, begins, Verdict::Keyword);
                continue;
            };
            if self.accepts(data, rule, &Value { text: Some(text), range, begins }) {
                self.log(rule, keyword, &found.raw);
                self.add(work, data, &bounds, rule, found.raw.clone());
            }
        }
    }

    fn confirm_pattern(
        &mut self,
        work: &mut Workspace,
        data: Data<'_>,
        usage: &PatternUse,
        literal: usize,
        bounds: &Bounds,
        out: &mut Vec<Finding>,
    ) {
        self.meter.turn(Work::Rule(usage.rule));
        if usage.offset == (0, 0) {
            return self.try_start(work, data, usage.rule, literal, bounds, out);
        }
        let Some(pattern) = &data.engine.patterns[usage.rule] else { return };
        let mut starts = std::mem::take(&mut work.starts);
        place::starts_before(data.raw, bounds.from, literal, usage, pattern, &mut work.window, &mut starts);
        // What begins within a region is part of it, wherever the literal stands.
        starts.retain(|&start| self.absolute(start) >= self.resume);
        for &start in &starts {
            self.try_start(work, data, usage.rule, start, bounds, out);
        }
        work.starts = starts;
    }

    /// Tries a pattern at one start.
    fn try_start(
        &mut self,
        work: &mut Workspace,
        data: Data<'_>,
        rule: usize,
        start: usize,
        bounds: &Bounds,
        out: &mut Vec<Finding>,
    ) {
        self.meter.ask([rule]);
        let Some(pattern) = &data.engine.patterns[rule] else { return };
        let before = match place::before(data.raw, bounds.from, start, self.format) {
            Before::Unit(byte) => byte,
            Before::Letter if pattern.starts_with_literal() => Some(b'\\'),
            Before::Letter | Before::Within => return,
        };
        let to = bounds.to.min(start + LOOKAHEAD);
        let cut = to < bounds.to || bounds.cut;
        let mut memory = Memory {
            caches: &mut work.caches[rule],
            window: &mut work.window,
            trail: &mut work.trails[rule],
            scan: work.scan,
        };
        let (sightings, scan) = (&mut work.sightings, work.scan);
        let (mut alone, mut keyword) = (None, None);
        let wanted = |end: usize| {
            // Of one that begins before `resume` a region has taken a part.
            let last = self.last.filter(|last| last.secret.start >= self.resume);
            let last = last.is_some_and(|last| last.covers(rule, self.absolute(start), self.absolute(end)));
            keyword = self.keyword(sightings, data, rule, (start, scan)).filter(|_| !last);
            alone = (!last && keyword.is_none()).then_some(end);
            keyword.is_some()
        };
        let Some(extent) = pattern.match_at(data.raw, start..to, before, cut, &mut memory, wanted) else {
            return self.checks.keep_alone(rule, self.origin, start, alone);
        };
        let text = extent.text(data.raw, &work.window);
        let range = extent.secret.clone();
        let value = Value { text: Some(text), range: range.clone(), begins: start };
        if self.absolute(range.start) < self.resume || !self.accepts(data, rule, &value) {
            return;
        }
        self.log(rule, keyword.unwrap_or(start), &range);
        // In a member's name: the value goes on behind quotes that would end the tail.
        if extent.open && self.confirm_key(work, data, start) {
            return;
        }
        if extent.open && !self.is_quiet(rule) {
            self.open_region(Region::Tail { rule }, rule, range.start, range.end, None, out);
        } else {
            // A bare number may stay, and so is not remembered.
            let text = data.raw[range.clone()].iter().any(|byte| !byte.is_ascii_digit());
            let secret = Span::new(self.absolute(range.start), self.absolute(range.end));
            self.last = (text && !self.is_quiet(rule)).then_some(Last { rule, secret });
            self.add(work, data, bounds, rule, range);
        }
    }

    fn confirm_private_key(
        &mut self,
        work: &mut Workspace,
        data: Data<'_>,
        rule: usize,
        start: usize,
        out: &mut Vec<Finding>,
    ) {
        self.meter.ask([rule]);
        let bounds = self.bounds(work, data, start);
        work.window.decode_around(data.raw, start..bounds.to, start, private_key::LONGEST_LINE);
        let text = work.window.text();
        let Some(found) = super::detector::confirm(Detector::PrivateKey, text, 0) else { return };
        let range = work.window.raw_range(found);
        if !self.accepts(data, rule, &Value { text: None, range: range.clone(), begins: start }) {
            return;
        }
        self.log(rule, start, &range);
        if self.is_quiet(rule) {
            return self.add_quiet(rule, range, Wrap::Plain);
        }
        self.open_region(Region::PrivateKey, rule, start, range.end, None, out);
    }

    /// Runs the mode as long as it is before `limit`, where the next trigger
    /// ends: further on, it would pass over what lies in between, such as the
    /// first value of an array of which the second is secret. Where it stopped
    /// for want of data, if it did.
    fn run(&mut self, work: &mut Workspace, data: Data<'_>, limit: u64, out: &mut Vec<Finding>) -> Option<u64> {
        loop {
            self.leave();
            if !self.mode.is_before(limit) {
                return None;
            }
            let before = self.mode;
            self.meter.turn(before.work());
            match self.mode {
                Mode::Open => return None,
                Mode::Seeking { quote, begins, at } => self.seek(data, quote, (begins, at)),
                Mode::Walking { walk, at } => self.walk(data, walk, at),
                Mode::Judging { walk, at, number: false } => self.judge_text(work, data, walk, at, out),
                Mode::Judging { walk, at, number: true } => self.judge_number(data, walk, at, out),
                Mode::Swallowing { region, rule, at, walk } => self.swallow(data, region, rule, at, walk, out),
            }
            if self.mode == before {
                return self.mode.at();
            }
        }
    }

    /// Whether something may begin now: where nothing goes on, or within a value
    /// of an array that stays.
    fn may_enter(&self) -> bool {
        match self.mode {
            Mode::Open => true,
            Mode::Walking { walk, .. } => walk.in_array() && self.outer.len() < DEEPEST,
            _ => false,
        }
    }

    /// Begins something, and remembers the walk that goes on behind it.
    fn enter(&mut self, mode: Mode) {
        if let Mode::Walking { walk, at } = self.mode
            && walk.in_array()
            && self.outer.len() < DEEPEST
        {
            self.outer.push(Mode::Walking { walk, at });
        }
        self.mode = mode;
    }

    /// Takes up what was left, when what it was left for is over.
    fn leave(&mut self) {
        while self.mode == Mode::Open
            && let Some(left) = self.outer.pop()
        {
            if left.at().is_some_and(|at| at >= self.resume) {
                self.mode = left;
            }
        }
    }

    fn swallow(
        &mut self,
        data: Data<'_>,
        region: Region,
        rule: usize,
        at: u64,
        walk: Option<Walk>,
        out: &mut Vec<Finding>,
    ) {
        let start = self.relative(at);
        let (end, over) = match region.end(data.engine, self.format, data.raw, start, data.last) {
            End::At(end) => (end, true),
            End::More(end) => (end, false),
        };
        let span = Span::new(at, self.absolute(end));
        if !span.is_empty() {
            out.push(Finding { span, rule, wrap: Wrap::Plain, part: Part::More });
        }
        self.resume = self.resume.max(span.end);
        self.resolver.pass(span.end);
        self.mode = match walk {
            _ if !over => Mode::Swallowing { region, rule, at: span.end, walk },
            Some(walk) => {
                let after = data.raw.get(end).map_or(end, |_| end + unit(data.raw, end).len);
                Mode::Walking { walk, at: self.absolute(after) }
            }
            None => Mode::Open,
        };
    }

    /// Begins a secret of unknown length: its head is `start..head`.
    fn open_region(
        &mut self,
        region: Region,
        rule: usize,
        start: usize,
        head: usize,
        walk: Option<Walk>,
        out: &mut Vec<Finding>,
    ) {
        let span = Span::new(self.absolute(start), self.absolute(head));
        // Nothing comes between the pieces of a long one.
        self.quiet_resolver.region(span.start, &mut self.kept);
        self.flush(out);
        self.resolver.region(span.start, &mut self.kept);
        self.flush(out);
        out.push(Finding { span, rule, wrap: Wrap::Plain, part: Part::First });
        self.resolver.pass(span.end);
        self.resume = span.end;
        let swallowing = Mode::Swallowing { region, rule, at: span.end, walk };
        if walk.is_some() {
            // It goes on by itself.
            self.mode = swallowing;
        } else {
            self.enter(swallowing);
        }
    }

    /// Adds a finding that nothing may overlap.
    fn add_region(&mut self, rule: usize, range: Range<usize>, wrap: Wrap, out: &mut Vec<Finding>) {
        if self.is_quiet(rule) {
            return self.add_quiet(rule, range, wrap);
        }
        let span = Span::new(self.absolute(range.start), self.absolute(range.end));
        self.resolver.region(span.start, &mut self.kept);
        self.flush(out);
        out.push(Finding { span, rule, wrap, part: Part::Whole });
        self.resolver.pass(span.end);
        self.resume = span.end;
    }

    /// Adds a match for the resolver to judge.
    fn add(&mut self, work: &mut Workspace, data: Data<'_>, bounds: &Bounds, rule: usize, range: Range<usize>) {
        if self.absolute(range.start) >= self.resume
            && let Some(found) = self.matched(work, data, bounds, rule, range)
        {
            self.add_match(found);
        }
    }

    fn add_match(&mut self, found: Match) {
        let resolver = if self.is_quiet(found.rule) { &mut self.quiet_resolver } else { &mut self.resolver };
        resolver.add(found);
    }

    /// The match that a value is, if it can be replaced.
    fn matched(
        &self,
        work: &mut Workspace,
        data: Data<'_>,
        bounds: &Bounds,
        rule: usize,
        range: Range<usize>,
    ) -> Option<Match> {
        let known = self.rule(rule);
        let (numbers, priority) = (Numbers::of(known), known.priority);
        let range = place::whole_characters(data.raw, (bounds.from, bounds.to), range);
        let inside = work.shapes.lexical_at(range.start).inside;
        let place = Place {
            raw: data.raw,
            format: self.format,
            bounds: (bounds.from, bounds.to),
            inside,
            behind_quote: self.behind_quote,
            context: &self.context,
        };
        let wrap = number::wrap(place, &range, numbers, &mut work.context)?;
        let (start, end) = (self.absolute(range.start), self.absolute(range.end));
        Some(Match { start, end, rule, priority, wrap, ahead: false })
    }

    /// Adds a finding that changes nothing.
    fn add_quiet(&mut self, rule: usize, range: Range<usize>, wrap: Wrap) {
        let priority = self.rule(rule).priority;
        let (start, end) = (self.absolute(range.start), self.absolute(range.end));
        self.quiet_resolver.add(Match { start, end, rule, priority, wrap, ahead: false });
    }

    /// Whether paths, validator and exceptions of a rule let a value be a finding.
    fn accepts(&mut self, data: Data<'_>, rule: usize, value: &Value<'_>) -> bool {
        self.checks.accepts(data.engine, rule, (data.raw, self.origin), data.outer, value)
    }

    /// The stretch around `at` that a match may lie in.
    fn bounds(&self, work: &mut Workspace, data: Data<'_>, at: usize) -> Bounds {
        let (fence, end) = work.shapes.fences_around(at);
        let fence = fence.map_or(0, |fence| fence + 1);
        let limit = at + LOOKAHEAD;
        Bounds {
            from: fence.max(at.saturating_sub(LOOKBACK)),
            to: end.unwrap_or(data.raw.len()).min(limit),
            behind_quote: self.behind_quote,
            cut: end.map_or(!data.last || data.raw.len() > limit, |end| end > limit),
        }
    }

    fn flush(&mut self, out: &mut Vec<Finding>) {
        out.extend(self.kept.drain(..).map(Finding::from));
    }

    fn move_origin(&mut self, work: &Workspace, settled: u64, raw: &[u8]) {
        let judged = self.relative(self.judged).min(raw.len());
        let fence = work.shapes.fence_before(judged).map_or(0, |fence| fence + 1);
        let needed = fence.max(judged.saturating_sub(LOOKBACK + 64 + REACH));
        // What was left goes on before what it was left for, unless that took the value.
        let modes = self.outer.iter().chain([&self.mode]);
        let left = modes.filter_map(|mode| mode.at()).filter(|&at| at >= self.resume).min();
        let left = left.map_or(needed, |at| self.relative(at));
        let keep = needed.min(left).min(self.relative(settled)).min(raw.len());
        if let Some(last) = keep.checked_sub(1) {
            self.behind_quote = raw[last] == b'"' && work.shapes.fence_from(last) == Some(last);
        }
        self.lexical = work.shapes.lexical_at(keep);
        self.context.push(&raw[..keep], self.engine.vocabulary.reach.max(typed::REACH));
        self.checks.move_on(raw, self.origin, keep);
        self.origin += keep as u64;
    }

    fn rule(&self, index: usize) -> &Rule {
        &self.engine.ruleset().rules[index]
    }

    fn absolute(&self, at: usize) -> u64 {
        self.origin + at as u64
    }

    fn relative(&self, at: u64) -> usize {
        usize::try_from(at.saturating_sub(self.origin)).unwrap_or(usize::MAX)
    }
}
