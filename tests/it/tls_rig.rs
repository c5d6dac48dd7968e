//! Certificates for tests, and clients behind TLS.

use crate::mounted::Mounted;
use crate::proxy_client::Client;
use crate::proxy_rig::Rig;
use crate::proxy_sink::{Answer, PATIENCE};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// When the certificate with number 0 ends: 2050-01-01, in Unix time.
pub(crate) const END: u64 = 2_524_608_000;

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub(crate) pem: String,
}

/// A certificate and its key.
pub(crate) struct Leaf {
    pub(crate) pem: String,
    pub(crate) key: String,
}

impl Leaf {
    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()]
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }

    /// As the files of a listener.
    pub(crate) fn files(&self) -> [(&str, &str); 2] {
        [("tls.crt", &self.pem), ("tls.key", &self.key)]
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for `localhost`, which ends so many seconds after [`END`].
    pub(crate) fn issue(&self, number: u64) -> Leaf {
        let end = date_time_ymd(2050, 1, 1) + Duration::from_secs(number);
        self.issue_with(|params| params.not_after = end)
    }

    /// One that has ended.
    pub(crate) fn issue_expired(&self) -> Leaf {
        self.issue_with(|params| params.not_after = date_time_ymd(2020, 1, 1))
    }

    fn issue_with(&self, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Leaf { pem: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        Arc::new(roots)
    }

    /// A server with a certificate of this authority, which asks for one of
    /// `clients`.
    pub(crate) fn server(&self, clients: Option<&Self>) -> ServerConfig {
        let leaf = self.issue(0);
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(clients.roots(), provider());
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        builder.with_single_cert(leaf.chain(), leaf.key()).unwrap()
    }

    /// A client that trusts this authority, speaks these protocols, and has a
    /// certificate or not.
    pub(crate) fn client(&self, protocols: &[&str], own: Option<&Leaf>) -> ClientConfig {
        self.client_of(&[&TLS13, &TLS12], protocols, own)
    }

    pub(crate) fn client_of(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&str],
        own: Option<&Leaf>,
    ) -> ClientConfig {
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots(), provider()).build().unwrap();
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_webpki_verifier(verifier);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(leaf) => builder.with_client_auth_cert(leaf.chain(), leaf.key()).unwrap(),
        };
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(crate) type TlsClient = Client<TlsStream<TcpStream>>;

/// Connects and shakes hands.
pub(crate) async fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<TlsClient> {
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::clone(config)).connect(name, stream).await
    };
    let stream = tokio::time::timeout(PATIENCE, connecting).await.expect("a handshake in time")?;
    Ok(Client::over(stream))
}

/// The section of a listener behind TLS.
pub(crate) fn listener(files: &Mounted) -> String {
    format!("[listener.tls]\ncert = '{}'\nkey = '{}'\n", files.file("tls.crt"), files.file("tls.key"))
}

/// A proxy behind TLS, before a sink.
pub(crate) struct TlsRig {
    pub(crate) authority: Authority,
    pub(crate) files: Mounted,
    pub(crate) rig: Rig,
}

impl TlsRig {
    pub(crate) async fn start() -> Self {
        Self::with("", None, Answer::Ok("ok")).await
    }

    /// With more sections of configuration; clients need a certificate of `clients`.
    pub(crate) async fn with(configuration: &str, clients: Option<&Authority>, answer: Answer) -> Self {
        let authority = Authority::new();
        let leaf = authority.issue(0);
        let clients = clients.map(|clients| ("clients.pem", clients.pem.as_str()));
        let files = Mounted::new(&[&leaf.files()[..], clients.as_slice()].concat());
        let mut tls = listener(&files);
        if clients.is_some() {
            tls += &format!("client_ca = '{}'\n", files.file("clients.pem"));
        }
        let rig = Rig::with(&format!("{tls}{configuration}"), answer).await;
        Self { authority, files, rig }
    }

    /// A client that trusts the proxy.
    pub(crate) async fn client(&self, protocols: &[&str]) -> TlsClient {
        self.connect(self.authority.client(protocols, None)).await.unwrap()
    }

    pub(crate) async fn connect(&self, config: ClientConfig) -> io::Result<TlsClient> {
        connect(self.rig.proxy.address, &Arc::new(config)).await
    }

    /// Waits until so many handshakes ended like this.
    pub(crate) async fn wait_for_outcome(&self, outcome: &str, count: u64) {
        self.rig.proxy.wait_for_metric(&format!("tls_handshakes_total{{outcome=\"{outcome}\"}}"), count).await;
    }
}
