//! The request's target: the query is redacted as the form that it is, the path
//! only looked at.

use super::exchange::{Exchange, Place};
use super::respond::Failure;
use super::route::{Plans, Route};
use super::signature::{Own, SignedUrl};
use super::text;
use crate::content::{Coding, CodingLimits, ContentType, Delivery, PartRules, Pipeline, Released};
use crate::redact::{Format, Plan};
use bytes::Bytes;
use hyper::Uri;
use hyper::http::uri::PathAndQuery;
use std::sync::Arc;
use std::time::Instant;

/// The target that goes upstream, and whether its query changed.
pub(super) fn redact_target(
    uri: &Uri,
    route: &Route,
    plans: &Plans,
    exchange: &Exchange,
) -> Result<(PathAndQuery, bool), Failure> {
    let path = uri.path();
    // A changed path would go elsewhere: its plan only counts.
    text::redact(Bytes::copy_from_slice(path.as_bytes()), Format::Text, &plans.path, Place::Path, exchange)?;
    let base = &route.upstream.base;
    let changed = match uri.query() {
        Some(query) if route.query && !query.is_empty() => redact_query(query, route, plans, exchange)?,
        _ => None,
    };
    if base.is_empty() && changed.is_none() && uri.authority().is_none() {
        let target = uri.path_and_query().ok_or(Failure::Target)?;
        return Ok((target.clone(), false));
    }
    let whole = match changed.as_deref().or(uri.query()) {
        None if base.is_empty() => path.to_owned(),
        None => format!("{base}{path}"),
        Some(query) => format!("{base}{path}?{query}"),
    };
    let target = PathAndQuery::try_from(whole).map_err(|_| Failure::Target)?;
    Ok((target, changed.is_some()))
}

/// The query with what was found replaced, if anything was. Pairs without a
/// finding keep every byte; those that the upstream knows its client by, or that
/// a signature is made of, keep their credentials.
fn redact_query(query: &str, route: &Route, plans: &Plans, exchange: &Exchange) -> Result<Option<String>, Failure> {
    let signature = SignedUrl::of(query);
    let is_needed = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        route.query_allow.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
    };
    let (mut others, mut needed, mut accounts) = (Vec::new(), Vec::new(), Vec::new());
    for (place, pair) in query.split('&').enumerate() {
        let pairs = match signature.as_ref().and_then(|signature| signature.own(pair)) {
            Some(Own::Account) => &mut accounts,
            Some(Own::Credential) => &mut needed,
            None if is_needed(pair) => &mut needed,
            None => &mut others,
        };
        pairs.push((place, pair));
    }
    let mut redacted = Vec::with_capacity(others.len() + needed.len() + accounts.len());
    let mut changed = false;
    for (pairs, plan) in [(others, &plans.body), (needed, &plans.needed), (accounts, &plans.path)] {
        changed |= redact_pairs(pairs, plan, exchange, &mut redacted)?;
    }
    redacted.sort_by_key(|(place, _)| *place);
    let pairs: Vec<String> = redacted.into_iter().map(|(_, pair)| pair).collect();
    Ok(changed.then(|| pairs.join("&")))
}

/// Scans pairs at one go. Whether any changed.
fn redact_pairs(
    pairs: Vec<(usize, &str)>,
    plan: &Arc<Plan>,
    exchange: &Exchange,
    out: &mut Vec<(usize, String)>,
) -> Result<bool, Failure> {
    let Some(first) = pairs.first().map(|(place, _)| *place) else { return Ok(false) };
    let form: Vec<&str> = pairs.iter().map(|(_, pair)| *pair).collect();
    let Some(redacted) = redact_form(form.join("&"), plan, exchange)? else {
        out.extend(pairs.into_iter().map(|(place, pair)| (place, pair.to_owned())));
        return Ok(false);
    };
    let new: Vec<&[u8]> = redacted.split(|&byte| byte == b'&').collect();
    if new.len() != pairs.len() {
        // What is no form: what is left has no places of its own.
        out.push((first, text::percent_encode(&redacted)));
        return Ok(true);
    }
    out.extend(pairs.into_iter().zip(new).map(|((place, pair), new)| match pair.as_bytes() == new {
        true => (place, pair.to_owned()),
        false => (place, text::percent_encode(new)),
    }));
    Ok(true)
}

/// The form with what was found replaced, if anything was: values under their
/// names, JSON and JSON in base64 in them (Mixpanel's `?data=`).
fn redact_form(form: String, plan: &Arc<Plan>, exchange: &Exchange) -> Result<Option<Vec<u8>>, Failure> {
    let content = ContentType::parse(Some(b"application/x-www-form-urlencoded"));
    // A head is small: its limit is all that counts.
    let limits = CodingLimits::NONE;
    let parts =
        PartRules { limit: u64::MAX, pass: Arc::default(), media: Arc::default(), formats: None, coding: limits };
    let started = Instant::now();
    let mut pipeline = Pipeline::new(plan, &content, Coding::Identity, limits, Delivery::Whole, &parts)?;
    let mut out = Released::default();
    let result = pipeline.push(form.into(), &mut out).and_then(|()| pipeline.finish(&mut out));
    let report = pipeline.report();
    exchange.add_redaction(started.elapsed());
    exchange.record(Place::Query, &report, plan);
    result?;
    Ok((report.changed() > 0).then(|| out.concat()))
}
