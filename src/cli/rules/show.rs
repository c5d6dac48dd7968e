//! `expurgate rules show`: one rule as it is in force, and what made it so.

use super::list::state;
use super::table::table;
use crate::cli::exit::unwritable;
use crate::cli::setup::{RuleArgs, offline_ruleset, unknown_rule};
use crate::cli::{CliError, Exit};
use crate::rule::{Allow, Allowed, Example, Matcher, PathPattern, Rule};
use serde_json::{Value, json};
use std::io::Write;

/// Show one rule as it is in force, with all overrides applied.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The rule's id; `expurgate rules list` lists them
    #[arg(value_name = "ID")]
    id: String,
    /// toml or json
    #[arg(long, value_name = "OUTPUT", default_value = "toml")]
    output: Style,
    #[command(flatten)]
    rules: RuleArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Style {
    Toml,
    Json,
}

/// Shows it.
pub(in crate::cli) fn run(args: &Args) -> Result<Exit, CliError> {
    let ruleset = offline_ruleset(&args.rules.load()?)?;
    let unknown = || unknown_rule(&args.id, &ruleset);
    let rule = ruleset.rules.iter().find(|rule| rule.id == args.id).ok_or_else(unknown)?;
    let shown = match args.output {
        Style::Json => format!("{:#}\n", json(rule)),
        Style::Toml => toml(rule),
    };
    std::io::stdout().write_all(shown.as_bytes()).map_err(unwritable)?;
    Ok(Exit::Clean)
}

/// A rule file with this rule, behind comments about where it comes from.
fn toml(rule: &Rule) -> String {
    let kind = if matches!(rule.matcher, Matcher::Key(_)) { "key" } else { "rule" };
    let written = fields(rule).as_object().map_or_else(String::new, |fields| table(kind, fields));
    let changes: String = rule.changed_at().iter().map(|place| format!("# changed at {place}\n")).collect();
    format!("# {}, {}\n{changes}{written}", rule.place, state(rule))
}

fn json(rule: &Rule) -> Value {
    let mut shown = fields(rule);
    shown["state"] = json!(state(rule));
    shown["source"] = json!(rule.place.to_string());
    shown["changed_at"] = rule.changed_at().iter().map(ToString::to_string).collect();
    shown
}

/// The fields of a rule file that are not as they are by default.
fn fields(rule: &Rule) -> Value {
    let mut shown = json!({
        "id": rule.id,
        "entity": rule.entity,
        "category": rule.category.name(),
        "description": rule.description,
    });
    match &rule.matcher {
        Matcher::Pattern(pattern) => shown["pattern"] = json!(pattern),
        Matcher::Detector(detector) => shown["detector"] = json!(detector.name()),
        Matcher::Key(names) => shown["names"] = json!(names),
    }
    let paths = |paths: &[PathPattern]| paths.iter().map(PathPattern::source).collect::<Value>();
    let lists: [(&str, Value); 9] = [
        ("keywords", json!(rule.keywords)),
        ("unless", json!(rule.unless)),
        ("allow", rule.allow.iter().map(allow).collect()),
        ("paths", paths(&rule.paths)),
        ("exclude_paths", paths(&rule.exclude_paths)),
        ("profiles", rule.profiles.iter().map(|profile| profile.name()).collect()),
        ("examples", rule.examples.iter().map(example).collect()),
        ("negative_examples", rule.negative_examples.iter().map(example).collect()),
        ("references", json!(rule.references)),
    ];
    if let Some(validator) = rule.validator {
        shown["validator"] = json!(validator.name());
    }
    if !rule.keywords.is_empty() {
        shown["proximity"] = json!(rule.proximity);
    }
    let is_key = matches!(rule.matcher, Matcher::Key(_));
    for (name, flag, usual) in [
        ("numbers", rule.numbers, false),
        ("base64", rule.base64, false),
        ("enabled", rule.enabled, true),
        ("shadow", rule.shadow, false),
    ] {
        if flag != usual && !(is_key && name == "numbers") {
            shown[name] = json!(flag);
        }
    }
    shown["priority"] = json!(rule.priority);
    for (name, list) in lists {
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            shown[name] = list;
        }
    }
    shown
}

fn allow(allow: &Allow) -> Value {
    let mut shown = match &allow.what {
        Some(Allowed::Pattern(pattern)) if allow.path.is_none() && allow.reason.is_none() => return json!(pattern),
        Some(Allowed::Pattern(pattern)) => json!({"pattern": pattern}),
        Some(Allowed::Value(value)) => json!({"value": value}),
        None => json!({}),
    };
    if let Some(path) = &allow.path {
        shown["path"] = json!(path.source());
    }
    if let Some(reason) = &allow.reason {
        shown["reason"] = json!(reason);
    }
    shown
}

fn example(example: &Example) -> Value {
    let mut shown = json!({"text": example.text});
    match (&example.finds, &example.path) {
        (None, None) => return json!(example.text),
        (finds, path) => {
            for (name, part) in [("finds", finds), ("path", path)] {
                if let Some(part) = part {
                    shown[name] = json!(part);
                }
            }
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Ruleset;

    #[test]
    fn every_built_in_rule_is_shown_as_a_file_that_loads_to_the_same_rule() {
        let builtin = Ruleset::builtin().unwrap();
        let file: String = builtin.rules.iter().map(toml).collect();
        let again = Ruleset::from_texts(&[("shown.toml".to_owned(), file)]).unwrap();
        assert_eq!(again.hash, builtin.hash);
    }
}
