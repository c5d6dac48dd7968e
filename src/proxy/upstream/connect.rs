//! New connections to an upstream.

use super::UpstreamError;
use super::complaints::Complaints;
use super::socket::Socket;
use super::unflushed::Unflushed;
use crate::config::{self, Scheme, Timeouts, UpstreamTls};
use crate::metrics::RouteMetrics;
use crate::proxy::certificate::{self, Certified, Snapshot, TlsError};
use crate::proxy::idle::IdleTimer;
use crate::proxy::respond::Failure;
use arc_swap::ArcSwap;
use hyper::Uri;
use hyper::http::uri::Scheme as UriScheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::dns::GaiResolver;
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
    pub(super) complaints: Complaints,
    files: UpstreamTls,
    first: [u8; 32],
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
        let read = Snapshot::of(&paths(&route.tls));
        let ways = Ways::new(&route.tls, &read, route.upstream.scheme, timeouts.connect)
            .map_err(|source| UpstreamError::Tls { route: route.name.clone(), source })?;
        Ok(Self {
            route: route.name.clone(),
            complaints: Complaints::new(&route.name),
            files: route.tls.clone(),
            first: read.hash(),
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
        paths(&self.files)
    }

    fn first(&self) -> [u8; 32] {
        self.first
    }

    fn renew(&self, files: &Snapshot) -> Result<(), TlsError> {
        // Only TLS has files.
        self.ways.store(Arc::new(Ways::new(&self.files, files, Scheme::Https, self.timeout)?));
        Ok(())
    }
}

fn paths(files: &UpstreamTls) -> Vec<&Path> {
    let pair = files.pair.iter().flat_map(|pair| [&pair.cert, &pair.key]);
    files.ca.iter().chain(pair).map(PathBuf::as_path).collect()
}

impl Ways {
    fn new(files: &UpstreamTls, read: &Snapshot, scheme: Scheme, timeout: Duration) -> Result<Self, TlsError> {
        let http = tcp(GaiResolver::new(), timeout);
        let tls = tls_config(files, read, scheme)?;
        let builder = || HttpsConnectorBuilder::new().with_tls_config(tls.clone()).https_or_http();
        let http1 = builder().enable_http1().wrap_connector(http.clone());
        let http2 = builder().enable_http2().wrap_connector(http);
        Ok(Self { http1, http2 })
    }
}

/// What finds the addresses of a name anew for each connection, keeps none, and
/// tries all of them: one after the other, each with its share of the time, and
/// where a name has addresses of both kinds, the other kind beside the first a
/// moment later (RFC 8305).
fn tcp<R>(resolver: R, timeout: Duration) -> HttpConnector<R> {
    let mut http = HttpConnector::new_with_resolver(resolver);
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_connect_timeout(Some(timeout));
    http.set_happy_eyeballs_timeout(Some(OTHER_KIND));
    http
}

/// Before the other kind of address is tried, too.
const OTHER_KIND: Duration = Duration::from_millis(250);

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
pub(in crate::proxy) struct Stream {
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

    /// What tells of the connection while nobody reads it.
    pub(super) fn socket(&self) -> io::Result<Socket> {
        match &self.stream {
            MaybeHttpsStream::Http(stream) => Socket::new(stream.inner(), false),
            MaybeHttpsStream::Https(stream) => Socket::new(stream.inner().get_ref().0.inner().inner(), true),
        }
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

fn tls_config(files: &UpstreamTls, read: &Snapshot, scheme: Scheme) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(certificate::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Library(error.into()))?;
    let builder = match (&files.ca, scheme) {
        // Never used; the system's roots take a while to read.
        (_, Scheme::Http) => builder.with_root_certificates(RootCertStore::empty()),
        (None, Scheme::Https) => builder.with_native_roots().map_err(TlsError::System)?,
        (Some(path), Scheme::Https) => builder.with_root_certificates(certificate::read_roots(path, read)?),
    };
    Ok(match &files.pair {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let certified = certificate::read_pair(pair, read)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper_util::client::legacy::connect::dns::Name;
    use std::convert::Infallible;
    use std::future::{Ready, ready};
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::vec::IntoIter;
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    /// Has these addresses for any name, and counts who asks.
    #[derive(Clone)]
    struct Known(Vec<SocketAddr>, Arc<AtomicUsize>);

    impl Service<Name> for Known {
        type Response = IntoIter<SocketAddr>;
        type Error = Infallible;
        type Future = Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Name) -> Self::Future {
            self.1.fetch_add(1, Ordering::Relaxed);
            ready(Ok(self.0.clone().into_iter()))
        }
    }

    /// An address that takes no connection and refuses none, while the rest lives.
    async fn black_hole() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let (address, mut kept) = (listener.local_addr().unwrap(), Vec::new());
        while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            kept.push(stream.unwrap());
        }
        (address, listener, kept)
    }

    #[tokio::test]
    async fn all_addresses_of_a_name_are_tried_within_the_time() {
        let (hole, _listener, _kept) = black_hole().await;
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = open.local_addr().unwrap();
        for addresses in [vec![good], vec![closed, good], vec![hole, good], vec![closed, hole, good]] {
            let mut http = tcp(Known(addresses.clone(), Arc::default()), Duration::from_secs(3));
            let connecting = http.call(Uri::from_static("http://several.test"));
            let connected = tokio::time::timeout(Duration::from_secs(20), connecting).await.expect("in time");
            assert_eq!(connected.unwrap().inner().peer_addr().unwrap(), good, "{addresses:?}");
        }
    }

    #[tokio::test]
    async fn an_address_is_looked_up_for_each_connection() {
        let open = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let known = Known(vec![open.local_addr().unwrap()], Arc::default());
        let mut http = tcp(known.clone(), Duration::from_secs(3));
        for count in 1..3 {
            http.call(Uri::from_static("http://several.test")).await.unwrap();
            assert_eq!(known.1.load(Ordering::Relaxed), count);
        }
    }
}
