//! Upstreams behind TLS.

use crate::proxy_client::{Client, request};
use crate::proxy_rig::{JSON, Proxy};
use crate::proxy_sink::{Answer, Sink};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::io::Write;
use std::sync::Arc;

/// A certificate authority's certificate as PEM, and a server configuration
/// with a certificate of it for `localhost`.
pub(crate) fn authority() -> (String, ServerConfig) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (ca.pem(), config)
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
