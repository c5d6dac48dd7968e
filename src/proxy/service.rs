//! The life of a request: head checks, route, content, body, upstream,
//! response.

use super::body::{self, Job, Prepared, RedactedBody};
use super::certificate::Certified;
use super::digest::Digests;
use super::exchange::{Dialect, Exchange, InProgress};
use super::idle::Timer;
use super::lasting::Lasting;
use super::relay::{self, ResponseBody};
use super::respond::{self, Failure, LacksTls};
use super::response::{self, Redaction};
use super::route::{Route, Routes};
use super::signature::{self, Signed};
use super::tunnel::Tunnel;
use super::upstream::{Asked, Driver, Upgraded, UpstreamError};
use super::{fields, grpc, headers, query, upload};
use crate::config::{Config, Limits, Timeouts};
use crate::content::{self, Coding, ContentType, Level, Media, Messages};
use crate::metrics::Metrics;
use crate::redact::Plan;
use crate::rule::protocol::NamedFormats;
use crate::scan::Engine;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode, Version};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// What is read and thrown away of the body of a refused request, so that the
/// client reads the answer instead of failing to write.
const DRAIN_BYTES: usize = 1024 * 1024;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(2);
/// How long it waits for more. A client that sends later than that has its
/// answer by then, and the connection lingers for what it still sends.
const DRAIN_IDLE: Duration = Duration::from_millis(200);

/// Everything that requests share which begin with the same configuration.
pub struct Proxy {
    routes: Routes,
    limits: Limits,
    timeouts: Timeouts,
    compression: Level,
    /// Shared with those that were there before.
    lasting: Arc<Lasting>,
}

impl Proxy {
    /// Sets the routes up; connects to nothing yet.
    ///
    /// # Errors
    /// When certificates of an upstream cannot be read.
    pub fn new(config: &Config, engine: &Arc<Engine>, metrics: Arc<Metrics>) -> Result<Self, UpstreamError> {
        let routes = Routes::new(config, engine, &metrics, None)?;
        Ok(Self::with(routes, config, Lasting::new(&config.limits, &config.timeouts, metrics)))
    }

    /// One of another configuration that can take the place of this one, with its
    /// upstreams where nothing is said of them that was not said before.
    ///
    /// # Errors
    /// As [`Proxy::new`].
    pub fn renewed(&self, config: &Config, engine: &Arc<Engine>) -> Result<Self, UpstreamError> {
        let routes = Routes::new(config, engine, &self.lasting.metrics, Some(&self.routes))?;
        Ok(Self::with(routes, config, Arc::clone(&self.lasting)))
    }

    fn with(routes: Routes, config: &Config, lasting: Arc<Lasting>) -> Self {
        let (limits, timeouts) = (config.limits.clone(), config.timeouts.clone());
        Self { routes, limits, timeouts, compression: config.compression, lasting }
    }

    /// It takes the place of `before`: what is counted together is held to its limits,
    /// and what is told of upstreams is told of its own.
    pub fn succeed(&self, before: &Self) {
        self.lasting.limit(&self.limits, &self.timeouts);
        self.routes.succeed(&before.routes);
    }

    /// Requests that begin from now on are redacted by these rules; those that
    /// have begun go on with theirs.
    pub fn set_rules(&self, engine: &Arc<Engine>) {
        self.routes.set_rules(engine);
    }

    /// What is made of files with certificates, if it has any.
    pub fn certified(&self) -> Vec<Arc<dyn Certified>> {
        self.routes.certified()
    }

    /// From now on new requests are refused; those that have begun go on.
    pub fn drain(&self) {
        self.lasting.drain();
    }

    /// Answers one request: with the upstream's response, or with why not.
    /// `timer` serves the waits for the body and for the response's head, one
    /// after the other, of all requests of one connection.
    pub async fn handle(
        &self,
        request: Request<Incoming>,
        in_progress: Option<InProgress>,
        timer: &mut Timer,
    ) -> Response<ResponseBody> {
        let exchange = Exchange::begin(self.lasting.ids.next(), request.method(), &self.lasting.metrics);
        let (mut parts, incoming) = request.into_parts();
        exchange.hold(in_progress);
        exchange.speak(dialect(&parts));
        let waits = headers::expects_continue(&parts.headers);
        let mut incoming = Some(incoming);
        let result = {
            let forwarding = pin!(self.forward(&mut parts, &mut incoming, &exchange, timer));
            self.guard(forwarding, &exchange).await
        };
        match result {
            Ok(response) => {
                exchange.answer(response.status());
                response
            }
            Err(failure) => {
                exchange.fail(failure.clone());
                let rest = incoming.or_else(|| exchange.take_rest());
                let unread = Box::pin(drain(rest, waits && !exchange.has_received())).await;
                // What gRPC says is 200 is none.
                exchange.answer(failure.status());
                // What follows may have been meant for the other end of a tunnel.
                let unread = unread || exchange.is_unread() || parts.method == Method::CONNECT;
                respond::refuse(&failure, &exchange, unread)
            }
        }
    }

    /// Bounds the time, and turns a panic into an answer.
    async fn guard<T>(
        &self,
        mut forwarding: Pin<&mut impl Future<Output = Result<T, Failure>>>,
        exchange: &Exchange,
    ) -> Result<T, Failure> {
        let caught = std::future::poll_fn(|cx| {
            // The future is not polled again after a panic, and what it shares
            // with other requests are counters.
            catch_unwind(AssertUnwindSafe(|| forwarding.as_mut().poll(cx))).unwrap_or(Poll::Ready(Err(Failure::Panic)))
        });
        match self.deadline(exchange) {
            None => caught.await,
            Some(deadline) => tokio::time::timeout_at(deadline, caught).await.unwrap_or(Err(Failure::Deadline)),
        }
    }

    fn deadline(&self, exchange: &Exchange) -> Option<Instant> {
        self.timeouts.request.map(|limit| exchange.started() + limit)
    }

    async fn forward(
        &self,
        parts: &mut Parts,
        incoming: &mut Option<Incoming>,
        exchange: &Arc<Exchange>,
        timer: &mut Timer,
    ) -> Result<Response<ResponseBody>, Failure> {
        if parts.extensions.get::<LacksTls>().is_some() {
            return Err(Failure::LacksTls);
        }
        if self.lasting.is_draining() {
            return Err(Failure::Draining);
        }
        let route = self.route(parts)?;
        exchange.enter(&route);
        let upgrade = upgrade(parts, &route, incoming.as_ref())?;
        headers::join_cookies(parts);
        // Nobody has to make room for what goes nowhere.
        let passage = route.upstream.breaker.pass()?;
        exchange.keep(self.lasting.admission.admit()?);
        let plans = route.plans();
        let (target, query_changed) = query::redact_target(&parts.uri, &route, &plans, exchange)?;
        // Judged before a header that is part of the signature could change.
        let signed = Signed::of(parts);
        let fields_changed = fields::redact(&mut parts.headers, &route, &plans.body, exchange)?;
        let asks_otherwise = route.responses && headers::ask_for_redactable(&mut parts.headers);
        if signed.head && (query_changed || fields_changed || asks_otherwise) {
            return Err(Failure::Signed);
        }
        let plan = (&*route, &plans.body);
        let Prepared { body, told } = self.prepare(parts, incoming, signed, plan, exchange, timer).await?;
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.headers_mut() = std::mem::take(&mut parts.headers);
        headers::rewrite(request.headers_mut(), route.upstream.host.clone(), told);
        let sent = Instant::now();
        let answered = send(&route, request, target, upgrade.as_deref(), exchange, timer).await;
        passage.tell(&answered);
        let answered = answered.map_err(|failure| as_told(failure, &route))?;
        exchange.set_upstream(sent.elapsed());
        match (answered, upgrade) {
            (Asked::Answered(response, driver), _) => {
                self.relay(response, driver, parts.method == Method::HEAD, plan, exchange).await
            }
            (Asked::Agreed(response, upgraded), Some(protocol)) => {
                self.tunnel(response, *upgraded, &protocol, exchange)
            }
            (Asked::Agreed(..), None) => Err(Failure::UpstreamBroke),
        }
    }

    /// Tells the client that the upstream speaks something else from now on, and
    /// whoever has its connection where to.
    fn tunnel(
        &self,
        mut response: Response<Incoming>,
        upgraded: Upgraded,
        protocol: &str,
        exchange: &Arc<Exchange>,
    ) -> Result<Response<ResponseBody>, Failure> {
        headers::check_response(response.headers_mut(), false)?;
        if !headers::agrees_to(response.headers(), protocol) {
            return Err(Failure::UpstreamBroke);
        }
        headers::strip_hop_by_hop(response.headers_mut());
        headers::put_upgrade(response.headers_mut(), protocol)?;
        exchange.pass_unscanned("upgrade");
        let tunnel = Tunnel::new(upgraded, self.timeouts.response_idle, exchange);
        let mut response = response.map(|_| ResponseBody::fixed(None, exchange));
        response.extensions_mut().insert(tunnel);
        Ok(response)
    }

    async fn prepare(
        &self,
        parts: &Parts,
        incoming: &mut Option<Incoming>,
        signed: Signed,
        (route, plan): (&Route, &Arc<Plan>),
        exchange: &Arc<Exchange>,
        timer: &mut Timer,
    ) -> Result<Prepared, Failure> {
        if incoming.as_ref().is_none_or(Body::is_end_stream) {
            // Nothing to be scanned, whatever the headers say about it.
            return Ok(body::empty());
        }
        let declared = content_type(parts);
        let pass = route.pass.contains(&declared.essence);
        let content = match &route.formats {
            Some(formats) if !pass => named_type(formats, parts, declared)?,
            _ => declared,
        };
        if signature::is_in_chunks(&parts.headers) && !pass {
            // A coding by another name: a finding may stand across two chunks.
            return Err(Failure::Coding);
        }
        let mut messages = None;
        // What passes unscanned is not decoded either.
        let declared_coding = |name| headers::coding(&parts.headers, name).map_err(|_| Failure::Coding);
        let is_block = !pass && headers::is_in_snappy(&parts.headers);
        let content = if is_block { content.in_snappy() } else { content };
        let mut coding = if pass || is_block { Coding::Identity } else { declared_coding(&CONTENT_ENCODING)? };
        if let Media::Grpc(payload) = content.media
            && !pass
        {
            if is_block || coding != Coding::Identity || exchange.dialect() != Dialect::Grpc {
                return Err(Failure::Media);
            }
            coding = declared_coding(&grpc::ENCODING)?;
            let limits = self.limits.coding();
            messages = Some(Messages { payload, coding, limits, level: self.compression });
        }
        let job = Job {
            plan,
            content: &content,
            coding,
            messages,
            level: self.compression,
            limits: &self.limits,
            timeouts: &self.timeouts,
            deadline: self.deadline(exchange),
            budget: &self.lasting.budget,
            exchange,
            bound: signed.bound().or_else(|| upload::bound(&parts.headers)),
            digests: &Digests::of(&parts.headers),
            pass: &route.pass,
            media: &route.media,
            formats: route.formats.as_ref(),
        };
        let prepared = body::prepare(&job, incoming, timer).await.map_err(|failure| as_told(failure, route))?;
        // It may have been told to make room just when it was whole.
        exchange.failure().map_or(Ok(prepared), Err)
    }

    fn route(&self, parts: &Parts) -> Result<Arc<Route>, Failure> {
        let host = headers::check(parts, self.limits.head)?;
        let route = self.routes.find(host, parts.uri.path())?;
        if parts.uri.authority().is_some() && route.host.is_none() && parts.version != Version::HTTP_2 {
            // A client that takes us for its forward proxy.
            return Err(Failure::Target);
        }
        Ok(Arc::clone(route))
    }

    async fn relay(
        &self,
        mut response: Response<Incoming>,
        driver: Driver,
        is_head: bool,
        (route, plan): (&Route, &Arc<Plan>),
        exchange: &Arc<Exchange>,
    ) -> Result<Response<ResponseBody>, Failure> {
        if response.status().is_informational() {
            // An upgrade that nobody asked for.
            return Err(Failure::UpstreamBroke);
        }
        let has_body = !is_head && !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        headers::check_response(response.headers_mut(), has_body)?;
        headers::strip_hop_by_hop(response.headers_mut());
        let redaction = match route.responses {
            true => self.redaction(&mut response, is_head, route, plan, exchange)?,
            false => None,
        };
        // A call can be told at its end what was wrong, and its client may wait
        // for the head.
        let is_judged = redaction.is_some() && exchange.dialect() != Dialect::Grpc;
        let (idle, deadline) = (self.timeouts.response_idle, self.deadline(exchange));
        let mut response = relay::relay(response, driver, redaction, idle, deadline, exchange);
        *response.version_mut() = Version::HTTP_11;
        if is_judged
            && let Some(length) = response.body_mut().redact_ahead(self.limits.buffer, &self.lasting.budget).await?
        {
            response.headers_mut().insert(CONTENT_LENGTH, length.into());
        }
        Ok(response)
    }

    /// What redacts the response, if it has a body that does not pass; its head
    /// is made true for what comes of it.
    fn redaction(
        &self,
        response: &mut Response<Incoming>,
        is_head: bool,
        route: &Route,
        plan: &Arc<Plan>,
        exchange: &Arc<Exchange>,
    ) -> Result<Option<Redaction>, Failure> {
        let (limits, budget) = (&self.limits, &self.lasting.budget);
        let rules = response::Rules { plan, pass: &route.pass, media: &route.media, limits, budget, exchange };
        let has_body = !response.body().is_end_stream();
        if has_body && response.status() == StatusCode::PARTIAL_CONTENT {
            // Nobody asked for it: what it begins in the middle of is not known.
            return Err(Failure::ResponseUnsupported);
        }
        let redaction = if has_body { Redaction::new(&rules, response.headers())? } else { None };
        // What a HEAD tells, and a 304, is of the body that a GET would get.
        let is_told = !has_body && (is_head || response.status() == StatusCode::NOT_MODIFIED);
        if redaction.is_some() || (is_told && !response::passes(&rules, response.headers())) {
            headers::rewrite_redacted(response.headers_mut());
        }
        if exchange.dialect() == Dialect::Grpc {
            grpc::redact_end(response.headers_mut(), plan, exchange)?;
        }
        Ok(redaction)
    }
}

/// The protocol that a client asks to speak from now on, if its route lets it.
fn upgrade(parts: &Parts, route: &Route, incoming: Option<&Incoming>) -> Result<Option<String>, Failure> {
    let upgrade = headers::upgrade(parts)?;
    let has_body = incoming.is_some_and(|body| !body.is_end_stream());
    let may_be = |protocol: &String| route.upgrades.contains(protocol) && !has_body;
    if upgrade.as_ref().is_none_or(may_be) { Ok(upgrade) } else { Err(Failure::Upgrade) }
}

/// Sends a request in the way that it wants, and waits for the response's head.
async fn send(
    route: &Route,
    mut request: Request<RedactedBody>,
    target: PathAndQuery,
    upgrade: Option<&str>,
    exchange: &Arc<Exchange>,
    timer: &mut Timer,
) -> Result<Asked, Failure> {
    let answered = |(response, driver)| Asked::Answered(response, driver);
    let is_call = exchange.dialect() == Dialect::Grpc;
    if is_call || (route.upstream.http2 && upgrade.is_none()) {
        *request.uri_mut() = route.upstream.uri(target)?;
        *request.version_mut() = Version::HTTP_2;
        // It is in the URI.
        request.headers_mut().remove(HOST);
        if is_call {
            headers::rewrite_call(request.headers_mut());
        }
        if is_call && route.responses {
            grpc::ask_for_redactable(request.headers_mut());
        }
        return route.upstream.send_http2(request, exchange, timer).await.map(answered);
    }
    *request.uri_mut() = target.into();
    *request.version_mut() = Version::HTTP_11;
    let Some(protocol) = upgrade else {
        return route.upstream.send(request, exchange, timer).await.map(answered);
    };
    headers::put_upgrade(request.headers_mut(), protocol)?;
    route.upstream.ask(request, exchange, timer).await
}

fn content_type(parts: &Parts) -> ContentType {
    headers::content_type(&parts.headers).sent_to(parts.uri.path())
}

/// The type of a body by what the route's protocol pack says tells it.
fn named_type(formats: &NamedFormats, parts: &Parts, declared: ContentType) -> Result<ContentType, Failure> {
    let header = |name: &str| parts.headers.get(name).map(HeaderValue::as_bytes);
    let named = content::named_type(formats, parts.uri.query().unwrap_or_default(), header, declared);
    named.map_err(|_| Failure::Format)
}

/// Where requests name their format, a refusal says which ones are read.
fn as_told(failure: Failure, route: &Route) -> Failure {
    match failure {
        Failure::Media if route.formats.is_some() => Failure::Format,
        other => other,
    }
}

fn dialect(parts: &Parts) -> Dialect {
    match parts.version {
        Version::HTTP_2 if content_type(parts).is_grpc() => Dialect::Grpc,
        Version::HTTP_2 => Dialect::Http2,
        _ => Dialect::Http1,
    }
}

/// Reads the rest of a refused body, within bounds. Whether the client's
/// connection cannot be used again. A client that waits for `100 Continue` is
/// not asked for a body that nobody wants.
async fn drain(incoming: Option<Incoming>, waits: bool) -> bool {
    let Some(mut incoming) = incoming.filter(|body| !body.is_end_stream()) else {
        return false;
    };
    if waits {
        return true;
    }
    let reading = async {
        let mut left = DRAIN_BYTES;
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(DRAIN_IDLE, incoming.frame()).await {
            let bytes = frame.data_ref().map_or(0, bytes::Bytes::len);
            match left.checked_sub(bytes) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // Out of time or not, the connection is closed after the answer.
    let _ = tokio::time::timeout(DRAIN_TIME, reading).await;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flags, Sources};
    use crate::rule::Ruleset;

    fn proxy() -> Proxy {
        let flags = Flags { upstream: Some("http://127.0.0.1:1".to_owned()), ..Flags::default() };
        let config = Config::load(&Sources { flags, ..Sources::default() });
        let engine = Engine::compile(Arc::new(Ruleset::builtin().unwrap())).unwrap();
        Proxy::new(&config.unwrap(), &Arc::new(engine), Arc::new(Metrics::new())).unwrap()
    }

    #[tokio::test]
    async fn a_panic_is_answered_and_the_process_stays() {
        let proxy = proxy();
        let exchange = Exchange::begin(proxy.lasting.ids.next(), &Method::POST, &proxy.lasting.metrics);
        let panicking = pin!(async { panic!("jane.doe@example.com") });
        let result: Result<(), Failure> = proxy.guard(panicking, &exchange).await;
        assert_eq!(result, Err(Failure::Panic));
        assert_eq!(Failure::Panic.status().as_u16(), 503);
    }
}
