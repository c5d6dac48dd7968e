//! The streams of an HTTP/2 connection, each a task of its own.
//!
//! A client that opens no window takes nothing of a response and is not seen to
//! be slow: what is written to the connection is only what its windows let. So a
//! stream is timed from when a piece of its response was handed over until the
//! next one is asked for.

use crate::proxy::{IdleTimer, Reader, ResponseBody};
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

tokio::task_local! {
    /// Of the stream that is polled.
    static HANDED: Arc<Handed>;
}

/// What became of the piece that was handed over last.
#[derive(Debug, Default)]
struct Handed {
    /// Whether it waits to be written.
    waits: AtomicBool,
    /// Counts the pieces.
    count: AtomicU64,
    /// The client, as one that reads this stream.
    reader: Arc<Reader>,
}

/// Runs streams, and resets those whose client takes too long.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    /// Until a client takes more of a response.
    write: Duration,
}

impl Streams {
    pub(super) const fn new(write: Duration) -> Self {
        Self { write }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let (handed, waiting) = (Arc::default(), IdleTimer::new(self.write));
        tokio::spawn(Timed { stream: Box::pin(stream), handed, waiting, seen: 0 });
    }
}

/// A stream that ends, and is reset by that, when its client takes too long.
struct Timed<F> {
    stream: Pin<Box<F>>,
    handed: Arc<Handed>,
    waiting: IdleTimer,
    /// The count of pieces for which `waiting` was started.
    seen: u64,
}

impl<F: Future<Output = ()>> Future for Timed<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let polled = HANDED.sync_scope(Arc::clone(&this.handed), || this.stream.as_mut().poll(cx));
        if polled.is_ready() {
            return Poll::Ready(());
        }
        let count = this.handed.count.load(Ordering::Relaxed);
        if count != this.seen || !this.handed.waits.load(Ordering::Relaxed) {
            this.seen = count;
            this.waiting.progress();
        }
        if !this.handed.waits.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        ready!(this.waiting.poll_wait(cx));
        this.handed.reader.give_up(false);
        Poll::Ready(())
    }
}

/// A response's body that tells when a piece of it is asked for.
pub(super) struct Told(ResponseBody);

impl Told {
    /// Of the stream that is polled.
    pub(super) fn new(body: ResponseBody) -> Self {
        let reader = HANDED.try_with(|handed| Arc::clone(&handed.reader)).ok();
        Self(body.read_by(reader))
    }
}

impl Body for Told {
    type Data = <ResponseBody as Body>::Data;
    type Error = <ResponseBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.0).poll_frame(cx);
        // Polled elsewhere it is not timed.
        let _ = HANDED.try_with(|handed| {
            handed.waits.store(polled.is_ready(), Ordering::Relaxed);
            handed.count.fetch_add(1, Ordering::Relaxed);
        });
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
