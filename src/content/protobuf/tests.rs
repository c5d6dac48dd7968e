use super::*;
use crate::redact::rig::PLAN;
use proptest::prelude::*;

/// Above every message of these tests.
const WHOLE: usize = 1 << 20;

fn run<'a>(
    message: Message,
    limit: usize,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<u8>, u64), ContentError> {
    let (mut stage, mut out) = (ProtobufStage::new(&PLAN, message, limit), Vec::new());
    for chunk in chunks {
        stage.push(Bytes::copy_from_slice(chunk), &mut out)?;
    }
    stage.finish(&mut out)?;
    assert_eq!(stage.held(), 0);
    Ok((out.concat(), stage.report().changed()))
}

fn whole(message: Message, raw: &[u8]) -> Vec<u8> {
    run(message, WHOLE, [raw]).unwrap().0
}

fn streamed(message: Message, raw: &[u8]) -> Vec<u8> {
    run(message, 0, [raw]).unwrap().0
}

fn varint(number: u32, value: u64) -> Vec<u8> {
    let mut raw = Vec::new();
    wire::write_varint(u64::from(number << 3), &mut raw);
    wire::write_varint(value, &mut raw);
    raw
}

fn fixed64(number: u32, value: u64) -> Vec<u8> {
    let mut raw = Vec::new();
    wire::write_varint(u64::from(number << 3 | 1), &mut raw);
    raw.extend_from_slice(&value.to_le_bytes());
    raw
}

fn bytes(number: u32, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut raw = Vec::new();
    wire::write_varint(u64::from(number << 3 | 2), &mut raw);
    wire::write_varint(body.as_ref().len() as u64, &mut raw);
    raw.extend_from_slice(body.as_ref());
    raw
}

fn message(number: u32, fields: &[Vec<u8>]) -> Vec<u8> {
    bytes(number, fields.concat())
}

fn pair(number: u32, name: &str, value: Vec<u8>) -> Vec<u8> {
    message(number, &[bytes(1, name), bytes(2, value)])
}

const TRACE_ID: &[u8; 16] = b"\x5b\x8e\xff\xf7\x98\x03\x81\x03\xd2\x69\xb6\x33\x81\x3f\xc6\x0c";

/// What is planted in the messages.
struct Planted<'a> {
    mail: &'a str,
    password: &'a str,
    key: &'a str,
    /// An address within bytes that are no text.
    blob: &'a str,
    /// The value of an attribute.
    card: Vec<u8>,
}

const MAIL: &str = "bob@example.com";
/// As long as the address.
const STARS: &str = "***************";
const SECRETS: [&str; 3] = ["bob@example.com", "hunter2 and more", "aZ3kQ9vT6xR1mB8n"];

fn card() -> Vec<u8> {
    varint(3, 4_111_111_111_111_111)
}

fn planted() -> Planted<'static> {
    let [mail, password, key] = SECRETS;
    Planted { mail, password, key, blob: mail, card: card() }
}

fn labelled() -> Planted<'static> {
    let card = bytes(1, "[CREDIT_CARD]");
    Planted { mail: "[EMAIL_ADDRESS]", password: "[PASSWORD]", key: "[API_KEY]", blob: STARS, card }
}

/// Values that may stand anywhere.
fn attributes(number: u32, planted: &Planted) -> Vec<u8> {
    let Planted { mail, password, key, card, .. } = planted;
    let json = format!(r#"{{"api_key": "{key}", "n": [1, 2], "to": "caf\u00e9 {mail}"}}"#);
    let list = message(5, &[message(1, &[bytes(1, format!("to {mail}"))]), message(1, &[varint(3, 7)])]);
    let object = message(6, &[pair(1, "n", varint(3, 12)), pair(1, "password", bytes(1, password))]);
    [
        pair(number, "user.mail", bytes(1, mail)),
        pair(number, "db.password", bytes(1, password)),
        pair(number, "input.value", bytes(1, json)),
        pair(number, "list", list),
        pair(number, "object", object),
        // Neither text nor message: its length stays.
        pair(number, "payload", bytes(7, [b"\xff\0 ", planted.blob.as_bytes()].concat())),
        pair(number, "card", card.clone()),
        pair(number, "n", varint(3, 1_700_000_000_000)),
        pair(number, "x", fixed64(4, 0.5f64.to_bits())),
        pair(number, "on", varint(2, 1)),
        pair(number, "none", Vec::new()),
        pair(number, mail, bytes(1, "x")),
    ]
    .concat()
}

fn traces(planted: &Planted) -> Vec<u8> {
    let mail = planted.mail;
    let span = [
        bytes(1, TRACE_ID),
        bytes(2, &TRACE_ID[..8]),
        bytes(3, "vendor=1"),
        bytes(5, format!("GET /users/{mail}")),
        varint(6, 2),
        fixed64(7, 1_700_000_000_000_000_000),
        attributes(9, planted),
        message(11, &[fixed64(1, 5), bytes(2, format!("sent\n{mail}")), attributes(3, planted)]),
        message(13, &[bytes(1, TRACE_ID), bytes(2, &TRACE_ID[8..]), attributes(4, planted)]),
        message(15, &[bytes(2, format!("no mailbox {mail}")), varint(3, 2)]),
        // Fields of a later version of the protocol.
        bytes(200, format!("new {mail}")),
        message(201, &[varint(1, 5), bytes(7, format!("new {mail}"))]),
        varint(202, 300),
    ];
    let scope = message(1, &[bytes(1, "lib"), bytes(2, "1.2.3"), attributes(3, planted)]);
    let resource = message(1, &[attributes(1, planted), varint(2, 0)]);
    message(1, &[resource, message(2, &[scope, message(2, &span), bytes(3, "https://opentelemetry.io/schemas/1.8.0")])])
}

fn logs(planted: &Planted) -> Vec<u8> {
    let mail = planted.mail;
    let record = |body: Vec<u8>| {
        message(
            2,
            &[
                fixed64(1, 7),
                varint(2, 9),
                bytes(3, "INFO"),
                bytes(5, body),
                attributes(6, planted),
                bytes(9, TRACE_ID),
            ],
        )
    };
    let text = record(bytes(1, format!("mailed {mail}\n")));
    let object = record(message(6, &[pair(1, "api_key", bytes(1, planted.key))]));
    message(1, &[message(2, &[text, object])])
}

fn metrics(planted: &Planted) -> Vec<u8> {
    let exemplar = message(5, &[attributes(7, planted), fixed64(2, 1), bytes(4, &TRACE_ID[..8])]);
    let sum = message(7, &[message(1, &[attributes(7, planted), exemplar, fixed64(6, 3)])]);
    let buckets = bytes(6, [1u64.to_le_bytes(), 2u64.to_le_bytes()].concat());
    let histogram = message(9, &[message(1, &[buckets, attributes(9, planted)])]);
    let metric = |data| message(2, &[bytes(1, format!("sent to {}", planted.mail)), bytes(3, "By"), data]);
    message(1, &[message(2, &[metric(sum), metric(histogram)])])
}

/// Shows where two messages part.
fn same(left: &[u8], right: &[u8]) {
    let at = left.iter().zip(right).position(|(one, other)| one != other).unwrap_or(left.len().min(right.len()));
    let near =
        |raw: &[u8]| raw[at.saturating_sub(40).min(raw.len())..(at + 40).min(raw.len())].escape_ascii().to_string();
    assert!(left == right, "at {at}:\n{}\n{}", near(left), near(right));
}

/// What stands in a message that streams: as many stars as there were bytes.
fn starred() -> Planted<'static> {
    // Sixteen digits are eight bytes of a varint.
    let card = [&varint(3, 0)[..1], &[0x80; 7], &[0]].concat();
    Planted { mail: STARS, password: "****************", key: "****************", blob: STARS, card }
}

#[test]
fn otlp_is_redacted_and_every_length_is_true() {
    let expected = labelled();
    same(&whole(Message::Traces, &traces(&planted())), &traces(&expected));
    same(&whole(Message::Logs, &logs(&planted())), &logs(&expected));
    same(&whole(Message::Metrics, &metrics(&planted())), &metrics(&expected));
}

#[test]
fn a_long_message_keeps_its_lengths() {
    let [secret, starred] = [planted(), starred()];
    same(&streamed(Message::Traces, &traces(&secret)), &traces(&starred));
    same(&streamed(Message::Logs, &logs(&secret)), &logs(&starred));
    same(&streamed(Message::Metrics, &metrics(&secret)), &metrics(&starred));
}

#[test]
fn cuts_make_no_difference() {
    let raw = traces(&planted());
    for limit in [0, 1000, WHOLE] {
        let expected = run(Message::Traces, limit, [&raw[..]]).unwrap();
        for size in [1, 2, 3, 7, 64, 1000] {
            assert!(run(Message::Traces, limit, raw.chunks(size)).unwrap() == expected, "{limit} {size}");
        }
    }
}

#[test]
fn a_second_pass_changes_nothing() {
    for redact in [whole, streamed] {
        let once = redact(Message::Traces, &traces(&planted()));
        same(&redact(Message::Traces, &once), &once);
    }
}

#[test]
fn what_is_clean_comes_back_as_it_was_spelled() {
    // Lengths with a byte more than they take.
    let raw = b"\x0a\x87\x00\x1a\x84\x00name";
    for limit in [0, WHOLE] {
        assert_eq!(run(Message::Traces, limit, [&raw[..]]), Ok((raw.to_vec(), 0)));
    }
}

#[test]
fn a_message_of_which_nothing_is_known_is_read_by_its_looks() {
    let unknown = |mail: &str, password: &str| {
        [
            message(1, &[bytes(1, "password"), bytes(2, password)]),
            message(3, &[varint(1, 5), message(9, &[bytes(1, format!("to {mail}")), varint(2, 1)])]),
            bytes(4, "4155552671"),
            fixed64(5, 1),
        ]
        .concat()
    };
    let [mail, password, _] = SECRETS;
    same(&whole(Message::Unknown, &unknown(mail, password)), &unknown("[EMAIL_ADDRESS]", "[PASSWORD]"));
    same(&streamed(Message::Unknown, &unknown(mail, password)), &unknown(STARS, "****************"));
}

#[test]
fn names_come_before_values_whatever_the_order_on_the_wire() {
    let raw =
        |value: &str| message(1, &[message(1, &[message(1, &[bytes(2, bytes(1, value)), bytes(1, "password")])])]);
    same(&whole(Message::Traces, &raw("hunter2 and more")), &raw("[PASSWORD]"));
    // Whose name comes when the value has left is not known in time.
    assert_eq!(run(Message::Traces, 0, [&raw("hunter2 and more")[..]]), Err(ContentError::Framing));
}

#[test]
fn broken_lengths_are_refused_wherever_the_message_is_cut() {
    let raw = traces(&planted());
    // The request is one field.
    for at in 1..raw.len() {
        for limit in [0, WHOLE] {
            assert_eq!(run(Message::Traces, limit, [&raw[..at]]), Err(ContentError::Framing), "{at} {limit}");
        }
    }
    for raw in [&b"\x0a\x05abc"[..], b"\x0f", b"\x00", b"{\"a\":1}", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
        for limit in [0, WHOLE] {
            assert_eq!(run(Message::Traces, limit, [raw]), Err(ContentError::Framing), "{raw:?}");
        }
    }
}

#[test]
fn a_message_of_printable_bytes_keeps_what_stands_before_its_texts() {
    for text in ["4111111111111111", MAIL] {
        for length in [48, 57, 65, 90, 95, 100, 122] {
            let raw = |text: &str, rest: usize| bytes(3, bytes(1, format!("{text} {}", "x".repeat(rest))));
            let rest = length - text.len() - 1;
            let label = if text == MAIL { "[EMAIL_ADDRESS]" } else { "[CREDIT_CARD]" };
            same(&whole(Message::Unknown, &raw(text, rest)), &raw(label, rest));
            same(&streamed(Message::Unknown, &raw(text, rest)), &raw(&STARS.repeat(2)[..text.len()], rest));
        }
    }
}

#[test]
fn the_last_of_several_names_counts() {
    let raw = |value: &str| {
        message(1, &[message(1, &[message(1, &[bytes(1, "x"), bytes(1, "password"), bytes(2, bytes(1, value))])])])
    };
    same(&whole(Message::Traces, &raw("hunter2!")), &raw("[PASSWORD]"));
    assert_eq!(run(Message::Traces, 0, [&raw("hunter2!")[..]]), Err(ContentError::Framing));
}

#[test]
fn a_number_with_a_fraction_has_a_name_too() {
    let raw = |value: Vec<u8>| message(1, &[message(1, &[pair(1, "password", value)])]);
    let number = raw(fixed64(4, 1234.5f64.to_bits()));
    same(&whole(Message::Traces, &number), &raw(bytes(1, "[PASSWORD]")));
    same(&streamed(Message::Traces, &number), &raw(fixed64(4, 0)));
}

#[test]
fn an_id_is_one_by_its_length_only() {
    let raw = |text: &str| message(1, &[message(2, &[message(2, &[bytes(1, text)])])]);
    same(&whole(Message::Traces, &raw("to bob@example.com")), &raw("to [EMAIL_ADDRESS]"));
}

#[test]
fn groups_are_refused() {
    for limit in [0, WHOLE] {
        assert_eq!(
            run(Message::Traces, limit, [&b"\xa3\x06\x0a\x0fbob@example.com\xa4\x06"[..]]),
            Err(ContentError::Framing)
        );
    }
}

#[test]
fn the_entry_of_a_long_map_has_a_name_however_long_its_value() {
    let raw = |value: &str| message(1, &[bytes(1, "password"), bytes(2, value)]);
    let long = "hunter2 ".repeat(1000);
    same(&whole(Message::Unknown, &raw(&long)), &raw("[PASSWORD]"));
    same(&streamed(Message::Unknown, &raw(&long)), &raw(&"*".repeat(long.len())));
}

#[test]
fn bytes_that_are_no_message_pass_however_long() {
    let raw = bytes(3, [&b"\x12\xff\xff\x7f"[..], &[0xff; 5000]].concat());
    for limit in [0, WHOLE] {
        assert_eq!(run(Message::Unknown, limit, [&raw[..]]), Ok((raw.clone(), 0)));
    }
}

#[test]
fn what_has_very_many_fields_streams() {
    let raw = |mail: &str| [bytes(2, "").repeat(60_000), bytes(3, mail)].concat();
    same(&whole(Message::Unknown, &raw(MAIL)), &raw(STARS));
}

#[test]
fn many_findings_take_no_longer_each() {
    let text = "a@b.co ".repeat(37_000);
    let raw = message(1, &[message(2, &[message(2, &[bytes(5, bytes(1, &text))])])]);
    let (out, changed) = run(Message::Logs, WHOLE, [&raw[..]]).unwrap();
    assert_eq!((changed, out.len() > raw.len()), (37_000, true));
}

#[test]
fn depth_is_bounded() {
    let mut value = bytes(1, "bob@example.com");
    for _ in 0..200 {
        value = message(5, &[bytes(1, value)]);
    }
    let raw = message(1, &[message(2, &[message(2, &[bytes(5, value)])])]);
    for limit in [0, WHOLE] {
        assert_eq!(run(Message::Logs, limit, [&raw[..]]), Err(ContentError::Framing));
    }
    let mut unknown = bytes(1, "bob@example.com");
    let mut hidden = bytes(1, STARS);
    for _ in 0..200 {
        (unknown, hidden) = (bytes(1, unknown), bytes(1, hidden));
    }
    for limit in [0, WHOLE] {
        assert_eq!(run(Message::Unknown, limit, [&unknown[..]]).unwrap().0, hidden);
    }
}

#[test]
fn memory_is_a_constant_however_long_the_message() {
    let text = "all is well ".repeat(1 << 18);
    let raw =
        message(1, &[message(2, &[message(2, &[bytes(1, TRACE_ID), bytes(5, format!("{text} bob@example.com"))])])]);
    let (mut stage, mut out, mut most) = (ProtobufStage::new(&PLAN, Message::Traces, 1 << 16), Vec::new(), 0);
    for chunk in raw.chunks(1 << 14) {
        stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
        most = most.max(stage.held());
    }
    stage.finish(&mut out).unwrap();
    assert_eq!(out.concat().len(), raw.len());
    assert!(out.concat().ends_with(STARS.as_bytes()));
    assert!(most <= (1 << 16) + (1 << 14) + 8192, "{most}");
    // Nothing but numbers, and an id of any length.
    let id = message(1, &[message(2, &[message(2, &[bytes(4, vec![0xff; 1 << 20])])])]);
    for raw in [varint(1, 1).repeat(1 << 17), id] {
        let (mut stage, mut out, mut most) = (StreamedMessage::new(&PLAN, &schema::TRACES), Vec::new(), 0);
        for chunk in raw.chunks(1 << 14) {
            stage.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
            most = most.max(stage.held());
        }
        stage.finish(&mut out).unwrap();
        assert!(out.concat() == raw);
        assert!(most < 64 << 10, "{most}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_read_alike_however_cut(raw in fields(), cut in 1usize..40, limit in prop_oneof![Just(0), Just(WHOLE)]) {
        let expected = run(Message::Logs, limit, [&raw[..]]);
        prop_assert_eq!(&run(Message::Logs, limit, raw.chunks(cut)), &expected);
        if let Ok((once, changed)) = expected {
            prop_assert!(changed > 0 || once == raw);
            prop_assert!(limit > 0 || once.len() == raw.len());
            // What is no message may look like one behind a mask of the same length.
            if limit > 0 {
                prop_assert_eq!(&run(Message::Logs, limit, [&once[..]]).unwrap().0, &once);
            }
        }
    }
}

/// Messages, some of them broken.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        (0u32..20, any::<u64>()).prop_map(|(number, value)| varint(number, value)),
        (1u32..20, "[ -~]{0,40}").prop_map(|(number, text)| bytes(number, text)),
        (1u32..20, any::<Vec<u8>>()).prop_map(|(number, raw)| bytes(number, raw)),
        Just(bytes(1, "bob@example.com")),
        Just(bytes(1, "password")),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    let tree = leaf.prop_recursive(6, 40, 4, |inner| {
        (1u32..7, prop::collection::vec(inner, 0..4)).prop_map(|(number, fields)| message(number, &fields))
    });
    prop::collection::vec(tree, 0..4).prop_map(|fields| fields.concat())
}

#[test]
fn a_message_is_known_by_its_first_record_or_not_at_all() {
    let of = |message| match message {
        Message::Traces => traces(&planted()),
        Message::Logs => logs(&planted()),
        _ => metrics(&planted()),
    };
    for message in [Message::Traces, Message::Logs, Message::Metrics] {
        let raw = of(message);
        assert_eq!(Message::guess(&raw), message);
        for cut in 0..raw.len() {
            let guess = Message::guess(&raw[..cut]);
            assert!(guess == message || guess == Message::Unknown, "{message:?} {cut}: {guess:?}");
        }
    }
    assert_eq!(Message::guess(b"no message"), Message::Unknown);
}
