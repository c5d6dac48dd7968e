//! One route's upstream: a pool of kept connections, and its time-outs.

use super::body::RedactedBody;
use super::exchange::Exchange;
use super::idle::IdleTimer;
use super::respond::Failure;
use crate::config::{self, Scheme, Timeouts};
use crate::metrics::RouteMetrics;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::http::uri::{Authority, PathAndQuery};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response, Uri};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use prometheus::IntGauge;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::error::Error;
use std::future::Future;
use std::io::{self, IoSlice};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;
use tower_service::Service;

/// Bytes that hyper reads or writes at a time, for each connection; response
/// heads must fit too.
const BUFFER: usize = 64 * 1024;

/// Where a route's requests go.
pub(super) struct Upstream {
    client: Client<Connector, RedactedBody>,
    scheme: hyper::http::uri::Scheme,
    authority: Authority,
    /// The `Host` header.
    pub(super) host: HeaderValue,
    /// In front of every path.
    pub(super) base: String,
    response_head: Duration,
}

/// Why an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The file with the certificates cannot be used.
    #[error("route \"{route}\": the certificates in {path} cannot be used")]
    Ca {
        /// The route.
        route: String,
        /// As configured.
        path: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// TLS cannot be set up.
    #[error("route \"{route}\": TLS cannot be set up")]
    Tls {
        /// The route.
        route: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The URL is not one that HTTP knows.
    #[error("route \"{route}\": the upstream's host is not valid")]
    Host {
        /// The route.
        route: String,
    },
}

impl Upstream {
    pub(super) fn new(
        route: &config::Route,
        timeouts: &Timeouts,
        metrics: &Arc<RouteMetrics>,
    ) -> Result<Self, UpstreamError> {
        let host = || UpstreamError::Host { route: route.name.clone() };
        let authority: Authority = route.upstream.authority.parse().map_err(|_| host())?;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(route)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let connector = Connector {
            inner: https,
            timeout: timeouts.connect,
            write: timeouts.response_head,
            metrics: Arc::clone(metrics),
        };
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(timeouts.upstream_keep_alive)
            .http1_max_buf_size(BUFFER)
            .build(connector);
        Ok(Self {
            client,
            scheme: match route.upstream.scheme {
                Scheme::Http => hyper::http::uri::Scheme::HTTP,
                Scheme::Https => hyper::http::uri::Scheme::HTTPS,
            },
            host: HeaderValue::try_from(authority.as_str()).map_err(|_| host())?,
            authority,
            base: route.upstream.base.clone(),
            response_head: timeouts.response_head,
        })
    }

    /// The URI of a target at this upstream.
    pub(super) fn uri(&self, target: PathAndQuery) -> Result<Uri, Failure> {
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(target)
            .build()
            .map_err(|_| Failure::Target)
    }

    /// Sends the request and waits for the response's head. The wait is
    /// counted from the last progress of the request's body, and not while
    /// that waits for the client, which has a time-out of its own.
    ///
    /// An answer of success that comes before all of the request was written is
    /// kept until it was: a client that is told so may forget what it sent.
    /// Others are worth most when they come early.
    pub(super) async fn send(
        &self,
        request: Request<RedactedBody>,
        exchange: &Arc<Exchange>,
    ) -> Result<Response<Incoming>, Failure> {
        exchange.touch();
        let response = self.in_time(self.client.request(request), exchange).await?;
        let response = response.map_err(|error| failure_of(&error, exchange))?;
        if response.status().is_success() {
            // What is still to come may yet be refused.
            self.in_time(exchange.request_is_whole(), exchange).await??;
        }
        Ok(response)
    }

    /// Waits for `work` while the request's body moves or waits for the client.
    async fn in_time<T>(&self, work: impl Future<Output = T>, exchange: &Exchange) -> Result<T, Failure> {
        let mut work = std::pin::pin!(work);
        let mut deadline = Instant::now() + self.response_head;
        loop {
            tokio::select! {
                result = &mut work => return Ok(result),
                () = tokio::time::sleep_until(deadline) => {}
            }
            let since = match exchange.waits_for_client() {
                true => Instant::now(),
                false => exchange.last_moved(),
            };
            if since + self.response_head <= deadline {
                return Err(Failure::UpstreamTimeout);
            }
            deadline = since + self.response_head;
        }
    }
}

/// What a client error means; a failure of the request's own body comes first.
fn failure_of(error: &ClientError, exchange: &Exchange) -> Failure {
    tracing::debug!(request_id = %exchange.id(), error = %Chain(error), "upstream failed");
    if let Some(failure) = exchange.failure() {
        return failure;
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<ConnectTimedOut>() {
            return Failure::UpstreamConnectTimeout;
        }
        if is_write_time_out(error) {
            return Failure::UpstreamTimeout;
        }
        cause = error.source();
    }
    if error.is_connect() { Failure::UpstreamUnreachable } else { Failure::UpstreamBroke }
}

/// An error and its causes on one line. hyper's errors hold no payload.
struct Chain<'a>(&'a dyn Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

fn tls_config(route: &config::Route) -> Result<ClientConfig, UpstreamError> {
    let failed = |source: Box<dyn Error + Send + Sync>| UpstreamError::Tls { route: route.name.clone(), source };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(error.into()))?;
    let builder = match (&route.ca, route.upstream.scheme) {
        // Never used; the system's roots take a while to read.
        (_, Scheme::Http) => builder.with_root_certificates(RootCertStore::empty()),
        (None, Scheme::Https) => builder.with_native_roots().map_err(|error| failed(error.into()))?,
        (Some(path), Scheme::Https) => {
            let roots = read_roots(path).map_err(|source| UpstreamError::Ca {
                route: route.name.clone(),
                path: path.display().to_string(),
                source,
            })?;
            builder.with_root_certificates(roots)
        }
    };
    Ok(builder.with_no_client_auth())
}

fn read_roots(path: &Path) -> Result<RootCertStore, Box<dyn Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path)? {
        roots.add(certificate?)?;
    }
    if roots.is_empty() {
        return Err("the file holds no certificate".into());
    }
    Ok(roots)
}

type Stream = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;

/// Connects within a time-out, and counts.
#[derive(Clone)]
struct Connector {
    inner: HttpsConnector<HttpConnector>,
    timeout: Duration,
    /// How long the upstream may refuse to take more.
    write: Duration,
    metrics: Arc<RouteMetrics>,
}

#[derive(Debug, thiserror::Error)]
#[error("not connected in time")]
struct ConnectTimedOut;

fn is_write_time_out(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

impl Service<Uri> for Connector {
    type Response = Counted;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Counted, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri);
        let (timeout, write, metrics) = (self.timeout, self.write, Arc::clone(&self.metrics));
        Box::pin(async move {
            let _counted = Gauged::new(&metrics.connecting);
            let stream = tokio::time::timeout(timeout, connecting).await.map_err(|_| ConnectTimedOut)??;
            let counted = Gauged::new(&metrics.open);
            Ok(Counted { stream, writing: IdleTimer::new(write), _counted: counted })
        })
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
struct Counted {
    stream: Stream,
    writing: IdleTimer,
    _counted: Gauged,
}

impl Counted {
    fn time_write<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.writing.progress();
            return polled;
        }
        ready!(self.writing.poll_wait(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Connection for Counted {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

impl Read for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.time_write(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
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
