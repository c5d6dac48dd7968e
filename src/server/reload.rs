//! A new configuration and new rules while the process runs.
//!
//! When the files are looked at, and when what they hold counts, is [`super::hints`]'s
//! to tell; beyond that, neither goes by a file that has lost all that it held, unless
//! SIGHUP says that this is meant.
//!
//! Configuration and rules are one set: both are read as at the start, and checked
//! together, beside the requests. Only then they are used, for requests that begin from
//! then on; a bad set is told, counted, and leaves the old one in use.

use super::edge::Edge;
use super::hints::{Hints, Settled, apart};
use super::{Context, ServerError, certified};
use crate::causes::Causes;
use crate::config::Config;
use crate::hyperscan::give_memory_back;
use crate::proxy::{Certified, Proxy, Snapshot};
use crate::rule::RuleTexts;
use crate::scan::Engine;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// Why a configuration or rules cannot be used.
pub type Failure = super::hints::Failure;

/// Reads the configuration as at the start.
type Read = dyn Fn() -> Result<Config, Failure> + Send + Sync;
/// Compiles and checks rules that a configuration is to be used with.
type Load = dyn Fn(&Config, &RuleTexts) -> Result<Arc<Engine>, Failure> + Send + Sync;

/// What the files hold.
#[derive(Clone, PartialEq)]
struct Set {
    config: Arc<Config>,
    texts: Arc<RuleTexts>,
}

/// What a look found, or why nothing can be read: of the configuration, or of rules.
#[derive(Clone, PartialEq)]
enum Found {
    /// Of a configuration that is not in use also what its certificates hold: it may be
    /// refused for one that comes later.
    Set(Set, Option<[u8; 32]>),
    NoConfig(String),
    NoRules(String),
}

/// Where the configuration and rules come from, again and again.
pub struct ConfigSource {
    hints: Hints,
    read: Arc<Read>,
    load: Arc<Load>,
    /// What is in use.
    used: Set,
    found: Settled<Found>,
    /// Whether what was found last was refused.
    refused: bool,
}

/// What a set that is used comes after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Of what the files say.
    Change,
    /// What is in use had been changed, and was put back.
    Refusal,
    Nothing,
}

/// What came of a set that was to be used.
struct Tried {
    /// Whether the metrics tell of the configuration, and of the rules.
    counts: (bool, bool),
    after: After,
    loaded: Result<(Set, Loaded), Failure>,
}

/// What is used from now on.
struct Loaded {
    engine: Arc<Engine>,
    /// Unless the configuration is the one in use.
    renewed: Option<(Arc<Proxy>, Arc<Edge>)>,
}

impl ConfigSource {
    /// Configurations that `read` reads, with rules of which `load` makes an engine
    /// and checks it. `config` and `texts` are those in use. From now on SIGHUP does not
    /// end the process.
    ///
    /// # Errors
    /// When the handler of the signal cannot be installed.
    pub fn new(
        config: Arc<Config>,
        texts: Arc<RuleTexts>,
        read: impl Fn() -> Result<Config, Failure> + Send + Sync + 'static,
        load: impl Fn(&Config, &RuleTexts) -> Result<Arc<Engine>, Failure> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let hints = Hints::new(&config.paths())?;
        let used = Set { config, texts };
        let found = Settled::new(Found::Set(used.clone(), None));
        Ok(Self { hints, read: Arc::new(read), load: Arc::new(load), used, found, refused: false })
    }

    /// Puts what is new in use as it comes, and tells whose certificates count then.
    pub(super) async fn serve(mut self, context: Arc<Context>, certificates: mpsc::Sender<Vec<Arc<dyn Certified>>>) {
        self.hints.watch();
        loop {
            let told = self.hints.next(self.found.waits()).await;
            let Some(found) = self.look(told).await else { continue };
            let tried = self.attempt(found, told, &context).await;
            context.count(&tried);
            self.refused = tried.loaded.is_err();
            if let Some(set) = context.take(tried, &certificates).await {
                self.uses(set);
            }
            // What is not in use any more is gone by now, but for requests that go on with it.
            let _ = apart(give_memory_back).await;
        }
    }

    /// It is in use, whatever its certificates come to hold: they are renewed elsewhere.
    fn uses(&mut self, set: Set) {
        self.hints.look_at(set.config.paths());
        self.found.settle(Found::Set(set.clone(), None));
        self.used = set;
    }

    /// Reads the files: what they hold, if it is to be used.
    async fn look(&mut self, told: bool) -> Option<Found> {
        let (read, used) = (Arc::clone(&self.read), self.used.clone());
        let reading = apart(move || {
            let config = match read() {
                Ok(config) => Arc::new(config),
                Err(error) => return Found::NoConfig(Causes(&*error).to_string()),
            };
            // The same is not kept twice.
            let config = if config == used.config { Arc::clone(&used.config) } else { config };
            match RuleTexts::read(&config.rules) {
                Ok(texts) => {
                    let is_new = config != used.config;
                    let tls_files = || config.tls_files().iter().map(|file| file.path).collect::<Vec<_>>();
                    let certificates = is_new.then(|| Snapshot::of(&tls_files()).hash());
                    Found::Set(Set { config, texts: Arc::new(texts) }, certificates)
                }
                Err(error) => Found::NoRules(Causes(&error).to_string()),
            }
        });
        let found = reading.await.unwrap_or_else(|failure| Found::NoConfig(failure.to_string()));
        self.found.look(found, told)
    }

    /// Makes of a set what is used of it, if all of it can be.
    async fn attempt(&self, found: Found, told: bool, context: &Arc<Context>) -> Tried {
        let set = match found {
            Found::Set(set, _) => set,
            Found::NoConfig(error) => return Tried::failed((true, false), error),
            Found::NoRules(error) => return Tried::failed((false, true), error),
        };
        let changed = (set.config != self.used.config, set.texts != self.used.texts);
        let loaded = self.prepare(set, told, context).await;
        let counts = match &loaded {
            // All of it was read again, or a mistake was taken back.
            Ok(_) if told || changed == (false, false) => (true, true),
            Err(_) if told => (changed.0, changed.1 || !changed.0),
            _ => changed,
        };
        let after = match changed {
            (false, false) if self.refused => After::Refusal,
            (false, false) => After::Nothing,
            _ => After::Change,
        };
        Tried { counts, after, loaded }
    }

    async fn prepare(&self, set: Set, told: bool, context: &Arc<Context>) -> Result<(Set, Loaded), Failure> {
        let used = &self.used;
        set.config.succeeds(&used.config)?;
        if !told {
            set.config.keeps_settings_of(&used.config)?;
            set.texts.keep_rules_of(&used.texts)?;
        }
        let is_new = set.config != used.config;
        let (load, context) = (Arc::clone(&self.load), Arc::clone(context));
        // Rules take a while to be compiled and judged.
        apart(move || {
            let engine = load(&set.config, &set.texts)?;
            let renewed = if is_new { Some(context.renew(&set.config, &engine)?) } else { None };
            Ok((set, Loaded { engine, renewed }))
        })
        .await?
    }
}

impl Tried {
    fn failed(counts: (bool, bool), error: String) -> Self {
        Self { counts, after: After::Change, loaded: Err(error.into()) }
    }
}

impl Context {
    /// Tells in the metrics which rules are in use; whether they are others than before.
    pub(super) fn tell_rules(&self, engine: &Engine) -> bool {
        let ruleset = engine.ruleset();
        self.metrics.set_ruleset(&ruleset.hash, ruleset.enabled(), now());
        let before = self.ruleset.swap(Arc::new(ruleset.hash.clone()));
        *before != ruleset.hash
    }

    /// Tells in the metrics that a configuration is in use from now on.
    pub(super) fn tell_config(&self) {
        self.metrics.set_config(now());
    }

    /// What takes the place of what is in use, all set up.
    fn renew(&self, config: &Config, engine: &Arc<Engine>) -> Result<(Arc<Proxy>, Arc<Edge>), Failure> {
        let placed = |error: ServerError| error.placed(config);
        let proxy = self.proxy.load().renewed(config, engine).map_err(|error| placed(error.into()))?;
        // Last: it tells in the metrics of the certificate that clients see.
        let edge = Edge::new(config, &self.metrics, Some(&self.edge.load())).map_err(placed)?;
        Ok((Arc::new(proxy), Arc::new(edge)))
    }

    fn count(&self, tried: &Tried) {
        let (config, rules) = tried.counts;
        if config {
            self.metrics.count_config_reload(tried.loaded.is_ok());
        }
        if rules {
            self.metrics.count_reload(tried.loaded.is_ok());
        }
    }

    /// Uses what could be loaded: it is in use then.
    async fn take(&self, tried: Tried, certificates: &mpsc::Sender<Vec<Arc<dyn Certified>>>) -> Option<Set> {
        let (set, Loaded { engine, renewed }) = match tried.loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                let error = Causes(&*error);
                match tried.counts.0 {
                    true => tracing::error!(%error, "the new configuration is not used; the old one stays"),
                    false => tracing::error!(%error, "the new rules are not used; the old ones stay"),
                }
                return None;
            }
        };
        let is_configuration = renewed.is_some();
        match renewed {
            Some((proxy, edge)) => self.succeed(&set.config, proxy, edge, certificates).await,
            None => self.proxy.load().set_rules(&engine),
        }
        if tried.counts.0 {
            self.tell_config();
        }
        let (hash, rules) = (engine.ruleset().hash.as_str(), engine.ruleset().enabled());
        match (self.tell_rules(&engine), tried.after) {
            (true, _) => tracing::info!(ruleset = hash, rules, "new rules are in use"),
            (false, After::Change) if is_configuration => {}
            (false, After::Change) => tracing::info!("the rule files were read again; their rules are the same"),
            (false, After::Refusal) => tracing::info!("the configuration is valid again; nothing changed"),
            (false, After::Nothing) => tracing::info!("the configuration was read again; nothing changed"),
        }
        Some(set)
    }

    async fn succeed(
        &self,
        config: &Config,
        proxy: Arc<Proxy>,
        edge: Arc<Edge>,
        certificates: &mpsc::Sender<Vec<Arc<dyn Certified>>>,
    ) {
        let users = certified(&proxy, &edge);
        self.edge.store(edge);
        let before = self.proxy.swap(Arc::clone(&proxy));
        proxy.succeed(&before);
        self.renewed.notify_one();
        // Nobody listens any more when the process ends.
        let _ = certificates.send(users).await;
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        tracing::info!(routes = config.routes.len(), "a new configuration is in use");
    }
}

/// Since the Unix epoch.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;
    use crate::metrics::Metrics;
    use crate::rule::Ruleset;
    use std::fs;
    use std::path::Path;
    use std::sync::Mutex;

    const RULE: &str = "[[override]]\nid = \"email.address\"\nshadow = true\n";
    const OTHER: &str = "[[override]]\nid = \"email.address\"\nenabled = false\n";

    /// A rule file, and what was loaded of it.
    struct Rig {
        folder: tempfile::TempDir,
        source: ConfigSource,
        context: Arc<Context>,
        loads: Arc<Mutex<Vec<RuleTexts>>>,
    }

    impl Rig {
        /// `meanwhile` runs with the path of the file while rules are loaded.
        fn new(meanwhile: impl Fn(&Path) + Send + Sync + 'static) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("rules.toml");
            fs::write(&file, RULE).unwrap();
            let config = folder.path().join("expurgate.toml");
            let text = format!("[rules]\npaths = [{file:?}]\n[[route]]\nupstream = \"http://127.0.0.1:1\"\n");
            fs::write(&config, text).unwrap();
            let engine = Arc::new(Engine::compile(Arc::new(Ruleset::from_texts_alone(&[]).unwrap())).unwrap());
            let loads = Arc::new(Mutex::new(Vec::new()));
            let paths = [file.clone()];
            let first = Arc::clone(&engine);
            let (own, loaded) = (paths.clone(), Arc::clone(&loads));
            let load = move |_: &Config, texts: &RuleTexts| {
                let read = RuleTexts::read(&own).unwrap();
                assert_eq!(*texts, read);
                loaded.lock().unwrap().push(read);
                meanwhile(&own[0]);
                Ok(Arc::clone(&engine))
            };
            let read = move || {
                let text = fs::read_to_string(&config)?;
                let file = Some((config.display().to_string(), text));
                Ok(Config::load(&Sources { file, ..Sources::default() })?)
            };
            let (config, used) = (Arc::new(read().unwrap()), Arc::new(RuleTexts::read(&paths).unwrap()));
            let context = Arc::new(Context::new(&config, &first, Arc::new(Metrics::new())).unwrap());
            Self { folder, source: ConfigSource::new(config, used, read, load).unwrap(), context, loads }
        }

        /// The text of the configuration with one part of it replaced.
        fn configure(&self, from: &str, to: &str) {
            let config = self.folder.path().join("expurgate.toml");
            let text = fs::read_to_string(&config).unwrap();
            assert!(text.contains(from), "{text}");
            fs::write(config, text.replace(from, to)).unwrap();
        }

        fn write(&self, text: &str) {
            fs::write(self.folder.path().join("rules.toml"), text).unwrap();
        }

        /// What comes of a look, which none of the watch or of a signal is.
        async fn look(&mut self, told: bool) -> &'static str {
            match self.tried(told).await {
                None => "nothing",
                Some(Ok(())) => "used",
                Some(Err(_)) => "refused",
            }
        }

        async fn tried(&mut self, told: bool) -> Option<Result<(), String>> {
            let found = self.source.look(told).await?;
            let tried = self.source.attempt(found, told, &self.context).await;
            self.context.count(&tried);
            Some(tried.loaded.map(|(set, _)| self.source.uses(set)).map_err(|error| error.to_string()))
        }

        /// How often the configuration and rules were taken, and refused.
        fn counted(&self) -> [u64; 4] {
            let text = self.context.metrics.render();
            let count = |line: String| {
                let line = text.lines().find_map(|told| told.strip_prefix(&line)).unwrap();
                line.trim().parse().unwrap()
            };
            let of =
                |what: &str, outcome: &str| count(format!("expurgate_{what}_reloads_total{{outcome=\"{outcome}\"}}"));
            [of("config", "success"), of("ruleset", "success"), of("config", "failure"), of("ruleset", "failure")]
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
        let error = rig.tried(false).await.unwrap().err().unwrap();
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
    async fn what_changed_is_counted_and_what_is_told_to_be_read_is_counted_whole() {
        let mut rig = Rig::new(|_| {});
        rig.configure("127.0.0.1:1", "127.0.0.1:2");
        assert_eq!((rig.look(false).await, rig.look(false).await, rig.counted()), ("nothing", "used", [1, 0, 0, 0]));
        rig.write(OTHER);
        assert_eq!((rig.look(false).await, rig.look(false).await, rig.counted()), ("nothing", "used", [1, 1, 0, 0]));
        assert_eq!((rig.look(true).await, rig.counted()), ("used", [2, 2, 0, 0]));
        rig.configure("upstream =", "upsteam =");
        let error = rig.tried(true).await.unwrap().unwrap_err();
        assert!(error.contains("expurgate.toml:4:1: ") && error.contains("upsteam"), "{error}");
        assert_eq!(rig.counted(), [2, 2, 1, 0]);
        // Not used with what is wrong beside it.
        rig.write(RULE);
        assert_eq!((rig.look(false).await, rig.look(false).await), ("nothing", "nothing"));
        rig.configure("upsteam =", "upstream =");
        assert_eq!((rig.look(false).await, rig.look(false).await, rig.counted()), ("nothing", "used", [2, 3, 1, 0]));
        rig.configure("[rules]", "[admin]\naddress = \"127.0.0.1:9\"\n[rules]");
        let error = rig.tried(true).await.unwrap().unwrap_err();
        assert!(error.contains("expurgate.toml:2:1: admin.address") && error.contains("restart"), "{error}");
        assert_eq!(rig.counted(), [2, 3, 2, 0]);
        rig.configure("[admin]\naddress = \"127.0.0.1:9\"\n", "");
        // As it is in use: the mistake was taken back.
        assert_eq!((rig.look(false).await, rig.look(false).await, rig.counted()), ("nothing", "used", [3, 4, 2, 0]));
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
    async fn what_was_refused_for_a_certificate_is_tried_again_when_that_comes() {
        let mut rig = Rig::new(|_| {});
        let ca = rig.folder.path().join("ca.pem");
        rig.configure("127.0.0.1:1\"", &format!("localhost:2\"\ntls.ca = {ca:?}"));
        rig.configure("http://", "https://");
        assert_eq!(
            (rig.look(false).await, rig.look(false).await, rig.look(false).await),
            ("nothing", "refused", "nothing")
        );
        let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&ca, authority.cert.pem()).unwrap();
        assert_eq!(
            (rig.look(false).await, rig.look(false).await, rig.look(false).await),
            ("nothing", "used", "nothing")
        );
        // From now on it is renewed by itself.
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(&ca, other.cert.pem()).unwrap();
        assert_eq!((rig.look(false).await, rig.look(false).await), ("nothing", "nothing"));
    }
}
