//! The walkthroughs of the documents, done as they say: files are written, and
//! commands say what the document shows.

use crate::cli::expurgate_in;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The part of a document between a heading and the next.
fn section(document: &str, heading: &str) -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

/// The file that the text before a block names, as in "`acme.toml`:".
fn named(before: &str) -> Option<&str> {
    let line = before.trim_end().lines().next_back()?;
    line.strip_suffix("`:")?.rsplit('`').next()
}

#[test]
fn the_walkthrough_goes_as_it_says() {
    let (files, commands) = walk("docs/rules.md", "A walkthrough");
    assert!(files >= 4 && commands >= 8, "{files} files, {commands} commands");
}

#[test]
fn actions_do_what_their_document_shows() {
    let (files, commands) = walk("docs/actions.md", "Try it");
    assert!(files >= 4 && commands >= 3, "{files} files, {commands} commands");
}

/// Does what a part of a document says: how many files and commands there are.
fn walk(document: &str, heading: &str) -> (usize, usize) {
    let directory = tempfile::tempdir().unwrap();
    let section = section(document, heading);
    let parts: Vec<&str> = section.split("```").collect();
    let (mut files, mut commands) = (0, 0);
    for pair in parts.chunks(2) {
        let [before, block] = pair else { continue };
        let (language, text) = block.split_once('\n').unwrap();
        if language == "console" {
            commands += run(directory.path(), text);
        } else {
            let name = named(before).unwrap_or_else(|| panic!("no file is named before\n{text}"));
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            if name.ends_with(".key") {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            }
            files += 1;
        }
    }
    (files, commands)
}

/// Runs the commands of a block and compares what they say; how many.
fn run(directory: &Path, block: &str) -> usize {
    let mut commands = 0;
    let mut last = 0;
    for part in block.split("$ ").skip(1) {
        let (command, expected) = part.split_once('\n').unwrap();
        if command == "echo $?" {
            assert_eq!(expected, format!("{last}\n"));
            continue;
        }
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(words[0], "expurgate", "{command}");
        let output = expurgate_in(directory, &words[1..]);
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(told, expected, "$ {command}");
        last = output.status.code().unwrap();
        commands += 1;
    }
    commands
}
