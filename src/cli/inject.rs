//! `expurgate inject`: the sidecar, into Kubernetes manifests.

use super::exit::unwritable;
use super::knobs::Knobs;
use super::setup;
use super::{CliError, Exit};
use crate::manifest::{self, Changed, Injector, ManifestError};
use crate::redact::judge_own;
use crate::rule::protocol::Packs;
use crate::rule::{Profile, RuleTexts, Ruleset};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// More than this is no set of manifests.
const LARGEST: u64 = 256 * 1024 * 1024;

/// Add the sidecar to Kubernetes manifests on standard input.
///
/// Reads manifests (YAML or JSON, any number of documents, lists) from standard input
/// and writes them to standard output. Pods of Deployments, StatefulSets, DaemonSets,
/// ReplicaSets, Jobs, CronJobs and Pods get the sidecar, and the variables that point
/// their SDKs at it; all else leaves as it came. Injecting twice is injecting once.
/// Annotations of a pod, expurgate.dev/ and the name of a flag, win over the flags.
///
///   expurgate inject --protocol openai < deployment.yaml | kubectl apply -f -
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, override_usage = "expurgate inject [OPTIONS] < deployment.yaml")]
pub(super) struct Args {
    #[command(flatten)]
    knobs: Knobs,
    /// A rule file, or directory of them, for the sidecars: checked, and added as the
    /// ConfigMap expurgate-rules; may be repeated
    #[arg(long, value_name = "PATH", conflicts_with = "uninject")]
    rules: Vec<PathBuf>,
    /// Take everything out again that inject put in
    #[arg(long)]
    uninject: bool,
}

/// Reads, changes, writes: all of it or nothing.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let text = read_input()?;
    let changed = if args.uninject {
        manifest::uninject(&text).map_err(|error| of_input(error, &text))?
    } else {
        let (rules, ruleset) = read_rules(&args.rules)?;
        let injector =
            Injector::new(Packs::builtin()?, args.knobs.0.clone(), !rules.is_empty()).map_err(CliError::Usage)?;
        let injector = injector.knowing(&ruleset);
        let changed = manifest::inject(&text, &injector, &rules).map_err(|error| of_input(error, &text))?;
        tell(&changed);
        changed
    };
    std::io::stdout().write_all(changed.text.as_bytes()).map_err(unwritable)?;
    Ok(Exit::Clean)
}

/// The error, with what to do about a template.
fn of_input(error: ManifestError, text: &str) -> CliError {
    let is_template = matches!(error, ManifestError::Text { .. }) && text.contains("{{");
    match CliError::from(error) {
        CliError::Usage(told) if is_template => {
            CliError::Usage(format!("{told}; render templates first: helm template … | expurgate inject"))
        }
        error => error,
    }
}

/// All of standard input.
pub(super) fn read_input() -> Result<String, CliError> {
    let failed = |source| CliError::Io { what: "cannot read standard input".to_owned(), source };
    let mut text = String::new();
    std::io::stdin().lock().take(LARGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LARGEST {
        return Err(CliError::Usage(format!("standard input has more than {LARGEST} bytes")));
    }
    Ok(text)
}

fn tell(changed: &Changed) {
    // Without a standard error there is nobody to tell.
    let mut stderr = std::io::stderr();
    for warning in &changed.warnings {
        let _ = writeln!(stderr, "warning: {warning}");
    }
    let _ = match changed.injected {
        0 => writeln!(stderr, "warning: no workload gets the sidecar"),
        1 => writeln!(stderr, "1 workload has the sidecar"),
        count => writeln!(stderr, "{count} workloads have the sidecar"),
    };
}

/// Names and texts.
type Files = Vec<(String, String)>;

/// Names for a ConfigMap and texts of rule files, which are right as `check` has it, and
/// the rules with the built-in ones.
fn read_rules(paths: &[PathBuf]) -> Result<(Files, Arc<Ruleset>), CliError> {
    if paths.is_empty() {
        return Ok((Vec::new(), Arc::new(Ruleset::builtin()?)));
    }
    let texts = RuleTexts::read(paths)?;
    let ruleset = setup::ruleset(true, &texts, Profile::default())?;
    let problems = judge_own(&mut setup::engine(&ruleset)?)?;
    if !problems.is_empty() {
        return Err(CliError::Problems(problems));
    }
    let mut rules = Files::new();
    for (path, text) in texts.files() {
        let name = Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let is_key = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_key || !name.ends_with(".toml") {
            return Err(CliError::Usage(format!("{path}: call it NAME.toml, of letters, digits, - and _")));
        }
        if rules.iter().any(|(other, _)| *other == name) {
            return Err(CliError::Usage(format!("{path}: another rule file is called {name} too; rename one")));
        }
        rules.push((name, text.clone()));
    }
    if rules.is_empty() {
        return Err(CliError::Usage("--rules: there is no rule file (*.toml)".to_owned()));
    }
    Ok((rules, ruleset))
}

impl From<ManifestError> for CliError {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Text { .. } => Self::Usage(format!("standard input: {error}")),
            ManifestError::Refused(_) => Self::Usage(error.to_string()),
        }
    }
}
