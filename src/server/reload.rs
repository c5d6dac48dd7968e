//! New rules while the process runs.
//!
//! Rule files are watched by their directories, since a mounted ConfigMap
//! replaces its files by renaming a link beside them (`..data`), and editors
//! rename too. What a watch tells is only a hint: whether anything changed is
//! decided by what the files hold. They are looked at every [`POLL`] as well,
//! for file systems that tell nothing. SIGHUP reads them in any case.
//!
//! New rules are checked as at the start, beside the requests. Only then they
//! are used, for requests that begin from then on; bad ones are told, counted,
//! and leave the old ones in use.

use super::Context;
use crate::rule::Ruleset;
use crate::scan::Engine;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How often the files are looked at, whatever the watch tells.
const POLL: Duration = Duration::from_secs(10);
/// How long nothing more may change before the files are read: an editor
/// writes in several steps.
const QUIET: Duration = Duration::from_millis(100);

type Loaded = Result<Arc<Engine>, Box<dyn Error + Send + Sync>>;

/// Where rules come from, again and again.
pub struct RuleSource {
    /// Files and directories.
    paths: Vec<PathBuf>,
    load: Arc<dyn Fn() -> Loaded + Send + Sync>,
    hangups: Signal,
    /// What the files held when they were last read.
    seen: String,
}

impl RuleSource {
    /// Rules that `load` reads from `paths` and checks. From now on SIGHUP does
    /// not end the process.
    ///
    /// # Errors
    /// When the handler of the signal cannot be installed.
    pub fn new(paths: &[PathBuf], load: impl Fn() -> Loaded + Send + Sync + 'static) -> io::Result<Self> {
        let hangups = signal(SignalKind::hangup())?;
        Ok(Self { paths: paths.to_vec(), load: Arc::new(load), hangups, seen: Ruleset::fingerprint(paths) })
    }

    /// Puts new rules in use as they come.
    pub(super) async fn serve(mut self, context: Arc<Context>) {
        let (changed, mut changes) = mpsc::channel(1);
        let _watcher = match watch(&self.paths, changed) {
            Ok(watcher) => watcher,
            Err(error) => {
                tracing::warn!(%error, "the rule files cannot be watched; they are looked at every 10 seconds");
                None
            }
        };
        loop {
            let told = tokio::select! {
                hangup = self.hangups.recv() => hangup.is_some(),
                Some(()) = changes.recv() => self.settles(&mut changes).await,
                () = tokio::time::sleep(POLL) => false,
            };
            self.look(told, &context).await;
        }
    }

    /// Waits until nothing changes; whether a signal cut that short.
    async fn settles(&mut self, changes: &mut mpsc::Receiver<()>) -> bool {
        loop {
            tokio::select! {
                Some(()) = self.hangups.recv() => return true,
                Some(()) = changes.recv() => {}
                () = tokio::time::sleep(QUIET) => return false,
            }
        }
    }

    /// Reads the rules if they are others than before, or if `told` to.
    async fn look(&mut self, told: bool, context: &Context) {
        let (paths, load, seen) = (self.paths.clone(), Arc::clone(&self.load), self.seen.clone());
        // Rules take a while to be compiled and judged.
        let looked = tokio::task::spawn_blocking(move || {
            let found = Ruleset::fingerprint(&paths);
            let loaded = (told || found != seen).then(|| load());
            (found, loaded)
        });
        match looked.await {
            Ok((found, loaded)) => {
                self.seen = found;
                if let Some(loaded) = loaded {
                    context.use_rules(loaded);
                }
            }
            // A panic, which the hook has told of.
            Err(_) => context.metrics.count_reload(false),
        }
    }
}

impl Context {
    /// Tells in the metrics which rules are in use.
    pub(super) fn tell_rules(&self, engine: &Engine) {
        let ruleset = engine.ruleset();
        let enabled = ruleset.rules.iter().filter(|rule| rule.enabled).count();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.metrics.set_ruleset(&ruleset.hash, enabled, now);
    }

    fn use_rules(&self, loaded: Loaded) {
        self.metrics.count_reload(loaded.is_ok());
        match loaded {
            Ok(engine) => {
                self.proxy.set_rules(&engine);
                self.tell_rules(&engine);
                let (hash, rules) = (engine.ruleset().hash.as_str(), engine.ruleset().rules.len());
                tracing::info!(ruleset = hash, rules, "new rules are in use");
            }
            Err(error) => {
                tracing::error!(error = %Causes(&*error), "the new rules are not used; the old ones stay");
            }
        }
    }
}

/// An error and its causes.
struct Causes<'a>(&'a (dyn Error + 'static));

impl std::fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Tells `changed` when something happens in a directory of `paths`, or beside
/// a file. `None` when there is nothing to watch.
fn watch(paths: &[PathBuf], changed: mpsc::Sender<()>) -> notify::Result<Option<RecommendedWatcher>> {
    let folders: BTreeSet<&Path> = paths.iter().map(|path| folder(path)).collect();
    if folders.is_empty() {
        return Ok(None);
    }
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // To read the files is an event too.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            // One that waits tells as much as two.
            let _ = changed.try_send(());
        }
    })?;
    for folder in folders {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(Some(watcher))
}

/// The directory that a path is, or that it lies in.
fn folder(path: &Path) -> &Path {
    if path.is_dir() {
        return path;
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
