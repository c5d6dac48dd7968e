//! The tests that every rule carries.

use super::Example;
use super::fields::Fields;
use toml::Spanned;
use toml::de::DeValue;

/// What a rule file says that the rule must and must not find.
pub(super) struct Tests {
    /// Texts in which it must find something.
    pub(super) examples: Vec<Example>,
    /// Texts in which it must find nothing.
    pub(super) negative_examples: Vec<String>,
}

impl Tests {
    /// Reads both lists, of which neither may be empty.
    pub(super) fn read(fields: &mut Fields<'_, '_, '_>) -> Self {
        let written = fields.array("examples");
        let examples = written.iter().filter_map(|value| example(value, fields)).collect();
        let negative: Vec<_> = fields.strings("negative_examples");
        if written.is_empty() {
            let place = fields.place("examples");
            fields
                .mistakes
                .add(place, "`examples` is missing: give at least one text in which the rule must find something");
        }
        if negative.is_empty() {
            let place = fields.place("negative_examples");
            fields
                .mistakes
                .add(place, "`negative_examples` is missing: give at least one text that looks alike and must stay");
        }
        Self { examples, negative_examples: negative.into_iter().map(|text| text.value).collect() }
    }
}

fn example(value: &Spanned<DeValue<'_>>, fields: &mut Fields<'_, '_, '_>) -> Option<Example> {
    if let Some(text) = value.get_ref().as_str() {
        return Some(Example { text: text.to_owned(), finds: None });
    }
    if value.get_ref().as_table().is_none() {
        fields.mistakes.add(value.span().start, "an example is a string, or {text = \"...\", finds = \"...\"}");
        return None;
    }
    let mut example = Fields::open(value, "an example", &["text", "finds"], fields.mistakes)?;
    let text = example.required_string("text")?.value;
    let finds = example.required_string("finds")?;
    if !text.contains(&finds.value) && !text.contains('\\') && !text.contains('%') {
        example.mistakes.add(finds.span.start, "`finds` does not occur in `text`");
        return None;
    }
    Some(Example { text, finds: Some(finds.value) })
}

/// Reports examples that are not JSON: member names are found in nothing else.
pub(super) fn json_only(fields: &mut Fields<'_, '_, '_>) {
    for field in ["examples", "negative_examples"] {
        for value in fields.array(field) {
            let text = value.get_ref().as_str().or_else(|| value.get_ref().get("text")?.get_ref().as_str());
            let invalid = text.and_then(|text| serde_json::from_str::<serde_json::Value>(text).err());
            if let Some(error) = invalid {
                fields.mistakes.add(value.span().start, format!("not valid JSON: {error}"));
            }
        }
    }
}
