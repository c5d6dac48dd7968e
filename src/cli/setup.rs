//! From arguments, environment and files to a configuration, rules and an
//! engine: what the commands have in common.

use super::CliError;
use crate::config::{Config, Flags, KeyFile, KeyReader, Offline, PackReader, Sources};
use crate::rule::{self, Profile, RuleError, RuleTexts, Ruleset};
use crate::scan::{CompileError, Engine};
use crate::server;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The arguments that name rules and policies.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct RuleArgs {
    /// Configuration file (TOML); also EXPURGATE_CONFIG
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A rule file or directory on top of the built-in rules; may be repeated.
    /// Also EXPURGATE_RULES, separated by commas
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// What the upstream speaks: a protocol pack, such as langsmith, or auto, which
    /// suits all; `expurgate protocols list` tells which. Also EXPURGATE_PROTOCOL
    #[arg(long, value_name = "PACK")]
    protocol: Option<String>,
    /// A file or directory of protocol packs of your own; may be repeated. Also
    /// EXPURGATE_PROTOCOLS, separated by commas
    #[arg(long, value_name = "PATH")]
    protocols: Vec<PathBuf>,
    /// default, credentials-only or strict: which rules are enabled; also
    /// EXPURGATE_PROFILE
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// What is done with an entity, with "pii", "credential" or by "default", on
    /// all routes, such as EMAIL_ADDRESS=mask; may be repeated
    #[arg(long = "action", value_name = "ENTITY=ACTION")]
    actions: Vec<String>,
}

/// The arguments that add up to a configuration.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ConfigArgs {
    #[command(flatten)]
    rules: RuleArgs,
    /// Where requests go, such as https://api.example.com, unless the protocol
    /// pack says so; also EXPURGATE_UPSTREAM
    #[arg(long, value_name = "URL")]
    upstream: Option<String>,
    /// Where clients connect [default: 127.0.0.1:8080]; also EXPURGATE_LISTEN
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where probes and Prometheus connect [default: 127.0.0.1:9090]; also
    /// EXPURGATE_ADMIN
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
    /// text or json; also EXPURGATE_LOG_FORMAT. EXPURGATE_LOG sets the level
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl RuleArgs {
    /// The same with other rule files, if any are given, and another profile.
    pub(super) fn with(&self, rules: &[PathBuf], profile: Option<&str>) -> Self {
        Self { rules: rules.to_vec(), profile: profile.map(str::to_owned), ..self.clone() }
    }

    /// The same with more rule files.
    pub(super) fn and(&self, more: &[PathBuf]) -> Self {
        let rules = [&self.rules[..], more].concat();
        self.with(&rules, self.profile.as_deref())
    }

    /// Reads what commands without an upstream need, and warns of variables
    /// that mean nothing.
    pub(super) fn load(&self) -> Result<Offline, CliError> {
        load_offline(&self.sources(Flags::default())?)
    }

    fn sources(&self, flags: Flags) -> Result<Sources, CliError> {
        let flags = Flags {
            rules: self.rules.clone(),
            protocol: self.protocol.clone(),
            protocols: self.protocols.clone(),
            profile: self.profile.clone(),
            actions: self.actions.clone(),
            ..flags
        };
        let (keys, packs) = (KeyReader(read_key), PackReader(read_texts));
        Ok(Sources { file: read_file(self.config.as_deref())?, environment: environment(), flags, keys, packs })
    }
}

impl ConfigArgs {
    /// Reads the configuration.
    pub(super) fn load(&self) -> Result<Config, CliError> {
        Ok(Config::load(&self.sources()?)?)
    }

    /// As [`RuleArgs::load`].
    pub(super) fn load_offline(&self) -> Result<Offline, CliError> {
        load_offline(&self.sources()?)
    }

    fn sources(&self) -> Result<Sources, CliError> {
        self.rules.sources(Flags {
            listen: self.listen.clone(),
            upstream: self.upstream.clone(),
            admin: self.admin.clone(),
            log_format: self.log_format.clone(),
            ..Flags::default()
        })
    }
}

fn load_offline(sources: &Sources) -> Result<Offline, CliError> {
    let offline = Offline::load(sources)?;
    for name in offline.ignored() {
        // Without a standard error there is nobody to warn.
        let _ = writeln!(std::io::stderr(), "warning: the environment variable {name} is not known");
    }
    for warning in offline.warnings() {
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    Ok(offline)
}

/// Reads the rules that a configuration names, whose entities its policies
/// may name.
pub(super) fn offline_ruleset(offline: &Offline) -> Result<Arc<Ruleset>, CliError> {
    let texts = read_rules(offline.as_written())?;
    for directory in texts.empty_directories() {
        // Without a standard error there is nobody to warn.
        let _ = writeln!(std::io::stderr(), "warning: {}", no_rule_file(directory));
    }
    offline_ruleset_of(offline, &texts)
}

/// Reads the rule files that a configuration names.
pub(super) fn read_rules(config: &Config) -> Result<RuleTexts, CliError> {
    read_texts(&config.rules).map_err(|error| match (error, config.place_of_rules()) {
        (RuleError::Read { path, source }, Some(place)) => {
            CliError::Io { what: format!("{place}: {path}: cannot be read"), source }
        }
        (error, _) => error.into(),
    })
}

fn read_texts(paths: &[PathBuf]) -> Result<RuleTexts, RuleError> {
    RuleTexts::read(paths).map_err(|error| match error {
        RuleError::Read { path, source } => {
            let source = server::from_here(Path::new(&path), source);
            RuleError::Read { path, source }
        }
        error => error,
    })
}

/// As [`offline_ruleset`], of what was read.
pub(super) fn offline_ruleset_of(offline: &Offline, texts: &RuleTexts) -> Result<Arc<Ruleset>, CliError> {
    let ruleset = ruleset(offline.builtin_rules(), texts, offline.profile())?;
    offline.check_entities(&ruleset)?;
    Ok(ruleset)
}

/// What is told of a directory that adds no rules.
pub(super) fn no_rule_file(directory: &str) -> String {
    format!("{directory}: no *.toml file in it")
}

/// That no rule has this id.
pub(super) fn unknown_rule(id: &str, ruleset: &Ruleset) -> CliError {
    let ids: Vec<&str> = ruleset.rules.iter().map(|rule| rule.id.as_str()).collect();
    CliError::Usage(rule::unknown_rule(id, &ids))
}

/// The rules in `texts`, on top of the built-in ones if `builtin`, of which
/// those of a profile are enabled.
pub(super) fn ruleset(builtin: bool, texts: &RuleTexts, profile: Profile) -> Result<Arc<Ruleset>, CliError> {
    Ok(Arc::new(texts.ruleset(builtin)?.in_profile(profile)))
}

/// Compiles the rules; a mistake is told with its place.
pub(super) fn engine(ruleset: &Arc<Ruleset>) -> Result<Arc<Engine>, CliError> {
    match Engine::compile(Arc::clone(ruleset)) {
        Ok(engine) => Ok(Arc::new(engine)),
        Err(error) => Err(placed(error, ruleset)),
    }
}

/// The error with the place of the rule that it is about.
fn placed(error: CompileError, ruleset: &Ruleset) -> CliError {
    let rule = match &error {
        CompileError::Pattern { id, .. } => ruleset.rules.iter().find(|rule| rule.id == *id),
        CompileError::Database(_) => None,
    };
    match rule {
        None => error.into(),
        Some(rule) => CliError::Rule(RuleError::Invalid {
            path: rule.pattern_place.source.to_string(),
            line: rule.pattern_place.line,
            column: rule.pattern_place.column,
            message: error.to_string(),
        }),
    }
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

/// A key file. Its content is read at one go, so that no copy is left behind.
fn read_key(path: &Path) -> std::io::Result<KeyFile> {
    const LONGEST: usize = 4096;
    let mut file = std::fs::File::open(path).map_err(|error| server::from_here(path, error))?;
    let mode = mode(&file.metadata()?);
    let mut content = Zeroizing::new(vec![0; LONGEST + 1]);
    let mut length = 0;
    loop {
        match file.read(&mut content[length..])? {
            0 if length > LONGEST => {
                let message = format!("no key file is longer than {LONGEST} bytes");
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, message));
            }
            0 => break,
            read => length += read,
        }
    }
    content.truncate(length);
    Ok(KeyFile { content, mode })
}

#[cfg(unix)]
fn mode(metadata: &std::fs::Metadata) -> Option<u32> {
    Some(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()))
}

#[cfg(not(unix))]
fn mode(_: &std::fs::Metadata) -> Option<u32> {
    None
}

/// Our variables. One that is not Unicode is not dropped in silence: what it
/// turns into names no file and is no number.
fn environment() -> Vec<(String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    variables.filter(|(name, _)| name.starts_with("EXPURGATE_")).collect()
}
