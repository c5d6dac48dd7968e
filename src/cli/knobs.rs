//! The flags of `inject` and `webhook` that say what a sidecar is like: of the same
//! table as the annotations of pods.

use crate::manifest::{KNOBS, Knob, Settings};
use clap::{Arg, ArgMatches, Command, Error};

/// What is set for all pods.
#[derive(Clone, Debug, Default)]
pub(super) struct Knobs(pub(super) Settings);

fn flags() -> impl Iterator<Item = &'static Knob> {
    KNOBS.iter().filter(|knob| knob.is_flag)
}

impl clap::Args for Knobs {
    fn augment_args(command: Command) -> Command {
        command.args(flags().map(|knob| {
            let default = match knob.default {
                "" => String::new(),
                default => format!(" [default: {default}]"),
            };
            let help = format!("{}{default}", knob.meaning);
            Arg::new(knob.name).long(knob.name).value_name(knob.value).help(help)
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Knobs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = |knob: &'static Knob| Some((knob.name, matches.get_one::<String>(knob.name)?.clone()));
        Ok(Self(flags().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
