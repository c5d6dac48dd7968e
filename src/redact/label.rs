//! What stands in the place of a finding.

use crate::scan::Wrap;
use bytes::{BufMut, Bytes, BytesMut};

/// `[ENTITY]`. Holds no quote and no backslash, so it is valid inside a
/// string of any nesting level, and no rule matches it.
pub(super) fn of(entity: &str) -> Bytes {
    Bytes::from(format!("[{entity}]"))
}

/// `label`, written so that the document around it stays valid.
pub(super) fn wrapped(label: Bytes, wrap: Wrap) -> Bytes {
    match wrap {
        Wrap::Plain => label,
        Wrap::Zero => Bytes::from_static(b"0"),
        Wrap::Apostrophes => [b"'", &label[..], b"'"].concat().into(),
        Wrap::Quoted(level) => {
            let escapes = (1_usize << level.min(10)) - 1;
            let mut quoted = BytesMut::with_capacity(label.len() + 2 * (escapes + 1));
            for part in [&b""[..], &label] {
                quoted.put(part);
                quoted.put_bytes(b'\\', escapes);
                quoted.put_u8(b'"');
            }
            quoted.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_written_for_their_level() {
        let label = of("PIN");
        assert_eq!(wrapped(label.clone(), Wrap::Plain), "[PIN]");
        assert_eq!(wrapped(label.clone(), Wrap::Quoted(0)), r#""[PIN]""#);
        assert_eq!(wrapped(label.clone(), Wrap::Quoted(2)), r#"\\\"[PIN]\\\""#);
        assert_eq!(wrapped(label.clone(), Wrap::Apostrophes), "'[PIN]'");
        assert_eq!(wrapped(label, Wrap::Zero), "0");
    }
}
