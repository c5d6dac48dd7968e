//! HTTP/2 connections to one upstream, each shared by many calls.
//!
//! A connection takes calls until it has as many as it may; then another one is
//! opened, by one task for all who wait. Its own task drives it, and closes it
//! when nobody has used it for a while.

use super::connect::{Connector, Protocol, Stream};
use crate::causes::Causes;
use crate::proxy::body::RedactedBody;
use crate::proxy::respond::Failure;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::{Builder, Connection, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioExecutor;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Calls on one connection, if the upstream lets as many.
const MOST_CALLS: usize = 100;
/// What an upstream may send of one response before the client takes it.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same of all responses on one connection: clients that take nothing must
/// not stop those of others.
const CONNECTION_WINDOW: u32 = 100 * STREAM_WINDOW;
const _: () = assert!(CONNECTION_WINDOW as usize == MOST_CALLS * STREAM_WINDOW as usize);
/// What waits to be written of one request.
const SEND_BUFFER: usize = 64 * 1024;
/// Bytes of a response's head.
const LARGEST_HEAD: u32 = 64 * 1024;

/// How long a call without an answer may take before later ones go elsewhere.
const SUSPECT: Duration = Duration::from_secs(1);

/// The connections of one upstream.
pub(super) struct SharedPool {
    state: Mutex<State>,
    connector: Arc<Connector>,
    keep_alive: Duration,
    max_age: Duration,
}

#[derive(Default)]
struct State {
    open: Vec<Shared>,
    /// Told once the next one is there, or why it is not.
    opening: Option<watch::Receiver<Option<Opened>>>,
}

/// The use of the new connection, for who wants to know whether it lasts.
type Opened = Result<Shared, Lack>;

/// Why there is no place.
#[derive(Clone, Debug)]
pub(super) struct Lack {
    /// What it is for a request.
    pub(super) failure: Failure,
    /// For the log.
    pub(super) cause: Arc<str>,
}

#[derive(Clone)]
struct Shared {
    requests: SendRequest<RedactedBody>,
    usage: Arc<Usage>,
}

/// What a connection is used for.
struct Usage {
    calls: AtomicUsize,
    /// How many there may be.
    most: AtomicUsize,
    /// Counts all calls so far.
    begun: AtomicU64,
    /// Told when a call ends.
    ended: Notify,
}

/// A call's place on a connection.
pub(super) struct Place {
    shared: Shared,
    pool: Weak<SharedPool>,
    begun: Instant,
    answered: bool,
}

impl Lack {
    fn new(failure: Failure, cause: &str) -> Self {
        Self { failure, cause: cause.into() }
    }
}

impl SharedPool {
    pub(super) fn new(connector: Arc<Connector>, keep_alive: Duration, max_age: Duration) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), connector, keep_alive, max_age })
    }

    /// A place on an open connection, or on a new one.
    pub(super) async fn place(self: &Arc<Self>) -> Result<Place, Lack> {
        loop {
            let mut opening = match self.take_or_open() {
                Ok(place) => return Ok(place),
                Err(opening) => opening,
            };
            // The task tells in any case, unless it panics.
            let opened = opening.wait_for(Option::is_some).await.ok().and_then(|opened| opened.clone());
            let opened = opened.unwrap_or_else(|| Err(Lack::new(Failure::UpstreamUnreachable, "not opened")))?;
            if opened.requests.is_closed() {
                return Err(Lack::new(Failure::UpstreamBroke, "the connection ended at once; does it speak HTTP/2?"));
            }
            // Others may have taken all of it.
        }
    }

    fn take_or_open(self: &Arc<Self>) -> Result<Place, watch::Receiver<Option<Opened>>> {
        let mut state = self.state();
        state.open.retain(|shared| !shared.requests.is_closed());
        if let Some(shared) = state.open.iter().find(|shared| shared.usage.begin()) {
            let (shared, pool) = (shared.clone(), Arc::downgrade(self));
            return Ok(Place { shared, pool, begun: Instant::now(), answered: false });
        }
        if let Some(opening) = &state.opening {
            return Err(opening.clone());
        }
        let (told, opening) = watch::channel(None);
        state.opening = Some(opening.clone());
        let pool = Arc::clone(self);
        tokio::spawn(async move {
            let opened = pool.open().await;
            let mut state = pool.state();
            state.opening = None;
            state.open.extend(opened.iter().cloned());
            drop(state);
            told.send_replace(Some(opened));
        });
        Err(opening)
    }

    async fn open(self: &Arc<Self>) -> Opened {
        let connected = self.connector.connect(Protocol::Http2).await;
        let stream = connected.map_err(|error| Lack::new(error.failure(), &Causes(&error).to_string()))?;
        let shaken = Builder::new(TokioExecutor::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(LARGEST_HEAD)
            .handshake(stream)
            .await;
        let lack = |error: hyper::Error| Lack::new(Failure::UpstreamUnreachable, &Causes(&error).to_string());
        let (requests, io) = shaken.map_err(lack)?;
        let usage = Arc::new(Usage::new());
        tokio::spawn(drive(Box::pin(io), Arc::clone(&usage), Arc::downgrade(self), (self.keep_alive, self.max_age)));
        Ok(Shared { requests, usage })
    }

    /// No new calls go there; those that have begun go on.
    fn retire(&self, usage: &Arc<Usage>) {
        self.state().open.retain(|shared| !Arc::ptr_eq(&shared.usage, usage));
    }

    /// The same, if nobody has come meanwhile.
    fn retire_unused(&self, usage: &Arc<Usage>) -> bool {
        let mut state = self.state();
        let is_unused = usage.calls.load(Ordering::Acquire) == 0;
        if is_unused {
            state.open.retain(|shared| !Arc::ptr_eq(&shared.usage, usage));
        }
        is_unused
    }

    /// A panic elsewhere leaves whole connections behind.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Sends a request and waits for the response's head.
    pub(super) fn send(
        &self,
        request: Request<RedactedBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RedactedBody>>>> + use<> {
        self.shared.requests.clone().try_send_request(request)
    }

    /// The head of the response has come.
    pub(super) fn answered(&mut self) {
        self.answered = true;
    }

    /// Something is wrong with the connection.
    pub(super) fn retire(&self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.retire(&self.shared.usage);
        }
    }
}

impl Drop for Place {
    /// Where nobody answered before the client, or we, gave up, nobody may be
    /// there any more, and on such a connection TCP waits for a quarter of an
    /// hour. Pings would tell, but some servers close on who sends them.
    fn drop(&mut self) {
        if !self.answered && self.begun.elapsed() >= SUSPECT {
            self.retire();
        }
        self.shared.usage.calls.fetch_sub(1, Ordering::AcqRel);
        self.shared.usage.ended.notify_one();
    }
}

impl Usage {
    const fn new() -> Self {
        Self {
            calls: AtomicUsize::new(0),
            most: AtomicUsize::new(MOST_CALLS),
            begun: AtomicU64::new(0),
            ended: Notify::const_new(),
        }
    }

    /// Whether there is a place, which is taken then. Only under the pool's lock.
    fn begin(&self) -> bool {
        let is_free = self.calls.load(Ordering::Acquire) < self.most.load(Ordering::Relaxed).max(1);
        if is_free {
            self.calls.fetch_add(1, Ordering::AcqRel);
            self.begun.fetch_add(1, Ordering::AcqRel);
        }
        is_free
    }

    /// Waits until nobody has used it for `period`.
    async fn unused(&self, period: Duration) {
        loop {
            let begun = self.begun.load(Ordering::Acquire);
            if self.calls.load(Ordering::Acquire) > 0 {
                self.ended.notified().await;
                continue;
            }
            tokio::time::sleep(period).await;
            if self.begun.load(Ordering::Acquire) == begun {
                return;
            }
        }
    }
}

type Io = Pin<Box<Connection<Stream, RedactedBody, TokioExecutor>>>;

/// Reads and writes until the connection ends.
async fn drive(mut io: Io, usage: Arc<Usage>, pool: Weak<SharedPool>, (keep_alive, max_age): (Duration, Duration)) {
    let old = tokio::time::sleep(max_age);
    let mut old = std::pin::pin!(old);
    let (mut is_used, mut is_young) = (true, true);
    let result = loop {
        let driving = poll_fn(|cx| {
            let polled = io.as_mut().poll(cx);
            if polled.is_pending() {
                // The upstream may have said otherwise by now.
                usage.most.store(io.current_max_send_streams().min(MOST_CALLS), Ordering::Relaxed);
            }
            polled
        });
        tokio::select! {
            result = driving => break result,
            () = usage.unused(keep_alive), if is_used => {
                // With the last sender gone it ends by itself.
                is_used = pool.upgrade().is_some_and(|pool| !pool.retire_unused(&usage));
            }
            // A request that has its answer and hangs in the upstream's window, which
            // nobody waits for, would keep it open.
            () = usage.unused(keep_alive), if !is_used => break Ok(()),
            () = &mut old, if is_young => {
                is_young = false;
                if let Some(pool) = pool.upgrade() {
                    pool.retire(&usage);
                }
            }
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = %Causes(&error), "an upstream connection broke");
    }
    if let Some(pool) = pool.upgrade() {
        pool.retire(&usage);
    }
}
