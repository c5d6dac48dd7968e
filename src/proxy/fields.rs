//! Header fields that carry data: the route lists them, and their values are
//! redacted like text.

use super::exchange::{Exchange, Place};
use super::respond::Failure;
use super::route::Route;
use super::text;
use crate::redact::Plan;
use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue, REFERER};
use std::sync::Arc;

/// The fields that a route redacts.
#[derive(Debug, Default)]
pub(super) struct FieldNames {
    exact: Vec<HeaderName>,
    /// What names begin with, in lower case.
    prefixes: Vec<String>,
}

impl FieldNames {
    /// Of names as a configuration holds them: valid, in lower case, with a star at
    /// the end of what is only the beginning of one.
    pub(super) fn new(configured: &[String]) -> Self {
        let (prefixes, exact): (Vec<_>, Vec<_>) = configured.iter().partition(|name| name.ends_with('*'));
        Self {
            exact: exact.into_iter().filter_map(|name| name.parse().ok()).collect(),
            prefixes: prefixes.into_iter().map(|name| name.strip_suffix('*').unwrap_or(name).to_owned()).collect(),
        }
    }

    /// Those that a head has.
    fn of(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        let exact = self.exact.iter().filter(|name| headers.contains_key(*name)).cloned();
        let begins = |name: &&HeaderName| self.prefixes.iter().any(|prefix| name.as_str().starts_with(prefix));
        let is_new = |name: &&HeaderName| !self.exact.contains(name);
        exact
            .chain(headers.keys().filter(|_| !self.prefixes.is_empty()).filter(begins).filter(is_new).cloned())
            .collect()
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
    let Some(redacted) = text::redact(text, plan, Place::Header, exchange)? else {
        return Ok(None);
    };
    let value = match *name == REFERER {
        true => HeaderValue::try_from(text::percent_encode(&redacted)),
        false => HeaderValue::try_from(redacted),
    };
    // Labels hold nothing that a value must not, nor did the value.
    value.map(Some).map_err(|_| Failure::Engine)
}
