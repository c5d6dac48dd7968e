//! `expurgate explain`: why something is found, or why not.

use super::exit::unwritable;
use super::input::{InputArgs, InputError, Sink};
use super::preview::preview;
use super::{CliError, Exit, near};
use crate::content::{Located, Locator, WireFormat};
use crate::redact::{Applied, Format, Plan, Redactor};
use crate::rule::{Matcher, Rule};
use crate::scan::{Encoding, Lexer, Traced, Verdict, meaning};
use crate::span::Span;
use bytes::{Bytes, BytesMut};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::sync::Arc;

/// Explain what is found in a payload, and what is nearly found.
///
/// For each finding its rule, its place, what confirmed it and what would be
/// done; for each candidate that was turned down, by what. Values are shown
/// by their first and last characters only, unless you ask for them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Show values whole
    #[arg(long)]
    show_values: bool,
    /// text or jsonl
    #[arg(long, value_name = "OUTPUT", default_value = "text")]
    output: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Style {
    Text,
    Jsonl,
}

/// The longest payload: it is held in memory whole.
const LONGEST: usize = 64 << 20;

/// Explains all inputs.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let setup = args.input.setup()?;
    let mut explainer = Explainer {
        actions: setup.plan(),
        // A policy that blocks would end the scan at its first finding.
        plan: Arc::new(Plan::new(Arc::clone(&setup.engine), &setup.policy.labelling())),
        source: String::new(),
        format: Format::Text,
        body: BytesMut::new(),
        whole: args.show_values,
        style: args.output,
        out: BufWriter::new(std::io::stdout()),
    };
    args.input.feed(&mut explainer)?;
    explainer.out.flush().map_err(unwritable)?;
    Ok(Exit::Clean)
}

/// One finding or near miss.
#[derive(Serialize)]
struct Explained<'a> {
    source: &'a str,
    /// Whether it is redacted (or counted); else it was turned down.
    found: bool,
    rule: &'a str,
    entity: &'a str,
    /// From 1.
    record: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    start: u64,
    end: u64,
    /// `base64`, where it stands in a text in that.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    value: String,
    /// What confirmed it, or what turned it down.
    why: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    /// Where the rule is written.
    written: String,
}

/// Takes whole payloads, one by one.
struct Explainer<W: Write> {
    /// What would be done.
    actions: Arc<Plan>,
    /// What is done to explain.
    plan: Arc<Plan>,
    source: String,
    format: Format,
    body: BytesMut,
    whole: bool,
    style: Style,
    out: W,
}

impl<W: Write> Explainer<W> {
    fn explain(&mut self, body: &Bytes) -> Result<(), InputError> {
        let (mut redactor, mut locator) =
            (Redactor::new(&self.plan, self.format), Locator::new(&self.plan, self.format));
        let (mut out, mut found) = (Vec::new(), Vec::new());
        redactor.record();
        redactor.keep_trace();
        locator.push(body.clone());
        redactor.push(body.clone(), &mut out)?;
        redactor.finish(&mut out)?;
        locator.settle(&mut redactor, &mut found);
        locator.finish(&mut found);
        let mut trace: BTreeSet<Traced> = redactor.take_trace().into_iter().collect();
        let near = near::misses(self.plan.engine().ruleset(), body, &trace);
        trace.extend(near);
        let mut lines = String::new();
        for located in &found {
            lines += &self.line(&self.finding(body, located, &trace))?;
        }
        for explained in self.misses(body, &found, &trace) {
            lines += &self.line(&explained)?;
        }
        Ok(self.out.write_all(lines.as_bytes())?)
    }

    fn rule(&self, index: usize) -> &Rule {
        &self.plan.engine().ruleset().rules[index]
    }

    fn finding(&self, body: &Bytes, located: &Located, trace: &BTreeSet<Traced>) -> Explained<'_> {
        let applied = located.applied;
        let rule = self.rule(applied.rule);
        let same = |traced: &&Traced| {
            traced.rule == applied.rule && traced.verdict == Verdict::Found && traced.span.start <= applied.span.start
        };
        let traced = trace.iter().rev().find(same).filter(|_| !applied.base64);
        let begins = traced.map_or(applied.span.start, |traced| traced.begins);
        let action = self.actions.action(applied.rule);
        let shadow = if rule.shadow { " (the rule is in shadow)" } else { "" };
        Explained {
            record: located.record,
            pointer: located.pointer.clone().map(|pointer| if located.in_name { pointer + " (key)" } else { pointer }),
            start: located.start,
            end: located.end,
            why: self.confirmed(body, located, begins),
            action: Some(format!("{action}{shadow}")),
            encoding: applied.base64.then_some("base64"),
            value: self.shown(&value(body, applied)),
            ..self.explained(true, rule, body, applied.span)
        }
    }

    /// A value, or as much of it as may be read.
    fn shown(&self, value: &[u8]) -> String {
        if self.whole { String::from_utf8_lossy(value).into_owned() } else { preview(value) }
    }

    /// With what the payload says, and places in bytes of it.
    fn explained<'a>(&'a self, found: bool, rule: &'a Rule, body: &Bytes, span: Span) -> Explained<'a> {
        Explained {
            source: &self.source,
            found,
            rule: &rule.id,
            entity: &rule.entity,
            record: 1,
            pointer: None,
            start: span.start,
            end: span.end,
            encoding: None,
            value: self.shown(&meaning(raw(body, span))),
            why: Vec::new(),
            action: None,
            written: rule.place.to_string(),
        }
    }

    /// What made a match a finding.
    fn confirmed(&self, body: &Bytes, located: &Located, begins: u64) -> Vec<String> {
        let (index, span) = (located.applied.rule, located.applied.span);
        let rule = self.rule(index);
        let engine = self.plan.engine();
        let base64 = located.applied.base64;
        let whole = if base64 { value(body, located.applied) } else { meaning(raw(body, Span::new(begins, span.end))) };
        let mut why = if base64 { vec!["the text stands in base64, and within it".to_owned()] } else { Vec::new() };
        why.push(match &rule.matcher {
            Matcher::Pattern(_) => match engine.literal_in(index, &whole) {
                Some(literal) => format!("its pattern matches, by the literal `{literal}`"),
                None => "its pattern matches".to_owned(),
            },
            Matcher::Detector(detector) => format!("the detector `{}` confirms it", detector.name()),
            Matcher::Key(names) => match self.key_in(index, located.pointer.as_deref()) {
                Some(name) => format!("its member's name `{name}` is one of the rule's"),
                None => format!("its member's name is one of {}", few(names)),
            },
        });
        if base64 && !rule.keywords.is_empty() {
            why.push(format!("one of its keywords stands within {} bytes before it", rule.proximity));
        } else if let Some(keyword) = engine.keyword_before(index, self.format, body, place(begins)) {
            why.push(format!("the keyword `{keyword}` stands within {} bytes before it", rule.proximity));
        }
        if let Some(validator) = rule.validator {
            why.push(format!("the validator `{}` accepts it", validator.name()));
        }
        if rule.is_scoped() {
            why.push("it stands where the rule looks".to_owned());
        }
        why
    }

    /// The name in a pointer that a key rule knows.
    fn key_in(&self, rule: usize, pointer: Option<&str>) -> Option<String> {
        let names = pointer?.rsplit('/').map(|name| name.replace("~1", "/").replace("~0", "~"));
        names.into_iter().find(|name| self.plan.engine().is_key_of(rule, name.as_bytes()))
    }

    fn misses<'a>(&'a self, body: &Bytes, found: &[Located], trace: &BTreeSet<Traced>) -> Vec<Explained<'a>> {
        let mut way = Way::new(self.format, found.iter().map(|located| located.applied.span).collect());
        let mut misses: Vec<Explained<'a>> = Vec::new();
        for traced in trace {
            let Some(why) = self.turned_down(body, traced, found) else { continue };
            let rule = self.rule(traced.rule);
            way.walk(body, traced.span.start);
            let mark = way.lexer.mark();
            misses.push(Explained {
                record: mark.record,
                pointer: mark.pointer,
                start: mark.offset,
                end: mark.offset + meaning(raw(body, traced.span)).len() as u64,
                why: vec![why],
                ..self.explained(false, rule, body, traced.span)
            });
        }
        misses
    }

    /// Why a candidate is no finding; `None` where it is one.
    fn turned_down(&self, body: &Bytes, traced: &Traced, found: &[Located]) -> Option<String> {
        let rule = self.rule(traced.rule);
        let covering = found.iter().find(|located| located.applied.span.overlaps(&traced.span));
        match traced.verdict {
            Verdict::Found => {
                let by = covering.filter(|located| located.applied.rule != traced.rule)?;
                let other = self.rule(by.applied.rule);
                // Each finding of a shadow rule is told beside the others.
                (!found
                    .iter()
                    .any(|located| located.applied.rule == traced.rule && located.applied.span.overlaps(&traced.span)))
                .then(|| format!("the finding of {} covers it", other.id))
            }
            _ if covering.is_some() => None,
            Verdict::Path => Some("it stands where the rule does not look: see its `paths` and `exclude_paths`".into()),
            Verdict::Keyword => {
                // What the validator would turn down anyway is no near miss.
                let text = meaning(raw(body, traced.span));
                let whole = matches!(&rule.matcher, Matcher::Pattern(pattern) if pattern.contains("(?P<secret>"));
                let wrong = !whole && rule.validator.is_some_and(|validator| !validator.accepts(&text));
                let (near, few) = (rule.proximity, few(&rule.keywords));
                (!wrong).then(|| match rule.keywords.is_empty() {
                    true => "a word right before it says that it is something else: see the rule's `unless`".into(),
                    false => format!("no keyword stands within {near} bytes before it: {few}"),
                })
            }
            Verdict::Validator => Some(match (&rule.matcher, rule.validator) {
                (Matcher::Detector(detector), None) => format!("the detector `{}` turns it down", detector.name()),
                (_, validator) => {
                    let name = validator.map_or("", |validator| validator.name());
                    format!("the validator `{name}` turns it down")
                }
            }),
            Verdict::Allowed(index) => {
                let places: Vec<String> = rule.changed_at().iter().map(ToString::to_string).collect();
                let changed = if places.is_empty() { "" } else { "; the rule is changed at " };
                let places = places.join(", ");
                Some(format!("an exception of the rule allows it: {}{changed}{places}", rule.allow.get(index)?))
            }
            Verdict::Protected(index) => {
                let reason = self.plan.protections()?.reason(index)?;
                Some(format!("the protocol pack of the route protects it: {reason}"))
            }
            Verdict::Placeholder => Some("it is a placeholder or a label, no value".to_owned()),
        }
    }

    fn line(&self, explained: &Explained<'_>) -> Result<String, InputError> {
        Ok(match self.style {
            Style::Jsonl => serde_json::to_string(explained).map_err(std::io::Error::from)? + "\n",
            Style::Text => text(explained),
        })
    }
}

/// The way through a payload, on which pointers show no finding.
struct Way {
    lexer: Lexer,
    /// Findings, the next one last.
    hidden: Vec<Span>,
}

impl Way {
    fn new(format: Format, mut hidden: Vec<Span>) -> Self {
        hidden.sort_by_key(|span| std::cmp::Reverse(span.start));
        Self { lexer: Lexer::new(format), hidden }
    }

    fn walk(&mut self, body: &[u8], to: u64) {
        while let Some(span) = self.hidden.last().copied().filter(|span| span.end <= to) {
            self.over(body, span.start);
            self.lexer.hide("REDACTED");
            self.over(body, span.end);
            self.lexer.show();
            self.hidden.pop();
        }
        self.over(body, to);
    }

    fn over(&mut self, body: &[u8], to: u64) {
        let (at, to) = (place(self.lexer.at()), place(to));
        if at < to {
            self.lexer.over(&body[at..to], false);
        }
    }
}

/// The first of a list.
fn few(names: &[String]) -> String {
    const FEW: usize = 8;
    let more = if names.len() > FEW { ", ..." } else { "" };
    names[..names.len().min(FEW)].join(", ") + more
}

fn text(explained: &Explained<'_>) -> String {
    let pointer = explained.pointer.as_ref().map_or_else(String::new, |pointer| format!(" at {pointer}"));
    let (source, record) = (explained.source, explained.record);
    let (start, end) = (explained.start, explained.end);
    let encoding = explained.encoding.map_or_else(String::new, |encoding| format!(", in {encoding}"));
    let mut text = match explained.found {
        true => format!("{} by {}: {}\n", explained.entity, explained.rule, explained.value),
        false => format!("not {} by {}: {}\n", explained.entity, explained.rule, explained.value),
    };
    text += &format!("  where:   {source}, record {record}{pointer}, bytes {start}-{end}{encoding}\n");
    for why in &explained.why {
        text += &format!("  {} {why}\n", if explained.found { "why:    " } else { "why not:" });
    }
    if let Some(action) = &explained.action {
        text += &format!("  action:  {action}\n");
    }
    text + &format!("  rule:    {}\n", explained.written)
}

/// What was found, or all of the text in base64 that holds it.
fn value(body: &Bytes, applied: Applied) -> Vec<u8> {
    let raw = raw(body, applied.span);
    if applied.base64 { Encoding::read(raw).0 } else { meaning(raw) }
}

fn raw(body: &Bytes, span: Span) -> &[u8] {
    body.get(place(span.start)..place(span.end)).unwrap_or_default()
}

fn place(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

impl<W: Write> Sink for Explainer<W> {
    fn begin(&mut self, name: &str, format: Format, _: Option<WireFormat>) -> Result<(), InputError> {
        name.clone_into(&mut self.source);
        self.format = format;
        Ok(())
    }

    fn push(&mut self, text: Bytes) -> Result<(), InputError> {
        if self.body.len() + text.len() > LONGEST {
            return Err(InputError::Long(LONGEST >> 20));
        }
        self.body.extend_from_slice(&text);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), InputError> {
        let body = self.body.split().freeze();
        self.explain(&body)
    }
}
