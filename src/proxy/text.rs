//! Redacts the texts of a head: small, and there at once.

use super::exchange::{Exchange, Place};
use super::respond::Failure;
use crate::redact::{Format, Plan, Redactor};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;

/// The redacted text, if anything in it was changed.
pub(super) fn redact(
    text: Bytes,
    format: Format,
    plan: &Arc<Plan>,
    place: Place,
    exchange: &Exchange,
) -> Result<Option<Vec<u8>>, Failure> {
    let started = Instant::now();
    let mut redactor = Redactor::new(plan, format);
    let mut out = Vec::new();
    let result = redactor.push(text, &mut out).and_then(|()| redactor.finish(&mut out));
    exchange.add_redaction(started.elapsed());
    exchange.record(place, redactor.report(), plan);
    result?;
    Ok((redactor.report().changed() > 0).then(|| out.concat()))
}

/// Percent-encodes what may not stand in a URL (RFC 3986): the brackets of
/// labels, mostly.
pub(super) fn percent_encode(text: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len() + 16);
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%#".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_percent_encoded_and_escapes_are_kept() {
        let query = percent_encode(b"a=[EMAIL_ADDRESS]&b=%40x&c=1+2");
        assert_eq!(query, "a=%5BEMAIL_ADDRESS%5D&b=%40x&c=1+2");
    }
}
