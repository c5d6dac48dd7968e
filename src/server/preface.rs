//! Which version of HTTP a client speaks: one that knows that we understand
//! HTTP/2 says so with its first bytes (RFC 9113, section 3.4).

use super::timed_io::TimedIo;
use bytes::Bytes;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether the first bytes are the preface of HTTP/2. They are read again by
/// whoever comes next.
pub(super) async fn is_http2<S: AsyncRead + Unpin>(io: &mut TimedIo<S>) -> io::Result<bool> {
    let (mut head, mut length) = ([0; PREFACE.len()], 0);
    // What begins otherwise is not waited for.
    while length < head.len() && PREFACE.starts_with(&head[..length]) {
        match io.read(&mut head[length..]).await? {
            0 => break,
            read => length += read,
        }
    }
    io.put_back(Bytes::copy_from_slice(&head[..length]));
    Ok(head == *PREFACE)
}

#[cfg(test)]
mod tests {
    use super::super::timed_io::{Periods, Phase};
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test]
    async fn the_version_is_told_by_the_first_bytes_which_are_read_again() {
        let hour = Duration::from_secs(3600);
        for (bytes, expected) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"[..], true),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", false),
            (b"PRI / HTTP/1.1\r\n\r\n", false),
            (b"POST / HTTP/1.1\r\n\r\n", false),
            (b"PRI", false),
            (b"", false),
        ] {
            for size in [1, bytes.len().max(1)] {
                let mut builder = cut(bytes, size);
                let periods = Periods { idle: hour, head: hour, write: hour, rate: 0 };
                let mut io = TimedIo::new(&mut builder, Arc::new(Phase::default()), periods);
                assert_eq!(is_http2(&mut io).await.unwrap(), expected, "{}", bytes.escape_ascii());
                let mut read = Vec::new();
                io.read_to_end(&mut read).await.unwrap();
                assert_eq!(read, bytes);
            }
        }
    }

    /// Reads `bytes` so many at a time.
    fn cut(bytes: &'static [u8], size: usize) -> impl AsyncRead + Unpin {
        struct Cut(&'static [u8], usize);
        impl AsyncRead for Cut {
            fn poll_read(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
                buf: &mut tokio::io::ReadBuf<'_>,
            ) -> std::task::Poll<io::Result<()>> {
                let (now, rest) = self.0.split_at(self.1.min(self.0.len()).min(buf.remaining()));
                buf.put_slice(now);
                self.0 = rest;
                std::task::Poll::Ready(Ok(()))
            }
        }
        Cut(bytes, size)
    }
}
