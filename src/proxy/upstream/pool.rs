//! Connections to one upstream, kept for later requests.
//!
//! A connection has no task of its own unless a body streams: the request that
//! uses it drives it, so that nothing has to be woken or handed over between
//! tasks for a small one. One that is kept waits for one thing only, which is its end: the upstream closes
//! it, or sends what nobody asked for. Whatever wakes it takes it out.

use super::connect::Stream;
use crate::proxy::body::RedactedBody;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

/// Bytes that hyper reads or writes at a time, for each connection; response
/// heads must fit too.
const BUFFER: usize = 64 * 1024;

/// The connections of one upstream that wait for a request.
pub(super) struct Pool {
    /// The one that was used last is last.
    kept: Mutex<VecDeque<Kept>>,
    keep_alive: Duration,
    swept: AtomicBool,
}

struct Kept {
    since: Instant,
    connection: UpstreamConnection,
}

impl Pool {
    pub(super) fn new(keep_alive: Duration) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), keep_alive, swept: AtomicBool::new(false) })
    }

    /// The connection that was used last.
    pub(super) fn take(&self) -> Option<UpstreamConnection> {
        self.kept().pop_back().map(|kept| kept.connection)
    }

    /// A new connection on `stream`.
    pub(super) async fn open(self: &Arc<Self>, stream: Stream) -> hyper::Result<UpstreamConnection> {
        if !self.swept.swap(true, Ordering::Relaxed) {
            tokio::spawn(sweep(Arc::downgrade(self), self.keep_alive));
        }
        let (requests, io) = http1::Builder::new().max_buf_size(BUFFER).handshake(stream).await?;
        let watch = Arc::new(Watch { pool: Arc::downgrade(self), stirred: AtomicBool::new(false) });
        Ok(UpstreamConnection { requests, io: Some(Box::new(io)), watch })
    }

    /// Keeps a connection whose response has ended, if it can be used again.
    fn keep(&self, mut connection: UpstreamConnection) {
        let watch = Arc::clone(&connection.watch);
        watch.stirred.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(&watch));
        // A task that has done much would be told to come again, and the watch
        // with it.
        let driving = pin!(unconstrained(poll_fn(|cx| connection.poll_drive(cx))));
        let over = driving.poll(&mut Context::from_waker(&waker)).is_ready();
        if over || !connection.requests.is_ready() {
            return;
        }
        self.kept().push_back(Kept { since: Instant::now(), connection });
        if watch.stirred.load(Ordering::Acquire) {
            // Before it was there to be taken out.
            self.remove(&watch);
        }
    }

    fn remove(&self, watch: &Arc<Watch>) {
        let mut kept = self.kept();
        let place = kept.iter().position(|kept| Arc::ptr_eq(&kept.connection.watch, watch));
        let removed = place.and_then(|place| kept.remove(place));
        // Closed without the lock: its end wakes the watch.
        drop(kept);
        drop(removed);
    }

    /// Closes what has waited too long, and tells when to look again.
    fn sweep(&self) -> Instant {
        let now = Instant::now();
        let mut kept = self.kept();
        let late = kept.iter().take_while(|kept| kept.since + self.keep_alive <= now).count();
        let late: Vec<Kept> = kept.drain(..late).collect();
        let next = kept.front().map_or(now, |kept| kept.since) + self.keep_alive;
        drop(kept);
        drop(late);
        next
    }

    /// A panic elsewhere leaves whole connections behind.
    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections that nobody has used for `period`, while there is a pool.
async fn sweep(pool: Weak<Pool>, period: Duration) {
    let mut next = Instant::now() + period;
    loop {
        tokio::time::sleep_until(next).await;
        let Some(pool) = pool.upgrade() else { return };
        next = pool.sweep();
    }
}

/// Wakes in place of a task while a connection is kept.
struct Watch {
    pool: Weak<Pool>,
    stirred: AtomicBool,
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.stirred.store(true, Ordering::Release);
        if let Some(pool) = self.pool.upgrade() {
            pool.remove(&self);
        }
    }
}

/// One connection to an upstream. Closed when dropped.
pub(super) struct UpstreamConnection {
    requests: SendRequest<RedactedBody>,
    /// `None` once it is over.
    io: Option<Box<http1::Connection<Stream, RedactedBody>>>,
    watch: Arc<Watch>,
}

impl UpstreamConnection {
    /// Sends a request and waits for the response's head. The error holds the
    /// request when nothing of it was written.
    pub(super) async fn send(
        &mut self,
        request: Request<RedactedBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RedactedBody>>> {
        let response = self.requests.try_send_request(request);
        self.drive_while(response).await
    }

    /// As [`UpstreamConnection::send`], on a task of its own: a large body is
    /// read here while what came before is redacted and written there.
    pub(super) async fn send_apart(
        mut self,
        request: Request<RedactedBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RedactedBody>>> {
        let response = self.requests.try_send_request(request);
        self.detach();
        response.await
    }

    /// Reads and writes while `work` waits for that.
    pub(super) async fn drive_while<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        poll_fn(|cx| {
            // What is not over is polled again when there is more to do.
            let _ = self.poll_drive(cx);
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Reads and writes what can be. Ready when the connection is over.
    pub(super) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(io) = &mut self.io else { return Poll::Ready(()) };
        let polled = Pin::new(io).poll(cx);
        if let Poll::Ready(result) = polled {
            if let Err(error) = result {
                tracing::debug!(%error, "an upstream connection broke");
            }
            // Tells those who still wait for it.
            self.io = None;
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// From now on driven by a task of its own, and kept in the end.
    pub(super) fn detach(mut self) {
        tokio::spawn(async move {
            poll_fn(|cx| match self.poll_drive(cx) {
                Poll::Pending if !self.requests.is_ready() => Poll::Pending,
                _ => Poll::Ready(()),
            })
            .await;
            self.keep();
        });
    }

    /// The response has ended: keeps the connection, if it can be used again.
    pub(super) fn keep(self) {
        if let Some(pool) = self.watch.pool.upgrade() {
            pool.keep(self);
        }
    }
}
