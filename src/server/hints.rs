//! When files are looked at that may change while the process runs, and when
//! what they hold counts.
//!
//! They are watched by their directories, since a mounted ConfigMap replaces its
//! files by renaming a link beside them (`..data`), and editors rename too. What
//! a watch tells is only a hint: whether anything changed is decided by what the
//! files hold. They are looked at every [`POLL`] as well, for file systems that
//! tell nothing.
//!
//! A file may be half written. So what it holds counts only when the next look,
//! [`APART`] later, finds the same. SIGHUP says that the files are as they should
//! be: they are used in any case, at once.

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How often the files are looked at, whatever the watch tells.
const POLL: Duration = Duration::from_secs(10);
/// From a hint of the watch to a look: one change gives several hints.
const QUIET: Duration = Duration::from_millis(100);
/// Between the two looks that must find the same.
const APART: Duration = Duration::from_secs(1);

pub(super) type Failure = Box<dyn Error + Send + Sync>;

/// Tells when to look.
pub(super) struct Hints {
    /// Files and directories.
    pub(super) paths: Vec<PathBuf>,
    hangups: Signal,
    changed: mpsc::Sender<()>,
    changes: mpsc::Receiver<()>,
    watcher: Option<RecommendedWatcher>,
}

impl Hints {
    /// To look at these files and directories. From now on SIGHUP does not end
    /// the process.
    pub(super) fn new(paths: &[PathBuf]) -> io::Result<Self> {
        let hangups = signal(SignalKind::hangup())?;
        let (changed, changes) = mpsc::channel(1);
        Ok(Self { paths: paths.to_vec(), hangups, changed, changes, watcher: None })
    }

    /// Looks at these instead, and watches them.
    pub(super) fn look_at(&mut self, paths: Vec<PathBuf>) {
        if paths != self.paths {
            self.paths = paths;
            self.watch();
        }
    }

    /// Begins to watch.
    pub(super) fn watch(&mut self) {
        self.watcher = watch(&self.paths, self.changed.clone()).unwrap_or_else(|error| {
            tracing::warn!(%error, "files cannot be watched; they are looked at every 10 seconds");
            None
        });
    }

    /// Waits until it is time to look, which is soon if the last look's finding
    /// `waits`; whether a signal tells to. However many hints come, none puts a
    /// look off.
    pub(super) async fn next(&mut self, waits: bool) -> bool {
        let hint = async {
            let hint = self.changes.recv().await;
            tokio::time::sleep(QUIET).await;
            hint
        };
        let pause = if waits { APART } else { POLL };
        tokio::select! {
            Some(()) = self.hangups.recv() => true,
            Some(()) = hint, if !waits => false,
            () = tokio::time::sleep(pause) => false,
        }
    }
}

/// What files hold, as it was last used, or told to be wrong.
pub(super) struct Settled<T> {
    seen: T,
    /// What the last look found, if it is something else.
    pending: Option<T>,
}

impl<T: Clone + PartialEq> Settled<T> {
    pub(super) const fn new(seen: T) -> Self {
        Self { seen, pending: None }
    }

    /// Whether a second look has to show that the first found all of it.
    pub(super) const fn waits(&self) -> bool {
        self.pending.is_some()
    }

    /// Nothing is found as long as the files hold this.
    pub(super) fn settle(&mut self, seen: T) {
        self.seen = seen;
    }

    /// What a look found, if it is to be used: because somebody `told` to, or
    /// because it is something else than before and the last look found it too.
    pub(super) fn look(&mut self, found: T, told: bool) -> Option<T> {
        let last = self.pending.take();
        if !told && found == self.seen {
            return None;
        }
        if !told && last.as_ref() != Some(&found) {
            self.pending = Some(found);
            return None;
        }
        // Whatever comes of it: what fails once fails again.
        self.seen.clone_from(&found);
        Some(found)
    }
}

/// Runs what blocks beside the requests.
pub(super) async fn apart<T: Send + 'static>(task: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    // A panic, which the hook has told of.
    tokio::task::spawn_blocking(task).await.map_err(|_| "a defect of expurgate, please report it".into())
}

/// Tells `changed` when something happens in a directory of `paths`, or beside
/// a file. `None` when there is nothing to watch.
fn watch(paths: &[PathBuf], changed: mpsc::Sender<()>) -> notify::Result<Option<RecommendedWatcher>> {
    let folders: BTreeSet<&Path> = paths.iter().map(|path| folder(path)).collect();
    if folders.is_empty() {
        return Ok(None);
    }
    let own: Vec<PathBuf> = paths.to_vec();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if !event.is_ok_and(|event| !concerns(&event, &own)) {
            // One that waits tells as much as two.
            let _ = changed.try_send(());
        }
    })?;
    for folder in folders {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
    }
    Ok(Some(watcher))
}

/// Whether an event may mean that the files of `paths` hold something else:
/// to read them is an event too, and others write beside them.
fn concerns(event: &Event, paths: &[PathBuf]) -> bool {
    let is_own = |name: &OsStr| paths.iter().any(|path| path.file_name() == Some(name));
    let may_count = |path: &PathBuf| {
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        is_toml || path.file_name().is_none_or(|name| name == "..data" || is_own(name))
    };
    // One without a path tells that others were lost.
    !matches!(event.kind, EventKind::Access(_)) && (event.paths.is_empty() || event.paths.iter().any(may_count))
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

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{AccessKind, ModifyKind};
    use std::time::Instant;

    #[tokio::test]
    async fn however_many_hints_come_a_look_is_put_off_by_none() {
        let mut hints = Hints::new(&[]).unwrap();
        let changed = hints.changed.clone();
        let flood = tokio::spawn(async move { while changed.send(()).await.is_ok() {} });
        let begin = Instant::now();
        assert!(!hints.next(false).await);
        assert!((QUIET..APART).contains(&begin.elapsed()), "{:?}", begin.elapsed());
        let begin = Instant::now();
        assert!(!hints.next(true).await);
        assert!((APART..POLL).contains(&begin.elapsed()), "{:?}", begin.elapsed());
        drop(hints);
        flood.await.unwrap();
    }

    #[test]
    fn only_events_that_may_change_rules_are_hints() {
        let paths = [PathBuf::from("/etc/expurgate/mine.rules"), PathBuf::from("/etc/rules.d")];
        let event = |kind, path: &str| Event::new(kind).add_path(PathBuf::from(path));
        let changed = EventKind::Modify(ModifyKind::Any);
        for path in ["/etc/rules.d/a.toml", "/etc/rules.d/..data", "/etc/expurgate/mine.rules", "/etc/rules.d"] {
            assert!(concerns(&event(changed, path), &paths), "{path}");
        }
        for path in ["/etc/rules.d/access.log", "/etc/expurgate/.mine.rules.swp", "/etc/rules.d/..v2"] {
            assert!(!concerns(&event(changed, path), &paths), "{path}");
        }
        assert!(!concerns(&event(EventKind::Access(AccessKind::Any), "/etc/rules.d/a.toml"), &paths));
        assert!(concerns(&Event::new(EventKind::Other), &paths));
    }
}
