//! Pseudonyms: HMAC-SHA-256 (RFC 2104) of a value under a key.
//!
//! What is hashed is the value as it is meant, with the escapes of every level
//! decoded and not normalised in any other way: one address is one pseudonym in
//! a string, in JSON within a string, in a URL, as a number. Nothing but the
//! value goes in, so that whoever has the key can make the same with any tool.

use super::mask::is_long_run;
use crate::scan::unit;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::sync::Arc;
use zeroize::ZeroizeOnDrop;

/// Longest id of a key.
const LONGEST_ID: usize = 32;
/// Fewer different bytes are no key but a filler.
const FEWEST_DIFFERENT: usize = 8;

/// All that HMAC keeps of a key are states of the hash, which overwrite
/// themselves when they are dropped.
const _: fn() = || {
    fn overwritten<T: ZeroizeOnDrop>() {}
    overwritten::<Sha256>();
};

/// A key with its name. Overwrites itself when it is dropped, and no `Debug`
/// shows it.
#[derive(Clone)]
pub struct HashKey {
    id: String,
    /// Keyed, nothing hashed yet.
    mac: Hmac<Sha256>,
}

impl HashKey {
    /// Bytes of a key, at least: those of the hash (RFC 2104, section 3).
    pub const SHORTEST: usize = 32;

    /// A key by its name and bytes.
    ///
    /// # Errors
    /// When the name cannot stand in a label, or the key is none.
    pub fn new(id: &str, bytes: &[u8]) -> Result<Self, String> {
        Self::check_id(id)?;
        if bytes.len() < Self::SHORTEST {
            return Err(format!(
                "the key has {} bytes, but needs {}; make one with `openssl rand -hex 32`",
                bytes.len(),
                Self::SHORTEST
            ));
        }
        let mut seen = [false; 256];
        bytes.iter().for_each(|&byte| seen[usize::from(byte)] = true);
        if seen.iter().filter(|&&seen| seen).count() < FEWEST_DIFFERENT {
            return Err("the key is not random; make one with `openssl rand -hex 32`".to_owned());
        }
        let mac = Hmac::new_from_slice(bytes).map_err(|_| "the key cannot be used".to_owned())?;
        Ok(Self { id: id.to_owned(), mac })
    }

    /// Whether a key may have this name.
    ///
    /// # Errors
    /// With what names are like.
    pub fn check_id(id: &str) -> Result<(), String> {
        let in_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_id = !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(in_id);
        is_id.then_some(()).ok_or_else(|| format!("a key's name has 1 to {LONGEST_ID} letters, digits, - and _"))
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is the same key, whatever its name.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.mac.clone().finalize() == other.mac.clone().finalize()
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl PartialEq for HashKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.is_same_as(other)
    }
}

impl Eq for HashKey {}

/// Which key, and how much of the hash is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pseudonym {
    key: Arc<HashKey>,
    /// From 16 to 64.
    digits: usize,
}

impl Pseudonym {
    /// Bits of the hash that are written unless told.
    pub const BITS: u32 = 64;

    /// Whether so many bits can be written.
    ///
    /// # Errors
    /// When they are too few to tell values apart, more than the hash has, or
    /// no whole bytes.
    pub fn check_bits(bits: u32) -> Result<(), String> {
        match (64..=256).contains(&bits) && bits.is_multiple_of(8) {
            true => Ok(()),
            false => Err(format!("\"bits\" must be a multiple of 8 from 64 to 256, not {bits}")),
        }
    }

    /// Pseudonyms of so many bits.
    ///
    /// # Errors
    /// As [`Pseudonym::check_bits`].
    pub fn new(key: Arc<HashKey>, bits: u32) -> Result<Self, String> {
        Self::check_bits(bits)?;
        Ok(Self { key, digits: usize::try_from(bits / 4).unwrap_or(64) })
    }

    /// The name of the key.
    pub(super) fn key(&self) -> &str {
        &self.key.id
    }

    /// Begins a value of `entity`.
    pub(super) fn begin(&self, entity: &str) -> Hashing {
        let label = format!("[{entity}:{}:", self.key.id);
        Hashing { mac: self.key.mac.clone(), digits: self.digits, label }
    }
}

/// Hashes one value, piece by piece.
pub(super) struct Hashing {
    mac: Hmac<Sha256>,
    digits: usize,
    /// Up to the hash.
    label: String,
}

impl Hashing {
    /// Takes the next piece of the value, which consists of whole units.
    pub(super) fn push(&mut self, raw: &[u8]) {
        let mut at = 0;
        while at < raw.len() {
            let plain = memchr::memchr2(b'\\', b'%', &raw[at..]).unwrap_or(raw.len() - at);
            self.mac.update(&raw[at..at + plain]);
            at += plain;
            if at < raw.len() {
                let unit = unit(raw, at);
                // Of very long runs of backslashes the scanner gives parts.
                if !is_long_run(&raw[at..at + unit.len]) {
                    self.mac.update(unit.bytes(&mut [0; 4]));
                }
                at += unit.len;
            }
        }
    }

    /// The label: `[EMAIL_ADDRESS:k1:9f86d081884c7d65]`.
    pub(super) fn finish(self) -> String {
        let Self { mac, digits, mut label } = self;
        let hash = mac.finalize().into_bytes();
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        label.push_str(&hex[..digits]);
        label.push(']');
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"Only for tests: thirty-two bytes";

    fn pseudonym(bits: u32, pieces: &[&str]) -> String {
        let key = Arc::new(HashKey::new("k1", KEY).unwrap());
        let mut hashing = Pseudonym::new(key, bits).unwrap().begin("EMAIL_ADDRESS");
        pieces.iter().for_each(|piece| hashing.push(piece.as_bytes()));
        hashing.finish()
    }

    #[test]
    fn the_hash_is_that_of_other_tools() {
        // printf %s jane@example.com | openssl dgst -sha256 -hmac 'Only for tests: thirty-two bytes'
        let hash = "b0fac356899096af831b208f844e4f6cb1851d579f4c068927379e6df62ce2ad";
        assert_eq!(pseudonym(64, &["jane@example.com"]), format!("[EMAIL_ADDRESS:k1:{}]", &hash[..16]));
        assert_eq!(pseudonym(256, &["jane@example.com"]), format!("[EMAIL_ADDRESS:k1:{hash}]"));
    }

    #[test]
    fn a_value_is_hashed_as_it_is_meant() {
        let plain = pseudonym(64, &["jane@example.com"]);
        for pieces in
            [&[r"jane\u0040example.com"][..], &["jane%40", r"\\u0065xample.com"], &["", "j", "ane@example.com"]]
        {
            assert_eq!(pseudonym(64, pieces), plain, "{pieces:?}");
        }
        assert_ne!(pseudonym(64, &["Jane@example.com"]), plain);
    }

    #[test]
    fn bits_are_whole_bytes_and_enough_of_them() {
        let key = Arc::new(HashKey::new("k1", KEY).unwrap());
        for bits in [0, 8, 56, 65, 68, 264, u32::MAX] {
            assert!(Pseudonym::new(Arc::clone(&key), bits).is_err(), "{bits}");
        }
        for bits in [64, 72, 128, 256] {
            assert!(Pseudonym::new(Arc::clone(&key), bits).is_ok(), "{bits}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for (id, bytes) in [("k1", &KEY[..31]), ("k1", &[7; 64]), ("k 1", KEY), ("", KEY), ("k:1", KEY)] {
            assert!(HashKey::new(id, bytes).is_err(), "{id}");
        }
    }

    #[test]
    fn no_debug_shows_a_key() {
        let key = HashKey::new("k1", KEY).unwrap();
        assert_eq!(format!("{key:?}"), "HashKey { id: \"k1\", .. }");
    }
}
