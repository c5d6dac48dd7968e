//! Refuses requests that hyper takes and others may read as something else:
//! lines that end without a CR, a length beside chunks, and lines of chunks that
//! are not as RFC 9112 has them.
//!
//! hyper goes on to parse. This follows where lines stand, and in place of the end
//! of one that must not be it hands over what hyper refuses wherever it reads it,
//! and the end of the stream. Behind a request that may lead elsewhere (`Upgrade`)
//! hyper gets nothing, so that it cannot take for a request what may be none.

use memchr::memchr;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is kept of a line: lengths, codings and sizes of chunks are far shorter.
const KEPT: usize = 250;
/// In place of a line's end: no line may hold a NUL, and heads and trailers are looked
/// at once an empty line has come.
const REFUSED: &[u8] = b"\0\r\n\r\n";

/// A stream of HTTP/1 requests.
#[derive(Debug)]
pub struct Strict<S> {
    stream: S,
    framing: Framing,
    /// What is left of it, once a line was refused.
    refusal: &'static [u8],
    /// What came behind a request that may lead elsewhere.
    held: Vec<u8>,
}

impl<S> Strict<S> {
    /// From the first byte of a request on.
    #[must_use]
    pub fn new(stream: S) -> Self {
        Self { stream, framing: Framing::default(), refusal: &[], held: Vec::new() }
    }

    /// The stream itself, from which somebody else reads now, and what was read of it
    /// and not handed over.
    pub fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.held)
    }

    fn take_in(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let came = &buf.filled()[before..];
        let Some(cut) = self.framing.follow(came) else { return };
        if self.framing.at == At::Refused {
            self.refusal = REFUSED;
        } else {
            self.held.extend_from_slice(&came[cut..]);
        }
        buf.set_filled(before + cut);
        self.refuse(buf);
    }

    /// Hands over what is left of a refusal.
    fn refuse(&mut self, buf: &mut ReadBuf<'_>) {
        let (now, later) = self.refusal.split_at(self.refusal.len().min(buf.remaining()));
        buf.put_slice(now);
        self.refusal = later;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.framing.is_over() {
            self.refuse(buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        self.take_in(buf, before);
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
    /// hyper refuses what was here by itself.
    Unknown,
    /// Behind a line that must not be.
    Refused,
    /// Behind a request that may lead elsewhere.
    Led,
}

/// What a head has said of its body so far.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    begun: bool,
    length: Option<u64>,
    /// Whether chunks are the last coding.
    chunked: Option<bool>,
    leads: bool,
}

impl Framing {
    /// Whether nothing more is handed over.
    fn is_over(&self) -> bool {
        matches!(self.at, At::Refused | At::Led)
    }

    /// Goes on over the bytes that come next. After how many nothing more is handed
    /// over, if that is among them.
    fn follow(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut rest = bytes;
        while !rest.is_empty() && self.at != At::Unknown {
            let taken = match self.at {
                At::Body(left) => {
                    let taken = least(left, rest.len());
                    self.at = if left > taken as u64 { At::Body(left - taken as u64) } else { self.next() };
                    taken
                }
                At::Chunk(left) => {
                    let taken = least(left, rest.len());
                    self.at = if left > taken as u64 { At::Chunk(left - taken as u64) } else { At::Size };
                    taken
                }
                _ => self.follow_line(rest),
            };
            rest = &rest[taken..];
            if self.is_over() {
                return Some(bytes.len() - rest.len());
            }
        }
        None
    }

    /// Goes on to the end of a line, if it is there; how many bytes that were, without the
    /// end of a line that is refused.
    fn follow_line(&mut self, bytes: &[u8]) -> usize {
        let Some(end) = memchr(b'\n', bytes) else {
            self.line.push(bytes);
            return bytes.len();
        };
        self.line.push(&bytes[..end]);
        let line = std::mem::take(&mut self.line);
        let Some(line) = line.ended() else {
            // In the line of a chunk hyper refuses a line feed, but not all else.
            let known = self.at == At::Size;
            self.at = if known { At::Unknown } else { At::Refused };
            return if known { end + 1 } else { end };
        };
        if let Some(next) = self.after(line) {
            self.at = next;
            return end + 1;
        }
        self.at = At::Refused;
        end
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
            (Some(false), None) => Some(At::Unknown),
            (None, None | Some(0)) => Some(self.next()),
            (None, Some(length)) => Some(At::Body(length)),
        }
    }

    /// Another request, unless the connection may lead elsewhere.
    fn next(&mut self) -> At {
        let head = std::mem::take(&mut self.head);
        if head.leads { At::Led } else { At::Head }
    }
}

/// Whether a field `Upgrade` may lead to something else than HTTP: `h2c`, which some
/// clients offer with each request, does not.
pub(super) fn leads(upgrade: &[u8]) -> bool {
    upgrade.split(|&byte| byte == b',').any(|protocol| !protocol.trim_ascii().eq_ignore_ascii_case(b"h2c"))
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
            line.whole()?;
            self.leads |= value.get(1..).is_none_or(leads);
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
    use http_body_util::BodyExt;
    use proptest::prelude::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What hyper gets to see of bytes that come in two pieces, and what is behind it.
    async fn seen(bytes: &[u8], cut: usize) -> (Vec<u8>, Vec<u8>) {
        let mut strict = Strict::new((&bytes[..cut]).chain(&bytes[cut..]));
        let mut seen = Vec::new();
        strict.read_to_end(&mut seen).await.unwrap();
        let (mut stream, mut behind) = strict.into_parts();
        stream.read_to_end(&mut behind).await.unwrap();
        (seen, behind)
    }

    /// Up to where bytes are handed over, if they are refused there; which must not
    /// depend on how they come: cut anywhere, or byte by byte.
    fn refused(bytes: &[u8]) -> Option<usize> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (whole, _) = runtime.block_on(seen(bytes, bytes.len()));
        for cut in 0..bytes.len() {
            assert_eq!(runtime.block_on(seen(bytes, cut)).0, whole, "cut at {cut}");
        }
        let mut framing = Framing::default();
        let single = (0..bytes.len()).find_map(|at| framing.follow(&bytes[at..=at]).map(|taken| at + taken));
        let kept = whole.strip_suffix(REFUSED).filter(|_| framing.at == At::Refused);
        assert!(bytes.starts_with(kept.unwrap_or(&whole)));
        assert_eq!(single, framing.is_over().then_some(kept.unwrap_or(&whole).len()));
        kept.map(<[u8]>::len)
    }

    /// How hyper answers each request of a client that goes on to wait.
    fn statuses(bytes: &[u8]) -> Vec<u16> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let service = hyper::service::service_fn(|request: hyper::Request<hyper::body::Incoming>| async {
            let status = if request.into_body().collect().await.is_ok() { 200 } else { 400 };
            let response = hyper::Response::builder().status(status);
            response.body(http_body_util::Empty::<bytes::Bytes>::new())
        });
        runtime.block_on(async {
            let (mut near, far) = tokio::io::duplex(1 << 16);
            near.write_all(bytes).await.unwrap();
            let io = hyper_util::rt::TokioIo::new(Strict::new(far));
            let connection = hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(io, service);
            let _ = tokio::time::timeout(Duration::from_secs(20), connection).await.expect("it ends");
            let mut told = String::new();
            near.read_to_string(&mut told).await.unwrap();
            told.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
        })
    }

    const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";

    fn post(fields: &str, body: &str) -> Vec<u8> {
        format!("POST /a HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n{body}").into_bytes()
    }

    #[test]
    fn lines_end_with_cr_and_lf() {
        let bare = b"GET /a HTTP/1.1\nHost: a.test\r\n\r\n";
        assert_eq!(refused(bare), Some(15));
        assert_eq!(refused(b"GET /a HTTP/1.1\r\nHost: a.test\n\r\n"), Some(29));
        assert_eq!(refused(b"GET /a HTTP/1.1\r\nHost: a.test\r\n\n"), Some(31));
        assert_eq!(refused(b"\r\n\nGET /a HTTP/1.1\r\n\r\n"), Some(2));
        assert_eq!(refused(&[b"\r\n\r\n", GET, GET].concat()), None);
        assert_eq!(refused(&[GET, bare].concat()), Some(GET.len() + 15));
    }

    #[test]
    fn a_length_stands_beside_no_coding() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "transfer-encoding:\tCHUNKED\r\nX-A: b\r\ncontent-length:0\r\n",
            "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n",
        ] {
            let head = post(fields, "");
            assert_eq!(refused(&[&head[..], b"0\r\n\r\n\n"].concat()), Some(head.len() - 1), "{fields}");
        }
        let long = format!("Transfer-Encoding: {}chunked\r\n", " ".repeat(KEPT));
        assert!(refused(&post(&long, "")).is_some());
        let long = format!("Upgrade: {}h2c\r\n", " ".repeat(KEPT));
        assert!(refused(&post(&long, "")).is_some());
        let long = format!("X-A: {}\r\n", "Content-Length: 5".repeat(100));
        assert_eq!(refused(&post(&long, "")), None);
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
            assert_eq!(refused(&[&request, &bare[..]].concat()), Some(request.len() + 15));
        }
    }

    #[test]
    fn what_is_refused_is_answered_at_once_and_ends_the_connection() {
        let smuggled = "0\r\n\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: a.test\r\n\r\n";
        let chunked = "Transfer-Encoding: chunked\r\n";
        for bytes in [
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", ""),
            post("Content-Length: five\r\n", ""),
            b"GET /a HTTP/1.1\n".to_vec(),
            b"GET /a HTTP/1.1\r\nHost: a.test\n\n".to_vec(),
            post(chunked, &format!("5;a\nhello\r\n{smuggled}")),
            post(chunked, &format!("5\nhello\r\n{smuggled}")),
            post(chunked, &format!("5;\r\nhello\r\n{smuggled}")),
            post(chunked, "0\r\nX-A: b\n"),
            post(chunked, "0\r\n\n"),
            post(chunked, "0\r\nX-A: b\r\n\n"),
        ] {
            assert_eq!(statuses(&bytes), [400], "{}", bytes.escape_ascii());
            assert_eq!(statuses(&[GET, &bytes].concat()), [200, 400], "{}", bytes.escape_ascii());
        }
    }

    #[tokio::test]
    async fn what_stands_behind_a_request_that_may_lead_elsewhere_is_held() {
        let head =
            |upgrade| format!("GET /a HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: {upgrade}\r\n\r\n").into_bytes();
        let behind = b"\n\n\x81\n";
        for upgrade in ["websocket", "h2c, other/1", ""] {
            let sent = [&head(upgrade)[..], behind].concat();
            assert_eq!(seen(&sent, 9).await, (head(upgrade), behind.to_vec()), "{upgrade}");
        }
        let offer = [&head("h2c")[..], GET].concat();
        assert_eq!(seen(&offer, 9).await, (offer.clone(), Vec::new()));
    }

    #[test]
    fn what_hyper_refuses_is_left_to_it() {
        assert_eq!(refused(&post("Transfer-Encoding: gzip\r\n", "\n\n")), None);
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
            assert!(refused(&request).is_some(), "{line}");
        }
        assert!(refused(&post("Transfer-Encoding: chunked\r\n", "0\r\nX-A: b\n\r\n")).is_some());
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
            refused(parts.concat().as_bytes());
        }
    }
}
