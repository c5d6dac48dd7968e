//! What may change while the process runs.

use super::error::ConfigError;
use super::{Config, file};
use std::path::PathBuf;
use toml::Table;

/// A configuration file that has lost all that it held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: its settings are gone; if that is meant, send SIGHUP, else fill the file")]
pub struct SettingsGone {
    /// As given.
    pub path: String,
}

impl Config {
    /// Every file and directory that says something: of the configuration, of keys, of
    /// protocol packs, of rules.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().chain(&self.rules).cloned().collect()
    }

    /// Whether it can take the place of the one in `use` while the process runs.
    ///
    /// # Errors
    /// The first key that says something else and needs a restart, with its place.
    pub fn succeeds(&self, used: &Self) -> Result<(), ConfigError> {
        let tls = |config: &Self| if config.listener_tls.is_some() { "on" } else { "off" }.to_owned();
        let level = |config: &Self| format!("{:?}", config.log.level).to_lowercase();
        let format = |config: &Self| format!("{:?}", config.log.format).to_lowercase();
        let fixed = [
            ("listener", "address", self.listener.to_string(), used.listener.to_string()),
            ("listener", "tls", tls(self), tls(used)),
            ("admin", "address", self.admin.to_string(), used.admin.to_string()),
            ("log", "level", level(self), level(used)),
            ("log", "format", format(self), format(used)),
        ];
        match fixed.into_iter().find(|(_, _, new, old)| new != old) {
            None => Ok(()),
            Some((section, key, new, old)) => {
                let message = format!(
                    "{section}.{key} cannot change from {old} to {new} while the process runs: restart it, or set it back"
                );
                Err(self.at_fixed(section, key, message))
            }
        }
    }

    /// Where a key that needs a restart is set; where it is no longer, the file.
    fn at_fixed(&self, section: &str, key: &str, message: String) -> ConfigError {
        let keys: &[&str] = if key == "tls" { &["tls", "cert", "tls.cert"] } else { &[key] };
        let at = |key: &&str| ConfigError::at_section_key(self.source.as_ref(), section, key, message.clone());
        let found = keys.iter().map(at).find(|error| !matches!(error, ConfigError::Whole(_)));
        found.unwrap_or_else(|| match &self.source {
            Some(source) => ConfigError::Whole(format!("{}: {message}", source.path)),
            None => ConfigError::Whole(message),
        })
    }

    /// Whether the file did not lose all that it said: it may have been emptied to be
    /// written anew.
    ///
    /// # Errors
    /// When it did.
    pub fn keeps_settings_of(&self, used: &Self) -> Result<(), SettingsGone> {
        match (&self.source, &used.source) {
            (Some(new), Some(old)) if is_blank(new) && !is_blank(old) => Err(SettingsGone { path: new.path.clone() }),
            _ => Ok(()),
        }
    }
}

fn is_blank(source: &file::Source) -> bool {
    source.text.parse::<Table>().is_ok_and(|table| table.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn config(text: &str) -> Config {
        let text = format!("{text}\n[[route]]\nupstream = \"http://a\"\n");
        Config::load(&Sources { file: Some(("test.toml".to_owned(), text)), ..Sources::default() }).unwrap()
    }

    #[test]
    fn what_needs_a_restart_is_told_with_its_place() {
        let used = config("");
        let cases = [
            (
                "[listener]\naddress = \"127.0.0.1:1\"",
                "test.toml:2:1: listener.address cannot change from 127.0.0.1:8080",
            ),
            ("[admin]\n\naddress = \"127.0.0.1:1\"", "test.toml:3:1: admin.address"),
            ("[listener.tls]\ncert = \"a\"\nkey = \"b\"", "test.toml:2:1: listener.tls cannot change from off to on"),
            ("listener.tls = { cert = \"a\", key = \"b\" }", "test.toml: listener.tls cannot change from off to on"),
            ("[log]\nlevel = \"debug\"", "test.toml:2:1: log.level cannot change from info to debug"),
            ("[log]\nformat = \"json\"", "test.toml:2:1: log.format cannot change from text to json"),
        ];
        for (text, wanted) in cases {
            let error = config(text).succeeds(&used).unwrap_err().to_string();
            assert!(error.starts_with(wanted) && error.contains("restart"), "{error}");
            // Taken out again.
            let error = used.succeeds(&config(text)).unwrap_err().to_string();
            assert!(error.starts_with("test.toml: ") && error.contains("restart"), "{error}");
        }
    }

    #[test]
    fn all_else_may_change() {
        let used = config("");
        for text in ["[limits]\nmax_requests = 1", "[timeouts]\nhead = \"1s\"", "[rules]\npaths = [\"a\"]"] {
            assert_eq!(config(text).succeeds(&used), Ok(()), "{text}");
        }
        let tls = |cert| config(&format!("[listener.tls]\ncert = \"{cert}\"\nkey = \"b\""));
        assert_eq!(tls("a").succeeds(&tls("c")), Ok(()));
    }

    #[test]
    fn a_file_that_is_emptied_has_lost_its_settings() {
        let config = |text: &str| {
            let flags = crate::config::Flags { upstream: Some("http://a".to_owned()), ..Default::default() };
            let file = Some(("test.toml".to_owned(), text.to_owned()));
            Config::load(&Sources { file, flags, ..Sources::default() }).unwrap()
        };
        let (full, empty) = (config("[limits]\nmax_requests = 1"), config("# to be filled\n"));
        let error = empty.keeps_settings_of(&full).unwrap_err().to_string();
        assert!(error.starts_with("test.toml: ") && error.contains("SIGHUP"), "{error}");
        assert_eq!(full.keeps_settings_of(&empty), Ok(()));
        assert_eq!(empty.keeps_settings_of(&config("")), Ok(()));
    }
}
