//! `expurgate protocols show`: the file of one pack, to begin one's own with.

use super::packs;
use crate::cli::exit::unwritable;
use crate::cli::setup::RuleArgs;
use crate::cli::{CliError, Exit};
use std::io::Write;

/// Show the file of one pack.
///
/// A copy of it, changed, is a pack of your own: give it with --protocols.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The pack's name
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    rules: RuleArgs,
}

/// Shows it.
pub(in crate::cli) fn run(args: &Args) -> Result<Exit, CliError> {
    let packs = packs(&args.rules)?;
    let pack = packs.find(&args.name).map_err(CliError::Usage)?;
    write!(std::io::stdout(), "{}", pack.text).map_err(unwritable)?;
    Ok(Exit::Clean)
}
