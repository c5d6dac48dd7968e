//! `expurgate check`: is everything valid, without listening?

use super::setup::{ConfigArgs, configured_engine, load_engine, rules_or_environment};
use super::{CliError, Exit};
use crate::config::Config;
use crate::redact::{Problem, judge};
use crate::rule::Ruleset;
use std::io::Write;

/// Validate the configuration and the rules, without listening.
///
/// Reads the same flags, variables and files as `run`; without a configuration
/// only the rules are checked. Every example and negative example of every
/// rule goes through the real pipeline. Exits with 0 when all is valid, with 2
/// after telling what is not, with 3 when a file cannot be read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Checks, and says what was checked.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let config = if args.config.has_routes() { Some(args.config.load()?) } else { None };
    for name in config.iter().flat_map(|config| &config.ignored) {
        // Without a standard error there is nobody to warn.
        let _ = writeln!(std::io::stderr(), "warning: the environment variable {name} is not known");
    }
    let engine = match &config {
        Some(config) => configured_engine(config)?,
        None => load_engine(&rules_or_environment(args.config.rules()))?,
    };
    let ruleset = engine.ruleset();
    if let Some(config) = &config {
        config.check_entities(ruleset)?;
    }
    let problems = judge(ruleset)?;
    let told = tell(&problems, &summary(config.as_ref(), ruleset, problems.len()));
    told.map_err(|source| CliError::Io { what: "cannot write to standard output".to_owned(), source })?;
    Ok(if problems.is_empty() { Exit::Clean } else { Exit::Usage })
}

fn tell(problems: &[Problem], summary: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for problem in problems {
        // A text of several lines stays on one.
        writeln!(out, "{}", problem.to_string().replace('\n', "\\n"))?;
    }
    writeln!(out, "{summary}")
}

fn summary(config: Option<&Config>, ruleset: &Ruleset, problems: usize) -> String {
    let examples: usize = ruleset.rules.iter().map(|rule| rule.examples.len()).sum();
    let negative: usize = ruleset.rules.iter().map(|rule| rule.negative_examples.len()).sum();
    let verdict = match problems {
        0 => "valid".to_owned(),
        1 => "1 problem".to_owned(),
        _ => format!("{problems} problems"),
    };
    let routes = match config.map_or(0, |config| config.routes.len()) {
        0 => String::new(),
        1 => "1 route, ".to_owned(),
        routes => format!("{routes} routes, "),
    };
    let rules = ruleset.rules.len();
    format!("{verdict}: {routes}{rules} rules, {examples} examples, {negative} negative examples")
}
