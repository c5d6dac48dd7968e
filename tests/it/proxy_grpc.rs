//! gRPC calls, frame by frame.

use crate::codings::gzip;
use crate::grpc_rig::{Call, CallSink, GRPC, H2Client, Reply, TRACES, framed, read, send, text};
use crate::proxy_client::{Client, head, request};
use crate::proxy_rig::Proxy;
use crate::proxy_sink::PATIENCE;
use crate::proxy_tls::{authority, proxy_trusting};
use bytes::Bytes;
use h2::Reason;
use hyper::header::{HeaderMap, HeaderValue};

/// A method of a service that nobody knows.
const TALK: &str = "/acme.agents.v1.Chat/Talk";

struct Rig {
    sink: CallSink,
    proxy: Proxy,
    client: H2Client,
}

impl Rig {
    async fn start(reply: Reply) -> Self {
        Self::with("", reply).await
    }

    async fn with(configuration: &str, reply: Reply) -> Self {
        let sink = CallSink::start(reply).await;
        let proxy = Proxy::start(configuration, &format!("http://{}", sink.address)).await;
        let client = H2Client::connect(proxy.address).await;
        Self { sink, proxy, client }
    }

    /// Waits for the only call.
    async fn only(&self, condition: impl Fn(&Call) -> bool) -> Call {
        self.sink.wait("the only call", |calls| calls.len() == 1 && condition(&calls[0])).await.remove(0)
    }
}

#[tokio::test]
async fn messages_arrive_redacted_however_they_are_cut() {
    let rig = Rig::start(Reply::Ok).await;
    let body = [framed(0, &text("ask bob@example.com")), framed(0, b""), framed(0, &text("clean"))].concat();
    let expected = [framed(0, &text("ask [EMAIL_ADDRESS]")), framed(0, b""), framed(0, &text("clean"))].concat();
    let mut cuts: Vec<Vec<&[u8]>> = (0..=body.len()).map(|at| vec![&body[..at], &body[at..]]).collect();
    cuts.push(body.chunks(1).collect());
    let count = cuts.len();
    for cut in cuts {
        let ended = rig.client.exchange(TALK, &[GRPC], &cut).await;
        assert_eq!((ended.status, ended.grpc(), ended.field("x-after")), (200, Some("0"), Some("all")));
        assert_eq!(ended.body, framed(0, b"\x0a\x02hi"));
    }
    let calls = rig.sink.calls();
    assert_eq!(calls.len(), count);
    for call in calls {
        assert_eq!((call.path.as_str(), call.complete), (TALK, true));
        assert_eq!(call.body.escape_ascii().to_string(), expected.escape_ascii().to_string());
        assert_eq!(call.headers.get("te").unwrap(), "trailers");
        assert!(call.headers.get("content-length").is_none());
    }
    assert_eq!(rig.sink.connections(), 1, "it is shared");
    let scanned = "scanned_bytes_total{format=\"grpc\",route=\"default\"}";
    assert!(rig.proxy.metrics.render().contains(scanned));
}

#[tokio::test]
async fn compressed_messages_stay_compressed() {
    let rig = Rig::start(Reply::Ok).await;
    let body = framed(1, &gzip(&text("ask bob@example.com")));
    let ended = rig.client.exchange(TALK, &[GRPC, ("grpc-encoding", "gzip")], &[&body]).await;
    assert_eq!(ended.grpc(), Some("0"));
    let call = rig.only(|call| call.complete).await;
    assert_eq!(call.headers.get("grpc-encoding").unwrap(), "gzip");
    assert_eq!(call.body[0], 1);
    assert_eq!(crate::codings::gunzip(&call.body[5..]), text("ask [EMAIL_ADDRESS]"));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_nothing_of_it_leaves() {
    let rig = Rig::start(Reply::Ok).await;
    let message = text("bob@example.com");
    let cut = &framed(0, &message)[..9];
    for (encoding, body, status, code) in [
        ("snappy", &framed(1, &message)[..], "12", "unsupported_content_encoding"),
        ("snappy", &framed(0, &message), "12", "unsupported_content_encoding"),
        ("identity", &framed(1, &message), "3", "corrupt_framing"),
        ("identity", &framed(7, &message), "3", "corrupt_framing"),
        ("identity", &framed(0, b"\xff"), "3", "corrupt_framing"),
        ("identity", cut, "3", "corrupt_framing"),
        ("gzip", &framed(1, &message), "3", "corrupt_content_encoding"),
    ] {
        let ended = rig.client.exchange(TALK, &[GRPC, ("grpc-encoding", encoding)], &[body]).await;
        assert_eq!((ended.status, ended.grpc()), (200, Some(status)), "{encoding} {ended:?}");
        assert!(ended.message().contains(code), "{}", ended.message());
        assert_eq!(ended.headers.get("content-type").unwrap(), "application/grpc");
    }
    assert!(rig.sink.calls().is_empty());
    let line = "requests_total{code=\"415\",method=\"POST\",outcome=\"refused\",route=\"default\"}";
    rig.proxy.wait_for_metric(line, 2).await;
}

#[tokio::test]
async fn a_call_may_be_as_slow_as_it_likes() {
    let timeouts = "[timeouts]\nbody_idle = \"300ms\"\nclient_rate = \"1GB\"";
    let rig = Rig::with(timeouts, Reply::Ok).await;
    let body = framed(0, &text("nothing to be found")).repeat(8000);
    let mut bytes = body.chunks(1);
    let (response, mut call) = rig.client.begin(TALK, &[GRPC]).await;
    // Another client shows that the time is over.
    let mut other = Client::connect(rig.proxy.address).await;
    other.send(&head("POST", "/", &[("content-length", "250000")])).await;
    let line = "failures_total{reason=\"body_too_slow\",route=\"default\"}";
    let drip = async || {
        other.try_send(b"1").await;
        call.send_data(Bytes::copy_from_slice(bytes.next().unwrap_or_default()), false).unwrap();
    };
    rig.proxy.until_metric(line, 1, drip).await;
    call.send_data(Bytes::copy_from_slice(&bytes.collect::<Vec<_>>().concat()), true).unwrap();
    let ended = tokio::time::timeout(PATIENCE, read(response)).await.unwrap();
    assert_eq!((ended.status, ended.grpc()), (200, Some("0")));
    assert_eq!(rig.only(|call| call.complete).await.body, body);
}

#[tokio::test]
async fn what_the_policy_blocks_is_denied() {
    let rig = Rig::with("[[route]]\n[route.policy]\nEMAIL_ADDRESS = \"block\"", Reply::Ok).await;
    let ended = rig.client.exchange(TALK, &[GRPC], &[&framed(0, &text("bob@example.com"))]).await;
    assert_eq!((ended.grpc(), ended.field("grpc-retry-pushback-ms")), (Some("7"), None));
    assert!(ended.message().contains("blocks EMAIL_ADDRESS"), "{}", ended.message());
    assert!(rig.sink.calls().is_empty());
}

#[tokio::test]
async fn a_call_that_is_refused_halfway_is_reset_and_never_ended() {
    let rig = Rig::with("[[route]]\n[route.policy]\nEMAIL_ADDRESS = \"block\"", Reply::Ok).await;
    let (response, mut stream) = rig.client.begin(TALK, &[GRPC]).await;
    send(&mut stream, &framed(0, &text("clean"))).await.unwrap();
    rig.only(|call| !call.body.is_empty()).await;
    send(&mut stream, &framed(0, &text("bob@example.com"))).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, read(response)).await.unwrap();
    assert_eq!(ended.grpc(), Some("7"), "{ended:?}");
    let call = rig.only(|call| call.reset.is_some()).await;
    assert_eq!((call.complete, call.body), (false, framed(0, &text("clean"))));
}

#[tokio::test]
async fn a_call_that_its_client_resets_is_reset() {
    for (reply, reason, rest) in [
        (Reply::Ok, Reason::CANCEL, &[0, 0][..]),
        (Reply::Echo, Reason::CANCEL, &[0, 0]),
        // That of a connection which is given up: hyper takes it for an end.
        (Reply::Ok, Reason::NO_ERROR, &[]),
        (Reply::Echo, Reason::NO_ERROR, &[]),
    ] {
        let rig = Rig::start(reply).await;
        let (_response, mut stream) = rig.client.begin(TALK, &[GRPC]).await;
        send(&mut stream, &[&framed(0, &text("clean"))[..], rest].concat()).await.unwrap();
        rig.only(|call| !call.body.is_empty()).await;
        stream.send_reset(reason);
        let call = rig.only(|call| call.reset.is_some()).await;
        assert!(!call.complete);
    }
}

#[tokio::test]
async fn a_response_that_breaks_ends_with_a_status() {
    let rig = Rig::start(Reply::Break(Reason::INTERNAL_ERROR)).await;
    let ended = rig.client.exchange(TALK, &[GRPC], &[&framed(0, b"")]).await;
    assert_eq!((ended.grpc(), ended.reset), (Some("14"), None), "{ended:?}");
    assert!(ended.message().contains("upstream_broke"));
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_unavailable() {
    let rig = Rig::with("[timeouts]\nresponse_head = \"200ms\"", Reply::Never).await;
    let ended = rig.client.exchange(TALK, &[GRPC], &[&framed(0, b"")]).await;
    assert_eq!((ended.grpc(), ended.field("grpc-retry-pushback-ms")), (Some("14"), Some("1000")));
    assert!(ended.message().contains("upstream_timeout"));
    let call = rig.only(|call| call.complete).await;
    assert!(call.reset.is_none(), "all of it had come");
}

#[tokio::test]
async fn an_answer_comes_before_the_call_ends() {
    let rig = Rig::start(Reply::Echo).await;
    let (response, mut stream) = rig.client.begin(TALK, &[GRPC]).await;
    // The server speaks first, to a client that has sent nothing.
    let response = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap();
    let mut body = response.into_body();
    for number in 0..3 {
        send(&mut stream, &framed(0, &text(&format!("{number} bob@example.com")))).await.unwrap();
        let expected = framed(0, &text(&format!("{number} [EMAIL_ADDRESS]")));
        let mut answer = Vec::new();
        while answer.len() < expected.len() {
            let data = tokio::time::timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap();
            answer.extend_from_slice(&data);
        }
        assert_eq!(answer, expected);
    }
    stream.send_data(Bytes::new(), true).unwrap();
    assert!(body.data().await.is_none());
    assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
}

#[tokio::test]
async fn trailers_of_a_call_are_not_sent_on_since_nobody_looks_into_them() {
    let rig = Rig::start(Reply::Ok).await;
    let (response, mut stream) = rig.client.begin(TALK, &[GRPC]).await;
    send(&mut stream, &framed(0, &text("clean"))).await.unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-mail", HeaderValue::from_static("bob@example.com"));
    stream.send_trailers(trailers).unwrap();
    let ended = tokio::time::timeout(PATIENCE, read(response)).await.unwrap();
    assert_eq!(ended.grpc(), Some("0"));
    assert!(!rig.only(|call| call.complete).await.trailers);
}

#[tokio::test]
async fn a_call_over_http1_is_refused() {
    let rig = Rig::start(Reply::Ok).await;
    let mut client = Client::connect(rig.proxy.address).await;
    let reply = client.exchange(&request("POST", TALK, &[GRPC], &framed(0, b""))).await;
    assert_eq!((reply.status, reply.code().as_str()), (415, "unsupported_media_type"));
    assert!(rig.sink.calls().is_empty());
}

#[tokio::test]
async fn a_connection_that_the_upstream_gives_up_is_replaced() {
    let rig = Rig::start(Reply::Once).await;
    for count in 1..4 {
        let ended = rig.client.exchange(TALK, &[GRPC], &[&framed(0, b"")]).await;
        assert_eq!(ended.grpc(), Some("0"), "{count}: {}", ended.message());
    }
    assert_eq!(rig.sink.calls().len(), 3);
}

#[tokio::test]
async fn answers_are_redacted_where_the_route_says_so() {
    let rig = Rig::with("[[route]]\nresponses = true\npolicy.default = \"mask\"", Reply::Tell).await;
    let ended = rig.client.exchange(TALK, &[GRPC, ("grpc-accept-encoding", "gzip")], &[&framed(0, b"")]).await;
    assert_eq!((ended.grpc(), ended.message()), (Some("5"), "no ***************"));
    assert_eq!((ended.body, ended.reset), (framed(0, &text("ask ***************")), None));
    assert!(ended.trailers.unwrap().get("grpc-status-details-bin").is_none());
    let call = rig.only(|call| call.complete).await;
    assert_eq!(call.headers.get("grpc-accept-encoding").unwrap(), "identity");
}

#[tokio::test]
async fn calls_do_not_stay_with_a_connection_on_which_nobody_answers() {
    let rig = Rig::start(Reply::Never).await;
    for count in 1..3 {
        let (_response, mut stream) = rig.client.begin(TALK, &[GRPC]).await;
        stream.send_data(framed(0, b"").into(), true).unwrap();
        rig.sink.wait("the call", |calls| calls.len() == count && calls[count - 1].complete).await;
        assert_eq!(rig.sink.connections(), count);
        // As long as a client may have waited.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        stream.send_reset(Reason::CANCEL);
        rig.proxy.wait_for_metric("inflight_requests{route=\"default\"}", 0).await;
    }
}

#[tokio::test]
async fn more_held_bytes_than_there_may_be_are_shed() {
    let rig = Rig::with("[limits]\nbuffer_limit = \"128KiB\"\nmax_buffered = \"160KiB\"", Reply::Ok).await;
    let body = framed(0, &[&[0x0a, 0xc0, 0xa9, 0x07][..], &[b'x'; 120_000]].concat());
    let ended = rig.client.exchange(TALK, &[GRPC], &[&body]).await;
    assert_eq!(ended.grpc(), Some("14"), "{ended:?}");
    assert!(ended.message().contains("memory_budget"));
    rig.proxy.wait_for_metric("buffered_bytes", 0).await;
}

#[tokio::test]
async fn over_tls_the_upstream_has_to_agree_to_http2() {
    for (protocols, expected) in [(&["h2", "http/1.1"][..], "0"), (&["http/1.1"], "14"), (&[], "14")] {
        let (pem, mut config) = authority();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let sink = CallSink::start_tls(Reply::Ok, Some(config)).await;
        let proxy = proxy_trusting(&pem, "", sink.address.port()).await;
        let client = H2Client::connect(proxy.address).await;
        let ended = client.exchange(TRACES, &[GRPC], &[&framed(0, b"")]).await;
        assert_eq!(ended.grpc(), Some(expected), "{protocols:?} {}", ended.message());
        assert_eq!(sink.calls().len(), usize::from(expected == "0"));
    }
}

/// A server that breaks, or something between, ends a stream so; a client that is
/// told of no status makes up its own.
#[tokio::test]
async fn a_call_that_ends_without_a_status_is_broken() {
    for configuration in ["", "[[route]]\nresponses = true"] {
        let rig = Rig::with(configuration, Reply::Unsaid).await;
        let ended = rig.client.exchange(TALK, &[GRPC], &[&framed(0, b"")]).await;
        assert_eq!((ended.status, ended.grpc()), (200, Some("14")), "{ended:?}");
        assert!(ended.message().contains("upstream_broke"), "{}", ended.message());
        rig.proxy.wait_for_metric("failures_total{reason=\"upstream_broke\",route=\"default\"}", 1).await;
    }
}

#[tokio::test]
async fn a_request_that_hangs_in_a_window_that_stays_shut_is_given_up_with_its_connection() {
    let rig = Rig::with("[timeouts]\nupstream_keep_alive = \"100ms\"", Reply::Shut).await;
    let ended = rig.client.exchange(TALK, &[GRPC], &[&framed(0, &text("hi"))]).await;
    assert_eq!((ended.status, ended.grpc()), (200, Some("8")));
    for gauge in ["upstream_connections{route=\"default\",state=\"open\"}", "inflight_requests{route=\"default\"}"] {
        rig.proxy.wait_for_metric(gauge, 0).await;
    }
}
