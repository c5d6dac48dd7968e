//! What happens to a request in which something is found.

use crate::codings::{gunzip, gzip};
use crate::proxy_client::{chunk, head, request};
use crate::proxy_gzip::{GZIP, large_json};
use crate::proxy_rig::{JSON, Rig};
use crate::proxy_sink::Answer;
use crate::redactor_text::base64;

const EMAIL: &str = "jane.doe@example.com";
const LABEL: &str = "[EMAIL_ADDRESS]";
const BLOCK: &str = "[[route]]\n[route.policy]\nEMAIL_ADDRESS = \"block\"";
const REPORT: &str = "[[route]]\n[route.policy]\nEMAIL_ADDRESS = \"report\"";

fn small() -> Vec<u8> {
    format!("{{\"to\": \"{EMAIL}\"}}").into_bytes()
}

fn redacted(body: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(body).unwrap();
    text.replace(EMAIL, LABEL).into_bytes()
}

/// Above the buffer limit, with a finding near its end.
fn large() -> Vec<u8> {
    let filler = "\"abc\",\n".repeat(60_000);
    format!("[{filler}\"{EMAIL}\",1]").into_bytes()
}

fn findings(action: &str) -> String {
    let labels = format!("action=\"{action}\",entity=\"EMAIL_ADDRESS\",route=\"default\"");
    format!("findings_total{{{labels},rule=\"email.address\"}}")
}

#[tokio::test]
async fn a_small_body_is_redacted_and_its_length_and_digests_are_true() {
    let rig = Rig::start().await;
    let digest = ("content-digest", "sha-256=:abc:");
    assert_eq!(rig.post(&[JSON, digest], &small()).await.status, 200);
    let seen = rig.sink.only().await;
    assert_eq!(seen.body, redacted(&small()));
    let length = seen.body.len().to_string();
    assert_eq!(seen.header("content-length"), Some(length.as_str()));
    assert_eq!(seen.header("content-digest"), None);
    rig.proxy.wait_for_metric(&findings("replace"), 1).await;
}

#[tokio::test]
async fn a_large_body_is_redacted_while_it_streams() {
    let rig = Rig::start().await;
    for size in [1000, 64 * 1024, usize::MAX] {
        let mut bytes = head("POST", "/", &[JSON, ("transfer-encoding", "chunked")]);
        for piece in large().chunks(size) {
            bytes.extend(chunk(piece));
        }
        bytes.extend(chunk(b""));
        assert_eq!(rig.client().await.exchange(&bytes).await.status, 200);
        assert!(rig.sink.seen().pop().unwrap().body == redacted(&large()));
    }
    rig.proxy.wait_for_metric(&findings("replace"), 3).await;
}

#[tokio::test]
async fn compressed_bodies_are_redacted_and_compressed_again() {
    // Small; small on the wire but too large to keep decoded; streaming.
    let filler = "\"abc\",\n".repeat(300_000);
    let squeezed = format!("[{filler}\"{EMAIL}\"]").into_bytes();
    let mut streaming = large_json();
    streaming.pop();
    streaming.extend(format!(",\"{EMAIL}\"]").bytes());
    for (json, streams) in [(small(), false), (squeezed, false), (streaming, true)] {
        let rig = Rig::with("[limits]\nmax_ratio = 2000", Answer::Ok("ok")).await;
        assert_eq!(rig.post(&[JSON, GZIP], &gzip(&json)).await.status, 200);
        let seen = rig.sink.only().await;
        assert!(gunzip(&seen.body) == redacted(&json));
        assert_eq!(seen.header("content-encoding"), Some("gzip"));
        assert_eq!(seen.header("content-length").is_none(), streams);
        rig.proxy.wait_for_metric(&findings("replace"), 1).await;
    }
}

#[tokio::test]
async fn a_finding_that_is_only_reported_changes_no_byte() {
    let rig = Rig::with(REPORT, Answer::Ok("ok")).await;
    rig.post(&[JSON], &small()).await;
    rig.post(&[JSON, GZIP], &gzip(&small())).await;
    let seen = rig.sink.wait("two", |s| s.len() == 2 && s[1].complete).await;
    assert_eq!(seen[0].body, small());
    assert_eq!(seen[1].body, gzip(&small()));
    rig.proxy.wait_for_metric(&findings("report"), 2).await;
}

#[tokio::test]
async fn the_query_is_redacted_unless_the_route_says_otherwise() {
    let target = format!("/x?a=1&to={EMAIL}&b=%20");
    for (route, expected) in
        [("", "/x?a=1&to=%5BEMAIL_ADDRESS%5D&b=%20".to_owned()), ("[[route]]\nquery = false", target.clone())]
    {
        let rig = Rig::with(route, Answer::Ok("ok")).await;
        let reply = rig.client().await.exchange(&request("GET", &target, &[], b"")).await;
        assert_eq!(reply.status, 200);
        assert_eq!(rig.sink.only().await.target, expected);
    }
}

#[tokio::test]
async fn only_the_pair_with_a_finding_changes() {
    let key = "AIzaSyD1234567890abcdefghijklmnopqrstuv";
    let rig = Rig::start().await;
    let target = format!("/x?key={key}&&to={EMAIL}&c[]=%2f%2F&api_key=jane%40example.com&z=%E2%82&=");
    let expected = format!("/x?key={key}&&to=%5BEMAIL_ADDRESS%5D&c[]=%2f%2F&api_key=%5BEMAIL_ADDRESS%5D&z=%E2%82&=");
    let reply = rig.client().await.exchange(&request("GET", &target, &[], b"")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(rig.sink.only().await.target, expected);
    rig.proxy.wait_for_metric(&findings("replace"), 2).await;
}

#[tokio::test]
async fn json_in_the_query_is_redacted_in_base64_too() {
    let rig = Rig::start().await;
    let event = r#"{"event":"e","properties":{"distinct_id":7,"mail":"jane.doe@example.com"}}"#;
    let redacted = event.replace(EMAIL, LABEL);
    let base64 = |text: &str| base64(text.as_bytes(), false, true);
    let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    for (given, expected) in [
        (format!("ip=1&data={}&verbose=1", base64(event)), format!("ip=1&data={}&verbose=1", base64(&redacted))),
        (format!("data={}", base64(event).replace('=', "%3D")), format!("data={}", base64(&redacted))),
        ("password=hunter2&a[b]=1".to_owned(), "password=%5BPASSWORD%5D&a[b]=1".to_owned()),
        (format!("to={}&n=%C3%A9", percent(EMAIL)), "to=%5BEMAIL_ADDRESS%5D&n=%C3%A9".to_owned()),
    ] {
        let target = format!("/track?{given}");
        assert_eq!(rig.client().await.exchange(&request("GET", &target, &[], b"")).await.status, 200);
        let seen = rig.sink.seen().pop().unwrap().target;
        let decoded = seen.replace("%3D", "=").replace("%2B", "+").replace("%2F", "/");
        assert_eq!(decoded, format!("/track?{expected}"), "{given}");
    }
}

#[tokio::test]
async fn a_credential_in_the_query_is_left_where_the_upstream_needs_it() {
    let key = "AIzaSyD1234567890abcdefghijklmnopqrstuv";
    let other = format!("/x?{}&Token={key}", "sentry_key=0123456789abcdef0123456789abcdef");
    for (route, target, is_kept) in [
        ("", format!("/x?KEY={key}"), true),
        ("", other.clone(), false),
        ("[[route]]\nquery_allow = [\"token\", \"sentry_key\"]", other, true),
        ("[[route]]\nquery_allow = []", format!("/x?key={key}"), false),
    ] {
        let rig = Rig::with(route, Answer::Ok("ok")).await;
        let reply = rig.client().await.exchange(&request("GET", &target, &[], b"")).await;
        assert_eq!(reply.status, 200);
        let seen = rig.sink.only().await.target;
        assert_eq!(seen == target, is_kept, "{route} {seen}");
        assert_eq!(seen.contains(key), is_kept);
        assert!(!seen.contains("sentry_key") || seen.contains("0123456789abcdef0123456789abcdef"));
    }
}

#[tokio::test]
async fn headers_that_carry_data_are_redacted() {
    let rig = Rig::start().await;
    let headers = [
        ("referer", "https://app.test/users?mail=jane.doe@example.com&x=%20#top"),
        ("baggage", "user=jane.doe%40example.com,tenant=acme"),
        ("cookie", "theme=dark; mail=jane.doe@example.com"),
        ("cookie", "b=1"),
        ("x-user", "jane.doe@example.com"),
        ("authorization", "Bearer jane.doe@example.com"),
    ];
    assert_eq!(rig.client().await.exchange(&request("GET", "/", &headers, b"")).await.status, 200);
    let seen = rig.sink.only().await;
    let expected = "https://app.test/users?mail=%5BEMAIL_ADDRESS%5D&x=%20#top";
    assert_eq!(seen.header("referer"), Some(expected));
    assert_eq!(seen.header("baggage"), Some("user=[EMAIL_ADDRESS],tenant=acme"));
    let cookies: Vec<&str> = seen.headers.get_all("cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(cookies, ["theme=dark; mail=[EMAIL_ADDRESS]", "b=1"]);
    assert_eq!(seen.header("x-user"), Some(EMAIL), "not listed");
    assert_eq!(seen.header("authorization"), Some("Bearer jane.doe@example.com"));
    rig.proxy.wait_for_metric(&findings("replace"), 3).await;
}

#[tokio::test]
async fn the_route_says_which_headers_are_redacted_and_how() {
    let headers = [("referer", "https://a.test/?jane.doe@example.com"), ("x-user", "jane.doe@example.com")];
    let get = request("GET", "/", &headers, b"");
    let rig = Rig::with("[[route]]\nheaders = [\"X-User\"]", Answer::Ok("ok")).await;
    assert_eq!(rig.client().await.exchange(&get).await.status, 200);
    let seen = rig.sink.only().await;
    assert_eq!(seen.header("referer"), Some(headers[0].1));
    assert_eq!(seen.header("x-user"), Some(LABEL));
    let rig = Rig::with(BLOCK, Answer::Ok("ok")).await;
    let reply = rig.client().await.exchange(&get).await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "blocked"));
    let rig = Rig::start().await;
    let signed = [headers[0], ("authorization", "AWS4-HMAC-SHA256 Credential=x")];
    let reply = rig.client().await.exchange(&request("GET", "/", &signed, b"")).await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "signed_body"));
    assert!(rig.sink.seen().is_empty());
}

/// One entity hashed, the others masked in as many bytes.
const WRITE: &str = "[hash.keys]\nk1 = \"one\"\nk2 = \"two\"\n[hash]\nactive = \"k2\"\n[[route]]\n[route.policy]\n\
                     EMAIL_ADDRESS = \"hash\"\ndefault = { action = \"mask\", same_length = true, keep_last = 4 }";

#[tokio::test]
async fn what_actions_write_goes_upstream_and_is_counted_by_the_action() {
    let rig = Rig::with(WRITE, Answer::Ok("ok")).await;
    let card = "4111111111111111";
    let headers = [JSON, ("referer", "https://a.test/?jane.doe@example.com")];
    let body = format!("{{\"to\": \"{EMAIL}\", \"card\": \"{card}\"}}");
    let sent = request("POST", &format!("/?to={EMAIL}&card=4111111111111111"), &headers, body.as_bytes());
    assert_eq!(rig.client().await.exchange(&sent).await.status, 200);
    let seen = rig.sink.only().await;
    let text = String::from_utf8(seen.body.clone()).unwrap();
    let pseudonym = text.split('"').nth(3).unwrap();
    assert!(pseudonym.starts_with("[EMAIL_ADDRESS:k2:") && pseudonym.len() == 35, "{text}");
    assert_eq!(text, format!("{{\"to\": \"{pseudonym}\", \"card\": \"************1111\"}}"));
    let encoded = pseudonym.replace('[', "%5B").replace(']', "%5D");
    assert_eq!(seen.header("referer"), Some(format!("https://a.test/?{encoded}").as_str()));
    assert_eq!(seen.target.replace("%3A", ":"), format!("/?to={encoded}&card=************1111"));
    rig.proxy.wait_for_metric(&findings("hash"), 3).await;
    let card = "findings_total{action=\"mask\",entity=\"CREDIT_CARD\",route=\"default\",rule=\"payment.card\"}";
    rig.proxy.wait_for_metric(card, 2).await;
}

#[tokio::test]
async fn what_actions_wrote_is_not_found_again() {
    let rig = Rig::with(WRITE, Answer::Ok("ok")).await;
    let target = "/?to=%5BEMAIL_ADDRESS:k2:4111111111111111%5D&card=************1111";
    // The other key is listed too: it was the active one, or will be.
    let body = br#"{"to": "[EMAIL_ADDRESS:k2:4111111111111111]", "cc": "[EMAIL_ADDRESS:k1:4111111111111111]", "password": "*******er2!", "pin": 1}"#;
    assert_eq!(rig.client().await.exchange(&request("POST", target, &[JSON], body)).await.status, 200);
    let seen = rig.sink.only().await;
    assert_eq!((seen.target.as_str(), &seen.body[..]), (target, &body[..]));
    assert!(!rig.proxy.metrics.render().contains("findings_total{"));
}

#[tokio::test]
async fn a_finding_in_the_path_is_counted_and_left_alone() {
    for route in ["", BLOCK] {
        let rig = Rig::with(route, Answer::Ok("ok")).await;
        let target = format!("/users/{EMAIL}/runs");
        let reply = rig.client().await.exchange(&request("GET", &target, &[], b"")).await;
        assert_eq!(reply.status, 200);
        assert_eq!(rig.sink.only().await.target, target);
        rig.proxy.wait_for_metric(&findings("report"), 1).await;
    }
}

#[tokio::test]
async fn a_blocked_small_body_never_reaches_the_upstream() {
    let rig = Rig::with(BLOCK, Answer::Ok("ok")).await;
    let mut client = rig.client().await;
    for _ in 0..2 {
        let reply = client.exchange(&request("POST", "/", &[JSON], &small())).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, "blocked"));
        assert!(reply.text().contains("EMAIL_ADDRESS"));
        assert!(reply.text().contains("email.address"));
        assert!(!reply.text().contains("jane"));
    }
    assert!(rig.sink.seen().is_empty());
    rig.proxy.wait_for_metric(&findings("block"), 2).await;
}

#[tokio::test]
async fn a_blocked_large_body_is_broken_off_at_the_upstream() {
    let rig = Rig::with(BLOCK, Answer::Ok("ok")).await;
    let reply = rig.post(&[JSON], &large()).await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "blocked"));
    let seen = rig.sink.wait("a break", |s| s.len() == 1 && s[0].broken).await;
    assert!(!seen[0].complete);
    assert!(!String::from_utf8_lossy(&seen[0].body).contains("jane"));
    rig.proxy.wait_for_metric(&findings("block"), 1).await;
}

#[tokio::test]
async fn what_validators_turned_down_is_counted_of_a_blocked_body_too() {
    let rig = Rig::with(BLOCK, Answer::Ok("ok")).await;
    // A token whose checksum is wrong.
    let filler = "\"abc\",\n".repeat(60_000);
    let body = format!("[\"ghp_eFUUY8iRUdQEz4wowUL4BgpVr7y2Fp4eXgsY\", \"{EMAIL}\", {filler}1]");
    assert_eq!(rig.post(&[JSON], body.as_bytes()).await.status, 422);
    rig.proxy.wait_for_metric(&findings("block"), 1).await;
    let text = rig.proxy.metrics.render();
    assert!(text.contains("validator_rejections_total{rule="), "{text}");
}

#[tokio::test]
async fn a_success_before_a_finding_that_blocks_is_not_believed() {
    let route = "[[route]]\n[route.policy]\ndefault = \"block\"";
    let rig = Rig::with(route, Answer::Early(200, "already")).await;
    let reply = rig.post(&[JSON], &large()).await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "blocked"));
}

#[tokio::test]
async fn a_signed_request_with_a_finding_is_refused() {
    let headers = ["x-amz-content-sha256", "x-hub-signature", "x-slack-signature", "signature", "x-goog-hash"];
    for (name, body) in headers.iter().flat_map(|name| [(*name, small()), (*name, large())]) {
        let signed = (name, "44136fa355b3678a1146ad16f7e8649e");
        let rig = Rig::start().await;
        let reply = rig.post(&[JSON, signed], &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (422, "signed_body"));
        assert!(rig.sink.seen().iter().all(|seen| !seen.complete));
    }
    let rig = Rig::start().await;
    let target = format!("/?to={EMAIL}&X-Amz-Signature=ab");
    let reply = rig.client().await.exchange(&request("GET", &target, &[], b"")).await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "signed_body"));
    assert!(rig.sink.seen().is_empty());
}

#[tokio::test]
async fn a_shadow_rule_is_counted_and_changes_no_byte() {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(file.path(), "[[override]]\nid = 'email.address'\nshadow = true\n").unwrap();
    let rules = format!("[rules]\npaths = [{:?}]\n[[route]]", file.path());
    let rig = Rig::with(&rules, Answer::Ok("ok")).await;
    rig.post(&[JSON], &small()).await;
    let seen = rig.sink.wait("one", |s| s.len() == 1 && s[0].complete).await;
    assert_eq!(seen[0].body, small());
    rig.proxy.wait_for_metric(&findings("report"), 1).await;
}
