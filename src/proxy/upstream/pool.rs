//! Connections to one upstream, kept for later requests.
//!
//! A connection has no task of its own unless a body streams: the request that
//! uses it drives it, so that nothing has to be woken or handed over between
//! tasks for a small one. One that is kept has no task either: whatever wakes
//! it takes it out, and a task finds out whether anything is wrong with it (the
//! upstream has closed it, or has sent what nobody asked for) or whether it can
//! be kept on.

use super::connect::Stream;
use super::socket::Socket;
use super::unflushed::{Outgoing, Unflushed};
use crate::proxy::body::RedactedBody;
use crate::proxy::exchange::Exchange;
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
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

/// Kept for less than this, a connection is used without a look at its socket:
/// under load, where looks add up, the next request comes sooner.
const FRESH: Duration = Duration::from_millis(1);

/// Bytes that hyper reads or writes at a time, for each connection; response
/// heads must fit too.
const BUFFER: usize = 64 * 1024;

/// The connections of one upstream that wait for a request.
pub(super) struct Pool {
    /// The one that was used last is last.
    kept: Mutex<VecDeque<Kept>>,
    /// Told for each that comes to be kept.
    arrived: Notify,
    keep_alive: Duration,
    /// After which a connection is not used again: the name may have another
    /// address by then.
    max_age: Duration,
    swept: AtomicBool,
}

struct Kept {
    /// When it was last used.
    since: Instant,
    connection: UpstreamConnection,
}

impl Pool {
    pub(super) fn new(keep_alive: Duration, max_age: Duration) -> Arc<Self> {
        let (kept, arrived, swept) = (Mutex::default(), Notify::new(), AtomicBool::new(false));
        Arc::new(Self { kept, arrived, keep_alive, max_age, swept })
    }

    /// The connection that was used last, of those that are good still.
    pub(super) fn take(&self) -> Option<UpstreamConnection> {
        loop {
            let kept = self.kept().pop_back()?;
            let is_fresh = kept.since.elapsed() < FRESH;
            let connection = kept.take();
            if connection.opened.elapsed() >= self.max_age {
                connection.close();
            } else if is_fresh || connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// The next connection that is kept.
    pub(super) async fn wait(&self) -> UpstreamConnection {
        loop {
            // A connection that comes after the look is not missed.
            let arrived = self.arrived.notified();
            if let Some(connection) = self.take() {
                return connection;
            }
            arrived.await;
        }
    }

    /// A new connection on `stream`.
    pub(super) async fn open(self: &Arc<Self>, stream: Stream) -> hyper::Result<UpstreamConnection> {
        if !self.swept.swap(true, Ordering::Relaxed) {
            tokio::spawn(sweep(Arc::downgrade(self), self.keep_alive));
        }
        // Without one, what the runtime knows has to do.
        let socket = stream.socket().ok();
        let unflushed = Arc::clone(stream.unflushed());
        let (requests, io) = http1::Builder::new().max_buf_size(BUFFER).handshake(stream).await?;
        let watch = Arc::new(Watch {
            pool: Arc::downgrade(self),
            runtime: Handle::current(),
            kept: AtomicBool::new(false),
            stirred: AtomicBool::new(false),
        });
        Ok(UpstreamConnection { requests, io: Some(Box::new(io)), unflushed, watch, socket, opened: Instant::now() })
    }

    /// Keeps a connection that was used until `since`, if it can be used again.
    fn keep(self: &Arc<Self>, mut connection: UpstreamConnection, since: Instant) {
        let watch = Arc::clone(&connection.watch);
        watch.stirred.store(false, Ordering::Release);
        watch.kept.store(true, Ordering::Release);
        let waker = Waker::from(Arc::clone(&watch));
        // A task that has done much would be told to come again, and the watch
        // with it.
        let driving = pin!(unconstrained(poll_fn(|cx| connection.poll_drive(cx))));
        let over = driving.poll(&mut Context::from_waker(&waker)).is_ready();
        if !over && connection.is_idle() && connection.opened.elapsed() >= self.max_age {
            watch.kept.store(false, Ordering::Release);
            return connection.close();
        }
        if !over && connection.is_idle() {
            return self.put(Kept { since, connection });
        }
        watch.kept.store(false, Ordering::Release);
        if !over {
            connection.detach();
        }
    }

    fn put(self: &Arc<Self>, new: Kept) {
        let watch = Arc::clone(&new.connection.watch);
        let mut kept = self.kept();
        // At the end, unless it was only looked at.
        let place = kept.partition_point(|kept| kept.since <= new.since);
        kept.insert(place, new);
        drop(kept);
        if watch.stirred.load(Ordering::Acquire) {
            // Before it was there to be taken out.
            self.look_at(&watch);
        } else {
            self.arrived.notify_one();
        }
    }

    /// Takes a kept connection out, and keeps it again if nothing is wrong.
    fn look_at(self: &Arc<Self>, watch: &Arc<Watch>) {
        let mut kept = self.kept();
        let place = kept.iter().position(|kept| Arc::ptr_eq(&kept.connection.watch, watch));
        let Some(Kept { since, connection }) = place.and_then(|place| kept.remove(place)) else { return };
        drop(kept);
        let pool = Arc::clone(self);
        watch.runtime.spawn(async move { pool.keep(connection, since) });
    }

    /// Closes what has waited too long, and tells when to look again.
    fn sweep(&self) -> Instant {
        let now = Instant::now();
        let mut kept = self.kept();
        let late = kept.iter().take_while(|kept| kept.since + self.keep_alive <= now).count();
        let late: Vec<Kept> = kept.drain(..late).collect();
        let next = kept.front().map_or(now, |kept| kept.since) + self.keep_alive;
        drop(kept);
        late.into_iter().for_each(|kept| kept.take().close());
        next
    }

    /// A panic elsewhere leaves whole connections behind.
    fn kept(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let kept = std::mem::take(&mut *self.kept());
        kept.into_iter().for_each(|kept| kept.take().close());
    }
}

impl Kept {
    /// Nobody watches it any more.
    fn take(self) -> UpstreamConnection {
        self.connection.watch.kept.store(false, Ordering::Release);
        self.connection
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
    /// What wakes it may be no thread of the runtime.
    runtime: Handle,
    /// Whether the connection is kept, or about to be. Its wakers go on waking
    /// this one until a request has polled it.
    kept: AtomicBool,
    /// Whether it was woken since it is.
    stirred: AtomicBool,
}

impl Wake for Watch {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.kept.load(Ordering::Acquire) {
            return;
        }
        self.stirred.store(true, Ordering::Release);
        if let Some(pool) = self.pool.upgrade() {
            pool.look_at(self);
        }
    }
}

/// One connection to an upstream. Closed when dropped.
pub(super) struct UpstreamConnection {
    requests: SendRequest<Outgoing>,
    /// `None` once it is over.
    io: Option<Box<http1::Connection<Stream, Outgoing>>>,
    unflushed: Arc<Unflushed>,
    watch: Arc<Watch>,
    socket: Option<Socket>,
    opened: Instant,
}

/// Why there is no response; with the request when nothing of it was written.
pub(super) struct SendError {
    pub(super) error: hyper::Error,
    pub(super) unsent: Option<Request<RedactedBody>>,
}

impl From<TrySendError<Request<Outgoing>>> for SendError {
    fn from(mut error: TrySendError<Request<Outgoing>>) -> Self {
        let unsent = error.take_message().map(|request| request.map(Outgoing::take_back));
        Self { error: error.into_error(), unsent }
    }
}

impl UpstreamConnection {
    /// Sends a request and waits for the response's head.
    pub(super) async fn send(
        &mut self,
        request: Request<RedactedBody>,
        exchange: &Arc<Exchange>,
    ) -> Result<Response<Incoming>, SendError> {
        let response = self.requests.try_send_request(self.outgoing(request, exchange));
        Ok(self.drive_while(response).await?)
    }

    /// As [`UpstreamConnection::send`], on a task of its own: a large body is
    /// read here while what came before is redacted and written there.
    pub(super) async fn send_apart(
        mut self,
        request: Request<RedactedBody>,
        exchange: &Arc<Exchange>,
    ) -> Result<Response<Incoming>, SendError> {
        let response = self.requests.try_send_request(self.outgoing(request, exchange));
        self.detach();
        Ok(response.await?)
    }

    fn outgoing(&self, request: Request<RedactedBody>, exchange: &Arc<Exchange>) -> Request<Outgoing> {
        request.map(|body| Outgoing::new(body, exchange, &self.unflushed))
    }

    /// Reads and writes while `work` waits for that.
    pub(super) async fn drive_while<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            // What is not over is polled again when there is more to do.
            let _ = self.poll_drive(cx);
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Reads and writes what can be. Ready when the connection is over.
    pub(super) fn poll_drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let flushed = self.unflushed.is_empty();
        let polled = self.poll_io(cx);
        if !flushed && self.unflushed.is_empty() {
            // hyper asks for the next request only where it has flushed before.
            return self.poll_io(cx);
        }
        polled
    }

    fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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

    /// Whether the upstream has said nothing since.
    fn is_quiet(&self) -> bool {
        self.socket.as_ref().is_none_or(Socket::is_quiet)
    }

    /// Whether all of the request has left and all of the response has come.
    fn is_idle(&self) -> bool {
        self.requests.is_ready() && self.unflushed.is_empty()
    }

    /// From now on driven by a task of its own, and kept in the end.
    pub(super) fn detach(mut self) {
        let runtime = self.watch.runtime.clone();
        runtime.spawn(async move {
            poll_fn(|cx| match self.poll_drive(cx) {
                Poll::Pending if !self.is_idle() => Poll::Pending,
                _ => Poll::Ready(()),
            })
            .await;
            self.keep();
        });
    }

    /// The response has ended: keeps the connection, if it can be used again.
    pub(super) fn keep(self) {
        if let Some(pool) = self.watch.pool.upgrade() {
            pool.keep(self, Instant::now());
        }
    }

    /// Closes a connection that is kept, and tells the upstream, which over TLS
    /// would take it for a break. Nothing was written that could keep that from
    /// leaving at once; if it does not, nothing is lost.
    fn close(self) {
        let Self { requests, io, watch, socket, .. } = self;
        let _runtime = watch.runtime.enter();
        drop(requests);
        if let Some(mut io) = io {
            let closing = pin!(unconstrained(poll_fn(|cx| Pin::new(&mut io).poll(cx))));
            let _: Poll<hyper::Result<()>> = closing.poll(&mut Context::from_waker(Waker::noop()));
        }
        drop(socket);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Upstream;
    use super::*;
    use crate::config::{Config, Flags, Sources};
    use crate::metrics::Metrics;
    use crate::proxy::body;
    use crate::proxy::idle::Timer;
    use crate::proxy::request_id::RequestIds;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    const PATIENCE: Duration = Duration::from_secs(20);

    struct Rig {
        upstream: Upstream,
        listener: TcpListener,
    }

    impl Rig {
        async fn start() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let upstream = Some(format!("http://{}", listener.local_addr().unwrap()));
            let flags = Flags { upstream, ..Flags::default() };
            let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
            let metrics = Arc::new(Metrics::new().route("default"));
            Self { upstream: Upstream::new(&config.routes[0], &config.timeouts, &metrics).unwrap(), listener }
        }

        fn pool(&self) -> &Arc<Pool> {
            &self.upstream.pool
        }

        async fn connect(&self) -> (UpstreamConnection, TcpStream) {
            let (connected, accepted) = tokio::join!(self.upstream.connect(false), self.listener.accept());
            let (Ok((connection, false)), Ok((stream, _))) = (connected, accepted) else { panic!("a new connection") };
            (connection, stream)
        }
    }

    async fn until(condition: impl Fn() -> bool) {
        let waiting = async {
            while !condition() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("in time");
    }

    #[tokio::test]
    async fn a_wake_without_a_reason_costs_no_connection_its_place() {
        let rig = Rig::start().await;
        let (one, _stream) = rig.connect().await;
        let (two, _stream) = rig.connect().await;
        one.keep();
        two.keep();
        let ages = || rig.pool().kept().iter().map(|kept| kept.since).collect::<Vec<_>>();
        let before = ages();
        let watch = Arc::clone(&rig.pool().kept()[0].connection.watch);
        watch.wake_by_ref();
        assert_eq!(rig.pool().kept().len(), 1, "it is looked at");
        until(|| rig.pool().kept().len() == 2).await;
        assert_eq!(ages(), before, "it is as old as it was");
    }

    #[tokio::test]
    async fn a_connection_that_ends_while_it_comes_to_be_kept_is_let_go() {
        let rig = Rig::start().await;
        let (connection, stream) = rig.connect().await;
        drop(stream);
        // As `keep` does, but for the look that would see the end.
        let watch = Arc::clone(&connection.watch);
        watch.kept.store(true, Ordering::Release);
        watch.wake_by_ref();
        rig.pool().put(Kept { since: Instant::now(), connection });
        until(|| Arc::strong_count(&watch) == 1).await;
        assert!(rig.pool().take().is_none());
    }

    #[tokio::test]
    async fn a_connection_in_use_stirs_nothing() {
        let rig = Rig::start().await;
        let (connection, _stream) = rig.connect().await;
        connection.keep();
        let connection = rig.pool().take().unwrap();
        let watch = Arc::clone(&connection.watch);
        let (done, told) = std::sync::mpsc::channel();
        // It would wait for the lock.
        let _kept = rig.pool().kept();
        std::thread::spawn(move || {
            watch.wake_by_ref();
            done.send(()).unwrap();
        });
        told.recv_timeout(PATIENCE).unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_has_just_ended_is_not_used() {
        let rig = Rig::start().await;
        for ends in [false, true] {
            let (connection, stream) = rig.connect().await;
            rig.pool().put(Kept { since: Instant::now() - FRESH, connection });
            let kept = (!ends).then_some(stream);
            // The runtime has had no chance to look.
            assert_eq!(rig.pool().take().is_some(), kept.is_some());
        }
    }

    #[tokio::test]
    async fn a_connection_that_is_old_is_not_used() {
        let rig = Rig::start().await;
        for is_old in [false, true] {
            let (mut connection, _stream) = rig.connect().await;
            connection.opened -= rig.pool().max_age - Duration::from_secs(if is_old { 0 } else { 60 });
            rig.pool().put(Kept { since: Instant::now(), connection });
            assert_eq!(rig.pool().take().is_none(), is_old);
        }
        let (mut connection, _stream) = rig.connect().await;
        connection.opened -= rig.pool().max_age;
        connection.keep();
        assert!(rig.pool().kept().is_empty());
    }

    #[tokio::test]
    async fn a_request_that_could_not_be_written_is_sent_elsewhere_and_is_whole_there() {
        let rig = Rig::start().await;
        let (mut connection, stream) = rig.connect().await;
        drop(stream);
        poll_fn(|cx| connection.poll_drive(cx)).await;
        // As if that came a moment later.
        rig.pool().put(Kept { since: Instant::now(), connection });
        let metrics = Arc::new(Metrics::new());
        let exchange = Exchange::begin(RequestIds::new().next(), &hyper::Method::POST, &metrics);
        let serving = async {
            let (mut stream, _) = rig.listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                stream.read_buf(&mut head).await.unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            stream
        };
        let mut timer = Timer::default();
        let sending = rig.upstream.send(Request::new(body::empty().body), &exchange, &mut timer);
        let both = async { tokio::join!(sending, serving) };
        let (sent, _stream) = tokio::time::timeout(PATIENCE, both).await.unwrap();
        let (response, _) = sent.unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(response.status(), 200);
        assert!(!exchange.is_sending());
    }
}
