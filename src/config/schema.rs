//! The JSON Schema of the configuration, for editors and for CI.

use super::spec::{KEYS, Kind, POLICY_KEYS, ROUTE_KEYS, names};
use crate::redact::{Action, MASKS};
use serde_json::{Map, Value, json};

/// The schema of a configuration file (JSON Schema 2020-12), from the same table
/// as the variables.
pub fn schema() -> Value {
    let mut sections = Map::new();
    for &(section, key, kind, doc) in KEYS {
        let mut names = section.split('.');
        let mut section = sections.entry(names.next().unwrap_or_default()).or_insert_with(|| object(Map::new()));
        for name in names {
            section = inner(section, name);
        }
        section["properties"][key] = described(value(kind), doc);
    }
    sections.insert("route".to_owned(), json!({"type": "array", "items": route()}));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of Expurgate",
        "type": "object",
        "properties": sections,
        "additionalProperties": false,
        "$defs": {"action": action()},
    })
}

fn object(properties: Map<String, Value>) -> Value {
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

/// A section of a section, which is made if it is not there.
fn inner<'a>(section: &'a mut Value, name: &str) -> &'a mut Value {
    let inner = &mut section["properties"][name];
    if inner.is_null() {
        *inner = object(Map::new());
    }
    inner
}

fn route() -> Value {
    let mut route = object(Map::new());
    for &(path, kind, doc) in ROUTE_KEYS {
        let described = described(value(kind), doc);
        match path {
            [section, key] => {
                inner(&mut route, section)["properties"][key] = described;
            }
            _ => route["properties"][path.join(".")] = described,
        }
    }
    let keys = POLICY_KEYS.iter().map(|&(key, doc)| (key.to_owned(), described(value(Kind::Action), doc))).collect();
    let mut policy = object(keys);
    policy["patternProperties"] = json!({"^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$": value(Kind::Action)});
    route["properties"]["policy"] = described(policy, "what is done with findings, by entity or category");
    route
}

fn described(mut schema: Value, doc: &str) -> Value {
    schema["description"] = json!(doc);
    schema
}

fn value(kind: Kind) -> Value {
    if let Some(names) = names(kind) {
        return json!({"enum": names});
    }
    match kind {
        Kind::Spelled(pattern) => json!({"type": "string", "pattern": pattern}),
        Kind::Address => json!({"type": "string", "pattern": ":[0-9]+$"}),
        Kind::Size => json!({"type": "string", "pattern": "^ *[0-9]+ *(B|KB|MB|GB|KiB|MiB|GiB)? *$"}),
        Kind::Period => json!({"type": "string", "pattern": "^ *[0-9]+ *(ms|s|m|h) *$"}),
        Kind::Integer(least) => json!({"type": "integer", "minimum": least, "maximum": u32::MAX}),
        Kind::Bits => json!({"type": "integer", "minimum": 64, "maximum": 256, "multipleOf": 8}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::List => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Table => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Kind::Action => json!({"$ref": "#/$defs/action"}),
        Kind::Text | Kind::Profile | Kind::Level | Kind::LogLevel | Kind::LogFormat => json!({"type": "string"}),
    }
}

/// An action by its name, or as a table with the options that it has.
fn action() -> Value {
    let kept = || json!({"type": "integer", "minimum": 0, "maximum": 16});
    let characters: Vec<char> = MASKS.iter().map(|&byte| char::from(byte)).collect();
    let options = |action: Action| match action {
        Action::Replace => json!({"template": {"type": "string", "minLength": 1, "maxLength": 64}}),
        Action::Mask => json!({
            "character": {"enum": characters},
            "keep_first": kept(),
            "keep_last": kept(),
            "same_length": {"type": "boolean"},
            "length": {"type": "integer", "minimum": 4, "maximum": 64},
        }),
        Action::Hash => json!({"key": {"type": "string"}, "bits": value(Kind::Bits)}),
        Action::Remove | Action::Block | Action::Report => json!({}),
    };
    let table = |action: Action| {
        let mut properties = options(action);
        properties["action"] = json!({"const": action.name()});
        json!({"type": "object", "properties": properties, "required": ["action"], "additionalProperties": false})
    };
    let mut forms = vec![json!({"enum": Action::ALL.map(Action::name)})];
    forms.extend(Action::ALL.map(table));
    json!({"anyOf": forms})
}
