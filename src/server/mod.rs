//! The process around the proxy: sockets, admin endpoints, signals, drain.
//!
//! [`Server::bind`] takes the addresses, [`Server::run`] serves until it is
//! told to stop, and then lets what is in flight finish.

mod accept;
mod admin;
mod certificates;
mod connection;
mod harden;
mod hints;
mod memory;
mod panics;
mod preface;
mod reload;
mod signals;
mod streams;
mod timed_io;
mod tls;
mod webhook;

pub use harden::disable_core_dumps;
pub use panics::install_panic_hook;
pub use reload::RuleSource;
pub use signals::stop_signals;
pub use webhook::Webhook;

use crate::config::{Config, Timeouts};
use crate::metrics::Metrics;
use crate::proxy::{Certified, Proxy, TlsError, UpstreamError};
use crate::scan::Engine;
use certificates::Certificates;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tls::Tls;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

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
    /// The handler of a signal cannot be installed.
    #[error("cannot install the signal handlers")]
    Signal(#[source] std::io::Error),
    /// An upstream cannot be set up.
    #[error("an upstream cannot be set up")]
    Upstream(#[from] UpstreamError),
}

/// A server that has its addresses and has not begun to serve.
pub struct Server {
    listener: TcpListener,
    admin: TcpListener,
    rules: Option<RuleSource>,
    certificates: Option<Certificates>,
    context: Arc<Context>,
}

/// What all connections share.
struct Context {
    proxy: Proxy,
    /// Unless clients are served in plain text.
    tls: Option<Arc<Tls>>,
    metrics: Arc<Metrics>,
    timeouts: Timeouts,
    max_connections: usize,
    max_head: usize,
    /// What `/readyz` says.
    ready: AtomicBool,
}

impl Server {
    /// Takes the addresses and sets the routes up.
    ///
    /// # Errors
    /// When an address is not free, or certificates cannot be read.
    pub async fn bind(config: &Config, engine: &Arc<Engine>, metrics: Arc<Metrics>) -> Result<Self, ServerError> {
        metrics.set_build(VERSION, REVISION);
        let proxy = Proxy::new(config, engine, Arc::clone(&metrics))?;
        let tls = listener_tls(config, &metrics)?;
        let mut certified = proxy.certified();
        certified.extend(tls.iter().map(|tls| Arc::<Tls>::clone(tls) as Arc<dyn Certified>));
        let certificates = Certificates::new(certified, &metrics).map_err(ServerError::Signal)?;
        let context = Context {
            proxy,
            tls,
            metrics,
            timeouts: config.timeouts.clone(),
            max_connections: usize::try_from(config.limits.connections).unwrap_or(usize::MAX),
            max_head: usize::try_from(config.limits.head).unwrap_or(usize::MAX),
            ready: AtomicBool::new(false),
        };
        context.tell_rules(engine);
        let listener = listen(config.listener, "--listen, EXPURGATE_LISTEN or [listener] address").await?;
        let admin = listen(config.admin, "--admin, EXPURGATE_ADMIN or [admin] address").await?;
        Ok(Self { listener, admin, rules: None, certificates, context: Arc::new(context) })
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

    /// From [`Server::run`] on, new rules are taken from there as they come.
    #[must_use]
    pub fn reload_from(self, rules: RuleSource) -> Self {
        Self { rules: Some(rules), ..self }
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
        let reloading = self.rules.map(|rules| tokio::spawn(rules.serve(Arc::clone(&context))));
        let tending = tokio::spawn(memory::tend(Arc::clone(&context)));
        let renewing = self.certificates.map(|certificates| tokio::spawn(certificates.serve()));
        // The listener is bound: told first, so that nobody who was served sees
        // that it is not ready and takes that for the drain.
        context.ready.store(true, Ordering::Release);
        let mut accepting = tokio::spawn(accept::serve(self.listener, Arc::clone(&context), draining));
        stop.recv().await;
        tracing::info!("draining");
        context.proxy.drain();
        // Nobody listens any more when all connections have ended already.
        let _ = drain.send(true);
        // Told last: who comes after it is one of those who come late, and gets
        // its answer.
        context.ready.store(false, Ordering::Release);
        tokio::select! {
            _ = &mut accepting => tracing::info!("drained"),
            () = tokio::time::sleep(context.timeouts.drain) => {
                tracing::warn!("the drain time is over; requests in flight are aborted");
            }
            Some(()) = stop.recv() => tracing::warn!("told again; requests in flight are aborted"),
        }
        accepting.abort();
        admin.abort();
        tending.abort();
        reloading.into_iter().chain(renewing).for_each(|task| task.abort());
    }
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
