//! What happens when something breaks inside: faults that only a test build has
//! (see `content::fault`), seen from both ends of the proxy.

use super::idle::Timer;
use super::service::Proxy;
use crate::config::{Config, Flags, Sources};
use crate::content::fault;
use crate::metrics::Metrics;
use crate::rule::Ruleset;
use crate::scan::Engine;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(20);

struct Rig {
    upstream: TcpListener,
    client: TcpStream,
    metrics: Arc<Metrics>,
}

impl Rig {
    async fn start() -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let metrics = Arc::new(Metrics::new());
        let address = serve(&format!("http://{}", upstream.local_addr().unwrap()), &metrics).await;
        Self { upstream, client: TcpStream::connect(address).await.unwrap(), metrics }
    }

    async fn post(&mut self, body: &[u8]) {
        let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nconnection: close\r\n";
        let head = format!("{head}content-length: {}\r\n\r\n", body.len());
        self.client.write_all(head.as_bytes()).await.unwrap();
        self.client.write_all(body).await.unwrap();
    }

    async fn reply(&mut self) -> String {
        let mut reply = Vec::new();
        let reading = self.client.read_to_end(&mut reply);
        tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap();
        String::from_utf8(reply).unwrap()
    }

    /// All that reaches the upstream's first connection.
    async fn received(&mut self) -> Vec<u8> {
        let mut received = Vec::new();
        let reading = async {
            let (mut stream, _) = self.upstream.accept().await.unwrap();
            // A reset is an end too.
            let _ = stream.read_to_end(&mut received).await;
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap();
        received
    }
}

/// One connection to a proxy with the built-in rules.
async fn serve(upstream: &str, metrics: &Arc<Metrics>) -> SocketAddr {
    let flags = Flags { upstream: Some(upstream.to_owned()), ..Flags::default() };
    let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
    let engine = Engine::compile(Arc::new(Ruleset::builtin().unwrap())).unwrap();
    let proxy = Proxy::new(&config, &Arc::new(engine), Arc::clone(metrics)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = service_fn(|request| {
            let proxy = &proxy;
            async { Ok::<_, Infallible>(proxy.handle(request, None, &mut Timer::default()).await) }
        });
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    });
    address
}

/// A JSON string of about this length that ends with `end`.
fn body(length: usize, end: &[u8]) -> Vec<u8> {
    [b"\"", "x".repeat(length).as_bytes(), end, b"\""].concat()
}

const FAULTS: [(&[u8], &str); 2] = [(fault::ENGINE, "engine_failed"), (fault::BUG, "panic")];

#[tokio::test]
async fn a_fault_in_a_small_body_is_answered_and_nothing_reaches_the_upstream() {
    for (fault, code) in FAULTS {
        let mut rig = Rig::start().await;
        rig.post(&body(1000, fault)).await;
        let reply = rig.reply().await;
        assert!(reply.starts_with("HTTP/1.1 503 ") && reply.contains(code), "{reply}");
        let upstream = rig.upstream.into_std().unwrap();
        assert_eq!(upstream.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "nobody has connected");
    }
}

#[tokio::test]
async fn a_fault_in_a_streaming_body_breaks_the_upstream_request_off() {
    for (fault, code) in FAULTS {
        let mut rig = Rig::start().await;
        rig.post(&body(600_000, fault)).await;
        let received = rig.received().await;
        assert!(received.starts_with(b"POST / HTTP/1.1\r\n") && received.len() > 100_000);
        assert!(!received.ends_with(b"\r\n0\r\n\r\n"), "the request must not end cleanly");
        let reply = rig.reply().await;
        assert!(reply.starts_with("HTTP/1.1 503 ") && reply.contains(code), "{reply}");
        let blamed = format!("failures_total{{reason=\"{code}\",route=\"default\"}} 1\n");
        assert!(rig.metrics.render().contains(&blamed));
        assert!(!rig.metrics.render().contains("upstream_errors_total{"), "the upstream is not to blame");
    }
}
