//! The `Content-Encoding` header (RFC 9110, section 8.4).

/// A content coding that the proxy can undo and redo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// The bytes as they are.
    Identity,
    /// RFC 1952, one or several members.
    Gzip,
}

/// A coding that is not known, or more than one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content coding is not supported")]
pub struct UnsupportedCoding;

impl Coding {
    /// The coding that the values of all `Content-Encoding` headers amount to.
    ///
    /// # Errors
    /// Anything but `identity` and at most one `gzip`.
    pub fn from_headers<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, UnsupportedCoding> {
        let mut coding = Self::Identity;
        for name in values.into_iter().flat_map(|value| value.split(|&byte| byte == b',')) {
            let name = name.trim_ascii();
            if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            let gzip = name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip");
            if !gzip || coding == Self::Gzip {
                return Err(UnsupportedCoding);
            }
            coding = Self::Gzip;
        }
        Ok(coding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<Coding, UnsupportedCoding> {
        Coding::from_headers(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn identity_and_gzip_are_known_in_any_case() {
        assert_eq!(parse(&[]), Ok(Coding::Identity));
        assert_eq!(parse(&["", "identity"]), Ok(Coding::Identity));
        assert_eq!(parse(&["GZip"]), Ok(Coding::Gzip));
        assert_eq!(parse(&["x-gzip, identity"]), Ok(Coding::Gzip));
    }

    #[test]
    fn unknown_and_repeated_codings_are_refused() {
        for values in
            [&["br"][..], &["zstd"], &["gzip, br"], &["gzip, gzip"], &["gzip", "gzip"], &["gzipp"], &["\u{1}"]]
        {
            assert_eq!(parse(values), Err(UnsupportedCoding), "{values:?}");
        }
    }
}
