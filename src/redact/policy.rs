//! Which action for which entity.

use super::{Mask, Pseudonym, Template};
use crate::rule::protocol::Protected;
use crate::rule::{Category, Rule};
use crate::scan::Written;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What is done with a finding, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// A label such as `[ENTITY]` in its place.
    Replace,
    /// Characters in place of its characters.
    Mask,
    /// A pseudonym in its place, the same for the same value.
    Hash,
    /// Nothing in its place.
    Remove,
    /// The whole request is refused.
    Block,
    /// Counted, not changed.
    Report,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 6] = [Self::Replace, Self::Mask, Self::Hash, Self::Remove, Self::Block, Self::Report];

    /// The name used in configuration, metrics and `scan` output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Mask => "mask",
            Self::Hash => "hash",
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
        Self::ALL.into_iter().find(|action| action.name() == name).ok_or_else(|| UnknownAction(name.to_owned()))
    }
}

/// An action's name that is not known.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown action \"{0}\"; use \"replace\", \"mask\", \"hash\", \"remove\", \"block\" or \"report\"")]
pub struct UnknownAction(String);

/// An action with all that it takes to do it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// This text.
    Replace(Template),
    /// This mask.
    Mask(Mask),
    /// A hash under this key.
    Hash(Pseudonym),
    /// Nothing.
    Remove,
    /// The whole request is refused.
    Block,
    /// Counted only.
    Report,
}

impl Treatment {
    /// The action.
    pub const fn action(&self) -> Action {
        match self {
            Self::Replace(_) => Action::Replace,
            Self::Mask(_) => Action::Mask,
            Self::Hash(_) => Action::Hash,
            Self::Remove => Action::Remove,
            Self::Block => Action::Block,
            Self::Report => Action::Report,
        }
    }

    /// Tells what it writes for findings of `rule`, if that is not the usual label; of
    /// pseudonyms, what it would write with other `keys` too.
    pub(super) fn tell(&self, rule: &Rule, keys: &[String], written: &mut Written) {
        match self {
            Self::Replace(template) if *template == Template::default() => {}
            Self::Replace(template) => written.add_label(&template.render(rule)),
            Self::Mask(mask) => {
                let (character, first, last) = mask.shape();
                written.add_mask(character, first, last);
            }
            Self::Hash(pseudonym) => {
                let keys = keys.iter().map(String::as_str).chain([pseudonym.key()]);
                keys.for_each(|key| written.add_pseudonym(&rule.entity, key));
            }
            Self::Remove | Self::Block | Self::Report => {}
        }
    }
}

impl Default for Treatment {
    fn default() -> Self {
        Self::Replace(Template::default())
    }
}

/// The actions of one route: the first that fits a finding is taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// By entity name, such as `EMAIL_ADDRESS`.
    pub entities: BTreeMap<String, Treatment>,
    /// For all entities of a category.
    pub categories: BTreeMap<Category, Treatment>,
    /// For all others.
    pub default: Treatment,
    /// What the protocol pack of the route protects: nothing is done there.
    pub protected: Arc<[Protected]>,
    /// The names of all keys there are. Pseudonyms of those that are not in use any more,
    /// or not yet, are known too.
    pub keys: Arc<[String]>,
}

impl Policy {
    /// The same for everything.
    pub fn always(treatment: Treatment) -> Self {
        Self { default: treatment, ..Self::default() }
    }

    /// The usual labels for everything that this policy does not protect.
    #[must_use]
    pub fn labelling(&self) -> Self {
        Self { protected: Arc::clone(&self.protected), ..Self::default() }
    }

    /// Whether it has the same actions, whatever it protects.
    pub fn acts_as(&self, other: &Self) -> bool {
        (&self.entities, &self.categories, &self.default) == (&other.entities, &other.categories, &other.default)
    }

    /// What to do with what `rule` finds.
    pub fn treatment(&self, rule: &Rule) -> &Treatment {
        let of_entity = self.entities.get(&rule.entity);
        of_entity.or_else(|| self.categories.get(&rule.category)).unwrap_or(&self.default)
    }

    /// The key of the configuration that says so: an entity, a category or
    /// `default`.
    pub fn key_for<'a>(&self, rule: &'a Rule) -> &'a str {
        match rule {
            _ if self.entities.contains_key(&rule.entity) => &rule.entity,
            _ if self.categories.contains_key(&rule.category) => rule.category.name(),
            _ => "default",
        }
    }
}
