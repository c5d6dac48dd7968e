//! Which action for which entity.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What is done with a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// `[ENTITY]` in its place.
    Replace,
    /// Nothing in its place.
    Remove,
    /// The whole request is refused.
    Block,
    /// Counted, not changed.
    Report,
}

impl Action {
    /// The name used in configuration, metrics and `scan` output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Remove => "remove",
            Self::Block => "block",
            Self::Report => "report",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Replace, Self::Remove, Self::Block, Self::Report]
            .into_iter()
            .find(|action| action.name() == name)
            .ok_or_else(|| UnknownAction(name.to_owned()))
    }
}

/// An action's name that is not known.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown action \"{0}\"; use \"replace\", \"remove\", \"block\" or \"report\"")]
pub struct UnknownAction(String);

/// The actions of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// For entities not named in `entities`.
    pub default: Action,
    /// By entity name, such as `EMAIL_ADDRESS`.
    pub entities: BTreeMap<String, Action>,
}

impl Policy {
    /// What to do with a finding of `entity`.
    pub fn action(&self, entity: &str) -> Action {
        self.entities.get(entity).copied().unwrap_or(self.default)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { default: Action::Replace, entities: BTreeMap::new() }
    }
}
