//! The tests that every rule carries.

use super::Example;
use super::fields::Fields;
use super::spec;
use super::syntax::path;
use toml::Spanned;
use toml::de::DeValue;

/// What a rule file says that the rule must and must not find.
pub(super) struct Tests {
    /// Texts in which it must find something.
    pub(super) examples: Vec<Example>,
    /// Texts in which it must find nothing.
    pub(super) negative_examples: Vec<Example>,
}

impl Tests {
    /// Reads both lists.
    pub(super) fn read(fields: &mut Fields<'_, '_, '_>) -> Self {
        let each = |field: &str, negative: bool, fields: &mut Fields<'_, '_, '_>| {
            fields.array(field).into_iter().filter_map(|value| example(value, negative, fields)).collect()
        };
        let examples = each("examples", false, fields);
        let negative_examples = each("negative_examples", true, fields);
        Self { examples, negative_examples }
    }

    /// As [`Tests::read`], where neither may be empty.
    pub(super) fn required(fields: &mut Fields<'_, '_, '_>) -> Self {
        for (field, meaning) in [
            ("examples", "text in which the rule must find something"),
            ("negative_examples", "text that looks alike and must stay"),
        ] {
            // What is no list is told where it is read.
            let is_given =
                |value: &Spanned<DeValue<'_>>| value.get_ref().as_array().is_none_or(|list| !list.is_empty());
            if !fields.value(field).is_some_and(is_given) {
                let place = fields.place(field);
                fields.mistakes.add(place, format!("`{field}` is missing: give at least one {meaning}"));
            }
        }
        Self::read(fields)
    }
}

fn example(value: &Spanned<DeValue<'_>>, negative: bool, fields: &mut Fields<'_, '_, '_>) -> Option<Example> {
    let place = fields.mistakes.place(value.span().start);
    if let Some(text) = value.get_ref().as_str() {
        return Some(Example { text: text.to_owned(), finds: None, path: None, place });
    }
    if value.get_ref().as_table().is_none() {
        fields.mistakes.add(value.span().start, "an example is a string, or {text = \"...\", finds = \"...\"}");
        return None;
    }
    let before = fields.mistakes.count();
    let mut table = Fields::open(value, "an example", spec::EXAMPLE, fields.mistakes)?;
    let text = table.required_string("text");
    let path = path(&mut table, "path").map(|path| path.source().to_owned());
    let finds = if negative || path.is_some() && !table.has("finds") {
        table.string("finds")
    } else {
        table.required_string("finds")
    };
    let text = text?.value;
    if let Some(finds) = &finds {
        if negative {
            table.mistakes.add(finds.span.start, "in a negative example nothing is found; remove `finds`");
        } else if !text.contains(&finds.value) && !text.contains('\\') && !text.contains('%') {
            table.mistakes.add(finds.span.start, "`finds` does not occur in `text`");
        }
    }
    if path.as_ref().is_some_and(|path| path.contains('*')) {
        let place = table.place("path");
        table.mistakes.add(place, "an example stands at one place; write no `*`");
    }
    let finds = finds.map(|finds| finds.value);
    (table.mistakes.count() == before).then_some(Example { text, finds, path, place })
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
