//! `expurgate schema`: what may stand in a file, for editors and for CI.

use super::exit::unwritable;
use super::{CliError, Exit};
use crate::{config, rule};
use std::io::Write;

/// Print the JSON Schema of a kind of file.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// config, rules or protocol
    #[arg(value_name = "KIND")]
    kind: Kind,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    Config,
    Rules,
    Protocol,
}

/// Prints it.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let schema = match args.kind {
        Kind::Config => config::schema(),
        Kind::Rules => rule::schema(),
        Kind::Protocol => rule::protocol::schema(),
    };
    writeln!(std::io::stdout(), "{schema:#}").map_err(unwritable)?;
    Ok(Exit::Clean)
}
