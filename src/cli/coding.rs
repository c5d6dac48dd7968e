//! How an input is compressed: by what is told, its name, or its first bytes.
//! Compressions that are not understood are named and refused, since a scan of
//! compressed bytes finds nothing in them.

use crate::content::Coding;
use std::path::Path;

/// Bytes that tell a coding.
pub(super) const MARK: usize = 4;

/// Compressions that are not understood, by their first bytes: xz (its file
/// format, section 2.1.1.1), bzip2 with its block size, and zip (APPNOTE.TXT,
/// section 4.3.7).
const FOREIGN: [(&[u8], &str); 3] = [(b"\xfd7zX", "xz"), (b"PK\x03\x04", "zip"), (b"BZh", "bzip2")];

/// The coding of an input whose name is `path`, by its first [`MARK`] bytes
/// where its name does not tell: br has no mark.
pub(super) fn recognise(path: &Path, head: &[u8]) -> Coding {
    match path.extension() {
        Some(extension) if extension == "br" => Coding::Brotli,
        _ => Coding::from_mark(head),
    }
}

/// The name of a file without what only tells its coding.
pub(super) fn inner_name(path: &Path) -> &Path {
    const EXTENSIONS: [&str; 4] = ["gz", "zst", "zz", "br"];
    match (path.extension(), path.file_stem()) {
        (Some(extension), Some(stem)) if EXTENSIONS.iter().any(|known| extension == *known) => Path::new(stem),
        _ => path,
    }
}

/// The coding of this name.
pub(super) fn parse(name: &str) -> Result<Coding, String> {
    let unknown = || "supported: identity, gzip, deflate, zstd, br".to_owned();
    Coding::from_name(name.as_bytes()).ok_or_else(unknown)
}

/// The name of a compression that is not understood, by the first [`MARK`] bytes.
pub(super) fn foreign(head: &[u8]) -> Option<&'static str> {
    let is_block_size = |byte: Option<&u8>| byte.is_some_and(|byte| (b'1'..=b'9').contains(byte));
    let found = FOREIGN.iter().find(|(mark, _)| head.starts_with(mark));
    // A text may begin with these letters, but hardly with a digit behind them.
    found.map(|(_, name)| *name).filter(|name| *name != "bzip2" || is_block_size(head.get(3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_known_by_its_mark_and_br_by_its_name() {
        assert_eq!(recognise(Path::new("a.json"), b"\x1f\x8b\x08\0"), Coding::Gzip);
        assert_eq!(recognise(Path::new("a.json.br"), b"\x0b\x02\x80{"), Coding::Brotli);
        assert_eq!(recognise(Path::new("-"), b"{\"a\""), Coding::Identity);
        assert_eq!(inner_name(Path::new("b/a.json.br")), Path::new("a.json"));
        assert_eq!(inner_name(Path::new("b/a.json")), Path::new("b/a.json"));
    }

    #[test]
    fn foreign_compressions_are_named() {
        for (head, name) in [(&b"\xfd7zXZ\0"[..], "xz"), (b"BZh91AY", "bzip2"), (b"PK\x03\x04\x14", "zip")] {
            assert_eq!(foreign(head), Some(name));
        }
        for text in [&b"BZhang said"[..], b"PK is here", b"x^2 + 1", b"BZh", b""] {
            assert_eq!(foreign(text), None);
        }
    }
}
