//! The text that `replace` writes.

use crate::rule::Rule;
use bytes::Bytes;
use std::str::FromStr;

/// Longest template, as it is written.
const LONGEST: usize = 64;
/// What may stand in a template besides letters and digits: nothing that ends
/// a string, a header, a parameter of a query or a line, or begins an escape.
const SIGNS: &str = " _-.:<>[](){}*!~|/";

/// A text with places for what was found, such as `[{entity}]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `{entity}`
    Entity,
    /// `{category}`
    Category,
}

impl Default for Template {
    fn default() -> Self {
        Self(vec![Part::Text("[".to_owned()), Part::Entity, Part::Text("]".to_owned())])
    }
}

impl Template {
    /// What is written for a finding of `rule`. Holds no quote and no backslash,
    /// so it is valid inside a string of any nesting level.
    pub(super) fn render(&self, rule: &Rule) -> Bytes {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Entity => rule.entity.clone(),
            Part::Category => rule.category.name().to_owned(),
        };
        Bytes::from(self.0.iter().map(text).collect::<String>())
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > LONGEST {
            return Err(format!("a template has 1 to {LONGEST} characters; to write nothing, use \"remove\""));
        }
        let is_safe = |char: &char| char.is_ascii_alphanumeric() || SIGNS.contains(*char);
        if let Some(char) = text.chars().find(|char| !is_safe(char)) {
            return Err(format!("a template must not hold {char:?}; besides letters and digits it may hold {SIGNS}"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            parts.push(Part::Text(rest[..at].to_owned()));
            let (part, length) = place(&rest[at..])?;
            parts.push(part);
            rest = &rest[at + length..];
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }
}

/// The place, or the doubled brace, that `text` begins with, and its length.
fn place(text: &str) -> Result<(Part, usize), String> {
    for (written, part) in [("{entity}", Part::Entity), ("{category}", Part::Category)] {
        if text.starts_with(written) {
            return Ok((part, written.len()));
        }
    }
    for brace in ["{", "}"] {
        if text.starts_with(&brace.repeat(2)) {
            return Ok((Part::Text(brace.to_owned()), 2));
        }
    }
    Err("a template's places are {entity} and {category}; a brace of its own is written twice, {{ or }}".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Ruleset;

    fn rendered(template: &str) -> Result<String, String> {
        let ruleset = Ruleset::builtin().unwrap();
        let rule = ruleset.rules.iter().find(|rule| rule.id == "email.address").unwrap();
        Ok(String::from_utf8(template.parse::<Template>()?.render(rule).to_vec()).unwrap())
    }

    #[test]
    fn places_are_filled_in() {
        for (template, expected) in [
            ("<{entity}>", "<EMAIL_ADDRESS>"),
            ("[{category}: {entity} removed]", "[pii: EMAIL_ADDRESS removed]"),
            ("{{{entity}}}", "{EMAIL_ADDRESS}"),
            ("gone", "gone"),
        ] {
            assert_eq!(rendered(template).unwrap(), expected);
        }
    }

    #[test]
    fn what_could_break_what_is_around_is_refused() {
        for template in ["", "\"", "a\\n", "a\nb", "{rule}", "{entity", "}", "50%40", "ä", "a&b", "it's"] {
            assert!(rendered(template).is_err(), "{template}");
        }
        assert!(rendered(&"a".repeat(65)).is_err());
    }
}
