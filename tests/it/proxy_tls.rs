//! Upstreams behind TLS.

use crate::mounted::Mounted;
use crate::proxy_client::{Client, request};
use crate::proxy_rig::{JSON, Proxy};
use crate::proxy_sink::{Answer, Sink};
use crate::tls_rig::Authority;
use rustls::ServerConfig;
use std::io::Write;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A certificate authority's certificate as PEM, and a server configuration
/// with a certificate of it for `localhost`.
pub(crate) fn authority() -> (String, ServerConfig) {
    let authority = Authority::new();
    let server = authority.server(None);
    (authority.pem, server)
}

/// A proxy before the port on `localhost`, whose certificate it trusts. Keys of
/// the route come last in `configuration`.
pub(crate) async fn proxy_trusting(pem: &str, configuration: &str, port: u16) -> Proxy {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(pem.as_bytes()).unwrap();
    let (sections, keys) = configuration.split_once("[[route]]").unwrap_or((configuration, ""));
    let configuration = format!("{sections}\n[[route]]\ntls.ca = '{}'{keys}", file.path().display());
    // The file is read at the start, and may go then.
    Proxy::start(&configuration, &format!("https://localhost:{port}")).await
}

#[tokio::test]
async fn an_upstream_with_a_trusted_certificate_is_reached() {
    let (pem, config) = authority();
    let sink = Sink::start_tls(Answer::Ok("over TLS"), config).await;
    let proxy = proxy_trusting(&pem, "", sink.address.port()).await;
    let mut client = Client::connect(proxy.address).await;
    for _ in 0..2 {
        let reply = client.exchange(&request("POST", "/", &[JSON], b"{}")).await;
        assert_eq!((reply.status, reply.text()), (200, "over TLS"));
    }
    assert_eq!(sink.connections(), 1, "the connection is kept");
    let host = format!("localhost:{}", sink.address.port());
    assert_eq!(sink.seen()[0].header("host"), Some(host.as_str()));
}

#[tokio::test]
async fn an_upstream_with_another_certificate_gets_nothing() {
    let (_, config) = authority();
    let (other, _) = authority();
    let sink = Sink::start_tls(Answer::Ok("never"), config).await;
    let proxy = proxy_trusting(&other, "", sink.address.port()).await;
    let mut client = Client::connect(proxy.address).await;
    let reply = client.exchange(&request("POST", "/", &[JSON], b"{}")).await;
    assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_unreachable"));
    assert!(sink.seen().is_empty());
}

#[tokio::test]
async fn an_upstream_that_asks_for_a_certificate_gets_ours_and_the_next_one_when_that_changes() {
    let (authority, clients, others) = (Authority::new(), Authority::new(), Authority::new());
    // One connection per request.
    let answer = Answer::Reply(200, vec![("connection", "close")], "ok");
    let sink = Sink::start_tls(answer, authority.server(Some(&clients))).await;
    let (right, wrong) = (clients.issue(1), others.issue(1));
    let ca = ("ca.pem", authority.pem.as_str());
    let mut files = Mounted::new(&[("tls.crt", &wrong.pem), ("tls.key", &wrong.key), ca]);
    let tls = [("ca", "ca.pem"), ("cert", "tls.crt"), ("key", "tls.key")]
        .map(|(key, name)| format!("tls.{key} = '{}'\n", files.file(name)));
    let upstream = format!("https://localhost:{}", sink.address.port());
    let proxy = Proxy::start(&format!("[[route]]\n{}", tls.concat()), &upstream).await;
    let mut client = Client::connect(proxy.address).await;
    let post = request("POST", "/", &[JSON], b"{}");
    assert_eq!(client.exchange(&post).await.status, 502);
    for (leaf, key, outcome, count, status) in
        [(&right, &right, "success", 1, 200), (&right, &wrong, "failure", 1, 200), (&wrong, &wrong, "success", 2, 502)]
    {
        files.set(&[("tls.crt", &leaf.pem), ("tls.key", &key.key), ca]);
        proxy.wait_for_metric(&format!("tls_certificate_reloads_total{{outcome=\"{outcome}\"}}"), count).await;
        assert_eq!(client.exchange(&post).await.status, status, "{outcome}");
    }
}

/// An upstream behind TLS that answers one request with a body without a length,
/// and tells the end of its connection or not.
async fn ends_with_its_connection(config: ServerConfig, tells: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"{}") {
            stream.read_buf(&mut request).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nall or half").await.unwrap();
        stream.flush().await.unwrap();
        if tells {
            stream.shutdown().await.unwrap();
        }
    });
    port
}

#[tokio::test]
async fn a_response_that_its_connection_ends_is_whole_only_if_that_was_told() {
    for tells in [true, false] {
        let (pem, config) = authority();
        let proxy = proxy_trusting(&pem, "", ends_with_its_connection(config, tells).await).await;
        let mut client = Client::connect(proxy.address).await;
        client.send(&request("POST", "/", &[JSON, ("connection", "close")], b"{}")).await;
        let rest = client.rest().await;
        let text = String::from_utf8_lossy(&rest.bytes);
        // Of a response that breaks at once nothing may come.
        let is_whole = text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("all or half\r\n0\r\n\r\n");
        assert_eq!(is_whole, tells, "{text}");
    }
}
