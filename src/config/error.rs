//! What is wrong with a configuration, and where.

use super::file::Source;

/// A mistake in the configuration: where it is, what is wrong, what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// In the file; line and column count from 1.
    #[error("{path}:{line}:{column}: {message}")]
    File {
        /// As given.
        path: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong and what to do.
        message: String,
    },
    /// In an environment variable.
    #[error("environment variable {name}: {message}")]
    Environment {
        /// The variable.
        name: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// In a flag.
    #[error("{flag}: {message}")]
    Flag {
        /// With its dashes.
        flag: &'static str,
        /// What is wrong and what to do.
        message: String,
    },
    /// In what all of them amount to.
    #[error("{0}")]
    Whole(String),
}

impl ConfigError {
    /// At a byte offset of the file.
    pub(super) fn at_offset(source: &Source, offset: usize, message: String) -> Self {
        let before = source.text.get(..offset).unwrap_or(&source.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self::File {
            path: source.path.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message,
        }
    }

    /// At the first line that sets `key`, else about the whole.
    pub(super) fn at_key(source: Option<&Source>, key: &str, message: String) -> Self {
        let sets_key = |line: &str| {
            let rest = line.trim_start().strip_prefix(key);
            rest.is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        Self::at_line(source, sets_key, 0, message)
    }

    /// At the `nth` (from 0) `[[route]]` of the file, else about the whole.
    pub(super) fn at_route(source: Option<&Source>, nth: usize, message: String) -> Self {
        Self::at_line(source, |line| line.trim() == "[[route]]", nth, message)
    }

    fn at_line(source: Option<&Source>, wanted: impl Fn(&str) -> bool, nth: usize, message: String) -> Self {
        let found = source.and_then(|source| {
            let mut lines = source.text.lines().enumerate();
            let (line, text) = lines.by_ref().filter(|(_, text)| wanted(text)).nth(nth)?;
            Some(Self::File {
                path: source.path.clone(),
                line: line + 1,
                column: text.len() - text.trim_start().len() + 1,
                message: message.clone(),
            })
        });
        found.unwrap_or(Self::Whole(message))
    }
}
