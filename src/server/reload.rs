//! New rules while the process runs.
//!
//! When the files are looked at, and when what they hold counts, is [`super::hints`]'s
//! to tell; beyond that, rules do not go by a file that has lost them, unless
//! SIGHUP says that this is meant.
//!
//! New rules are checked as at the start, beside the requests. Only then they
//! are used, for requests that begin from then on; bad ones are told, counted,
//! and leave the old ones in use.

use super::Context;
use super::hints::{Failure, Hints, Settled, apart};
use crate::causes::Causes;
use crate::hyperscan::give_memory_back;
use crate::rule::RuleTexts;
use crate::scan::Engine;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

type Loaded = Result<Arc<Engine>, Failure>;
/// What a look found, or why nothing can be read.
type Found = Result<Arc<RuleTexts>, String>;

/// Where rules come from, again and again.
pub struct RuleSource {
    hints: Hints,
    load: Arc<dyn Fn(&RuleTexts) -> Loaded + Send + Sync>,
    /// What the rules in use were made of.
    used: Arc<RuleTexts>,
    found: Settled<Found>,
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
        let found = Settled::new(Ok(Arc::clone(&used)));
        Ok(Self { hints: Hints::new(paths)?, load: Arc::new(load), used, found })
    }

    /// Puts new rules in use as they come.
    pub(super) async fn serve(mut self, context: Arc<Context>) {
        self.hints.watch();
        loop {
            let told = self.hints.next(self.found.waits()).await;
            if let Some(loaded) = self.look(told).await {
                context.use_rules(loaded);
                // The old rules are gone by now, but for requests that go on with them.
                let _ = apart(give_memory_back).await;
            }
        }
    }

    /// Reads the files, and loads what they hold if it is to be used.
    async fn look(&mut self, told: bool) -> Option<Loaded> {
        let paths = self.hints.paths.clone();
        let reading = apart(move || match RuleTexts::read(&paths) {
            Ok(texts) => Ok(Arc::new(texts)),
            Err(error) => Err(Causes(&error).to_string()),
        });
        let found = reading.await.unwrap_or_else(|failure| Err(failure.to_string()));
        Some(match self.found.look(found, told)? {
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

impl Context {
    /// Tells in the metrics which rules are in use.
    pub(super) fn tell_rules(&self, engine: &Engine) {
        let ruleset = engine.ruleset();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.metrics.set_ruleset(&ruleset.hash, ruleset.enabled(), now);
    }

    fn use_rules(&self, loaded: Loaded) {
        self.metrics.count_reload(loaded.is_ok());
        match loaded {
            Ok(engine) => {
                self.proxy.set_rules(&engine);
                self.tell_rules(&engine);
                let (hash, rules) = (engine.ruleset().hash.as_str(), engine.ruleset().enabled());
                tracing::info!(ruleset = hash, rules, "new rules are in use");
            }
            Err(error) => {
                tracing::error!(error = %Causes(&*error), "the new rules are not used; the old ones stay");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Ruleset;
    use std::fs;
    use std::path::Path;
    use std::sync::Mutex;

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
}
