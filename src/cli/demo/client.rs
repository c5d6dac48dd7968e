//! The client of the demonstration: keep-alive connections, and load.

use super::payloads::{self, Payload};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// One connection.
pub(super) struct Client {
    address: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

/// What a load came to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) requests: u64,
    /// Of request bodies.
    pub(super) bytes: u64,
    pub(super) elapsed: Duration,
}

impl Client {
    /// Connects.
    pub(super) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // What breaks the connection is the next request's error.
        tokio::spawn(connection);
        Ok(Self { address, sender })
    }

    /// Sends a payload; the status of the answer.
    pub(super) async fn send(&mut self, payload: &Payload) -> io::Result<StatusCode> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(payload.path)
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .header(payload.header.0, payload.header.1)
            .body(Full::new(Bytes::from_static(payload.body.as_bytes())));
        let request = request.map_err(io::Error::other)?;
        self.exchange(request).await.map(|(status, _)| status)
    }

    /// Fetches a page.
    pub(super) async fn get(&mut self, path: &str) -> io::Result<String> {
        let request = Request::builder().uri(path).header(HOST, self.address.to_string()).body(Full::default());
        let (_, body) = self.exchange(request.map_err(io::Error::other)?).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> io::Result<(StatusCode, Bytes)> {
        self.sender.ready().await.map_err(io::Error::other)?;
        let response = self.sender.send_request(request).await.map_err(io::Error::other)?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(io::Error::other)?;
        Ok((status, body.to_bytes()))
    }
}

/// Sends all payloads in turn over several connections for a while.
pub(super) async fn load(address: SocketAddr, connections: usize, time: Duration) -> io::Result<Load> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        tasks.spawn(load_one(address, start + time));
    }
    let mut sum = Load::default();
    while let Some(one) = tasks.join_next().await {
        let one = one.map_err(io::Error::other)??;
        sum.requests += one.requests;
        sum.bytes += one.bytes;
    }
    sum.elapsed = start.elapsed();
    Ok(sum)
}

async fn load_one(address: SocketAddr, end: Instant) -> io::Result<Load> {
    let mut client = Client::connect(address).await?;
    let mut load = Load::default();
    for payload in payloads::ALL.iter().cycle() {
        if Instant::now() >= end {
            break;
        }
        let status = client.send(payload).await?;
        if status != StatusCode::OK {
            return Err(io::Error::other(format!("the proxy answered {status}")));
        }
        load.requests += 1;
        load.bytes += payload.body.len() as u64;
    }
    Ok(load)
}
