//! Content codings: no panic on any bytes, the same however they are cut, never
//! beyond the limits, and what is encoded decodes to itself.
//!
//! ```text
//! coding | how | number of cuts | cuts, two bytes each | encoded bytes, or text
//! ```

#![no_main]

mod input;

use bytes::Bytes;
use expurgate::content::{Coding, CodingError, CodingLimits, Decoder, Encoder, Level, SLICE, WireFormat};
use input::{Input, chunks, cuts};
use libfuzzer_sys::fuzz_target;

const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Zstd, Coding::Brotli];

const FORMATS: [(Coding, WireFormat); 5] = [
    (Coding::Gzip, WireFormat::Gzip),
    (Coding::Deflate, WireFormat::Zlib),
    (Coding::Deflate, WireFormat::Raw),
    (Coding::Zstd, WireFormat::Zstd),
    (Coding::Brotli, WireFormat::Brotli),
];

/// Above the size from which on the ratio counts.
const LIMITS: CodingLimits = CodingLimits { max_decoded: 3 << 20, max_ratio: 100 };
/// The largest windows of zstd and br.
const MEMORY: u64 = 16 << 20;

fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let (coding, how) = (usize::from(input.byte()), input.byte());
    let places = usize::from(input.byte() & 15);
    let places = input.places(places);
    let rest = input.rest();
    if how & 1 == 0 {
        let _ = check(CODINGS[coding % CODINGS.len()], places, rest, how & 2 != 0);
    } else {
        let (coding, format) = FORMATS[coding % FORMATS.len()];
        let level = Level::ALL[usize::from(how >> 1) % Level::ALL.len()];
        let wire = encode(format, level, (how & 0x80 != 0).then_some(rest.len() as u64), rest);
        let (text, ended) = check(coding, places, &wire, how & 0x40 != 0);
        assert_eq!(ended, Ok(format), "our own encoding is refused");
        assert!(text == rest, "what was encoded decodes to something else");
    }
});

type Decoded = (Vec<u8>, Result<WireFormat, CodingError>);

/// Decodes the same bytes whole, in these chunks, and byte by byte.
fn check(coding: Coding, places: Vec<usize>, wire: &[u8], skip: bool) -> Decoded {
    let whole = decode(coding, &[wire], skip);
    for (how, cut) in [
        ("cut", decode(coding, &chunks(wire, &cuts(places, wire.len())), skip)),
        ("byte by byte", decode(coding, &wire.chunks(1).collect::<Vec<_>>(), !skip)),
    ] {
        // Which of several mistakes is met first may depend on the chunks.
        assert_eq!(whole.1.is_ok(), cut.1.is_ok(), "{how}: {:?}, whole: {:?}", cut.1, whole.1);
        if whole.1.is_ok() {
            assert!(whole == cut, "{how}: another text");
        }
    }
    whole
}

/// What is decoded before the end or a mistake.
fn decode(coding: Coding, chunks: &[&[u8]], skip: bool) -> Decoded {
    let mut decoder = Decoder::new(coding, LIMITS).expect("memory suffices").expect("it is no identity");
    if skip {
        decoder.skip_annotations();
    }
    let mut text = Vec::new();
    let decoded = chunks.iter().try_for_each(|chunk| {
        decoder.push(Bytes::copy_from_slice(chunk));
        while let Some(piece) = decoder.next_piece()? {
            assert!(!piece.is_empty() && piece.len() <= SLICE);
            text.extend_from_slice(&piece);
            assert!(text.len() as u64 <= LIMITS.max_decoded, "more than the limit is let out");
            assert!(decoder.memory() <= MEMORY);
        }
        Ok(())
    });
    let ended = decoded.and_then(|()| decoder.finish()).map(|()| decoder.wire_format());
    (text, ended)
}

fn encode(format: WireFormat, level: Level, size: Option<u64>, text: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(format, level, size).expect("memory suffices");
    let mut out = Vec::new();
    for chunk in text.chunks(100) {
        encoder.push(chunk, &mut out).expect("everything can be encoded");
    }
    encoder.finish(&mut out).expect("everything can be encoded");
    out.concat()
}
