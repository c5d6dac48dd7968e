//! Upstreams that answer before they have read the end of the request, and read
//! it slowly: nothing of it gets lost, whatever holds it meanwhile.

use crate::proxy_client::{Client, chunk, head};
use crate::proxy_rig::{JSON, Proxy};
use crate::proxy_sink::PATIENCE;
use crate::proxy_tls::{authority, proxy_trusting};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

/// So that little fits between the two.
const RECEIVE_BUFFER: u32 = 4 * 1024;

/// Body bytes of each request, as they came before the connection ended: all,
/// if the end of the request was among them.
type Bodies = mpsc::UnboundedReceiver<Result<usize, usize>>;

/// An upstream that answers when this much of a request's body is left.
struct Early {
    port: u16,
    status: u16,
    left: watch::Sender<usize>,
    bodies: Bodies,
}

fn listen() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(RECEIVE_BUFFER).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(16).unwrap()
}

/// What the system holds of what nobody reads.
async fn capacity() -> usize {
    let listener = listen();
    let writer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (_reader, _) = listener.accept().await.unwrap();
    let mut written = 0;
    writer.writable().await.unwrap();
    while let Ok(bytes) = writer.try_write(&[0; 16 * 1024]) {
        written += bytes;
    }
    written
}

impl Early {
    /// Over TLS if it has a configuration for that.
    fn start(status: u16, tls: Option<rustls::ServerConfig>) -> Self {
        let listener = listen();
        let port = listener.local_addr().unwrap().port();
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let (left, asked) = watch::channel(0);
        let (told, bodies) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, told, left) = (acceptor.clone(), told.clone(), asked.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => serve(stream, status, &left, &told).await,
                        Some(acceptor) => serve(acceptor.accept(stream).await.unwrap(), status, &left, &told).await,
                    }
                });
            }
        });
        Self { port, status, left, bodies }
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    status: u16,
    left: &watch::Receiver<usize>,
    told: &mpsc::UnboundedSender<Result<usize, usize>>,
) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = stream.read_u8().await else { return };
            head.push(byte);
        }
        let (mut answered, left) = (false, *left.borrow());
        let (mut count, mut end, mut piece) = (0, Vec::new(), [0; 4096]);
        let streamed = String::from_utf8_lossy(&head).contains("chunked");
        while count < LENGTH || (streamed && !end.ends_with(b"\r\n0\r\n\r\n")) {
            if !answered && LENGTH - count <= left {
                let answer = format!("HTTP/1.1 {status} Early\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                answered = true;
            }
            let read = match stream.read(&mut piece).await {
                Ok(bytes) if bytes > 0 => &piece[..bytes],
                _ => {
                    let _ = told.send(Err(count));
                    return;
                }
            };
            count += read.iter().filter(|byte| **byte == BYTE).count();
            end.extend_from_slice(read);
            end.drain(..end.len().saturating_sub(16));
            // The proxy is faster.
            tokio::task::yield_now().await;
        }
        let _ = told.send(Ok(count));
    }
}

/// More than the system holds.
const LENGTH: usize = 4_000_000;
/// No framing has it. Many of them are no JSON, and pass as they are.
const BYTE: u8 = b'"';

async fn send(proxy: &Proxy, streamed: bool) -> Vec<u8> {
    let (length, body) = (LENGTH.to_string(), vec![BYTE; LENGTH]);
    let framing = if streamed { ("transfer-encoding", "chunked") } else { ("content-length", length.as_str()) };
    let mut bytes = head("POST", "/", &[JSON, framing, ("connection", "close")]);
    bytes.extend(if streamed { [chunk(&body), chunk(b"")].concat() } else { body });
    let mut client = Client::connect(proxy.address).await;
    let (mut reader, mut writer) = tokio::io::split(&mut client.stream);
    let reading = async {
        let mut reply = Vec::new();
        reader.read_to_end(&mut reply).await.map(|_| reply)
    };
    let both = tokio::time::timeout(PATIENCE, async { tokio::join!(writer.write_all(&bytes), reading) });
    let (written, reply) = both.await.expect("a reply in time");
    written.unwrap();
    reply.unwrap()
}

async fn send_all(mut upstream: Early, proxy: Proxy, streamed: bool) {
    let capacity = capacity().await;
    assert!(capacity + AROUND < LENGTH, "{capacity}");
    for left in (capacity.saturating_sub(AROUND)..capacity + AROUND).step_by(STEP) {
        upstream.left.send_replace(left);
        let reply = send(&proxy, streamed).await;
        let told = tokio::time::timeout(PATIENCE, upstream.bodies.recv()).await.expect("a request in time");
        assert_eq!(told, Some(Ok(LENGTH)), "{left} left, {capacity} in between");
        let expected = format!("HTTP/1.1 {}", upstream.status);
        assert!(reply.starts_with(expected.as_bytes()), "{}", String::from_utf8_lossy(&reply));
    }
    // The same connection was used all the time.
    proxy.wait_for_metric("upstream_connections{route=\"default\",state=\"open\"}", 1).await;
}

/// What TLS holds, in addition to the system, is less.
const AROUND: usize = 192 * 1024;
const STEP: usize = 32 * 1024;

const BUFFERED: &str = "[limits]\nbuffer_limit = \"64MiB\"";
const STREAMED: &str = "[[route]]\npass = [\"application/json\"]";

async fn over_tcp(status: u16, configuration: &str) {
    let upstream = Early::start(status, None);
    let proxy = Proxy::start(configuration, &format!("http://127.0.0.1:{}", upstream.port)).await;
    send_all(upstream, proxy, configuration == STREAMED).await;
}

async fn over_tls(status: u16, configuration: &str) {
    let (pem, config) = authority();
    let upstream = Early::start(status, Some(config));
    let proxy = proxy_trusting(&pem, configuration, upstream.port).await;
    send_all(upstream, proxy, configuration == STREAMED).await;
}

#[tokio::test]
async fn a_buffered_body_arrives_whole_after_an_early_refusal() {
    over_tcp(413, BUFFERED).await;
    over_tls(413, BUFFERED).await;
}

#[tokio::test]
async fn a_buffered_body_arrives_whole_after_an_early_success() {
    over_tcp(200, BUFFERED).await;
    over_tls(200, BUFFERED).await;
}

#[tokio::test]
async fn a_streamed_body_arrives_whole_after_an_early_refusal() {
    over_tcp(413, STREAMED).await;
    over_tls(413, STREAMED).await;
}

#[tokio::test]
async fn a_streamed_body_arrives_whole_after_an_early_success() {
    over_tcp(200, STREAMED).await;
    over_tls(200, STREAMED).await;
}
