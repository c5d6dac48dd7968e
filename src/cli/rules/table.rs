//! Rules as people write them in a rule file.

use serde_json::{Map, Value};

/// Longer lists go over lines.
const WIDEST: usize = 100;

/// A table such as `[[rule]]` with these fields, in their order.
pub(super) fn table(kind: &str, fields: &Map<String, Value>) -> String {
    let mut text = format!("[[{kind}]]\n");
    for (name, value) in fields {
        let line = format!("{name} = {}\n", inline(value));
        match value.as_array() {
            Some(list) if line.len() > WIDEST => {
                let each: String = list.iter().map(|value| format!("  {},\n", inline(value))).collect();
                text += &format!("{name} = [\n{each}]\n");
            }
            _ => text += &line,
        }
    }
    text
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        Value::Array(list) => format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name} = {}", inline(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// With single quotes where that spares backslashes.
fn string(text: &str) -> String {
    let literal = text.contains(['\\', '"']) && !text.contains('\'') && !text.chars().any(char::is_control);
    if literal { format!("'{text}'") } else { toml::Value::String(text.to_owned()).to_string() }
}
