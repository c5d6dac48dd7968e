use super::*;
use crate::coding::WireFormat;
use crate::content::CodingError;
use crate::redact::rig::PLAN;

/// Above every message of these tests but the long ones.
const LIMIT: usize = 4096;
const TRACES: Payload = Payload::Protobuf(Message::Traces);
const UNKNOWN: Payload = Payload::Protobuf(Message::Unknown);
const LIMITS: CodingLimits = CodingLimits { max_decoded: 8 << 20, max_ratio: 1000 };

fn messages(payload: Payload, coding: Coding) -> Messages {
    Messages { payload, coding, limits: LIMITS, level: Level::Fast }
}

/// Redacts and takes apart again: flags and messages.
fn run<'a>(messages: Messages, chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<(u8, Vec<u8>)>, ContentError> {
    let (mut stage, mut out) = (GrpcStage::new(&PLAN, messages, LIMIT), Vec::new());
    for chunk in chunks {
        stage.push(Bytes::copy_from_slice(chunk), &mut out)?;
    }
    stage.finish(&mut out)?;
    assert_eq!((stage.held(), stage.memory()), (0, 0));
    let raw = out.concat();
    let (mut rest, mut found) = (&raw[..], Vec::new());
    while let Some((&[flag, a, b, c, d], after)) = rest.split_first_chunk::<HEAD>() {
        let (message, after) = after.split_at(u32::from_be_bytes([a, b, c, d]) as usize);
        let message = if flag == 1 { unpack(messages.coding, message) } else { message.to_vec() };
        found.push((flag, message));
        rest = after;
    }
    assert!(rest.is_empty());
    Ok(found)
}

fn unpack(coding: Coding, raw: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::new(coding, LIMITS).unwrap().unwrap();
    let mut out = Vec::new();
    decoder.push(Bytes::copy_from_slice(raw));
    while let Some(piece) = decoder.next_piece().unwrap() {
        out.extend_from_slice(&piece);
    }
    decoder.finish().unwrap();
    out
}

fn pack(form: WireFormat, raw: &[u8]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(form, Level::Default, None).unwrap(), Vec::new());
    encoder.push(raw, &mut out).unwrap();
    encoder.finish(&mut out).unwrap();
    out.concat()
}

fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[flag], &length[..], message].concat()
}

/// A field with a length.
fn field(number: u8, body: &[u8]) -> Vec<u8> {
    let mut raw = vec![number << 3 | 2];
    let mut length = body.len();
    while length >= 0x80 {
        raw.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    raw.push(u8::try_from(length).unwrap());
    [raw, body.to_vec()].concat()
}

/// An OTLP request with one span of this name, and an id that is text by chance.
fn spans(name: &str) -> Vec<u8> {
    let span = [field(1, b"a@b.example.com!"), field(5, name.as_bytes())].concat();
    field(1, &field(2, &field(2, &span)))
}

#[test]
fn each_message_is_redacted_and_its_length_is_written_anew() {
    let raw = [spans("ask bob@example.com"), spans("nothing"), Vec::new(), spans("ann@example.com")];
    let body: Vec<u8> = raw.iter().flat_map(|message| framed(0, message)).collect();
    let expected = [spans("ask [EMAIL_ADDRESS]"), spans("nothing"), Vec::new(), spans("[EMAIL_ADDRESS]")];
    let expected: Vec<(u8, Vec<u8>)> = expected.into_iter().map(|message| (0, message)).collect();
    let messages = messages(TRACES, Coding::Identity);
    assert_eq!(run(messages, [&body[..]]), Ok(expected.clone()));
    assert_eq!(run(messages, body.chunks(1)), Ok(expected.clone()));
    for at in 0..=body.len() {
        assert_eq!(run(messages, [&body[..at], &body[at..]]).as_ref(), Ok(&expected), "{at}");
    }
}

#[test]
fn a_message_leaves_as_soon_as_it_is_whole() {
    for (coding, form) in [(Coding::Identity, None), (Coding::Gzip, Some(WireFormat::Gzip))] {
        let message = spans("ask bob@example.com");
        let message = form.map_or(framed(0, &message), |form| framed(1, &pack(form, &message)));
        let mut stage = GrpcStage::new(&PLAN, messages(TRACES, coding), LIMIT);
        let mut out = Vec::new();
        for count in 1..4 {
            stage.push(Bytes::copy_from_slice(&message[..7]), &mut out).unwrap();
            let before = out.concat();
            assert_eq!(stage.format().is_some(), count > 1);
            stage.push(Bytes::copy_from_slice(&message[7..]), &mut out).unwrap();
            assert!(out.concat().len() > before.len() && !stage.is_pending());
            assert_eq!((stage.held(), stage.report().changed()), (0, count));
        }
    }
}

#[test]
fn a_long_message_streams_with_masks_of_the_same_length() {
    let name = format!("{} bob@example.com", "word ".repeat(2 * LIMIT));
    let (before, after) = (spans(&name), spans(&name.replace("bob@example.com", "***************")));
    let body = framed(0, &before);
    let messages = messages(TRACES, Coding::Identity);
    for size in [1, 1000, body.len()] {
        assert_eq!(run(messages, body.chunks(size)), Ok(vec![(0, after.clone())]), "{size}");
    }
    let mut stage = GrpcStage::new(&PLAN, messages, LIMIT);
    let mut out = Vec::new();
    stage.push(Bytes::copy_from_slice(&body[..LIMIT]), &mut out).unwrap();
    assert!(!out.is_empty() && stage.format().is_some(), "before its end has come");
}

#[test]
fn compressed_messages_are_compressed_again_whatever_their_length() {
    let forms =
        [(Coding::Gzip, WireFormat::Gzip), (Coding::Deflate, WireFormat::Zlib), (Coding::Zstd, WireFormat::Zstd)];
    let long = "word ".repeat(200_000);
    for (coding, form) in forms {
        let raw = [spans("bob@example.com"), spans(&format!("{long} bob@example.com")), spans("nothing")];
        let mut body: Vec<u8> = raw.iter().flat_map(|message| framed(1, &pack(form, message))).collect();
        body.extend(framed(0, &raw[0]));
        let expected = vec![
            (1, spans("[EMAIL_ADDRESS]")),
            (1, spans(&format!("{long} ***************"))),
            (1, spans("nothing")),
            (0, spans("[EMAIL_ADDRESS]")),
        ];
        for size in [1, 500, body.len()] {
            assert!(run(messages(TRACES, coding), body.chunks(size)).as_ref() == Ok(&expected), "{form:?} {size}");
        }
    }
}

#[test]
fn what_is_compressed_and_clean_stays_as_it_came() {
    let message = framed(1, &pack(WireFormat::Gzip, &spans("nothing")));
    let mut stage = GrpcStage::new(&PLAN, messages(TRACES, Coding::Gzip), LIMIT);
    let mut out = Vec::new();
    stage.push(Bytes::copy_from_slice(&message), &mut out).unwrap();
    stage.finish(&mut out).unwrap();
    assert_eq!(out.concat(), message);
}

#[test]
fn a_comment_beside_a_compressed_message_does_not_pass() {
    let packed = pack(WireFormat::Gzip, &spans("nothing"));
    let commented = [&packed[..3], &[packed[3] | 16], &packed[4..10], b"bob@example.com\0", &packed[10..]].concat();
    let mut stage = GrpcStage::new(&PLAN, messages(TRACES, Coding::Gzip), LIMIT);
    let mut out = Vec::new();
    stage.push(framed(1, &commented).into(), &mut out).unwrap();
    let out = out.concat();
    assert_eq!(unpack(Coding::Gzip, &out[HEAD..]), spans("nothing"));
    assert!(!out.windows(3).any(|bytes| bytes == b"bob"));
}

#[test]
fn json_messages_keep_their_length_only_where_they_are_long() {
    let json = messages(Payload::Json, Coding::Identity);
    let body = framed(0, b"{\"to\": \"bob@example.com\"}");
    assert_eq!(run(json, body.chunks(3)), Ok(vec![(0, b"{\"to\": \"[EMAIL_ADDRESS]\"}".to_vec())]));
    let pad = " ".repeat(LIMIT);
    let body = framed(0, format!("{{{pad}\"to\": \"bob@example.com\"}}").as_bytes());
    let expected = format!("{{{pad}\"to\": \"***************\"}}").into_bytes();
    assert_eq!(run(json, body.chunks(100)), Ok(vec![(0, expected)]));
}

#[test]
fn messages_of_unknown_services_are_read_by_their_looks() {
    let message = field(7, &field(1, b"ask bob@example.com about it"));
    let expected = field(7, &field(1, b"ask [EMAIL_ADDRESS] about it"));
    let body = framed(0, &message);
    assert_eq!(run(messages(UNKNOWN, Coding::Identity), body.chunks(2)), Ok(vec![(0, expected)]));
}

#[test]
fn broken_framing_is_refused() {
    let plain = messages(TRACES, Coding::Identity);
    let message = spans("nothing");
    for body in [
        framed(2, &message),
        framed(0x80, &message),
        // Nobody said how it is compressed.
        framed(1, &pack(WireFormat::Gzip, &message)),
        framed(0, &message[..message.len() - 1]),
        framed(0, &message)[..HEAD + 3].to_vec(),
        framed(0, &message)[..3].to_vec(),
        [framed(0, &message), vec![0]].concat(),
        framed(0, b"\xff"),
    ] {
        assert_eq!(run(plain, [&body[..]]), Err(ContentError::Framing), "{body:x?}");
        assert_eq!(run(plain, body.chunks(1)), Err(ContentError::Framing), "{body:x?}");
    }
}

#[test]
fn broken_compression_is_refused() {
    let packed = pack(WireFormat::Gzip, &spans("nothing"));
    let refused = |body: &[u8]| run(messages(TRACES, Coding::Gzip), body.chunks(3)).unwrap_err();
    assert_eq!(refused(&framed(1, b"no gzip at all")), ContentError::Coding(CodingError::Corrupt));
    let cut = framed(1, &packed[..packed.len() - 1]);
    assert_eq!(refused(&cut), ContentError::Coding(CodingError::Truncated));
    let tailed = framed(1, &[&packed[..], b"bob@example.com"].concat());
    assert_eq!(refused(&tailed), ContentError::Coding(CodingError::Corrupt));
}

#[test]
fn a_message_that_decodes_to_too_much_is_refused() {
    let bomb = framed(1, &pack(WireFormat::Gzip, &spans(&"a".repeat(16 << 20))));
    let mut stage = GrpcStage::new(&PLAN, messages(UNKNOWN, Coding::Gzip), LIMIT);
    let result = stage.push(bomb.into(), &mut Vec::new()).and_then(|()| stage.finish(&mut Vec::new()));
    assert_eq!(result, Err(ContentError::Coding(CodingError::TooLarge)));
}

#[test]
fn many_messages_may_grow_no_more_than_one() {
    let limits = CodingLimits { max_decoded: u64::MAX, max_ratio: 100 };
    let messages = Messages { limits, ..messages(UNKNOWN, Coding::Gzip) };
    let one = framed(1, &pack(WireFormat::Gzip, &spans(&"a".repeat(600_000))));
    assert!(run(messages, [&one[..]]).is_ok());
    for size in [1, one.len(), usize::MAX] {
        let two = one.repeat(2);
        assert_eq!(run(messages, two.chunks(size)), Err(ContentError::Coding(CodingError::TooLarge)));
    }
}

#[test]
fn no_more_than_a_slice_is_decoded_at_a_time() {
    let long = spans(&"word ".repeat(1 << 18));
    let body = framed(1, &pack(WireFormat::Gzip, &long));
    let (mut stage, mut steps) = (GrpcStage::new(&PLAN, messages(TRACES, Coding::Gzip), LIMIT), 1);
    let mut out = Vec::new();
    stage.push(body.into(), &mut out).unwrap();
    while stage.is_pending() {
        stage.push(Bytes::new(), &mut out).unwrap();
        steps += 1;
    }
    assert!(steps >= long.len() / SLICE, "{steps}");
    assert_eq!(unpack(Coding::Gzip, &out.concat()[HEAD..]), long);
}
