//! Digests of the body that need no key: of a body that is redacted before the
//! upstream is called they are made anew.
//!
//! Only where the old one was true: a digest that is wrong tells of a body that
//! was damaged on its way to us, and a true one would hide that.

use super::respond::Failure;
use crate::scan::Encoding;
use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// Those that a request is as good without: RFC 1864, RFC 3230, RFC 9530 and
/// what is to come of it.
static SPARE: [HeaderName; 5] = [
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("unencoded-digest"),
];

/// Those that hold several, each behind the name of its algorithm.
const LISTS: [&str; 5] = ["digest", "content-digest", "repr-digest", "unencoded-digest", "x-goog-hash"];

/// Headers, or members of one, that are looked at: no client has as many.
const MOST: usize = 8;

/// What is no digest, whatever else the name says.
const ABOUT: [&str; 3] = ["algorithm", "type", "mode"];
/// Of whom a digest with one of these words in its name is.
const OF_BODY: [&str; 3] = ["content", "payload", "body"];

/// Whether the upstream may do without this digest.
pub(super) fn is_spare(name: &HeaderName) -> bool {
    SPARE.contains(name)
}

/// Whether a header's name is that of a digest of the body.
pub(super) fn is_digest(name: &str) -> bool {
    let mut words = name.split(['-', '_']);
    let is_about = words.clone().next_back().is_some_and(|last| ABOUT.contains(&last));
    let says_so = LISTS.contains(&name)
        || words.clone().any(|word| word == "checksum")
        || (words.any(|word| OF_BODY.contains(&word)) && Algorithm::at_end_of(name).is_some());
    says_so && !is_about
}

/// The digests that a head holds.
#[derive(Debug, Default)]
pub(super) struct Digests(Vec<(HeaderName, HeaderValue)>);

impl Digests {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        // S3's word for a body without one.
        let is_told = |value: &HeaderValue| value != "UNSIGNED-PAYLOAD";
        let digests = headers.iter().filter(|(name, value)| is_digest(name.as_str()) && is_told(value));
        Self(digests.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// What a request is refused with whose body would change while it streams:
    /// a digest leaves before the body.
    pub(super) fn bound(&self) -> Option<Failure> {
        self.0.iter().any(|(name, _)| !is_spare(name)).then_some(Failure::Signed)
    }

    /// The digests of `after` in the place of those of `before`. Without what is
    /// not known, or was not true, where a request is as good without it.
    ///
    /// # Errors
    /// Where it is not.
    pub(super) fn renew(&self, before: &[Bytes], after: &[Bytes]) -> Result<Vec<(HeaderName, HeaderValue)>, Failure> {
        // Each is a look at the whole body.
        if self.0.len() > MOST {
            return Err(Failure::Signed);
        }
        let mut renewed = Vec::with_capacity(self.0.len());
        for (name, value) in &self.0 {
            let value = value.to_str().unwrap_or_default();
            let new = match LISTS.contains(&name.as_str()) {
                true => renewed_list(value, !is_spare(name), before, after),
                false => Algorithm::at_end_of(name.as_str()).and_then(|one| one.renewed(value, before, after)),
            };
            match new.and_then(|new| HeaderValue::try_from(new).ok()) {
                Some(new) => renewed.push((name.clone(), new)),
                None if is_spare(name) => {}
                None => return Err(Failure::Signed),
            }
        }
        Ok(renewed)
    }
}

/// `sha-256=:...:, md5=:...:`, as a dictionary (RFC 9530) or with the values alone
/// (RFC 3230). `all` of the members must be true, or those are left out that are
/// not.
fn renewed_list(list: &str, all: bool, before: &[Bytes], after: &[Bytes]) -> Option<String> {
    let member = |member: &str| {
        let (name, value) = member.split_once('=')?;
        let algorithm = Algorithm::called(name)?;
        let bare = value.strip_prefix(':').and_then(|value| value.strip_suffix(':'));
        let new = algorithm.renewed(bare.unwrap_or(value), before, after)?;
        Some(if bare.is_some() { format!("{name}=:{new}:") } else { format!("{name}={new}") })
    };
    if list.split(',').count() > MOST {
        return None;
    }
    let members: Vec<Option<String>> = list.split(',').map(|text| member(text.trim())).collect();
    if all && members.iter().any(Option::is_none) {
        return None;
    }
    let known: Vec<String> = members.into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(", "))
}

/// How a digest is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha384,
    Sha512,
    Crc32,
    Crc32c,
    Crc64Nvme,
}

impl Algorithm {
    /// By their names, in lower case and without dashes.
    const NAMES: [(&str, Self); 8] = [
        ("md5", Self::Md5),
        ("sha1", Self::Sha1),
        ("sha256", Self::Sha256),
        ("sha384", Self::Sha384),
        ("sha512", Self::Sha512),
        ("crc32", Self::Crc32),
        ("crc32c", Self::Crc32c),
        ("crc64nvme", Self::Crc64Nvme),
    ];

    /// The one of this name in a list.
    fn called(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase().replace('-', "");
        // RFC 3230 says only SHA.
        let name = if name == "sha" { "sha1" } else { &name };
        Self::NAMES.iter().find(|(own, _)| *own == name).map(|(_, algorithm)| *algorithm)
    }

    /// The one that the name of a header ends with.
    fn at_end_of(header: &str) -> Option<Self> {
        let name = header.replace(['-', '_'], "");
        Self::NAMES.iter().find(|(own, _)| name.ends_with(own)).map(|(_, algorithm)| *algorithm)
    }

    /// The digest of `after`, written as that of `before` is, if `old` is that.
    fn renewed(self, old: &str, before: &[Bytes], after: &[Bytes]) -> Option<String> {
        let digest = self.digest(before);
        let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let lower = hex(&digest);
        if old == lower {
            return Some(hex(&self.digest(after)));
        }
        if old == lower.to_ascii_uppercase() {
            return Some(hex(&self.digest(after)).to_ascii_uppercase());
        }
        let (read, encoding) = Encoding::read(old.as_bytes());
        if read != digest || encoding.write(&digest) != old.as_bytes() {
            return None;
        }
        String::from_utf8(encoding.write(&self.digest(after))).ok()
    }

    fn digest(self, pieces: &[Bytes]) -> Vec<u8> {
        match self {
            Self::Md5 => hashed::<Md5>(pieces),
            Self::Sha1 => hashed::<Sha1>(pieces),
            Self::Sha256 => hashed::<Sha256>(pieces),
            Self::Sha384 => hashed::<Sha384>(pieces),
            Self::Sha512 => hashed::<Sha512>(pieces),
            Self::Crc32 => crc(0xedb8_8320, 32, pieces),
            Self::Crc32c => crc(0x82f6_3b78, 32, pieces),
            Self::Crc64Nvme => crc(0x9a6c_9329_ac4b_c9b5, 64, pieces),
        }
    }
}

fn hashed<D: Digest>(pieces: &[Bytes]) -> Vec<u8> {
    let mut hash = D::new();
    pieces.iter().for_each(|piece| hash.update(piece));
    hash.finalize().to_vec()
}

/// A cyclic redundancy check of so many bits, most significant byte first, by its
/// polynomial, least significant bit first (<https://reveng.sourceforge.io/crc-catalogue/>).
fn crc(polynomial: u64, bits: u32, pieces: &[Bytes]) -> Vec<u8> {
    let mut table = [0_u64; 256];
    for (entry, byte) in table.iter_mut().zip(0_u64..) {
        *entry = (0..8).fold(byte, |rest, _| (rest >> 1) ^ if rest & 1 == 1 { polynomial } else { 0 });
    }
    let ones = u64::MAX >> (64 - bits);
    let step = |rest: u64, byte: &u8| table[usize::from(rest.to_le_bytes()[0] ^ byte)] ^ (rest >> 8);
    let rest = pieces.iter().flat_map(|piece| piece.iter()).fold(ones, step) ^ ones;
    let bytes = rest.to_be_bytes();
    bytes[bytes.len() - bits as usize / 8..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digests that these headers have of `new` where they were of `old`.
    fn renewed(headers: &[(&'static str, &str)], old: &str, new: &str) -> Result<Vec<String>, Failure> {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let digests = Digests::of(&headers.iter().map(pair).collect());
        let pieces = |text: &str| {
            let (one, other) = text.split_at(text.len() / 2);
            [one, other].map(|half| Bytes::copy_from_slice(half.as_bytes()))
        };
        let renewed = digests.renew(&pieces(old), &pieces(new))?;
        Ok(renewed.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect())
    }

    /// As `printf %s hello | openssl dgst -md5 -binary | base64` and the like tell.
    const HELLO_MD5: &str = "XUFAKrxLKna5cZ2REBfFkg==";
    const HELLO_SHA1: &str = "qvTGHdzF6KLavt4PO0gs2a6pQ00=";
    const HELLO_SHA256: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    const HELLO_SHA256_HEX: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn checks_are_those_of_the_catalogue() {
        let check =
            |algorithm: Algorithm| algorithm.digest(&[Bytes::from_static(b"1234"), Bytes::from_static(b"56789")]);
        assert_eq!(check(Algorithm::Crc32), 0xcbf4_3926_u32.to_be_bytes());
        assert_eq!(check(Algorithm::Crc32c), 0xe306_9283_u32.to_be_bytes());
        assert_eq!(check(Algorithm::Crc64Nvme), 0xae8b_1486_0a79_9888_u64.to_be_bytes());
    }

    #[test]
    fn each_digest_is_made_anew_as_it_was_written() {
        let unpadded = HELLO_SHA256.trim_end_matches('=');
        for (name, value) in [
            ("content-md5", HELLO_MD5.to_owned()),
            ("digest", format!("SHA-256={HELLO_SHA256}, sha={HELLO_SHA1}")),
            ("content-digest", format!("sha-256=:{HELLO_SHA256}:")),
            ("repr-digest", format!("sha-256=:{HELLO_SHA256}:, md5=:{HELLO_MD5}:")),
            ("x-amz-checksum-sha256", HELLO_SHA256.to_owned()),
            ("x-amz-checksum-sha1", HELLO_SHA1.to_owned()),
            ("x-amz-checksum-crc32", "NhCmhg==".to_owned()),
            ("x-amz-checksum-crc32c", "mnG7TA==".to_owned()),
            ("x-amz-content-sha256", HELLO_SHA256_HEX.to_owned()),
            ("x-checksum-sha256", HELLO_SHA256_HEX.to_ascii_uppercase()),
            ("x-ms-content-sha256", unpadded.to_owned()),
            ("x-goog-hash", format!("crc32c=mnG7TA==, md5={HELLO_MD5}")),
        ] {
            // There and back again.
            let there = renewed(&[(name, &value)], "hello", "bye").unwrap();
            assert_eq!(there.len(), 1, "{name}");
            let (_, other) = there[0].split_once(": ").unwrap();
            assert_ne!(other, value, "{name}");
            assert_eq!(renewed(&[(name, other)], "bye", "hello"), Ok(vec![format!("{name}: {value}")]));
        }
    }

    #[test]
    fn what_was_not_true_is_left_out_where_it_may_be_and_else_refused() {
        for value in [HELLO_MD5.replace('X', "Y"), "abc".to_owned(), String::new(), format!("{HELLO_MD5}A")] {
            assert_eq!(renewed(&[("content-md5", &value)], "hello", "bye"), Ok(vec![]), "{value}");
            assert_eq!(renewed(&[("x-amz-checksum-md5", &value)], "hello", "bye"), Err(Failure::Signed), "{value}");
        }
        let half = format!("sha-256=:{HELLO_SHA256}:, unixsum=:abc:, md5=:{HELLO_SHA1}:");
        let kept = renewed(&[("content-digest", &half)], "hello", "hello").unwrap();
        assert_eq!(kept, [format!("content-digest: sha-256=:{HELLO_SHA256}:")]);
        let hash = format!("crc32c=AAAAAA==,md5={HELLO_MD5}");
        assert_eq!(renewed(&[("x-goog-hash", &hash)], "hello", "bye"), Err(Failure::Signed));
        assert_eq!(renewed(&[("upload-checksum", "sha1 abc")], "hello", "bye"), Err(Failure::Signed));
    }

    #[test]
    fn only_what_tells_of_the_body_is_a_digest() {
        for name in ["x-bz-content-sha1", "x-ms-blob-content-md5", "x-content-sha256", "x-checksum", "content-md5"] {
            assert!(is_digest(name), "{name}");
        }
        for name in [
            "x-commit-sha256",
            "x-amz-sdk-checksum-algorithm",
            "x-amz-checksum-type",
            "x-amz-checksum-mode",
            "want-digest",
            "content-type",
            "x-prompt-hash",
        ] {
            assert!(!is_digest(name), "{name}");
        }
        let unsigned = [("x-amz-content-sha256", "UNSIGNED-PAYLOAD"), ("x-amz-sdk-checksum-algorithm", "CRC32")];
        assert_eq!(renewed(&unsigned, "hello", "bye"), Ok(vec![]));
    }
}
