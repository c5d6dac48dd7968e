//! Clients behind TLS: the handshake, within its time, and what came of it.

use crate::config::ListenerTls;
use crate::metrics::Metrics;
use crate::proxy::{self, Certified, Snapshot, TlsError};
use arc_swap::ArcSwap;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{Error, ServerConfig};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What is spoken behind TLS, dearest first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The first byte of a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// The TLS of a listener.
pub(super) struct Tls {
    files: ListenerTls,
    first: [u8; 32],
    /// As configured: a label of metrics.
    listener: String,
    /// Replaced when the files hold something else.
    config: ArcSwap<ServerConfig>,
    metrics: Arc<Metrics>,
}

/// What a client begins with.
pub(super) enum Shaken {
    /// A handshake, which has succeeded.
    Tls(Box<TlsStream<TcpStream>>),
    /// Something else, which may be a request in plain text.
    Plain(TcpStream),
}

impl Tls {
    /// The TLS of the listener at an address, of certificates from files.
    pub(super) fn new(files: &ListenerTls, listener: String, metrics: Arc<Metrics>) -> Result<Self, TlsError> {
        for outcome in Outcome::ALL {
            metrics.tls_handshakes.with_label_values(&[outcome.name()]).inc_by(0);
        }
        let read = Snapshot::of(&paths(files));
        let config = ArcSwap::from_pointee(configure(files, &read, &listener, &metrics)?);
        Ok(Self { files: files.clone(), first: read.hash(), listener, config, metrics })
    }

    /// Shakes hands, and counts. `None` when nothing can be said to the client.
    pub(super) async fn accept(&self, stream: TcpStream, within: Duration) -> Option<Shaken> {
        let shaking = async {
            let mut first = [0];
            if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
                return Ok(Shaken::Plain(stream));
            }
            let accepting = TlsAcceptor::from(self.config.load_full()).accept(stream);
            Ok(Shaken::Tls(Box::new(accepting.await?)))
        };
        let late = Err(io::ErrorKind::TimedOut.into());
        let shaken = tokio::time::timeout(within, shaking).await.unwrap_or(late);
        let outcome = Outcome::of(&shaken);
        self.metrics.tls_handshakes.with_label_values(&[outcome.name()]).inc();
        shaken.inspect_err(|error| tracing::debug!(%error, outcome = outcome.name(), "no TLS with a client")).ok()
    }
}

impl Certified for Tls {
    fn name(&self) -> String {
        format!("listener {}", self.listener)
    }

    fn paths(&self) -> Vec<&Path> {
        paths(&self.files)
    }

    fn first(&self) -> [u8; 32] {
        self.first
    }

    fn renew(&self, files: &Snapshot) -> Result<(), TlsError> {
        self.config.store(Arc::new(configure(&self.files, files, &self.listener, &self.metrics)?));
        Ok(())
    }
}

fn paths(files: &ListenerTls) -> Vec<&Path> {
    let pair = [&files.pair.cert, &files.pair.key];
    pair.into_iter().chain(&files.client_ca).map(PathBuf::as_path).collect()
}

/// TLS 1.3 and 1.2. Sessions are resumed from the memory of one configuration: who
/// comes back after a change is looked at again; where clients have certificates, each
/// time, since those may have expired meanwhile. There is no early data, which
/// could be replayed, and keys are logged nowhere.
fn configure(
    files: &ListenerTls,
    read: &Snapshot,
    listener: &str,
    metrics: &Metrics,
) -> Result<ServerConfig, TlsError> {
    let refused = |error: Box<dyn std::error::Error + Send + Sync>| TlsError::Library(error);
    let provider = proxy::provider();
    let certified = proxy::read_pair(&files.pair, read)?;
    let end = proxy::not_after(&certified.cert[0]).map_or(0, |end| i64::try_from(end.as_secs()).unwrap_or(i64::MAX));
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(error.into()))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let roots = Arc::new(proxy::read_roots(path, read)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| refused(error.into()))?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    if files.client_ca.is_some() {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    metrics.tls_certificate_not_after.with_label_values(&[listener]).set(end);
    Ok(config)
}

/// What came of a handshake: a label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Success,
    /// The client was too slow.
    Timeout,
    /// The client went away, or broke off.
    Closed,
    /// The first bytes are no handshake.
    NotTls,
    /// No version, cipher or protocol that both know.
    Incompatible,
    /// The client has no certificate, or none that is trusted.
    ClientCertificate,
    /// The client says so: mostly it does not trust our certificate.
    RefusedByClient,
    /// Something else.
    Failure,
}

impl Outcome {
    const ALL: [Self; 8] = [
        Self::Success,
        Self::Timeout,
        Self::Closed,
        Self::NotTls,
        Self::Incompatible,
        Self::ClientCertificate,
        Self::RefusedByClient,
        Self::Failure,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::NotTls => "not_tls",
            Self::Incompatible => "incompatible",
            Self::ClientCertificate => "client_certificate",
            Self::RefusedByClient => "refused_by_client",
            Self::Failure => "failure",
        }
    }

    fn of(shaken: &io::Result<Shaken>) -> Self {
        let error = match shaken {
            Ok(Shaken::Tls(_)) => return Self::Success,
            Ok(Shaken::Plain(_)) => return Self::NotTls,
            Err(error) => error,
        };
        match (error.get_ref().and_then(|cause| cause.downcast_ref::<Error>()), error.kind()) {
            (Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol), _) => Self::Incompatible,
            (Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented), _) => Self::ClientCertificate,
            (Some(Error::AlertReceived(_)), _) => Self::RefusedByClient,
            (Some(_), _) => Self::Failure,
            (None, io::ErrorKind::TimedOut) => Self::Timeout,
            (None, _) => Self::Closed,
        }
    }
}
