//! The request's target: the query is redacted, the path only looked at.

use super::exchange::{Exchange, Place};
use super::respond::Failure;
use super::route::Route;
use crate::redact::{Format, Plan, Redactor};
use bytes::Bytes;
use hyper::Uri;
use hyper::http::uri::PathAndQuery;
use std::sync::Arc;

/// The target that goes upstream, and whether its query changed.
pub(super) fn redact_target(
    uri: &Uri,
    route: &Route,
    plan: &Arc<Plan>,
    exchange: &Exchange,
) -> Result<(PathAndQuery, bool), Failure> {
    let path = uri.path();
    // A changed path would go elsewhere: findings are reported only.
    scan(path, plan, Place::Path, exchange)?;
    let base = &route.upstream.base;
    let query = uri.query().filter(|query| !query.is_empty());
    let changed = match query {
        Some(query) if route.query => scan(query, plan, Place::Query, exchange)?,
        _ => None,
    };
    let whole = match (changed.as_deref().or(uri.query()), &changed) {
        (None, _) if base.is_empty() => path.to_owned(),
        (None, _) => format!("{base}{path}"),
        (Some(query), _) => format!("{base}{path}?{query}"),
    };
    let target = PathAndQuery::try_from(whole).map_err(|_| Failure::Target)?;
    Ok((target, changed.is_some()))
}

/// The redacted text, if anything in it was changed.
fn scan(text: &str, plan: &Arc<Plan>, place: Place, exchange: &Exchange) -> Result<Option<String>, Failure> {
    let mut redactor = Redactor::new(plan, Format::Text);
    let mut out = Vec::new();
    let result =
        redactor.push(Bytes::copy_from_slice(text.as_bytes()), &mut out).and_then(|()| redactor.finish(&mut out));
    exchange.record(place, redactor.report(), plan);
    result?;
    let changed = redactor.report().changed() > 0;
    Ok(changed.then(|| encode_query(&out.concat())))
}

/// Percent-encodes what may not stand in a query (RFC 3986, section 3.4): the
/// brackets of labels, mostly.
fn encode_query(query: &[u8]) -> String {
    let mut encoded = String::with_capacity(query.len() + 16);
    for &byte in query {
        if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte) {
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
        let query = encode_query(b"a=[EMAIL_ADDRESS]&b=%40x&c=1+2");
        assert_eq!(query, "a=%5BEMAIL_ADDRESS%5D&b=%40x&c=1+2");
    }
}
