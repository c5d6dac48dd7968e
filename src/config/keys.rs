//! The keys of pseudonyms: each in a file of its own, read by the caller.

use super::error::ConfigError;
use super::file::{self, Source};
use crate::redact::{HashKey, Pseudonym};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A key file's content and who may read it. Overwritten when dropped.
pub struct KeyFile {
    /// All of it.
    pub content: Zeroizing<Vec<u8>>,
    /// The permission bits, where the system has them.
    pub mode: Option<u32>,
}

/// How key files are read. The default has none.
#[derive(Clone, Copy)]
pub struct KeyReader(pub fn(&Path) -> std::io::Result<KeyFile>);

impl Default for KeyReader {
    fn default() -> Self {
        Self(|_| Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "no key files are read here")))
    }
}

impl fmt::Debug for KeyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyReader")
    }
}

/// All keys that may be named.
#[derive(Debug)]
pub(super) struct Keys {
    by_id: BTreeMap<String, Arc<HashKey>>,
    active: Option<String>,
    bits: u32,
    /// What is not wrong, but not right either.
    pub(super) warnings: Vec<String>,
}

impl Keys {
    /// Reads the keys of the `[hash]` section.
    pub(super) fn read(hash: &file::Hash, reader: KeyReader, source: Option<&Source>) -> Result<Self, ConfigError> {
        let bits = hash.bits.unwrap_or(Pseudonym::BITS);
        Pseudonym::check_bits(bits).map_err(|why| ConfigError::at_key(source, "bits", format!("hash.bits: {why}")))?;
        let mut keys = Self { by_id: BTreeMap::new(), active: hash.active.clone(), bits, warnings: Vec::new() };
        for (id, path) in &hash.keys {
            if is_key(path) {
                // Not repeated: it is the secret itself.
                let message =
                    format!("hash.keys.{id}: this is a key; write it to a file of mode 600 and give its path");
                return Err(ConfigError::at_key(source, id, message));
            }
            let blame = |why: String| {
                let message = format!("hash.keys.{id}: {}: {why}", path.display());
                ConfigError::at_key(source, id, message)
            };
            let unreadable = |error| ConfigError::Unreadable(Box::new(blame(format!("cannot be read: {error}"))));
            let file = (reader.0)(path).map_err(unreadable)?;
            keys.warnings.extend(
                exposure(file.mode)
                    .map_err(blame)?
                    .map(|why| format!("the key file {} {why}; `chmod 600` it", path.display())),
            );
            let key = HashKey::new(id, &decode(&file.content).map_err(blame)?).map_err(blame)?;
            if let Some(same) = keys.by_id.values().find(|other| other.is_same_as(&key)) {
                return Err(blame(format!("holds the same key as {}", same.id())));
            }
            keys.by_id.insert(id.clone(), Arc::new(key));
        }
        match &keys.active {
            Some(active) if !keys.by_id.contains_key(active) => {
                let message = format!("hash.active: {}", keys.unknown(active));
                Err(ConfigError::at_key(source, "active", message))
            }
            _ => Ok(keys),
        }
    }

    /// Bits of the hash, unless an action says otherwise.
    pub(super) fn bits(&self) -> u32 {
        self.bits
    }

    /// The names of all of them.
    pub(super) fn ids(&self) -> Arc<[String]> {
        self.by_id.keys().cloned().collect()
    }

    /// The key of this name, else the active one, else the only one.
    pub(super) fn find(&self, id: Option<&str>) -> Result<&Arc<HashKey>, String> {
        match id.or(self.active.as_deref()) {
            Some(id) => self.by_id.get(id).ok_or_else(|| self.unknown(id)),
            None if self.by_id.len() == 1 => self.by_id.values().next().ok_or_else(String::new),
            None if self.by_id.is_empty() => {
                Err("\"hash\" needs a key: set hash.keys.k1 = \"/path/to/a/file\", or EXPURGATE_HASH_KEYS=k1=/path/to/a/file"
                    .to_owned())
            }
            None => Err(format!("which key? set hash.active to one of {}", self.names())),
        }
    }

    fn unknown(&self, id: &str) -> String {
        match self.by_id.is_empty() {
            true => format!("there is no key \"{id}\": set hash.keys.{id} = \"/path/to/a/file\""),
            false => format!("there is no key \"{id}\"; hash.keys has {}", self.names()),
        }
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.by_id.keys().map(String::as_str).collect();
        names.join(", ")
    }
}

/// Whether what should be a path is a key as it stands in a file.
fn is_key(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let written = ["hex:", "base64:"].iter().any(|form| text.starts_with(form));
    written || text.len() >= 2 * HashKey::SHORTEST && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What is wrong with a file's permissions: whoever may write it makes the keys,
/// whoever may read it can try values until one fits.
fn exposure(mode: Option<u32>) -> Result<Option<&'static str>, String> {
    match mode {
        Some(mode) if mode & 0o002 != 0 => Err("may be written by everybody; `chmod 600` it".to_owned()),
        Some(mode) if mode & 0o004 != 0 => Ok(Some("may be read by everybody")),
        _ => Ok(None),
    }
}

/// The key in a file. A file of printable ASCII only is text: white space at its
/// ends is not part of the key, and `hex:` or `base64:` tells how it is written.
/// All else is taken as it is, byte for byte.
fn decode(content: &[u8]) -> Result<Zeroizing<Vec<u8>>, String> {
    let is_text = content.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    let content = if is_text { content.trim_ascii() } else { content };
    let decoded = match (content.strip_prefix(b"hex:"), content.strip_prefix(b"base64:")) {
        (Some(digits), _) if is_text => hex(digits).ok_or("is not valid hex behind \"hex:\"")?,
        (_, Some(digits)) if is_text => base64(digits).ok_or("is not valid base64 behind \"base64:\"")?,
        _ => content.to_vec(),
    };
    Ok(Zeroizing::new(decoded))
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    // Enough from the start: a vector that grows leaves copies behind.
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    for pair in digits.chunks_exact(2) {
        bytes.push(digit(pair[0])? << 4 | digit(pair[1])?);
    }
    Some(bytes)
}

/// RFC 4648, sections 4 and 5, with padding or without.
fn base64(digits: &[u8]) -> Option<Vec<u8>> {
    let digits = digits.trim_ascii_end();
    let padding = digits.iter().rev().take_while(|&&byte| byte == b'=').count();
    let digits = &digits[..digits.len() - padding];
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    };
    let is_whole =
        digits.len() % 4 != 1 && padding <= 2 && (padding == 0 || (digits.len() + padding).is_multiple_of(4));
    if !is_whole {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut joined = 0_u32;
        for index in 0..4 {
            let sextet = group.get(index).map_or(Some(0), |&byte| value(byte))?;
            joined = joined << 6 | u32::from(sextet);
        }
        bytes.extend_from_slice(&joined.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_text_hex_base64_or_bytes() {
        let decoded = |content: &[u8]| decode(content).map(|key| key.to_vec());
        assert_eq!(decoded(b"some text \n").unwrap(), b"some text");
        assert_eq!(decoded(b"hex:00fFA1\n").unwrap(), [0x00, 0xff, 0xa1]);
        assert_eq!(decoded(b"base64:AP+h\n").unwrap(), [0x00, 0xff, 0xa1]);
        assert_eq!(decoded(b"base64:AP-hAA==").unwrap(), [0x00, 0xff, 0xa1, 0x00]);
        assert_eq!(decoded(b"base64:AP-hAAA").unwrap(), [0x00, 0xff, 0xa1, 0x00, 0x00]);
        assert_eq!(decoded(b"\x00\xff \n").unwrap(), b"\x00\xff \n");
        for wrong in ["hex:0", "hex:zz", "base64:A", "base64:A=", "base64:AAA==", "base64:AA?A"] {
            assert!(decode(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_may_write_a_key_file_matters_more_than_who_may_read_it() {
        assert_eq!(exposure(Some(0o100_600)), Ok(None));
        assert_eq!(exposure(Some(0o100_640)), Ok(None));
        assert!(exposure(Some(0o100_644)).unwrap().is_some());
        assert!(exposure(Some(0o100_666)).is_err());
        assert_eq!(exposure(None), Ok(None));
    }
}
