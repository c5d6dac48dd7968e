//! From arguments, environment and files to a configuration and an engine:
//! what `run` and `check` have in common.

use super::CliError;
use crate::config::{Config, Flags, Sources};
use crate::rule::Ruleset;
use crate::scan::Engine;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The arguments that add up to a configuration.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ConfigArgs {
    /// Configuration file (TOML); also EXPURGATE_CONFIG
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Rule files or directories on top of the built-in rules; also
    /// EXPURGATE_RULES, separated by commas
    #[arg(long, value_name = "PATH", num_args = 1..)]
    rules: Vec<PathBuf>,
    /// Where requests go, such as https://api.example.com; also
    /// EXPURGATE_UPSTREAM
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Where clients connect [default: 127.0.0.1:8080]; also EXPURGATE_LISTEN
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where probes and Prometheus connect [default: 127.0.0.1:9090]; also
    /// EXPURGATE_ADMIN
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// What the upstream speaks; "auto" suits all
    #[arg(long, value_name = "PACK")]
    protocol: Option<String>,
    /// text or json; also EXPURGATE_LOG_FORMAT. EXPURGATE_LOG sets the level
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl ConfigArgs {
    /// Reads the configuration.
    pub(super) fn load(&self) -> Result<Config, CliError> {
        Ok(Config::load(&Sources {
            file: self.read_file()?,
            environment: environment(),
            flags: Flags {
                listen: self.listen.clone(),
                upstream: self.upstream.clone(),
                admin: self.admin.clone(),
                protocol: self.protocol.clone(),
                rules: self.rules.clone(),
                log_format: self.log_format.clone(),
            },
        })?)
    }

    /// Whether a whole configuration was asked for, not only rules.
    pub(super) fn has_routes(&self) -> bool {
        let variable = |(name, _): &(String, String)| {
            name == "EXPURGATE_CONFIG" || name == "EXPURGATE_UPSTREAM" || name.starts_with("EXPURGATE_ROUTE_")
        };
        self.config.is_some() || self.upstream.is_some() || environment().iter().any(variable)
    }

    /// The rule files given as arguments.
    pub(super) fn rules(&self) -> &[PathBuf] {
        &self.rules
    }

    fn read_file(&self) -> Result<Option<(String, String)>, CliError> {
        read_file(self.config.as_deref())
    }
}

/// The configuration, for commands that need only its rules and policies:
/// `None` when neither `path` nor the environment names a file.
pub(super) fn load_if_given(path: Option<&Path>, rules: &[PathBuf]) -> Result<Option<Config>, CliError> {
    let Some(file) = read_file(path)? else { return Ok(None) };
    let flags = Flags { rules: rules.to_vec(), ..Flags::default() };
    Ok(Some(Config::load(&Sources { file: Some(file), environment: environment(), flags })?))
}

/// The rule files given, or those that the environment names.
pub(super) fn rules_or_environment(rules: &[PathBuf]) -> Vec<PathBuf> {
    if !rules.is_empty() {
        return rules.to_vec();
    }
    let named = std::env::var("EXPURGATE_RULES").unwrap_or_default();
    named.split(',').map(str::trim).filter(|path| !path.is_empty()).map(PathBuf::from).collect()
}

fn read_file(path: Option<&Path>) -> Result<Option<(String, String)>, CliError> {
    let from_environment = || std::env::var_os("EXPURGATE_CONFIG").map(PathBuf::from);
    let Some(path) = path.map(Path::to_owned).or_else(from_environment) else {
        return Ok(None);
    };
    let shown = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((shown, text))),
        Err(source) => Err(CliError::Io { what: format!("cannot read the configuration {shown}"), source }),
    }
}

/// Loads and compiles the rules that the configuration names.
pub(super) fn configured_engine(config: &Config) -> Result<Arc<Engine>, CliError> {
    if config.builtin_rules {
        return load_engine(&config.rules);
    }
    Ok(Arc::new(Engine::compile(Arc::new(Ruleset::load_alone(&config.rules)?))?))
}

/// Loads and compiles the rules on top of the built-in ones.
pub(super) fn load_engine(rules: &[PathBuf]) -> Result<Arc<Engine>, CliError> {
    let ruleset = Arc::new(Ruleset::load(rules)?);
    Ok(Arc::new(Engine::compile(ruleset)?))
}

fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).filter(|(name, _)| name.starts_with("EXPURGATE_")).collect()
}
