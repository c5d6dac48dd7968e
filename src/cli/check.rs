//! `expurgate check`: is everything valid, without listening?

use super::setup::{self, ConfigArgs};
use super::{CliError, Exit};
use crate::config::Offline;
use crate::metrics::Metrics;
use crate::proxy::Proxy;
use crate::redact::{Problem, judge};
use crate::rule::Ruleset;
use crate::scan::Engine;
use crate::server::ServerError;
use std::io::Write;
use std::sync::Arc;

/// Validate the configuration and the rules, without listening.
///
/// Reads the same flags, variables and files as `run`; only the upstream may
/// be missing. Every example and negative example of every rule goes through
/// the real pipeline. Exits with 0 when all is valid, with 2 after telling
/// what is not, with 3 when a file cannot be read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

/// Checks, and says what was checked.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let offline = args.config.load_offline()?;
    let ruleset = setup::offline_ruleset(&offline)?;
    let problems = judge(&ruleset)?;
    if problems.is_empty() {
        check_certificates(&offline, &setup::engine(&ruleset)?)?;
    }
    let told = tell(&problems, &summary(&offline, &ruleset, problems.len()));
    told.map_err(|source| CliError::Io { what: "cannot write to standard output".to_owned(), source })?;
    Ok(if problems.is_empty() { Exit::Clean } else { Exit::Usage })
}

/// Sets up the routes with certificates, which reads them, and lets go of them.
fn check_certificates(offline: &Offline, engine: &Arc<Engine>) -> Result<(), CliError> {
    let rehearsal = offline.rehearsal();
    match Proxy::new(&rehearsal, engine, Arc::new(Metrics::new())) {
        Ok(_) => Ok(()),
        Err(error) => Err(ServerError::from(error).into()),
    }
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
    let rules = ruleset.rules.len();
    format!("{verdict}: {routes}, {rules} rules, {examples} examples, {negative} negative examples")
}
