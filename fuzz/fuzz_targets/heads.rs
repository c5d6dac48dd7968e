//! Requests of HTTP/1 as the listener reads them: no panic on any bytes, the
//! same requests however the bytes are cut, and none that a reader who is more
//! lenient, or stricter, takes for another.
//!
//! ```text
//! number of cuts | cuts, two bytes each | bytes of a connection
//! ```

#![no_main]

mod input;

use expurgate::server::Strict;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use input::{Input, chunks, cuts};
use libfuzzer_sys::fuzz_target;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const BUFFER: usize = 16 * 1024;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let places = usize::from(input.byte() & 15);
    let places = input.places(places);
    let sent = input.rest();
    let whole = requests(&[sent]);
    let pieces = requests(&chunks(sent, &cuts(places, sent.len())));
    assert_eq!(pieces, whole, "the requests depend on how the bytes are cut");
    for reader in [LENIENT, STRICT] {
        let read = reader.requests(sent);
        assert!(read.starts_with(&whole), "{reader:?} reads {read:?}, not {whole:?}");
    }
});

/// A request's method, and its whole body.
type Taken = (String, Vec<u8>);

/// The requests that the listener takes, whose bodies end.
fn requests(pieces: &[&[u8]]) -> Vec<Taken> {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let taken = Arc::clone(&taken);
        async move {
            let method = request.method().to_string();
            if let Ok(body) = request.into_body().collect().await {
                taken.lock().unwrap().push((method, body.to_bytes().to_vec()));
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let pieces = pieces.iter().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec()).collect();
    let io = TokioIo::new(Strict::new(Client(pieces)));
    let connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .max_buf_size(BUFFER)
        .serve_connection(io, service);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _ = runtime.block_on(connection);
    Arc::try_unwrap(taken).unwrap().into_inner().unwrap()
}

/// Sends its pieces, ends its side, and takes every answer.
struct Client(VecDeque<Vec<u8>>);

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.0.pop_front() {
            let rest = piece.split_off(piece.len().min(buf.remaining()));
            buf.put_slice(&piece);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Client {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Another reader of the same bytes.
#[derive(Clone, Copy, Debug)]
struct Reader {
    /// Whether a line feed alone ends a line.
    bare_ends: bool,
    /// Whether a length counts where there is a coding, too.
    length_first: bool,
}

const LENIENT: Reader = Reader { bare_ends: true, length_first: true };
const STRICT: Reader = Reader { bare_ends: false, length_first: false };

impl Reader {
    /// The requests up to the first that it cannot read.
    fn requests(self, mut bytes: &[u8]) -> Vec<Taken> {
        let mut found = Vec::new();
        while let Some((request, rest)) = self.request(bytes) {
            found.push(request);
            bytes = rest;
        }
        found
    }

    fn request(self, mut bytes: &[u8]) -> Option<(Taken, &[u8])> {
        let mut first = self.line(&mut bytes)?;
        while first.is_empty() {
            first = self.line(&mut bytes)?;
        }
        let (mut length, mut coding) = (None, None);
        loop {
            let line = self.line(&mut bytes)?;
            if line.is_empty() {
                break;
            }
            let line = String::from_utf8_lossy(line);
            let (name, value) = line.split_once(':')?;
            match name.trim().to_ascii_lowercase().as_str() {
                "content-length" => length = Some(value.trim().parse::<usize>().ok()?),
                "transfer-encoding" => coding = Some(value.trim().to_ascii_lowercase()),
                _ => {}
            }
        }
        let by_chunks = coding.is_some_and(|coding| coding.ends_with("chunked"));
        let body = match length {
            Some(length) if self.length_first || !by_chunks => {
                let (body, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                body.to_vec()
            }
            _ if by_chunks => self.chunks(&mut bytes)?,
            _ => Vec::new(),
        };
        let first = String::from_utf8_lossy(first);
        let method = first.split_ascii_whitespace().next()?;
        Some(((method.to_owned(), body), bytes))
    }

    fn chunks(self, bytes: &mut &[u8]) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line(bytes)?;
            let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            let size = usize::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
            if size == 0 {
                break;
            }
            let (chunk, rest) = bytes.split_at_checked(size)?;
            body.extend_from_slice(chunk);
            *bytes = rest;
            self.line(bytes).filter(|line| line.is_empty())?;
        }
        while !self.line(bytes)?.is_empty() {}
        Some(body)
    }

    /// The line that comes next, without its end.
    fn line<'a>(self, bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
        let mut from = 0;
        loop {
            let end = from + bytes[from..].iter().position(|&byte| byte == b'\n')?;
            let line = &bytes[..end];
            if line.ends_with(b"\r") || self.bare_ends {
                *bytes = &bytes[end + 1..];
                return Some(line.strip_suffix(b"\r").unwrap_or(line));
            }
            from = end + 1;
        }
    }
}
