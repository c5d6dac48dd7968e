//! The JSON Schema of rule files, for editors and for CI.

use super::spec::{self, Field, Kind};
use serde_json::{Map, Value, json};

/// The schema of a rule file (JSON Schema 2020-12), from the same table as the
/// loader.
pub fn schema() -> Value {
    let mut tables = properties(spec::FILE);
    tables.extend(
        spec::TABLES
            .iter()
            .map(|&(name, fields, doc)| (name.to_owned(), json!({"type": "array", "items": table(name, fields, doc)}))),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules of Expurgate",
        "type": "object",
        "properties": tables,
        "additionalProperties": false,
    })
}

fn table(name: &str, fields: &[Field], doc: &str) -> Value {
    let mut schema = object(fields);
    schema["description"] = json!(doc);
    match name {
        "rule" => schema["oneOf"] = json!([{"required": ["pattern"]}, {"required": ["detector"]}]),
        "override" => schema["minProperties"] = json!(2),
        "allow" => exception(&mut schema),
        _ => {}
    }
    schema
}

/// Something, and of value and pattern one.
fn exception(schema: &mut Value) {
    schema["anyOf"] = json!([{"required": ["value"]}, {"required": ["pattern"]}, {"required": ["path"]}]);
    schema["not"] = json!({"required": ["value", "pattern"]});
}

/// An object with these fields and no others.
pub(super) fn object(fields: &[Field]) -> Value {
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({"type": "object", "properties": properties(fields), "required": required, "additionalProperties": false})
}

fn properties(fields: &[Field]) -> Map<String, Value> {
    fields.iter().map(|field| (field.name.to_owned(), described(value(field.kind), field.doc))).collect()
}

fn described(mut schema: Value, doc: &str) -> Value {
    schema["description"] = json!(doc);
    schema
}

fn value(kind: Kind) -> Value {
    match kind {
        Kind::Text => json!({"type": "string", "minLength": 1}),
        Kind::Spelled(pattern) => json!({"type": "string", "pattern": pattern}),
        Kind::Texts => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Strings => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        Kind::Table(fields) => object(fields),
        Kind::Tables(fields) => json!({"type": "array", "items": object(fields)}),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Integer(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Kind::OneOf(names) => json!({"enum": names()}),
        Kind::SomeOf(names) => json!({"type": "array", "minItems": 1, "items": {"enum": names()}}),
        Kind::Examples { required } => {
            let example = json!({"anyOf": [{"type": "string"}, object(spec::EXAMPLE)]});
            json!({"type": "array", "minItems": usize::from(required), "items": example})
        }
        Kind::Allow => {
            let mut entry = object(spec::ALLOW_ENTRY);
            exception(&mut entry);
            json!({"type": "array", "items": {"anyOf": [{"type": "string", "minLength": 1}, entry]}})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_that_the_loader_knows_is_in_the_schema_with_its_meaning() {
        let schema = schema();
        for (name, fields, _) in spec::TABLES {
            let properties = schema["properties"][name]["items"]["properties"].as_object().unwrap();
            assert_eq!(properties.len(), fields.len(), "{name}");
            for field in *fields {
                assert_eq!(properties[field.name]["description"], field.doc, "{name}.{}", field.name);
            }
        }
        for field in spec::FILE {
            assert_eq!(schema["properties"][field.name]["description"], field.doc, "{}", field.name);
        }
    }
}
