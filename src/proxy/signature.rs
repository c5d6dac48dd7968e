//! What of a request somebody has signed: once that changes the upstream
//! refuses it, and no proxy can sign it anew.

use super::digest;
use super::respond::Failure;
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;

/// What a signature covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signed {
    /// The target, or headers that may be redacted.
    pub(super) head: bool,
    /// The body, or what the head says of it.
    pub(super) body: bool,
}

/// Headers with a signature that covers more than the body: HTTP message
/// signatures (RFC 9421), and webhooks' over the URL.
const OVER_HEAD: [&str; 5] = [
    "signature-input",
    "x-twilio-signature",
    "x-hubspot-signature",
    "x-hubspot-signature-v3",
    "x-square-hmacsha256-signature",
];

/// Schemes of `Authorization` that sign, besides those whose names say so.
const SCHEMES: [&str; 10] =
    ["aws", "aws3", "aws3-https", "goog1", "oss", "obs", "sharedkey", "sharedkeylite", "signature", "hawk"];

/// What stands for the hash of a body that is not signed, and before what tells
/// that each chunk is (<https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html>).
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const IN_CHUNKS: &str = "STREAMING-";
static PAYLOAD_HASHES: [HeaderName; 2] =
    [HeaderName::from_static("x-amz-content-sha256"), HeaderName::from_static("x-goog-content-sha256")];

impl Signed {
    /// Judged before a header that is part of the signature changes.
    pub(super) fn of(parts: &Parts) -> Self {
        let headers = &parts.headers;
        let mut signed = Self::default();
        for name in headers.keys().filter(|name| is_signature(name)) {
            signed.body = true;
            signed.head |= OVER_HEAD.contains(&name.as_str());
        }
        let query = parts.uri.query().unwrap_or_default();
        let authorization = headers.get(AUTHORIZATION).map(|value| Authorization::of(value.as_bytes()));
        signed.head |= authorization.is_some_and(|known| known.head);
        signed.body |= authorization.is_some_and(|known| known.body);
        if SignedUrl::of(query).is_some() {
            (signed.head, signed.body) = (true, true);
        }
        // A signature that spares the body covers headers all the same.
        let spares = PAYLOAD_HASHES.iter().any(|name| headers.get(name).is_some_and(|value| value == UNSIGNED));
        if spares && !headers.keys().any(is_signature) && !names_body(headers, query) {
            signed.body = false;
        }
        signed
    }

    /// What a request is refused with whose signed body would change.
    pub(super) fn bound(self) -> Option<Failure> {
        self.body.then_some(Failure::Signed)
    }
}

/// Whether a header's name is that of a signature: a word of it says so.
pub(super) fn is_signature(name: &HeaderName) -> bool {
    let name = name.as_str();
    let says_so = |word: &str| word.starts_with("signature") || word.contains("hmac") || word == "sig";
    // What a client would like of the response (RFC 9421, section 5.1).
    name != "accept-signature" && name.split(['-', '_']).any(says_so)
}

/// Whether the body comes in chunks of its own framing, each with a signature.
pub(super) fn is_in_chunks(headers: &HeaderMap) -> bool {
    let tells = |value: &HeaderValue| {
        let begin = value.as_bytes().get(..IN_CHUNKS.len());
        begin.is_some_and(|begin| begin.eq_ignore_ascii_case(IN_CHUNKS.as_bytes()))
    };
    PAYLOAD_HASHES.iter().any(|name| headers.get_all(name).iter().any(tells))
}

/// What the value of `Authorization` covers.
#[derive(Clone, Copy, Debug)]
struct Authorization {
    head: bool,
    body: bool,
}

impl Authorization {
    fn of(value: &[u8]) -> Self {
        let text = String::from_utf8_lossy(value).to_ascii_lowercase();
        let (scheme, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match scheme {
            "bearer" | "basic" => Self { head: false, body: false },
            // RFC 7616: always over the target, by `auth-int` over the body too.
            "digest" => Self { head: true, body: rest.contains("auth-int") },
            _ => {
                let named = SCHEMES.contains(&scheme) || scheme.contains("hmac") || scheme.contains("-sha");
                let versioned = ["aws4-", "goog4-", "oss4-"].iter().any(|version| scheme.starts_with(version));
                let signs = named || versioned || has_signature(rest);
                Self { head: signs, body: signs }
            }
        }
    }
}

/// Whether one of the parameters is a signature: `signature=`,
/// `oauth_signature=`.
fn has_signature(parameters: &str) -> bool {
    parameters.split([',', ' ', '&']).any(|parameter| {
        let name = parameter.split('=').next().unwrap_or_default();
        parameter.len() > name.len() && name.split('_').any(|word| word == "signature")
    })
}

/// Whether the list of signed headers names one that tells of the body.
fn names_body(headers: &HeaderMap, query: &str) -> bool {
    let authorization = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let authorization = String::from_utf8_lossy(authorization).to_ascii_lowercase();
    let query = query.to_ascii_lowercase().replace("%3b", ";");
    let lists = authorization.split([',', ' ']).chain(query.split('&'));
    let listed = lists.filter_map(|pair| {
        let (name, list) = pair.split_once('=')?;
        name.ends_with("signedheaders").then_some(list)
    });
    let is_hash = |name: &str| PAYLOAD_HASHES.iter().any(|hash| hash.as_str() == name);
    // That the payload's hash is none is known here: it says that nothing is signed.
    let tells = |name: &str| !is_hash(name) && (name == CONTENT_LENGTH.as_str() || digest::is_digest(name));
    listed.flat_map(|list| list.split(';')).any(tells)
}

/// A way to sign a URL: the parameters that tell it, and those that belong to it.
struct Way {
    /// All of these are there,
    all: &'static [&'static str],
    /// and one of these, if there are any.
    one: &'static [&'static str],
    /// Besides them.
    own: &'static [&'static str],
}

/// Those without a prefix of their own, in lower case.
const WAYS: [Way; 6] = [
    // S3, version 2.
    Way { all: &["awsaccesskeyid", "signature"], one: &[], own: &["x-amz-security-token"] },
    // Google's, version 2.
    Way { all: &["googleaccessid", "signature"], one: &[], own: &[] },
    // Alibaba's OSS, version 1.
    Way { all: &["ossaccesskeyid", "signature"], one: &[], own: &["security-token"] },
    // CloudFront.
    Way { all: &["key-pair-id", "signature"], one: &[], own: &["policy"] },
    // Azure's shared access signatures, with and without a stored policy.
    Way { all: &["sig", "se"], one: &["sp", "sv"], own: SAS },
    Way { all: &["sig", "si"], one: &["sr", "sv"], own: SAS },
];
const SAS: &[&str] = &["skoid", "sktid", "saoid", "suoid", "scid"];

/// Prefixes of whom `X-...-Signature` is known to be: Amazon, Google, Alibaba, Huawei,
/// Volcengine, Tencent. A client can make up others, and what it calls theirs is none.
const PREFIXES: [&str; 6] = ["x-amz-", "x-goog-", "x-oss-", "x-obs-", "x-tos-", "x-cos-"];
/// What belongs to a signature of that form, behind its prefix.
const OWN: [&str; 5] = ["credential", "signature", "security-token", "accesskeyid", "content-sha256"];

/// A signature in the query.
pub(super) struct SignedUrl {
    /// `x-amz-`, in lower case.
    prefix: Option<String>,
    way: Option<&'static Way>,
    /// Names that stand there twice, in lower case: no signature has them.
    repeated: Vec<String>,
}

/// What a parameter that belongs to the signature holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// A key's name, a token, a signature.
    Credential,
    /// The name of a service account, which is written as an e-mail address.
    Account,
}

impl SignedUrl {
    /// The signature in a query, if there is one.
    pub(super) fn of(query: &str) -> Option<Self> {
        let names: Vec<String> = query.split('&').map(|pair| name_of(pair).to_ascii_lowercase()).collect();
        let prefix = names.iter().find_map(|name| {
            let prefix = name.strip_suffix("signature")?;
            (prefix.len() > "x--".len() && prefix.starts_with("x-") && prefix.ends_with('-')).then(|| prefix.to_owned())
        });
        let has = |name: &&str| names.iter().any(|own| own == name);
        let way = WAYS.iter().find(|way| way.all.iter().all(&has) && (way.one.is_empty() || way.one.iter().any(&has)));
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort_unstable();
        let repeated = sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0].clone()).collect();
        (prefix.is_some() || way.is_some()).then_some(Self { prefix, way, repeated })
    }

    /// What the parameter holds, if it belongs to the signature and looks like
    /// it: a name promises nothing.
    pub(super) fn own(&self, pair: &str) -> Option<Own> {
        let (name, value) = pair.split_once('=')?;
        let name = name.to_ascii_lowercase();
        if self.repeated.contains(&name) {
            return None;
        }
        let prefix = self.prefix.as_deref().filter(|prefix| PREFIXES.contains(prefix));
        let short = prefix.and_then(|prefix| name.strip_prefix(prefix));
        let of_prefix = short.is_some_and(|short| OWN.contains(&short));
        let of_way = self.way.is_some_and(|way| way.all.contains(&name.as_str()) || way.own.contains(&name.as_str()));
        if !of_prefix && !of_way {
            return None;
        }
        let value = decoded(value)?;
        let (key, scope) = value.split_once('/').unwrap_or((&value, ""));
        // Key, date, region, service, and what it is for.
        let scoped = scope.split('/').count() == 4 && scope.ends_with("_request");
        match (short == Some("credential"), is_account(key)) {
            (true, true) if scoped => Some(Own::Account),
            (true, false) if scoped && is_token(key) => Some(Own::Credential),
            (true, _) => None,
            (false, true) if name == "googleaccessid" => Some(Own::Account),
            // Of Azure's: who has signed.
            (false, _) if SAS.contains(&name.as_str()) => is_uuid(&value).then_some(Own::Credential),
            (false, _) => is_token(&value).then_some(Own::Credential),
        }
    }
}

fn name_of(pair: &str) -> &str {
    pair.split('=').next().unwrap_or_default()
}

/// The value without the escapes that such values need; none if it has others.
fn decoded(value: &str) -> Option<String> {
    let escapes = [("%2b", "+"), ("%2f", "/"), ("%3d", "="), ("%40", "@"), ("%7e", "~")];
    let mut text = value.to_owned();
    for (escape, meant) in escapes {
        text = text.replace(escape, meant).replace(&escape.to_ascii_uppercase(), meant);
    }
    (!text.contains('%')).then_some(text)
}

/// Base64 in one of its alphabets, that of CloudFront included, or hex digits; not
/// what begins as the tokens of other vendors do, `ghp_` or `sk-`.
fn is_token(text: &str) -> bool {
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let is_foreign = (2..=12).contains(&letters) && matches!(text.as_bytes().get(letters), Some(b'_' | b'-'));
    !text.is_empty()
        && !is_foreign
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_~".contains(&byte))
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// `name@project.iam.gserviceaccount.com`.
fn is_account(text: &str) -> bool {
    let is_name =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    text.split_once('@')
        .is_some_and(|(name, host)| is_name(name) && host.strip_suffix(".gserviceaccount.com").is_some_and(is_name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn signed(uri: &str, headers: &[(&str, &str)]) -> (bool, bool) {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let signed = Signed::of(&request.body(()).unwrap().into_parts().0);
        (signed.head, signed.body)
    }

    #[test]
    fn schemes_of_authorization_that_sign_cover_head_and_body() {
        for value in [
            "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=y",
            "AWS4-ECDSA-P256-SHA256 Credential=x",
            "AWS AKID:c2ln",
            "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature=y",
            "SharedKey account:c2ln",
            "GOOG4-RSA-SHA256 Credential=x",
            "TC3-HMAC-SHA256 Credential=x",
            "Signature version=\"1\",keyId=\"a\"",
            "OAuth oauth_nonce=\"1\", oauth_signature=\"y\"",
            "acme id=1,signature=ab",
        ] {
            assert_eq!(signed("/", &[("authorization", value)]), (true, true), "{value}");
        }
        for value in ["Bearer signature=ab", "Basic YTpiCg==", "Token signature", "ApiKey a-signature"] {
            assert_eq!(signed("/", &[("authorization", value)]), (false, false), "{value}");
        }
        let digest = "Digest username=\"a\", uri=\"/\", qop=auth";
        assert_eq!(signed("/", &[("authorization", digest)]), (true, false));
        assert_eq!(signed("/", &[("authorization", &format!("{digest}-int"))]), (true, true));
    }

    #[test]
    fn a_signature_that_spares_the_body_binds_it_by_the_headers_it_names() {
        let unsigned = ("x-amz-content-sha256", UNSIGNED);
        for (named, body) in [
            ("host;x-amz-date", false),
            ("host;x-amz-content-sha256;x-amz-date", false),
            ("content-length;host", true),
            ("content-md5;host", true),
            ("host;x-amz-checksum-crc32", true),
        ] {
            let value = format!("AWS4-HMAC-SHA256 Credential=x, SignedHeaders={named}, Signature=y");
            assert_eq!(signed("/", &[("authorization", &value), unsigned]), (true, body), "{named}");
            let target = format!("/?X-Amz-Signature=ab&X-Amz-SignedHeaders={}", named.replace(';', "%3B"));
            assert_eq!(signed(&target, &[unsigned]), (true, body), "{named}");
        }
        assert_eq!(signed("/", &[unsigned, ("x-hub-signature-256", "ab")]), (false, true));
    }

    #[test]
    fn signatures_of_webhooks_are_known_by_a_word_of_their_names() {
        for name in [
            "webhook-signature",
            "svix-signature",
            "x-hub-signature",
            "x-hub-signature-256",
            "stripe-signature",
            "x-slack-signature",
            "x-shopify-hmac-sha256",
            "x-acme-signature",
            "X_Acme_Signature",
            "paypal-transmission-sig",
            "signature",
        ] {
            assert_eq!(signed("/", &[(name, "x")]), (false, true), "{name}");
        }
        for name in ["signature-input", "x-twilio-signature"] {
            assert_eq!(signed("/", &[(name, "x")]), (true, true), "{name}");
        }
        for name in ["accept-signature", "x-designature", "x-sigma", "x-assigned"] {
            assert_eq!(signed("/", &[(name, "x")]), (false, false), "{name}");
        }
    }

    const ACCOUNT: &str = "up%40proj.iam.gserviceaccount.com";

    /// URLs with the parameters that belong to the signature.
    fn urls() -> Vec<(String, Vec<(&'static str, Own)>)> {
        use Own::{Account, Credential};
        let scope = "20261126%2Feu%2Fs3%2Faws4_request";
        vec![
            (
                format!("X-Amz-Algorithm=a&X-Amz-Credential=AKIAZ3KQ7VT6XR2MB5NW%2F{scope}&x-amz-signature=ab"),
                vec![("X-Amz-Credential", Credential), ("x-amz-signature", Credential)],
            ),
            (
                "AWSAccessKeyId=AKIAZ3KQ7VT6XR2MB5NW&Signature=a%2Bb%3D&Expires=1".to_owned(),
                vec![("AWSAccessKeyId", Credential), ("Signature", Credential)],
            ),
            (
                format!("X-Goog-Credential={ACCOUNT}%2F20261126%2Fauto%2Fstorage%2Fgoog4_request&X-Goog-Signature=ab"),
                vec![("X-Goog-Credential", Account), ("X-Goog-Signature", Credential)],
            ),
            (
                format!("GoogleAccessId={}&Expires=1&Signature=ab", ACCOUNT.replace("%40", "@")),
                vec![("GoogleAccessId", Account), ("Signature", Credential)],
            ),
            ("sv=2024&se=2027&sr=b&sp=rw&sig=a%2fb%3D".to_owned(), vec![("sig", Credential)]),
            ("si=rule&sv=2024&sr=b&sig=ab".to_owned(), vec![("si", Credential), ("sig", Credential)]),
            (
                "Policy=eyJTdGF0ZW1lbnQi_&Signature=a~b-&Key-Pair-Id=K2JCJMDEHXQW5F".to_owned(),
                vec![("Policy", Credential), ("Signature", Credential), ("Key-Pair-Id", Credential)],
            ),
        ]
    }

    #[test]
    fn signed_urls_cover_head_and_body_and_have_parameters_of_their_own() {
        for (query, own) in urls() {
            assert_eq!(signed(&format!("/?a=1&{query}"), &[]), (true, true), "{query}");
            let url = SignedUrl::of(&query).unwrap();
            for (name, expected) in own {
                let pair = query.split('&').find(|pair| name_of(pair) == name).unwrap();
                assert_eq!(url.own(pair), Some(expected), "{pair}");
            }
            assert_eq!(url.own("to=abc"), None);
        }
        for query in ["signature=ab", "sig=ab", "sig=ab&sp=r", "X-Signature=ab", "AWSAccessKeyId=a", "Key-Pair-Id=a"] {
            assert_eq!(signed(&format!("/?{query}"), &[]), (false, false), "{query}");
        }
    }

    #[test]
    fn what_does_not_look_like_a_signatures_own_is_not_taken_for_it() {
        let amazon = SignedUrl::of("X-Amz-Signature=ab").unwrap();
        for pair in [
            "X-Amz-Signature=bob@example.com",
            "X-Amz-Signature=bob%40example.com",
            "X-Amz-Signature=a%20b",
            "X-Amz-Credential=AKIAZ3KQ7VT6XR2MB5NW",
            "X-Amz-Credential=bob%40example.com%2F1%2Fa%2Fs3%2Faws4_request",
            "X-Amz-Date=ab",
            "X-Amz-Security-Token=ghp_aZ3kQ9vT6xR1mB8n",
            "X-Amz-Security-Token=sk-aZ3kQ9vT6xR1mB8n",
        ] {
            assert_eq!(amazon.own(pair), None, "{pair}");
        }
        let invented = SignedUrl::of("x-app-signature=&x-app-security-token=aZ3kQ9vT6xR1mB8n").unwrap();
        assert_eq!(invented.own("x-app-security-token=aZ3kQ9vT6xR1mB8n"), None);
        let twice = SignedUrl::of("X-Amz-Signature=ab&X-Amz-Security-Token=a&x-amz-security-token=b").unwrap();
        assert_eq!(twice.own("X-Amz-Security-Token=a"), None);
        let azure = SignedUrl::of("sig=ab&se=1&sv=1&skoid=aZ3kQ9vT6xR1mB8n").unwrap();
        assert_eq!(azure.own("skoid=aZ3kQ9vT6xR1mB8n"), None);
        assert_eq!(azure.own("skoid=6f9d362e-244a-4ca5-ac48-1fc342d32173"), Some(Own::Credential));
        let google = SignedUrl::of("GoogleAccessId=a&Signature=b").unwrap();
        for value in ["bob@example.com", "bob@gserviceaccount.com.example.com", "a b@x.gserviceaccount.com"] {
            assert_eq!(google.own(&format!("GoogleAccessId={value}")), None, "{value}");
        }
        assert_eq!(google.own(&format!("Signature={ACCOUNT}")), None);
    }

    #[test]
    fn chunks_that_are_signed_each_are_told_by_the_hash() {
        let chunked = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(PAYLOAD_HASHES[0].clone(), HeaderValue::from_static(value));
            is_in_chunks(&headers)
        };
        assert!(chunked("STREAMING-AWS4-HMAC-SHA256-PAYLOAD") && chunked("STREAMING-UNSIGNED-PAYLOAD-TRAILER"));
        assert!(!chunked(UNSIGNED) && !chunked("ab12"));
    }
}
