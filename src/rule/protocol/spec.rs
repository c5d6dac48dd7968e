//! The fields of pack files, in one table: `read` knows no others, and the JSON
//! Schema of `expurgate schema protocol` is written from it.

use super::super::schema::object;
use super::super::spec::{Field, Kind, categories, field, required};
use serde_json::{Value, json};

const NAME: &str = "^[a-z0-9]+(-[a-z0-9]+)*$";

/// Of the file itself.
pub(super) const PACK: &[Field] = &[
    required("name", Kind::Spelled(NAME), "by which routes ask for it"),
    required("title", Kind::Text, "the vendor's own spelling"),
    field("upstream", Kind::Spelled("^https?://"), "where requests go, unless a route says otherwise"),
    field("upstream_hint", Kind::Text, "which URL to look for, where that depends on an account or an installation"),
    field("note", Kind::Text, "what else to know: regions, what goes past the proxy"),
    field("environment", Kind::Tables(VARIABLE), "what points an SDK at the proxy"),
    field("query_allow", Kind::Texts, "parameters of the query by which the upstream knows its client"),
    field("credential_headers", Kind::Texts, "headers by which it does; a route that redacts one gets a warning"),
    field(
        "headers",
        Kind::Texts,
        "headers that carry data, redacted unless a route names its own; `name-*` is all that begin so",
    ),
    field(
        "pass",
        Kind::Texts,
        "media types of pictures, sound and films: parts of these pass unscanned, unless they are text",
    ),
    field("protected", Kind::Tables(PROTECTED), "values that stay"),
    field("body", Kind::Table(BODY), "how a request names the format of its body"),
    required("example", Kind::Tables(EXAMPLE), "bodies, with what must stay and what must not"),
    required("references", Kind::Texts, "URLs of the vendor's documentation"),
];

pub(super) const VARIABLE: &[Field] = &[
    required("name", Kind::Text, "the variable, or what the SDK is given in its code"),
    required("value", Kind::Text, "its value; `{listener}` is the proxy's URL, `{host}` its host and port"),
    field("sdk", Kind::Text, "which SDKs read it"),
    field("if_set", Kind::Flag, "true: it wins over another one; only where it is set it has to point at the proxy"),
];

pub(super) const PROTECTED: &[Field] = &[
    required("paths", Kind::Texts, "JSON Pointer patterns"),
    field("member", Kind::Text, "of JSON that stands in such a string: the name of the value's member; with `pattern`"),
    field("shape", Kind::OneOf(shapes), "what the value must look like; this or `pattern`"),
    field("pattern", Kind::Text, "a regular expression that all of the value must match; this or `shape`"),
    field("categories", Kind::SomeOf(categories), "only findings of these are kept; of all unless given"),
    field("entities", Kind::Texts, "only findings of these are kept; of all unless given"),
    required("reason", Kind::Text, "why it must stay"),
];

pub(super) const BODY: &[Field] = &[
    required("verb", Kind::Text, "the first word of statements that store what follows them"),
    required("keyword", Kind::Text, "the word before the format's name in a statement"),
    field("statement", Kind::Texts, "parameters of the query that hold a statement"),
    field("query", Kind::Texts, "parameters of the query that hold a name"),
    field("headers", Kind::Texts, "headers that hold a name"),
    field("binary", Kind::Texts, "parameters of the query that say, unless 0, that the body is binary"),
    required("formats", Kind::Strings, "the media type of each format; others are refused"),
];

pub(super) const EXAMPLE: &[Field] = &[
    required("body", Kind::Text, "all of it"),
    field("content_type", Kind::Text, "of the body; application/json unless given"),
    field("keeps", Kind::Texts, "parts of it that must stay"),
    field("removes", Kind::Texts, "parts of it that must not"),
];

/// What shapes are called.
pub(super) fn shapes() -> Vec<&'static str> {
    vec!["base64"]
}

/// The schema of a pack file (JSON Schema 2020-12).
pub fn schema() -> Value {
    let mut schema = object(PACK);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("A protocol pack of Expurgate");
    schema["anyOf"] = json!([{"required": ["upstream"]}, {"required": ["upstream_hint"]}]);
    schema["properties"]["protected"]["items"]["oneOf"] = json!([{"required": ["shape"]}, {"required": ["pattern"]}]);
    schema
}
