//! A client's stream with a time-out for each phase of its connection.
//!
//! hyper's own header time-out cannot tell an idle kept connection, which may
//! wait long, from a head that trickles in, which may not.

use crate::proxy::IdleTimer;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const BUSY: u8 = 2;

/// What a connection is doing; shared by its stream and its service.
#[derive(Debug, Default)]
pub(super) struct Phase {
    now: AtomicU8,
    /// Counts the changes of `now`, so that none goes unseen.
    changes: AtomicU32,
    /// Told when a response is complete.
    ended: Notify,
    lingers: AtomicBool,
}

impl Phase {
    /// Of a connection whose reads somebody else times.
    pub(super) fn busy() -> Self {
        Self { now: AtomicU8::new(BUSY), ..Self::default() }
    }

    /// A request's head is complete: the proxy has its own time-outs.
    pub(super) fn begin(&self) {
        self.enter(BUSY);
    }

    /// A response is complete: the next request may take its time to come.
    pub(super) fn end(&self) {
        self.enter(IDLE);
        self.ended.notify_one();
    }

    /// Waits until a response is complete. The connection has to be polled
    /// then: hyper reads no more after one, until there is something to read,
    /// and without a read the time for the next request does not begin.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// The client may still be sending what nobody will read.
    pub(super) fn linger(&self) {
        self.lingers.store(true, Ordering::Relaxed);
    }

    pub(super) fn lingers(&self) -> bool {
        self.lingers.load(Ordering::Relaxed)
    }

    fn bytes_came(&self) {
        // Bytes while busy are the body's.
        if self.now.load(Ordering::Relaxed) == IDLE {
            self.enter(HEAD);
        }
    }

    /// Stream and service run in the same task, so nothing comes in between.
    fn enter(&self, phase: u8) {
        self.now.store(phase, Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
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
}

/// A stream whose reads and writes fail when they take too long.
pub(super) struct TimedIo<S> {
    stream: S,
    phase: Arc<Phase>,
    periods: Periods,
    reading: IdleTimer,
    /// The count of changes for which `reading` was started.
    timed: u32,
    writing: IdleTimer,
}

impl<S> TimedIo<S> {
    pub(super) fn new(stream: S, phase: Arc<Phase>, periods: Periods) -> Self {
        Self {
            stream,
            phase,
            periods,
            reading: IdleTimer::new(periods.idle),
            timed: 0,
            writing: IdleTimer::new(periods.write),
        }
    }

    fn poll_read_too_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let now = self.phase.now.load(Ordering::Relaxed);
        let changes = self.phase.changes.load(Ordering::Relaxed);
        if changes != self.timed {
            self.timed = changes;
            self.reading.restart(match now {
                HEAD => self.periods.head,
                _ => self.periods.idle,
            });
        }
        if now == BUSY {
            return Poll::Pending;
        }
        ready!(self.reading.poll_wait(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
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

impl<S: AsyncRead + Unpin> AsyncRead for TimedIo<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.stream).poll_read(cx, buf) {
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

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.time_write(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
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
