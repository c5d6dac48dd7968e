//! Typed access to the fields of one TOML table, with a mistake for each
//! field that is unknown, missing or of the wrong type.

use super::mistakes::Mistakes;
use super::names::nearest;
use super::spec::{self, Field};
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and the place in the file where it is written.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    /// The value.
    pub(super) value: T,
    /// Byte range in the file.
    pub(super) span: Range<usize>,
}

/// One table, such as a `[[rule]]`.
pub(super) struct Fields<'t, 'm, 'a> {
    table: &'t DeTable<'t>,
    /// Where the table starts; mistakes about the table as a whole point here.
    pub(super) start: usize,
    /// Where mistakes go.
    pub(super) mistakes: &'m mut Mistakes<'a>,
}

impl<'t, 'm, 'a> Fields<'t, 'm, 'a> {
    /// The fields of `value`, which stands in an array of tables called
    /// `header`. Fields that are not in `known` are reported at once.
    pub(super) fn open(
        value: &'t Spanned<DeValue<'t>>,
        header: &str,
        known: &[Field],
        mistakes: &'m mut Mistakes<'a>,
    ) -> Option<Self> {
        let start = value.span().start;
        let Some(table) = value.get_ref().as_table() else {
            mistakes.add(start, format!("expected a table; write it as {header}"));
            return None;
        };
        report_unknown(table, header, known, mistakes);
        Some(Self { table, start, mistakes })
    }

    /// The fields of a file that is one table, told as `place`.
    pub(super) fn of_root(
        table: &'t DeTable<'t>,
        place: &str,
        known: &[Field],
        mistakes: &'m mut Mistakes<'a>,
    ) -> Self {
        report_unknown(table, place, known, mistakes);
        Self { table, start: 0, mistakes }
    }

    /// A string, when present.
    pub(super) fn string(&mut self, field: &str) -> Option<Placed<String>> {
        let value = self.table.get(field)?;
        match value.get_ref().as_str() {
            Some(text) => Some(Placed { value: text.to_owned(), span: value.span() }),
            None => self.wrong_type(field, value, "a string"),
        }
    }

    /// A string that must be present and must not be blank.
    pub(super) fn required_string(&mut self, field: &str) -> Option<Placed<String>> {
        if !self.table.contains_key(field) {
            self.mistakes.add(self.start, format!("`{field}` is missing"));
            return None;
        }
        let text = self.string(field)?;
        if text.value.trim().is_empty() {
            self.mistakes.add(text.span.start, format!("`{field}` is empty; fill it in"));
            return None;
        }
        Some(text)
    }

    /// A list of strings; empty when absent.
    pub(super) fn strings(&mut self, field: &str) -> Vec<Placed<String>> {
        let mut strings = Vec::new();
        for value in self.array(field) {
            match value.get_ref().as_str() {
                Some(text) => {
                    strings.push(Placed { value: text.to_owned(), span: value.span() });
                }
                None => {
                    self.wrong_type::<()>(field, value, "a list of strings");
                }
            }
        }
        strings
    }

    /// The values of a list; empty when absent.
    pub(super) fn array(&mut self, field: &str) -> Vec<&'t Spanned<DeValue<'t>>> {
        let Some(value) = self.table.get(field) else {
            return Vec::new();
        };
        match value.get_ref().as_array() {
            Some(array) => array.iter().collect(),
            None => {
                self.wrong_type::<()>(field, value, "a list");
                Vec::new()
            }
        }
    }

    /// The names of a table with their strings; empty when absent.
    pub(super) fn map_of_strings(&mut self, field: &str) -> BTreeMap<String, Placed<String>> {
        let Some(value) = self.table.get(field) else { return BTreeMap::new() };
        let mut strings = BTreeMap::new();
        match value.get_ref().as_table() {
            None => drop(self.wrong_type::<()>(field, value, "a table of strings")),
            Some(table) => {
                for (name, value) in table {
                    match value.get_ref().as_str() {
                        Some(text) => {
                            let text = Placed { value: text.to_owned(), span: value.span() };
                            drop(strings.insert(name.get_ref().to_string(), text));
                        }
                        None => drop(self.wrong_type::<()>(name.get_ref(), value, "a string")),
                    }
                }
            }
        }
        strings
    }

    /// Whatever is written, when something is.
    pub(super) fn value(&self, field: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.table.get(field)
    }

    /// `true` or `false`, when present.
    pub(super) fn boolean(&mut self, field: &str) -> Option<bool> {
        let value = self.table.get(field)?;
        match value.get_ref().as_bool() {
            Some(boolean) => Some(boolean),
            None => self.wrong_type(field, value, "true or false"),
        }
    }

    /// A whole number within `range`, when present.
    pub(super) fn integer(&mut self, field: &str, range: Range<i64>) -> Option<i64> {
        let value = self.table.get(field)?;
        let number = value
            .get_ref()
            .as_integer()
            .and_then(|integer| i64::from_str_radix(integer.as_str(), integer.radix()).ok());
        match number {
            Some(number) if range.contains(&number) => Some(number),
            _ => {
                let expected = format!("a whole number from {} to {}", range.start, range.end - 1);
                self.wrong_type(field, value, &expected)
            }
        }
    }

    /// Whether the field is written at all.
    pub(super) fn has(&self, field: &str) -> bool {
        self.table.contains_key(field)
    }

    /// Where the field's value is written, else where the table starts.
    pub(super) fn place(&self, field: &str) -> usize {
        self.table.get(field).map_or(self.start, |value| value.span().start)
    }

    fn wrong_type<T>(&mut self, field: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> Option<T> {
        self.mistakes.add(value.span().start, format!("`{field}` must be {expected}"));
        None
    }
}

fn report_unknown(table: &DeTable<'_>, place: &str, known: &[Field], mistakes: &mut Mistakes<'_>) {
    let known = &spec::names(known)[..];
    for field in table.keys().filter(|field| !known.contains(&field.get_ref().as_ref())) {
        mistakes.add(field.span().start, unknown(field.get_ref(), place, known));
    }
}

/// The message for a field that is not in `known`.
pub(super) fn unknown(field: &str, place: &str, known: &[&str]) -> String {
    match nearest(field, known) {
        Some(name) => format!("unknown field `{field}` in {place}; did you mean `{name}`?"),
        None if place == "[[override]]" && spec::names(spec::RULE).contains(&field) => {
            format!("unknown field `{field}` in {place}; a [[rule]] with the same id replaces the whole rule")
        }
        None => format!("unknown field `{field}` in {place}; known are {}", listed(known)),
    }
}

/// The names in backquotes, joined by commas.
pub(super) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}
