//! What is JSON stays JSON of the same shape, also within strings, and stays
//! byte for byte what it was when nothing is found in it.
//!
//! The input is the document; it is tried as it is and within strings.

#![no_main]

#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../../tests/it/redactor_rig.rs"]
mod redactor_rig;
#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../../tests/it/redactor_tree.rs"]
mod redactor_tree;

use bytes::Bytes;
use expurgate::redact::{RedactError, Redactor};
use expurgate::scan::Format;
use libfuzzer_sys::{Corpus, fuzz_target};
use redactor_rig::plan;
use redactor_tree::Tree;

/// How many strings the document is put into, one in the other.
const LEVELS: usize = 3;

fuzz_target!(init: {
    // Compiled before anything is measured.
    plan();
}, |bytes: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(bytes) else { return Corpus::Reject };
    if Tree::parse(text).is_none() {
        return Corpus::Reject;
    }
    let mut document = text.to_owned();
    for _ in 0..LEVELS {
        check(&document);
        document = serde_json::to_string(&document).expect("a string is JSON");
    }
    Corpus::Keep
});

fn check(document: &str) {
    let Some((redacted, findings)) = redact(document) else { return };
    if findings == 0 {
        assert!(redacted == document.as_bytes(), "changed without a finding: {document}");
        return;
    }
    let redacted = String::from_utf8(redacted).expect("UTF-8 stays UTF-8");
    let before = Tree::parse(document).expect("checked by the caller");
    let Some(after) = Tree::parse(&redacted) else { panic!("no JSON any more: {redacted}\nwas {document}") };
    if let Some(mistake) = after.unlike(&before) {
        panic!("{mistake}\nwas {document}\nis  {redacted}");
    }
}

/// What the redactor writes, and how much it found; `None` when a string holds
/// compressed bytes.
fn redact(document: &str) -> Option<(Vec<u8>, usize)> {
    let mut redactor = Redactor::new(plan(), Format::Json);
    redactor.record();
    let mut out = Vec::new();
    let pushed = redactor.push(Bytes::copy_from_slice(document.as_bytes()), &mut out);
    match pushed.and_then(|()| redactor.finish(&mut out)) {
        Ok(()) => Some((out.concat(), redactor.take_applied().len())),
        Err(error) => {
            assert_eq!(error, RedactError::Zipped, "nothing is blocked");
            None
        }
    }
}
