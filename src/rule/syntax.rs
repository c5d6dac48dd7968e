//! From the text of one rule file to rules and overrides.
//!
//! The TOML is walked by hand rather than through serde, so that every
//! mistake is reported with its place and not only the first.

use super::allow::{self, Allow, GeneralAllow};
use super::examples::{Tests, json_only};
use super::fields::{Fields, Placed, listed, unknown};
use super::gitleaks;
use super::mistakes::Mistakes;
use super::names::{is_entity, is_id, key_name_mistake, nearest};
use super::pattern::{PatternMistake, check_pattern};
use super::spec::{self, PRIORITIES, PROXIMITY};
use super::{Category, Detector, Example, Matcher, PathPattern, Profile, Rule};
use crate::validator::Validator;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Bytes before a value in which a keyword counts, unless the rule says else.
const DEFAULT_PROXIMITY: usize = 40;
/// A member name says more than a shape, so it wins by default.
const KEY_PRIORITY: i32 = 50;

/// What one file holds.
#[derive(Default)]
pub(super) struct RuleFile {
    /// Its rules, with the places of their ids.
    pub(super) rules: Vec<(Rule, usize)>,
    /// Its overrides.
    pub(super) overrides: Vec<Override>,
    /// Its exceptions of several rules.
    pub(super) allows: Vec<GeneralAllow>,
}

/// A change of a rule that another file defines, or of several.
pub(super) struct Override {
    /// The rule's id, or what those of several begin with, before a `*`.
    pub(super) id: Placed<String>,
    /// When present, replaces the rule's own.
    pub(super) enabled: Option<bool>,
    /// When present, replaces the rule's own.
    pub(super) shadow: Option<bool>,
    /// When present, replaces the rule's own.
    pub(super) priority: Option<i32>,
    /// When present, replaces the rule's own.
    pub(super) base64: Option<bool>,
    /// When present, replaces the rule's own.
    pub(super) keywords: Option<Vec<String>>,
    /// When present, replaces the rule's own.
    pub(super) proximity: Option<usize>,
    pub(super) unless: Option<Vec<String>>,
    /// When present, replaces the rule's own.
    pub(super) paths: Option<Vec<PathPattern>>,
    /// When present, replaces the rule's own.
    pub(super) exclude_paths: Option<Vec<PathPattern>>,
    /// Added to the rule's own.
    pub(super) allow: Vec<Allow>,
    /// Texts in which the changed rule must find something.
    pub(super) examples: Vec<Example>,
    /// Texts in which it must find nothing.
    pub(super) negative_examples: Vec<Example>,
}

/// Reads one file. What is wrong goes to `mistakes`, and the result then
/// lacks the tables it is about.
pub(super) fn read(mistakes: &mut Mistakes<'_>) -> RuleFile {
    let (root, errors) = DeTable::parse_recoverable(mistakes.text());
    for error in &errors {
        mistakes.add_toml(error.span().map_or(0, |span| span.start), error.message());
    }
    let mut file = RuleFile::default();
    if !errors.is_empty() {
        return file;
    }
    if gitleaks::is_file(root.get_ref()) {
        file.rules = gitleaks::load(mistakes);
        return file;
    }
    let base64 = flag(root.get_ref(), "base64", mistakes);
    for (name, value) in root.get_ref() {
        if spec::names(spec::FILE).contains(&name.get_ref().as_ref()) {
            continue;
        }
        let Some(tables) = tables(name, value, mistakes) else {
            continue;
        };
        for table in tables.iter() {
            match name.get_ref().as_ref() {
                "rule" => file.rules.extend(rule(table, base64, mistakes)),
                "key" => file.rules.extend(key(table, base64, mistakes)),
                "allow" => file.allows.extend(allow::general(table, mistakes)),
                _ => file.overrides.extend(rule_override(table, mistakes)),
            }
        }
    }
    file
}

/// A flag of the file; `false` unless written.
fn flag(root: &DeTable<'_>, name: &str, mistakes: &mut Mistakes<'_>) -> bool {
    let Some(value) = root.get(name) else { return false };
    let flag = value.get_ref().as_bool();
    if flag.is_none() {
        mistakes.add(value.span().start, format!("`{name}` must be true or false"));
    }
    flag.unwrap_or(false)
}

/// Whether a text is TOML without any table that there may be several of, all
/// that rules are written as.
pub(super) fn is_empty(text: &str) -> bool {
    let (root, errors) = DeTable::parse_recoverable(text);
    let holds = |value: &DeValue<'_>| value.as_array().is_some_and(|tables| !tables.is_empty());
    errors.is_empty() && !root.get_ref().values().any(|value| holds(value.get_ref()))
}

/// The tables called `name`, which must be written as `[[name]]`.
fn tables<'t>(
    name: &Spanned<toml::de::DeString<'_>>,
    value: &'t Spanned<DeValue<'t>>,
    mistakes: &mut Mistakes<'_>,
) -> Option<&'t DeArray<'t>> {
    let (at, name) = (name.span().start, name.get_ref().as_ref());
    let known: Vec<&str> = spec::TABLES.iter().map(|(name, ..)| *name).chain(spec::names(spec::FILE)).collect();
    if !known.contains(&name) {
        mistakes.add(at, unknown(name, "a rule file", &known));
        return None;
    }
    let array = value.get_ref().as_array();
    if array.is_none() {
        mistakes.add(at, format!("write [[{name}]] with two brackets: there may be several"));
    }
    array
}

fn rule(value: &Spanned<DeValue<'_>>, base64: bool, mistakes: &mut Mistakes<'_>) -> Option<(Rule, usize)> {
    let before = mistakes.count();
    let mut fields = Fields::open(value, "[[rule]]", spec::RULE, mistakes)?;
    let id = id(&mut fields);
    let entity = entity(&mut fields);
    let category = category(&mut fields, None);
    let description = fields.required_string("description");
    let matcher = matcher(&mut fields);
    let pattern = fields.string("pattern");
    let (keywords, unless) = (words(&mut fields, "keywords"), words(&mut fields, "unless"));
    let proximity = proximity(&mut fields);
    let numbers = fields.boolean("numbers").unwrap_or(false);
    let tests = Tests::required(&mut fields);
    let common = Common::read(&mut fields, 0, base64);
    if fields.mistakes.count() > before {
        return None;
    }
    let id = id?;
    let place = mistakes.place(id.span.start);
    let pattern_place = pattern.map_or_else(|| place.clone(), |pattern| mistakes.place(pattern.span.start));
    let rule = Rule {
        id: id.value,
        entity: entity?,
        category: category?,
        description: description?.value,
        matcher: matcher?,
        validator: common.validator,
        keywords,
        proximity: proximity.unwrap_or(DEFAULT_PROXIMITY),
        unless,
        allow: common.allow,
        paths: common.paths,
        exclude_paths: common.exclude_paths,
        numbers,
        base64: common.base64,
        enabled: common.enabled,
        profiles: common.profiles,
        shadow: common.shadow,
        priority: common.priority,
        examples: tests.examples,
        negative_examples: tests.negative_examples,
        references: common.references,
        place,
        pattern_place,
        builtin: false,
        changes: None,
    };
    Some((rule, id.span.start))
}

fn key(value: &Spanned<DeValue<'_>>, base64: bool, mistakes: &mut Mistakes<'_>) -> Option<(Rule, usize)> {
    let before = mistakes.count();
    let mut fields = Fields::open(value, "[[key]]", spec::KEY, mistakes)?;
    let id = id(&mut fields);
    let entity = entity(&mut fields);
    let category = category(&mut fields, Some(Category::Credential));
    let description = fields.string("description");
    let names = key_names(&mut fields);
    let tests = Tests::required(&mut fields);
    json_only(&mut fields);
    let common = Common::read(&mut fields, KEY_PRIORITY, base64);
    if fields.mistakes.count() > before {
        return None;
    }
    let id = id?;
    let place = mistakes.place(id.span.start);
    let listed = || listed(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let description = description.map_or_else(|| format!("Values of {}", listed()), |text| text.value);
    let rule = Rule {
        id: id.value,
        entity: entity?,
        category: category?,
        description,
        matcher: Matcher::Key(names),
        validator: common.validator,
        keywords: Vec::new(),
        proximity: DEFAULT_PROXIMITY,
        unless: Vec::new(),
        allow: common.allow,
        paths: common.paths,
        exclude_paths: common.exclude_paths,
        numbers: false,
        base64: common.base64,
        enabled: common.enabled,
        profiles: common.profiles,
        shadow: common.shadow,
        priority: common.priority,
        examples: tests.examples,
        negative_examples: tests.negative_examples,
        references: common.references,
        pattern_place: place.clone(),
        place,
        builtin: false,
        changes: None,
    };
    Some((rule, id.span.start))
}

fn rule_override(value: &Spanned<DeValue<'_>>, mistakes: &mut Mistakes<'_>) -> Option<Override> {
    let before = mistakes.count();
    let mut fields = Fields::open(value, "[[override]]", spec::OVERRIDE, mistakes)?;
    let id = selected(&mut fields);
    let tests = Tests::read(&mut fields);
    let change = Override {
        id: id?,
        enabled: fields.boolean("enabled"),
        shadow: fields.boolean("shadow"),
        priority: priority(&mut fields),
        base64: fields.boolean("base64"),
        keywords: fields.has("keywords").then(|| words(&mut fields, "keywords")),
        proximity: proximity(&mut fields),
        unless: fields.has("unless").then(|| words(&mut fields, "unless")),
        paths: fields.has("paths").then(|| paths(&mut fields, "paths")),
        exclude_paths: fields.has("exclude_paths").then(|| paths(&mut fields, "exclude_paths")),
        allow: allow::entries(&mut fields),
        examples: tests.examples,
        negative_examples: tests.negative_examples,
    };
    let changes = &spec::names(spec::OVERRIDE)[1..];
    if fields.mistakes.count() == before && !changes.iter().any(|field| fields.has(field)) {
        let message = format!("changes nothing; set one of {}", listed(changes));
        fields.mistakes.add(change.id.span.start, message);
    }
    (mistakes.count() == before).then_some(change)
}

/// The fields that rules of every kind have.
struct Common {
    validator: Option<Validator>,
    allow: Vec<Allow>,
    paths: Vec<PathPattern>,
    exclude_paths: Vec<PathPattern>,
    base64: bool,
    enabled: bool,
    profiles: Vec<Profile>,
    shadow: bool,
    priority: i32,
    references: Vec<String>,
}

impl Common {
    fn read(fields: &mut Fields<'_, '_, '_>, default_priority: i32, base64: bool) -> Self {
        Self {
            validator: validator(fields),
            allow: allow::entries(fields),
            paths: paths(fields, "paths"),
            exclude_paths: paths(fields, "exclude_paths"),
            base64: fields.boolean("base64").unwrap_or(base64),
            enabled: fields.boolean("enabled").unwrap_or(true),
            profiles: profiles(fields),
            shadow: fields.boolean("shadow").unwrap_or(false),
            priority: priority(fields).unwrap_or(default_priority),
            references: references(fields),
        }
    }
}

fn id(fields: &mut Fields<'_, '_, '_>) -> Option<Placed<String>> {
    let id = fields.required_string("id")?;
    if is_id(&id.value) {
        return Some(id);
    }
    fields.mistakes.add(
        id.span.start,
        format!("`{}` must be lower-case words joined by dots or dashes, such as `acme.api-key`", id.value),
    );
    None
}

/// The id of an override: of one rule, or ending with `*`. Several rules have no
/// keywords, places, exceptions and examples in common.
fn selected(fields: &mut Fields<'_, '_, '_>) -> Option<Placed<String>> {
    const OF_SEVERAL: [&str; 5] = ["id", "enabled", "shadow", "priority", "base64"];
    let several = fields.string("id").filter(|id| id.value.ends_with('*'));
    let Some(several) = several else { return id(fields) };
    let beginning = several.value.trim_end_matches(['*', '.', '-']);
    if several.value.matches('*').count() > 1 || !(beginning.is_empty() || is_id(beginning)) {
        let message = format!("`{}`: `*` stands for the rest of an id, once, such as `acme.*`", several.value);
        fields.mistakes.add(several.span.start, message);
    }
    for field in spec::names(spec::OVERRIDE).into_iter().filter(|field| !OF_SEVERAL.contains(field)) {
        if fields.has(field) {
            let message = format!("`{field}` is of one rule: name it, without `*`");
            fields.mistakes.add(fields.place(field), message);
        }
    }
    Some(several)
}

fn entity(fields: &mut Fields<'_, '_, '_>) -> Option<String> {
    let entity = fields.required_string("entity")?;
    if is_entity(&entity.value) {
        return Some(entity.value);
    }
    fields.mistakes.add(
        entity.span.start,
        format!("`{}` must be upper-case words joined by underscores, such as `ACME_API_KEY`", entity.value),
    );
    None
}

fn category(fields: &mut Fields<'_, '_, '_>, default: Option<Category>) -> Option<Category> {
    if default.is_some() && !fields.has("category") {
        return default;
    }
    named(fields, "category", true, &[Category::Pii, Category::Credential], Category::name)
}

/// The one of `pattern` and `detector` that is written.
fn matcher(fields: &mut Fields<'_, '_, '_>) -> Option<Matcher> {
    match (fields.has("pattern"), fields.has("detector")) {
        (true, false) => {
            let pattern = fields.required_string("pattern")?;
            checked(fields, "pattern", pattern, check_pattern).map(Matcher::Pattern)
        }
        (false, true) => named(fields, "detector", true, Detector::ALL, Detector::name).map(Matcher::Detector),
        (true, true) => {
            let place = fields.place("detector");
            fields.mistakes.add(place, "a rule has a `pattern` or a `detector`, not both");
            None
        }
        (false, false) => {
            fields.mistakes.add(fields.start, "`pattern` is missing (or `detector`)");
            None
        }
    }
}

fn key_names(fields: &mut Fields<'_, '_, '_>) -> Vec<String> {
    let names = fields.strings("names");
    if names.is_empty() {
        let place = fields.place("names");
        fields.mistakes.add(place, "`names` is missing: list the member names");
    }
    for name in &names {
        if let Some(message) = key_name_mistake(&name.value) {
            fields.mistakes.add(name.span.start, message);
        }
    }
    names.into_iter().map(|name| name.value).collect()
}

fn validator(fields: &mut Fields<'_, '_, '_>) -> Option<Validator> {
    named(fields, "validator", false, Validator::ALL, Validator::name)
}

/// The words of the field `name`.
fn words(fields: &mut Fields<'_, '_, '_>, name: &'static str) -> Vec<String> {
    let (empty, words): (Vec<_>, Vec<_>) =
        fields.strings(name).into_iter().partition(|word| word.value.trim().is_empty());
    empty.iter().for_each(|word| fields.mistakes.add(word.span.start, "an empty keyword stands everywhere; remove it"));
    words.into_iter().map(|word| word.value).collect()
}

fn paths(fields: &mut Fields<'_, '_, '_>, field: &str) -> Vec<PathPattern> {
    let written = fields.strings(field);
    if written.is_empty() && fields.has(field) && field == "paths" {
        let place = fields.place(field);
        fields
            .mistakes
            .add(place, "`paths` is empty: the rule would look nowhere; remove it, or set `enabled = false`");
    }
    written.into_iter().filter_map(|path| parsed_path(fields, field, &path)).collect()
}

/// One pattern of a path.
pub(super) fn path(fields: &mut Fields<'_, '_, '_>, field: &str) -> Option<PathPattern> {
    let written = fields.string(field)?;
    parsed_path(fields, field, &written)
}

/// A pattern of a path that is written in `field`.
pub(super) fn parsed_path(fields: &mut Fields<'_, '_, '_>, field: &str, path: &Placed<String>) -> Option<PathPattern> {
    match PathPattern::parse(&path.value) {
        Ok(path) => Some(path),
        Err(message) => {
            fields.mistakes.add(path.span.start, format!("`{field}`: {message}"));
            None
        }
    }
}

/// Empty unless written.
fn profiles(fields: &mut Fields<'_, '_, '_>) -> Vec<Profile> {
    let written = fields.strings("profiles");
    if written.is_empty() && fields.has("profiles") {
        let place = fields.place("profiles");
        fields.mistakes.add(place, "`profiles` is empty; to switch a rule off write `enabled = false`");
    }
    let each = written.into_iter().filter_map(|name| one_of(fields, "profile", name, Profile::ALL, Profile::name));
    each.collect()
}

fn proximity(fields: &mut Fields<'_, '_, '_>) -> Option<usize> {
    fields.integer("proximity", PROXIMITY).and_then(|bytes| usize::try_from(bytes).ok())
}

/// The URLs in `references`.
pub(super) fn references(fields: &mut Fields<'_, '_, '_>) -> Vec<String> {
    let references = fields.strings("references");
    for reference in &references {
        if !reference.value.starts_with("https://") && !reference.value.starts_with("http://") {
            fields.mistakes.add(reference.span.start, "a reference is a URL, such as \"https://example.com/docs\"");
        }
    }
    references.into_iter().map(|reference| reference.value).collect()
}

fn priority(fields: &mut Fields<'_, '_, '_>) -> Option<i32> {
    fields.integer("priority", PRIORITIES).and_then(|priority| i32::try_from(priority).ok())
}

/// One of a closed set of names.
fn named<T: Copy>(
    fields: &mut Fields<'_, '_, '_>,
    field: &str,
    required: bool,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Option<T> {
    let written = if required { fields.required_string(field)? } else { fields.string(field)? };
    one_of(fields, field, written, all, name)
}

/// The one of `all` that is written in `field`.
pub(super) fn one_of<T: Copy>(
    fields: &mut Fields<'_, '_, '_>,
    field: &str,
    written: Placed<String>,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Option<T> {
    let found = all.iter().copied().find(|one| name(*one) == written.value);
    if found.is_none() {
        let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
        let hint = nearest(&written.value, &names).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        let message = format!("unknown {field} `{}`; known are {}{hint}", written.value, listed(&names));
        fields.mistakes.add(written.span.start, message);
    }
    found
}

/// A regular expression that passes `check`.
pub(super) fn checked(
    fields: &mut Fields<'_, '_, '_>,
    field: &str,
    pattern: Placed<String>,
    check: fn(&str) -> Result<(), PatternMistake>,
) -> Option<String> {
    match check(&pattern.value) {
        Ok(()) => Some(pattern.value),
        Err(mistake) => {
            let offset = place_inside(fields.mistakes.text(), &pattern, mistake.offset);
            fields.mistakes.add(offset, format!("`{field}`: {}", mistake.message));
            None
        }
    }
}

/// Where in the file the `inner`th byte of a string stands. Exact for strings
/// without escapes; for others the start of the string.
fn place_inside(text: &str, string: &Placed<String>, inner: usize) -> usize {
    let written = text.get(string.span.clone()).unwrap_or_default();
    written.find(&string.value).map_or(string.span.start, |start| string.span.start + start + inner)
}
