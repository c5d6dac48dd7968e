//! Request and response heads: what is refused, what is stripped, what is
//! rewritten.

use super::body::Change;
use super::respond::Failure;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Method, Version};

/// Meant for one connection only (RFC 9110, section 7.6.1), besides those that
/// `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("http2-settings"),
];

/// Digests over the body; wrong once it changed.
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

const AMZ_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// Refuses what cannot be forwarded whatever its body is. The host it is for,
/// without port.
pub(super) fn check(parts: &Parts) -> Result<Option<&str>, Failure> {
    if parts.method == Method::CONNECT || !parts.uri.path().starts_with('/') {
        return Err(Failure::Target);
    }
    check_upgrade(&parts.headers)?;
    check_transfer_encoding(&parts.headers)?;
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() || (host.is_none() && parts.version >= Version::HTTP_11) {
        return Err(Failure::Host);
    }
    if let Some(authority) = parts.uri.authority() {
        // In an absolute URL the host stands there (RFC 9112, section 3.2.2).
        return Ok(Some(authority.host()));
    }
    let Some(host) = host else { return Ok(None) };
    let host = host.to_str().map_err(|_| Failure::Host)?;
    Ok(Some(without_port(host)))
}

/// Removes what is meant for one connection only.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Makes the head that goes upstream true for the body that goes with it.
/// `length` is the new body's; `None` when it streams.
pub(super) fn rewrite(headers: &mut HeaderMap, host: HeaderValue, length: Option<u64>, change: Change) {
    strip_hop_by_hop(headers);
    headers.remove(EXPECT);
    headers.insert(HOST, host);
    let declared = headers.remove(CONTENT_LENGTH).is_some();
    match length {
        // "Content-Length: 0" says more than nothing for a POST, and was not
        // there for a GET.
        Some(0) if !declared => {}
        Some(length) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        None => {}
    }
    if change != Change::Unchanged {
        for name in &DIGESTS {
            headers.remove(name);
        }
    }
}

/// Whether a signature covers the body, so that a changed one is worthless:
/// AWS Signature Version 4.
pub(super) fn signs_body(parts: &Parts) -> bool {
    let unsigned = |value: &HeaderValue| value.as_bytes() == b"UNSIGNED-PAYLOAD";
    match parts.headers.get(AMZ_CONTENT_SHA256) {
        Some(hash) => !unsigned(hash),
        None => signs_head(parts),
    }
}

/// Whether a signature covers the request's target.
pub(super) fn signs_head(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    let in_query = query.split('&').any(|pair| pair.len() >= 16 && pair[..16].eq_ignore_ascii_case("X-Amz-Signature="));
    let authorization = parts.headers.get(AUTHORIZATION);
    in_query || authorization.is_some_and(|value| value.as_bytes().starts_with(b"AWS4-"))
}

/// Whether the client waits for a `100 Continue` before it sends the body.
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// An upgrade to HTTP/2 is an offer that may be passed over in silence, and
/// some clients make it with every request; any other cannot work.
fn check_upgrade(headers: &HeaderMap) -> Result<(), Failure> {
    let offers_h2c_only = headers
        .get_all(UPGRADE)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .all(|protocol| protocol.trim_ascii().eq_ignore_ascii_case(b"h2c"));
    if offers_h2c_only { Ok(()) } else { Err(Failure::Upgrade) }
}

/// hyper frames `chunked` and refuses what does not end with it; a coding
/// before it would reach us undecoded.
fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Failure> {
    let mut codings = headers
        .get_all(TRANSFER_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty());
    let chunked_only = codings.next().is_none_or(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    if chunked_only && codings.next().is_none() { Ok(()) } else { Err(Failure::Coding) }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_host_is_told_without_its_port() {
        let host = |value: &str| {
            let parts = parts("/", &[("host", value)]);
            check(&parts).map(|host| host.map(str::to_owned))
        };
        assert_eq!(host("a.example:8080"), Ok(Some("a.example".to_owned())));
        assert_eq!(host("[::1]:80"), Ok(Some("[::1]".to_owned())));
        assert_eq!(host("[::1]"), Ok(Some("[::1]".to_owned())));
    }

    #[test]
    fn a_request_needs_exactly_one_host() {
        assert_eq!(check(&parts("/", &[])), Err(Failure::Host));
        let two = parts("/", &[("host", "a"), ("host", "b")]);
        assert_eq!(check(&two), Err(Failure::Host));
    }

    #[test]
    fn codings_before_chunked_are_refused() {
        let with = |value| check(&parts("/", &[("host", "a"), ("transfer-encoding", value)])).err();
        assert_eq!(with("chunked"), None);
        assert_eq!(with("gzip, chunked"), Some(Failure::Coding));
        assert_eq!(with("chunked, chunked"), Some(Failure::Coding));
    }

    #[test]
    fn only_the_offer_of_http2_is_passed_over() {
        let with = |value| check(&parts("/", &[("host", "a"), ("upgrade", value)])).err();
        assert_eq!(with("h2c"), None);
        assert_eq!(with("websocket"), Some(Failure::Upgrade));
        assert_eq!(with("h2c, websocket"), Some(Failure::Upgrade));
    }

    #[test]
    fn headers_for_one_connection_do_not_travel_on() {
        let mut headers = parts(
            "/",
            &[
                ("connection", "close, X-Mine"),
                ("x-mine", "1"),
                ("keep-alive", "timeout=5"),
                ("te", "trailers"),
                ("x_kept", "1"),
            ],
        )
        .headers;
        strip_hop_by_hop(&mut headers);
        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x_kept"]);
    }

    #[test]
    fn digests_go_when_the_body_may_have_changed() {
        let original = parts("/", &[("content-md5", "x"), ("repr-digest", "y")]).headers;
        let left = |change| {
            let mut headers = original.clone();
            rewrite(&mut headers, HeaderValue::from_static("up"), Some(5), change);
            headers.len()
        };
        assert_eq!(left(Change::Unchanged), 4);
        assert_eq!(left(Change::Changed), 2);
        assert_eq!(left(Change::Streaming), 2);
    }

    #[test]
    fn aws_signatures_are_recognised() {
        let aws = ("authorization", "AWS4-HMAC-SHA256 Credential=x");
        assert!(signs_body(&parts("/", &[aws])));
        assert!(signs_body(&parts("/", &[("x-amz-content-sha256", "ab12")])));
        let unsigned = ("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        assert!(!signs_body(&parts("/", &[aws, unsigned])));
        assert!(signs_head(&parts("/?a=1&x-amz-signature=ab", &[])));
        assert!(!signs_head(&parts("/", &[("authorization", "Bearer x")])));
    }
}
