//! What is measured side by side on one document.

use super::case::Case;
use bytes::Bytes;
use expurgate::hyperscan::{Database, Hits, HyperscanError, Outcome, Scratch};
use expurgate::redact::{Format, Plan, Policy, Redactor};
use expurgate::rule::{Detector, Matcher, Ruleset};
use expurgate::scan::{Engine, naive};
use std::hint::black_box;
use std::sync::Arc;

/// Bytes per chunk, as a socket gives them at best.
pub(crate) const CHUNK: usize = 64 << 10;

/// The plan for a set of rules.
pub(crate) fn plan(ruleset: Ruleset) -> Arc<Plan> {
    let engine = Arc::new(Engine::compile(Arc::new(ruleset)).unwrap());
    Arc::new(Plan::new(engine, &Policy::default()))
}

/// Redacts a case, and looks at the number of findings.
pub(crate) fn redact(plan: &Arc<Plan>, case: &Case) {
    let found = findings(plan, &case.data);
    assert_eq!(found, case.findings, "{}", case.name);
}

/// Redacts, and counts what was found. Not inlined: `scripts/callgrind` looks
/// for it.
#[inline(never)]
pub(crate) fn findings(plan: &Arc<Plan>, data: &Bytes) -> u64 {
    let mut redactor = Redactor::new(plan, Format::Json);
    let mut out = Vec::new();
    let mut rest = data.clone();
    while !rest.is_empty() {
        let chunk = rest.split_to(CHUNK.min(rest.len()));
        redactor.push(chunk, &mut out).unwrap();
        black_box(&mut out).clear();
    }
    redactor.finish(&mut out).unwrap();
    black_box(out);
    redactor.report().changed()
}

/// What a proxy that does nothing but copy would do.
pub(crate) fn copy(data: &[u8]) {
    let mut buffer = vec![0; CHUNK];
    for chunk in data.chunks(CHUNK) {
        buffer[..chunk.len()].copy_from_slice(chunk);
        black_box(&mut buffer);
    }
}

/// The first step of a scan by itself.
pub(crate) fn literals(plan: &Plan, data: &[u8]) {
    for chunk in data.chunks(CHUNK) {
        black_box(plan.engine().count_literals(chunk).unwrap());
    }
}

/// The oracle; it must find what the redactor finds.
pub(crate) fn oracle(plan: &Plan, data: &[u8]) -> u64 {
    naive::findings(plan.engine(), Format::Json, data).len() as u64
}

/// Detectors as the regular expressions that others use.
const fn expression(detector: Detector) -> &'static str {
    match detector {
        Detector::Email => r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}\b",
        Detector::PhoneInternational => r"\+[1-9][0-9 ().-]{7,20}[0-9]\b",
        Detector::PhoneNational => r"\b0[0-9]{1,4}[-. /][0-9]{2,8}(?:[-. ][0-9]{2,4}){0,4}\b",
        Detector::PhoneNanp => r"\(?\b[2-9][0-9]{2}\)?[-. ][2-9][0-9]{2}[-. ][0-9]{4}\b",
        Detector::Card => r"\b[3-6](?:[0-9][ -]?){11,18}\b",
        Detector::Iban => r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}\b",
        Detector::UsSsn => r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b",
        Detector::PrivateKey => r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY",
        Detector::IpAddress => r"\b[0-9]{1,3}(?:\.[0-9]{1,3}){3}\b",
        Detector::MacAddress => r"\b[0-9A-Fa-f]{2}(?:[:-][0-9A-Fa-f]{2}){5}\b",
    }
}

/// The rules as regular expressions, without keywords, validators, escapes and
/// member names: less than what we do.
pub(crate) fn expressions(ruleset: &Ruleset) -> Vec<&str> {
    let enabled = ruleset.rules.iter().filter(|rule| rule.enabled);
    let expression = enabled.filter_map(|rule| match &rule.matcher {
        Matcher::Pattern(source) => Some(source.as_str()),
        Matcher::Detector(detector) => Some(expression(*detector)),
        Matcher::Key(_) => None,
    });
    expression.collect()
}

/// Vectorscan running the full expressions.
pub(crate) struct Vectorscan {
    database: Database,
    scratch: Scratch,
    hits: Hits,
}

impl Vectorscan {
    /// A scanner for all `expressions` that Vectorscan takes, and how many it does
    /// not: what repeats much becomes an automaton that it refuses.
    pub(crate) fn new(expressions: &[&str]) -> (Self, usize) {
        let mut taken = expressions.to_vec();
        let database = loop {
            match Database::expressions(&taken) {
                Ok(database) => break database,
                Err(HyperscanError::Compile { index: Some(index), .. }) => drop(taken.remove(index)),
                Err(other) => panic!("{other}"),
            }
        };
        let scratch = Scratch::new(&[&database]).unwrap();
        let refused = expressions.len() - taken.len();
        (Self { database, scratch, hits: Hits::with_limit(1 << 20) }, refused)
    }

    pub(crate) fn scan(&mut self, data: &[u8]) {
        for chunk in data.chunks(CHUNK) {
            let outcome = self.database.scan(chunk, &mut self.scratch, &mut self.hits).unwrap();
            assert_eq!(outcome, Outcome::Complete);
            black_box(self.hits.as_slice().len());
        }
    }
}

/// One expression after another, as most rivals do.
pub(crate) struct OneByOne(Vec<regex::bytes::Regex>);

impl OneByOne {
    pub(crate) fn new(expressions: &[&str]) -> Self {
        let compile = |source: &&str| regex::bytes::RegexBuilder::new(source).unicode(false).build().unwrap();
        Self(expressions.iter().map(compile).collect())
    }

    pub(crate) fn scan(&self, data: &[u8]) {
        for chunk in data.chunks(CHUNK) {
            let matches: usize = self.0.iter().map(|regex| regex.find_iter(chunk).count()).sum();
            black_box(matches);
        }
    }
}

/// All expressions in one automaton.
pub(crate) struct AllAtOnce(regex::bytes::RegexSet);

impl AllAtOnce {
    pub(crate) fn new(expressions: &[&str]) -> Self {
        let builder = &mut regex::bytes::RegexSetBuilder::new(expressions);
        let builder = builder.unicode(false).size_limit(1 << 30).dfa_size_limit(64 << 20);
        Self(builder.build().unwrap())
    }

    /// Tells which of them match somewhere; not where.
    pub(crate) fn scan(&self, data: &[u8]) {
        for chunk in data.chunks(CHUNK) {
            black_box(self.0.matches(chunk).iter().count());
        }
    }
}
