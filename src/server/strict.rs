//! Refuses requests that hyper takes and others may read as something else:
//! lines that end without a CR, a length beside chunks, and lines of chunks that
//! are not as RFC 9112 has them.
//!
//! hyper goes on to parse. This follows only where lines stand, and spoils the
//! end of one that must not be, so that hyper refuses it as it does others:
//! with 400, and the connection ends. Where the two might not agree on what a
//! body is, nothing is spoiled any more.

use memchr::memchr;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is kept of a line: lengths, codings and sizes of chunks are far shorter.
const KEPT: usize = 120;

/// A stream of HTTP/1 requests.
#[derive(Debug)]
pub struct Strict<S> {
    stream: S,
    framing: Framing,
}

impl<S> Strict<S> {
    /// From the first byte of a request on.
    #[must_use]
    pub fn new(stream: S) -> Self {
        Self { stream, framing: Framing::default() }
    }

    /// The stream itself, from which somebody else reads now.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        self.framing.follow(&mut buf.filled_mut()[before..]);
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
}

/// Where in the requests of a connection we are.
#[derive(Debug, Default)]
struct Framing {
    at: At,
    head: Head,
    line: Line,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// In a line of a head, or of the empty ones before it.
    #[default]
    Head,
    /// So many bytes of a body of known length.
    Body(u64),
    /// In the line of a chunk's size.
    Size,
    /// So many bytes of a chunk and its end.
    Chunk(u64),
    /// In a line behind the last chunk.
    Trailers,
    /// hyper refuses what was here, or something else than HTTP comes.
    Over,
}

/// What a head has said of its body so far.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    begun: bool,
    length: Option<u64>,
    /// Whether chunks are the last coding.
    chunked: Option<bool>,
    upgrades: bool,
}

impl Framing {
    /// Goes on over the bytes that come next.
    fn follow(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let taken = match self.at {
                At::Over => return,
                At::Body(left) => {
                    let taken = least(left, bytes.len());
                    self.at = if left > taken as u64 { At::Body(left - taken as u64) } else { At::Head };
                    taken
                }
                At::Chunk(left) => {
                    let taken = least(left, bytes.len());
                    self.at = if left > taken as u64 { At::Chunk(left - taken as u64) } else { At::Size };
                    taken
                }
                At::Head | At::Size | At::Trailers => self.follow_line(bytes),
            };
            bytes = &mut bytes[taken..];
        }
    }

    /// Goes on to the end of a line, if it is there; how many bytes that were.
    fn follow_line(&mut self, bytes: &mut [u8]) -> usize {
        let Some(end) = memchr(b'\n', bytes) else {
            self.line.push(bytes);
            return bytes.len();
        };
        self.line.push(&bytes[..end]);
        let line = std::mem::take(&mut self.line);
        if let Some(next) = line.ended().and_then(|line| self.after(line)) {
            self.at = next;
        } else {
            // No line of hyper's ends so, wherever it stands.
            bytes[end] = 0;
            self.at = At::Over;
        }
        end + 1
    }

    /// What comes after a line, unless it must not be.
    fn after(&mut self, line: Written<'_>) -> Option<At> {
        match self.at {
            At::Size => match chunk_size(line.whole()?)? {
                0 => Some(At::Trailers),
                size => Some(At::Chunk(size.checked_add(2)?)),
            },
            At::Trailers if line.is_empty() => Some(self.next()),
            At::Head if !self.head.begun => {
                self.head.begun = !line.is_empty();
                Some(At::Head)
            }
            At::Head if line.is_empty() => self.body(),
            At::Head => self.head.field(line).map(|()| At::Head),
            at => Some(at),
        }
    }

    /// What comes after the head.
    fn body(&mut self) -> Option<At> {
        match (self.head.chunked, self.head.length) {
            (Some(_), Some(_)) => None,
            (Some(true), None) => Some(At::Size),
            (Some(false), None) => Some(At::Over),
            (None, None | Some(0)) => Some(self.next()),
            (None, Some(length)) => Some(At::Body(length)),
        }
    }

    /// Another request, unless the connection may lead elsewhere.
    fn next(&mut self) -> At {
        let head = std::mem::take(&mut self.head);
        if head.upgrades { At::Over } else { At::Head }
    }
}

fn least(left: u64, len: usize) -> usize {
    usize::try_from(left).map_or(len, |left| left.min(len))
}

impl Head {
    /// Takes a field in.
    fn field(&mut self, line: Written<'_>) -> Option<()> {
        let colon = line.kept.iter().position(|&byte| byte == b':').unwrap_or(line.kept.len());
        let (name, value) = line.kept.split_at(colon);
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        if is(b"upgrade") {
            self.upgrades = true;
        } else if is(b"content-length") || is(b"transfer-encoding") {
            line.whole()?;
            let value = value.get(1..)?.trim_ascii();
            if is(b"content-length") {
                self.length = Some(std::str::from_utf8(value).ok()?.parse().ok()?);
            } else {
                let last = value.rsplit(|&byte| byte == b',').next()?;
                self.chunked = Some(last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
            }
        }
        Some(())
    }
}

/// A line as far as it has come.
#[derive(Debug)]
struct Line {
    kept: [u8; KEPT],
    len: usize,
    last: u8,
}

impl Default for Line {
    fn default() -> Self {
        Self { kept: [0; KEPT], len: 0, last: 0 }
    }
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        let Some(&last) = bytes.last() else { return };
        self.last = last;
        let kept = bytes.len().min(KEPT.saturating_sub(self.len));
        if kept > 0 {
            self.kept[self.len..self.len + kept].copy_from_slice(&bytes[..kept]);
        }
        self.len = self.len.saturating_add(bytes.len());
    }

    /// The line without its end, if that is one.
    fn ended(&self) -> Option<Written<'_>> {
        let len = self.len.checked_sub(1).filter(|_| self.last == b'\r')?;
        Some(Written { kept: &self.kept[..len.min(KEPT)], len })
    }
}

/// A line that has ended.
#[derive(Clone, Copy)]
struct Written<'a> {
    kept: &'a [u8],
    len: usize,
}

impl<'a> Written<'a> {
    fn is_empty(self) -> bool {
        self.len == 0
    }

    /// All of it, if it was short enough.
    fn whole(self) -> Option<&'a [u8]> {
        (self.kept.len() == self.len).then_some(self.kept)
    }
}

/// The size in the line of a chunk.
///
/// RFC 9112, section 7.1: `1*HEXDIG *( BWS ";" BWS name [ BWS "=" BWS value ] )`.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let size = u64::from_str_radix(std::str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
    let mut rest = &line[digits..];
    while !rest.is_empty() {
        rest = token(blank(blank(rest).strip_prefix(b";")?))?;
        if let Some(value) = blank(rest).strip_prefix(b"=") {
            let value = blank(value);
            rest = match value.strip_prefix(b"\"") {
                Some(quoted) => unquoted(quoted)?,
                None => token(value)?,
            };
        }
    }
    Some(size)
}

/// What comes after blanks.
fn blank(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &bytes[blanks..]
}

/// What comes after a token, which must be there.
fn token(bytes: &[u8]) -> Option<&[u8]> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let len = bytes.iter().take_while(|byte| is_token(byte)).count();
    (len > 0).then(|| &bytes[len..])
}

/// What comes after the end of a quoted string.
fn unquoted(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', escaped, rest @ ..] if is_text(*escaped) => rest,
            [byte, rest @ ..] if *byte != b'\\' && is_text(*byte) => rest,
            _ => return None,
        };
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What hyper gets to see, of bytes that are cut at every `step`.
    fn seen(bytes: &[u8], step: usize) -> Vec<u8> {
        let mut framing = Framing::default();
        let mut bytes = bytes.to_vec();
        bytes.chunks_mut(step.max(1)).for_each(|chunk| framing.follow(chunk));
        bytes
    }

    /// Where bytes are spoiled, which must not depend on how they were cut.
    fn spoiled(bytes: &[u8]) -> Vec<usize> {
        let whole = seen(bytes, bytes.len());
        for step in [1, 2, 3, 7] {
            assert_eq!(seen(bytes, step), whole);
        }
        (0..bytes.len()).filter(|&at| whole[at] != bytes[at]).collect()
    }

    const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";

    fn post(fields: &str, body: &str) -> Vec<u8> {
        format!("POST /a HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n{body}").into_bytes()
    }

    #[test]
    fn lines_end_with_cr_and_lf() {
        let bare = b"GET /a HTTP/1.1\nHost: a.test\r\n\r\n";
        assert_eq!(spoiled(bare), [15]);
        assert_eq!(spoiled(b"GET /a HTTP/1.1\r\nHost: a.test\n\r\n"), [29]);
        assert_eq!(spoiled(b"GET /a HTTP/1.1\r\nHost: a.test\r\n\n"), [31]);
        assert_eq!(spoiled(b"\r\n\nGET /a HTTP/1.1\r\n\r\n"), [2]);
        assert!(spoiled(&[b"\r\n\r\n", GET, GET].concat()).is_empty());
        assert_eq!(spoiled(&[GET, bare].concat()), [GET.len() + 15]);
    }

    #[test]
    fn a_length_stands_beside_no_coding() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "transfer-encoding:\tCHUNKED\r\nX-A: b\r\ncontent-length:0\r\n",
            "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n",
        ] {
            let head = post(fields, "");
            assert_eq!(spoiled(&[&head[..], b"0\r\n\r\n\n"].concat()), [head.len() - 1], "{fields}");
        }
        let long = format!("Transfer-Encoding: {}chunked\r\n", " ".repeat(KEPT));
        assert_eq!(spoiled(&post(&long, "")).len(), 1);
        let long = format!("X-A: {}\r\n", "Content-Length: 5".repeat(100));
        assert!(spoiled(&post(&long, "")).is_empty());
    }

    #[test]
    fn bodies_are_left_alone_and_the_next_head_is_seen() {
        let bare = b"GET /b HTTP/1.1\nHost: a.test\r\n\r\n";
        let chunks = "3\r\n\n\n\n\r\nA;a=b;c=\"\\\"\"\r\n0123\n56789\r\n0\r\nX-A: b\r\n\r\n";
        for request in [
            post("Content-Length: 7\r\n", "a\nb\n\nc\n"),
            post("content-length: \t 0007 \r\n", "a\nb\n\nc\n"),
            post("Transfer-Encoding: chunked\r\n", chunks),
            post("Content-Length: 0\r\n", ""),
        ] {
            assert_eq!(spoiled(&[&request, &bare[..]].concat()), [request.len() + 15]);
        }
    }

    #[test]
    fn what_may_lead_elsewhere_is_left_alone() {
        let upgrade = b"GET /a HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\n\n\x81\n";
        assert!(spoiled(upgrade).is_empty());
        assert!(spoiled(&post("Transfer-Encoding: gzip\r\n", "\n\n")).is_empty());
    }

    #[test]
    fn lines_of_chunks_are_as_the_rfc_has_them() {
        for line in ["5", "00a", "5;a", "5 ; a", "5;a;b=c", "5;a = \"b;\\\" c\" ; d", "5\t;a"] {
            assert!(chunk_size(line.as_bytes()).is_some(), "{line}");
        }
        for line in [
            "",
            "5 ",
            "5;",
            "5;a;",
            "5;=b",
            "5;a=",
            "5;a=\"b",
            "5;a=\"\x01\"",
            "5;a b",
            "5 5",
            "-5",
            "0x5",
            "5;a=\"b\\",
            "5;\u{e9}",
        ] {
            assert_eq!(chunk_size(line.as_bytes()), None, "{line}");
            let request = post("Transfer-Encoding: chunked\r\n", &format!("{line}\r\nhello\r\n0\r\n\r\n"));
            assert_eq!(spoiled(&request).len(), 1, "{line}");
        }
        assert_eq!(spoiled(&post("Transfer-Encoding: chunked\r\n", "0\r\nX-A: b\n\r\n")).len(), 1);
        assert_eq!(chunk_size(b"FFFFFFFFFFFFFFFF0"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_followed_alike_however_cut(
            parts in prop::collection::vec(prop::sample::select(vec![
                "POST / HTTP/1.1\r\n", "Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "\r\n", "\n", "abc",
                "3\r\n", "0\r\n", "Upgrade: h2c\r\n", ";a", "\r", " ",
            ]), 0..24),
        ) {
            spoiled(parts.concat().as_bytes());
        }
    }
}
