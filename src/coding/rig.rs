//! What holds for all codings alike, and what their tests share.

use super::SLICE;
use super::*;
use ::bytes::Bytes;

const LIMITS: CodingLimits = CodingLimits { max_decoded: 8 * 1024 * 1024, max_ratio: 100 };

/// Each coding with each of its forms.
pub(crate) const FORMS: [(Coding, WireFormat); 5] = [
    (Coding::Gzip, WireFormat::Gzip),
    (Coding::Deflate, WireFormat::Zlib),
    (Coding::Deflate, WireFormat::Raw),
    (Coding::Zstd, WireFormat::Zstd),
    (Coding::Brotli, WireFormat::Brotli),
];

pub(super) fn encode(form: WireFormat, text: &[u8]) -> Vec<u8> {
    encode_at(form, Level::Fast, text)
}

fn encode_at(form: WireFormat, level: Level, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(form, level, Some(text.len() as u64)).unwrap();
    for chunk in text.chunks(SLICE) {
        encoder.push(chunk, &mut out).unwrap();
    }
    encoder.finish(&mut out).unwrap();
    out.concat()
}

/// In one piece, for tests of what decodes and encodes again.
pub(crate) fn encoded(form: WireFormat, text: &[u8]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(form, Level::Best, None).unwrap(), Vec::new());
    encoder.push(text, &mut out).unwrap();
    encoder.finish(&mut out).unwrap();
    out.concat()
}

/// The whole of it, whatever its size and ratio.
pub(crate) fn decoded(coding: Coding, wire: &[u8]) -> Vec<u8> {
    let mut decoder = Decoder::new(coding, CodingLimits::NONE).unwrap().unwrap();
    decoder.push(Bytes::copy_from_slice(wire));
    let pieces: Vec<Bytes> = std::iter::from_fn(|| decoder.next_piece().unwrap()).collect();
    decoder.finish().unwrap();
    pieces.concat()
}

pub(super) fn decode(coding: Coding, chunks: &[&[u8]]) -> Result<Vec<u8>, CodingError> {
    let (mut decoder, mut out) = (Decoder::new(coding, LIMITS)?.unwrap(), Vec::new());
    for chunk in chunks {
        decoder.push(Bytes::copy_from_slice(chunk));
        while let Some(piece) = decoder.next_piece()? {
            assert!(!piece.is_empty() && piece.len() <= SLICE);
            out.extend_from_slice(&piece);
        }
    }
    decoder.finish().map(|()| out)
}

/// At every split, a good body is annotated or not.
pub(super) fn assert_annotated(coding: Coding, wire: &[u8], expected: bool) {
    for at in 0..=wire.len() {
        let mut decoder = Decoder::new(coding, LIMITS).unwrap().unwrap();
        for part in [&wire[..at], &wire[at..]] {
            decoder.push(Bytes::copy_from_slice(part));
            while decoder.next_piece().unwrap().is_some() {}
        }
        decoder.finish().unwrap();
        assert_eq!(decoder.is_annotated(), expected, "split at {at}");
    }
}

/// Text that compresses badly, so that it spans many buffers.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn what_is_encoded_decodes_to_itself_at_every_split() {
    let text = b"{\"a\":\"hello hello hello hello\"}".repeat(4);
    for (coding, form) in FORMS {
        let wire = encode(form, &text);
        for at in 0..=wire.len() {
            assert_eq!(decode(coding, &[&wire[..at], &wire[at..]]).as_deref(), Ok(&text[..]), "{form:?} {at}");
        }
        assert_eq!(decode(coding, &wire.chunks(1).collect::<Vec<_>>()).as_deref(), Ok(&text[..]), "{form:?}");
    }
}

#[test]
fn large_bodies_keep_every_byte_at_every_level() {
    let mut text = noise(300_000);
    text.extend(std::iter::repeat_n(b'x', 5 * SLICE));
    text.extend(noise(3));
    for (coding, form) in FORMS {
        for level in Level::ALL {
            let wire = encode_at(form, level, &text);
            assert!(wire.len() < 330_000, "{form:?} {level:?}: {}", wire.len());
            for size in [wire.len(), 4096, 7] {
                let chunks: Vec<&[u8]> = wire.chunks(size).collect();
                assert!(decode(coding, &chunks).as_ref() == Ok(&text), "{form:?} {level:?} {size}");
            }
        }
        let empty = encode(form, b"");
        assert_eq!(decode(coding, &[&empty]).as_deref(), Ok(&b""[..]), "{form:?}");
    }
}

#[test]
fn a_cut_body_is_truncated_wherever_it_is_cut() {
    for (coding, form) in FORMS {
        let wire = encode(form, b"hello hello hello");
        for at in 0..wire.len() {
            assert_eq!(decode(coding, &[&wire[..at]]), Err(CodingError::Truncated), "{form:?} at {at}");
        }
    }
}

#[test]
fn garbage_before_and_behind_a_body_is_corrupt() {
    for (coding, form) in FORMS {
        let wire = encode(form, b"hello hello hello");
        for chunks in [&[&wire, &b"garbage after it"[..]][..], &[&[&wire[..], b"garbage after it"].concat()]] {
            assert_eq!(decode(coding, chunks), Err(CodingError::Corrupt), "{form:?}");
        }
        assert_eq!(decode(coding, &[b"not compressed at all"]), Err(CodingError::Corrupt), "{form:?}");
    }
}

#[test]
fn a_wrong_bit_is_seen_wherever_a_checksum_covers_it() {
    let text = b"hello hello hello";
    for (coding, form) in [FORMS[0], FORMS[1], FORMS[3]] {
        let wire = encode(form, text);
        let (mut same, mut refused) = (0, 0);
        for bit in 0..wire.len() * 8 {
            let mut wrong = wire.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            match decode(coding, &[&wrong]) {
                // Bits that mean nothing, such as a time or an operating system.
                Ok(decoded) => {
                    assert_eq!(decoded, text, "{form:?} bit {bit}");
                    same += 1;
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused > same, "{form:?}: {refused} of {}", refused + same);
    }
}

#[test]
fn a_bomb_is_stopped_by_ratio_and_by_size() {
    for (coding, form) in FORMS {
        let wire = encode(form, &vec![0; 4 * 1024 * 1024]);
        assert_eq!(decode(coding, &[&wire]), Err(CodingError::TooLarge), "{form:?}");
        assert_eq!(decode(coding, &wire.chunks(1).collect::<Vec<_>>()), Err(CodingError::TooLarge), "{form:?}");
        let wire = encode(form, &noise(9 * 1024 * 1024));
        assert_eq!(decode(coding, &[&wire]), Err(CodingError::TooLarge), "{form:?}");
    }
}

#[test]
fn the_window_is_counted_as_far_as_it_is_filled() {
    for (coding, form) in FORMS {
        let wire = encode(form, &noise(2 * 1024 * 1024));
        let mut decoder = Decoder::new(coding, LIMITS).unwrap().unwrap();
        decoder.push(wire.into());
        assert_eq!(decoder.memory(), 0);
        let first = decoder.next_piece().unwrap().unwrap();
        assert!((1..=first.len() as u64).contains(&decoder.memory()), "{form:?}: {}", decoder.memory());
        while decoder.next_piece().unwrap().is_some() {}
        assert!((32 * 1024..=1024 * 1024).contains(&decoder.memory()), "{form:?}: {}", decoder.memory());
    }
}
