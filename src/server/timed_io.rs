//! A client's stream with a time-out for each phase of its connection.
//!
//! hyper's own header time-out cannot tell an idle kept connection, which may
//! wait long, from a head that trickles in, which may not.

use crate::proxy::{IdleTimer, Pace, Reader, Timer, Tunnel};
use bytes::Bytes;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

/// What a connection is doing; shared by its stream and its service.
///
/// It is busy while an exchange of it is not over, which may be after its
/// response: the client may have more of the request's body to send. An
/// exchange may end elsewhere, and after the next one has begun, so they are
/// counted.
#[derive(Debug, Default)]
pub(super) struct Phase {
    exchanges: AtomicU32,
    /// Whether bytes have come since the last exchange.
    head: AtomicBool,
    /// Counts the changes, so that none goes unseen.
    changes: AtomicU32,
    /// Told when an exchange is over.
    ended: Notify,
    lingers: AtomicBool,
    /// Whether several exchanges share the connection, whose reads somebody else
    /// times.
    shared: AtomicBool,
    /// For one request after the other.
    timer: Mutex<Timer>,
    /// To where the connection leads once it is not HTTP's any more.
    tunnel: Mutex<Option<Tunnel>>,
    lacks_tls: bool,
    /// Which time was over, if one was.
    over: OnceLock<Over>,
    /// The client, as one that reads.
    reader: Arc<Reader>,
}

/// The time-out that closes a connection: a label of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    /// A head did not end.
    Head,
    /// No request came.
    KeepAlive,
    /// The client took nothing of a response.
    Write,
    /// The client took too little of it.
    WriteRate,
    /// The client of HTTP/2 did not answer when it was asked whether it is there.
    Ping,
}

impl Over {
    pub(super) const ALL: [Self; 5] = [Self::Head, Self::KeepAlive, Self::Write, Self::WriteRate, Self::Ping];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Head => "head_timeout",
            Self::KeepAlive => "keep_alive_timeout",
            Self::Write => "write_timeout",
            Self::WriteRate => "write_too_slow",
            Self::Ping => "ping_timeout",
        }
    }
}

/// What reads are timed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Now {
    Idle,
    Head,
    Busy,
}

/// Keeps a connection busy until it is dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<Phase>);

impl Busy {
    /// A request's head is complete: the proxy has its own time-outs.
    pub(super) fn begin(phase: &Arc<Phase>) -> Self {
        phase.head.store(false, Ordering::Relaxed);
        phase.exchanges.fetch_add(1, Ordering::AcqRel);
        phase.changes.fetch_add(1, Ordering::Release);
        Self(Arc::clone(phase))
    }
}

impl Drop for Busy {
    /// The next request may take its time to come.
    fn drop(&mut self) {
        self.0.exchanges.fetch_sub(1, Ordering::AcqRel);
        self.0.changes.fetch_add(1, Ordering::Release);
        self.0.ended.notify_one();
    }
}

impl Phase {
    /// Of a new connection, which may lack the TLS that it should have.
    pub(super) fn new(lacks_tls: bool) -> Self {
        Self { lacks_tls, ..Self::default() }
    }

    /// Of a connection whose reads somebody else times.
    pub(super) fn busy() -> Self {
        Self { shared: AtomicBool::new(true), ..Self::default() }
    }

    /// From now on somebody else times the reads.
    pub(super) fn share(&self) {
        self.shared.store(true, Ordering::Release);
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// Whether no exchange is in progress.
    pub(super) fn is_unused(&self) -> bool {
        self.exchanges.load(Ordering::Acquire) == 0
    }

    /// Whether one exchange is in progress, and has the connection for itself.
    fn is_answering(&self) -> bool {
        !self.is_unused() && !self.shared.load(Ordering::Acquire)
    }

    /// Whether nothing has come of the next request.
    pub(super) fn is_idle(&self) -> bool {
        self.now() == Now::Idle
    }

    /// Waits until an exchange is over. The connection has to be polled then:
    /// hyper reads no more after one, until there is something to read, and
    /// without a read the time for the next request does not begin.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// The connection's timer, for a request.
    pub(super) fn take_timer(&self) -> Timer {
        std::mem::take(&mut self.timer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps it for the next request.
    pub(super) fn keep_timer(&self, timer: Timer) {
        *self.timer.lock().unwrap_or_else(PoisonError::into_inner) = timer;
    }

    /// The connection leads there once the response has been written.
    pub(super) fn lead(&self, tunnel: Tunnel) {
        *self.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(tunnel);
    }

    /// Where it leads, if anywhere.
    pub(super) fn leads(&self) -> Option<Tunnel> {
        self.tunnel.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The client may still be sending what nobody will read.
    pub(super) fn linger(&self) {
        self.lingers.store(true, Ordering::Relaxed);
    }

    /// Time is over; the first counts.
    pub(super) fn time_out(&self, over: Over) {
        let _ = self.over.set(over);
    }

    /// Which time was over, if one was.
    pub(super) fn timed_out(&self) -> Option<Over> {
        self.over.get().copied()
    }

    /// The client, as one that reads.
    pub(super) fn reader(&self) -> Arc<Reader> {
        Arc::clone(&self.reader)
    }

    /// Whether its requests are refused for that.
    pub(super) fn lacks_tls(&self) -> bool {
        self.lacks_tls
    }

    pub(super) fn lingers(&self) -> bool {
        self.lingers.load(Ordering::Relaxed)
    }

    fn now(&self) -> Now {
        if !self.is_unused() || self.shared.load(Ordering::Acquire) {
            return Now::Busy;
        }
        if self.head.load(Ordering::Relaxed) { Now::Head } else { Now::Idle }
    }

    fn bytes_came(&self) {
        // Bytes while busy are the body's.
        if self.now() == Now::Idle {
            self.head.store(true, Ordering::Relaxed);
            self.changes.fetch_add(1, Ordering::Release);
        }
    }
}

/// How long each phase may last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Periods {
    /// Until a request's first byte.
    pub(super) idle: Duration,
    /// From there to the end of its head.
    pub(super) head: Duration,
    /// Until the client takes more of a response.
    pub(super) write: Duration,
    /// Bytes a second that it has to take.
    pub(super) rate: u64,
}

/// Bytes that a read takes at most: hyper grows its buffer when one fills it, up
/// to twice the largest head, and keeps that while a client is slow.
const LARGEST_READ: u64 = 32 * 1024 - 1;

/// Tells of a reset that nobody reads to.
pub(super) trait Resets {
    /// Ready when the other side has reset the connection.
    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<io::Error>;
}

impl Resets for TcpStream {
    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match self.poll_peek(cx, &mut ReadBuf::new(&mut [0])) {
            Poll::Ready(Err(error)) => Poll::Ready(error),
            // Bytes are for later, and an end is no reset.
            _ => Poll::Pending,
        }
    }
}

impl Resets for Either<TcpStream, Box<TlsStream<TcpStream>>> {
    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match self {
            Self::Left(stream) => stream.poll_reset(cx),
            Self::Right(stream) => stream.get_ref().0.poll_reset(cx),
        }
    }
}

/// A stream whose reads and writes fail when they take too long.
pub(super) struct TimedIo<S> {
    stream: Take<S>,
    /// Read before, and to be read again.
    ahead: Bytes,
    phase: Arc<Phase>,
    periods: Periods,
    reading: IdleTimer,
    /// The count of changes for which `reading` was started.
    timed: u32,
    writing: IdleTimer,
}

impl<S: AsyncRead> TimedIo<S> {
    pub(super) fn new(stream: S, phase: Arc<Phase>, periods: Periods) -> Self {
        Self {
            stream: stream.take(LARGEST_READ),
            ahead: Bytes::new(),
            phase,
            periods,
            reading: IdleTimer::new(periods.idle),
            timed: 0,
            writing: IdleTimer::paced(Pace::new(periods.write, periods.rate)),
        }
    }

    /// Has these bytes read next.
    pub(super) fn put_back(&mut self, bytes: Bytes) {
        self.ahead = bytes;
    }

    fn poll_read_too_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // In this order: a change in between is seen with the next read, which
        // its notification brings about.
        let changes = self.phase.changes.load(Ordering::Acquire);
        let now = self.phase.now();
        if changes != self.timed {
            self.timed = changes;
            self.reading.restart(match now {
                Now::Head => self.periods.head,
                _ => self.periods.idle,
            });
        }
        if now == Now::Busy {
            return Poll::Pending;
        }
        ready!(self.reading.poll_wait(cx));
        self.phase.time_out(if now == Now::Head { Over::Head } else { Over::KeepAlive });
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// `bytes` tells how many were taken.
    fn time_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
        bytes: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = &polled {
            self.writing.advance(written.as_ref().map_or(0, bytes));
            return polled;
        }
        ready!(self.writing.poll_wait(cx));
        let is_slow = self.writing.is_slow();
        self.phase.time_out(if is_slow { Over::WriteRate } else { Over::Write });
        self.phase.reader.give_up(is_slow);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedIo<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // What was put back comes together with what else is there: hyper doubles its
        // buffer, and keeps it so, when the first bytes of a head come by themselves.
        let put_back = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead.split_to(put_back));
        if put_back > 0 && buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        self.stream.set_limit(LARGEST_READ);
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
            Poll::Pending if put_back > 0 => Poll::Ready(Ok(())),
            Poll::Pending => self.poll_read_too_late(cx),
            ready => {
                if buf.filled().len() > before {
                    self.phase.bytes_came();
                }
                ready
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Resets + Unpin> AsyncWrite for TimedIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(self.stream.get_mut()).poll_write(cx, buf);
        self.time_write(cx, polled, |&taken| taken)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // While a request is answered, hyper reads nothing that comes behind it; so a
        // client may end its side and wait, and one that has gone is looked for here.
        if self.phase.is_answering()
            && let Poll::Ready(error) = self.stream.get_ref().poll_reset(cx)
        {
            return Poll::Ready(Err(error));
        }
        let polled = Pin::new(self.stream.get_mut()).poll_flush(cx);
        self.time_write(cx, polled, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(self.stream.get_mut()).poll_shutdown(cx);
        self.time_write(cx, polled, |()| 0)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(self.stream.get_mut()).poll_write_vectored(cx, bufs);
        self.time_write(cx, polled, |&taken| taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    /// Takes what is written, as TLS does, and never gets rid of it.
    struct Stuck;

    impl AsyncRead for Stuck {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Stuck {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl Resets for Stuck {
        fn poll_reset(&self, _: &mut Context<'_>) -> Poll<io::Error> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn what_was_put_back_is_read_together_with_what_is_there() {
        let hour = Duration::from_secs(3600);
        let periods = Periods { idle: hour, head: hour, write: hour, rate: 0 };
        let mut io = TimedIo::new(&b" / HTTP/1.1\r\n\r\n"[..], Arc::new(Phase::default()), periods);
        io.put_back(Bytes::from_static(b"GET"));
        let mut buffer = [0; 64];
        let read = io.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..read], b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(io.read(&mut buffer).await.unwrap(), 0);
    }

    /// Takes a byte now and then.
    struct Dribbling(Pin<Box<tokio::time::Sleep>>);

    impl AsyncRead for Dribbling {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Dribbling {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            ready!(self.0.as_mut().poll(cx));
            self.0 = Box::pin(tokio::time::sleep(Duration::from_millis(1)));
            Poll::Ready(Ok(buf.len().min(1)))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    impl Resets for Dribbling {
        fn poll_reset(&self, _: &mut Context<'_>) -> Poll<io::Error> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn who_takes_a_byte_now_and_then_is_out_of_time() {
        let hour = Duration::from_secs(3600);
        let write = Duration::from_millis(200);
        for (rate, is_cut) in [(1_000_000, true), (0, false)] {
            let periods = Periods { idle: hour, head: hour, write, rate };
            let dribbling = Dribbling(Box::pin(tokio::time::sleep(Duration::ZERO)));
            let mut io = TimedIo::new(dribbling, Arc::new(Phase::default()), periods);
            let started = std::time::Instant::now();
            let written = io.write_all(&[0; 400]).await;
            assert_eq!(written.is_err(), is_cut, "{rate} {:?}", started.elapsed());
            assert!(started.elapsed() >= write);
        }
    }

    #[tokio::test]
    async fn what_was_taken_and_never_leaves_is_a_time_out() {
        let hour = Duration::from_secs(3600);
        let periods = Periods { idle: hour, head: hour, write: Duration::from_millis(10), rate: 0 };
        let mut io = TimedIo::new(Stuck, Arc::new(Phase::default()), periods);
        let patience = Duration::from_secs(20);
        io.write_all(b"a response").await.unwrap();
        let flushed = tokio::time::timeout(patience, io.flush()).await.expect("in time");
        assert_eq!(flushed.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let closed = tokio::time::timeout(patience, io.shutdown()).await.expect("in time");
        assert_eq!(closed.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
