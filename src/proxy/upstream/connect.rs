//! New connections to an upstream.

use super::UpstreamError;
use super::unflushed::Unflushed;
use crate::config::{self, Scheme, Timeouts, UpstreamTls};
use crate::metrics::RouteMetrics;
use crate::proxy::certificate::{self, Certified, TlsError};
use crate::proxy::idle::IdleTimer;
use crate::proxy::respond::Failure;
use arc_swap::ArcSwap;
use hyper::Uri;
use hyper::http::uri::Scheme as UriScheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use prometheus::IntGauge;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tower_service::Service;

type Plain = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;

/// Connects within a time-out, and counts.
pub(in crate::proxy) struct Connector {
    route: String,
    files: UpstreamTls,
    /// Replaced when the files hold something else.
    ways: ArcSwap<Ways>,
    uri: Uri,
    timeout: Duration,
    /// How long the upstream may refuse to take more.
    write: Duration,
    metrics: Arc<RouteMetrics>,
}

/// How a connection is made.
struct Ways {
    http1: HttpsConnector<HttpConnector>,
    /// Asks for HTTP/2, where TLS lets it.
    http2: HttpsConnector<HttpConnector>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("not connected in time")]
    TimedOut,
    #[error("cannot connect")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    #[error("the upstream does not speak HTTP/2")]
    NoHttp2,
}

impl ConnectError {
    /// What it is for a request.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::TimedOut => Failure::UpstreamConnectTimeout,
            Self::Unreachable(_) | Self::NoHttp2 => Failure::UpstreamUnreachable,
        }
    }
}

/// What is going to be spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    /// Over TLS by agreement, else by prior knowledge.
    Http2,
}

impl Connector {
    /// To connect to where `uri` says.
    pub(super) fn new(
        route: &config::Route,
        uri: Uri,
        timeouts: &Timeouts,
        metrics: &Arc<RouteMetrics>,
    ) -> Result<Self, UpstreamError> {
        let ways = Ways::new(&route.tls, route.upstream.scheme)
            .map_err(|source| UpstreamError::Tls { route: route.name.clone(), source })?;
        Ok(Self {
            route: route.name.clone(),
            files: route.tls.clone(),
            ways: ArcSwap::from_pointee(ways),
            uri,
            timeout: timeouts.connect,
            write: timeouts.response_head,
            metrics: Arc::clone(metrics),
        })
    }

    /// A new stream to the upstream, encrypted if that is what it wants.
    pub(super) async fn connect(&self, protocol: Protocol) -> Result<Stream, ConnectError> {
        let _counted = Gauged::new(&self.metrics.connecting);
        let mut inner = match protocol {
            Protocol::Http1 => self.ways.load().http1.clone(),
            Protocol::Http2 => self.ways.load().http2.clone(),
        };
        let connecting = async {
            poll_fn(|cx| inner.poll_ready(cx)).await?;
            inner.call(self.uri.clone()).await
        };
        let connected = tokio::time::timeout(self.timeout, connecting).await;
        let stream = connected.map_err(|_| ConnectError::TimedOut)?.map_err(ConnectError::Unreachable)?;
        let is_agreed = stream.connected().is_negotiated_h2();
        if protocol == Protocol::Http2 && self.uri.scheme() == Some(&UriScheme::HTTPS) && !is_agreed {
            return Err(ConnectError::NoHttp2);
        }
        Ok(Stream {
            stream,
            writing: IdleTimer::new(self.write),
            unflushed: Arc::default(),
            _counted: Gauged::new(&self.metrics.open),
        })
    }
}

impl Certified for Connector {
    fn name(&self) -> String {
        format!("route \"{}\"", self.route)
    }

    fn paths(&self) -> Vec<&Path> {
        let pair = self.files.pair.iter().flat_map(|pair| [&pair.cert, &pair.key]);
        self.files.ca.iter().chain(pair).map(PathBuf::as_path).collect()
    }

    fn renew(&self) -> Result<(), TlsError> {
        // Only TLS has files.
        self.ways.store(Arc::new(Ways::new(&self.files, Scheme::Https)?));
        Ok(())
    }
}

impl Ways {
    fn new(files: &UpstreamTls, scheme: Scheme) -> Result<Self, TlsError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let tls = tls_config(files, scheme)?;
        let builder = || HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
        let http1 = builder().enable_http1().wrap_connector(http.clone());
        let http2 = builder().enable_http2().wrap_connector(http);
        Ok(Self { http1, http2 })
    }
}

/// Counts in a gauge while it lives.
struct Gauged(IntGauge);

impl Gauged {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Gauged {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A connection that counts while it is open, and breaks when the upstream
/// takes nothing more. Nobody else would notice one that has answered already
/// and leaves the rest of the request where it is.
pub(super) struct Stream {
    stream: Plain,
    writing: IdleTimer,
    unflushed: Arc<Unflushed>,
    _counted: Gauged,
}

impl Stream {
    /// The request that is on its way through this.
    pub(super) fn unflushed(&self) -> &Arc<Unflushed> {
        &self.unflushed
    }

    fn time_write<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.writing.progress();
            return polled;
        }
        ready!(self.writing.poll_wait(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.unflushed.cut();
    }
}

impl Read for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.time_write(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        if matches!(polled, Poll::Ready(Ok(()))) {
            // hyper flushes when it has written all that it holds.
            self.unflushed.flushed();
        }
        self.time_write(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.time_write(cx, polled)
    }
}

fn tls_config(files: &UpstreamTls, scheme: Scheme) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(certificate::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Library(error.into()))?;
    let builder = match (&files.ca, scheme) {
        // Never used; the system's roots take a while to read.
        (_, Scheme::Http) => builder.with_root_certificates(RootCertStore::empty()),
        (None, Scheme::Https) => builder.with_native_roots().map_err(TlsError::System)?,
        (Some(path), Scheme::Https) => builder.with_root_certificates(certificate::read_roots(path)?),
    };
    Ok(match &files.pair {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let certified = certificate::read_pair(pair)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
    })
}
