//! Forms, OTLP and MessagePack arrive redacted, in their own framing.

use crate::codings::{gunzip, gzip};
use crate::proxy_client::request;
use crate::proxy_rig::Rig;
use expurgate::scan::Encoding;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const MSGPACK: (&str, &str) = ("content-type", "application/msgpack");

/// A protobuf field with a length.
fn field(number: u8, body: &[u8]) -> Vec<u8> {
    let (mut head, mut length) = (vec![number << 3 | 2], body.len());
    while length > 127 {
        head.push(u8::try_from(length & 127).unwrap() | 128);
        length >>= 7;
    }
    head.push(u8::try_from(length).unwrap());
    [&head[..], body].concat()
}

/// An OTLP request with one span: its name, and the value of `db.password`.
fn traces(name: &str, password: &str) -> Vec<u8> {
    let attribute = [field(1, b"db.password"), field(2, &field(1, password.as_bytes()))].concat();
    let span = [field(1, &[0xa7; 16]), field(2, &[0xb3; 8]), field(5, name.as_bytes()), field(9, &attribute)].concat();
    field(1, &field(2, &field(2, &span)))
}

/// The status of what is sent to the path of OTLP.
async fn export(rig: &Rig, headers: &[(&str, &str)], body: &[u8]) -> u16 {
    let request = request("POST", "/v1/traces", headers, body);
    rig.client().await.exchange(&request).await.status
}

#[tokio::test]
async fn what_is_of_no_known_type_is_text_or_refused() {
    let rig = Rig::start().await;
    for kind in ["application/pdf", "image/png", "application/x-foo"] {
        let header = ("content-type", kind);
        assert_eq!(rig.post(&[header], b"mail bob@example.com").await.status, 200, "{kind}");
        assert_eq!(rig.post(&[header], b"mail\x00bob@example.com").await.status, 415, "{kind}");
        assert_eq!(rig.post(&[header], b"mail \xffbob@example.com").await.status, 415, "{kind}");
    }
    let seen = rig.sink.wait("the texts", |seen| seen.len() == 3 && seen.iter().all(|one| one.complete)).await;
    assert!(seen.iter().all(|one| one.body == b"mail [EMAIL_ADDRESS]"));
}

#[tokio::test]
async fn a_form_arrives_redacted_with_its_exact_length() {
    let rig = Rig::start().await;
    let body = b"to=bob%40example.com&user[password]=hunter2&n=%c3%A9";
    assert_eq!(rig.post(&[FORM], body).await.status, 200);
    let seen = rig.sink.only().await;
    let expected = "to=%5BEMAIL_ADDRESS%5D&user[password]=%5BPASSWORD%5D&n=%c3%A9";
    assert_eq!(String::from_utf8_lossy(&seen.body), expected);
    assert_eq!(seen.header("content-length"), Some(expected.len().to_string().as_str()));
}

#[tokio::test]
async fn gzip_in_base64_is_read_through() {
    let rig = Rig::start().await;
    let json = ("content-type", "application/json");
    let written = |bytes: &[u8]| String::from_utf8(Encoding::read(b"Ym9iQGFjbWUuaW8=").1.write(bytes)).unwrap();
    let data = |text: &str| format!("{{\"data\": \"{}\"}}", written(&gzip(text.as_bytes())));
    assert_eq!(rig.post(&[json], data("{\"to\": \"bob@example.com\"}").as_bytes()).await.status, 200);
    let seen = rig.sink.only().await;
    let raw = String::from_utf8(seen.body.clone()).unwrap();
    let run = raw.strip_prefix("{\"data\": \"").unwrap().strip_suffix("\"}").unwrap();
    assert_eq!(gunzip(&Encoding::read(run.as_bytes()).0), b"{\"to\": \"[EMAIL_ADDRESS]\"}");
    let reply = rig.post(&[json], data(&" ".repeat(5 << 20)).as_bytes()).await;
    assert_eq!((reply.status, reply.code().as_str()), (413, "part_too_large"));
}

#[tokio::test]
async fn columns_of_a_table_have_names() {
    let rig = Rig::start().await;
    let rows = "7,hunter2,bob@example.com\n".repeat(30_000);
    let body = format!("id,password,mail\n{rows}");
    assert_eq!(rig.post(&[("content-type", "text/csv; charset=utf-8")], body.as_bytes()).await.status, 200);
    let expected = body.replace("hunter2", "[PASSWORD]").replace("bob@example.com", "[EMAIL_ADDRESS]");
    assert!(rig.sink.only().await.body == expected.as_bytes());
}

#[tokio::test]
async fn a_large_form_streams() {
    let rig = Rig::start().await;
    let body = "to=bob%40example.com&".repeat(50_000);
    assert_eq!(rig.post(&[FORM], body.as_bytes()).await.status, 200);
    let seen = rig.sink.only().await;
    assert!(seen.body == body.replace("bob%40example.com", "%5BEMAIL_ADDRESS%5D").as_bytes());
    assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
}

#[tokio::test]
async fn otlp_arrives_with_true_lengths_plain_and_compressed() {
    let (before, after) = (traces("GET /bob@example.com", "hunter2"), traces("GET /[EMAIL_ADDRESS]", "[PASSWORD]"));
    for coded in [false, true] {
        let rig = Rig::start().await;
        let (headers, body) = match coded {
            true => (vec![PROTOBUF, ("content-encoding", "gzip")], gzip(&before)),
            false => (vec![PROTOBUF], before.clone()),
        };
        assert_eq!(export(&rig, &headers, &body).await, 200);
        let seen = rig.sink.only().await;
        assert_eq!(if coded { gunzip(&seen.body) } else { seen.body.clone() }, after);
        assert_eq!(seen.header("content-length"), Some(seen.body.len().to_string().as_str()));
    }
}

#[tokio::test]
async fn a_long_message_keeps_its_lengths() {
    let words = "all is well ".repeat(100_000);
    let name = |mail: &str| format!("{words}{mail}");
    let rig = Rig::start().await;
    let body = traces(&name("bob@example.com"), "hunter2");
    assert_eq!(export(&rig, &[PROTOBUF], &body).await, 200);
    assert!(rig.sink.only().await.body == traces(&name("***************"), "*******"));
}

#[tokio::test]
async fn a_long_body_that_is_no_message_is_refused_before_the_upstream_is_called() {
    for kind in [PROTOBUF, MSGPACK] {
        let rig = Rig::start().await;
        let body = format!("{{\"to\":\"{}bob@example.com\"}}", "all is well ".repeat(100_000));
        let reply = rig.post(&[kind], body.as_bytes()).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "corrupt_framing"));
        assert!(rig.sink.seen().is_empty());
    }
}

#[tokio::test]
async fn messagepack_arrives_with_true_lengths() {
    let text = |text: &str| [&[0xa0 | u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    let body = |mail: &str, password: &str| {
        [&[0x91, 0x82][..], &text("to"), &text(mail), &text("password"), &text(password)].concat()
    };
    let rig = Rig::start().await;
    assert_eq!(rig.post(&[MSGPACK], &body("bob@example.com", "hunter2")).await.status, 200);
    assert_eq!(rig.sink.only().await.body, body("[EMAIL_ADDRESS]", "[PASSWORD]"));
}
