//! An upstream in this process that records what reaches it, piece by piece.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// How long a condition may take to come true before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A request as it reached the sink.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as it should.
    pub(crate) complete: bool,
    /// Whether it was broken off.
    pub(crate) broken: bool,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// What the sink answers once it has read a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// 200 and this body.
    Ok(&'static str),
    /// This head and body.
    Reply(u16, Vec<(&'static str, &'static str)>, &'static str),
    /// This status and body, before the request's body is read.
    Early(u16, &'static str),
    /// This status and body before the request's body is read, which it never
    /// is.
    EarlyAndStuck(u16, &'static str),
    /// This status and body before the request's body is read; the connection
    /// is closed instead.
    EarlyAndClose(u16, &'static str),
    /// As `Ok`, once the gate is opened.
    Gated(&'static str),
    /// The connection is closed instead.
    Close,
    /// A head, the first half of a chunked body, and the rest once the gate is
    /// opened.
    Halves(&'static str, &'static str),
    /// As `Halves`, of this type.
    TypedHalves(&'static str, &'static str, &'static str),
    /// 200, these headers, and a body that need not be text.
    Bytes(Vec<(&'static str, &'static str)>, Vec<u8>),
    /// A head, the first half of a chunked body, and a break once the gate is
    /// opened.
    Half(&'static str),
}

pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    seen: Mutex<Vec<Seen>>,
    changed: Notify,
    connections: watch::Sender<usize>,
    gate: watch::Sender<bool>,
    answer: Answer,
    /// Bodies that nobody reads.
    kept: Mutex<Vec<Incoming>>,
}

impl Sink {
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared::new(answer);
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self { address, shared }
    }

    pub(crate) async fn start_tls(answer: Answer, config: rustls::ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared::new(answer);
        let serving = Arc::clone(&shared);
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&serving));
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, shared).await;
                    }
                });
            }
        });
        Self { address, shared }
    }

    /// Lets gated answers go.
    pub(crate) fn open_gate(&self) {
        self.shared.gate.send_replace(true);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.borrow()
    }

    /// The only request, once it is complete.
    pub(crate) async fn only(&self) -> Seen {
        let seen = self.wait("one complete request", |s| s.len() == 1 && s[0].complete);
        seen.await.remove(0)
    }

    /// What was seen once the condition holds.
    pub(crate) async fn wait(&self, what: &str, condition: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                let seen = self.seen();
                if condition(&seen) {
                    return seen;
                }
                changed.await;
            }
        };
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(seen) => seen,
            Err(_) => panic!("the sink never saw {what}"),
        }
    }
}

impl Shared {
    fn new(answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            changed: Notify::new(),
            connections: watch::Sender::new(0),
            gate: watch::Sender::new(false),
            answer,
            kept: Mutex::default(),
        })
    }

    fn update(&self, index: usize, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap()[index]);
        self.changed.notify_waiters();
    }
}

type Body = BoxBody<Bytes, std::io::Error>;

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    shared.connections.send_modify(|count| *count += 1);
    let service = service_fn(|request| answer(request, Arc::clone(&shared)));
    // Broken connections are part of the tests.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, std::io::Error> {
    let (head, body) = request.into_parts();
    let index = {
        let mut seen = shared.seen.lock().unwrap();
        seen.push(Seen {
            target: head.uri.to_string(),
            headers: head.headers,
            body: Vec::new(),
            complete: false,
            broken: false,
        });
        seen.len() - 1
    };
    shared.changed.notify_waiters();
    if let Answer::EarlyAndStuck(status, text) = shared.answer {
        shared.kept.lock().unwrap().push(body);
        return Ok(Response::builder().status(status).body(whole(text)).unwrap());
    }
    if let Answer::EarlyAndClose(status, text) = shared.answer {
        let response = Response::builder().status(status).header("connection", "close");
        return Ok(response.body(whole(text)).unwrap());
    }
    if let Answer::Early(status, text) = shared.answer {
        let reading = Arc::clone(&shared);
        tokio::spawn(async move { read(body, index, &reading).await });
        return Ok(Response::builder().status(status).body(whole(text)).unwrap());
    }
    read(body, index, &shared).await?;
    reply(&shared).await
}

async fn read(mut body: Incoming, index: usize, shared: &Shared) -> Result<(), std::io::Error> {
    // hyper does not tell the end of a body whose response has ended before it.
    while !http_body::Body::is_end_stream(&body)
        && let Some(frame) = body.frame().await
    {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => shared.update(index, |seen| seen.body.extend_from_slice(&data)),
            Ok(Err(_)) => {}
            Err(_) => {
                shared.update(index, |seen| seen.broken = true);
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
    shared.update(index, |seen| seen.complete = true);
    Ok(())
}

async fn reply(shared: &Shared) -> Result<Response<Body>, std::io::Error> {
    match shared.answer.clone() {
        Answer::Ok(text) | Answer::Early(_, text) | Answer::EarlyAndStuck(_, text) | Answer::EarlyAndClose(_, text) => {
            Ok(Response::new(whole(text)))
        }
        Answer::Gated(text) => {
            wait_for_gate(shared).await;
            Ok(Response::new(whole(text)))
        }
        Answer::Reply(status, headers, text) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(whole(text)).unwrap())
        }
        Answer::Close => Err(std::io::ErrorKind::ConnectionReset.into()),
        Answer::Bytes(headers, bytes) => {
            let response =
                headers.iter().fold(Response::builder(), |response, (name, value)| response.header(*name, *value));
            Ok(response.body(BoxBody::new(Full::from(bytes).map_err(|never| match never {}))).unwrap())
        }
        Answer::Halves(first, second) => Ok(Response::new(halves(shared, first, second))),
        Answer::TypedHalves(kind, first, second) => {
            Ok(Response::builder().header("content-type", kind).body(halves(shared, first, second)).unwrap())
        }
        Answer::Half(first) => {
            let (sender, receiver) = tokio::sync::mpsc::channel(1);
            let mut gate = shared.gate.subscribe();
            let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
            tokio::spawn(async move {
                let _ = sender.send(Ok(Frame::data(first.into()))).await;
                let _ = gate.wait_for(|open| *open).await;
                let _ = sender.send(Err(broken)).await;
            });
            Ok(Response::new(stream(receiver)))
        }
    }
}

/// The second once the gate is opened.
fn halves(shared: &Shared, first: &'static str, second: &'static str) -> Body {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let mut gate = shared.gate.subscribe();
    tokio::spawn(async move {
        let _ = sender.send(Ok(Frame::data(first.into()))).await;
        let _ = gate.wait_for(|open| *open).await;
        let _ = sender.send(Ok(Frame::data(second.into()))).await;
    });
    stream(receiver)
}

async fn wait_for_gate(shared: &Shared) {
    let mut gate = shared.gate.subscribe();
    let _ = gate.wait_for(|open| *open).await;
}

type Pieces = tokio::sync::mpsc::Receiver<Result<Frame<Bytes>, std::io::Error>>;

fn stream(receiver: Pieces) -> Body {
    /// The receiving end of a channel as a stream.
    struct Received(Pieces);
    impl http_body::Body for Received {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
            self.0.poll_recv(cx)
        }
    }
    BoxBody::new(Received(receiver))
}

fn whole(text: &'static str) -> Body {
    BoxBody::new(Full::from(text).map_err(|never| match never {}))
}

/// A TCP server that answers one request without a body with these bytes.
pub(crate) async fn scripted(response: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut head).await.unwrap();
        }
        stream.write_all(response.as_bytes()).await.unwrap();
        // Until the proxy is done with the connection.
        let _ = stream.read_buf(&mut head).await;
    });
    address
}

/// A TCP server that accepts and then says nothing.
pub(crate) async fn silent() -> (SocketAddr, tokio::task::JoinHandle<Vec<TcpStream>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let keeping = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.push(stream);
        }
        kept
    });
    (address, keeping)
}
