//! A connection that speaks something else than HTTP from now on, as a route
//! allows: bytes go both ways as they come, and nobody looks at them.

use super::exchange::Exchange;
use super::idle::IdleTimer;
use super::respond::Failure;
use super::upstream::Upgraded;
use bytes::Bytes;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional};

/// The upstream's end of a tunnel, on its way to whoever has the client's: with
/// the response that tells the client of it.
#[derive(Clone)]
pub struct Tunnel(Arc<Mutex<Option<End>>>);

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tunnel")
    }
}

struct End {
    upstream: Upgraded,
    /// Without a byte in either direction.
    idle: Duration,
    /// Goes on as long as the tunnel.
    exchange: Arc<Exchange>,
}

impl Tunnel {
    pub(super) fn new(upstream: Upgraded, idle: Duration, exchange: &Arc<Exchange>) -> Self {
        let exchange = Arc::clone(exchange);
        Self(Arc::new(Mutex::new(Some(End { upstream, idle, exchange }))))
    }

    /// Carries bytes until both sides have ended, one breaks off, or nothing
    /// moves for too long. `ahead` was read of the client's side already.
    pub async fn run(&self, client: impl AsyncRead + AsyncWrite + Unpin, ahead: Bytes) {
        let end = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(End { mut upstream, idle, exchange }) = end else { return };
        let moved = AtomicU64::new(0);
        let mut client = Counted { stream: client, moved: &moved };
        let mut carrying = pin!(async {
            client.write_all(&upstream.ahead).await?;
            upstream.stream.write_all(&ahead).await?;
            copy_bidirectional(&mut client, &mut upstream.stream).await
        });
        let (mut timer, mut seen) = (IdleTimer::new(idle), 0);
        let ended = poll_fn(|cx| {
            if let Poll::Ready(ended) = carrying.as_mut().poll(cx) {
                return Poll::Ready(ended.map(|_| ()).map_err(|_| Failure::TunnelBroke));
            }
            let now = moved.load(Ordering::Relaxed);
            if now != seen {
                seen = now;
                timer.progress();
            }
            timer.poll_wait(cx).map(|()| Err(Failure::TunnelIdle))
        });
        if let Err(failure) = ended.await {
            exchange.fail(failure);
        }
    }
}

/// Counts whenever something moves.
struct Counted<'a, S> {
    stream: S,
    moved: &'a AtomicU64,
}

impl<S> Counted<'_, S> {
    fn count<T>(&self, polled: Poll<T>) -> Poll<T> {
        if polled.is_ready() {
            self.moved.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<'_, S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.count(polled)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<'_, S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.count(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
