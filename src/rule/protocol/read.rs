//! From the text of a pack file to a [`Pack`].

use super::super::fields::{Fields, Placed};
use super::super::mistakes::Mistakes;
use super::super::path::MOST_STEPS;
use super::super::pattern::check_allow;
use super::super::syntax::{checked, one_of, parsed_path, references};
use super::super::{Category, PathPattern, RuleError};
use super::names::{is_media_type, may_be_redacted};
use super::spec::{self, BODY, EXAMPLE, PACK, PROTECTED, VARIABLE};
use super::{AUTO, NamedFormats, Pack, PackExample, Protected, Shape, Variable};
use regex_automata::meta::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use toml::de::DeTable;

/// Stands for the proxy's URL.
const LISTENER: &str = "{listener}";
/// What no value that stays may look like, unless only findings of some kinds are
/// kept.
const PROBES: [&str; 3] = ["bob@example.com", "+49 30 901820", "+14155550132"];

/// The packs of `builtin`, and of `user`'s files on top.
pub(super) fn layered(
    builtin: &[(&str, &str)],
    user: &[(String, String)],
) -> Result<BTreeMap<String, Arc<Pack>>, RuleError> {
    let mut errors = Vec::new();
    let mut packs = layer(builtin.iter().copied(), true, &mut errors);
    for (name, mut pack) in layer(user.iter().map(|(path, text)| (path.as_str(), text.as_str())), false, &mut errors) {
        pack.replaces = packs.contains_key(&name);
        packs.insert(name, pack);
    }
    let packs = packs.into_iter().map(|(name, pack)| (name, Arc::new(pack))).collect();
    match errors.pop() {
        None => Ok(packs),
        Some(only) if errors.is_empty() => Err(only),
        Some(last) => {
            errors.push(last);
            Err(RuleError::Several(errors))
        }
    }
}

/// Files in which every name is unique.
fn layer<'a>(
    files: impl Iterator<Item = (&'a str, &'a str)>,
    builtin: bool,
    errors: &mut Vec<RuleError>,
) -> BTreeMap<String, Pack> {
    let mut packs: BTreeMap<String, Pack> = BTreeMap::new();
    for (path, text) in files {
        let mut mistakes = Mistakes::new(path, text);
        if let Some((pack, name_at)) = read(&mut mistakes, builtin) {
            match packs.get(&pack.name) {
                Some(first) => {
                    let message = format!("the name `{}` is taken by the pack at {}", pack.name, first.place);
                    mistakes.add(name_at, message);
                }
                None => drop(packs.insert(pack.name.clone(), pack)),
            }
        }
        errors.extend(mistakes.into_errors());
    }
    packs
}

/// Reads one file; also where its name stands. What is wrong goes to `mistakes`.
fn read(mistakes: &mut Mistakes<'_>, builtin: bool) -> Option<(Pack, usize)> {
    let (root, errors) = DeTable::parse_recoverable(mistakes.text());
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        mistakes.add_toml(offset, error.message());
    }
    if !errors.is_empty() {
        return None;
    }
    let before = mistakes.count();
    let mut fields = Fields::of_root(root.get_ref(), "a protocol pack", PACK, mistakes);
    let name = name(&mut fields);
    let title = fields.required_string("title");
    let upstream = upstream(&mut fields);
    let [upstream_hint, note] = ["upstream_hint", "note"].map(|field| fields.string(field).map(|text| text.value));
    if !fields.has("upstream") && upstream_hint.is_none() {
        fields.mistakes.add(fields.start, "give an `upstream`, or an `upstream_hint` that says which URL to look for");
    }
    let environment = tables(&mut fields, "environment", VARIABLE, variable);
    let (query_allow, credential_headers) =
        (texts(&mut fields, "query_allow"), texts(&mut fields, "credential_headers"));
    let headers = checked_names(&mut fields, "headers", may_be_redacted, "a header that may be redacted");
    let pass = checked_names(&mut fields, "pass", is_media, "a picture, sound or a film; write one like \"image/png\"");
    let protected = tables(&mut fields, "protected", PROTECTED, protected);
    check_size(&mut fields, &protected);
    let body = body(&mut fields);
    let examples = tables(&mut fields, "example", EXAMPLE, example);
    let references = references(&mut fields);
    for (field, is_missing) in [("example", !fields.has("example")), ("references", references.is_empty())] {
        if is_missing {
            fields.mistakes.add(fields.start, format!("`{field}` is missing: give at least one"));
        }
    }
    if fields.mistakes.count() > before {
        return None;
    }
    let name = name?;
    let place = mistakes.place(name.span.start);
    let pack = Pack {
        name: name.value,
        title: title?.value,
        upstream,
        upstream_hint,
        note,
        environment,
        query_allow,
        credential_headers,
        headers,
        pass: pass.into(),
        protected: protected.into(),
        body,
        examples,
        references,
        place,
        builtin,
        replaces: false,
        text: mistakes.text().into(),
    };
    Some((pack, name.span.start))
}

fn name(fields: &mut Fields<'_, '_, '_>) -> Option<Placed<String>> {
    let name = fields.required_string("name")?;
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let wrong = match name.value.as_str() {
        AUTO => Some(format!("`{AUTO}` stands for no pack; choose another name")),
        text if text.split('-').all(is_word) => None,
        text => Some(format!("`{text}` must be lower-case words joined by dashes, such as `acme-traces`")),
    };
    match wrong {
        None => Some(name),
        Some(message) => {
            fields.mistakes.add(name.span.start, message);
            None
        }
    }
}

fn upstream(fields: &mut Fields<'_, '_, '_>) -> Option<String> {
    let upstream = fields.string("upstream")?;
    let rest = upstream.value.strip_prefix("https://").or_else(|| upstream.value.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.starts_with('/') || rest.contains(['?', '#', '@', ' '])) {
        let message = "`upstream` must be a URL without credentials and query, such as \"https://api.example.com\"";
        fields.mistakes.add(upstream.span.start, message);
        return None;
    }
    Some(upstream.value)
}

fn variable(fields: &mut Fields<'_, '_, '_>) -> Option<Variable> {
    let (name, value) = (fields.required_string("name"), fields.required_string("value"));
    let sdk = fields.string("sdk").map(|sdk| sdk.value);
    let if_set = fields.boolean("if_set").unwrap_or(false);
    let value = value?;
    if !value.value.contains(LISTENER) && !value.value.contains("{host}") {
        let message =
            "`{listener}` stands for the proxy's URL, such as \"{listener}/v1\", and `{host}` for its host and port";
        fields.mistakes.add(value.span.start, message);
    }
    Some(Variable { name: name?.value, value: value.value, sdk, if_set })
}

fn protected(fields: &mut Fields<'_, '_, '_>) -> Option<Protected> {
    let paths = paths(fields);
    let categories = categories(fields);
    let entities = texts(fields, "entities");
    let shape = shape(fields, categories.is_empty() && entities.is_empty());
    let member = member(fields);
    let reason = fields.required_string("reason");
    let place = fields.mistakes.place(fields.start);
    Some(Protected { paths, member, shape: shape?, categories, entities, reason: reason?.value, place })
}

fn paths(fields: &mut Fields<'_, '_, '_>) -> Vec<PathPattern> {
    let written = fields.strings("paths");
    if written.is_empty() {
        let place = fields.place("paths");
        fields.mistakes.add(place, "`paths` is missing: list JSON Pointer patterns, such as \"/messages/*/content\"");
    }
    written.iter().filter_map(|path| parsed_path(fields, "paths", path)).collect()
}

/// What stands in JSON within a string is told by its name alone.
fn member(fields: &mut Fields<'_, '_, '_>) -> Option<String> {
    let member = fields.string("member").filter(|member| !member.value.is_empty())?;
    if !fields.has("pattern") {
        fields.mistakes.add(member.span.start, "`member` goes with a `pattern`");
    }
    Some(member.value)
}

fn categories(fields: &mut Fields<'_, '_, '_>) -> Vec<Category> {
    let written = fields.strings("categories");
    let each =
        written.into_iter().filter_map(|name| one_of(fields, "categories", name, &Category::ALL, Category::name));
    each.collect()
}

/// The one of `shape` and `pattern` that is written. `from_all` tells that the
/// value is kept from all findings.
fn shape(fields: &mut Fields<'_, '_, '_>, from_all: bool) -> Option<Shape> {
    match (fields.has("shape"), fields.has("pattern")) {
        (true, false) => {
            let shape = fields.required_string("shape")?;
            one_of(fields, "shape", shape, &spec::shapes(), |name| name).map(|_| Shape::Base64)
        }
        (false, true) => {
            let pattern = fields.required_string("pattern")?;
            let start = pattern.span.start;
            let pattern = checked(fields, "pattern", pattern, check_allow)?;
            if let Some(probe) = takes_probe(&pattern).filter(|_| from_all) {
                let message = format!(
                    "`pattern` takes `{probe}` too, which would leave; write it narrower, or name `categories` or `entities`"
                );
                fields.mistakes.add(start, message);
                return None;
            }
            Some(Shape::Pattern(pattern))
        }
        (true, true) => {
            let place = fields.place("pattern");
            fields.mistakes.add(place, "a protected value has a `shape` or a `pattern`, not both");
            None
        }
        (false, false) => {
            let message = "give a `pattern` or a `shape`: a place alone would let anything leave that is put there";
            fields.mistakes.add(fields.start, message);
            None
        }
    }
}

fn takes_probe(pattern: &str) -> Option<&'static str> {
    let regex = Regex::new(&format!("^(?:{pattern})$")).ok()?;
    PROBES.into_iter().find(|probe| regex.is_match(probe))
}

/// All paths of a pack are followed at once, which has room for so many names.
fn check_size(fields: &mut Fields<'_, '_, '_>, protected: &[Protected]) {
    let paths: BTreeSet<&str> = protected.iter().flat_map(|entry| &entry.paths).map(PathPattern::source).collect();
    let names: usize = paths.iter().map(|path| path.split('/').count()).sum();
    if names > MOST_STEPS {
        let place = fields.place("protected");
        fields.mistakes.add(place, format!("all paths together have more than {MOST_STEPS} names"));
    }
}

fn body(fields: &mut Fields<'_, '_, '_>) -> Option<Arc<NamedFormats>> {
    let value = fields.value("body")?;
    let mut table = Fields::open(value, "[body]", BODY, fields.mistakes)?;
    let (verb, keyword) = (table.required_string("verb"), table.required_string("keyword"));
    let formats = formats(&mut table);
    if formats.is_empty() {
        let place = table.place("formats");
        table.mistakes.add(place, "`formats` is missing: give the media type of each, such as { CSV = \"text/csv\" }");
    }
    Some(Arc::new(NamedFormats {
        verb: verb?.value,
        keyword: keyword?.value,
        statement: texts(&mut table, "statement"),
        query: texts(&mut table, "query"),
        headers: texts(&mut table, "headers"),
        binary: texts(&mut table, "binary"),
        formats: formats.into_iter().map(|(name, kind)| (name, kind.value)).collect(),
    }))
}

/// The media type of each format. Nothing is known of how to read one that is none.
fn formats(table: &mut Fields<'_, '_, '_>) -> BTreeMap<String, Placed<String>> {
    let formats = table.map_of_strings("formats");
    // With parameters, such as `header=present`.
    let essence = |kind: &str| kind.split(';').next().unwrap_or_default().trim_end().to_owned();
    for (name, kind) in formats.iter().filter(|(_, kind)| !is_media_type(&essence(&kind.value))) {
        let message = format!("`{}`, for `{name}`, is not a media type; write one like \"text/csv\"", kind.value);
        table.mistakes.add(kind.span.start, message);
    }
    formats
}

/// A type of what nobody can read, and that is no text for that.
fn is_media(kind: &str) -> bool {
    let kinds = ["image/", "audio/", "video/"];
    is_media_type(kind) && kinds.iter().any(|of| kind.starts_with(of)) && !kind.ends_with("+xml")
}

/// A list of names, in lower case.
fn checked_names(fields: &mut Fields<'_, '_, '_>, field: &str, is_right: fn(&str) -> bool, what: &str) -> Vec<String> {
    let mut names = Vec::new();
    for name in fields.strings(field) {
        let lower = name.value.to_ascii_lowercase();
        match is_right(&lower) {
            true => names.push(lower),
            false => fields.mistakes.add(name.span.start, format!("`{}` in `{field}` is not {what}", name.value)),
        }
    }
    names
}

fn example(fields: &mut Fields<'_, '_, '_>) -> Option<PackExample> {
    let body = fields.required_string("body");
    let content_type = fields.string("content_type");
    let (keeps, removes) = (fields.strings("keeps"), fields.strings("removes"));
    let body = body?.value;
    if keeps.is_empty() && removes.is_empty() {
        fields.mistakes.add(fields.start, "an example shows something: give `keeps`, `removes` or both");
    }
    for part in keeps.iter().chain(&removes).filter(|part| part.value.is_empty() || !body.contains(&part.value)) {
        fields.mistakes.add(part.span.start, format!("`{}` does not occur in `body`", part.value));
    }
    let values = |parts: Vec<Placed<String>>| parts.into_iter().map(|part| part.value).collect();
    let place = fields.mistakes.place(fields.start);
    let content_type = content_type.map_or_else(|| "application/json".to_owned(), |kind| kind.value);
    Some(PackExample { body, content_type, keeps: values(keeps), removes: values(removes), place })
}

/// The tables called `field`.
fn tables<T>(
    fields: &mut Fields<'_, '_, '_>,
    field: &str,
    known: &[super::super::spec::Field],
    read: fn(&mut Fields<'_, '_, '_>) -> Option<T>,
) -> Vec<T> {
    if fields.value(field).is_some_and(|value| value.get_ref().is_table()) {
        let place = fields.place(field);
        fields.mistakes.add(place, format!("write [[{field}]] with two brackets: there may be several"));
        return Vec::new();
    }
    let mut all = Vec::new();
    for value in fields.array(field) {
        if let Some(mut table) = Fields::open(value, &format!("[[{field}]]"), known, fields.mistakes) {
            all.extend(read(&mut table));
        }
    }
    all
}

fn texts(fields: &mut Fields<'_, '_, '_>, field: &str) -> Vec<String> {
    fields.strings(field).into_iter().map(|text| text.value).collect()
}
