//! The redactor and its oracle under test, with the built-in rules.

use bytes::Bytes;
use expurgate::redact::{Plan, Policy, RedactError, Redactor, Treatment, naive};
use expurgate::rule::Ruleset;
use expurgate::scan::{Engine, Finding, Format, Opened, Part, Scanner, Wrap, naive as scan_naive};
use std::sync::{Arc, LazyLock};

static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| plan_of(&[]));

/// The built-in rules, every finding replaced.
pub(crate) fn plan() -> &'static Arc<Plan> {
    &PLAN
}

static ENCODED: LazyLock<Arc<Plan>> = LazyLock::new(|| {
    let all = "[[override]]\nid = '*'\nbase64 = true\n";
    plan_of(&[("encoded.toml".to_owned(), all.to_owned())])
});

/// The same, of which each looks at text in base64 too.
pub(crate) fn encoded_plan() -> &'static Arc<Plan> {
    &ENCODED
}

/// The built-in rules and these files.
pub(crate) fn plan_of(files: &[(String, String)]) -> Arc<Plan> {
    let engine = Engine::compile(Arc::new(Ruleset::from_texts(files).unwrap())).unwrap();
    Arc::new(Plan::new(Arc::new(engine), &Policy::default()))
}

/// The built-in rules, every finding treated so.
pub(crate) fn plan_for(treatment: Treatment) -> Arc<Plan> {
    Arc::new(Plan::new(Arc::clone(plan().engine()), &Policy::always(treatment)))
}

/// What is written, or why the document is refused.
pub(crate) type Outcome = Result<Vec<u8>, RedactError>;

/// What the oracle writes.
pub(crate) fn expected(format: Format, document: &[u8]) -> Vec<u8> {
    oracle(format, document).unwrap()
}

/// What the oracle makes of any document.
pub(crate) fn oracle(format: Format, document: &[u8]) -> Outcome {
    naive::redact(plan(), format, document)
}

/// What the redactor writes when the document comes in chunks of these sizes,
/// again and again.
pub(crate) fn redact(format: Format, document: &[u8], sizes: &[usize]) -> Vec<u8> {
    redact_by(plan(), format, document, sizes)
}

/// As [`redact`], with other rules or actions.
pub(crate) fn redact_by(plan: &Arc<Plan>, format: Format, document: &[u8], sizes: &[usize]) -> Vec<u8> {
    outcome(plan, format, document, sizes).unwrap()
}

/// What the redactor makes of any document in chunks of these sizes, again and again.
pub(crate) fn outcome(plan: &Arc<Plan>, format: Format, document: &[u8], sizes: &[usize]) -> Outcome {
    let mut rest = Bytes::copy_from_slice(document);
    let mut sizes = sizes.iter().cycle();
    let chunks = std::iter::from_fn(|| {
        let size = sizes.next().map_or(rest.len(), |&size| size.clamp(1, rest.len().max(1)));
        (!rest.is_empty()).then(|| rest.split_to(size))
    });
    run(Redactor::new(plan, format), chunks)
}

/// What a redactor makes of these chunks.
pub(crate) fn run(mut redactor: Redactor, chunks: impl IntoIterator<Item = Bytes>) -> Outcome {
    let mut out = Vec::new();
    chunks.into_iter().try_for_each(|chunk| redactor.push(chunk, &mut out))?;
    redactor.finish(&mut out)?;
    assert_eq!(redactor.held(), 0);
    Ok(out.concat())
}

/// What the redactor writes when the document comes as a whole.
pub(crate) fn redact_whole(format: Format, document: &[u8]) -> Vec<u8> {
    redact(format, document, &[])
}

/// What the scanner finds when it sees the document grow to each of `cuts`,
/// which are in order. The redactor gathers small chunks before it scans; here
/// every one is scanned.
pub(crate) fn findings(format: Format, document: &[u8], cuts: &[usize]) -> Vec<Finding> {
    findings_by(plan(), format, document, cuts)
}

/// As [`findings`], with other rules.
pub(crate) fn findings_by(plan: &Arc<Plan>, format: Format, document: &[u8], cuts: &[usize]) -> Vec<Finding> {
    all_by(plan, format, document, cuts).0
}

/// The same, with what is found in texts in base64.
pub(crate) fn all_by(plan: &Arc<Plan>, format: Format, document: &[u8], cuts: &[usize]) -> All {
    let mut scanner = Scanner::new(Arc::clone(plan.engine()), format);
    let mut found = Vec::new();
    let mut settled = 0;
    for cut in cuts.iter().map(|&cut| cut.min(document.len())) {
        let from = usize::try_from(scanner.origin()).unwrap();
        let now = scanner.scan(&document[from..cut], false, &mut found).unwrap();
        assert!(settled <= now && now <= cut as u64 && scanner.origin() <= now, "{settled} {now} {cut}");
        assert!(found.iter().all(|finding| finding.span.end <= now), "released before it was settled");
        settled = now;
    }
    while settled < document.len() as u64 || document.is_empty() {
        let from = usize::try_from(scanner.origin()).unwrap();
        let now = scanner.scan(&document[from..], true, &mut found).unwrap();
        if document.is_empty() {
            break;
        }
        assert!(now > settled, "no progress");
        settled = now;
    }
    for pair in found.windows(2) {
        assert!(pair[0].span.end <= pair[1].span.start, "findings overlap: {pair:?}");
    }
    let runs = found.iter().filter(|finding| finding.wrap == Wrap::Base64).map(|finding| finding.span);
    let opened = runs.map(|run| Opened { run, findings: scanner.opened(run).to_vec() }).collect();
    (in_one_piece(found), opened)
}

/// Findings, and those in texts in base64.
type All = (Vec<Finding>, Vec<Opened>);

/// What the oracle finds, without texts in base64 of which something else was made.
pub(crate) fn all_of_oracle(plan: &Arc<Plan>, format: Format, document: &[u8]) -> All {
    let (findings, mut opened) = scan_naive::all(plan.engine(), plan.protections(), format, document);
    let is_run = |opened: &Opened| findings.iter().any(|one| one.wrap == Wrap::Base64 && one.span == opened.run);
    opened.retain(is_run);
    opened.sort_by_key(|opened| opened.run.start);
    (findings, opened)
}

/// Joins the pieces of long findings.
fn in_one_piece(pieces: Vec<Finding>) -> Vec<Finding> {
    let mut whole: Vec<Finding> = Vec::new();
    for piece in pieces {
        match whole.last_mut() {
            Some(last) if piece.part == Part::More => {
                assert_eq!((last.span.end, last.rule), (piece.span.start, piece.rule), "a piece is missing");
                last.span.end = piece.span.end;
            }
            _ => whole.push(Finding { part: Part::Whole, ..piece }),
        }
    }
    whole
}

/// Asserts that scanner and oracle agree, however the document is cut.
pub(crate) fn check_cuts(format: Format, document: &[u8], cuts: &[Vec<usize>]) {
    if let Some(difference) = difference(format, document, cuts) {
        panic!("{difference}");
    }
}

/// Where scanner and oracle do not agree on a document.
pub(crate) fn difference(format: Format, document: &[u8], cuts: &[Vec<usize>]) -> Option<String> {
    difference_by(plan(), format, document, cuts)
}

/// The same by rules that look at text in base64.
pub(crate) fn encoded_difference(format: Format, document: &[u8], cuts: &[Vec<usize>]) -> Option<String> {
    difference_by(encoded_plan(), format, document, cuts)
}

fn difference_by(plan: &Arc<Plan>, format: Format, document: &[u8], cuts: &[Vec<usize>]) -> Option<String> {
    let oracle = all_of_oracle(plan, format, document);
    let whole = all_by(plan, format, document, &[]);
    if whole != oracle {
        return Some(told(document, "oracle", &oracle, "whole", &whole));
    }
    by_cuts(plan, format, document, cuts)
}

/// Where the scanner does not find the same in a document however it is cut: for
/// documents too long for the oracle.
pub(crate) fn difference_by_cuts(format: Format, document: &[u8], cuts: &[Vec<usize>]) -> Option<String> {
    by_cuts(plan(), format, document, cuts)
}

/// The same by rules that look at text in base64.
pub(crate) fn encoded_difference_by_cuts(format: Format, document: &[u8], cuts: &[Vec<usize>]) -> Option<String> {
    by_cuts(encoded_plan(), format, document, cuts)
}

fn by_cuts(plan: &Arc<Plan>, format: Format, document: &[u8], cuts: &[Vec<usize>]) -> Option<String> {
    let whole = all_by(plan, format, document, &[]);
    let cut = cuts.iter().map(|cuts| (cuts, all_by(plan, format, document, cuts)));
    cut.filter(|(_, found)| *found != whole)
        .map(|(cuts, found)| told(document, "whole", &whole, &format!("cut at {cuts:?}"), &found))
        .next()
}

/// Asserts that the scanner finds the same however the document is cut.
pub(crate) fn check_cuts_of_long(format: Format, document: &[u8], cuts: &[Vec<usize>]) {
    if let Some(difference) = difference_by_cuts(format, document, cuts) {
        panic!("{difference}");
    }
}

fn told(document: &[u8], left: &str, expected: &All, right: &str, found: &All) -> String {
    let ((expected, expected_within), (found, found_within)) = (expected, found);
    let shown = |findings: &[Finding]| {
        let rules = &plan().engine().ruleset().rules;
        let show = |finding: &Finding| {
            let range = usize::try_from(finding.span.start).unwrap()..usize::try_from(finding.span.end).unwrap();
            let text = String::from_utf8_lossy(&document[range.clone()]);
            let text: String = text.chars().take(120).collect();
            format!("\n    {range:?} {} {:?} {text:?}", rules[finding.rule].id, finding.wrap)
        };
        findings.iter().filter(|one| !expected.contains(one) || !found.contains(one)).map(show).collect::<String>()
    };
    let text: String = String::from_utf8_lossy(document).chars().take(2000).collect();
    let within = |these: &[Opened], those: &[Opened]| {
        let other = these.iter().filter(|one| !those.contains(one));
        other.map(|one| format!("\n    within {one:?}")).collect::<String>()
    };
    let left = format!("{left}:{}{}", shown(expected), within(expected_within, found_within));
    let right = format!("{right}:{}{}", shown(found), within(found_within, expected_within));
    format!("{left}\n{right}\nin {text}")
}
