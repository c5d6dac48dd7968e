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
    /// A file that the configuration names cannot be read.
    #[error("{0}")]
    Unreadable(Box<ConfigError>),
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

    /// At the first line that sets `key`, as its first word if there is such a
    /// line, else about the whole.
    pub(super) fn at_key(source: Option<&Source>, key: &str, message: String) -> Self {
        let sets_key = |line: &str| {
            let rest = line.trim_start().strip_prefix(key);
            rest.is_some_and(|rest| rest.trim_start().starts_with('='))
        };
        match Self::at_line(source, sets_key, 0, message) {
            Self::Whole(message) => Self::at_line(source, |line| place_of_key(line, key).is_some(), 0, message),
            error => error,
        }
    }

    /// At the line of the `nth` (from 0) `[[route]]` that sets `key`, else
    /// about the whole.
    pub(super) fn at_route_key(source: Option<&Source>, nth: usize, key: &str, message: String) -> Self {
        let (mut routes, mut inside) = (0, false);
        let is_inside = |line: &str| {
            let code = line.split('#').next().unwrap_or_default().trim();
            if code == "[[route]]" {
                routes += 1;
                inside = routes == nth + 1;
            } else if code.starts_with('[') && code.ends_with(']') {
                inside &= code.starts_with("[route.");
            }
            inside
        };
        Self::at_key_inside(source, is_inside, key, message)
    }

    /// At the line of a section, or of one in it, that sets `key`, else about the
    /// whole.
    pub(super) fn at_section_key(source: Option<&Source>, section: &str, key: &str, message: String) -> Self {
        let mut inside = false;
        let is_inside = |line: &str| {
            if let Some(header) = line.trim_start().strip_prefix('[') {
                inside = header.strip_prefix(section).is_some_and(|rest| rest.starts_with(['.', ']']));
            }
            inside
        };
        Self::at_key_inside(source, is_inside, key, message)
    }

    /// At the header of the table `key` of a section, or where it is written in another
    /// way, else about the whole.
    pub(super) fn at_table(source: Option<&Source>, section: &str, key: &str, message: String) -> Self {
        let whole = format!("{section}.{key}");
        let is_header = |line: &str| {
            let header = line.trim_start().strip_prefix('[').and_then(|line| line.split(']').next());
            header.is_some_and(|header| header.trim() == whole)
        };
        let not_whole = |error: &Self| !matches!(error, Self::Whole(_));
        let by_header = Self::at_line(source, is_header, 0, message.clone());
        Some(by_header)
            .filter(not_whole)
            .or_else(|| Some(Self::at_section_key(source, section, key, message.clone())).filter(not_whole))
            .unwrap_or_else(|| Self::at_key(source, &whole, message))
    }

    /// At the first line that sets `key` of those that are inside.
    fn at_key_inside(
        source: Option<&Source>,
        mut is_inside: impl FnMut(&str) -> bool,
        key: &str,
        message: String,
    ) -> Self {
        let Some(source) = source else { return Self::Whole(message) };
        let mut offset = 0;
        for line in source.text.split_inclusive('\n') {
            let inside = is_inside(line);
            match place_of_key(line, key) {
                Some(place) if inside => return Self::at_offset(source, offset + place, message),
                _ => offset += line.len(),
            }
        }
        Self::Whole(message)
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

/// Where in `line` the word `key` stands with an equals sign behind it.
fn place_of_key(line: &str, key: &str) -> Option<usize> {
    let in_word = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    let code = line.split('#').next().unwrap_or_default();
    code.match_indices(key).map(|(place, _)| place).find(|&place| {
        let behind = code[place + key.len()..].trim_start_matches(['"', '\'']).trim_start();
        !code[..place].ends_with(in_word) && behind.starts_with('=')
    })
}
