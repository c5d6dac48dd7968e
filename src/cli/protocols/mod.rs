//! `expurgate protocols`: which upstreams are known, and what of them.

mod list;
mod show;

use super::setup::RuleArgs;
use super::{CliError, Exit};
use crate::rule::protocol::Packs;

/// List and show protocol packs.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List all packs
    List(list::Args),
    /// Show the file of one pack
    Show(show::Args),
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Show(args) => show::run(args),
    }
}

/// All packs, the user's own among them.
fn packs(args: &RuleArgs) -> Result<Packs, CliError> {
    let mut packs = Packs::builtin()?;
    packs.add(args.load()?.packs());
    Ok(packs)
}
