//! What is never redacted: single values, by what they are and where they stand.

use super::fields::{Fields, Placed};
use super::mistakes::Mistakes;
use super::path::PathPattern;
use super::pattern::check_allow;
use super::spec;
use super::syntax::{checked, path};
use std::fmt;
use toml::Spanned;
use toml::de::DeValue;

/// One exception of a rule. A finding that has all that it names is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    /// What the value is; `None` for any value, at a `path`.
    pub what: Option<Allowed>,
    /// Where it stands; `None` for anywhere.
    pub path: Option<PathPattern>,
    /// Why, in the words of who wrote it.
    pub reason: Option<String>,
}

/// A value that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// This one, byte for byte.
    Value(String),
    /// Those in which this regular expression matches.
    Pattern(String),
}

impl Allow {
    /// Values in which `pattern` matches, anywhere.
    pub fn pattern(pattern: &str) -> Self {
        Self { what: Some(Allowed::Pattern(pattern.to_owned())), path: None, reason: None }
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.what, &self.path) {
            (Some(Allowed::Value(_)), _) => f.write_str("this value")?,
            (Some(Allowed::Pattern(pattern)), _) => write!(f, "pattern '{pattern}'")?,
            (None, _) => f.write_str("any value")?,
        }
        if let Some(path) = &self.path {
            write!(f, " at {path}")?;
        }
        match &self.reason {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

/// A `[[allow]]`: an exception of several rules at once.
pub(super) struct GeneralAllow {
    /// Where it begins.
    pub(super) start: usize,
    pub(super) allow: Allow,
    /// Ids; with `entities` empty too, all rules.
    pub(super) rules: Vec<Placed<String>>,
    pub(super) entities: Vec<Placed<String>>,
}

/// The `allow` of a rule: regular expressions, or tables.
pub(super) fn entries(fields: &mut Fields<'_, '_, '_>) -> Vec<Allow> {
    fields.array("allow").into_iter().filter_map(|value| entry(value, fields)).collect()
}

fn entry(value: &Spanned<DeValue<'_>>, fields: &mut Fields<'_, '_, '_>) -> Option<Allow> {
    if let Some(pattern) = value.get_ref().as_str() {
        let pattern = Placed { value: pattern.to_owned(), span: value.span() };
        return checked(fields, "allow", pattern, check_allow).map(|pattern| Allow::pattern(&pattern));
    }
    if value.get_ref().as_table().is_none() {
        let message =
            "an entry of `allow` is a regular expression, or {value = \"...\"}, {pattern = '...'}, {path = \"/...\"}";
        fields.mistakes.add(value.span().start, message);
        return None;
    }
    let before = fields.mistakes.count();
    let mut table = Fields::open(value, "an entry of `allow`", spec::ALLOW_ENTRY, fields.mistakes)?;
    read(&mut table, before)
}

/// A `[[allow]]` of a file.
pub(super) fn general(value: &Spanned<DeValue<'_>>, mistakes: &mut Mistakes<'_>) -> Option<GeneralAllow> {
    let before = mistakes.count();
    let mut fields = Fields::open(value, "[[allow]]", spec::ALLOW, mistakes)?;
    let allow = read(&mut fields, before);
    let (rules, entities) = (fields.strings("rules"), fields.strings("entities"));
    Some(GeneralAllow { start: fields.start, allow: allow?, rules, entities })
}

/// None where there are more mistakes than `before` the table was opened.
fn read(fields: &mut Fields<'_, '_, '_>, before: usize) -> Option<Allow> {
    let what = match (fields.has("value"), fields.has("pattern")) {
        (true, true) => {
            let place = fields.place("pattern");
            fields.mistakes.add(place, "an exception has a `value` or a `pattern`, not both");
            None
        }
        (true, false) => fields.required_string("value").map(|value| Allowed::Value(value.value)),
        (false, true) => {
            let pattern = fields.required_string("pattern")?;
            checked(fields, "pattern", pattern, check_allow).map(Allowed::Pattern)
        }
        (false, false) => None,
    };
    let path = path(fields, "path");
    let reason = fields.string("reason").map(|reason| reason.value);
    if fields.mistakes.count() > before {
        return None;
    }
    if what.is_none() && path.is_none() {
        fields.mistakes.add(fields.start, "allows everything; give a `value`, a `pattern` or a `path`");
        return None;
    }
    Some(Allow { what, path, reason })
}
