//! Rule files as they were read at one time.
//!
//! What is compared, told and compiled is one and the same reading: between two
//! readings a file may change.

use super::syntax;
use super::{RuleError, Ruleset};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

/// Name and text of the rule files that some paths stand for. Two are equal
/// when names and texts are.
#[derive(Debug, PartialEq, Eq)]
pub struct RuleTexts {
    /// In the order in which they are laid over each other.
    files: Vec<(String, String)>,
    /// Each path, and which of the files it stands for.
    paths: Vec<(String, Range<usize>)>,
}

/// Rules are gone that were there, which a file that is being written looks
/// like.
#[derive(Debug, thiserror::Error)]
#[error("{path}: its rules are gone, and nothing took their place; put them back, or send SIGHUP if they are to go")]
pub struct RulesGone {
    /// The file, or the directory if none of its files holds rules.
    path: String,
}

impl RuleTexts {
    /// Reads files, or directories of `*.toml` in the order of their names.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn read(paths: &[PathBuf]) -> Result<Self, RuleError> {
        let mut texts = Self { files: Vec::new(), paths: Vec::new() };
        for path in paths {
            let first = texts.files.len();
            for file in rule_files(path).map_err(|source| unreadable(path, source))? {
                let bytes = fs::read(&file).map_err(|source| unreadable(&file, source))?;
                let text = String::from_utf8(bytes).map_err(|error| no_text(&file, &error))?;
                texts.files.push((file.display().to_string(), text));
            }
            texts.paths.push((path.display().to_string(), first..texts.files.len()));
        }
        Ok(texts)
    }

    /// Name and text of each file.
    pub fn files(&self) -> &[(String, String)] {
        &self.files
    }

    /// The directories that hold no rule file.
    pub fn empty_directories(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().filter(|(_, files)| files.is_empty()).map(|(path, _)| path.as_str())
    }

    /// The rules in them, on top of the built-in ones if `builtin`.
    ///
    /// # Errors
    /// With every mistake in every file.
    pub fn ruleset(&self, builtin: bool) -> Result<Ruleset, RuleError> {
        if builtin { Ruleset::from_texts(&self.files) } else { Ruleset::from_texts_alone(&self.files) }
    }

    /// Whether each file and each path that held something `before` still
    /// holds something. A file may be gone if another is left beside it.
    ///
    /// # Errors
    /// With the first that does not.
    pub fn keep_rules_of(&self, before: &Self) -> Result<(), RulesGone> {
        let held = |name: &str| before.files.iter().any(|(file, text)| file == name && !syntax::is_empty(text));
        let emptied = self.files.iter().find(|(name, text)| syntax::is_empty(text) && held(name)).map(|(name, _)| name);
        let lost = || {
            let mut held = before.paths.iter().filter(|(_, files)| !before.is_empty(files)).map(|(path, _)| path);
            held.find(|held| self.paths.iter().any(|(path, files)| path == *held && self.is_empty(files)))
        };
        match emptied.or_else(lost) {
            Some(path) => Err(RulesGone { path: path.clone() }),
            None => Ok(()),
        }
    }

    fn is_empty(&self, files: &Range<usize>) -> bool {
        self.files[files.clone()].iter().all(|(_, text)| syntax::is_empty(text))
    }
}

/// The rule files that a path stands for. Dot files are skipped: a mounted
/// ConfigMap keeps its bookkeeping in them.
fn rule_files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && file.extension().is_some_and(|extension| extension == "toml") {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(path: &Path, source: io::Error) -> RuleError {
    RuleError::Read { path: path.display().to_string(), source }
}

fn no_text(path: &Path, error: &FromUtf8Error) -> RuleError {
    let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
    let line = before.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    RuleError::Invalid {
        path: path.display().to_string(),
        line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
        column: 1 + String::from_utf8_lossy(line).chars().count(),
        message: "this is not UTF-8; save the file in UTF-8".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "[[override]]\nid = \"email.address\"\nenabled = false\n";

    #[test]
    fn a_file_that_is_no_text_is_a_mistake_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.toml");
        fs::write(&file, b"[[rule]]\nid = \"caf\xe9.key\"\n").unwrap();
        let told = RuleTexts::read(std::slice::from_ref(&file)).unwrap_err().to_string();
        assert_eq!(told, format!("{}:2:10: this is not UTF-8; save the file in UTF-8", file.display()));
    }

    fn write(folder: &Path, files: &[(&str, &str)]) -> RuleTexts {
        for old in rule_files(folder).unwrap() {
            fs::remove_file(old).unwrap();
        }
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        RuleTexts::read(&[folder.to_owned()]).unwrap()
    }

    #[test]
    fn rules_are_gone_when_a_file_is_emptied_or_a_directory_holds_none() {
        let folder = tempfile::tempdir().unwrap();
        let both = write(folder.path(), &[("a.toml", RULE), ("b.toml", RULE), ("c.toml", "# none yet\n")]);
        let gone = |files: &[(&str, &str)]| {
            let error = write(folder.path(), files).keep_rules_of(&both).err().map(|error| error.to_string())?;
            let path = error.split(": its rules are gone").next().unwrap();
            Some(PathBuf::from(path).strip_prefix(folder.path()).unwrap().display().to_string())
        };
        assert_eq!(gone(&[("a.toml", RULE), ("b.toml", "\n# later\n")]).as_deref(), Some("b.toml"));
        assert_eq!(gone(&[("a.toml", "override = []"), ("b.toml", RULE)]).as_deref(), Some("a.toml"));
        assert_eq!(gone(&[]).as_deref(), Some(""));
        assert_eq!(gone(&[("d.toml", "")]).as_deref(), Some(""));
        // Moved, written anew, or wrong, which is told when they are compiled.
        assert_eq!(gone(&[("b.toml", RULE), ("c.toml", "")]), None);
        assert_eq!(gone(&[("d.toml", RULE)]), None);
        assert_eq!(gone(&[("a.toml", "[[override]"), ("b.toml", RULE)]), None);
    }

    #[test]
    fn texts_differ_by_the_name_of_a_file_and_by_its_text() {
        let folder = tempfile::tempdir().unwrap();
        let first = write(folder.path(), &[("a.toml", RULE)]);
        assert_eq!(write(folder.path(), &[("a.toml", RULE), (".b.toml", RULE)]), first);
        assert_ne!(write(folder.path(), &[("b.toml", RULE)]), first);
        assert_ne!(write(folder.path(), &[("a.toml", "")]), first);
    }
}
