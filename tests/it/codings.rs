//! Codings as others write and read them, and properties of ours beside them.

use bytes::Bytes;
use expurgate::content::{Coding, CodingError, CodingLimits, Decoder};
use flate2::Compression;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use std::io::{Read, Write};

/// A coding, by the encoder and the decoder of its library.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codec {
    /// In the header.
    pub(crate) name: &'static str,
    pub(crate) coding: Coding,
    pub(crate) encode: fn(&[u8]) -> Vec<u8>,
    pub(crate) decode: fn(&[u8]) -> Vec<u8>,
}

impl Codec {
    pub(crate) fn header(&self) -> (&'static str, &'static str) {
        ("content-encoding", self.name)
    }
}

pub(crate) const CODECS: [Codec; 5] = [
    Codec { name: "gzip", coding: Coding::Gzip, encode: gzip, decode: gunzip },
    Codec { name: "deflate", coding: Coding::Deflate, encode: zlib, decode: |wire| all(ZlibDecoder::new(wire)) },
    Codec { name: "Deflate", coding: Coding::Deflate, encode: raw, decode: |wire| all(DeflateDecoder::new(wire)) },
    Codec { name: "zstd", coding: Coding::Zstd, encode: zstd, decode: |wire| zstd::decode_all(wire).unwrap() },
    Codec {
        name: "br",
        coding: Coding::Brotli,
        encode: brotli,
        decode: |wire| all(brotli::Decompressor::new(wire, 4096)),
    },
];

pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn gunzip(wire: &[u8]) -> Vec<u8> {
    all(MultiGzDecoder::new(wire))
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn raw(text: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 3).unwrap()
}

/// With the window that encoders use unless told.
fn brotli(mut text: &[u8]) -> Vec<u8> {
    let params = brotli::enc::BrotliEncoderParams { quality: 4, lgwin: 22, ..Default::default() };
    let mut wire = Vec::new();
    brotli::BrotliCompress(&mut text, &mut wire, &params).unwrap();
    wire
}

fn all(mut reader: impl Read) -> Vec<u8> {
    let mut text = Vec::new();
    reader.read_to_end(&mut text).unwrap();
    text
}

/// What br has in four hundred bytes, and zstd in sixteen KiB.
const BOMB: usize = 512 << 20;

/// One byte, over and over: 512 MiB where that is little, and else a sixteenth
/// of it, since deflate repeats 258 bytes at most.
pub(crate) fn bomb(codec: &Codec, byte: u8) -> Vec<u8> {
    match codec.name {
        "zstd" => zstd_bomb(byte),
        "br" => brotli_bomb(byte),
        _ => (codec.encode)(&vec![byte; BOMB / 16]),
    }
}

/// Blocks that repeat a byte (RFC 8878, section 3.1.1.2), each as large as a
/// block may be.
fn zstd_bomb(byte: u8) -> Vec<u8> {
    const BLOCK: u32 = 128 << 10;
    const BLOCKS: usize = BOMB / BLOCK as usize;
    let header = |last: u32| (last | 1 << 1 | BLOCK << 3).to_le_bytes();
    let block = |last: u32| [&header(last)[..3], &[byte]].concat();
    // No size, no checksum; a window of 128 KiB.
    let mut wire = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];
    (1..BLOCKS).for_each(|_| wire.extend(block(0)));
    wire.extend(block(1));
    wire
}

/// Meta-blocks of 16 MiB (RFC 7932, section 9.2), each one copy of what is
/// before it.
fn brotli_bomb(byte: u8) -> Vec<u8> {
    let params = brotli::enc::BrotliEncoderParams { quality: 3, lgwin: 24, ..Default::default() };
    let mut wire = Vec::new();
    brotli::BrotliCompress(&mut std::io::repeat(byte).take(BOMB as u64), &mut wire, &params).unwrap();
    wire
}

const LIMITS: CodingLimits = CodingLimits { max_decoded: 300_000, max_ratio: 20 };

/// What our decoder makes of chunks; as far as it gets, and whether it ends well.
fn decode(coding: Coding, chunks: &[&[u8]]) -> (Vec<u8>, Result<(), CodingError>) {
    let (mut decoder, mut text) = (Decoder::new(coding, LIMITS).unwrap().unwrap(), Vec::new());
    let decoded = chunks.iter().try_for_each(|chunk| {
        decoder.push(Bytes::copy_from_slice(chunk));
        while let Some(piece) = decoder.next_piece()? {
            text.extend_from_slice(&piece);
        }
        Ok(())
    });
    let ended = decoded.and_then(|()| decoder.finish());
    (text, ended)
}

fn chunks<'a>(wire: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
    ends.sort_unstable();
    ends.push(wire.len());
    let mut from = 0;
    ends.into_iter().map(|end| &wire[std::mem::replace(&mut from, end)..end]).collect()
}

/// Something of everything: what repeats, what does not, and nothing.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let run = (any::<u8>(), 0..40_000usize).prop_map(|(byte, length)| vec![byte; length]);
    let noise = prop::collection::vec(any::<u8>(), 0..3000);
    let words = prop::collection::vec("[a-z ]{1,8}", 0..300).prop_map(|words| words.concat().into_bytes());
    prop::collection::vec(prop_oneof![run, noise, words], 0..4).prop_map(|parts| parts.concat())
}

fn codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(CODECS.to_vec())
}

fn config(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn what_others_encode_decodes_to_itself_however_it_is_cut(
        codec in codec(), texts in prop::collection::vec(text(), 1..3), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)
    ) {
        // Gzip and zstd may be several in a row.
        let texts = if matches!(codec.coding, Coding::Gzip | Coding::Zstd) { &texts[..] } else { &texts[..1] };
        let wire = texts.iter().flat_map(|text| (codec.encode)(text)).collect::<Vec<_>>();
        let whole = decode(codec.coding, &[&wire]);
        if whole.1.is_ok() {
            prop_assert!(whole.0 == texts.concat());
        } else {
            prop_assert_eq!(whole.1, Err(CodingError::TooLarge));
        }
        let cut = decode(codec.coding, &chunks(&wire, &cuts));
        prop_assert!(cut == whole, "{:?} is not {:?}", cut.1, whole.1);
        let bytewise = decode(codec.coding, &wire.chunks(1).collect::<Vec<_>>());
        prop_assert!(bytewise == whole, "{:?} is not {:?}", bytewise.1, whole.1);
    }

    #[test]
    fn what_is_broken_is_refused_however_it_is_cut(
        codec in codec(),
        text in text(),
        at in any::<prop::sample::Index>(),
        bits in 1u8..,
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8)
    ) {
        let mut wire = (codec.encode)(&text);
        let at = at.index(wire.len());
        wire[at] ^= bits;
        let whole = decode(codec.coding, &[&wire]);
        let cut = decode(codec.coding, &chunks(&wire, &cuts));
        // Which of two mistakes is met first may depend on the chunks.
        prop_assert_eq!(cut.1.is_ok(), whole.1.is_ok());
        if whole.1.is_ok() {
            prop_assert!(cut.0 == whole.0);
        }
        let shortened = decode(codec.coding, &chunks(&wire[..at], &cuts));
        prop_assert!(shortened.1.is_err());
    }
}
