//! Where in a rule file a mistake is, as a line and a column.

use super::{Place, RuleError};

/// One rule file and the mistakes found in it so far. All are collected, so
/// that a user mends a file in one go.
pub(super) struct Mistakes<'a> {
    path: &'a str,
    text: &'a str,
    found: Vec<RuleError>,
}

impl<'a> Mistakes<'a> {
    /// None found yet.
    pub(super) fn new(path: &'a str, text: &'a str) -> Self {
        Self { path, text, found: Vec::new() }
    }

    /// The file's name.
    pub(super) fn path(&self) -> &'a str {
        self.path
    }

    /// The file's text.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// Records a mistake at a byte offset in the file.
    pub(super) fn add(&mut self, offset: usize, message: impl Into<String>) {
        let (line, column) = position(self.text, offset);
        self.found.push(RuleError::Invalid { path: self.path.to_owned(), line, column, message: message.into() });
    }

    /// Records what the library of TOML says; of a backslash in a string that has escapes,
    /// what to do about it.
    pub(super) fn add_toml(&mut self, offset: usize, message: &str) {
        let is_escape = message.contains("escape");
        let hint = if is_escape { "; write patterns in single quotes, where a backslash is one" } else { "" };
        self.add(offset, format!("invalid TOML: {message}{hint}"));
    }

    /// A byte offset in the file, as a place.
    pub(super) fn place(&self, offset: usize) -> Place {
        let (line, column) = position(self.text, offset);
        Place { source: self.path.into(), line, column }
    }

    /// How many were found.
    pub(super) fn count(&self) -> usize {
        self.found.len()
    }

    /// All that were found, in the order of their places in the file.
    pub(super) fn into_errors(mut self) -> Vec<RuleError> {
        self.found.sort_by_key(|mistake| match mistake {
            RuleError::Invalid { line, column, .. } => (*line, *column),
            _ => (0, 0),
        });
        self.found
    }
}

/// Line and column, in characters and from 1, of a byte offset.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = memchr::memrchr(b'\n', before.as_bytes()).map_or(0, |newline| newline + 1);
    // Asked of every example of every rule.
    let line = memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1;
    let column = before[line_start..].chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        assert_eq!(position("ä = 1\nü = 2", 0), (1, 1));
        assert_eq!(position("ä = 1\nüü = 2", 11), (2, 3));
    }

    #[test]
    fn an_offset_past_the_end_is_the_end() {
        assert_eq!(position("a\nb", 99), (2, 2));
    }
}
