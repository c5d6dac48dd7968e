//! A proxy in this process between a client and a sink.

use crate::proxy_client::{Client, Reply, request};
use crate::proxy_sink::{Answer, PATIENCE, Sink};
use expurgate::config::{Config, Flags, KeyFile, KeyReader, Sources};
use expurgate::metrics::Metrics;
use expurgate::rule::Ruleset;
use expurgate::scan::Engine;
use expurgate::server::Server;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::mpsc;

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

pub(crate) struct Rig {
    pub(crate) sink: Sink,
    pub(crate) proxy: Proxy,
}

/// A proxy alone.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: mpsc::Sender<()>,
    pub(crate) running: tokio::task::JoinHandle<()>,
}

impl Rig {
    /// With the default configuration and a sink that says `ok`.
    pub(crate) async fn start() -> Self {
        Self::with("", Answer::Ok("ok")).await
    }

    /// With more sections of configuration, keys of the route last.
    pub(crate) async fn with(configuration: &str, answer: Answer) -> Self {
        let sink = Sink::start(answer).await;
        let upstream = format!("http://{}", sink.address);
        let proxy = Proxy::start(configuration, &upstream).await;
        Self { sink, proxy }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.proxy.address).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let request = request("POST", "/", headers, body);
        self.client().await.exchange(&request).await
    }
}

/// Every file holds a key of its own.
fn read_key(path: &std::path::Path) -> std::io::Result<KeyFile> {
    let content = format!("a key that is only for tests: {}", path.display()).into_bytes().into();
    Ok(KeyFile { content, mode: Some(0o600) })
}

impl Proxy {
    /// `configuration` are sections; a `[[route]]` gets its upstream by flag, unless
    /// they have their own.
    pub(crate) async fn start(configuration: &str, upstream: &str) -> Self {
        let config = Config::load(&Sources {
            file: Some(("test.toml".to_owned(), configuration.to_owned())),
            flags: Flags {
                listen: Some("127.0.0.1:0".to_owned()),
                admin: Some("127.0.0.1:0".to_owned()),
                upstream: (!configuration.contains("\nupstream = ")).then(|| upstream.to_owned()),
                ..Flags::default()
            },
            keys: KeyReader(read_key),
            ..Sources::default()
        });
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let engine =
            Engine::compile(Arc::new(Ruleset::load(&config.rules).unwrap().in_profile(config.profile))).unwrap();
        let metrics = Arc::new(Metrics::new());
        let server = Server::bind(&config, &Arc::new(engine), Arc::clone(&metrics)).await.unwrap();
        let (stop, stopped) = mpsc::channel(2);
        Self {
            address: server.address().unwrap(),
            admin: server.admin_address().unwrap(),
            metrics,
            stop,
            running: tokio::spawn(server.run(stopped)),
        }
    }

    /// Does so again and again until a line of the metrics has this value.
    pub(crate) async fn until_metric(&self, line: &str, value: u64, mut act: impl AsyncFnMut()) {
        let wanted = format!("expurgate_{line} {value}\n");
        let acting = async {
            while !self.metrics.render().contains(&wanted) {
                act().await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, acting).await.unwrap_or_else(|_| panic!("never {wanted}"));
    }

    /// Waits until a line of the metrics has this value. They are written when
    /// an exchange ends, which may be a moment after its response.
    pub(crate) async fn wait_for_metric(&self, line: &str, value: u64) {
        let wanted = format!("expurgate_{line} {value}\n");
        let waiting = async {
            while !self.metrics.render().contains(&wanted) {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("{wanted} is not in\n{}", self.metrics.render());
        }
    }
}
