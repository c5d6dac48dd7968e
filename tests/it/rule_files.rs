//! Rule files as people write them: each kind of mistake with the message that
//! it gets, as data, and the document that shows them.

use crate::cli::expurgate_in;
use serde::Deserialize;
use std::fmt::Write;
use std::path::Path;

#[derive(Deserialize)]
struct Corpus {
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    note: String,
    /// A whole rule file.
    file: String,
    /// The lines that `expurgate check` says about it.
    told: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(root().join("tests/corpus/rule-mistakes.toml")).unwrap();
    toml::from_str::<Corpus>(&text).unwrap().case
}

#[test]
fn each_kind_of_mistake_gets_its_message() {
    let directory = tempfile::tempdir().unwrap();
    let cases = cases();
    assert!(cases.len() > 60);
    for case in cases {
        std::fs::write(directory.path().join("rules.toml"), &case.file).unwrap();
        let output = expurgate_in(directory.path(), &["check", "--rules", "rules.toml"]);
        assert_eq!(output.status.code(), Some(2), "{}", case.note);
        let told = String::from_utf8([output.stderr, output.stdout].concat()).unwrap();
        let lines: Vec<&str> = told.lines().map(|line| line.trim_start_matches("error: ")).collect();
        let lines: Vec<&str> = lines.into_iter().filter(|line| line.starts_with("rules.toml:")).collect();
        assert_eq!(lines, case.told, "{}", case.note);
        for line in lines {
            let place: Vec<usize> = line.split(':').skip(1).take(2).filter_map(|part| part.parse().ok()).collect();
            assert!(place.len() == 2 && place.iter().all(|&number| number > 0), "{line}");
        }
    }
}

/// The document that shows them all.
fn document() -> String {
    let mut text = String::from(
        "# Mistakes in rule files\n\n\
         What `expurgate check` says to each kind of mistake in a rule file, and `expurgate run` \
         before it refuses to start. Made from `tests/corpus/rule-mistakes.toml`; a test holds both to the program.\n",
    );
    for case in cases() {
        let mut title = case.note.clone();
        title[..1].make_ascii_uppercase();
        write!(text, "\n## {title}\n\n```text\n{}```\n\n", case.file).unwrap();
        for line in &case.told {
            writeln!(text, "    {line}").unwrap();
        }
    }
    text
}

/// `UPDATE_DOCS=1` writes it.
#[test]
fn the_document_of_mistakes_is_made_of_them() {
    let path = root().join("docs/rule-mistakes.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, document()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written == document(), "docs/rule-mistakes.md is not up to date: run this test with UPDATE_DOCS=1");
}
