//! Upstreams and clients that fail, stall or go away.

use crate::proxy_client::{Client, chunk, head, request};
use crate::proxy_drain::Running;
use crate::proxy_reload::next_line;
use crate::proxy_rig::{JSON, Proxy, Rig};
use crate::proxy_sink::{Answer, PATIENCE, silent};
use rustix::process::Signal;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SMALL: &[u8] = b"{\"a\": 1}";

async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn an_upstream_that_is_down_is_a_bad_gateway() {
    let nowhere = free_address().await;
    let proxy = Proxy::start("", &format!("http://{nowhere}")).await;
    let mut client = Client::connect(proxy.address).await;
    for _ in 0..2 {
        let reply = client.exchange(&request("POST", "/", &[JSON], SMALL)).await;
        let got = (reply.status, reply.code());
        assert_eq!(got, (502, "upstream_unreachable".to_owned()));
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    let line = "upstream_errors_total{kind=\"connect\",route=\"default\"}";
    proxy.wait_for_metric(line, 2).await;
    let line = "failures_total{reason=\"upstream_unreachable\",route=\"default\"}";
    proxy.wait_for_metric(line, 2).await;
    // Without a breaker, too.
    proxy.wait_for_metric("upstream_circuit_open{route=\"default\"}", 0).await;
}

#[tokio::test]
async fn the_cause_of_a_failure_is_in_the_log_once_with_the_request_that_met_it() {
    let nowhere = format!("http://{}", free_address().await);
    // Answers in HTTP/1.1 whatever it is asked.
    let old = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http1 = format!("http://{}", old.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = old.accept().await {
            tokio::spawn(async move {
                let mut head = [0; 24];
                let _ = stream.read_exact(&mut head).await;
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    for (upstream, http2, cause) in [
        (&nowhere, "false", "cannot connect: "),
        (&nowhere, "true", "cannot connect: "),
        // Told by whoever sees the answer first, who sends or who waits for the connection.
        (&http1, "true", "; does it speak HTTP/2?"),
    ] {
        let environment = [("EXPURGATE_ROUTE_0_HTTP2", http2), ("EXPURGATE_ROUTE_0_NAME", "up")];
        let mut running = Running::start_with(&["--upstream", upstream, "--listen", "127.0.0.1:0"], &environment).await;
        let mut ids = Vec::new();
        for _ in 0..3 {
            let mut client = Client::connect(running.address).await;
            let reply = client.exchange(&request("POST", "/", &[JSON], SMALL)).await;
            assert_eq!(reply.status, 502, "{}", reply.text());
            let reply: serde_json::Value = serde_json::from_str(reply.text()).unwrap();
            ids.push(reply["error"]["request_id"].clone());
        }
        let line = next_line(&mut running, |line| line["level"] == "WARN").await;
        assert_eq!((&line["message"], &line["route"]), (&"upstream failed".into(), &"up".into()), "{line}");
        assert_eq!(line["request_id"], ids[0], "{line}");
        let told = line["error"].as_str().unwrap();
        assert!(told.contains(cause), "{line}");
        running.signal(Signal::TERM);
        let (_, rest) = running.end().await;
        assert!(!rest.contains(told), "{rest}");
        assert!(rest.contains(ids[2].as_str().unwrap()), "{rest}");
    }
}

#[tokio::test]
async fn an_upstream_that_is_down_all_the_time_is_left_alone_until_it_answers() {
    let address = free_address().await;
    let route = "[[route]]\nbreaker.failures = 2\nbreaker.pause = \"300ms\"";
    let proxy = Proxy::start(route, &format!("http://{address}")).await;
    let code = async || {
        let mut client = Client::connect(proxy.address).await;
        let reply = client.exchange(&request("POST", "/", &[JSON], SMALL)).await;
        if reply.status == 200 { "ok".to_owned() } else { reply.code() }
    };
    let open = "upstream_circuit_open{route=\"default\"}";
    proxy.wait_for_metric(open, 0).await;
    assert_eq!(code().await, "upstream_unreachable");
    assert_eq!(code().await, "upstream_unreachable");
    proxy.wait_for_metric(open, 1).await;
    assert_eq!(code().await, "upstream_circuit_open");
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(SMALL) {
            stream.read_buf(&mut request).await.unwrap();
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        let _ = stream.read_buf(&mut request).await;
    });
    let again = async {
        while code().await != "ok" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("an answer in time");
    proxy.wait_for_metric(open, 0).await;
}

#[tokio::test]
async fn an_upstream_that_does_not_finish_the_handshake_is_a_gateway_timeout() {
    let (address, _kept) = silent().await;
    let timeouts = "[timeouts]\nconnect = \"100ms\"";
    let proxy = Proxy::start(timeouts, &format!("https://{address}")).await;
    let mut client = Client::connect(proxy.address).await;
    let reply = client.exchange(&request("POST", "/", &[JSON], SMALL)).await;
    let got = (reply.status, reply.code());
    assert_eq!(got, (504, "upstream_connect_timeout".to_owned()));
    assert_eq!(reply.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn an_upstream_that_does_not_answer_is_a_gateway_timeout() {
    let timeouts = "[timeouts]\nresponse_head = \"100ms\"";
    let rig = Rig::with(timeouts, Answer::Gated("late")).await;
    let reply = rig.post(&[JSON], SMALL).await;
    assert_eq!((reply.status, reply.code().as_str()), (504, "upstream_timeout"));
    let line = "upstream_errors_total{kind=\"timeout\",route=\"default\"}";
    rig.proxy.wait_for_metric(line, 1).await;
}

#[tokio::test]
async fn the_whole_exchange_may_be_limited() {
    let timeouts = "[timeouts]\nrequest = \"100ms\"";
    let rig = Rig::with(timeouts, Answer::Gated("late")).await;
    let reply = rig.post(&[JSON], SMALL).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "deadline"));
}

#[tokio::test]
async fn an_upstream_that_hangs_up_is_a_bad_gateway() {
    let rig = Rig::with("", Answer::Close).await;
    let reply = rig.post(&[JSON], SMALL).await;
    assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_broke"));
    assert_eq!(reply.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_response_that_breaks_never_ends_cleanly() {
    let rig = Rig::with("", Answer::Half("first")).await;
    let mut client = rig.client().await;
    client.send(&request("POST", "/", &[JSON], SMALL)).await;
    assert_eq!(client.read_head().await.0, 200);
    assert_eq!(client.read_chunk().await, b"first");
    rig.sink.open_gate();
    let rest = client.rest().await;
    assert!(rest.bytes.is_empty(), "no last chunk: {rest:?}");
    let line = "failures_total{reason=\"upstream_broke\",route=\"default\"}";
    rig.proxy.wait_for_metric(line, 1).await;
}

#[tokio::test]
async fn a_response_that_stalls_is_broken_off() {
    let timeouts = "[timeouts]\nresponse_idle = \"100ms\"";
    let rig = Rig::with(timeouts, Answer::Halves("first", "never")).await;
    let mut client = rig.client().await;
    client.send(&request("POST", "/", &[JSON], SMALL)).await;
    assert_eq!(client.read_head().await.0, 200);
    assert_eq!(client.read_chunk().await, b"first");
    assert_eq!(client.rest().await.bytes, b"", "no last chunk");
    let line = "failures_total{reason=\"upstream_idle_timeout\",route=\"default\"}";
    rig.proxy.wait_for_metric(line, 1).await;
    rig.proxy.wait_for_metric("upstream_errors_total{kind=\"idle_timeout\",route=\"default\"}", 1).await;
}

/// Starts a large body of which the upstream has seen a part.
async fn half_sent(rig: &Rig, framing: (&str, &str)) -> Client {
    let mut client = rig.client().await;
    client.send(&head("POST", "/", &[JSON, framing])).await;
    let data = vec![b'1'; 400_000];
    if framing.0 == "transfer-encoding" {
        client.send(&chunk(&data)).await;
    } else {
        client.send(&data).await;
    }
    let some = |seen: &[crate::proxy_sink::Seen]| seen.len() == 1 && !seen[0].body.is_empty();
    rig.sink.wait("the first part", some).await;
    client
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_breaks_the_upstream_request_off() {
    for framing in [("content-length", "1000000"), ("transfer-encoding", "chunked")] {
        let rig = Rig::start().await;
        let client = half_sent(&rig, framing).await;
        drop(client);
        let seen = rig.sink.wait("a break", |seen| seen[0].broken).await;
        assert!(!seen[0].complete, "{framing:?}");
    }
}

#[tokio::test]
async fn a_client_that_stalls_in_a_streaming_body_breaks_the_upstream_request_off() {
    // The upstream is not to blame, however short its time is.
    let timeouts = "[timeouts]\nbody_idle = \"300ms\"\nresponse_head = \"100ms\"";
    let rig = Rig::with(timeouts, Answer::Ok("ok")).await;
    let mut client = half_sent(&rig, ("content-length", "1000000")).await;
    let seen = rig.sink.wait("a break", |seen| seen[0].broken).await;
    assert!(!seen[0].complete);
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (408, "body_timeout"));
}

#[tokio::test]
async fn an_early_success_is_not_believed_when_the_rest_of_the_body_breaks() {
    let configuration = "[timeouts]\nbody_idle = \"200ms\"";
    let rig = Rig::with(configuration, Answer::Early(200, "already")).await;
    let mut client = half_sent(&rig, ("content-length", "1000000")).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (408, "body_timeout"));
    assert!(!rig.sink.wait("a break", |seen| seen[0].broken).await[0].complete);
}

/// The proxy says success only when the upstream got the whole request, however
/// that is framed.
#[tokio::test]
async fn an_early_success_is_not_believed_while_a_buffered_body_is_unsent() {
    let configuration = "[timeouts]\nresponse_head = \"300ms\"\n[limits]\nbuffer_limit = \"64MiB\"";
    let rig = Rig::with(configuration, Answer::EarlyAndStuck(200, "already")).await;
    // More than the buffers in between take.
    let reply = rig.post(&[JSON], &vec![b'1'; 50_000_000]).await;
    // The time-outs of the answer and of the connection are the same.
    assert!(matches!(reply.status, 502 | 504), "{}", reply.status);
    let rig = Rig::with(configuration, Answer::EarlyAndClose(200, "already")).await;
    let reply = rig.post(&[JSON], &vec![b'1'; 50_000_000]).await;
    assert_eq!((reply.status, reply.code().as_str()), (502, "upstream_broke"));
}

#[tokio::test]
async fn a_body_that_streams_after_the_deadline_is_broken_off() {
    let configuration = "[timeouts]\nrequest = \"300ms\"";
    let rig = Rig::with(configuration, Answer::Early(200, "already")).await;
    let mut client = half_sent(&rig, ("transfer-encoding", "chunked")).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "deadline"));
    client.try_send(&chunk(b"1")).await;
    client.try_send(&chunk(b"")).await;
    let seen = rig.sink.wait("a break", |seen| seen[0].broken).await;
    assert!(!seen[0].complete);
}

/// A body streams on after an early refusal, so its time is up there too.
#[tokio::test]
async fn a_body_that_streams_after_the_response_is_broken_off_at_the_deadline() {
    let configuration = "[timeouts]\nrequest = \"300ms\"";
    let rig = Rig::with(configuration, Answer::Early(413, "enough")).await;
    let mut client = half_sent(&rig, ("transfer-encoding", "chunked")).await;
    assert_eq!(client.reply().await.status, 413);
    let seen = rig.sink.wait("a break", |seen| seen[0].broken).await;
    assert!(!seen[0].complete);
    rig.proxy.wait_for_metric("failures_total{reason=\"deadline\",route=\"default\"}", 1).await;
}

/// How long an idle connection may live passes in the meantime, and so does the
/// time for a head: neither is meant for what is left of a body.
#[tokio::test]
async fn the_rest_of_a_body_whose_response_is_there_already_is_neither_idle_nor_a_head() {
    let configuration = "[timeouts]\nhead = \"100ms\"\nkeep_alive = \"100ms\"";
    for pass in ["", "\n[[route]]\npass = [\"application/json\"]"] {
        let rig = Rig::with(&(configuration.to_owned() + pass), Answer::Early(400, "early")).await;
        let mut client = half_sent(&rig, ("content-length", "1000000")).await;
        assert_eq!(client.reply().await.status, 400);
        for _ in 0..2 {
            // An idle connection of its own tells that the time is over.
            assert_eq!(rig.client().await.rest().await.bytes, b"");
            client.send(&vec![b'1'; 300_000]).await;
        }
        let seen = rig.sink.only().await;
        assert_eq!(seen.body.len(), 1_000_000);
        assert_eq!(client.rest().await.bytes, b"");
        rig.proxy.wait_for_metric("inflight_requests{route=\"default\"}", 0).await;
    }
}

#[tokio::test]
async fn an_upstream_that_has_answered_and_takes_no_more_is_given_up() {
    let configuration = "[timeouts]\nresponse_head = \"200ms\"";
    let rig = Rig::with(configuration, Answer::EarlyAndStuck(413, "enough")).await;
    let mut client = rig.client().await;
    client.send(&head("POST", "/", &[JSON, ("content-length", "100000000")])).await;
    client.send(b"[1,2,3,4").await;
    assert_eq!(client.reply().await.status, 413);
    // More than the buffers in between take.
    client.try_send(&vec![b'1'; 50_000_000]).await;
    for line in ["inflight_requests{route=\"default\"}", "upstream_connections{route=\"default\",state=\"open\"}"] {
        rig.proxy.wait_for_metric(line, 0).await;
    }
}

#[tokio::test]
async fn a_client_that_stalls_in_a_small_body_never_reaches_the_upstream() {
    let rig = Rig::with("[timeouts]\nbody_idle = \"100ms\"", Answer::Ok("ok")).await;
    let mut client = rig.client().await;
    let head = head("POST", "/", &[JSON, ("content-length", "100")]);
    client.send(&head).await;
    client.send(b"{\"a\"").await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (408, "body_timeout"));
    assert!(rig.sink.seen().is_empty());
}

#[tokio::test]
async fn a_client_that_sends_nothing_of_a_large_body_never_reaches_the_upstream() {
    let rig = Rig::with("[timeouts]\nbody_idle = \"100ms\"", Answer::Ok("ok")).await;
    let mut client = rig.client().await;
    client.send(&head("POST", "/", &[JSON, ("content-length", "1000000")])).await;
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (408, "body_timeout"));
    assert!(rig.sink.seen().is_empty());
}

/// So much that every byte comes too late, and none is idle.
const HURRY: &str = "[timeouts]\nbody_idle = \"300ms\"\nclient_rate = \"1GB\"\nresponse_head = \"1h\"";
const TOO_SLOW: &str = "failures_total{reason=\"body_too_slow\",route=\"default\"}";

#[tokio::test]
async fn a_client_that_drips_is_cut_off_though_it_is_never_silent() {
    let rig = Rig::with(HURRY, Answer::Ok("ok")).await;
    let mut small = rig.client().await;
    small.send(&head("POST", "/", &[JSON, ("content-length", "250000")])).await;
    rig.proxy.until_metric(TOO_SLOW, 1, async || small.try_send(b"1").await).await;
    let reply = small.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (408, "body_too_slow"));
    assert!(rig.sink.seen().is_empty());
    // One that streams, too, and the upstream gets no end of it.
    let mut large = half_sent(&rig, ("transfer-encoding", "chunked")).await;
    rig.proxy.until_metric(TOO_SLOW, 2, async || large.try_send(&chunk(b"1")).await).await;
    let reply = large.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (408, "body_too_slow"));
    assert!(!rig.sink.wait("a break", |seen| seen[0].broken).await[0].complete);
}

#[tokio::test]
async fn a_client_that_waits_for_the_upstream_is_not_slow() {
    let rig = Rig::with(HURRY, Answer::EarlyAndStuck(413, "enough")).await;
    let (mut stuck, mut slow) = (rig.client().await, rig.client().await);
    stuck.send(&head("POST", "/", &[JSON, ("content-length", "200000000")])).await;
    slow.send(&head("POST", "/", &[JSON, ("content-length", "250000")])).await;
    // More than the buffers in between take.
    let body = vec![b'1'; 100_000_000];
    tokio::select! {
        () = stuck.try_send(&body) => panic!("somebody took all of it"),
        // How long a slow client has, and more, passes meanwhile.
        () = rig.proxy.until_metric(TOO_SLOW, 1, async || slow.try_send(b"1").await) => {}
    }
    let reply = slow.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (408, "body_too_slow"));
    drop(slow);
    rig.proxy.wait_for_metric("inflight_requests{route=\"default\"}", 1).await;
    let metrics = rig.proxy.metrics.render();
    assert!(!metrics.contains("reason=\"body_timeout\"") && metrics.contains(&format!("{TOO_SLOW} 1\n")), "{metrics}");
}

#[tokio::test]
async fn a_client_that_goes_away_in_a_small_body_never_reaches_the_upstream() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    let head = head("POST", "/", &[JSON, ("content-length", "100")]);
    client.send(&head).await;
    client.send(b"{\"a\"").await;
    drop(client);
    let labels = "reason=\"incomplete_body\",route=\"default\"";
    let line = format!("failures_total{{{labels}}}");
    rig.proxy.wait_for_metric(&line, 1).await;
    assert!(rig.sink.seen().is_empty());
}

#[tokio::test]
async fn broken_chunk_framing_never_reaches_the_upstream() {
    let rig = Rig::start().await;
    let mut bytes = head("POST", "/", &[JSON, ("transfer-encoding", "chunked")]);
    bytes.extend(b"2\r\n{}\r\nnonsense\r\n");
    let reply = rig.client().await.exchange(&bytes).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "incomplete_body"));
    assert!(rig.sink.seen().is_empty());
}

#[tokio::test]
async fn a_client_that_says_no_more_gets_its_answer() {
    let rig = Rig::with("", Answer::Gated("late")).await;
    let long = format!("[{}1]", "1,".repeat(300_000));
    for (number, body) in [SMALL, long.as_bytes()].into_iter().enumerate() {
        let mut client = rig.client().await;
        client.send(&request("POST", "/", &[JSON], body)).await;
        client.stream.shutdown().await.unwrap();
        rig.sink.wait("the request", |seen| seen.len() == number + 1 && seen[number].complete).await;
        rig.sink.open_gate();
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.text()), (200, "late"));
        assert_eq!(client.rest().await.bytes, b"");
    }
    rig.proxy.wait_for_metric("listener_connections", 0).await;
}

#[tokio::test]
async fn a_client_that_says_no_more_in_the_middle_of_its_body_gets_no_answer_of_the_upstream() {
    let rig = Rig::start().await;
    let mut client = rig.client().await;
    let bytes = request("POST", "/", &[JSON], SMALL);
    client.send(&bytes[..bytes.len() - 2]).await;
    client.stream.shutdown().await.unwrap();
    let rest = client.rest().await;
    assert!(rest.bytes.is_empty() || rest.bytes.starts_with(b"HTTP/1.1 400 "), "{rest:?}");
    assert!(rig.sink.seen().is_empty());
    rig.proxy.wait_for_metric("listener_connections", 0).await;
}

#[tokio::test]
async fn a_client_that_does_not_wait_for_its_answer_is_counted() {
    let rig = Rig::with("", Answer::Gated("late")).await;
    let mut client = rig.client().await;
    client.send(&request("POST", "/", &[JSON], SMALL)).await;
    rig.sink.only().await;
    // One that only says no more may still wait.
    client.stream.set_zero_linger().unwrap();
    drop(client);
    let labels = "code=\"499\",method=\"POST\",outcome=\"failed\",route=\"default\"";
    let line = format!("requests_total{{{labels}}}");
    rig.proxy.wait_for_metric(&line, 1).await;
    let line = "failures_total{reason=\"client_gone\",route=\"default\"}";
    rig.proxy.wait_for_metric(line, 1).await;
    rig.proxy.wait_for_metric("inflight_requests{route=\"default\"}", 0).await;
}
