//! What documents show, held to what the program does: every block of TOML is
//! read, every command line parsed.

use crate::redactor_rig::plan;
use expurgate::cli;
use expurgate::config::{KeyFile, KeyReader, Offline, PackReader, Sources};
use expurgate::content::judge_packs;
use expurgate::redact::judge_own;
use expurgate::rule::protocol::Packs;
use expurgate::rule::{Profile, RuleError, RuleTexts, Ruleset};
use expurgate::scan::Engine;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A document of the repository.
struct Document {
    name: String,
    text: String,
}

fn documents() -> Vec<Document> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for entry in fs::read_dir(root.join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            names.push(format!("docs/{name}"));
        }
    }
    names.sort();
    let read = |name: String| Document { text: fs::read_to_string(root.join(&name)).unwrap(), name };
    names.into_iter().map(read).collect()
}

impl Document {
    /// Language and text of each fenced block.
    fn blocks(&self) -> Vec<(&str, &str)> {
        let inside = self.text.split("```").skip(1).step_by(2);
        inside.filter_map(|block| block.split_once('\n')).collect()
    }

    /// What stands in single backquotes.
    fn spans(&self) -> Vec<&str> {
        let outside: Vec<&str> = self.text.split("```").step_by(2).collect();
        outside.iter().flat_map(|text| text.split('`').skip(1).step_by(2)).collect()
    }

    /// The commands that it shows, alone or in a pipeline, as words.
    fn commands(&self) -> Vec<Vec<String>> {
        let shells = ["", "sh", "bash", "console"];
        let blocks = self.blocks().into_iter().filter(|(language, _)| shells.contains(language));
        let lines: Vec<String> = blocks.flat_map(|(_, text)| lines(text)).collect();
        let shown = lines.iter().map(String::as_str).chain(self.spans());
        let parts = shown.flat_map(|line| line.split(['|', ';', '&']));
        parts.map(words).filter(|words| words.first().is_some_and(|word| OURS.contains(&word.as_str()))).collect()
    }
}

/// Commands that are ours to check.
const OURS: [&str; 2] = ["expurgate", "make"];

/// Lines of a shell, with those that end in a backslash joined to the next.
fn lines(text: &str) -> Vec<String> {
    text.replace("\\\n", " ").lines().map(str::to_owned).collect()
}

/// The words of a command: without the prompt, assignments before it, a comment
/// behind it, and what is in brackets because it may be left out.
fn words(command: &str) -> Vec<String> {
    let command = command.trim().trim_start_matches("$ ");
    let command = command.split(" #").next().unwrap_or_default();
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for char in command.chars().chain([' ']) {
        match (char, quote) {
            ('\'' | '"', None) => quote = Some(char),
            (_, Some(open)) if char == open => quote = None,
            (' ', None) => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            _ => word.push(char),
        }
    }
    let is_assignment = |word: &String| word.split_once('=').is_some_and(|(name, _)| !name.starts_with('-'));
    let from = words.iter().take_while(|word| is_assignment(word)).count();
    words.drain(..from);
    words.retain(|word| !word.starts_with('['));
    words
}

#[test]
fn words_are_those_of_a_shell() {
    assert_eq!(words("$ A=1 expurgate scan 'a b' [FILE...] # why"), ["expurgate", "scan", "a b"]);
    assert_eq!(words("make run X=\"y z\""), ["make", "run", "X=y z"]);
}

#[test]
fn every_block_of_toml_is_valid() {
    let mut seen = 0;
    for document in documents() {
        for (_, text) in document.blocks().into_iter().filter(|(language, _)| *language == "toml") {
            seen += 1;
            let is_rules =
                ["[[rule]]", "[[key]]", "[[override]]", "[[allow]]"].iter().any(|table| text.contains(table));
            let wrong = match text {
                _ if text.contains("[[example]]") => pack_mistake(text),
                _ if is_rules => rules_mistake(text),
                _ => configuration_mistake(text),
            };
            assert_eq!(wrong, None, "{}:\n{text}", document.name);
        }
    }
    assert!(seen >= 5, "the blocks are not where this test looks");
}

fn rules_mistake(text: &str) -> Option<String> {
    match Ruleset::from_texts(&[("block.toml".to_owned(), text.to_owned())]) {
        Err(error) => Some(error.to_string()),
        Ok(ruleset) => {
            let mut engine = Arc::new(Engine::compile(Arc::new(ruleset)).unwrap());
            judge_own(&mut engine).unwrap().first().map(ToString::to_string)
        }
    }
}

fn pack_mistake(text: &str) -> Option<String> {
    match Packs::from_texts(&[("block.toml".to_owned(), text.to_owned())]) {
        Err(error) => Some(error.to_string()),
        Ok(packs) => {
            let own = packs.iter().filter(|pack| !pack.builtin);
            judge_packs(plan().engine(), own).first().map(ToString::to_string)
        }
    }
}

/// Stands in for the files of protocol packs that documents name: that of the
/// document about them.
fn shown_packs(paths: &[PathBuf]) -> Result<RuleTexts, RuleError> {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    if !paths.is_empty() {
        let file = folder.path().join("acme.toml");
        fs::write(&file, own_pack()).unwrap();
        files.push(file);
    }
    RuleTexts::read(&files)
}

/// The pack that the document shows how to write.
fn own_pack() -> String {
    let documents = documents();
    let document = documents.iter().find(|document| document.name == "docs/protocols.md").unwrap();
    let (_, block) = *document.blocks().iter().find(|(_, text)| text.contains("[[example]]")).unwrap();
    block.to_owned()
}

/// Stands in for the files of keys that documents name.
fn shown_key(path: &Path) -> std::io::Result<KeyFile> {
    let content = format!("a key of its own for every name: {}", path.display()).into_bytes().into();
    Ok(KeyFile { content, mode: Some(0o600) })
}

fn configuration_mistake(text: &str) -> Option<String> {
    let file = Some(("block.toml".to_owned(), text.to_owned()));
    match Offline::load(&Sources {
        file,
        keys: KeyReader(shown_key),
        packs: PackReader(shown_packs),
        ..Sources::default()
    }) {
        Err(error) => Some(error.to_string()),
        Ok(config) if text.contains("[[route]]") && config.complete().is_none() => Some("no upstream".to_owned()),
        Ok(config) => config.check_entities(&Ruleset::builtin().unwrap()).err().map(|error| error.to_string()),
    }
}

#[test]
fn every_command_is_one_that_the_program_takes() {
    let mut seen = 0;
    for document in documents() {
        // The word alone is a name: of a container, of a package.
        for words in document.commands().into_iter().filter(|words| words[0] == "expurgate" && words.len() > 1) {
            seen += 1;
            let error = cli::command().try_get_matches_from(&words).err().map(|error| error.to_string());
            assert_eq!(error, None, "{}: {}", document.name, words.join(" "));
        }
    }
    assert!(seen >= 10, "the commands are not where this test looks");
}

#[test]
fn every_make_target_is_one_of_the_makefile() {
    let makefile = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile")).unwrap();
    let in_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = |name: &&str| !name.is_empty() && name.bytes().all(in_name);
    let targets: BTreeSet<&str> =
        makefile.lines().filter_map(|line| Some(line.split_once(':')?.0).filter(is_name)).collect();
    let mut seen = 0;
    for document in documents() {
        for words in document.commands().into_iter().filter(|words| words[0] == "make") {
            for target in words[1..].iter().filter(|word| !word.contains('=')) {
                seen += 1;
                assert!(targets.contains(target.as_str()), "{}: make {target}", document.name);
            }
        }
    }
    assert!(seen >= 10, "the targets are not where this test looks");
}

/// The long flags of all commands, with their dashes.
fn flags(command: &clap::Command, found: &mut BTreeSet<String>) {
    found.extend(command.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?))));
    for command in command.get_subcommands() {
        flags(command, found);
    }
}

#[test]
fn every_flag_is_one_that_some_command_has() {
    let mut known = BTreeSet::new();
    flags(&cli::command(), &mut known);
    for document in documents().iter().filter(|document| document.name != "CONTRIBUTING.md") {
        for flag in document.spans().iter().filter(|span| span.starts_with("--")) {
            let flag = flag.split([' ', '=']).next().unwrap();
            assert!(known.contains(flag), "{}: {flag}", document.name);
        }
    }
}

#[test]
fn the_reference_of_the_configuration_names_every_flag_of_run() {
    let command = cli::command();
    let run = command.find_subcommand("run").unwrap();
    let documents = documents();
    let reference = documents.iter().find(|document| document.name == "docs/configuration.md").unwrap();
    let flags: Vec<&str> = run.get_arguments().filter_map(clap::Arg::get_long).collect();
    assert!(flags.len() >= 7, "{flags:?}");
    for flag in flags {
        assert!(reference.text.contains(&format!("`--{flag} ")), "--{flag}");
    }
}

#[test]
fn the_readme_counts_the_rules() {
    let builtin = Ruleset::builtin().unwrap();
    let rules = builtin.rules.len();
    let count =
        format!("\n{rules} rules, {} of them on by default: ", builtin.in_profile(Profile::default()).enabled());
    let documents = documents();
    let readme = documents.iter().find(|document| document.name == "README.md").unwrap();
    assert!(readme.text.contains(&count), "the README does not say:{count}");
}

/// Which failures there are is known to their one table alone.
#[test]
fn make_run_asks_for_its_upstream_before_anything_is_built() {
    let mut make = std::process::Command::new("make");
    // As from a shell, though another make may have started this.
    let make = make.args(["run", "UPSTREAM=", "CARGO=false"]).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    let output = make.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(error.starts_with("usage: make run UPSTREAM=") && out.is_empty(), "{out}{error}");
}

#[test]
fn every_code_of_an_error_stands_in_the_table_of_codes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = fs::read_to_string(root.join("src/proxy/respond.rs")).unwrap();
    let (_, rows) = source.split_once("fn row(&self)").unwrap();
    let (rows, _) = rows.split_once("\n    }\n").unwrap();
    let codes: BTreeSet<&str> = rows.split('"').skip(1).step_by(2).collect();
    assert!(codes.len() > 30 && codes.contains("part_too_large"), "{codes:?}");
    let document = fs::read_to_string(root.join("docs/configuration.md")).unwrap();
    let (_, section) = document.split_once("\n## Errors\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let cells = section.lines().filter_map(|line| line.split(" | ").nth(1));
    let rows = section.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert!(cells.len() == 4 && cells[3].len() > 10, "what is to be done? {row}");
    }
    let listed: BTreeSet<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    assert_eq!(listed, codes);
}
