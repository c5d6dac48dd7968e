//! The process around the proxy: sockets, admin endpoints, signals, drain.
//!
//! [`Server::bind`] takes the addresses, [`Server::run`] serves until it is
//! told to stop, and then lets what is in flight finish.

mod accept;
mod admin;
mod certificates;
mod connection;
mod edge;
mod harden;
mod hints;
mod memory;
mod panics;
mod preface;
mod reload;
mod signals;
mod streams;
mod strict;
mod timed_io;
mod tls;
mod webhook;

pub use harden::disable_core_dumps;
pub use panics::install_panic_hook;
pub use reload::{ConfigSource, Failure};
pub use signals::stop_signals;
pub use strict::Strict;
pub use webhook::Webhook;

use crate::config::{Config, TlsFile};
use crate::metrics::Metrics;
use crate::proxy::{Certified, Proxy, TlsError, UpstreamError};
use crate::scan::Engine;
use arc_swap::ArcSwap;
use certificates::Certificates;
use edge::Edge;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tls::Tls;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, watch};

/// Version and source revision, for `/version`, `build_info` and `--version`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The revision that the build was told, else `unknown`.
pub const REVISION: &str = env!("EXPURGATE_REVISION");

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on; the cause says what to do about it.
    #[error("cannot listen on {address}")]
    Bind {
        /// As configured.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The listener's certificates cannot be used.
    #[error("listener.tls")]
    Tls(#[source] TlsError),
    /// A file of certificates that the configuration names cannot be used.
    #[error("{place}")]
    File {
        /// The key that names it, and where that stands.
        place: String,
        /// Why.
        source: TlsError,
    },
    /// The handler of a signal cannot be installed.
    #[error("cannot install the signal handlers")]
    Signal(#[source] std::io::Error),
    /// An upstream cannot be set up.
    #[error("an upstream cannot be set up")]
    Upstream(#[from] UpstreamError),
}

impl ServerError {
    /// The error with the place where the configuration names the file that it is about.
    #[must_use]
    pub fn placed(self, config: &Config) -> Self {
        let place = |route: Option<&str>, error: &TlsError| {
            let files = config.tls_files();
            let name = |file: &TlsFile<'_>| file.route.map(|nth| config.routes[nth].name.as_str());
            let file = files.iter().find(|file| name(file) == route && error.is_about(file.path))?;
            Some(config.place_of(file))
        };
        let here = |source| match source {
            TlsError::Unreadable { path, source } => {
                let source = from_here(Path::new(&path), source);
                TlsError::Unreadable { path, source }
            }
            other => other,
        };
        match self {
            Self::Tls(source) => match place(None, &source) {
                Some(place) => Self::File { place, source: here(source) },
                None => Self::Tls(source),
            },
            Self::Upstream(UpstreamError::Tls { route, source }) => match place(Some(&route), &source) {
                Some(place) => Self::File { place, source: here(source) },
                None => Self::Upstream(UpstreamError::Tls { route, source }),
            },
            other => other,
        }
    }
}

/// A server that has its addresses and has not begun to serve.
pub struct Server {
    listener: TcpListener,
    admin: TcpListener,
    source: Option<ConfigSource>,
    certificates: Certificates,
    context: Arc<Context>,
}

/// What all connections share.
struct Context {
    /// For requests that begin now. One asks once, so that no two configurations meet
    /// in it.
    proxy: ArcSwap<Proxy>,
    /// For connections that begin now.
    edge: ArcSwap<Edge>,
    /// The hash of the rules in use, as they were told last.
    ruleset: ArcSwap<String>,
    /// Told when there may be more places for connections.
    renewed: Notify,
    metrics: Arc<Metrics>,
    /// What `/readyz` says.
    ready: AtomicBool,
}

impl Context {
    fn new(config: &Config, engine: &Arc<Engine>, metrics: Arc<Metrics>) -> Result<Self, ServerError> {
        let proxy = Proxy::new(config, engine, Arc::clone(&metrics))?;
        let edge = Edge::new(config, &metrics, None)?;
        Ok(Self {
            proxy: ArcSwap::from_pointee(proxy),
            edge: ArcSwap::from_pointee(edge),
            ruleset: ArcSwap::default(),
            renewed: Notify::new(),
            metrics,
            ready: AtomicBool::new(false),
        })
    }
}

impl Server {
    /// Takes the addresses and sets the routes up.
    ///
    /// # Errors
    /// When an address is not free, or certificates cannot be read.
    pub async fn bind(config: &Config, engine: &Arc<Engine>, metrics: Arc<Metrics>) -> Result<Self, ServerError> {
        metrics.set_build(VERSION, REVISION);
        for over in timed_io::Over::ALL {
            metrics.connections_closed.with_label_values(&[over.name()]).inc_by(0);
        }
        let context = Context::new(config, engine, metrics).map_err(|error| error.placed(config))?;
        let certified = certified(&context.proxy.load(), &context.edge.load());
        let certificates = Certificates::new(certified, &context.metrics).map_err(ServerError::Signal)?;
        context.tell_rules(engine);
        context.tell_config();
        let listener =
            listen(config.listener, "--listen, EXPURGATE_LISTEN, [listener] address, or LISTEN= of make run").await?;
        let admin = listen(config.admin, "--admin, EXPURGATE_ADMIN, [admin] address, or ADMIN= of make run").await?;
        Ok(Self { listener, admin, source: None, certificates, context: Arc::new(context) })
    }

    /// Sets all of it up but for the addresses, and lets go of it.
    ///
    /// # Errors
    /// When certificates cannot be used.
    pub fn rehearse(config: &Config, engine: &Arc<Engine>) -> Result<(), ServerError> {
        let metrics = Arc::new(Metrics::new());
        listener_tls(config, &metrics)?;
        Proxy::new(config, engine, metrics)?;
        Ok(())
    }

    /// From [`Server::run`] on, a new configuration and new rules are taken from there
    /// as they come.
    #[must_use]
    pub fn reload_from(self, source: ConfigSource) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Where clients connect; tells the port where the configuration said 0.
    ///
    /// # Errors
    /// When the system does not know its own socket.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Where probes and Prometheus connect.
    ///
    /// # Errors
    /// As [`Server::address`].
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        self.admin.local_addr()
    }

    /// Serves until the first message on `stop` (or its end), then drains; a
    /// second message cuts the drain short.
    pub async fn run(self, mut stop: mpsc::Receiver<()>) {
        let (drain, draining) = watch::channel(false);
        let context = self.context;
        let admin = tokio::spawn(admin::serve(self.admin, Arc::clone(&context)));
        let (others, renewed) = mpsc::channel(1);
        let reloading = self.source.map(|source| tokio::spawn(source.serve(Arc::clone(&context), others)));
        let tending = tokio::spawn(memory::tend(Arc::clone(&context)));
        let renewing = tokio::spawn(self.certificates.serve(renewed));
        // The listener is bound: told first, so that nobody who was served sees
        // that it is not ready and takes that for the drain.
        context.ready.store(true, Ordering::Release);
        let mut accepting = tokio::spawn(accept::serve(self.listener, Arc::clone(&context), draining));
        stop.recv().await;
        tracing::info!("draining");
        context.proxy.load().drain();
        // Nobody listens any more when all connections have ended already.
        let _ = drain.send(true);
        // Told last: who comes after it is one of those who come late, and gets
        // its answer.
        context.ready.store(false, Ordering::Release);
        tokio::select! {
            _ = &mut accepting => tracing::info!("drained"),
            () = tokio::time::sleep(context.edge.load().timeouts.drain) => {
                tracing::warn!("the drain time is over; requests in flight are aborted");
            }
            Some(()) = stop.recv() => tracing::warn!("told again; requests in flight are aborted"),
        }
        accepting.abort();
        admin.abort();
        tending.abort();
        reloading.into_iter().chain([renewing]).for_each(|task| task.abort());
    }
}

/// Why a file cannot be read, with the directory where its path starts, unless that is
/// absolute.
#[must_use]
pub fn from_here(path: &Path, error: std::io::Error) -> std::io::Error {
    match std::env::current_dir() {
        Ok(here) if path.is_relative() => {
            let why = format!("{error}; the path starts at the working directory, {}", here.display());
            std::io::Error::new(error.kind(), why)
        }
        _ => error,
    }
}

/// All that is made of files with certificates.
fn certified(proxy: &Proxy, edge: &Edge) -> Vec<Arc<dyn Certified>> {
    let mut certified = proxy.certified();
    certified.extend(edge.tls.iter().map(|tls| Arc::<Tls>::clone(tls) as Arc<dyn Certified>));
    certified
}

fn listener_tls(config: &Config, metrics: &Arc<Metrics>) -> Result<Option<Arc<Tls>>, ServerError> {
    let tls = |files| Tls::new(files, config.listener.to_string(), Arc::clone(metrics));
    config.listener_tls.as_ref().map(tls).transpose().map(|tls| tls.map(Arc::new)).map_err(ServerError::Tls)
}

/// Listens on an address that is set by `setting`.
async fn listen(address: SocketAddr, setting: &str) -> Result<TcpListener, ServerError> {
    let told = |source: std::io::Error| match source.kind() {
        ErrorKind::AddrInUse => {
            std::io::Error::new(ErrorKind::AddrInUse, format!("Address already in use; give another with {setting}"))
        }
        _ => source,
    };
    TcpListener::bind(address).await.map_err(|source| ServerError::Bind { address, source: told(source) })
}
