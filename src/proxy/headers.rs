//! Request and response heads: what is refused, what is stripped, what is
//! rewritten.

use super::body::{Change, Told};
use super::respond::Failure;
use super::{digest, signature};
use crate::content::{Coding, ContentType, UnsupportedCoding};
use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, AUTHORIZATION, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE,
    ETAG, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, IF_RANGE, RANGE, TE, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Method, Version};
use std::net::Ipv6Addr;

/// What LangSmith's clients tell of a body that they compress: what it had been
/// in their own count, and what it is on the wire.
const PRE_COMPRESSED_SIZE: HeaderName = HeaderName::from_static("x-pre-compressed-size");
const POST_COMPRESSED_SIZE: HeaderName = HeaderName::from_static("x-post-compressed-size");

/// End-to-end, whatever `Connection` says: without one of them the upstream
/// would understand the request otherwise than we do (RFC 9110, section 7.6.1).
static END_TO_END: [HeaderName; 3] = [AUTHORIZATION, HOST, COOKIE];

/// The methods that are registered (<https://www.iana.org/assignments/http-methods>),
/// but for `PRI`, which none may use. Another one is no word that may leave: behind a
/// body that is longer than it says, the rest of it is the next request's method.
const METHODS: [&str; 39] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

/// Refuses what cannot be forwarded whatever its body is. The host it is for,
/// without port.
pub(super) fn check(parts: &Parts, max_head: u64) -> Result<Option<&str>, Failure> {
    if size(parts) as u64 > max_head {
        return Err(Failure::HeadTooLarge);
    }
    if !METHODS.contains(&parts.method.as_str()) {
        return Err(Failure::Method);
    }
    let path = parts.uri.path();
    if parts.method == Method::CONNECT || !path.starts_with('/') || has_dot_segment(path) {
        return Err(Failure::Target);
    }
    if claims_end_to_end(&parts.headers) {
        return Err(Failure::Connection);
    }
    if parts.headers.keys().any(is_taken_for_framing) {
        return Err(Failure::MalformedHead);
    }
    if !is_chunked_or_plain(&parts.headers) {
        return Err(Failure::Coding);
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next();
    let authority = parts.uri.authority();
    let is_http2 = parts.version == Version::HTTP_2;
    let is_missing = host.is_none() && parts.version >= Version::HTTP_11 && !(is_http2 && authority.is_some());
    if hosts.next().is_some() || is_missing {
        return Err(Failure::Host);
    }
    let host = host.map(|host| host.to_str().ok().filter(|host| is_host(host)).ok_or(Failure::Host)).transpose()?;
    if let Some(authority) = authority {
        // The same in other words, or not for one host (RFC 9113, section 8.3.1).
        let is_same = |host: &str| host.eq_ignore_ascii_case(authority.as_str());
        if !is_host(authority.as_str()) || (is_http2 && !host.is_none_or(is_same)) {
            return Err(Failure::Host);
        }
        // In an absolute URL the host stands there (RFC 9112, section 3.2.2).
        return Ok(Some(authority.host()));
    }
    Ok(host.map(without_port))
}

/// Refuses a response that two clients may understand differently, or whose body
/// is in a coding of the transfer that the client would not be told of. Where
/// there is no body by the request's method or the status (RFC 9112, section
/// 6.3), two lengths lead nobody astray; which one is true is not known, so
/// neither is told.
pub(super) fn check_response(headers: &mut HeaderMap, has_body: bool) -> Result<(), Failure> {
    let two_lengths = headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH);
    let is_ambiguous = two_lengths || !is_chunked_or_plain(headers);
    if (is_ambiguous && has_body) || claims_end_to_end(headers) {
        return Err(Failure::UpstreamBroke);
    }
    if is_ambiguous {
        headers.remove(CONTENT_LENGTH);
    }
    Ok(())
}

/// Removes what is meant for one connection only.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = named_by_connection(headers).collect();
    for name in named {
        headers.remove(name);
    }
    remove_all(headers, is_hop_by_hop);
}

/// Meant for one connection only (RFC 9110, section 7.6.1), besides those that
/// `Connection` names.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authorization"
            | "http2-settings"
    )
}

/// Removes what is `unwanted`. Looking at what there is costs less than looking
/// for each name that may be.
fn remove_all(headers: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    let there: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name)).cloned().collect();
    for name in there {
        headers.remove(name);
    }
}

/// Makes the head that goes upstream true for the body that goes with it.
pub(super) fn rewrite(headers: &mut HeaderMap, host: HeaderValue, of: Told) {
    let Told { length, change, digests } = of;
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
        let told = headers.contains_key(POST_COMPRESSED_SIZE);
        let renewed = |name: &HeaderName| digests.iter().any(|(own, _)| own == name);
        remove_all(headers, |name| {
            digest::is_spare(name) || renewed(name) || [PRE_COMPRESSED_SIZE, POST_COMPRESSED_SIZE].contains(name)
        });
        for (name, value) in digests {
            headers.append(name, value);
        }
        if let Some(length) = length.filter(|_| told) {
            headers.insert(POST_COMPRESSED_SIZE, HeaderValue::from(length));
        }
    }
}

/// The type that a head declares; several are none.
pub(super) fn content_type(headers: &HeaderMap) -> ContentType {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => ContentType::ambiguous(),
        (first, None) => ContentType::parse(first.map(HeaderValue::as_bytes)),
    }
}

/// The coding that the header `name` declares.
pub(super) fn coding(headers: &HeaderMap, name: &HeaderName) -> Result<Coding, UnsupportedCoding> {
    Coding::from_headers(headers.get_all(name).iter().map(HeaderValue::as_bytes))
}

/// Whether the body is a block of Snappy, which no other coding is around.
pub(super) fn is_in_snappy(headers: &HeaderMap) -> bool {
    let values = headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    let mut names = values.flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    names.next().is_some_and(|name| name.eq_ignore_ascii_case(b"snappy")) && names.next().is_none()
}

/// Asks the upstream for a response that can be redacted: all of it, and in a
/// coding that can be undone. Whether that is not what the client asked for.
pub(super) fn ask_for_redactable(headers: &mut HeaderMap) -> bool {
    let asked_for_part = headers.remove(RANGE).is_some() | headers.remove(IF_RANGE).is_some();
    let offered = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let offered: Vec<String> =
        offered.flat_map(|value| value.split(',')).map(|offer| offer.trim().to_owned()).collect();
    let is_known = |offer: &str| {
        let name = offer.split(';').next().unwrap_or_default().trim();
        Coding::from_name(name.as_bytes()).is_some()
    };
    if offered.iter().all(|offer| is_known(offer)) && headers.get_all(ACCEPT_ENCODING).iter().count() <= 1 {
        return asked_for_part;
    }
    let known: Vec<&str> = offered.iter().map(String::as_str).filter(|offer| is_known(offer)).collect();
    let known = if known.is_empty() { "identity".to_owned() } else { known.join(", ") };
    if let Ok(value) = HeaderValue::try_from(known) {
        headers.insert(ACCEPT_ENCODING, value);
    }
    true
}

/// Makes a response's head true for the redacted body: its length, coding and
/// digests are not what they were, parts of it cannot be asked for, and that
/// two are the same is known of the original only.
pub(super) fn rewrite_redacted(headers: &mut HeaderMap) {
    remove_all(headers, |name| {
        let is_original = [CONTENT_LENGTH, CONTENT_ENCODING, ACCEPT_RANGES].contains(name);
        is_original || digest::is_digest(name.as_str()) || signature::is_signature(name)
    });
    let weak = headers.get(ETAG).map(HeaderValue::as_bytes).filter(|tag| tag.starts_with(b"\""));
    if let Some(Ok(weak)) = weak.map(|tag| HeaderValue::from_bytes(&[b"W/", tag].concat())) {
        headers.insert(ETAG, weak);
    }
}

/// The same for a gRPC call. Without `TE` some servers take it for one that came
/// through something that knows no trailers.
pub(super) fn rewrite_call(headers: &mut HeaderMap) {
    headers.insert(TE, HeaderValue::from_static("trailers"));
}

/// Makes one header of the several that HTTP/2 may have, for what knows but one
/// (RFC 9113, section 8.2.3).
pub(super) fn join_cookies(parts: &mut Parts) {
    let values: Vec<&[u8]> = parts.headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if parts.version != Version::HTTP_2 || values.len() < 2 {
        return;
    }
    if let Ok(joined) = HeaderValue::try_from(values.join(&b"; "[..])) {
        parts.headers.insert(COOKIE, joined);
    }
}

/// Whether the client waits for a `100 Continue` before it sends the body.
pub(super) fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// The protocol that a client asks to speak from now on, in lower case. An upgrade
/// to HTTP/2 is an offer that may be passed over in silence, and some clients make
/// it with every request.
///
/// # Errors
/// When it asks for several, or in a way that cannot work.
pub(super) fn upgrade(parts: &Parts) -> Result<Option<String>, Failure> {
    let values = parts.headers.get_all(UPGRADE).iter().map(HeaderValue::as_bytes);
    let protocols: Vec<&[u8]> =
        values.flat_map(|value| value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii).collect();
    if protocols.iter().all(|protocol| protocol.eq_ignore_ascii_case(b"h2c")) {
        return Ok(None);
    }
    let is_asked = parts.version == Version::HTTP_11 && named_by_connection(&parts.headers).any(|name| name == UPGRADE);
    match protocols[..] {
        [one] if is_asked => String::from_utf8(one.to_ascii_lowercase()).map(Some).map_err(|_| Failure::Upgrade),
        _ => Err(Failure::Upgrade),
    }
}

/// Whether an upstream agrees to speak this protocol.
pub(super) fn agrees_to(headers: &HeaderMap, protocol: &str) -> bool {
    let mut agreed = headers.get_all(UPGRADE).iter();
    let is_same = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(protocol.as_bytes());
    agreed.next().is_some_and(is_same) && agreed.next().is_none()
}

/// Asks, or agrees, to speak this protocol.
pub(super) fn put_upgrade(headers: &mut HeaderMap, protocol: &str) -> Result<(), Failure> {
    headers.remove(CONTENT_LENGTH);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::try_from(protocol).map_err(|_| Failure::Upgrade)?);
    Ok(())
}

/// Whether the transfer has no coding but `chunked`, which hyper undoes; one
/// before it would reach us undecoded, and without it the end is the connection's.
fn is_chunked_or_plain(headers: &HeaderMap) -> bool {
    let mut codings = headers
        .get_all(TRANSFER_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|coding| !coding.is_empty());
    match codings.next() {
        Some(coding) => coding.eq_ignore_ascii_case(b"chunked") && codings.next().is_none(),
        None => !headers.contains_key(TRANSFER_ENCODING),
    }
}

/// Whether a name tells the framing but for an underscore: gateways to CGI, and
/// what came after it, take the two for the same.
fn is_taken_for_framing(name: &HeaderName) -> bool {
    matches!(name.as_str(), "content_length" | "transfer_encoding")
}

/// Bytes of a head as HTTP/1.1 writes it.
fn size(parts: &Parts) -> usize {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let authority = parts.uri.authority().map_or(0, |authority| authority.as_str().len());
    let line = parts.method.as_str().len() + authority + target + "  HTTP/1.1\r\n".len();
    let field = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + ": \r\n".len();
    line + parts.headers.iter().map(field).sum::<usize>() + "\r\n".len()
}

/// Whether a path names its own or a parent folder, plainly or percent-encoded
/// or with what some servers take for a slash: an upstream that resolves it
/// would serve a path of another route, past that route's policy.
fn has_dot_segment(path: &str) -> bool {
    if !path.contains(['.', '%']) {
        return false;
    }
    let decoded = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/");
    // Some servers cut parameters off before they resolve.
    let name = |segment: &str| segment.split(';').next().is_some_and(|name| matches!(name, "." | ".."));
    decoded.split(['/', '\\']).any(name)
}

/// The headers that `Connection` names.
fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
}

/// Whether `Connection` names headers that are not the connection's.
fn claims_end_to_end(headers: &HeaderMap) -> bool {
    named_by_connection(headers).any(|name| is_end_to_end(&name))
}

fn is_end_to_end(name: &HeaderName) -> bool {
    let text = name.as_str();
    let tells_of_body = || signature::is_signature(name) || digest::is_digest(text);
    END_TO_END.contains(name) || ["content-", "x-amz-"].iter().any(|of| text.starts_with(of)) || tells_of_body()
}

/// Whether this is a host, and perhaps a port (RFC 9110, section 7.2): no user, no
/// path, no list, not nothing.
fn is_host(value: &str) -> bool {
    let name = without_port(value);
    if let Some(address) = name.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte);
    !name.is_empty() && name.bytes().all(is_of_name)
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

    const MAX: u64 = 1000;

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
            check(&parts, MAX).map(|host| host.map(str::to_owned))
        };
        assert_eq!(host("a.example:8080"), Ok(Some("a.example".to_owned())));
        assert_eq!(host("[::1]:80"), Ok(Some("[::1]".to_owned())));
        assert_eq!(host("[::1]"), Ok(Some("[::1]".to_owned())));
    }

    #[test]
    fn a_request_needs_exactly_one_host() {
        assert_eq!(check(&parts("/", &[]), MAX), Err(Failure::Host));
        let two = parts("/", &[("host", "a"), ("host", "b")]);
        assert_eq!(check(&two, MAX), Err(Failure::Host));
    }

    #[test]
    fn a_host_is_one_host_and_perhaps_a_port() {
        for host in ["a.example", "a_b:8080", "a.example:", "127.0.0.1:80", "[::1]", "[::1]:80", "%C3%A4.example"] {
            assert!(check(&parts("/", &[("host", host)]), MAX).is_ok(), "{host}");
        }
        for host in ["", ":80", "a,b", "a, b", "a b", "me@a", "a/b", "a:8o", "a:80:80", "::1", "[::1", "[a]", "[::1]a"]
        {
            assert_eq!(check(&parts("/", &[("host", host)]), MAX), Err(Failure::Host), "{host}");
        }
    }

    #[test]
    fn a_name_that_a_gateway_takes_for_the_framing_is_refused() {
        for name in ["content_length", "Transfer_Encoding"] {
            let twin = parts("/", &[("host", "a"), (name, "1")]);
            assert_eq!(check(&twin, MAX), Err(Failure::MalformedHead), "{name}");
        }
    }

    #[test]
    fn a_response_of_two_meanings_is_refused() {
        let with = |headers: &[(&str, &str)]| check_response(&mut parts("/", headers).headers, true);
        let (length, chunked) = (("content-length", "5"), ("transfer-encoding", "chunked"));
        assert_eq!(with(&[]), Ok(()));
        assert_eq!(with(&[length]), Ok(()));
        assert_eq!(with(&[chunked, ("connection", "close")]), Ok(()));
        for refused in [
            &[length, chunked][..],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "gzip"), chunked],
            &[("transfer-encoding", "identity")],
            &[("transfer-encoding", "")],
            &[("connection", "content-encoding")],
        ] {
            assert_eq!(with(refused), Err(Failure::UpstreamBroke), "{refused:?}");
        }
    }

    #[test]
    fn a_response_without_a_body_tells_no_length_that_may_be_wrong() {
        let left = |headers: &[(&str, &str)]| {
            let mut headers = parts("/", headers).headers;
            check_response(&mut headers, false).map(|()| headers.contains_key("content-length"))
        };
        let (length, chunked) = (("content-length", "5"), ("transfer-encoding", "chunked"));
        assert_eq!(left(&[length]), Ok(true));
        assert_eq!(left(&[length, chunked]), Ok(false));
        assert_eq!(left(&[length, ("transfer-encoding", "gzip, chunked")]), Ok(false));
        assert_eq!(left(&[("connection", "content-encoding")]), Err(Failure::UpstreamBroke));
    }

    #[test]
    fn in_http2_the_authority_stands_for_the_host_and_agrees_with_it() {
        let with = |uri: &str, headers: &[(&str, &str)]| {
            let mut parts = parts(uri, headers);
            parts.version = Version::HTTP_2;
            check(&parts, MAX).map(|host| host.map(str::to_owned))
        };
        let host = || Ok(Some("a.example".to_owned()));
        assert_eq!(with("http://a.example:80/", &[]), host());
        assert_eq!(with("http://a.example:80/", &[("host", "A.example:80")]), host());
        assert_eq!(with("/", &[("host", "a.example")]), host());
        assert_eq!(with("/", &[]), Err(Failure::Host));
        assert_eq!(with("http://a.example/", &[("host", "b.example")]), Err(Failure::Host));
        assert_eq!(with("http://a.example/", &[("host", "a.example"), ("host", "a.example")]), Err(Failure::Host));
        assert_eq!(with("http://bob@a.example/", &[]), Err(Failure::Host));
    }

    #[test]
    fn cookies_that_http2_has_split_are_joined() {
        let mut split = parts("/", &[("cookie", "a=1"), ("cookie", "b=2")]);
        split.version = Version::HTTP_2;
        join_cookies(&mut split);
        let cookies: Vec<_> = split.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }

    #[test]
    fn the_size_of_a_head_is_what_is_on_the_wire() {
        let bytes = "GET /x?a=1 HTTP/1.1\r\nhost: a\r\nx-y: 12\r\n\r\n".len() as u64;
        let parts = parts("/x?a=1", &[("host", "a"), ("x-y", "12")]);
        assert!(check(&parts, bytes).is_ok());
        assert_eq!(check(&parts, bytes - 1), Err(Failure::HeadTooLarge));
    }

    #[test]
    fn dot_segments_are_seen_however_they_are_written() {
        for path in ["/a/../b", "/..", "/a/.", "/%2e%2E/b", "/.%2e", "/a%2f..%2fb", "/a/..;x=1/b", "/a/..%5cb"] {
            assert_eq!(check(&parts(path, &[("host", "a")]), MAX), Err(Failure::Target), "{path}");
        }
        for path in ["/a.b/..c/d..", "/...", "/v1/x%2Fy", "/.well-known/x", "/a?b=/../c"] {
            assert!(check(&parts(path, &[("host", "a")]), MAX).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_connection_cannot_claim_headers_for_itself() {
        let with = |value| check(&parts("/", &[("host", "a"), ("connection", value)]), MAX).err();
        for name in ["Content-Encoding", "close, content-type", "authorization", "host", "x-amz-content-sha256"] {
            assert_eq!(with(name), Some(Failure::Connection), "{name}");
        }
        assert_eq!(with("close, te, x-mine"), None);
    }

    #[test]
    fn codings_before_chunked_are_refused() {
        let with = |value| check(&parts("/", &[("host", "a"), ("transfer-encoding", value)]), MAX).err();
        assert_eq!(with("chunked"), None);
        assert_eq!(with("gzip, chunked"), Some(Failure::Coding));
        assert_eq!(with("chunked, chunked"), Some(Failure::Coding));
    }

    #[test]
    fn only_the_offer_of_http2_is_passed_over() {
        let with = |value, connection| upgrade(&parts("/", &[("upgrade", value), ("connection", connection)]));
        assert_eq!(upgrade(&parts("/", &[])), Ok(None));
        assert_eq!(with("h2c", "upgrade"), Ok(None));
        assert_eq!(with("h2c, H2C", "upgrade"), Ok(None));
        assert_eq!(with("WebSocket", "keep-alive, Upgrade"), Ok(Some("websocket".to_owned())));
        for (value, connection) in [("h2c, websocket", "upgrade"), ("a, b", "upgrade"), ("websocket", "close")] {
            assert_eq!(with(value, connection), Err(Failure::Upgrade), "{value} {connection}");
        }
        let mut old = parts("/", &[("upgrade", "websocket"), ("connection", "upgrade")]);
        old.version = Version::HTTP_10;
        assert_eq!(upgrade(&old), Err(Failure::Upgrade));
    }

    #[test]
    fn an_upstream_agrees_to_what_was_asked_for() {
        let agrees = |headers: &[(&str, &str)]| agrees_to(&parts("/", headers).headers, "websocket");
        assert!(agrees(&[("upgrade", "WebSocket")]));
        for headers in [&[][..], &[("upgrade", "other")], &[("upgrade", "websocket"), ("upgrade", "other")]] {
            assert!(!agrees(headers), "{headers:?}");
        }
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

    fn told(length: Option<u64>, change: Change) -> Told {
        Told { length, change, digests: Vec::new() }
    }

    #[test]
    fn digests_go_when_the_body_may_have_changed() {
        let original = parts("/", &[("content-md5", "x"), ("repr-digest", "y")]).headers;
        let left = |change| {
            let mut headers = original.clone();
            rewrite(&mut headers, HeaderValue::from_static("up"), told(Some(5), change));
            headers.len()
        };
        assert_eq!(left(Change::Unchanged), 4);
        assert_eq!(left(Change::Changed), 2);
        assert_eq!(left(Change::Streaming), 2);
    }

    #[test]
    fn digests_that_were_made_anew_stand_in_the_place_of_the_old() {
        let mut headers = parts("/", &[("content-md5", "x"), ("repr-digest", "y"), ("x-checksum", "z")]).headers;
        let digests =
            ["content-md5", "x-checksum"].map(|name| (name.parse().unwrap(), HeaderValue::from_static("new")));
        let told = Told { digests: digests.into(), ..told(Some(5), Change::Changed) };
        rewrite(&mut headers, HeaderValue::from_static("up"), told);
        let left = |name: &str| headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!((left("content-md5"), left("repr-digest"), left("x-checksum")), (vec!["new"], vec![], vec!["new"]));
    }

    #[test]
    fn sizes_told_beside_the_body_are_true_or_gone() {
        let sizes = [("x-pre-compressed-size", "900"), ("x-post-compressed-size", "200")];
        let left = |sizes: &[(&str, &str)], length, change| {
            let mut headers = parts("/", sizes).headers;
            rewrite(&mut headers, HeaderValue::from_static("up"), told(length, change));
            let told = |name| headers.get(name).map(|size: &HeaderValue| size.to_str().unwrap().to_owned());
            (told(PRE_COMPRESSED_SIZE), told(POST_COMPRESSED_SIZE))
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(left(&sizes, Some(200), Change::Unchanged), (text("900"), text("200")));
        assert_eq!(left(&sizes, Some(210), Change::Changed), (None, text("210")));
        assert_eq!(left(&sizes, None, Change::Streaming), (None, None));
        assert_eq!(left(&[], Some(210), Change::Changed), (None, None));
    }
}
