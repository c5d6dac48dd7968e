//! `expurgate rules list`: what is looked for.

use crate::cli::exit::unwritable;
use crate::cli::setup::{RuleArgs, offline_ruleset};
use crate::cli::table::{self, Style, Table, stdout_width};
use crate::cli::{CliError, Exit};
use crate::rule::{Matcher, Rule, Ruleset};
use serde::Serialize;
use std::io::{BufWriter, Write};

/// List all rules, disabled ones too.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// table or json
    #[arg(long, value_name = "OUTPUT", default_value = "table")]
    output: Style,
    #[command(flatten)]
    rules: RuleArgs,
}

/// Lists them.
pub(in crate::cli) fn run(args: &Args) -> Result<Exit, CliError> {
    let ruleset = offline_ruleset(&args.rules.load()?)?;
    let mut out = BufWriter::new(std::io::stdout());
    let written = match args.output {
        Style::Table => write_table(&ruleset, stdout_width(), &mut out),
        Style::Json => write_json(&ruleset, &mut out),
    };
    written.and_then(|()| out.flush()).map_err(unwritable)?;
    Ok(Exit::Clean)
}

/// One rule as `--output json` has it.
#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    entity: &'a str,
    category: &'a str,
    kind: &'a str,
    state: &'a str,
    source: &'a str,
    description: &'a str,
}

/// Whether a rule acts, counts or does nothing.
pub(super) const fn state(rule: &Rule) -> &'static str {
    match (rule.enabled, rule.shadow) {
        (false, _) => "disabled",
        (true, true) => "shadow",
        (true, false) => "on",
    }
}

fn listed(rule: &Rule) -> Listed<'_> {
    Listed {
        id: &rule.id,
        entity: &rule.entity,
        category: rule.category.name(),
        kind: match rule.matcher {
            Matcher::Pattern(_) => "pattern",
            Matcher::Detector(_) => "detector",
            Matcher::Key(_) => "key",
        },
        state: state(rule),
        source: &rule.place.source,
        description: &rule.description,
    }
}

fn write_table(ruleset: &Ruleset, width: Option<usize>, out: &mut impl Write) -> std::io::Result<()> {
    let mut table = Table::new(&["ID", "ENTITY", "CATEGORY", "STATE", "SOURCE", "DESCRIPTION"], width);
    for rule in ruleset.rules.iter().map(listed) {
        let cells = [rule.id, rule.entity, rule.category, rule.state, rule.source, rule.description];
        table.add(out, &cells.map(str::to_owned))?;
    }
    table.flush(out)
}

fn write_json(ruleset: &Ruleset, out: &mut impl Write) -> std::io::Result<()> {
    let rules: Vec<Listed<'_>> = ruleset.rules.iter().map(listed).collect();
    table::write_json(&rules, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_listed_once_in_both_forms() {
        let ruleset = Ruleset::builtin().unwrap();
        let (mut table, mut json) = (Vec::new(), Vec::new());
        write_table(&ruleset, Some(100), &mut table).unwrap();
        write_json(&ruleset, &mut json).unwrap();
        let table = String::from_utf8(table).unwrap();
        assert_eq!(table.lines().count(), ruleset.rules.len() + 1);
        assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
        let json: Vec<serde_json::Value> = serde_json::from_slice(&json).unwrap();
        assert_eq!(json.len(), ruleset.rules.len());
        assert!(json.iter().any(|rule| rule["id"] == "email.address" && rule["state"] == "on"));
    }
}
