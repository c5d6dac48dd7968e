//! How an action is written: by its name, or as a table with its options.
//!
//! ```toml
//! EMAIL_ADDRESS = "hash"
//! CREDIT_CARD = { action = "mask", keep_last = 4 }
//! ```

use super::keys::Keys;
use crate::redact::{Action, Mask, Policy, Pseudonym, Template, Treatment};
use crate::rule::Category;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// An action as it is written: valid in itself; its key is not looked up yet.
#[derive(Clone, Debug)]
pub(super) enum ActionSpec {
    /// Needs no key.
    Ready(Treatment),
    /// `hash`, with what differs from the `[hash]` section.
    Hash { key: Option<String>, bits: Option<u32> },
}

/// The keys of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(deserialize_with = "action")]
    action: Action,
    template: Option<String>,
    character: Option<char>,
    keep_first: Option<u32>,
    keep_last: Option<u32>,
    same_length: Option<bool>,
    length: Option<u32>,
    key: Option<String>,
    bits: Option<u32>,
}

impl Options {
    /// An action without options.
    fn of(action: Action) -> Self {
        Self {
            action,
            template: None,
            character: None,
            keep_first: None,
            keep_last: None,
            same_length: None,
            length: None,
            key: None,
            bits: None,
        }
    }

    /// The options that are given, with the action that they belong to.
    fn given(&self) -> impl Iterator<Item = (&'static str, Action)> {
        let given = [
            ("template", Action::Replace, self.template.is_some()),
            ("character", Action::Mask, self.character.is_some()),
            ("keep_first", Action::Mask, self.keep_first.is_some()),
            ("keep_last", Action::Mask, self.keep_last.is_some()),
            ("same_length", Action::Mask, self.same_length.is_some()),
            ("length", Action::Mask, self.length.is_some()),
            ("key", Action::Hash, self.key.is_some()),
            ("bits", Action::Hash, self.bits.is_some()),
        ];
        given.into_iter().filter(|(.., given)| *given).map(|(option, action, _)| (option, action))
    }

    fn build(self) -> Result<ActionSpec, String> {
        if let Some((option, action)) = self.given().find(|(_, action)| *action != self.action) {
            return Err(format!("\"{option}\" is an option of \"{action}\", not of \"{}\"", self.action));
        }
        Ok(ActionSpec::Ready(match self.action {
            Action::Hash => {
                if let Some(bits) = self.bits {
                    Pseudonym::check_bits(bits)?;
                }
                return Ok(ActionSpec::Hash { key: self.key, bits: self.bits });
            }
            Action::Replace => match &self.template {
                Some(template) => Treatment::Replace(template.parse::<Template>()?),
                None => Treatment::default(),
            },
            Action::Mask => Treatment::Mask(self.mask()?),
            Action::Remove => Treatment::Remove,
            Action::Block => Treatment::Block,
            Action::Report => Treatment::Report,
        }))
    }

    fn mask(&self) -> Result<Mask, String> {
        let mut mask = Mask::default();
        if let Some(character) = self.character {
            mask = mask.with_character(character)?;
        }
        mask = mask.keeping(self.keep_first.unwrap_or(0), self.keep_last.unwrap_or(0))?;
        match (self.length, self.same_length) {
            (Some(_), Some(true)) => Err("a mask has either \"length\" or \"same_length\"".to_owned()),
            (Some(length), _) => mask.of_length(length),
            (None, Some(true)) => Ok(mask.of_same_length()),
            (None, _) => Ok(mask),
        }
    }
}

impl<'de> Deserialize<'de> for ActionSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Options;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an action, like \"mask\" or { action = \"mask\", keep_last = 4 }")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Options, E> {
                name.parse().map(Options::of).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Options, A::Error> {
                Options::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_any(Either)?.build().map_err(de::Error::custom)
    }
}

fn action<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Action, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

/// The policy of a route; a mistake comes with the key that it is under.
pub(super) fn policy(actions: &BTreeMap<String, ActionSpec>, keys: &Keys) -> Result<Policy, (String, String)> {
    let mut policy = Policy { keys: keys.ids(), ..Policy::default() };
    for (name, spec) in actions {
        let treatment = treatment(spec, keys).map_err(|why| (name.clone(), why))?;
        let category = Category::ALL.into_iter().find(|category| category.name() == name);
        match category {
            _ if name == "default" => policy.default = treatment,
            Some(category) => drop(policy.categories.insert(category, treatment)),
            None => drop(policy.entities.insert(name.clone(), treatment)),
        }
    }
    Ok(policy)
}

fn treatment(spec: &ActionSpec, keys: &Keys) -> Result<Treatment, String> {
    match spec {
        ActionSpec::Ready(treatment) => Ok(treatment.clone()),
        ActionSpec::Hash { key, bits } => {
            let key = keys.find(key.as_deref())?;
            Ok(Treatment::Hash(Pseudonym::new(Arc::clone(key), bits.unwrap_or(keys.bits()))?))
        }
    }
}
