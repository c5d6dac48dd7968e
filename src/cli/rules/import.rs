//! `expurgate rules import`: rules of gitleaks as rules of ours.

use super::sample::sample;
use super::table::table;
use crate::cli::exit::unwritable;
use crate::cli::{CliError, Exit};
use crate::redact::{Format, Plan, Policy, find, test};
use crate::rule::gitleaks::{self, ImportedRule, Note, PROXIMITY};
use crate::rule::{Allow, Allowed, Rule, Ruleset};
use crate::scan::Engine;
use serde_json::{Value, json};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// Convert rules of gitleaks.
///
/// Writes a rule file to standard output, and what could not be converted, or
/// not wholly, to standard error, with lines of the input. Examples are made up
/// from the patterns: look at them. Exits with 1 when a rule is left out.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A configuration file of gitleaks (TOML)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write shadow = true into each rule, to see what they would find
    #[arg(long)]
    shadow: bool,
}

/// Texts that are tried as examples.
const TRIES: u64 = 60;

/// Converts the file.
pub(in crate::cli) fn run(args: &Args) -> Result<Exit, CliError> {
    let path = args.file.display().to_string();
    let text = std::fs::read_to_string(&args.file)
        .map_err(|source| CliError::Io { what: format!("cannot read {path}"), source })?;
    let mut import = gitleaks::import(&path, &text)?;
    let mut out = BufWriter::new(std::io::stdout());
    let (mut written, mut lost) = (0_usize, Vec::new());
    for rule in &import.rules {
        match converted(rule, args.shadow) {
            Ok(text) => {
                let gap = if written > 0 { "\n" } else { "" };
                write!(out, "{gap}{text}").map_err(unwritable)?;
                written += 1;
            }
            Err(message) => lost.push(Note::lost(rule, message)),
        }
    }
    out.flush().map_err(unwritable)?;
    import.notes.append(&mut lost);
    import.notes.sort_by_key(|note| note.line);
    tell(&path, &import.notes, written);
    let lost = import.notes.iter().any(|note| note.lost);
    Ok(if lost { Exit::Findings } else { Exit::Clean })
}

fn tell(path: &str, notes: &[Note], written: usize) {
    // Without a standard error there is nobody to tell.
    let mut error = std::io::stderr().lock();
    for Note { line, rule, message, lost, .. } in notes {
        let kind = if *lost { "not converted" } else { "note" };
        let rule = rule.as_ref().map_or_else(String::new, |rule| format!("{rule}: "));
        let _ = writeln!(error, "{path}:{line}: {kind}: {rule}{message}");
    }
    let lost = notes.iter().filter(|note| note.lost).count();
    let rules = if written == 1 { "rule" } else { "rules" };
    let _ = writeln!(error, "{written} {rules} converted, {lost} not");
}

/// The rule as a table of a rule file that loads, and passes its own tests.
fn converted(rule: &ImportedRule, shadow: bool) -> Result<String, String> {
    let probe = ruleset(&file(rule, shadow, &json!("x"), "x"))?;
    let parsed = probe.rules.first().ok_or("it cannot be read")?;
    let alone = Ruleset { rules: vec![Rule { shadow: false, ..parsed.clone() }], hash: String::new() };
    let engine = Engine::compile(Arc::new(alone)).map_err(|error| error.to_string())?;
    let plan = Arc::new(Plan::new(Arc::new(engine), &Policy::default()));
    let keyword = rule.keywords.first().map_or_else(String::new, |keyword| format!("{keyword} "));
    for seed in 0..TRIES {
        let Some(sampled) = sample(&rule.pattern, seed) else { continue };
        let text = format!("{keyword}{sampled}");
        let found = find(&plan, Format::Text, text.as_bytes()).unwrap_or_default();
        let [one] = found.as_slice() else { continue };
        let at = |place: u64| usize::try_from(place).unwrap_or(0);
        let Some(value) = text.get(at(one.span.start)..at(one.span.end)) else { continue };
        let example = if value == text { json!(text) } else { json!({"text": text, "finds": value}) };
        for negative in negatives(&text, value, &rule.id) {
            let written = file(rule, shadow, &example, &negative);
            if passes(&written) {
                return Ok(written);
            }
        }
    }
    Err("no example could be made up for its pattern; write one, and the rule, by hand".to_owned())
}

/// Texts that look alike: cut short, masked, and at last the rule's name.
fn negatives(text: &str, value: &str, id: &str) -> [String; 3] {
    let short: String = value.chars().take(value.chars().count() / 2).collect();
    [text.replacen(value, &short, 1), text.replacen(value, "****", 1), id.to_owned()]
}

fn passes(file: &str) -> bool {
    let Ok(ruleset) = ruleset(file) else { return false };
    let tested = test(&ruleset, |_| true);
    tested.is_ok_and(|tested| tested.into_iter().all(|rule| rule.into_problems().next().is_none()))
}

fn ruleset(file: &str) -> Result<Ruleset, String> {
    Ruleset::from_texts_alone(&[("import.toml".to_owned(), file.to_owned())]).map_err(|error| error.to_string())
}

fn file(rule: &ImportedRule, shadow: bool, example: &Value, negative: &str) -> String {
    let mut fields = json!({
        "id": rule.id,
        "entity": rule.entity,
        "category": "credential",
        "description": rule.description,
        "pattern": rule.pattern,
    });
    if rule.random {
        fields["validator"] = json!("random");
    }
    if !rule.keywords.is_empty() {
        (fields["keywords"], fields["proximity"]) = (json!(rule.keywords), json!(PROXIMITY));
    }
    let entry = |allow: &Allow| match (&allow.what, &allow.reason) {
        (Some(Allowed::Pattern(pattern)), Some(reason)) => Some(json!({"pattern": pattern, "reason": reason})),
        (Some(Allowed::Pattern(pattern)), None) => Some(json!(pattern)),
        _ => None,
    };
    let allow: Vec<Value> = rule.allow.iter().filter_map(entry).collect();
    if !allow.is_empty() {
        fields["allow"] = json!(allow);
    }
    if shadow {
        fields["shadow"] = json!(true);
    }
    (fields["examples"], fields["negative_examples"]) = (json!([example]), json!([negative]));
    fields.as_object().map_or_else(String::new, |fields| table("rule", fields))
}
