//! The fields of rule files, in one table: the loader knows no others, and the
//! JSON Schema of `expurgate schema rules` is written from it.

use super::{Category, Detector, Profile};
use crate::validator::Validator;
use std::ops::Range;

/// One field of a table.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) required: bool,
    pub(super) doc: &'static str,
}

/// What may be written as its value.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// A pattern of what a text must look like, for editors.
    Spelled(&'static str),
    Texts,
    Flag,
    Integer(i64, i64),
    OneOf(fn() -> Vec<&'static str>),
    SomeOf(fn() -> Vec<&'static str>),
    Examples {
        required: bool,
    },
    Allow,
    /// Any names, with strings.
    Strings,
    Table(&'static [Field]),
    Tables(&'static [Field]),
}

/// Bytes before a value in which a keyword counts, at most.
pub(super) const PROXIMITY: Range<i64> = 1..257;
pub(super) const PRIORITIES: Range<i64> = -1000..1001;

const ID: &str = "^[a-z0-9]+([.-][a-z0-9]+)*$";
const SELECTED: &str = "^([a-z0-9]+([.-][a-z0-9]+)*|([a-z0-9]+[.-])*[a-z0-9]*\\*)$";
const ENTITY: &str = "^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$";

pub(super) const fn field(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, required: false, doc }
}

pub(super) const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Field {
    Field { name, kind, required: true, doc }
}

pub(super) fn categories() -> Vec<&'static str> {
    vec![Category::Pii.name(), Category::Credential.name()]
}

fn validators() -> Vec<&'static str> {
    Validator::ALL.iter().map(|one| one.name()).collect()
}

fn detectors() -> Vec<&'static str> {
    Detector::ALL.iter().map(|one| one.name()).collect()
}

fn profiles() -> Vec<&'static str> {
    Profile::ALL.iter().map(|one| one.name()).collect()
}

const VALIDATOR: Field = field("validator", Kind::OneOf(validators), "a check of the value beyond its shape");
const ALLOW_LIST: Field = field("allow", Kind::Allow, "values that are no findings");
const PATHS: Field = field("paths", Kind::Texts, "JSON Pointer patterns: the rule looks nowhere else");
const EXCLUDE: Field = field("exclude_paths", Kind::Texts, "JSON Pointer patterns where the rule does not look");
const BASE64: Field = field("base64", Kind::Flag, "true: text that stands in base64 is looked at too");
const ENABLED: Field = field("enabled", Kind::Flag, "false: listed, not compiled");
const SHADOW: Field = field("shadow", Kind::Flag, "true: counted and reported, not acted on");
const PRIORITY: Field = field(
    "priority",
    Kind::Integer(PRIORITIES.start, PRIORITIES.end - 1),
    "of two overlapping findings the higher one stays",
);
const PROFILE: Field = field("profiles", Kind::SomeOf(profiles), "the profiles in which the rule is enabled");
const EXAMPLES: Field =
    required("examples", Kind::Examples { required: true }, "texts in which the rule must find something");
const NEGATIVE: Field =
    required("negative_examples", Kind::Examples { required: true }, "texts in which it must find nothing");
const REFERENCES: Field = field("references", Kind::Texts, "URLs of the format's documentation");
const KEYWORDS: Field = field("keywords", Kind::Texts, "one must stand within `proximity` bytes before the value");
const UNLESS: Field =
    field("unless", Kind::Texts, "none may stand right before the value: they say that it is something else");
const NEAR: Field = field("proximity", Kind::Integer(PROXIMITY.start, PROXIMITY.end - 1), "bytes; see `keywords`");

/// The fields of a `[[rule]]`.
pub(super) const RULE: &[Field] = &[
    required("id", Kind::Spelled(ID), "unique and stable"),
    required("entity", Kind::Spelled(ENTITY), "the kind of data"),
    required("category", Kind::OneOf(categories), "what the finding belongs to"),
    required("description", Kind::Text, "one sentence"),
    field("pattern", Kind::Text, "a regular expression over bytes; this or `detector`"),
    field("detector", Kind::OneOf(detectors), "a shape that takes more than a regular expression; this or `pattern`"),
    VALIDATOR,
    KEYWORDS,
    NEAR,
    UNLESS,
    ALLOW_LIST,
    PATHS,
    EXCLUDE,
    field("numbers", Kind::Flag, "true: bare JSON numbers are judged too"),
    BASE64,
    ENABLED,
    SHADOW,
    PROFILE,
    PRIORITY,
    EXAMPLES,
    NEGATIVE,
    REFERENCES,
];

/// The fields of a `[[key]]`.
pub(super) const KEY: &[Field] = &[
    required("id", Kind::Spelled(ID), "unique and stable"),
    required("entity", Kind::Spelled(ENTITY), "the kind of data"),
    field("category", Kind::OneOf(categories), "what the finding belongs to; \"credential\" by default"),
    field("description", Kind::Text, "one sentence"),
    required("names", Kind::Texts, "member names: lower-case words joined by `_`, `*` first or last"),
    VALIDATOR,
    ALLOW_LIST,
    PATHS,
    EXCLUDE,
    BASE64,
    ENABLED,
    SHADOW,
    PROFILE,
    PRIORITY,
    EXAMPLES,
    NEGATIVE,
    REFERENCES,
];

/// The fields of an `[[override]]`.
pub(super) const OVERRIDE: &[Field] = &[
    required("id", Kind::Spelled(SELECTED), "the rule's id, or with `*` as its end the beginning of those of several"),
    ENABLED,
    SHADOW,
    PRIORITY,
    BASE64,
    field("allow", Kind::Allow, "added to the rule's own"),
    KEYWORDS,
    NEAR,
    UNLESS,
    PATHS,
    EXCLUDE,
    field("examples", Kind::Examples { required: false }, "texts in which the changed rule must find something"),
    field("negative_examples", Kind::Examples { required: false }, "texts in which it must find nothing"),
];

/// The fields of an `[[allow]]`.
pub(super) const ALLOW: &[Field] = &[
    field("value", Kind::Text, "the value, byte for byte"),
    field("pattern", Kind::Text, "a regular expression that matches in the value"),
    field("path", Kind::Text, "a JSON Pointer pattern"),
    field("rules", Kind::Texts, "ids of the rules whose findings are allowed; all unless given"),
    field("entities", Kind::Texts, "entities whose findings are allowed; all unless given"),
    field("reason", Kind::Text, "why"),
];

/// The fields of one entry of `allow`.
pub(super) const ALLOW_ENTRY: &[Field] = &[
    field("value", Kind::Text, "the value, byte for byte"),
    field("pattern", Kind::Text, "a regular expression that matches in the value"),
    field("path", Kind::Text, "a JSON Pointer pattern"),
    field("reason", Kind::Text, "why"),
];

/// The fields of one example.
pub(super) const EXAMPLE: &[Field] = &[
    required("text", Kind::Text, "the text"),
    field("finds", Kind::Text, "the part that must be found"),
    field("path", Kind::Text, "the JSON Pointer at which the text stands"),
];

/// What a file may say beside its tables.
pub(super) const FILE: &[Field] = &[field("base64", Kind::Flag, "of the file's rules that do not say it themselves")];

/// The tables of a file.
pub(super) const TABLES: &[(&str, &[Field], &str)] = &[
    ("rule", RULE, "looks for values by their shape"),
    ("key", KEY, "looks for values by the name of their member"),
    ("override", OVERRIDE, "changes a rule of another file"),
    ("allow", ALLOW, "an exception of several rules at once"),
];

/// The names of fields.
pub(super) fn names(fields: &[Field]) -> Vec<&'static str> {
    fields.iter().map(|field| field.name).collect()
}
