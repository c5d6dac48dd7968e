//! The commands.
//!
//! Each has a file of its own with its arguments and a `run` function that
//! ends in an [`Exit`] or a [`CliError`]; here they are only listed.

mod check;
mod coding;
mod demo;
mod diff;
mod exit;
mod explain;
mod framing;
mod inject;
mod input;
mod junit;
mod knobs;
mod log;
mod near;
mod preview;
mod progress;
mod protocols;
mod redact;
mod rules;
mod run;
mod sarif;
mod scan;
mod schema;
mod setup;
mod table;
mod verify;
mod webhook;

pub use exit::{CliError, Exit};
pub use input::InputError;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// What `--version` tells; `-V` tells the version alone.
const LONG_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (revision ", env!("EXPURGATE_REVISION"), ")");

/// Keeps personal data and credentials out of what your agents report.
///
/// A streaming proxy: point an SDK at it, and e-mail addresses, phone numbers
/// and credentials are redacted before its requests go on to the upstream.
#[derive(Debug, Parser)]
#[command(name = "expurgate", version, long_version = LONG_VERSION, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy
    Run(run::Args),
    /// Redact files or standard input to standard output
    Redact(redact::Args),
    /// List what would be redacted in files or standard input
    Scan(scan::Args),
    /// Tell why something is found, or why not
    Explain(explain::Args),
    /// Compare what two rule sets find
    Diff(diff::Args),
    /// Validate configuration and rules without listening
    Check(check::Args),
    /// Show the proxy at work, in half a minute
    Demo(demo::Args),
    /// List, show, test and import rules
    Rules(rules::Args),
    /// List and show protocol packs
    Protocols(protocols::Args),
    /// Add the sidecar to Kubernetes manifests
    Inject(inject::Args),
    /// List pods that should have the sidecar and do not
    Verify(verify::Args),
    /// Run the admission webhook that adds the sidecar to new pods
    Webhook(webhook::Args),
    /// Print the JSON Schema of a kind of file
    Schema(schema::Args),
}

/// The command line, to hold documents to it.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // clap itself ends the process for --help (0) and wrong usage (2).
    let result = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Redact(args) => redact::run(&args),
        Command::Scan(args) => scan::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Protocols(args) => protocols::run(&args),
        Command::Inject(args) => inject::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Webhook(args) => webhook::run(&args),
        Command::Schema(args) => schema::run(&args),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            error.print();
            error.exit().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
