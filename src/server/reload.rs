//! New rules while the process runs.
//!
//! Rule files are watched by their directories, since a mounted ConfigMap
//! replaces its files by renaming a link beside them (`..data`), and editors
//! rename too. What a watch tells is only a hint: whether anything changed is
//! decided by what the files hold. They are looked at every [`POLL`] as well,
//! for file systems that tell nothing.
//!
//! A file may be half written. So what it holds counts only when the next look,
//! [`APART`] later, finds the same, and not if rules are gone by it. SIGHUP says
//! that the files are as they should be: they are used in any case, at once.
//!
//! New rules are checked as at the start, beside the requests. Only then they
//! are used, for requests that begin from then on; bad ones are told, counted,
//! and leave the old ones in use.

use super::Context;
use crate::causes::Causes;
use crate::rule::RuleTexts;
use crate::scan::Engine;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// How often the files are looked at, whatever the watch tells.
const POLL: Duration = Duration::from_secs(10);
/// From a hint of the watch to a look: one change gives several hints.
const QUIET: Duration = Duration::from_millis(100);
/// Between the two looks that must find the same.
const APART: Duration = Duration::from_secs(1);

type Failure = Box<dyn Error + Send + Sync>;
type Loaded = Result<Arc<Engine>, Failure>;
/// What a look found, or why nothing can be read.
type Found = Result<Arc<RuleTexts>, String>;

/// Where rules come from, again and again.
pub struct RuleSource {
    /// Files and directories.
    paths: Vec<PathBuf>,
    load: Arc<dyn Fn(&RuleTexts) -> Loaded + Send + Sync>,
    hangups: Signal,
    /// What the rules in use were made of.
    used: Arc<RuleTexts>,
    /// What was last loaded, or told to be unreadable or wrong.
    seen: Found,
    /// What the last look found, if it is something else.
    pending: Option<Found>,
}

impl RuleSource {
    /// Rules that `load` makes of the files in `paths` and checks; `used` is
    /// what they held when the first rules were made. From now on SIGHUP does
    /// not end the process.
    ///
    /// # Errors
    /// When the handler of the signal cannot be installed.
    pub fn new(
        paths: &[PathBuf],
        used: Arc<RuleTexts>,
        load: impl Fn(&RuleTexts) -> Loaded + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let hangups = signal(SignalKind::hangup())?;
        let (load, seen) = (Arc::new(load), Ok(Arc::clone(&used)));
        Ok(Self { paths: paths.to_vec(), load, hangups, used, seen, pending: None })
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
            let told = self.next(&mut changes).await;
            if let Some(loaded) = self.look(told).await {
                context.use_rules(loaded);
            }
        }
    }

    /// Waits until it is time to look; whether a signal tells to. However many
    /// hints come, none puts a look off.
    async fn next(&mut self, changes: &mut mpsc::Receiver<()>) -> bool {
        let hint = async {
            let hint = changes.recv().await;
            tokio::time::sleep(QUIET).await;
            hint
        };
        let pause = if self.pending.is_some() { APART } else { POLL };
        tokio::select! {
            Some(()) = self.hangups.recv() => true,
            Some(()) = hint, if self.pending.is_none() => false,
            () = tokio::time::sleep(pause) => false,
        }
    }

    /// Reads the files, and loads what they hold if `told` to, or if it is
    /// something else than before and the last look found it too.
    async fn look(&mut self, told: bool) -> Option<Loaded> {
        let paths = self.paths.clone();
        let reading = apart(move || match RuleTexts::read(&paths) {
            Ok(texts) => Ok(Arc::new(texts)),
            Err(error) => Err(Causes(&error).to_string()),
        });
        let found = reading.await.unwrap_or_else(|failure| Err(failure.to_string()));
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
        Some(match found {
            Ok(texts) => self.load(texts, told).await,
            Err(error) => Err(error.into()),
        })
    }

    async fn load(&mut self, texts: Arc<RuleTexts>, told: bool) -> Loaded {
        if !told {
            texts.keep_rules_of(&self.used)?;
        }
        let (load, read) = (Arc::clone(&self.load), Arc::clone(&texts));
        // Rules take a while to be compiled and judged.
        let engine = apart(move || load(&read)).await??;
        self.used = texts;
        Ok(engine)
    }
}

/// Runs what blocks beside the requests.
async fn apart<T: Send + 'static>(task: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    // A panic, which the hook has told of.
    tokio::task::spawn_blocking(task).await.map_err(|_| "a defect of expurgate, please report it".into())
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
    let may_hold_rules = |path: &PathBuf| {
        let is_toml = path.extension().is_some_and(|extension| extension == "toml");
        is_toml || path.file_name().is_none_or(|name| name == "..data" || is_own(name))
    };
    // One without a path tells that others were lost.
    !matches!(event.kind, EventKind::Access(_)) && (event.paths.is_empty() || event.paths.iter().any(may_hold_rules))
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
    use crate::rule::Ruleset;
    use notify::event::{AccessKind, ModifyKind};
    use std::fs;
    use std::sync::Mutex;
    use std::time::Instant;

    const RULE: &str = "[[override]]\nid = \"email.address\"\nshadow = true\n";
    const OTHER: &str = "[[override]]\nid = \"email.address\"\nenabled = false\n";

    /// A rule file, and what was loaded of it.
    struct Rig {
        folder: tempfile::TempDir,
        source: RuleSource,
        loads: Arc<Mutex<Vec<RuleTexts>>>,
    }

    impl Rig {
        /// `meanwhile` runs with the path of the file while rules are loaded.
        fn new(meanwhile: impl Fn(&Path) + Send + Sync + 'static) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("rules.toml");
            fs::write(&file, RULE).unwrap();
            let engine = Arc::new(Engine::compile(Arc::new(Ruleset::from_texts_alone(&[]).unwrap())).unwrap());
            let loads = Arc::new(Mutex::new(Vec::new()));
            let paths = [file.clone()];
            let (own, loaded) = (paths.clone(), Arc::clone(&loads));
            let load = move |texts: &RuleTexts| {
                let read = RuleTexts::read(&own).unwrap();
                assert_eq!(*texts, read);
                loaded.lock().unwrap().push(read);
                meanwhile(&own[0]);
                Ok(Arc::clone(&engine))
            };
            let used = Arc::new(RuleTexts::read(&paths).unwrap());
            Self { folder, source: RuleSource::new(&paths, used, load).unwrap(), loads }
        }

        fn write(&self, text: &str) {
            fs::write(self.folder.path().join("rules.toml"), text).unwrap();
        }

        /// What comes of a look, which none of the watch or of a signal is.
        async fn look(&mut self, told: bool) -> &'static str {
            match self.source.look(told).await {
                None => "nothing",
                Some(Ok(_)) => "used",
                Some(Err(_)) => "refused",
            }
        }

        fn loads(&self) -> usize {
            self.loads.lock().unwrap().len()
        }
    }

    #[tokio::test]
    async fn what_is_still_being_written_is_not_used_unless_a_signal_tells_so() {
        let mut rig = Rig::new(|_| {});
        assert_eq!(rig.look(false).await, "nothing");
        for text in ["", &OTHER[..12], OTHER] {
            rig.write(text);
            assert_eq!(rig.look(false).await, "nothing", "{text}");
        }
        assert_eq!(rig.look(false).await, "used");
        assert_eq!(rig.look(false).await, "nothing");
        rig.write(RULE);
        assert_eq!(rig.look(true).await, "used");
        assert_eq!((rig.look(false).await, rig.loads()), ("nothing", 2));
    }

    #[tokio::test]
    async fn an_emptied_file_is_refused_once_and_taken_when_a_signal_tells_so() {
        let mut rig = Rig::new(|_| {});
        rig.write("# to be filled\n");
        assert_eq!(rig.look(false).await, "nothing");
        let error = rig.source.look(false).await.unwrap().err().unwrap().to_string();
        assert!(error.contains("rules.toml: its rules are gone") && error.contains("SIGHUP"), "{error}");
        assert_eq!((rig.look(false).await, rig.look(false).await, rig.loads()), ("nothing", "nothing", 0));
        assert_eq!((rig.look(true).await, rig.loads()), ("used", 1));
        // Nothing is in use now that could be lost.
        rig.write("");
        assert_eq!((rig.look(false).await, rig.look(false).await), ("nothing", "used"));
    }

    #[tokio::test]
    async fn what_is_written_while_rules_are_loaded_is_found_by_the_next_looks() {
        let mut rig = Rig::new(|file| fs::write(file, RULE).unwrap());
        rig.write(OTHER);
        assert_eq!((rig.look(false).await, rig.look(false).await), ("nothing", "used"));
        // What it was at first, but no longer what is in use.
        assert_eq!((rig.look(false).await, rig.look(false).await), ("nothing", "used"));
        assert_eq!((rig.look(false).await, rig.loads()), ("nothing", 2));
    }

    #[tokio::test]
    async fn files_that_cannot_be_read_are_told_once_and_read_as_soon_as_they_can_be() {
        let mut rig = Rig::new(|_| {});
        fs::remove_file(rig.folder.path().join("rules.toml")).unwrap();
        assert_eq!((rig.look(false).await, rig.look(false).await), ("nothing", "refused"));
        assert_eq!((rig.look(false).await, rig.look(false).await), ("nothing", "nothing"));
        assert_eq!(rig.look(true).await, "refused");
        rig.write(OTHER);
        assert_eq!((rig.look(false).await, rig.look(false).await), ("nothing", "used"));
    }

    #[tokio::test]
    async fn rules_that_make_the_check_panic_are_not_checked_again_unless_a_signal_tells_so() {
        let mut rig = Rig::new(|_| panic!("of the test"));
        rig.write(OTHER);
        assert_eq!((rig.look(false).await, rig.look(false).await), ("nothing", "refused"));
        assert_eq!((rig.look(false).await, rig.look(false).await), ("nothing", "nothing"));
        assert_eq!(rig.look(true).await, "refused");
    }

    #[tokio::test]
    async fn however_many_hints_come_a_look_is_put_off_by_none() {
        let mut rig = Rig::new(|_| {});
        let (changed, mut changes) = mpsc::channel(1);
        let hints = tokio::spawn(async move { while changed.send(()).await.is_ok() {} });
        let begin = Instant::now();
        assert!(!rig.source.next(&mut changes).await);
        assert!((QUIET..APART).contains(&begin.elapsed()), "{:?}", begin.elapsed());
        rig.write(OTHER);
        assert_eq!(rig.look(false).await, "nothing");
        let begin = Instant::now();
        assert!(!rig.source.next(&mut changes).await);
        assert!((APART..POLL).contains(&begin.elapsed()), "{:?}", begin.elapsed());
        assert_eq!(rig.look(false).await, "used");
        drop(changes);
        hints.await.unwrap();
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
