//! What looks like the values of a detector to a person, and is none to it: a
//! card number whose check digit is wrong, for one. Only for explanations.

use crate::rule::{Detector, Matcher, Rule, Ruleset};
use crate::scan::{Traced, Verdict};
use crate::span::Span;
use regex_automata::meta::Regex;
use std::collections::BTreeSet;

/// Values that look like those of enabled detectors, and that none of `judged`
/// is about.
pub(super) fn misses(ruleset: &Ruleset, body: &[u8], judged: &BTreeSet<Traced>) -> Vec<Traced> {
    let mut misses = Vec::new();
    let wanted = |rule: &Rule| rule.enabled && rule.keywords.is_empty();
    for (index, rule) in ruleset.rules.iter().enumerate().filter(|(_, rule)| wanted(rule)) {
        let Matcher::Detector(detector) = rule.matcher else { continue };
        let Some(regex) = look_alike(detector).and_then(|pattern| Regex::new(pattern).ok()) else { continue };
        let known: Vec<Span> = judged.iter().filter(|one| one.rule == index).map(|one| one.span).collect();
        let is_known = |span: Span| {
            let next = known.partition_point(|known| known.end <= span.start);
            known.get(next).is_some_and(|known| known.overlaps(&span))
        };
        let spans = regex.find_iter(body).map(|found| Span::new(found.start() as u64, found.end() as u64));
        let miss = |span: Span| Traced { span, rule: index, begins: span.start, verdict: Verdict::Validator };
        misses.extend(spans.filter(|span| !is_known(*span)).map(miss));
    }
    misses
}

/// What values look like, written without escapes.
const fn look_alike(detector: Detector) -> Option<&'static str> {
    match detector {
        Detector::Email => Some(r"(?-u)[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,64}\.[A-Za-z]{2,}"),
        Detector::PhoneInternational => Some(r"(?-u)\+[1-9](?:[ ().-]{0,2}[0-9]){7,14}\b"),
        Detector::PhoneNanp => Some(r"(?-u)\b[0-9]{3}[ .-][0-9]{3}[ .-][0-9]{4}\b"),
        Detector::PhoneNational => None,
        Detector::Card => Some(r"(?-u)\b[3-6][0-9]{3}(?:[ -]?[0-9]{4}){2}[ -]?[0-9]{3,4}\b"),
        Detector::Iban => Some(r"(?-u)\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,4})?\b"),
        Detector::UsSsn => Some(r"(?-u)\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b"),
        Detector::PrivateKey => None,
        Detector::IpAddress => Some(r"(?-u)\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b"),
        Detector::MacAddress => Some(r"(?-u)\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b"),
    }
}
