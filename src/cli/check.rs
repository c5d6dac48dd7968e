//! `expurgate check`: is everything valid, without listening?

use super::exit::unwritable;
use super::junit::{self, Case};
use super::setup::{self, ConfigArgs};
use super::{CliError, Exit, sarif};
use crate::config::Offline;
use crate::content::judge_packs;
use crate::redact::{Problem, judge};
use crate::rule::{Place, Rule, RuleError, Ruleset};
use crate::scan::Engine;
use crate::server::Server;
use std::io::{BufWriter, Write};
use std::sync::Arc;

/// Validate the configuration and the rules, without listening.
///
/// Reads the same flags, variables and files as `run`; only the upstream may
/// be missing, unless there is a [[route]]. Every example and negative example of every rule goes through
/// the real pipeline, and what the actions write is looked at again; so does every
/// example of your own protocol packs. What is wrong with rules is a report, on standard
/// output; what is in the way of it goes to standard error. Exits with 0 when all is valid,
/// with 2 after telling what is not, with 3 when a file cannot be read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// text, sarif (2.1.0) or junit
    #[arg(long, value_name = "OUTPUT", default_value = "text")]
    output: Style,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Style {
    Text,
    Sarif,
    Junit,
}

/// Checks, and says what was checked.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let offline = args.config.load_offline()?;
    offline.check_upstreams()?;
    let ruleset = match setup::offline_ruleset(&offline) {
        Err(CliError::Rule(error)) if args.output != Style::Text => {
            let mistakes = mistakes(&error)?;
            report(args.output, &[], &mistakes).map_err(unwritable)?;
            return Ok(Exit::Usage);
        }
        ruleset => ruleset?,
    };
    let mut problems = judge(&ruleset)?;
    if problems.is_empty() {
        let engine = setup::engine(&ruleset)?;
        problems = judge_packs(&engine, offline.packs());
        offline.check_actions(&engine)?;
        check_certificates(&offline, &engine)?;
    }
    let told = match args.output {
        Style::Text => tell(&problems, &summary(&offline, &ruleset, problems.len())),
        style => report(style, &ruleset.rules, &problems),
    };
    told.map_err(unwritable)?;
    Ok(if problems.is_empty() { Exit::Clean } else { Exit::Usage })
}

/// The mistakes in rule files in the form of problems.
fn mistakes(error: &RuleError) -> Result<Vec<Problem>, CliError> {
    match error {
        RuleError::Several(errors) => {
            let each: Result<Vec<_>, _> = errors.iter().map(mistakes).collect();
            Ok(each?.concat())
        }
        RuleError::Invalid { path, line, column, message } => {
            let place = Place { source: path.as_str().into(), line: *line, column: *column };
            Ok(vec![Problem { place, rule: "rule-file".to_owned(), message: message.clone() }])
        }
        RuleError::Read { path, source } => {
            let source = std::io::Error::new(source.kind(), source.to_string());
            Err(CliError::Io { what: format!("{path}: cannot be read"), source })
        }
    }
}

fn report(style: Style, rules: &[Rule], problems: &[Problem]) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::io::stdout());
    if style == Style::Junit {
        junit::write("expurgate check", &cases(rules, problems), &mut out)?;
        return out.flush();
    }
    let mut log = sarif::Log::new();
    for problem in problems {
        if let Some(rule) = rules.iter().find(|rule| rule.id == problem.rule) {
            log.describe(rule);
        }
        let result =
            sarif::Result { rule: &problem.rule, level: "error", message: problem.message.clone(), properties: None };
        let place = &problem.place;
        let (line, column) = (place.line as u64, Some(place.column as u64));
        let location = sarif::Location { file: &place.source, line, column, bytes: None, pointer: None };
        log.add(&result, &location, &mut out)?;
    }
    log.end(&mut out)?;
    out.flush()
}

/// One test per rule; where no rule could be read, one per mistake.
fn cases(rules: &[Rule], problems: &[Problem]) -> Vec<Case> {
    let of_rule = |rule: &Rule| Case {
        class: rule.place.source.to_string(),
        name: rule.id.clone(),
        line: rule.place.line,
        failures: problems.iter().filter(|problem| problem.rule == rule.id).map(Problem::on_one_line).collect(),
    };
    let stray = problems.iter().filter(|problem| !rules.iter().any(|rule| rule.id == problem.rule));
    let of_problem = |problem: &Problem| Case {
        class: problem.place.source.to_string(),
        name: problem.rule.clone(),
        line: problem.place.line,
        failures: vec![problem.on_one_line()],
    };
    rules.iter().map(of_rule).chain(stray.map(of_problem)).collect()
}

/// Sets up the listener and the routes with certificates, which reads them, and lets go of them.
fn check_certificates(offline: &Offline, engine: &Arc<Engine>) -> Result<(), CliError> {
    Ok(Server::rehearse(&offline.rehearsal(), engine).map_err(|error| error.placed(offline.as_written()))?)
}

fn tell(problems: &[Problem], summary: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for problem in problems {
        writeln!(out, "{}", problem.on_one_line())?;
    }
    writeln!(out, "{summary}")
}

fn summary(offline: &Offline, ruleset: &Ruleset, problems: usize) -> String {
    let examples: usize = ruleset.rules.iter().map(|rule| rule.examples.len()).sum();
    let negative: usize = ruleset.rules.iter().map(|rule| rule.negative_examples.len()).sum();
    let verdict = match problems {
        0 => "valid".to_owned(),
        1 => "1 problem".to_owned(),
        _ => format!("{problems} problems"),
    };
    let routes = match offline.complete().map_or(0, |config| config.routes.len()) {
        0 => "no upstream".to_owned(),
        1 => "1 route".to_owned(),
        routes => format!("{routes} routes"),
    };
    let packs = match offline.packs().len() {
        0 => String::new(),
        1 => ", 1 protocol pack".to_owned(),
        packs => format!(", {packs} protocol packs"),
    };
    let rules = ruleset.rules.len();
    format!("{verdict}: {routes}, {rules} rules, {examples} examples, {negative} negative examples{packs}")
}
