//! `expurgate diff`: what another rule set finds, and what it no longer does.

use super::exit::unwritable;
use super::input::{InputArgs, InputError, Setup, Sink};
use super::preview::preview;
use super::{CliError, Exit};
use crate::content::{Located, Locator, WireFormat};
use crate::redact::{Format, Plan, Redactor};
use crate::scan::meaning;
use crate::span::Span;
use bytes::Bytes;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// Compare what two rule sets find in files or standard input.
///
/// The new set is the one of --rules and --profile, the old one that of --from
/// and --from-profile: the built-in rules, or those of the configuration,
/// unless given. Shadow rules act on nothing, and are compared by themselves.
/// Exits with 0 when both find the same, with 1 when they do not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// A rule file or directory of the old set; may be repeated
    #[arg(long, value_name = "PATH")]
    from: Vec<PathBuf>,
    /// The profile of the old set
    #[arg(long, value_name = "PROFILE")]
    from_profile: Option<String>,
    /// text or jsonl
    #[arg(long, value_name = "OUTPUT", default_value = "text")]
    output: Style,
    /// Samples shown for each rule and kind of change
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    samples: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Style {
    Text,
    Jsonl,
}

/// Compares over all inputs.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let old = args.input.setup_with(&args.input.rules.with(&args.from, args.from_profile.as_deref()))?;
    let new = args.input.setup()?;
    if old.engine.ruleset().hash == new.engine.ruleset().hash {
        // Without a standard error there is nobody to tell.
        let note = "note: both sets are the same; give --rules, --profile or --from";
        let _ = writeln!(std::io::stderr(), "{note}");
    }
    let mut comparison = Comparison {
        old: Side::new(&old),
        new: Side::new(&new),
        source: String::new(),
        window: Window::default(),
        changes: BTreeMap::new(),
        same: 0,
        samples: args.samples,
    };
    args.input.feed(&mut comparison)?;
    let mut out = BufWriter::new(std::io::stdout());
    let written = match args.output {
        Style::Text => comparison.tell(&mut out),
        Style::Jsonl => comparison.list(&mut out),
    };
    written.and_then(|()| out.flush()).map_err(unwritable)?;
    Ok(if comparison.changes.is_empty() { Exit::Clean } else { Exit::Findings })
}

/// What became of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    /// Only the old rules find it.
    Vanished,
    /// Only the new rules find it.
    Appeared,
    /// Both find something there, by another rule or to another extent.
    Changed,
}

/// Changes of one kind, by one rule.
#[derive(Debug, Default)]
struct Tally {
    count: u64,
    samples: Vec<Sample>,
}

/// A change, to look at.
#[derive(Debug, Serialize)]
struct Sample {
    source: String,
    record: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<String>,
    start: u64,
    end: u64,
    value: String,
}

/// Of what tallies are kept: whether of shadow rules, the rule, the change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    shadow: bool,
    rule: String,
    change: Change,
    /// By which the rule was, or is; for changes.
    other: Option<String>,
}

/// One rule set at work.
struct Side {
    plan: Arc<Plan>,
    body: Option<(Redactor, Locator)>,
    /// What it has found in the current input.
    found: Vec<Found>,
}

/// A finding, with what is shown of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    located: Located,
    rule: String,
    shadow: bool,
    shown: String,
}

impl Found {
    /// What makes it the same finding.
    fn id(&self) -> (Span, String) {
        (self.located.applied.span, self.rule.clone())
    }
}

impl Side {
    fn new(setup: &Setup) -> Self {
        // What is done with findings is no matter here, but for shadow rules.
        let plan = Arc::new(Plan::new(Arc::clone(&setup.engine), &setup.policy.labelling()));
        Self { plan, body: None, found: Vec::new() }
    }

    fn begin(&mut self, format: Format) {
        let mut redactor = Redactor::new(&self.plan, format);
        redactor.record();
        self.body = Some((redactor, Locator::new(&self.plan, format)));
    }

    fn push(&mut self, text: &Bytes, window: &Window) -> Result<(), InputError> {
        let Some((redactor, locator)) = &mut self.body else { return Ok(()) };
        let mut found = Vec::new();
        locator.push(text.clone());
        redactor.push(text.clone(), &mut Vec::new())?;
        locator.settle(redactor, &mut found);
        self.take(found, window);
        Ok(())
    }

    fn finish(&mut self, window: &Window) -> Result<(), InputError> {
        let Some((mut redactor, mut locator)) = self.body.take() else { return Ok(()) };
        let mut found = Vec::new();
        redactor.finish(&mut Vec::new())?;
        locator.settle(&mut redactor, &mut found);
        locator.finish(&mut found);
        self.take(found, window);
        Ok(())
    }

    fn take(&mut self, found: Vec<Located>, window: &Window) {
        for located in found {
            if let Some(rule) = self.plan.engine().ruleset().rules.get(located.applied.rule) {
                let (rule, shadow) = (rule.id.clone(), rule.shadow);
                let shown = window.shown(located.applied.span);
                self.found.push(Found { located, rule, shadow, shown });
            }
        }
    }
}

/// The bytes of which findings may still come.
#[derive(Default)]
struct Window {
    start: u64,
    bytes: VecDeque<u8>,
}

/// Bytes of the body that are kept to be shown: more than what is held back.
const KEPT: usize = 1 << 18;
/// Longer values are not shown.
const LONGEST: u64 = 4096;

impl Window {
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend(text);
        let gone = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..gone);
        self.start += gone as u64;
    }

    fn shown(&self, span: Span) -> String {
        let at = |place: u64| usize::try_from(place.saturating_sub(self.start)).unwrap_or(usize::MAX);
        if span.start < self.start || span.len() > LONGEST || at(span.end) > self.bytes.len() {
            return format!("… ({} bytes)", span.len());
        }
        let value: Vec<u8> = self.bytes.range(at(span.start)..at(span.end)).copied().collect();
        preview(&meaning(&value))
    }
}

/// Both rule sets over the same bytes.
struct Comparison {
    old: Side,
    new: Side,
    source: String,
    window: Window,
    changes: BTreeMap<Key, Tally>,
    /// Findings that are the same.
    same: u64,
    samples: usize,
}

impl Comparison {
    /// Compares what both sides have found in one input.
    fn compare(&mut self) {
        let (old, new) = (std::mem::take(&mut self.old.found), std::mem::take(&mut self.new.found));
        let ((old_shadow, old), (new_shadow, new)) =
            (old.into_iter().partition(|found| found.shadow), new.into_iter().partition(|found| found.shadow));
        self.compare_some(false, old, new);
        self.compare_some(true, old_shadow, new_shadow);
    }

    fn compare_some(&mut self, shadow: bool, old: Vec<Found>, new: Vec<Found>) {
        let ids = |found: &[Found]| found.iter().map(Found::id).collect::<BTreeSet<_>>();
        let (in_old, in_new) = (ids(&old), ids(&new));
        self.same += in_old.intersection(&in_new).count() as u64;
        let only = |found: Vec<Found>, others: &BTreeSet<(Span, String)>| {
            let mut only: Vec<Found> = found.into_iter().filter(|found| !others.contains(&found.id())).collect();
            only.sort_by_key(Found::id);
            only.into_iter().peekable()
        };
        let (mut old, mut new) = (only(old, &in_new), only(new, &in_old));
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(before), Some(after)) => {
                    let (before, after) = (before.located.applied.span, after.located.applied.span);
                    if before.overlaps(&after) { Ordering::Equal } else { before.cmp(&after) }
                }
            };
            let before = if order.is_le() { old.next() } else { None };
            let after = if order.is_ge() { new.next() } else { None };
            match (before, after) {
                (Some(before), Some(after)) => self.add(shadow, Change::Changed, after, Some(before.rule)),
                (Some(before), None) => self.add(shadow, Change::Vanished, before, None),
                (None, Some(after)) => self.add(shadow, Change::Appeared, after, None),
                (None, None) => return,
            }
        }
    }

    fn add(&mut self, shadow: bool, change: Change, found: Found, other: Option<String>) {
        let tally = self.changes.entry(Key { shadow, rule: found.rule, change, other }).or_default();
        tally.count += 1;
        if tally.samples.len() < self.samples {
            let located = found.located;
            tally.samples.push(Sample {
                source: self.source.clone(),
                record: located.record,
                pointer: located.pointer,
                start: located.start,
                end: located.end,
                value: found.shown,
            });
        }
    }

    fn tell(&self, out: &mut impl Write) -> std::io::Result<()> {
        for (shadow, title) in [(false, "acted on"), (true, "in shadow, counted only")] {
            let changes: Vec<_> = self.changes.iter().filter(|(key, _)| key.shadow == shadow).collect();
            if changes.is_empty() {
                continue;
            }
            writeln!(out, "{title}:")?;
            for (key, tally) in changes {
                writeln!(out, "  {}", told(key, tally.count))?;
                for sample in &tally.samples {
                    let pointer = sample.pointer.as_ref().map_or_else(String::new, |pointer| format!(" at {pointer}"));
                    let (source, record) = (&sample.source, sample.record);
                    let (start, end, value) = (sample.start, sample.end, &sample.value);
                    writeln!(out, "      {source}, record {record}{pointer}, bytes {start}-{end}: {value}")?;
                }
            }
        }
        let of = |change: Change, shadow: bool| {
            let some = self.changes.iter().filter(|(key, _)| key.change == change && key.shadow == shadow);
            some.map(|(_, tally)| tally.count).sum::<u64>()
        };
        let all = |shadow: bool| {
            let [gone, came, other] =
                [Change::Vanished, Change::Appeared, Change::Changed].map(|change| of(change, shadow));
            format!("{came} appeared, {gone} vanished, {other} changed")
        };
        writeln!(out, "{}; in shadow {}; {} the same", all(false), all(true), self.same)
    }

    fn list(&self, out: &mut impl Write) -> std::io::Result<()> {
        for (key, tally) in &self.changes {
            let line = serde_json::json!({
                "rule": key.rule,
                "change": key.change,
                "before": key.other,
                "shadow": key.shadow,
                "count": tally.count,
                "samples": tally.samples,
            });
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

fn told(key: &Key, count: u64) -> String {
    let rule = &key.rule;
    match (key.change, &key.other) {
        (Change::Vanished, _) => format!("- {rule}: {count} vanished"),
        (Change::Appeared, _) => format!("+ {rule}: {count} appeared"),
        (Change::Changed, Some(other)) if other != rule => format!("~ {rule}: {count} were found by {other}"),
        (Change::Changed, _) => format!("~ {rule}: {count} are longer or shorter"),
    }
}

impl Sink for Comparison {
    fn begin(&mut self, name: &str, format: Format, _: Option<WireFormat>) -> Result<(), InputError> {
        name.clone_into(&mut self.source);
        self.window = Window::default();
        self.old.begin(format);
        self.new.begin(format);
        Ok(())
    }

    fn push(&mut self, text: Bytes) -> Result<(), InputError> {
        self.window.push(&text);
        self.old.push(&text, &self.window)?;
        self.new.push(&text, &self.window)
    }

    fn finish(&mut self) -> Result<(), InputError> {
        self.old.finish(&self.window)?;
        self.new.finish(&self.window)?;
        self.compare();
        Ok(())
    }
}
