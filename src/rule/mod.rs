//! Rules: what to look for. See `docs/rules.md` for the file format.
//!
//! A rule file is read by `syntax` (with `fields`, `examples`, `allow`, `names`,
//! `path` and `pattern` for the checks; `spec` has all fields), the built-in
//! packs are in `pack`, and `load` lays the user's files, which `texts` reads,
//! over them. `protocol` has the packs of known upstreams. A [`Rule`] that exists is valid: its pattern parses, its names are
//! spelled right and it has examples.

mod allow;
mod examples;
mod fields;
pub mod gitleaks;
mod load;
mod mistakes;
mod names;
mod pack;
mod path;
mod pattern;
pub mod protocol;
mod schema;
mod spec;
mod syntax;
mod texts;

pub use allow::{Allow, Allowed};
pub use names::{nearest, nearest_entity, unknown_rule};
pub use path::{MOST_STEPS, PathPattern, Segment};
pub use schema::schema;
pub use texts::{RuleTexts, RulesGone};

use crate::validator::Validator;
use std::fmt;
use std::sync::Arc;

/// A loaded, valid set of rules. Immutable; shared by every body that started
/// while it was the current one.
pub struct Ruleset {
    /// All rules, disabled ones too, in the order of their ids.
    pub rules: Vec<Rule>,
    /// First 16 hex digits of the SHA-256 over every rule, for `ruleset_info`.
    pub hash: String,
}

/// One rule.
#[derive(Clone, Debug)]
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
    /// A check of the matched value beyond its shape.
    pub validator: Option<Validator>,
    /// When not empty, one must stand within `proximity` bytes before the value.
    pub keywords: Vec<String>,
    /// Bytes; see `keywords`.
    pub proximity: usize,
    /// Words that say of a value right behind them that it is something else: an
    /// id, say. None may stand there.
    pub unless: Vec<String>,
    /// What is no finding.
    pub allow: Vec<Allow>,
    /// When not empty, the rule looks at values of JSON that stand at one of
    /// these places, and nowhere else.
    pub paths: Vec<PathPattern>,
    /// Places in JSON at which it does not look.
    pub exclude_paths: Vec<PathPattern>,
    /// Whether bare JSON numbers are judged too.
    pub numbers: bool,
    /// Whether text that stands in base64 is looked at too.
    pub base64: bool,
    /// Disabled rules are listed but not compiled.
    pub enabled: bool,
    /// The profiles in which it is enabled, unless `enabled` is false.
    pub profiles: Vec<Profile>,
    /// Counted and reported, not acted on.
    pub shadow: bool,
    /// Of two overlapping findings the one with the higher priority stays.
    pub priority: i32,
    /// Texts in which the rule must find something.
    pub examples: Vec<Example>,
    /// Texts in which the rule must find nothing.
    pub negative_examples: Vec<Example>,
    /// Where the format is documented.
    pub references: Vec<String>,
    /// Where its id stands.
    pub place: Place,
    /// Where its pattern stands, if it has one, else its id.
    pub pattern_place: Place,
    /// Whether it came with the program.
    pub builtin: bool,
    /// What changed it since, if anything did.
    pub changes: Option<Box<Changes>>,
}

/// What overrides, general exceptions and a profile made of a rule.
#[derive(Clone, Debug)]
pub struct Changes {
    /// The rule as its file has it.
    pub written: Rule,
    /// Where what changed it stands.
    pub places: Vec<Place>,
    /// Texts in which the changed rule must find something.
    pub examples: Vec<Example>,
    /// Texts in which the changed rule must find nothing.
    pub negative_examples: Vec<Example>,
}

/// A place in a rule file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub source: Arc<str>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source, self.line, self.column)
    }
}

impl Rule {
    /// The rule that its examples were written for: without overrides.
    pub fn as_written(&self) -> &Self {
        self.changes.as_ref().map_or(self, |changes| &changes.written)
    }

    /// Where what changed it stands; none for a rule as its file has it.
    pub fn changed_at(&self) -> &[Place] {
        self.changes.as_ref().map_or(&[], |changes| &changes.places)
    }

    /// Whether it asks where in JSON a value stands.
    pub fn is_scoped(&self) -> bool {
        !self.paths.is_empty() || !self.exclude_paths.is_empty()
    }
}

/// A text in which a rule must find something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The text.
    pub text: String,
    /// The part that must be found; `None` for the rule's default: the whole
    /// text, or anything for rules that need context (keywords, a `secret`
    /// group, member names).
    pub finds: Option<String>,
    /// The JSON Pointer at which the text stands; without one the rule's paths
    /// are not looked at, unless the text is JSON itself.
    pub path: Option<String>,
    /// Where it is written.
    pub place: Place,
}

/// Which of the rules are enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// What agent-observability platforms promise: e-mail addresses, phone
    /// numbers, credentials; and cards, IBANs, social security numbers.
    #[default]
    Default,
    /// No personal data.
    CredentialsOnly,
    /// And what is often no personal data, such as IP addresses.
    Strict,
}

impl Profile {
    /// Every profile.
    pub const ALL: &[Self] = &[Self::Default, Self::CredentialsOnly, Self::Strict];

    /// The name used in rule files and in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::CredentialsOnly => "credentials-only",
            Self::Strict => "strict",
        }
    }

    /// The profile of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|profile| profile.name() == name)
    }
}

/// The two broad kinds of sensitive data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// About a person.
    Pii,
    /// Opens something.
    Credential,
}

impl Category {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Pii, Self::Credential];

    /// The name used in rule files and `scan` output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pii => "pii",
            Self::Credential => "credential",
        }
    }
}

/// How a rule finds its values.
#[derive(Clone, Debug)]
pub enum Matcher {
    /// A regular expression over bytes, not Unicode; `(?P<secret>...)`, where
    /// present, is the part to redact.
    Pattern(String),
    /// A shape that takes more than a regular expression.
    Detector(Detector),
    /// Member names whose value is redacted whole: words joined by `_`, with
    /// `*` as the first or last word for "any words".
    Key(Vec<String>),
}

/// Shapes that the scan layer knows by code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// E-mail addresses.
    Email,
    /// Phone numbers with `+` or `00` and a country code.
    PhoneInternational,
    /// Phone numbers of the North American Numbering Plan with punctuation.
    PhoneNanp,
    /// Phone numbers without a country code, beside a word for phone.
    PhoneNational,
    /// Payment card numbers.
    Card,
    /// International bank account numbers.
    Iban,
    /// US social security numbers with dashes.
    UsSsn,
    /// PEM and PGP private key blocks of any length.
    PrivateKey,
    /// Addresses of hosts, IPv4 and IPv6.
    IpAddress,
    /// Addresses of network cards.
    MacAddress,
}

impl Detector {
    /// Every detector.
    pub const ALL: &[Self] = &[
        Self::Email,
        Self::PhoneInternational,
        Self::PhoneNanp,
        Self::PhoneNational,
        Self::Card,
        Self::Iban,
        Self::UsSsn,
        Self::PrivateKey,
        Self::IpAddress,
        Self::MacAddress,
    ];

    /// The name used in rule files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::PhoneInternational => "phone-international",
            Self::PhoneNanp => "phone-nanp",
            Self::PhoneNational => "phone-national",
            Self::Card => "card",
            Self::Iban => "iban",
            Self::UsSsn => "us-ssn",
            Self::PrivateKey => "private-key",
            Self::IpAddress => "ip-address",
            Self::MacAddress => "mac-address",
        }
    }
}

/// Why rules cannot be loaded. Shown to the user: file, line, what to do.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// A file or directory cannot be read.
    #[error("{path}: cannot be read")]
    Read {
        /// The path as given.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A rule file is wrong.
    #[error("{path}:{line}:{column}: {message}")]
    Invalid {
        /// The file.
        path: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong and what to do.
        message: String,
    },
    /// More than one mistake; one per line.
    #[error("{}", lines(.0))]
    Several(Vec<RuleError>),
}

fn lines(errors: &[RuleError]) -> String {
    let lines: Vec<String> = errors.iter().map(RuleError::to_string).collect();
    lines.join("\n")
}
