//! A client that writes what it is told, byte by byte if need be, and reads
//! responses.

use crate::proxy_sink::PATIENCE;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    /// Read, and not yet part of a response.
    unread: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// What comes until a connection ends.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    pub(crate) bytes: Vec<u8>,
    /// By a reset, not by a close.
    pub(crate) broken: bool,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The code of an error body.
    pub(crate) fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert!(body["error"]["message"].is_string());
        let id = body["error"]["request_id"].as_str().unwrap();
        assert_eq!(id.len(), 16);
        body["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// A request as bytes, with `Content-Length`.
pub(crate) fn request(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut all = headers.to_vec();
    if !body.is_empty() {
        all.push(("content-length", &length));
    }
    let mut bytes = head(method, target, &all);
    bytes.extend_from_slice(body);
    bytes
}

/// A request's head as bytes.
pub(crate) fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("{method} {target} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        head += "host: proxy.test\r\n";
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    (head + "\r\n").into_bytes()
}

/// A chunk of a chunked body; an empty one ends it.
pub(crate) fn chunk(data: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{:x}\r\n", data.len()).into_bytes();
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// Whether nothing has come that was not asked for, up to now.
    pub(crate) fn has_nothing(&self) -> bool {
        let mut byte = [0];
        let read = self.stream.try_read(&mut byte);
        self.unread.is_empty() && read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, unread: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends what the server may refuse to take to its end.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Sends a request and reads its response.
    pub(crate) async fn exchange(&mut self, bytes: &[u8]) -> Reply {
        self.send(bytes).await;
        self.reply().await
    }

    pub(crate) async fn reply(&mut self) -> Reply {
        self.reply_to("POST").await
    }

    /// The next response, which has no body when the method is `HEAD`.
    pub(crate) async fn reply_to(&mut self, method: &str) -> Reply {
        let reading = async {
            let (status, headers) = self.read_head().await;
            let mut reply = Reply { status, headers, body: Vec::new() };
            let chunked = reply.header("transfer-encoding") == Some("chunked");
            let length = reply.header("content-length").map(|l| l.parse().unwrap());
            if method == "HEAD" || matches!(status, 204 | 304) {
                return reply;
            }
            reply.body = match length {
                _ if chunked => self.read_chunks().await,
                Some(length) => self.read_exactly(length).await,
                None => self.rest().await.bytes,
            };
            reply
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("a response in time")
    }

    /// Status and headers of the next response that is not `100 Continue`.
    pub(crate) async fn read_head(&mut self) -> (u16, Vec<(String, String)>) {
        let head = self.read_until(b"\r\n\r\n").await;
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        };
        (status.parse().unwrap(), lines.filter_map(header).collect())
    }

    /// Everything until the server closes; a break loses nothing of it.
    pub(crate) async fn rest(&mut self) -> Rest {
        let mut bytes = std::mem::take(&mut self.unread);
        let end = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut bytes)).await.expect("an end in time");
        Rest { bytes, broken: end.is_err() }
    }

    /// One chunk of a chunked body; empty at its end.
    pub(crate) async fn read_chunk(&mut self) -> Vec<u8> {
        let size = self.read_until(b"\r\n").await;
        let size = std::str::from_utf8(&size).unwrap().trim();
        let size = usize::from_str_radix(size, 16).unwrap();
        let data = self.read_exactly(size).await;
        self.read_until(b"\r\n").await;
        data
    }

    async fn read_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let chunk = self.read_chunk().await;
            if chunk.is_empty() {
                return body;
            }
            body.extend(chunk);
        }
    }

    async fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        while self.unread.len() < length {
            self.read_more().await;
        }
        self.unread.drain(..length).collect()
    }

    async fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            let mut windows = self.unread.windows(end.len());
            if let Some(at) = windows.position(|window| window == end) {
                return self.unread.drain(..at + end.len()).collect();
            }
            self.read_more().await;
        }
    }

    async fn read_more(&mut self) {
        let mut buffer = [0; 16 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut buffer));
        let read = read.await.expect("bytes in time").unwrap();
        assert!(read > 0, "the server closed after {:?}", self.unread);
        self.unread.extend_from_slice(&buffer[..read]);
    }
}
