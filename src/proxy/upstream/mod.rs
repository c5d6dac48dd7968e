//! One route's upstream: a pool of kept connections, those of HTTP/2 that
//! requests share, and its time-outs.

mod breaker;
mod complaints;
mod connect;
mod pool;
mod shared;
mod socket;
mod unflushed;
mod upgrade;

use super::body::{self, RedactedBody};
use super::certificate::{Certified, TlsError};
use super::exchange::{Dialect, Exchange};
use super::grpc;
use super::idle::Timer;
use super::respond::Failure;
use crate::causes::Causes;
use crate::config::{self, Scheme, Timeouts};
use crate::metrics::RouteMetrics;
use breaker::Breaker;
use connect::{ConnectError, Connector, Protocol};
use http_body::Body;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::http::uri::{Authority, PathAndQuery};
use hyper::{Request, Response, Uri};
use pool::{Pool, SendError, UpstreamConnection};
use shared::{Place, SharedPool};
use std::error::Error;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;
pub(super) use upgrade::{Asked, Upgraded};

/// How often a call is tried whose connection had ended before any of it was
/// sent.
const ATTEMPTS: u32 = 3;

/// Where a route's requests go.
pub(super) struct Upstream {
    connector: Arc<Connector>,
    pool: Arc<Pool>,
    shared: Arc<SharedPool>,
    /// Where it is, with a path of no meaning.
    uri: Uri,
    /// The `Host` header.
    pub(super) host: HeaderValue,
    pub(super) breaker: Breaker,
    /// Whether all requests go over HTTP/2, and not gRPC calls alone.
    pub(super) http2: bool,
    /// In front of every path.
    pub(super) base: String,
    response_head: Duration,
    made_of: MadeOf,
}

/// All that the configuration says of an upstream.
#[derive(PartialEq, Eq)]
struct MadeOf {
    route: String,
    upstream: config::Upstream,
    breaker: Option<config::Breaker>,
    tls: config::UpstreamTls,
    http2: bool,
    connect: Duration,
    response_head: Duration,
    keep_alive: Duration,
    max_age: Duration,
}

impl MadeOf {
    fn new(route: &config::Route, timeouts: &Timeouts) -> Self {
        // All keys are named, so that a new one is not forgotten.
        #[rustfmt::skip]
        let config::Route {
            name, upstream, breaker, tls, http2,
            path: _, host: _, pass: _, headers: _, query: _, query_allow: _, responses: _, upgrades: _, protocol: _,
            policy: _,
        } = route;
        Self {
            route: name.clone(),
            upstream: upstream.clone(),
            breaker: *breaker,
            tls: tls.clone(),
            http2: *http2,
            connect: timeouts.connect,
            response_head: timeouts.response_head,
            keep_alive: timeouts.upstream_keep_alive,
            max_age: timeouts.upstream_max_age,
        }
    }
}

/// Why an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The files of certificates cannot be used.
    #[error("route \"{route}\": TLS cannot be set up")]
    Tls {
        /// The route.
        route: String,
        /// Why.
        source: TlsError,
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
        let scheme = match route.upstream.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let uri = Uri::builder().scheme(scheme).authority(authority.clone()).path_and_query("/").build();
        let uri = uri.map_err(|_| host())?;
        let connector = Arc::new(Connector::new(route, uri.clone(), timeouts, metrics)?);
        Ok(Self {
            shared: SharedPool::new(Arc::clone(&connector), timeouts.upstream_keep_alive, timeouts.upstream_max_age),
            connector,
            pool: Pool::new(timeouts.upstream_keep_alive, timeouts.upstream_max_age),
            uri,
            host: HeaderValue::try_from(authority.as_str()).map_err(|_| host())?,
            breaker: Breaker::new(route, metrics),
            http2: route.http2,
            base: route.upstream.base.clone(),
            response_head: timeouts.response_head,
            made_of: MadeOf::new(route, timeouts),
        })
    }

    /// Whether another one for this route would be the same.
    pub(super) fn is_of(&self, route: &config::Route, timeouts: &Timeouts) -> bool {
        self.made_of == MadeOf::new(route, timeouts)
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
        timer: &mut Timer,
    ) -> Result<(Response<Incoming>, Driver), Failure> {
        exchange.touch();
        let (response, mut driver) = self.in_time(pin!(self.exchange(request, exchange)), exchange, timer).await??;
        if response.status().is_success() {
            // What is still to come may yet be refused.
            let whole = driver.drive_while(exchange.request_is_whole());
            self.in_time(pin!(whole), exchange, timer).await??;
        } else if exchange.is_sending() {
            // The upstream gets the rest, even if the client reads nothing of
            // the answer and so does not drive.
            driver.detach();
        }
        Ok((response, driver))
    }

    /// Sends a request that asks for another protocol, with the wait of
    /// [`Upstream::send`].
    pub(super) async fn ask(
        &self,
        request: Request<RedactedBody>,
        exchange: &Arc<Exchange>,
        timer: &mut Timer,
    ) -> Result<Asked, Failure> {
        exchange.touch();
        // Boxed: rare, and large.
        let asking = Box::pin(upgrade::ask(&self.connector, request, exchange));
        self.in_time(pin!(asking), exchange, timer).await?
    }

    /// What has to be made anew when files of certificates change.
    pub(super) fn certified(&self) -> Arc<dyn Certified> {
        Arc::<Connector>::clone(&self.connector)
    }

    /// The whole URI of a target here.
    pub(super) fn uri(&self, target: PathAndQuery) -> Result<Uri, Failure> {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(target);
        Uri::from_parts(parts).map_err(|_| Failure::Target)
    }

    /// Sends a request over HTTP/2 and waits for the response's head, with the
    /// waits of [`Upstream::send`]. The head of a gRPC call says nothing of success
    /// yet; where it is all that there is, it is the end.
    pub(super) async fn send_http2(
        &self,
        mut request: Request<RedactedBody>,
        exchange: &Arc<Exchange>,
        timer: &mut Timer,
    ) -> Result<(Response<Incoming>, Driver), Failure> {
        exchange.touch();
        for attempt in 1.. {
            let placed = self.in_time(pin!(self.shared.place()), exchange, timer).await?;
            let mut place = placed.map_err(|lack| {
                self.connector.complaints.tell(exchange.id(), &lack.cause);
                lack.failure
            })?;
            let sent = self.in_time(pin!(place.send(request)), exchange, timer).await?;
            let response = match sent {
                Ok(response) => response,
                Err(mut error) => match error.take_message().filter(|_| attempt < ATTEMPTS) {
                    Some(unsent) => {
                        place.retire();
                        request = unsent;
                        continue;
                    }
                    None => return Err(send_failure(&self.connector, &error.into_error(), exchange)),
                },
            };
            place.answered();
            if exchange.dialect() != Dialect::Grpc {
                if response.status().is_success() {
                    self.in_time(pin!(exchange.request_is_whole()), exchange, timer).await??;
                }
            } else if grpc::is_ok(response.headers()) {
                self.in_time(pin!(exchange.is_settled()), exchange, timer).await??;
            }
            return Ok((response, Driver { own: None, _place: Some(Box::new(place)) }));
        }
        Err(Failure::UpstreamBroke)
    }

    /// Sends the request on a kept connection, or on a new one when there is
    /// none, or when those that were kept have ended meanwhile.
    async fn exchange(
        &self,
        mut request: Request<RedactedBody>,
        exchange: &Arc<Exchange>,
    ) -> Result<(Response<Incoming>, Driver), Failure> {
        let mut again = false;
        loop {
            let (mut connection, is_kept) = match if again { None } else { self.pool.take() } {
                Some(kept) => (kept, true),
                // Boxed: rare, and large.
                None => Box::pin(self.connect(again))
                    .await
                    .map_err(|error| connect_failure(&self.connector, &error, exchange))?,
            };
            let spare = if is_kept { repeatable(&request) } else { None };
            let sent = match request.body().is_streaming() {
                true => connection.send_apart(request, exchange).await.map(|response| (response, Driver::default())),
                false => {
                    let sent = connection.send(request, exchange).await;
                    sent.map(|response| (response, Driver { own: Some(connection), _place: None }))
                }
            };
            match sent {
                Ok(sent) => return Ok(sent),
                Err(SendError { unsent: Some(unsent), .. }) if is_kept => request = unsent,
                Err(SendError { error, .. }) => match spare.filter(|_| is_end(&error)) {
                    Some(spare) => (request, again) = (spare, true),
                    None => return Err(send_failure(&self.connector, &error, exchange)),
                },
            }
            // Whatever was cut off is sent anew.
            exchange.begin_again();
        }
    }

    /// A new connection, or, unless it has to be `new`, one that comes to be kept
    /// before that is there; the new one is for others then. Tells whether it was
    /// kept.
    async fn connect(&self, new: bool) -> Result<(UpstreamConnection, bool), ConnectError> {
        let (connector, pool) = (Arc::clone(&self.connector), Arc::clone(&self.pool));
        let mut connecting = Box::pin(async move {
            let stream = connector.connect(Protocol::Http1).await?;
            pool.open(stream).await.map_err(|error| ConnectError::Unreachable(error.into()))
        });
        tokio::select! {
            biased;
            connected = &mut connecting => match connected {
                Ok(connection) => Ok((connection, false)),
                Err(error) if new => Err(error),
                Err(error) => self.pool.take().map(|kept| (kept, true)).ok_or(error),
            },
            kept = self.pool.wait(), if !new => {
                tokio::spawn(async move { connecting.await.map(UpstreamConnection::keep) });
                Ok((kept, true))
            }
        }
    }

    /// Waits for `work` while the request's body moves or waits for the client. (Taken by
    /// value it would have room twice in the future of every request.)
    async fn in_time<T>(
        &self,
        mut work: Pin<&mut impl Future<Output = T>>,
        exchange: &Exchange,
        timer: &mut Timer,
    ) -> Result<T, Failure> {
        let begin = Instant::now();
        poll_fn(|cx| {
            if let Poll::Ready(result) = work.as_mut().poll(cx) {
                return Poll::Ready(Ok(result));
            }
            let since = match exchange.waits_for_client() {
                true => Instant::now(),
                false => exchange.last_moved().max(begin),
            };
            timer.poll_until(since + self.response_head, cx).map(|()| Err(Failure::UpstreamTimeout))
        })
        .await
    }
}

/// Drives the connection that a response comes from, unless it has a task of
/// its own, and gives it back when the response has ended. Dropped before, it
/// closes the connection, or gives the place on a shared one back.
#[derive(Default)]
pub(super) struct Driver {
    own: Option<UpstreamConnection>,
    _place: Option<Box<Place>>,
}

impl Driver {
    /// Reads what there is of the response.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.own {
            // When it is over, the response tells of it.
            let _: Poll<()> = connection.poll_drive(cx);
        }
    }

    async fn drive_while<T>(&mut self, work: impl Future<Output = T>) -> T {
        match &mut self.own {
            Some(connection) => connection.drive_while(work).await,
            None => work.await,
        }
    }

    fn detach(&mut self) {
        if let Some(connection) = self.own.take() {
            connection.detach();
        }
    }

    /// The response has ended.
    pub(super) fn finish(&mut self) {
        if let Some(connection) = self.own.take() {
            connection.keep();
        }
    }
}

/// The same request once more, if nothing comes of it when it is carried out twice
/// (RFC 9110, section 9.2.2), and all of it is here.
fn repeatable(request: &Request<RedactedBody>) -> Option<Request<RedactedBody>> {
    if !request.method().is_idempotent() || !request.body().is_end_stream() {
        return None;
    }
    let mut spare = Request::new(body::empty().body);
    *spare.method_mut() = request.method().clone();
    *spare.uri_mut() = request.uri().clone();
    *spare.version_mut() = request.version();
    *spare.headers_mut() = request.headers().clone();
    Some(spare)
}

/// Whether the connection has ended, and nothing else is wrong.
fn is_end(error: &hyper::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    let is_cut = |kind| matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof);
    error.is_incomplete_message() || cause.is_some_and(|cause| is_cut(cause.kind()))
}

fn connect_failure(connector: &Connector, error: &ConnectError, exchange: &Exchange) -> Failure {
    connector.complaints.tell(exchange.id(), &Causes(error).to_string());
    error.failure()
}

/// A failure of the request's own body comes first.
fn send_failure(connector: &Connector, error: &hyper::Error, exchange: &Exchange) -> Failure {
    if let Some(failure) = exchange.failure() {
        tracing::debug!(request_id = %exchange.id(), error = %Causes(error), "upstream failed");
        return failure;
    }
    connector.complaints.tell(exchange.id(), &format!("{}{}", Causes(error), hint(error)));
    let mut cause = error.source();
    while let Some(error) = cause {
        if is_time_out(error) {
            return Failure::UpstreamTimeout;
        }
        cause = error.source();
    }
    Failure::UpstreamBroke
}

/// What may be behind an error. Who answers HTTP/2 in HTTP/1.1 sends what looks like a frame
/// of 4 MB.
fn hint(error: &(dyn Error + 'static)) -> &'static str {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    let reason = causes.filter_map(|error| error.downcast_ref::<h2::Error>()).find_map(h2::Error::reason);
    if reason == Some(h2::Reason::FRAME_SIZE_ERROR) { "; does it speak HTTP/2?" } else { "" }
}

/// Of a write: nothing else on a connection has a time-out.
fn is_time_out(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}
