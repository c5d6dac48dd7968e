//! Rules of gitleaks, as far as they can be said in ours.
//!
//! The format is that of gitleaks 8 (its README, "Configuration"): `[[rules]]`
//! with a regular expression of Go over whole files, `secretGroup`, `entropy`,
//! `keywords` that must stand anywhere in a file, and allowlists. What has no
//! counterpart is not dropped in silence: each such thing is a [`Note`].

mod regex;

use super::fields::listed;
use super::mistakes::Mistakes;
use super::names::{is_entity, is_id};
use super::pattern::check_allow;
use super::{Allow, Allowed, Category, Matcher, Place, Rule, RuleError};
use crate::validator::Validator;
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Bytes before a match in which an imported keyword counts: as many as may.
pub const PROXIMITY: usize = 256;
/// From this entropy on a value is held to be drawn by a machine.
const RANDOM: f64 = 3.0;

const RULE_FIELDS: [&str; 12] = [
    "id",
    "description",
    "regex",
    "secretGroup",
    "entropy",
    "path",
    "keywords",
    "tags",
    "allowlist",
    "allowlists",
    "required",
    "skipReport",
];

/// What a file of gitleaks came to.
#[derive(Debug, Default)]
pub struct Import {
    /// The rules that could be converted.
    pub rules: Vec<ImportedRule>,
    /// What could not, or not wholly, in the order of their lines.
    pub notes: Vec<Note>,
}

/// A rule without its examples, which gitleaks does not have.
#[derive(Debug)]
pub struct ImportedRule {
    /// The id.
    pub id: String,
    /// The entity, made of the id.
    pub entity: String,
    /// The description.
    pub description: String,
    /// The regular expression.
    pub pattern: String,
    /// Whether `entropy` asks for random values.
    pub random: bool,
    /// Keywords that the pattern does not hold itself.
    pub keywords: Vec<String>,
    /// The allowlists, those of the whole file among them.
    pub allow: Vec<Allow>,
    /// Where it stands, from 1.
    pub line: usize,
    offset: usize,
}

/// Something that was not taken over as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// From 1.
    pub line: usize,
    /// The rule; `None` for the file.
    pub rule: Option<String>,
    /// What it is, and what became of it.
    pub message: String,
    /// Whether the rule is missing now.
    pub lost: bool,
    offset: usize,
}

impl Note {
    /// That a rule could not be made one of ours after all.
    pub fn lost(rule: &ImportedRule, message: String) -> Self {
        Self { line: rule.line, rule: Some(rule.id.clone()), message, lost: true, offset: rule.offset }
    }
}

/// Converts a file of gitleaks.
///
/// # Errors
/// When it is not TOML, or has no `[[rules]]`.
pub fn import(path: &str, text: &str) -> Result<Import, RuleError> {
    let mut mistakes = Mistakes::new(path, text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        mistakes.add_toml(error.span().map_or(0, |span| span.start), error.message());
    }
    let rules = root.get_ref().get("rules").and_then(|rules| rules.get_ref().as_array());
    if errors.is_empty() && rules.is_none() {
        mistakes.add(0, "no [[rules]]: this is no file of gitleaks");
    }
    if let Some(first) = mistakes.into_errors().into_iter().next() {
        return Err(first);
    }
    let mut importer = Importer { mistakes: Mistakes::new(path, text), import: Import::default(), rule: None };
    let general = importer.general(root.get_ref());
    for rule in rules.into_iter().flat_map(|rules| rules.iter()) {
        importer.rule(rule, &general);
    }
    importer.import.notes.sort_by_key(|note| note.line);
    Ok(importer.import)
}

/// Whether a rule file is one of gitleaks. One with a `[[rule]]` too is ours,
/// and has a slip.
pub(super) fn is_file(root: &DeTable<'_>) -> bool {
    let is_ours = |name: &str| root.contains_key(name);
    let rules = root.get("rules").and_then(|rules| rules.get_ref().as_array());
    let regexes = rules.into_iter().flat_map(|rules| rules.iter()).filter_map(|rule| rule.get_ref().as_table());
    !["rule", "key", "override", "allow"].into_iter().any(is_ours)
        && regexes.into_iter().any(|rule| rule.contains_key("regex"))
}

/// The rules of such a file, as they are: without examples. What cannot be
/// converted is a mistake, since nothing would look for it.
pub(super) fn load(mistakes: &mut Mistakes<'_>) -> Vec<(Rule, usize)> {
    let import = match import(mistakes.path(), mistakes.text()) {
        Ok(import) => import,
        Err(error) => {
            mistakes.add(0, error.to_string());
            return Vec::new();
        }
    };
    for note in import.notes.iter().filter(|note| note.lost) {
        let rule = note.rule.as_ref().map_or_else(String::new, |rule| format!("the rule {rule} of gitleaks: "));
        let message = format!("{rule}{}; remove it, or begin with `expurgate rules import FILE`", note.message);
        mistakes.add(note.offset, message);
    }
    let rule = |imported: ImportedRule| {
        let offset = imported.offset;
        (imported.into_rule(mistakes.place(offset)), offset)
    };
    import.rules.into_iter().map(rule).collect()
}

impl ImportedRule {
    fn into_rule(self, place: Place) -> Rule {
        Rule {
            id: self.id,
            entity: self.entity,
            category: Category::Credential,
            description: self.description,
            matcher: Matcher::Pattern(self.pattern),
            validator: self.random.then_some(Validator::Random),
            keywords: self.keywords,
            proximity: PROXIMITY,
            unless: Vec::new(),
            allow: self.allow,
            paths: Vec::new(),
            exclude_paths: Vec::new(),
            numbers: false,
            base64: false,
            enabled: true,
            profiles: Vec::new(),
            shadow: false,
            priority: 0,
            examples: Vec::new(),
            negative_examples: Vec::new(),
            references: Vec::new(),
            pattern_place: place.clone(),
            place,
            builtin: false,
            changes: None,
        }
    }
}

/// An allowlist of the whole file, and the rules that it is for: all if none.
struct General {
    targets: Vec<String>,
    allow: Vec<Allow>,
}

struct Importer<'a> {
    mistakes: Mistakes<'a>,
    import: Import,
    /// The rule that notes are about.
    rule: Option<String>,
}

impl Importer<'_> {
    fn note(&mut self, offset: usize, message: impl Into<String>, lost: bool) {
        let line = self.mistakes.place(offset).line;
        self.import.notes.push(Note { line, rule: self.rule.clone(), message: message.into(), lost, offset });
    }

    fn general(&mut self, root: &DeTable<'_>) -> Vec<General> {
        let mut general = Vec::new();
        for (name, value) in root {
            let at = name.span().start;
            match name.get_ref().as_ref() {
                "title" | "description" | "minVersion" | "rules" => {}
                "allowlist" | "allowlists" => {
                    for list in tables(value) {
                        let targets = texts(list, "targetRules").into_iter().map(|(text, _)| text).collect();
                        let allow = self.allowlist(list, value.span().start);
                        general.push(General { targets, allow });
                    }
                }
                "extend" => self.note(at, "`extend` is not followed: import the other file too", false),
                other => self.note(at, format!("`{other}` is not known and left out"), false),
            }
        }
        general
    }

    fn rule(&mut self, value: &Spanned<DeValue<'_>>, general: &[General]) {
        let start = value.span().start;
        let Some(table) = value.get_ref().as_table() else { return };
        let named = text(table, "id").map(|(id, _)| id);
        self.rule = named.clone();
        for (field, _) in table.iter().filter(|(field, _)| !RULE_FIELDS.contains(&field.get_ref().as_ref())) {
            let message = format!("`{}` is not known; known are {}", field.get_ref(), listed(&RULE_FIELDS));
            self.note(field.span().start, message, false);
        }
        let Some(gitleaks_id) = named else { return self.note(start, "`id` is missing", true) };
        let id = id_of(&gitleaks_id);
        let entity = id.to_ascii_uppercase().replace(['-', '.'], "_");
        if !is_id(&id) || !is_entity(&entity) {
            return self.note(start, "the id cannot be made one of ours: lower-case words joined by dashes", true);
        }
        if self.import.rules.iter().any(|rule| rule.id == id) {
            return self.note(start, format!("a rule before it becomes `{id}` too"), true);
        }
        let Some((regex, at)) = text(table, "regex") else {
            return self.note(start, "without a `regex`: names of files are not known here", true);
        };
        let group = table.get("secretGroup").and_then(integer);
        let converted = match regex::convert(&regex, group) {
            Ok(converted) => converted,
            Err(message) => return self.note(at, format!("`regex`: {message}"), true),
        };
        for message in converted.notes {
            self.note(at, format!("`regex`: {message}"), false);
        }
        let rule = ImportedRule {
            description: text(table, "description")
                .map_or_else(|| format!("{gitleaks_id} of gitleaks"), |(text, _)| text),
            random: self.entropy(table),
            keywords: self.keywords(table, &regex),
            allow: self.allow(table, &gitleaks_id, general),
            line: self.mistakes.place(start).line,
            offset: start,
            pattern: converted.pattern,
            entity,
            id,
        };
        self.unsupported(table);
        self.import.rules.push(rule);
    }

    fn entropy(&mut self, table: &DeTable<'_>) -> bool {
        let Some(value) = table.get("entropy") else { return false };
        let number = value.get_ref().as_float().map(|float| float.as_str().to_owned());
        let number = number.or_else(|| value.get_ref().as_integer().map(|integer| integer.as_str().to_owned()));
        let entropy = number.and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0);
        let random = entropy >= RANDOM;
        let message = match random {
            true => "becomes `validator = \"random\"`, which judges the mix of characters",
            false => "is low and left out",
        };
        self.note(value.span().start, format!("`entropy = {entropy}` {message}"), false);
        random
    }

    /// Those that the pattern does not hold itself.
    fn keywords(&mut self, table: &DeTable<'_>, regex: &str) -> Vec<String> {
        let keywords = texts(table, "keywords");
        let regex = regex.to_ascii_lowercase().replace('\\', "");
        let held = |keyword: &str| regex.contains(&keyword.to_ascii_lowercase());
        let Some((_, at)) = keywords.first().filter(|_| !keywords.iter().any(|(keyword, _)| held(keyword))) else {
            return Vec::new();
        };
        let message = format!("`keywords` must stand as words within {PROXIMITY} bytes before the match, not anywhere");
        self.note(*at, message, false);
        let words: BTreeSet<String> = keywords.into_iter().map(|(keyword, _)| keyword).collect();
        words.into_iter().filter(|keyword| !keyword.trim().is_empty()).collect()
    }

    fn unsupported(&mut self, table: &DeTable<'_>) {
        for (field, message) in [
            ("path", "`path`: names of files are not known here; the rule looks everywhere"),
            ("required", "`required`: a rule does not ask for another; it finds more than before"),
            ("skipReport", "`skipReport`: say `report` for the entity in a policy instead"),
        ] {
            if let Some(value) = table.get(field) {
                self.note(value.span().start, message, false);
            }
        }
    }

    fn allow(&mut self, table: &DeTable<'_>, id: &str, general: &[General]) -> Vec<Allow> {
        let mut allow = Vec::new();
        for list in ["allowlist", "allowlists"] {
            if let Some(value) = table.get(list) {
                for list in tables(value) {
                    allow.extend(self.allowlist(list, value.span().start));
                }
            }
        }
        let is_for =
            |general: &&General| general.targets.is_empty() || general.targets.iter().any(|target| target == id);
        allow.extend(general.iter().filter(is_for).flat_map(|general| general.allow.clone()));
        allow
    }

    fn allowlist(&mut self, table: &DeTable<'_>, start: usize) -> Vec<Allow> {
        let kinds =
            ["commits", "paths", "regexes", "stopwords"].iter().filter(|kind| table.contains_key(**kind)).count();
        if text(table, "condition").is_some_and(|(condition, _)| condition == "AND") && kinds > 1 {
            self.note(start, "an allowlist with `condition = \"AND\"` is left out: it finds more than before", false);
            return Vec::new();
        }
        for kind in ["commits", "paths"] {
            if let Some(value) = table.get(kind) {
                let message = format!("`{kind}` of an allowlist is left out: there are no {kind} here");
                self.note(value.span().start, message, false);
            }
        }
        let reason = text(table, "description").map(|(text, _)| text);
        let whole_line = text(table, "regexTarget").filter(|(target, _)| target != "secret");
        let mut patterns = Vec::new();
        if let Some((target, at)) = whole_line.filter(|_| table.contains_key("regexes")) {
            self.note(
                at,
                format!("`regexes` of `regexTarget = \"{target}\"` are left out: only values are known"),
                false,
            );
        } else {
            patterns = texts(table, "regexes");
        }
        let words = texts(table, "stopwords").into_iter();
        patterns.extend(words.map(|(word, at)| (format!("(?i){}", regex_syntax::escape(&word)), at)));
        let mut allow = Vec::new();
        for (pattern, at) in patterns {
            match check_allow(&pattern) {
                Ok(()) => {
                    allow.push(Allow { what: Some(Allowed::Pattern(pattern)), path: None, reason: reason.clone() })
                }
                Err(mistake) => self.note(at, format!("left out of an allowlist: {}", mistake.message), false),
            }
        }
        allow
    }
}

/// One of our ids, if it can be.
fn id_of(id: &str) -> String {
    let id: String =
        id.chars().map(|char| if char == '_' || char == ' ' { '-' } else { char.to_ascii_lowercase() }).collect();
    id.trim_matches('-').to_owned()
}

fn tables<'t>(value: &'t Spanned<DeValue<'t>>) -> Vec<&'t DeTable<'t>> {
    match value.get_ref() {
        DeValue::Table(table) => vec![table],
        DeValue::Array(array) => array.iter().filter_map(|value| value.get_ref().as_table()).collect(),
        _ => Vec::new(),
    }
}

/// A string, and where it stands.
fn text(table: &DeTable<'_>, field: &str) -> Option<(String, usize)> {
    let value = table.get(field)?;
    Some((value.get_ref().as_str()?.to_owned(), value.span().start))
}

fn texts(table: &DeTable<'_>, field: &str) -> Vec<(String, usize)> {
    let values = table.get(field).and_then(|value| value.get_ref().as_array());
    let each = values.into_iter().flat_map(|values| values.iter());
    each.filter_map(|value| Some((value.get_ref().as_str()?.to_owned(), value.span().start))).collect()
}

fn integer(value: &Spanned<DeValue<'_>>) -> Option<u32> {
    value.get_ref().as_integer()?.as_str().parse().ok()
}
