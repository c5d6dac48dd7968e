//! Bodies made of parts arrive whole, each part redacted by its own type.

use crate::proxy_rig::Rig;
use crate::proxy_sink::Answer;

const FORM: (&str, &str) = ("content-type", "multipart/form-data; boundary=\"aB:c\"");

fn multipart(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (head, content) in parts {
        body.extend_from_slice(format!("--aB:c\r\n{head}\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    [&body[..], b"--aB:c--\r\n"].concat()
}

#[tokio::test]
async fn a_small_form_arrives_redacted_with_its_exact_length() {
    let field = "Content-Disposition: form-data; name=\"password\"";
    let file = |name: &str| format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
    let run = |length: usize| format!("Content-Type: application/json; length={length}");
    let rig = Rig::start().await;
    let body = multipart(&[
        (field, b"hunter2"),
        (&file("bob@example.com"), b"{\"a\": \"bob@example.com\"}"),
        (&run(21), b"{\"a\":\"bob@example.com\"}"),
    ]);
    assert_eq!(rig.post(&[FORM], &body).await.status, 200);
    let seen = rig.sink.only().await;
    let expected = multipart(&[
        (field, b"[PASSWORD]"),
        (&file("[EMAIL_ADDRESS]"), b"{\"a\": \"[EMAIL_ADDRESS]\"}"),
        (&run(23), b"{\"a\":\"[EMAIL_ADDRESS]\"}"),
    ]);
    assert_eq!(String::from_utf8_lossy(&seen.body), String::from_utf8_lossy(&expected));
    assert_eq!(seen.header("content-length"), Some(expected.len().to_string().as_str()));
}

#[tokio::test]
async fn a_large_form_streams() {
    let text = "to bob@example.com\r\n".repeat(50_000);
    let body = |length: usize, text: &str| {
        let head = format!("Content-Type: text/plain\r\nContent-Length: {length}");
        multipart(&[("Content-Disposition: form-data; name=a", text.as_bytes()), (&head, text.as_bytes())])
    };
    let rig = Rig::start().await;
    assert_eq!(rig.post(&[FORM], &body(text.len(), &text)).await.status, 200);
    let seen = rig.sink.only().await;
    let [labels, masks] = ["[EMAIL_ADDRESS]", "***************"].map(|new| text.replace("bob@example.com", new));
    let head = format!("Content-Type: text/plain\r\nContent-Length: {}", text.len());
    let expected = [("Content-Disposition: form-data; name=a", labels.as_bytes()), (&head, masks.as_bytes())];
    assert!(seen.body == multipart(&expected));
    assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
    // Its length has left when it turns out to be wrong.
    let rig = Rig::start().await;
    let reply = rig.post(&[FORM], &body(1, &text)).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "corrupt_framing"));
    assert!(rig.sink.wait("a break", |seen| seen.iter().all(|seen| seen.broken)).await.iter().all(|s| !s.complete));
}

#[tokio::test]
async fn a_binary_part_passes_where_the_route_lists_its_type() {
    let image = ("Content-Type: image/png", &b"\x89PNG\r\n\x1a\n\0\xff"[..]);
    let field = "Content-Disposition: form-data; name=\"password\"";
    let rig = Rig::with("[[route]]\npass = [\"image/png\"]", Answer::Ok("ok")).await;
    assert_eq!(rig.post(&[FORM], &multipart(&[image, (field, b"hunter2")])).await.status, 200);
    assert!(rig.sink.only().await.body == multipart(&[image, (field, b"[PASSWORD]")]));
    rig.proxy.wait_for_metric("passthrough_requests_total{reason=\"part\",route=\"default\"}", 1).await;
}

fn envelope(payload: &str) -> String {
    let header = "{\"event_id\":\"9ec79c33ec9942ab8353589fcb2e04dc\",\"trace\":{\"public_key\":\"0123456789abcdef\"}}";
    let attachment = format!("{{\"type\":\"attachment\",\"length\":{}}}", payload.len());
    format!("{header}\n{{\"type\":\"event\"}}\n{{\"password\":\"\"}}\n{attachment}\n{payload}\n")
}

#[tokio::test]
async fn an_envelope_arrives_with_true_lengths_also_when_nothing_says_that_it_is_one() {
    for headers in [
        &[("content-type", "application/x-sentry-envelope")][..],
        &[],
        &[("content-type", "text/plain")],
        &[("content-type", "application/json")],
        &[("content-type", "application/x-ndjson")],
    ] {
        let rig = Rig::start().await;
        assert_eq!(rig.post(headers, envelope("by\nbob@example.com").as_bytes()).await.status, 200);
        let seen = rig.sink.only().await;
        assert_eq!(String::from_utf8_lossy(&seen.body), envelope("by\n[EMAIL_ADDRESS]"));
    }
}

#[tokio::test]
async fn a_large_envelope_streams_and_keeps_its_lengths() {
    let text = "by bob@example.com\n".repeat(50_000);
    for headers in [&[("content-type", "application/x-sentry-envelope")][..], &[]] {
        let rig = Rig::start().await;
        assert_eq!(rig.post(headers, envelope(&text).as_bytes()).await.status, 200);
        let seen = rig.sink.only().await;
        assert!(seen.body == envelope(&text.replace("bob@example.com", "***************")).as_bytes());
        assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
    }
}

#[tokio::test]
async fn server_sent_events_are_redacted_one_by_one() {
    let event = |to: &str| format!("event: sent\ndata: {{\"password\": \"\", \"to\": \"{to}\"}}\n\n");
    for count in [1, 10_000] {
        let rig = Rig::start().await;
        let body = event("bob@example.com").repeat(count);
        assert_eq!(rig.post(&[("content-type", "text/event-stream")], body.as_bytes()).await.status, 200);
        assert!(rig.sink.only().await.body == event("[EMAIL_ADDRESS]").repeat(count).as_bytes());
    }
}
