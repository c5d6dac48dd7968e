//! HTTP/2 frame by frame: a client that cuts bodies as it likes, and an upstream
//! that records calls.

use crate::proxy_sink::PATIENCE;
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

pub(crate) const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
pub(crate) const GRPC: (&str, &str) = ("content-type", "application/grpc");

/// A message of gRPC.
pub(crate) fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag], &length[..], message].concat()
}

/// A protobuf field with a text, short enough for one byte of length.
pub(crate) fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 128);
    [&[0x0a, length], text.as_bytes()].concat()
}

/// What became of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) reset: Option<Reason>,
}

impl Ended {
    /// The status of gRPC, wherever it stands.
    pub(crate) fn grpc(&self) -> Option<&str> {
        self.field("grpc-status")
    }

    pub(crate) fn message(&self) -> &str {
        self.field("grpc-message").unwrap_or_default()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let trailer = self.trailers.as_ref().and_then(|trailers| trailers.get(name));
        trailer.or(self.headers.get(name)).map(|value| value.to_str().unwrap())
    }
}

pub(crate) struct H2Client {
    requests: SendRequest<Bytes>,
    /// How the connection ends.
    pub(crate) connection: tokio::task::JoinHandle<Result<(), h2::Error>>,
    address: SocketAddr,
}

impl H2Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::connect_as(address, &h2::client::Builder::new()).await
    }

    pub(crate) async fn connect_as(address: SocketAddr, builder: &h2::client::Builder) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, address, builder).await
    }

    pub(crate) async fn over<S>(stream: S, address: SocketAddr, builder: &h2::client::Builder) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        Self { requests, connection: tokio::spawn(connection), address }
    }

    /// Sends a head.
    pub(crate) async fn begin(&self, path: &str, headers: &[(&str, &str)]) -> (ResponseFuture, SendStream<Bytes>) {
        self.try_begin(path, headers).await.unwrap()
    }

    pub(crate) async fn try_begin(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        let mut request = Request::post(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut requests = self.requests.clone().ready().await?;
        requests.send_request(request.body(()).unwrap(), false)
    }

    /// Sends a request whose body is cut into these frames, and reads the answer.
    pub(crate) async fn exchange(&self, path: &str, headers: &[(&str, &str)], frames: &[&[u8]]) -> Ended {
        let (response, mut stream) = self.begin(path, headers).await;
        let sending = async {
            for frame in frames {
                if send(&mut stream, frame).await.is_err() {
                    return;
                }
            }
            // Nobody may want it any more.
            let _ = stream.send_data(Bytes::new(), true);
        };
        let both = async { tokio::join!(read(response), sending).0 };
        tokio::time::timeout(PATIENCE, both).await.expect("an answer in time")
    }
}

/// Sends bytes as soon as there is room for them.
pub(crate) async fn send(stream: &mut SendStream<Bytes>, mut bytes: &[u8]) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let room = match std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(room) => room?,
            None => return Err(Reason::STREAM_CLOSED.into()),
        };
        let (now, later) = bytes.split_at(room.min(bytes.len()));
        stream.send_data(Bytes::copy_from_slice(now), false)?;
        bytes = later;
    }
    Ok(())
}

/// Reads an answer to its end, whatever that is.
pub(crate) async fn read(response: ResponseFuture) -> Ended {
    let mut ended = Ended::default();
    match response.await {
        Err(error) => ended.reset = error.reason(),
        Ok(response) => {
            ended.status = response.status().as_u16();
            let (head, mut body) = response.into_parts();
            ended.headers = head.headers;
            read_body(&mut body, &mut ended).await;
        }
    }
    ended
}

async fn read_body(body: &mut RecvStream, ended: &mut Ended) {
    while let Some(data) = body.data().await {
        match data {
            Ok(data) => {
                body.flow_control().release_capacity(data.len()).unwrap();
                ended.body.extend_from_slice(&data);
            }
            Err(error) => {
                ended.reset = error.reason();
                return;
            }
        }
    }
    match body.trailers().await {
        Ok(trailers) => ended.trailers = trailers,
        Err(error) => ended.reset = error.reason(),
    }
}

/// A call as it reached the upstream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Whether it ended as it should.
    pub(crate) complete: bool,
    pub(crate) trailers: bool,
    pub(crate) reset: Option<Reason>,
}

/// What the upstream answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// A message and OK, once all has come.
    Ok,
    /// A head at once, each message as it comes, and OK at the end.
    Echo,
    /// A head and half a message, then such a reset.
    Break(Reason),
    /// A message and a status that tell of somebody.
    Tell,
    /// A message and an end, without a status.
    Unsaid,
    /// That it is not wanted, at once, and no window for what comes.
    Shut,
    /// Nothing.
    Never,
    /// A connection that is closed after one call.
    Once,
}

pub(crate) struct CallSink {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    calls: Mutex<Vec<Call>>,
    changed: Notify,
    connections: watch::Sender<usize>,
    reply: Reply,
}

impl CallSink {
    pub(crate) async fn start(reply: Reply) -> Self {
        Self::start_tls(reply, None).await
    }

    pub(crate) async fn start_tls(reply: Reply, tls: Option<rustls::ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = watch::Sender::new(0);
        let shared = Arc::new(Shared { calls: Mutex::default(), changed: Notify::new(), connections, reply });
        let (serving, acceptor) = (Arc::clone(&shared), tls.map(|tls| tokio_rustls::TlsAcceptor::from(Arc::new(tls))));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, acceptor) = (Arc::clone(&serving), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, shared).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                serve(stream, shared).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, shared }
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.shared.connections.borrow()
    }

    /// What was seen once the condition holds.
    pub(crate) async fn wait(&self, what: &str, condition: impl Fn(&[Call]) -> bool) -> Vec<Call> {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                let calls = self.calls();
                if condition(&calls) {
                    return calls;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("the upstream never saw {what}: {:?}", self.calls()))
    }
}

impl Shared {
    fn update(&self, index: usize, change: impl FnOnce(&mut Call)) {
        change(&mut self.calls.lock().unwrap()[index]);
        self.changed.notify_waiters();
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    shared.connections.send_modify(|count| *count += 1);
    let mut builder = h2::server::Builder::new();
    if matches!(shared.reply, Reply::Shut) {
        builder.initial_window_size(0);
    }
    let Ok(mut connection) = builder.handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (head, body) = request.into_parts();
        let index = {
            let mut calls = shared.calls.lock().unwrap();
            let path = head.uri.path().to_owned();
            calls.push(Call { path, headers: head.headers, ..Call::default() });
            calls.len() - 1
        };
        shared.changed.notify_waiters();
        if matches!(shared.reply, Reply::Once) {
            connection.graceful_shutdown();
        }
        tokio::spawn(answer(body, respond, index, Arc::clone(&shared)));
    }
}

async fn answer(mut body: RecvStream, mut respond: SendResponse<Bytes>, index: usize, shared: Arc<Shared>) {
    let head = || Response::builder().header(GRPC.0, GRPC.1).body(()).unwrap();
    let mut out = match shared.reply {
        Reply::Echo => Some(respond.send_response(head(), false).unwrap()),
        _ => None,
    };
    if matches!(shared.reply, Reply::Shut) {
        let mut out = respond.send_response(head(), false).unwrap();
        let status = ("grpc-status".parse().unwrap(), HeaderValue::from_static("8"));
        out.send_trailers(HeaderMap::from_iter([status])).unwrap();
    }
    while let Some(data) = body.data().await {
        match data {
            Ok(data) => {
                body.flow_control().release_capacity(data.len()).unwrap();
                shared.update(index, |call| call.body.extend_from_slice(&data));
                if let Some(out) = &mut out {
                    out.send_data(data, false).unwrap();
                }
            }
            Err(error) => return shared.update(index, |call| call.reset = error.reason()),
        }
    }
    match body.trailers().await {
        Ok(trailers) => shared.update(index, |call| {
            call.complete = true;
            call.trailers = trailers.is_some();
        }),
        Err(error) => return shared.update(index, |call| call.reset = error.reason()),
    }
    match shared.reply {
        Reply::Never => std::future::pending().await,
        Reply::Shut => {}
        Reply::Unsaid => {
            let mut out = respond.send_response(head(), false).unwrap();
            out.send_data(framed(0, b"\x0a\x02hi").into(), true).unwrap();
        }
        Reply::Break(reason) => {
            let mut out = respond.send_response(head(), false).unwrap();
            out.send_data(Bytes::from_static(b"\0\0\0\0\x09half"), false).unwrap();
            // Until it has left.
            tokio::task::yield_now().await;
            out.send_reset(reason);
        }
        Reply::Tell => {
            let mut out = respond.send_response(head(), false).unwrap();
            out.send_data(framed(0, &text("ask bob@example.com")).into(), false).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("5"));
            trailers.insert("grpc-message", HeaderValue::from_static("no bob@example.com"));
            trailers.insert("grpc-status-details-bin", HeaderValue::from_static("Ym9i"));
            out.send_trailers(trailers).unwrap();
        }
        _ => {
            let mut out = out.unwrap_or_else(|| respond.send_response(head(), false).unwrap());
            if !matches!(shared.reply, Reply::Echo) {
                out.send_data(framed(0, b"\x0a\x02hi").into(), false).unwrap();
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            trailers.insert("x-after", HeaderValue::from_static("all"));
            out.send_trailers(trailers).unwrap();
        }
    }
}
