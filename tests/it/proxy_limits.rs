//! What is too much, too many or too slow.

use crate::grpc_rig::H2Client;
use crate::proxy_client::{Client, chunk, head, request};
use crate::proxy_rig::{JSON, Rig};
use crate::proxy_sink::{Answer, PATIENCE};
use std::time::Duration;

#[tokio::test]
async fn requests_over_the_limit_are_shed_and_the_place_is_given_again() {
    let rig = Rig::with("[limits]\nmax_requests = 1", Answer::Gated("ok")).await;
    let mut first = rig.client().await;
    first.send(&request("POST", "/", &[JSON], b"{}")).await;
    rig.sink.only().await;
    let reply = rig.post(&[JSON], b"{}").await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "overloaded"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    rig.sink.open_gate();
    assert_eq!(first.reply().await.status, 200);
    rig.proxy.wait_for_metric("inflight_requests{route=\"default\"}", 0).await;
    assert_eq!(rig.post(&[JSON], b"{}").await.status, 200);
}

#[tokio::test]
async fn buffered_bytes_over_the_budget_are_shed() {
    let rig = Rig::with(&small_budget("200ms"), Answer::Ok("ok")).await;
    let mut holding = rig.client().await;
    let large = head("POST", "/", &[JSON, ("content-length", "1000")]);
    holding.send(&large).await;
    holding.send(&[b'1'; 999]).await;
    rig.proxy.wait_for_metric("buffered_bytes", 999).await;
    let reply = rig.post(&[JSON], &[b'1'; 100]).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "memory_budget"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    rig.proxy.wait_for_metric("buffer_waits_total{outcome=\"failure\"}", 1).await;
    holding.send(b"1").await;
    assert_eq!(holding.reply().await.status, 200);
    rig.proxy.wait_for_metric("buffered_bytes", 0).await;
    assert_eq!(rig.post(&[JSON], &[b'1'; 100]).await.status, 200);
}

/// Room for one body of 1 KiB, and so long to wait for it.
fn small_budget(wait: &str) -> String {
    let limits = "[limits]\nbuffer_limit = \"1KiB\"\nmax_buffered = \"1KiB\"";
    format!("{limits}\n[timeouts]\nbuffer_wait = \"{wait}\"")
}

const WAITING: &str = "buffer_waiting_requests";

#[tokio::test]
async fn bodies_wait_for_room_one_after_the_other_and_none_is_shed() {
    let rig = Rig::with(&small_budget("1h"), Answer::Ok("ok")).await;
    let mut holding = rig.client().await;
    holding.send(&head("POST", "/", &[JSON, ("content-length", "1000")])).await;
    holding.send(&[b'1'; 999]).await;
    rig.proxy.wait_for_metric("buffered_bytes", 999).await;
    let mut waiting = Vec::new();
    for number in 1..=8 {
        let mut client = rig.client().await;
        client.send(&request("POST", "/", &[JSON], &[b'1'; 900])).await;
        rig.proxy.wait_for_metric(WAITING, number).await;
        waiting.push(client);
    }
    let h2 = H2Client::connect(rig.proxy.address).await;
    let (frames, headers) = ([&[b'1'; 900][..]], [JSON]);
    let over_h2 = h2.exchange("/", &headers, &frames);
    let others = async {
        rig.proxy.wait_for_metric(WAITING, 9).await;
        assert!(rig.sink.seen().is_empty());
        // One goes away; the others have its turn.
        drop(waiting.remove(2));
        holding.send(b"1").await;
        assert_eq!(holding.reply().await.status, 200);
        for client in &mut waiting {
            assert_eq!(client.reply().await.status, 200);
        }
    };
    let (ended, ()) = tokio::join!(over_h2, others);
    assert_eq!(ended.status, 200);
    rig.proxy.wait_for_metric("buffered_bytes", 0).await;
    rig.proxy.wait_for_metric(WAITING, 0).await;
}

#[tokio::test]
async fn bodies_that_all_hold_some_do_not_wait_for_each_other() {
    let limits = "[limits]\nbuffer_limit = \"512KiB\"\nmax_buffered = \"1MiB\"\n[timeouts]\nbuffer_wait = \"1h\"";
    let rig = Rig::with(limits, Answer::Ok("ok")).await;
    let body = vec![b'1'; 500_000];
    let mut clients = Vec::new();
    for number in 1..=12 {
        let mut client = rig.client().await;
        client.send(&head("POST", "/", &[JSON, ("content-length", "500000")])).await;
        client.send(&body[..80_000]).await;
        rig.proxy.wait_for_metric("buffered_bytes", number * 80_000).await;
        clients.push(client);
    }
    // An hour would pass if one waited for another.
    let mut answers = tokio::task::JoinSet::new();
    for mut client in clients {
        let rest = body[80_000..].to_vec();
        answers.spawn(async move {
            client.send(&rest).await;
            client.reply().await.status
        });
    }
    let statuses = answers.join_all().await;
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    let whole = statuses.iter().filter(|&&status| status == 200).count();
    assert!(whole >= 6, "only {whole} of 12 ended");
    rig.proxy.wait_for_metric("buffered_bytes", 0).await;
    rig.proxy.wait_for_metric(WAITING, 0).await;
}

#[tokio::test]
async fn the_time_that_a_body_waits_for_room_is_not_its_clients() {
    let time = Duration::from_secs(1);
    let rig = Rig::with(&(small_budget("1h") + "\nsmall_body = \"1s\""), Answer::Ok("ok")).await;
    let mut holding = rig.client().await;
    holding.send(&head("POST", "/", &[JSON, ("content-length", "1000")])).await;
    holding.send(&[b'1'; 999]).await;
    rig.proxy.wait_for_metric("buffered_bytes", 999).await;
    let mut client = rig.client().await;
    client.send(&head("POST", "/", &[JSON, ("content-length", "900")])).await;
    client.send(&[b'1'; 800]).await;
    rig.proxy.wait_for_metric(WAITING, 1).await;
    let over = tokio::time::Instant::now() + time;
    assert_eq!(holding.reply().await.code(), "body_timeout");
    // Without what it has waited for room its time would be over, too.
    tokio::time::sleep_until(over).await;
    client.send(&[b'1'; 100]).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn nothing_is_read_of_a_body_that_waits_for_room() {
    let limits = "[limits]\nbuffer_limit = \"32MiB\"\nmax_buffered = \"32MiB\"\n[timeouts]\nbuffer_wait = \"1h\"";
    let rig = Rig::with(limits, Answer::Ok("ok")).await;
    let mut holding = rig.client().await;
    let full = 32 * 1024 * 1024;
    holding.send(&head("POST", "/", &[JSON, ("content-length", &full.to_string())])).await;
    holding.send(&vec![b'1'; full - 1]).await;
    rig.proxy.wait_for_metric("buffered_bytes", full as u64 - 1).await;
    let mut client = rig.client().await;
    client.send(&head("POST", "/", &[JSON, ("content-length", &full.to_string())])).await;
    let mut sending = tokio::spawn(async move {
        client.send(&vec![b'1'; full]).await;
        client
    });
    rig.proxy.wait_for_metric(WAITING, 1).await;
    // More than the buffers on its way hold.
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut sending).await.is_err(), "the client waits, too");
    holding.send(b"1").await;
    assert_eq!(holding.reply().await.status, 200);
    assert_eq!(sending.await.unwrap().reply().await.status, 200);
}

#[tokio::test]
async fn when_all_hold_some_and_wait_one_is_shed_and_the_others_go_on() {
    let rig = Rig::with(&small_budget("300ms"), Answer::Ok("ok")).await;
    let mut clients = Vec::new();
    for held in 1..=4 {
        let mut client = rig.client().await;
        client.send(&head("POST", "/", &[JSON, ("content-length", "500")])).await;
        client.send(&[b'1'; 250]).await;
        rig.proxy.wait_for_metric("buffered_bytes", held * 250).await;
        clients.push(client);
    }
    let mut answers = Vec::new();
    for client in &mut clients {
        client.send(&[b'1'; 250]).await;
    }
    for client in &mut clients {
        answers.push(client.reply().await.status);
    }
    assert!(answers.contains(&200) && answers.iter().all(|status| [200, 503].contains(status)), "{answers:?}");
    rig.proxy.wait_for_metric("buffered_bytes", 0).await;
    assert_eq!(rig.post(&[JSON], &[b'1'; 900]).await.status, 200);
}

#[tokio::test]
async fn a_length_that_is_only_declared_takes_nothing_from_others() {
    let limits = "[limits]\nbuffer_limit = \"1KiB\"\nmax_buffered = \"1KiB\"";
    let rig = Rig::with(limits, Answer::Ok("ok")).await;
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let mut client = rig.client().await;
        client.send(&head("POST", "/", &[JSON, ("content-length", "1000")])).await;
        waiting.push(client);
    }
    rig.proxy.wait_for_metric("inflight_requests{route=\"default\"}", 8).await;
    assert_eq!(rig.post(&[JSON], &[b'1'; 900]).await.status, 200);
}

#[tokio::test]
async fn what_was_read_before_a_body_streams_is_given_back_once_it_has_left() {
    let rig = Rig::with("[limits]\nbuffer_limit = \"200KiB\"", Answer::Ok("ok")).await;
    let mut client = rig.client().await;
    client.send(&head("POST", "/", &[JSON, ("transfer-encoding", "chunked")])).await;
    client.send(&chunk(&vec![b'1'; 300_000])).await;
    // What a slice takes is left.
    rig.proxy.wait_for_metric("buffered_bytes", 64 * 1024).await;
    client.send(&chunk(b"")).await;
    assert_eq!(client.reply().await.status, 200);
    rig.proxy.wait_for_metric("buffered_bytes", 0).await;
}

#[tokio::test]
async fn a_small_body_has_its_time_even_if_it_never_stops() {
    let rig = Rig::with("[timeouts]\nsmall_body = \"200ms\"", Answer::Ok("ok")).await;
    let mut declared = rig.client().await;
    declared.send(&head("POST", "/", &[JSON, ("content-length", "1000")])).await;
    declared.send(b"[").await;
    let reply = declared.reply().await;
    assert_eq!((reply.status, reply.code().as_str()), (408, "body_timeout"));
    // One without a length may be long: it streams from then on.
    let mut open = rig.client().await;
    open.send(&head("POST", "/", &[JSON, ("transfer-encoding", "chunked")])).await;
    open.send(&chunk(b"[\"abc\", ")).await;
    rig.sink.wait("a head", |seen| seen.len() == 1).await;
    open.send(&chunk(b"1]")).await;
    open.send(&chunk(b"")).await;
    assert_eq!(open.reply().await.status, 200);
    assert_eq!(rig.sink.only().await.body, b"[\"abc\", 1]");
}

#[tokio::test]
async fn a_client_that_keeps_the_proxy_waiting_makes_room_for_one_that_finds_none() {
    let rig = Rig::with("[limits]\nmax_requests = 1", Answer::Ok("ok")).await;
    for (length, sent) in [("100", 2), ("1000000", 400_000)] {
        let mut slow = rig.client().await;
        slow.send(&head("POST", "/", &[JSON, ("content-length", length)])).await;
        slow.send(&vec![b'1'; sent]).await;
        rig.proxy.wait_for_metric("inflight_requests{route=\"default\"}", 1).await;
        let mut refused = 0;
        let served = async {
            loop {
                let reply = rig.post(&[JSON], b"{}").await;
                if reply.status == 200 {
                    break;
                }
                assert_eq!((reply.status, reply.code().as_str()), (503, "overloaded"));
                refused += 1;
            }
        };
        tokio::time::timeout(PATIENCE, served).await.expect("room in time");
        assert!(refused > 0, "it has some time");
        let reply = slow.reply().await;
        assert_eq!((reply.status, reply.code().as_str()), (503, "made_room"));
        rig.proxy.wait_for_metric("inflight_requests{route=\"default\"}", 0).await;
    }
}

#[tokio::test]
async fn dense_findings_take_no_more_memory_than_the_budget_sees() {
    let limits = "[limits]\nbuffer_limit = \"200KiB\"\nmax_buffered = \"300KiB\"";
    let rig = Rig::with(limits, Answer::Ok("ok")).await;
    let clean = format!("[{}1]", "\"abcdefg\",".repeat(18_000)).into_bytes();
    assert_eq!(rig.post(&[JSON], &clean).await.status, 200);
    // The output is made of copies, beside the body itself.
    let dense = format!("[{}1]", "\"a@b.co\",".repeat(20_000)).into_bytes();
    let reply = rig.post(&[JSON], &dense).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "memory_budget"));
    rig.proxy.wait_for_metric("buffered_bytes", 0).await;
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_a_place() {
    let rig = Rig::with("[limits]\nmax_connections = 1", Answer::Ok("ok")).await;
    let bytes = request("GET", "/", &[], b"");
    let mut first = rig.client().await;
    assert_eq!(first.exchange(&bytes).await.status, 200);
    let mut second = rig.client().await;
    second.send(&bytes).await;
    rig.proxy.wait_for_metric("listener_connections", 1).await;
    assert_eq!(first.exchange(&bytes).await.status, 200);
    assert_eq!(rig.sink.seen().len(), 2, "the second has not been served");
    drop(first);
    assert_eq!(second.reply().await.status, 200);
}

#[tokio::test]
async fn a_head_over_the_limit_is_refused() {
    let rig = Rig::with("[limits]\nmax_head = \"2KiB\"", Answer::Ok("ok")).await;
    let mut client = rig.client().await;
    let fits = "x".repeat(1000);
    let bytes = request("GET", "/", &[("x-long", &fits)], b"");
    assert_eq!(client.exchange(&bytes).await.status, 200);
    // A little too much: with a reason.
    let long = "x".repeat(2500);
    let reply = client.exchange(&request("GET", "/", &[("x-long", &long)], b"")).await;
    assert_eq!((reply.status, reply.code().as_str()), (431, "head_too_large"));
    // Too much to be read at all: hyper answers, and it is counted.
    let long = "x".repeat(100_000);
    client.try_send(&request("GET", "/", &[("x-long", &long)], b"")).await;
    assert_eq!(client.read_head().await.0, 431);
    assert_eq!(rig.sink.seen().len(), 1);
    let line = "refused_requests_total{reason=\"head_too_large\",route=\"none\"}";
    rig.proxy.wait_for_metric(line, 2).await;
    for method in ["GET", "other"] {
        let labels = format!("code=\"431\",method=\"{method}\",outcome=\"refused\",route=\"none\"");
        rig.proxy.wait_for_metric(&format!("requests_total{{{labels}}}"), 1).await;
    }
}

#[tokio::test]
async fn a_head_that_trickles_in_is_cut_off() {
    let timeouts = "[timeouts]\nhead = \"200ms\"\nkeep_alive = \"1h\"";
    let rig = Rig::with(timeouts, Answer::Ok("ok")).await;
    let mut client = rig.client().await;
    // After a whole request too: the time-out is one of each head.
    let bytes = request("GET", "/", &[], b"");
    assert_eq!(client.exchange(&bytes).await.status, 200);
    client.send(b"GET / HTTP/1.1\r\nhost: a\r\n").await;
    assert_eq!(client.rest().await.bytes, b"");
    assert_eq!(rig.sink.seen().len(), 1);
    closed(&rig, "head_timeout", 1).await;
}

/// Waits until so many connections were closed for this reason, and sees that none was
/// for another one.
async fn closed(rig: &Rig, reason: &str, count: u64) {
    rig.proxy.wait_for_metric(&format!("connections_closed_total{{reason=\"{reason}\"}}"), count).await;
    let text = rig.proxy.metrics.render();
    let lines = text.lines().filter(|line| line.starts_with("expurgate_connections_closed_total{"));
    let others: Vec<_> = lines.filter(|line| !line.contains(reason) && !line.ends_with(" 0")).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let timeouts = "[timeouts]\nhead = \"1h\"\nkeep_alive = \"200ms\"";
    let rig = Rig::with(timeouts, Answer::Ok("ok")).await;
    let mut unused = rig.client().await;
    assert_eq!(unused.rest().await.bytes, b"");
    let mut used = rig.client().await;
    let reply = used.exchange(&request("GET", "/", &[], b"")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(used.rest().await.bytes, b"");
    closed(&rig, "keep_alive_timeout", 2).await;
    let unused = H2Client::connect(rig.proxy.address).await;
    closed(&rig, "keep_alive_timeout", 3).await;
    drop(unused);
}

#[tokio::test]
async fn a_request_in_progress_is_not_an_idle_connection() {
    let timeouts = "[timeouts]\nhead = \"50ms\"\nkeep_alive = \"50ms\"\nresponse_head = \"300ms\"";
    let rig = Rig::with(timeouts, Answer::Gated("never")).await;
    let mut client = Client::connect(rig.proxy.address).await;
    // Were it cut off after 50 ms, there would be no answer.
    let reply = client.exchange(&request("GET", "/", &[], b"")).await;
    assert_eq!(reply.status, 504);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_response_is_cut_off() {
    // More than the sockets' buffers hold.
    let response: &'static str = Box::leak("x".repeat(32 * 1024 * 1024).into_boxed_str());
    let timeouts = "[timeouts]\nclient_write = \"100ms\"";
    let rig = Rig::with(timeouts, Answer::Ok(response)).await;
    let mut client = rig.client().await;
    client.send(&request("GET", "/", &[], b"")).await;
    let line = "failures_total{reason=\"response_not_read\",route=\"default\"}";
    rig.proxy.wait_for_metric(line, 1).await;
    rig.proxy.wait_for_metric("listener_connections", 0).await;
    closed(&rig, "write_timeout", 1).await;
}

#[tokio::test]
async fn a_client_that_takes_too_little_of_its_response_is_cut_off() {
    let response: &'static str = Box::leak("x".repeat(32 * 1024 * 1024).into_boxed_str());
    // Slower than anything that is on the same machine.
    let timeouts = "[timeouts]\nclient_write = \"2s\"\nclient_rate = \"100GB\"";
    let rig = Rig::with(timeouts, Answer::Ok(response)).await;
    let mut client = rig.client().await;
    client.send(&request("GET", "/", &[], b"")).await;
    let line = "failures_total{reason=\"response_too_slow\",route=\"default\"}";
    // It takes some, and again some.
    let mut buffer = vec![0; 256 * 1024];
    rig.proxy
        .until_metric(line, 1, async || {
            let reading = tokio::io::AsyncReadExt::read(&mut client.stream, &mut buffer);
            let _ = tokio::time::timeout(Duration::from_millis(50), reading).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        })
        .await;
    closed(&rig, "write_too_slow", 1).await;
}

#[tokio::test]
async fn a_stream_whose_client_takes_nothing_is_reset_for_that() {
    let response: &'static str = Box::leak("x".repeat(1024 * 1024).into_boxed_str());
    let rig = Rig::with("[timeouts]\nclient_write = \"100ms\"", Answer::Ok(response)).await;
    let client = H2Client::connect_as(rig.proxy.address, h2::client::Builder::new().initial_window_size(0)).await;
    let ended = client.exchange("/", &[JSON], &[b"{}"]).await;
    assert_eq!((ended.status, ended.reset), (200, Some(h2::Reason::CANCEL)));
    let line = "failures_total{reason=\"response_not_read\",route=\"default\"}";
    rig.proxy.wait_for_metric(line, 1).await;
}
