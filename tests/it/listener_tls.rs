//! Clients behind TLS.

use crate::grpc_rig::{CallSink, GRPC, H2Client, Reply as Answered, TRACES, framed, text};
use crate::mounted::Mounted;
use crate::proxy_client::{Client, Reply, chunk, head, request};
use crate::proxy_drain::Running;
use crate::proxy_rig::{JSON, Proxy};
use crate::proxy_sink::{Answer, PATIENCE, Sink};
use crate::tls_rig::{Authority, END, Leaf, TlsClient, TlsRig, connect, listener};
use rustix::process::Signal;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::AsyncWriteExt;

/// A method of a service that nobody knows.
const TALK: &str = "/acme.agents.v1.Chat/Talk";
const BODY: &[u8] = b"{\"to\": \"bob@example.com\"}";
const REDACTED: &[u8] = b"{\"to\": \"[EMAIL_ADDRESS]\"}";

async fn post(client: &mut TlsClient) -> Reply {
    client.exchange(&request("POST", "/", &[JSON], BODY)).await
}

#[tokio::test]
async fn tls_1_3_and_1_2_carry_the_protocol_that_was_agreed_on() {
    let rig = TlsRig::start().await;
    let address = rig.rig.proxy.address;
    for (version, name) in [(&TLS13, ProtocolVersion::TLSv1_3), (&TLS12, ProtocolVersion::TLSv1_2)] {
        for (offered, agreed) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["h2"], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&[], None),
        ] {
            let mut client = rig.connect(rig.authority.client_of(&[version], offered, None)).await.unwrap();
            let tls = client.stream.get_ref().1;
            assert_eq!(tls.protocol_version(), Some(name));
            assert_eq!(tls.alpn_protocol(), agreed.map(str::as_bytes));
            if agreed == Some("h2") {
                let client = H2Client::over(client.stream, address, &h2::client::Builder::new()).await;
                let ended = client.exchange("/", &[JSON], &[BODY]).await;
                assert_eq!((ended.status, &ended.body[..]), (200, &b"ok"[..]));
            } else {
                let reply = post(&mut client).await;
                assert_eq!((reply.status, reply.text()), (200, "ok"));
            }
        }
    }
    let seen = rig.rig.sink.wait("all", |seen| seen.len() == 8 && seen.iter().all(|one| one.complete)).await;
    assert!(seen.iter().all(|one| one.body == REDACTED));
    rig.wait_for_outcome("success", 8).await;
}

#[tokio::test]
async fn what_was_not_agreed_on_is_not_spoken() {
    let rig = TlsRig::start().await;
    for offered in [&[][..], &["http/1.1"]] {
        let mut client = rig.client(offered).await;
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
        let rest = client.rest().await;
        assert!(!rest.bytes.starts_with(b"\0\0"), "no frames of HTTP/2");
    }
    let mut client = rig.client(&["h2"]).await;
    client.send(&request("POST", "/", &[JSON], BODY)).await;
    assert!(!client.rest().await.bytes.starts_with(b"HTTP"));
    assert!(rig.connect(rig.authority.client(&["spdy/3"], None)).await.is_err());
    rig.wait_for_outcome("incompatible", 1).await;
    assert!(rig.rig.sink.seen().is_empty());
}

#[tokio::test]
async fn a_grpc_call_goes_through_redacted() {
    let (authority, sink) = (Authority::new(), CallSink::start(Answered::Ok).await);
    let files = Mounted::new(&authority.issue(0).files());
    let proxy = Proxy::start(&listener(&files), &format!("http://{}", sink.address)).await;
    let client = connect(proxy.address, &Arc::new(authority.client(&["h2"], None))).await.unwrap();
    let client = H2Client::over(client.stream, proxy.address, &h2::client::Builder::new()).await;
    let ended = client.exchange(TALK, &[GRPC], &[&framed(0, &text("to bob@example.com"))]).await;
    assert_eq!(ended.grpc(), Some("0"), "{}", ended.message());
    assert_eq!(sink.calls()[0].body, framed(0, &text("to [EMAIL_ADDRESS]")));
}

/// Whether a client that connects like this is served. With TLS 1.3 it hears of a
/// refusal after its handshake only.
async fn is_served(rig: &TlsRig, config: ClientConfig) -> bool {
    let Ok(mut client) = rig.connect(config).await else { return false };
    client.try_send(&request("POST", "/", &[JSON, ("connection", "close")], BODY)).await;
    let rest = client.rest().await;
    rest.bytes.starts_with(b"HTTP/1.1 200 ")
}

#[tokio::test]
async fn clients_need_a_certificate_of_the_configured_authority() {
    let (clients, others) = (Authority::new(), Authority::new());
    let rig = TlsRig::with("", Some(&clients), Answer::Ok("ok")).await;
    for version in [&TLS13, &TLS12] {
        let config = |own: Option<&Leaf>| rig.authority.client_of(&[version], &[], own);
        assert!(is_served(&rig, config(Some(&clients.issue(1)))).await);
        assert!(!is_served(&rig, config(None)).await);
        assert!(!is_served(&rig, config(Some(&others.issue(1)))).await);
        assert!(!is_served(&rig, config(Some(&clients.issue_expired()))).await);
    }
    rig.wait_for_outcome("success", 2).await;
    rig.wait_for_outcome("client_certificate", 6).await;
    assert_eq!(rig.rig.sink.seen().len(), 2);
}

#[tokio::test]
async fn a_client_that_does_not_trust_the_certificate_is_counted() {
    let rig = TlsRig::start().await;
    let other = Authority::new();
    assert!(rig.connect(other.client(&[], None)).await.is_err());
    rig.wait_for_outcome("refused_by_client", 1).await;
}

#[tokio::test]
async fn a_slow_handshake_ends_in_time_and_hinders_nobody() {
    let rig = TlsRig::with("[timeouts]\nhead = \"300ms\"", None, Answer::Ok("ok")).await;
    let mut slow = Vec::new();
    for begin in [&b""[..], b"\x16", b"\x16\x03\x01\x02\0\x01\0"] {
        let mut client = Client::connect(rig.rig.proxy.address).await;
        client.send(begin).await;
        slow.push(client);
    }
    assert_eq!(post(&mut rig.client(&[]).await).await.status, 200);
    for client in &mut slow {
        assert_eq!(client.rest().await.bytes, b"");
    }
    rig.wait_for_outcome("timeout", 3).await;
    // Who goes away is not slow.
    drop(Client::connect(rig.rig.proxy.address).await);
    rig.wait_for_outcome("closed", 1).await;
    rig.rig.proxy.wait_for_metric("listener_connections", 0).await;
}

#[tokio::test]
async fn a_handshake_counts_as_a_connection() {
    let limits = "[limits]\nmax_connections = 1\n[timeouts]\nhead = \"300ms\"";
    let rig = TlsRig::with(limits, None, Answer::Ok("ok")).await;
    let _slow = Client::connect(rig.rig.proxy.address).await;
    rig.rig.proxy.wait_for_metric("listener_connections", 1).await;
    assert_eq!(post(&mut rig.client(&[]).await).await.status, 200);
    // So the other one had to wait for its end.
    rig.wait_for_outcome("timeout", 1).await;
}

#[tokio::test]
async fn plain_text_is_told_to_use_tls_and_goes_nowhere() {
    let rig = TlsRig::start().await;
    let reply = rig.rig.post(&[JSON], BODY).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "tls_required"));
    let client = H2Client::connect(rig.rig.proxy.address).await;
    assert_eq!(client.exchange("/", &[JSON], &[BODY]).await.status, 400);
    let ended = client.exchange(TRACES, &[GRPC], &[&framed(0, b"")]).await;
    assert_eq!(ended.grpc(), Some("3"));
    rig.wait_for_outcome("not_tls", 2).await;
    rig.rig.proxy.wait_for_metric("refused_requests_total{reason=\"tls_required\",route=\"none\"}", 3).await;
    let mut garbage = rig.rig.client().await;
    garbage.send(b"SSH-2.0-x\r\n\r\n").await;
    assert!(garbage.rest().await.bytes.starts_with(b"HTTP/1.1 400 "));
    let mut broken = rig.rig.client().await;
    broken.send(b"\x16\x03\x01\0\x04\xff\xff\xff\xff").await;
    assert!(!broken.rest().await.bytes.starts_with(b"HTTP"));
    rig.wait_for_outcome("failure", 1).await;
    assert!(rig.rig.sink.seen().is_empty());
}

#[tokio::test]
async fn a_request_that_is_cut_off_is_not_complete_however_it_is_cut() {
    let rig = TlsRig::start().await;
    let long = format!("{{\"pad\": \"{}", "x".repeat(1 << 20));
    let begin = |headers: &[(&str, &str)], body: &[u8]| [&head("POST", "/", headers), body].concat();
    for (number, text) in [BODY, long.as_bytes()].into_iter().enumerate() {
        let length = (text.len() + 1).to_string();
        for (header, body) in
            [(("transfer-encoding", "chunked"), chunk(text)), (("content-length", length.as_str()), text.to_vec())]
        {
            for says_so in [true, false] {
                let mut client = rig.client(&[]).await;
                client.send(&begin(&[JSON, header], &body)).await;
                rig.rig.proxy.wait_for_metric("inflight_requests{route=\"default\"}", 1).await;
                if says_so {
                    client.stream.shutdown().await.unwrap();
                }
                // Without a word otherwise.
                drop(client);
                rig.rig.proxy.wait_for_metric("inflight_requests{route=\"default\"}", 0).await;
                rig.rig.proxy.wait_for_metric("listener_connections", 0).await;
            }
        }
        let seen = rig.rig.sink.wait("all broken", |seen| seen.iter().all(|one| one.broken)).await;
        assert!(seen.len() <= 4 * number && seen.iter().all(|one| !one.complete), "{}", seen.len());
    }
}

#[tokio::test]
async fn the_end_of_a_connection_is_told_unless_the_response_broke() {
    let http_1_0 = &b"GET / HTTP/1.0\r\nhost: a\r\n\r\n"[..];
    let http_1_1 = &request("GET", "/", &[("connection", "close")], b"")[..];
    for request in [http_1_0, http_1_1] {
        for (answer, breaks) in
            [(Answer::Ok("all"), false), (Answer::Halves("a", "ll"), false), (Answer::Half("a"), true)]
        {
            let rig = TlsRig::with("", None, answer.clone()).await;
            let mut client = rig.client(&[]).await;
            client.send(request).await;
            assert_eq!(client.read_head().await.0, 200);
            rig.rig.sink.open_gate();
            let rest = client.rest().await;
            assert_eq!(rest.broken, breaks, "{answer:?}: {}", String::from_utf8_lossy(&rest.bytes));
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_its_response_is_cut_off() {
    let response: &'static str = Box::leak("x".repeat(32 * 1024 * 1024).into_boxed_str());
    let rig = TlsRig::with("[timeouts]\nclient_write = \"100ms\"", None, Answer::Ok(response)).await;
    let mut client = rig.client(&[]).await;
    client.send(&request("GET", "/", &[], b"")).await;
    rig.rig.proxy.wait_for_metric("failures_total{reason=\"response_not_read\",route=\"default\"}", 1).await;
    rig.rig.proxy.wait_for_metric("listener_connections", 0).await;
}

#[tokio::test]
async fn a_drain_does_not_wait_for_who_says_nothing() {
    let rig = TlsRig::with("[timeouts]\ndrain_grace = \"1ms\"\nhead = \"1h\"", None, Answer::Ok("ok")).await;
    let _shaking = Client::connect(rig.rig.proxy.address).await;
    let mut idle = Vec::new();
    for protocols in [&[][..], &["http/1.1"], &["h2"]] {
        idle.push(rig.client(protocols).await);
    }
    let mut used = rig.client(&[]).await;
    assert_eq!(post(&mut used).await.status, 200);
    rig.rig.proxy.wait_for_metric("listener_connections", 5).await;
    rig.rig.proxy.stop.send(()).await.unwrap();
    assert!(!used.rest().await.broken);
    tokio::time::timeout(PATIENCE, rig.rig.proxy.running).await.expect("it ends").unwrap();
}

#[tokio::test]
async fn sessions_resume_where_clients_need_no_certificate() {
    use HandshakeKind::{Full, Resumed};
    let clients = Authority::new();
    for (authority, second) in [(None, Resumed), (Some(&clients), Full)] {
        let rig = TlsRig::with("", authority, Answer::Ok("ok")).await;
        let own = authority.map(|authority| authority.issue(1));
        for version in [&TLS13, &TLS12] {
            let config = Arc::new(rig.authority.client_of(&[version], &[], own.as_ref()));
            for expected in [Full, second] {
                let mut client = connect(rig.rig.proxy.address, &config).await.unwrap();
                assert_eq!(post(&mut client).await.status, 200);
                assert_eq!(client.stream.get_ref().1.handshake_kind(), Some(expected));
            }
        }
    }
}

#[tokio::test]
async fn who_is_trusted_no_more_is_not_served_again() {
    let (clients, others) = (Authority::new(), Authority::new());
    let mut rig = TlsRig::with("", Some(&clients), Answer::Ok("ok")).await;
    let config = Arc::new(rig.authority.client(&[], Some(&clients.issue(1))));
    assert_eq!(post(&mut connect(rig.rig.proxy.address, &config).await.unwrap()).await.status, 200);
    let leaf = rig.authority.issue(0);
    rig.files.set(&[&leaf.files()[..], &[("clients.pem", &others.pem)]].concat());
    rig.rig.proxy.wait_for_metric("tls_certificate_reloads_total{outcome=\"success\"}", 1).await;
    assert!(!is_served(&rig, Arc::unwrap_or_clone(config)).await, "its authority is trusted no more");
    assert!(is_served(&rig, rig.authority.client(&[], Some(&others.issue(1)))).await);
}

/// The real binary behind TLS.
async fn start(sink: &Sink, files: &Mounted) -> Running {
    let (cert, key) = (files.file("tls.crt"), files.file("tls.key"));
    Running::start(sink, &[("EXPURGATE_LISTENER_TLS_CERT", &cert), ("EXPURGATE_LISTENER_TLS_KEY", &key)]).await
}

/// Waits until the metrics have a line.
async fn wait_for(admin: &mut Client, line: &str) {
    let metrics = request("GET", "/metrics", &[], b"");
    let waiting = async { while !admin.exchange(&metrics).await.text().contains(&format!("expurgate_{line}\n")) {} };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{line} never came"));
}

async fn wait_for_certificate(admin: &mut Client, number: u64) {
    let end = END + number;
    let line = format!("tls_certificate_not_after_timestamp_seconds{{listener=\"127.0.0.1:0\"}} {end}");
    wait_for(admin, &line).await;
}

/// The certificate that a new connection sees.
async fn shown(address: SocketAddr, config: &Arc<ClientConfig>) -> Vec<u8> {
    let client = connect(address, config).await.unwrap();
    client.stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// Sends requests until told to stop, each on a connection of its own or all on
/// one; how many.
async fn load(address: SocketAddr, config: Arc<ClientConfig>, keeps: bool, over: Arc<AtomicBool>) -> usize {
    let mut client = connect(address, &config).await.unwrap();
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        if !keeps {
            client = connect(address, &config).await.unwrap();
        }
        assert_eq!(post(&mut client).await.status, 200);
        sent += 1;
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_rotations_under_load_lose_nothing() {
    let authority = Authority::new();
    let sink = Sink::start(Answer::Ok("ok")).await;
    let mut files = Mounted::new(&authority.issue(0).files());
    let mut running = start(&sink, &files).await;
    let log = running.take_log();
    let over = Arc::new(AtomicBool::new(false));
    let config = Arc::new(authority.client(&[], None));
    let clients: Vec<_> = [true, false, false]
        .map(|keeps| tokio::spawn(load(running.address, Arc::clone(&config), keeps, Arc::clone(&over))))
        .into();
    let mut admin = Client::connect(running.admin).await;
    for number in 1..=100 {
        let leaf = authority.issue(number);
        files.set(&leaf.files());
        // Every tenth is found without being told.
        if number % 10 != 0 {
            running.signal(Signal::HUP);
        }
        wait_for_certificate(&mut admin, number).await;
        assert_eq!(shown(running.address, &config).await, leaf.chain()[0].to_vec());
    }
    over.store(true, Ordering::Relaxed);
    let mut sent = 0;
    for client in clients {
        sent += client.await.unwrap();
    }
    let seen = sink.wait("all requests", |seen| seen.len() == sent && seen.iter().all(|one| one.complete)).await;
    assert!(seen.len() > 100 && seen.iter().all(|one| one.body == REDACTED), "{}", seen.len());
    running.signal(Signal::TERM);
    assert_eq!(running.end().await.0, Some(0));
    assert!(!log.await.unwrap().contains("ERROR"));
}

#[tokio::test]
async fn a_bad_pair_is_told_and_the_old_one_stays() {
    let authority = Authority::new();
    let sink = Sink::start(Answer::Ok("ok")).await;
    let (first, second, expired) = (authority.issue(1), authority.issue(2), authority.issue_expired());
    let mut files = Mounted::new(&first.files());
    let mut running = start(&sink, &files).await;
    let log = running.take_log();
    let mut admin = Client::connect(running.admin).await;
    let config = Arc::new(authority.client(&[], None));
    let (cut, garbled) = (&second.key[..second.key.len() / 2], second.key.replace('M', "-"));
    let bad = [
        [("tls.crt", first.pem.as_str()), ("tls.key", second.key.as_str())],
        [("tls.crt", &second.pem), ("other", "")],
        [("tls.crt", &second.pem), ("tls.key", cut)],
        [("tls.crt", &second.pem), ("tls.key", &garbled)],
        [("tls.crt", &second.pem), ("tls.key", &second.pem)],
        [("tls.crt", &second.key), ("tls.key", &second.key)],
        [("tls.crt", ""), ("tls.key", &second.key)],
    ];
    for (number, bad) in bad.iter().enumerate() {
        files.set(bad);
        running.signal(Signal::HUP);
        wait_for(&mut admin, &format!("tls_certificate_reloads_total{{outcome=\"failure\"}} {}", number + 1)).await;
        assert_eq!(shown(running.address, &config).await, first.chain()[0].to_vec());
    }
    wait_for_certificate(&mut admin, 1).await;
    files.set(&expired.files());
    running.signal(Signal::HUP);
    wait_for(&mut admin, "tls_certificate_reloads_total{outcome=\"success\"} 1").await;
    assert!(connect(running.address, &config).await.is_err(), "the client looks at the date");
    files.set(&second.files());
    running.signal(Signal::HUP);
    wait_for_certificate(&mut admin, 2).await;
    assert_eq!(shown(running.address, &config).await, second.chain()[0].to_vec());
    running.signal(Signal::TERM);
    assert_eq!(running.end().await.0, Some(0));
    let log = log.await.unwrap();
    assert_eq!(log.matches("the new certificates are not used; the old ones stay").count(), bad.len(), "{log}");
    assert_eq!(log.matches("the certificate has expired").count(), 1, "{log}");
    for expected in
        ["tls.key is not the key of the first certificate in ", "tls.key cannot be read: ", "is not valid PEM"]
    {
        assert!(log.contains(expected), "{expected}: {log}");
    }
    for line in second.key.lines() {
        assert!(!log.contains(line), "no line of the key");
    }
}
