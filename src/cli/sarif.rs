//! SARIF 2.1.0 (OASIS), which code scanning reads.

use crate::rule::Rule;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;

/// Writes results as they come; what they name follows at the end.
pub(super) struct Log {
    begun: bool,
    results: u64,
    /// By id: the rules of all results so far.
    rules: BTreeMap<String, Value>,
}

/// One place in a file.
pub(super) struct Location<'a> {
    pub(super) file: &'a str,
    /// From 1.
    pub(super) line: u64,
    /// From 1; `None` where it is not known.
    pub(super) column: Option<u64>,
    /// Offset and length in bytes.
    pub(super) bytes: Option<(u64, u64)>,
    /// A JSON Pointer.
    pub(super) pointer: Option<&'a str>,
}

/// What a result says beside its place.
pub(super) struct Result<'a> {
    pub(super) rule: &'a str,
    /// error, warning or note.
    pub(super) level: &'static str,
    pub(super) message: String,
    pub(super) properties: Option<Value>,
}

impl Log {
    /// Without results.
    pub(super) fn new() -> Self {
        Self { begun: false, results: 0, rules: BTreeMap::new() }
    }

    /// Says what a rule is, for the results that name it.
    pub(super) fn describe(&mut self, rule: &Rule) {
        if self.rules.contains_key(&rule.id) {
            return;
        }
        let mut described = json!({
            "id": rule.id,
            "shortDescription": {"text": rule.description},
            "properties": {"tags": [rule.category.name(), rule.entity]},
        });
        if let Some(reference) = rule.references.first() {
            described["helpUri"] = json!(reference);
        }
        self.rules.insert(rule.id.clone(), described);
    }

    /// Adds a result.
    pub(super) fn add(&mut self, result: &Result<'_>, at: &Location<'_>, out: &mut impl Write) -> std::io::Result<()> {
        self.begin(out)?;
        let mut region = json!({"startLine": at.line});
        if let Some(column) = at.column {
            region["startColumn"] = json!(column);
        }
        if let Some((offset, length)) = at.bytes {
            (region["byteOffset"], region["byteLength"]) = (json!(offset), json!(length));
        }
        let mut location = json!({"physicalLocation": {"artifactLocation": {"uri": uri(at.file)}, "region": region}});
        if let Some(pointer) = at.pointer {
            location["logicalLocations"] = json!([{"fullyQualifiedName": pointer}]);
        }
        let mut written = json!({
            "ruleId": result.rule,
            "level": result.level,
            "message": {"text": result.message},
            "locations": [location],
        });
        if let Some(properties) = &result.properties {
            written["properties"] = properties.clone();
        }
        if self.results > 0 {
            writeln!(out, ",")?;
        }
        self.results += 1;
        serde_json::to_writer(&mut *out, &written)?;
        Ok(())
    }

    /// Writes the rest.
    pub(super) fn end(&mut self, out: &mut impl Write) -> std::io::Result<()> {
        self.begin(out)?;
        let rules: Vec<&Value> = self.rules.values().collect();
        let driver = json!({"name": "expurgate", "version": env!("CARGO_PKG_VERSION"), "rules": rules});
        writeln!(out, "\n],\"tool\":{}}}]}}", json!({"driver": driver}))
    }

    fn begin(&mut self, out: &mut impl Write) -> std::io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let schema = "https://json.schemastore.org/sarif-2.1.0.json";
        writeln!(out, "{{\"$schema\":\"{schema}\",\"version\":\"2.1.0\",\"runs\":[{{\"results\":[")
    }
}

/// A path as a relative or absolute URI reference (RFC 3986).
fn uri(path: &str) -> String {
    let mut uri = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    for &byte in path.as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            _ => uri += &format!("%{byte:02X}"),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_uri() {
        assert_eq!(uri("a b/ü.json"), "a%20b/%C3%BC.json");
        assert_eq!(uri("/tmp/x"), "file:///tmp/x");
        assert_eq!(uri("-"), "-");
    }

    #[test]
    fn a_log_without_results_is_whole() {
        let mut out = Vec::new();
        Log::new().end(&mut out).unwrap();
        let log: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(log["runs"][0]["results"], json!([]));
    }
}
