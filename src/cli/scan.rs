//! `expurgate scan`: what would be redacted, and where; never the values.

use super::exit::unwritable;
use super::input::{InputArgs, InputError, Sink};
use super::table::{Table, stdout_width};
use super::{CliError, Exit, sarif};
use crate::content::{Located, Locator, WireFormat};
use crate::redact::{Format, Plan, Redactor};
use bytes::Bytes;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufWriter, Write};
use std::sync::Arc;

/// List what would be redacted in files or standard input, never the values.
///
/// Places are a record (the line of NDJSON, the document of JSON, from 1), a
/// JSON Pointer, and half-open byte offsets in the decoded string; for text,
/// byte offsets in the file. The jsonl output has one object per finding.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// table, jsonl or sarif (2.1.0)
    #[arg(long, value_name = "OUTPUT", default_value = "table")]
    output: Style,
    /// Exit with 1 when something is found
    #[arg(long)]
    fail_on_findings: bool,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Style {
    Table,
    Jsonl,
    Sarif,
}

/// Scans all inputs.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let setup = args.input.setup()?;
    let mut listing = Listing {
        actions: setup.plan(),
        // A policy that blocks would end the scan at its first finding.
        plan: Arc::new(Plan::new(Arc::clone(&setup.engine), &setup.policy.labelling())),
        source: String::new(),
        body: None,
        released: Vec::new(),
        found: Vec::new(),
        style: args.output,
        table: Table::new(COLUMNS, stdout_width()),
        sarif: sarif::Log::new(),
        lines: Lines::default(),
        out: BufWriter::new(std::io::stdout()),
        entities: BTreeMap::new(),
    };
    args.input.feed(&mut listing)?;
    listing.end().map_err(unwritable)?;
    let failing = args.fail_on_findings && !listing.entities.is_empty();
    Ok(if failing { Exit::Findings } else { Exit::Clean })
}

const COLUMNS: &[&str] = &["SOURCE", "RECORD", "POINTER", "BYTES", "ENTITY", "RULE", "ACTION"];

/// One finding; the form is a contract.
#[derive(Serialize)]
struct Finding<'a> {
    source: &'a str,
    record: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'a str>,
    /// Whether it is the member's name, which the table tells.
    #[serde(skip)]
    in_name: bool,
    start: u64,
    end: u64,
    entity: &'a str,
    rule: &'a str,
    category: &'a str,
    action: &'a str,
    /// `base64`, where it stands in a text in that, whose place is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'a str>,
}

/// Writes findings as they are settled.
struct Listing<W: Write> {
    /// What would be done.
    actions: Arc<Plan>,
    /// What is done for the scan.
    plan: Arc<Plan>,
    source: String,
    body: Option<(Redactor, Locator)>,
    /// Redacted text, of no use here; kept for its memory.
    released: Vec<Bytes>,
    found: Vec<Located>,
    style: Style,
    table: Table,
    sarif: sarif::Log,
    lines: Lines,
    out: W,
    /// How many of each.
    entities: BTreeMap<String, u64>,
}

impl<W: Write> Listing<W> {
    fn list(&mut self) -> Result<(), InputError> {
        self.released.clear();
        for located in std::mem::take(&mut self.found) {
            self.write(&located)?;
        }
        Ok(())
    }

    fn write(&mut self, located: &Located) -> Result<(), InputError> {
        let rule = located.applied.rule;
        let action = self.actions.action(rule);
        let Some(rule) = self.plan.engine().ruleset().rules.get(rule) else { return Ok(()) };
        *self.entities.entry(rule.entity.clone()).or_default() += 1;
        let finding = Finding {
            source: &self.source,
            record: located.record,
            pointer: located.pointer.as_deref(),
            in_name: located.in_name,
            start: located.start,
            end: located.end,
            entity: &rule.entity,
            rule: &rule.id,
            category: rule.category.name(),
            action: action.name(),
            encoding: located.applied.base64.then_some("base64"),
        };
        match self.style {
            Style::Jsonl => {
                serde_json::to_writer(&mut self.out, &finding).map_err(std::io::Error::from)?;
                self.out.write_all(b"\n")?;
            }
            Style::Table => self.table.add(&mut self.out, &row(&finding))?,
            Style::Sarif => {
                self.sarif.describe(rule);
                let span = located.applied.span;
                let location = sarif::Location {
                    file: finding.source,
                    line: self.lines.of(span.start),
                    column: None,
                    bytes: Some((span.start, span.len())),
                    pointer: finding.pointer,
                };
                self.sarif.add(&result(&finding), &location, &mut self.out)?;
            }
        }
        Ok(())
    }

    fn end(&mut self) -> std::io::Result<()> {
        self.table.flush(&mut self.out)?;
        if self.style == Style::Sarif {
            self.sarif.end(&mut self.out)?;
        }
        self.out.flush()?;
        if self.style == Style::Table {
            writeln!(std::io::stderr(), "{}", summary(&self.entities))?;
        }
        Ok(())
    }
}

impl<W: Write> Sink for Listing<W> {
    fn begin(&mut self, name: &str, format: Format, _: Option<WireFormat>) -> Result<(), InputError> {
        name.clone_into(&mut self.source);
        self.lines = Lines::default();
        let mut redactor = Redactor::new(&self.plan, format);
        redactor.record();
        self.body = Some((redactor, Locator::new(&self.plan, format)));
        Ok(())
    }

    fn push(&mut self, text: Bytes) -> Result<(), InputError> {
        if let Some((redactor, locator)) = &mut self.body {
            if self.style == Style::Sarif {
                self.lines.push(&text, redactor.settled());
            }
            locator.push(text.clone());
            redactor.push(text, &mut self.released)?;
            locator.settle(redactor, &mut self.found);
        }
        self.list()
    }

    fn finish(&mut self) -> Result<(), InputError> {
        if let Some((mut redactor, mut locator)) = self.body.take() {
            redactor.finish(&mut self.released)?;
            locator.settle(&mut redactor, &mut self.found);
            locator.finish(&mut self.found);
        }
        self.list()?;
        Ok(self.out.flush()?)
    }
}

/// Where lines end in what has been read of one input, as far as findings may
/// still come.
#[derive(Default)]
struct Lines {
    read: u64,
    /// Line feeds before those in `ends`.
    gone: u64,
    ends: VecDeque<u64>,
}

/// A finding is told at most so many bytes behind its beginning, long secrets
/// aside, of which the line may be told too high.
const LATEST: u64 = 1 << 17;

impl Lines {
    fn push(&mut self, text: &[u8], settled: u64) {
        let read = self.read;
        self.ends.extend(memchr::memchr_iter(b'\n', text).map(|at| read + at as u64));
        self.read += text.len() as u64;
        let done = self.ends.partition_point(|&end| end < settled.saturating_sub(LATEST));
        self.ends.drain(..done);
        self.gone += done as u64;
    }

    /// From 1.
    fn of(&self, at: u64) -> u64 {
        1 + self.gone + self.ends.partition_point(|&end| end < at) as u64
    }
}

/// Shadow rules are notes: nobody acts on them.
fn result<'a>(finding: &Finding<'a>) -> sarif::Result<'a> {
    let place = finding.pointer.map_or_else(String::new, |pointer| format!(" at {pointer}"));
    sarif::Result {
        rule: finding.rule,
        level: if finding.action == "report" { "note" } else { "error" },
        message: format!("{}{place}, bytes {} to {}", finding.entity, finding.start, finding.end),
        properties: serde_json::to_value(finding).ok(),
    }
}

fn row(finding: &Finding<'_>) -> [String; 7] {
    let pointer = match finding.pointer {
        Some(pointer) if finding.in_name => format!("{pointer} (key)"),
        pointer => pointer.unwrap_or("-").to_owned(),
    };
    [
        finding.source.to_owned(),
        finding.record.to_string(),
        pointer,
        format!("{}-{}", finding.start, finding.end),
        finding.entity.to_owned(),
        match finding.encoding {
            Some(encoding) => format!("{} ({encoding})", finding.rule),
            None => finding.rule.to_owned(),
        },
        finding.action.to_owned(),
    ]
}

fn summary(entities: &BTreeMap<String, u64>) -> String {
    let total: u64 = entities.values().sum();
    let mut parts: Vec<(&String, &u64)> = entities.iter().collect();
    parts.sort_by_key(|(entity, count)| (std::cmp::Reverse(**count), entity.as_str()));
    let parts: Vec<String> = parts.iter().map(|(entity, count)| format!("{count} {entity}")).collect();
    match total {
        0 => "nothing found".to_owned(),
        1 => format!("1 finding: {}", parts.concat()),
        _ => format!("{total} findings: {}", parts.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Policy;
    use crate::rule::Ruleset;
    use crate::scan::Engine;

    fn scan(format: Format, text: &str, style: Style, policy: &Policy) -> String {
        let rule = r#"
            [[rule]]
            id = "acme.key"
            entity = "ACME_KEY"
            category = "credential"
            description = "Acme"
            pattern = 'acme_[a-z0-9]{8}'
            shadow = true
            examples = ["acme_a1b2c3d4"]
            negative_examples = ["acme_"]
            [[override]]
            id = "email.address"
            base64 = true
        "#;
        let ruleset = Ruleset::from_texts(&[("acme.toml".to_owned(), rule.to_owned())]).unwrap();
        let engine = Arc::new(Engine::compile(Arc::new(ruleset)).unwrap());
        let mut listing = Listing {
            actions: Arc::new(Plan::new(Arc::clone(&engine), policy)),
            plan: Arc::new(Plan::new(engine, &Policy::default())),
            source: String::new(),
            body: None,
            released: Vec::new(),
            found: Vec::new(),
            style,
            table: Table::new(COLUMNS, None),
            sarif: sarif::Log::new(),
            lines: Lines::default(),
            out: Vec::new(),
            entities: BTreeMap::new(),
        };
        listing.begin("-", format, None).unwrap();
        listing.push(Bytes::copy_from_slice(text.as_bytes())).unwrap();
        listing.finish().unwrap();
        let mut out = std::mem::take(&mut listing.out);
        listing.table.flush(&mut out).unwrap();
        if style == Style::Sarif {
            listing.sarif.end(&mut out).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_of_jsonl_is_as_the_contract_says() {
        let text = r#"{"text":"mail: jane@example.com !"}"#;
        assert_eq!(
            scan(Format::Json, text, Style::Jsonl, &Policy::default()),
            concat!(
                r#"{"source":"-","record":1,"pointer":"/text","start":6,"end":22,"entity":"EMAIL_ADDRESS","#,
                r#""rule":"email.address","category":"pii","action":"replace"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn names_text_and_shadow_rules_are_told() {
        let name = scan(Format::Json, r#"{"jane@example.com":1}"#, Style::Jsonl, &Policy::default());
        assert!(name.contains(r#""pointer":"/[EMAIL_ADDRESS]","start":0,"#), "{name}");
        let name = scan(Format::Json, r#"{"jane@example.com":1}"#, Style::Table, &Policy::default());
        assert!(name.contains("/[EMAIL_ADDRESS] (key)"), "{name}");
        let text = scan(Format::Text, "mail jane@example.com", Style::Jsonl, &Policy::default());
        assert!(text.contains(r#""record":1,"start":5,"end":21,"#), "{text}");
        let shadow = scan(Format::Text, "acme_a1b2c3d4", Style::Jsonl, &Policy::default());
        assert!(shadow.contains(r#""action":"report""#), "{shadow}");
    }

    #[test]
    fn what_stands_in_base64_is_told_by_the_place_of_its_text() {
        // to a@acme.io and b@acme.io
        let run = "dG8gYUBhY21lLmlvIGFuZCBiQGFjbWUuaW8=";
        let body = format!(r#"{{"text":"x {run}"}}"#);
        let found = scan(Format::Json, &body, Style::Jsonl, &Policy::default());
        let line = concat!(
            r#"{"source":"-","record":1,"pointer":"/text","start":2,"end":38,"entity":"EMAIL_ADDRESS","#,
            r#""rule":"email.address","category":"pii","action":"replace","encoding":"base64"}"#,
            "\n"
        );
        assert_eq!(found, line.repeat(2));
        let named = scan(Format::Json, &format!(r#"{{"{run}":1}}"#), Style::Jsonl, &Policy::default());
        assert_eq!(named.matches(r#""pointer":"/[EMAIL_ADDRESS]","start":0,"end":36,"#).count(), 2, "{named}");
        let text = scan(Format::Text, run, Style::Table, &Policy::default());
        assert_eq!(text.matches("email.address (base64)").count(), 2, "{text}");
    }

    #[test]
    fn a_policy_that_blocks_does_not_end_the_scan() {
        let policy = Policy::always(crate::redact::Treatment::Block);
        let found = scan(Format::Text, "a@example.com b@example.com", Style::Jsonl, &policy);
        assert_eq!(found.matches(r#""action":"block""#).count(), 2, "{found}");
    }

    #[test]
    fn no_value_is_ever_written() {
        let text = r#"{"jane@example.com":{"password":"Violet!3325Harbor","n":4242424242424242}}"#;
        for style in [Style::Table, Style::Jsonl, Style::Sarif] {
            let found = scan(Format::Json, text, style, &Policy::default());
            assert_eq!(found.matches("replace").count(), 3, "{found}");
            for value in ["jane", "example", "Violet", "4242"] {
                assert!(!found.contains(value), "{found}");
            }
        }
    }

    #[test]
    fn sarif_says_the_line() {
        let found = scan(Format::Text, "a\nb\nmail jane@example.com", Style::Sarif, &Policy::default());
        let log: serde_json::Value = serde_json::from_str(&found).unwrap();
        let region = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"];
        assert_eq!(*region, serde_json::json!({"startLine": 3, "byteOffset": 9, "byteLength": 16}));
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"][0]["id"], "email.address");
    }

    #[test]
    fn the_summary_counts_by_entity() {
        let entities = BTreeMap::from([("A".to_owned(), 1), ("B".to_owned(), 3)]);
        assert_eq!(summary(&entities), "4 findings: 3 B, 1 A");
        assert_eq!(summary(&BTreeMap::new()), "nothing found");
    }
}
