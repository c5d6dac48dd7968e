//! `expurgate rules`: what is looked for, and whether it works.

mod import;
mod list;
mod profile;
mod sample;
mod show;
mod table;
mod test;

use super::{CliError, Exit};

/// List, show, test and import rules.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List all rules, disabled ones too
    List(list::Args),
    /// Show one rule as it is in force
    Show(show::Args),
    /// Show what each rule costs
    Profile(profile::Args),
    /// Run the tests that rules carry
    Test(test::Args),
    /// Convert rules of gitleaks
    Import(import::Args),
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    match &args.command {
        Command::List(args) => list::run(args),
        Command::Show(args) => show::run(args),
        Command::Profile(args) => profile::run(args),
        Command::Test(args) => test::run(args),
        Command::Import(args) => import::run(args),
    }
}
