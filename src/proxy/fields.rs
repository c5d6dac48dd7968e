//! Header fields that carry data: the route lists them, and their values are
//! redacted like text.

use super::exchange::{Exchange, Place};
use super::respond::Failure;
use super::route::Route;
use super::text;
use crate::redact::{Format, Plan};
use crate::rule::protocol::covers;
use crate::scan::Encoding;
use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue, REFERER};
use std::collections::HashMap;
use std::sync::Arc;

/// What is told of an upload by the protocol tus: names, each with a value in base64
/// (<https://tus.io/protocols/resumable-upload>, Upload-Metadata).
const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");

/// The fields that a route redacts.
#[derive(Debug, Default)]
pub(super) struct FieldNames {
    exact: Vec<HeaderName>,
    /// Parts of names, with stars for the rest.
    patterns: Vec<String>,
}

impl FieldNames {
    /// Of names as a configuration holds them: valid, in lower case, with a star for
    /// what is left out of one.
    pub(super) fn new(configured: &[String]) -> Self {
        let (patterns, exact): (Vec<_>, Vec<_>) = configured.iter().partition(|name| name.contains('*'));
        Self {
            exact: exact.into_iter().filter_map(|name| name.parse().ok()).collect(),
            patterns: patterns.into_iter().cloned().collect(),
        }
    }

    /// Those that a head has.
    fn of(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        let exact = self.exact.iter().filter(|name| headers.contains_key(*name)).cloned();
        let fits = |name: &&HeaderName| self.patterns.iter().any(|pattern| covers(pattern, name.as_str()));
        let is_new = |name: &&HeaderName| !self.exact.contains(name);
        exact.chain(headers.keys().filter(fits).filter(is_new).cloned()).collect()
    }
}

/// Redacts the values of the fields that the route lists. Whether any changed.
pub(super) fn redact(
    headers: &mut HeaderMap,
    route: &Route,
    plan: &Arc<Plan>,
    exchange: &Exchange,
) -> Result<bool, Failure> {
    let mut changed = false;
    for name in route.headers.of(headers) {
        let values: Vec<HeaderValue> = headers.get_all(&name).iter().cloned().collect();
        let mut redacted = Vec::with_capacity(values.len());
        for value in &values {
            redacted.push(redact_value(&name, value, plan, exchange)?);
        }
        if redacted.iter().all(Option::is_none) {
            continue;
        }
        changed = true;
        headers.remove(&name);
        for (old, new) in values.into_iter().zip(redacted) {
            headers.append(name.clone(), new.unwrap_or(old));
        }
    }
    Ok(changed)
}

/// The new value, if it is another.
fn redact_value(
    name: &HeaderName,
    value: &HeaderValue,
    plan: &Arc<Plan>,
    exchange: &Exchange,
) -> Result<Option<HeaderValue>, Failure> {
    let text = Bytes::copy_from_slice(value.as_bytes());
    let redacted = match *name == UPLOAD_METADATA {
        true => redact_pairs(value.as_bytes(), plan, exchange)?,
        false => text::redact(text, Format::Text, plan, Place::Header, exchange)?,
    };
    let Some(redacted) = redacted else { return Ok(None) };
    let value = match *name == REFERER {
        true => HeaderValue::try_from(text::percent_encode(&redacted)),
        false => HeaderValue::try_from(redacted),
    };
    // Labels hold nothing that a value must not, nor did the value.
    value.map(Some).map_err(|_| Failure::Engine)
}

/// Names and values in base64, redacted as what they mean; `None` where nothing changes.
fn redact_pairs(raw: &[u8], plan: &Arc<Plan>, exchange: &Exchange) -> Result<Option<Vec<u8>>, Failure> {
    let (mut changed, mut pairs) = (false, Vec::new());
    for pair in raw.split(|&byte| byte == b',') {
        let text = String::from_utf8_lossy(pair);
        let (name, value) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte);
        let (means, encoding) = Encoding::read(value.as_bytes());
        let means = String::from_utf8(means).ok().filter(|_| value.bytes().all(is_sign));
        // As JSON, so that its name tells of it, too. What is no text is looked at as it stands.
        let json = serde_json::json!({ name: means.as_deref().unwrap_or(value) }).to_string();
        let redacted = text::redact(json.into(), Format::Json, plan, Place::Header, exchange)?;
        changed |= redacted.is_some();
        pairs.push(match redacted {
            None => pair.to_vec(),
            Some(redacted) => {
                let read: HashMap<String, String> = serde_json::from_slice(&redacted).map_err(|_| Failure::Engine)?;
                let (name, value) = read.into_iter().next().ok_or(Failure::Engine)?;
                let value = if means.is_some() { encoding.write(value.as_bytes()) } else { value.into_bytes() };
                [name.as_bytes(), b" ", &value].concat()
            }
        });
    }
    Ok(changed.then(|| pairs.join(&b","[..])))
}
