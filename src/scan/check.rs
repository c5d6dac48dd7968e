//! What a candidate must pass beyond its shape: the rule's paths, keywords,
//! validator and exceptions. On request every verdict is kept, to be explained.

use super::Format;
use super::again::Outer;
use super::engine::Engine;
use super::path::{PathId, Paths, Places};
use super::protect::{Guard, Protections};
use super::written::Written;
use crate::rule::{Allow, Allowed, Rule};
use crate::span::Span;
use crate::validator::Validator;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use std::ops::Range;
use std::sync::Arc;

/// A candidate and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Traced {
    /// The value, or the whole match where the value was not looked at; in
    /// bytes of the body.
    pub span: Span,
    /// Index into [`crate::rule::Ruleset::rules`].
    pub rule: usize,
    /// Where the match begins, its context included.
    pub begins: u64,
    /// Whether it is a finding.
    pub verdict: Verdict,
}

/// Whether a candidate is a finding, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It is, unless another finding covers it.
    Found,
    /// It stands where the rule does not look.
    Path,
    /// No keyword stands near before it, or one stands there that says that it is
    /// something else.
    Keyword,
    /// The validator, or the detector, turned it down.
    Validator,
    /// The rule's exception of this index allows it.
    Allowed(usize),
    /// The protected value of this index of the route's protocol pack is at its place.
    Protected(usize),
    /// It stands where a value would, and is none.
    Placeholder,
}

/// [`Checks::leads`], which lends the places alone.
fn leads(places: &mut Option<Places>, path: PathId, (raw, origin): (&[u8], u64), at: usize) -> bool {
    places.as_mut().is_some_and(|places| places.lead(path, raw, origin, at))
}

/// The paths of one rule.
#[derive(Debug, Default)]
pub(super) struct Scope {
    paths: Vec<PathId>,
    exclude: Vec<PathId>,
    pub(super) allows: Vec<Exception>,
}

impl Scope {
    /// The paths and exceptions of `rule`, whose patterns go to `paths`.
    pub(super) fn compile(rule: &Rule, paths: &mut Paths) -> Result<Self, String> {
        let allows = rule.allow.iter().map(|allow| Exception::compile(allow, paths)).collect::<Result<_, _>>()?;
        let mut add = |patterns: &[_]| patterns.iter().map(|pattern| paths.add(pattern)).collect::<Result<_, _>>();
        Ok(Self { paths: add(&rule.paths)?, exclude: add(&rule.exclude_paths)?, allows })
    }

    /// Whether it depends on the place whether the rule looks at a value.
    pub(super) fn is_limited(&self) -> bool {
        !self.paths.is_empty() || !self.exclude.is_empty()
    }

    fn takes(&self, mut leads: impl FnMut(PathId) -> bool) -> bool {
        (self.paths.is_empty() || self.paths.iter().any(|&path| leads(path)))
            && !self.exclude.iter().any(|&path| leads(path))
    }
}

/// A compiled [`Allow`].
#[derive(Debug)]
pub(super) struct Exception {
    what: What,
    path: Option<PathId>,
}

#[derive(Debug)]
enum What {
    Any,
    Value(Vec<u8>),
    Pattern(Box<Regex>),
}

impl Exception {
    fn compile(allow: &Allow, paths: &mut Paths) -> Result<Self, String> {
        let what = match &allow.what {
            None => What::Any,
            Some(Allowed::Value(value)) => What::Value(value.as_bytes().to_vec()),
            Some(Allowed::Pattern(pattern)) => What::Pattern(Box::new(regex(pattern)?)),
        };
        Ok(Self { what, path: allow.path.as_ref().map(|path| paths.add(path)).transpose()? })
    }

    fn allows(&self, text: &[u8], mut leads: impl FnMut(PathId) -> bool) -> bool {
        let value = match &self.what {
            What::Any => true,
            What::Value(value) => value == text,
            What::Pattern(pattern) => pattern.is_match(text),
        };
        value && self.path.is_none_or(&mut leads)
    }
}

/// Compiles an expression over bytes.
pub(super) fn regex(source: &str) -> Result<Regex, String> {
    Regex::builder()
        .configure(Regex::config().utf8_empty(false))
        .syntax(syntax::Config::new().unicode(false).utf8(false))
        .build(source)
        .map_err(|error| format!("allow: {error}"))
}

/// The value of a candidate, and where it stands.
#[derive(Clone)]
pub(super) struct Value<'a> {
    /// What it means; `None` where it is too long to be looked at.
    pub(super) text: Option<&'a [u8]>,
    /// Its raw bytes, in the data.
    pub(super) range: Range<usize>,
    /// Where the match begins, in the data.
    pub(super) begins: usize,
}

impl<'a> Value<'a> {
    /// A value that is all of its match.
    pub(super) fn whole(text: Option<&'a [u8]>, range: Range<usize>) -> Self {
        Self { text, begins: range.start, range }
    }
}

/// What a validator said last, and of which bytes of the body: it is asked once,
/// though several rules may find the same.
struct Said(Option<(Validator, Span, bool)>);

impl Said {
    fn accepts(&mut self, validator: Validator, place: Span, text: &[u8]) -> bool {
        match self.0 {
            Some((known, span, verdict)) if (known, span) == (validator, place) => verdict,
            _ => {
                let verdict = validator.accepts(text);
                self.0 = Some((validator, place, verdict));
                verdict
            }
        }
    }
}

/// Whether what says that `value` is one is the label of another, which stands before it:
/// `[ACCESS_TOKEN]: value`.
fn is_behind_label(engine: &Engine, raw: &[u8], value: &Value<'_>) -> bool {
    let label = engine.vocabulary.labels.end_around(raw, value.begins);
    label.is_some_and(|end| end <= value.range.start)
}

/// Judges the candidates of one body.
pub struct Checks {
    places: Option<Places>,
    /// By rule index: candidates that a validator turned down.
    rejections: Vec<u64>,
    said: Said,
    /// What the route's protocol pack protects.
    guard: Option<Guard>,
    /// What the redactor writes itself.
    written: Option<Arc<Written>>,
    /// `None` unless asked for.
    trace: Option<Vec<Traced>>,
}

impl Checks {
    pub(super) fn new(engine: &Engine, format: Format) -> Self {
        Self {
            places: Places::new(&engine.paths, format),
            rejections: Vec::new(),
            said: Said(None),
            guard: None,
            written: None,
            trace: None,
        }
    }

    /// Candidates that a validator turned down: (rule index, count).
    pub fn rejections(&self) -> impl Iterator<Item = (usize, u64)> {
        self.rejections.iter().copied().enumerate().filter(|&(_, count)| count > 0)
    }

    /// What the redactor writes itself, beside its usual labels.
    pub(super) fn set_written(&mut self, written: Option<Arc<Written>>) {
        self.written = written;
    }

    /// As was set.
    pub(super) fn written(&self) -> Option<Arc<Written>> {
        self.written.clone()
    }

    /// From now on what these protect stays. To be called before the first byte.
    pub(super) fn set_protections(&mut self, protections: Option<&Arc<Protections>>, format: Format) {
        self.guard = protections.and_then(|protections| Guard::new(Arc::clone(protections), format));
    }

    /// From now on keeps every verdict.
    pub fn keep_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    /// Whether every verdict is kept.
    pub(super) fn keeps_verdicts(&self) -> bool {
        self.trace.is_some()
    }

    /// The verdicts since the last call.
    pub fn take_trace(&mut self) -> Vec<Traced> {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The data, `raw` from `origin` of the body on, moves on by `keep` bytes.
    pub(super) fn move_on(&mut self, raw: &[u8], origin: u64, keep: usize) {
        if let Some(places) = &mut self.places {
            places.move_on(raw, origin, keep);
        }
        if let Some(guard) = &mut self.guard {
            guard.move_on(raw, origin, keep);
        }
    }

    /// Whether `path` leads to the value at `at` of `raw`, which begins at `origin`
    /// of the body.
    pub(super) fn leads(&mut self, path: PathId, (raw, origin): (&[u8], u64), at: usize) -> bool {
        leads(&mut self.places, path, (raw, origin), at)
    }

    /// Whether paths, validator and exceptions of `rule` let a value of `raw`,
    /// which begins at `origin` of the body, be a finding. If it is a text read a
    /// second time, `outer` knows the paths.
    pub(super) fn accepts(
        &mut self,
        engine: &Engine,
        rule: usize,
        (raw, origin): (&[u8], u64),
        outer: Option<&dyn Outer>,
        value: &Value<'_>,
    ) -> bool {
        let verdict = self.verdict(engine, rule, (raw, origin), outer, value);
        self.keep(rule, origin, value.range.clone(), value.begins, verdict);
        verdict == Verdict::Found
    }

    fn verdict(
        &mut self,
        engine: &Engine,
        rule: usize,
        (raw, origin): (&[u8], u64),
        outer: Option<&dyn Outer>,
        value: &Value<'_>,
    ) -> Verdict {
        let scope = &engine.scopes[rule];
        let places = &mut self.places;
        let start = value.range.start;
        let mut leads = |path| match outer {
            Some(outer) => outer.leads(path, usize::try_from(origin).unwrap_or(usize::MAX).saturating_add(start)),
            None => self::leads(places, path, (raw, origin), start),
        };
        if scope.is_limited() && !scope.takes(&mut leads) {
            return Verdict::Path;
        }
        let validator = engine.ruleset().rules[rule].validator;
        let place = Span::new(origin + value.range.start as u64, origin + value.range.end as u64);
        let said = &mut self.said;
        if let (Some(text), Some(validator)) = (value.text, validator)
            && !said.accepts(validator, place, text)
        {
            if self.rejections.len() <= rule {
                self.rejections.resize(rule + 1, 0);
            }
            self.rejections[rule] += 1;
            return Verdict::Validator;
        }
        let allows = |exception: &Exception| match value.text {
            Some(text) => exception.allows(text, &mut leads),
            None => matches!(exception.what, What::Any) && exception.allows(&[], &mut leads),
        };
        match scope.allows.iter().position(allows) {
            Some(exception) => Verdict::Allowed(exception),
            // What a redactor wrote is not redacted again.
            None if self.written.as_ref().is_some_and(|written| written.holds(raw, &value.range, value.text)) => {
                Verdict::Placeholder
            }
            None if is_behind_label(engine, raw, value) => Verdict::Placeholder,
            None => self.found(rule, (raw, origin), outer, value),
        }
    }

    /// What all else lets be a finding is one, unless it is protected.
    fn found(&mut self, rule: usize, data: (&[u8], u64), outer: Option<&dyn Outer>, value: &Value<'_>) -> Verdict {
        let guard = self.guard.as_mut().filter(|_| outer.is_none());
        guard.and_then(|guard| guard.protects(rule, data, value)).map_or(Verdict::Found, Verdict::Protected)
    }

    /// Keeps that a match up to `end`, if there was one, has no keyword near it.
    pub(super) fn keep_alone(&mut self, rule: usize, origin: u64, start: usize, end: Option<usize>) {
        if let Some(end) = end {
            self.keep(rule, origin, start..end, start, Verdict::Keyword);
        }
    }

    /// Keeps a verdict, if asked to.
    pub(super) fn keep(&mut self, rule: usize, origin: u64, range: Range<usize>, begins: usize, verdict: Verdict) {
        if let Some(trace) = &mut self.trace {
            let absolute = |at: usize| origin + at as u64;
            let span = Span::new(absolute(range.start), absolute(range.end));
            trace.push(Traced { span, rule, begins: absolute(begins), verdict });
        }
    }
}
