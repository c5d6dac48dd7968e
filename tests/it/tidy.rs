//! The shape of the source, held by a test: layers import downwards only,
//! `unsafe` and IO stay in their folders, files stay readable.

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up: a layer may use those before it.
const LAYERS: [&str; 16] = [
    "causes",
    "span",
    "hyperscan",
    "simd",
    "validator",
    "rule",
    "scan",
    "coding",
    "redact",
    "content",
    "metrics",
    "config",
    "manifest",
    "proxy",
    "server",
    "cli",
];

/// Layers that may hold `unsafe`.
const UNSAFE: [&str; 2] = ["hyperscan", "simd"];

/// Words of IO, of time and of threads, not to be found below `proxy`.
const IO: [&str; 10] = [
    "tokio::",
    "hyper::",
    "TcpStream",
    "Instant::",
    "SystemTime",
    "std::thread",
    "std::process",
    "println!",
    "std::fs",
    "std::env",
];

/// Files that may hold a word that their layer may not.
const MAY_HOLD: [(&str, &str); 2] = [
    // A directory of rule files stands for what is in it, in their order.
    ("src/rule/texts.rs", "std::fs"),
    // A text that is searched for.
    ("src/validator/label.rs", "std::env"),
];

/// Lines of a file without its tests.
const LONGEST_FILE: usize = 500;

/// Lines of a function, from `fn` to the closing brace.
const LONGEST_FUNCTION: usize = 60;

/// What is clearer whole: all metrics are made in one place, and a state
/// machine is one match.
const LONG_FUNCTIONS: [(&str, &str); 2] = [("src/metrics/mod.rs", "new"), ("src/scan/walk.rs", "advance")];

/// Files that may be longer, and how long.
const LONG_FILES: [(&str, usize); 1] = [("src/scan/scanner.rs", 750)];

fn sources() -> Vec<PathBuf> {
    let found = rust_files("src");
    assert!(found.len() > 50, "the sources are not where this test looks");
    found
}

/// Those of a folder of the repository and the folders in it.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut found);
    found
}

/// The path from the root of the repository.
fn name(path: &Path) -> &str {
    path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap()
}

/// The layer that a source file belongs to, as its place in [`LAYERS`].
fn layer(path: &Path) -> Option<usize> {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = inside.components().next()?.as_os_str().to_str()?;
    LAYERS.iter().position(|layer| *layer == first.trim_end_matches(".rs"))
}

/// The code of a file: without comments and without its tests.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let without_comment = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    text.lines().map(without_comment).collect()
}

/// Whether a file is made of tests only.
fn is_test(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "tests.rs")
}

/// The modules of this crate that some code names, by `crate::name` or in a
/// group `crate::{name, ...}`.
fn imports(code: &str) -> Vec<String> {
    let first_word = |text: &str| -> String {
        text.trim_start().chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
    };
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.push(first_word(rest)),
            Some(group) => found.extend(members(group).into_iter().map(first_word)),
        }
    }
    found
}

/// The members of a group whose opening brace has been read.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(&group[from..at]);
                from = at + 1;
                if char == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// Names and lengths of functions, by the indentation that rustfmt gives them.
fn functions(code: &[String]) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    for (start, line) in code.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some((_, name)) = line.split_once("fn ").filter(|(before, _)| is_qualifiers(before)) else { continue };
        let is_end = |line: &String| {
            let rest = line.get(indent..).unwrap_or_default();
            line.len() - line.trim_start().len() == indent && (rest.starts_with('}') || rest.ends_with(';'))
        };
        let one_line = line.ends_with('}') || line.ends_with(';');
        let length = if one_line { 0 } else { code[start..].iter().skip(1).position(is_end).unwrap_or(0) + 1 };
        found.push((name.split(['(', '<']).next().unwrap_or_default(), length + 1));
    }
    found
}

/// Whether only words such as `pub(super) const` stand before a `fn`.
fn is_qualifiers(text: &str) -> bool {
    text.split_whitespace()
        .all(|word| ["pub", "const", "async", "unsafe", "extern", "\"C\""].contains(&word) || word.starts_with("pub("))
}

#[test]
fn layers_import_downwards_only() {
    let mut wrong = Vec::new();
    for path in sources() {
        let Some(own) = layer(&path) else { continue };
        for import in imports(&code(&path).join("\n")) {
            if LAYERS[own + 1..].contains(&import.as_str()) {
                wrong.push(format!("{} ({}) uses {import}", name(&path), LAYERS[own]));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn imports_are_seen_alone_in_groups_and_in_paths() {
    let code = "use crate::scan::Engine;\nuse crate::{\n  span,\n  rule::{Rule, Ruleset},\n};\nuse crate::{proxy::Proxy};\n\
                fn f() -> crate::server::Server { crate::cli() }";
    assert_eq!(imports(code), ["scan", "span", "rule", "", "proxy", "server", "cli"]);
}

/// Whether the code of a file, its tests included, holds `unsafe`, or allows it.
fn has_unsafe(text: &str) -> bool {
    let is_name = |char: char| char.is_alphanumeric() || char == '_';
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.flat_map(|line| line.split(|char| !is_name(char))).any(|word| matches!(word, "unsafe" | "unsafe_code"))
}

/// Also that it is there: a search that finds nothing proves nothing.
#[test]
fn unsafe_code_is_in_its_folders_and_nowhere_else() {
    let files = ["src", "tests", "benches", "fuzz/fuzz_targets"].into_iter().flat_map(rust_files);
    let files = files.chain([Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs")]);
    // This file names it.
    let holding = files.filter(|path| name(path) != file!() && has_unsafe(&fs::read_to_string(path).unwrap()));
    let mut folders: Vec<String> = holding.map(|path| name(path.parent().unwrap()).to_owned()).collect();
    folders.sort();
    folders.dedup();
    assert_eq!(folders, UNSAFE.map(|layer| format!("src/{layer}")));
}

#[test]
fn unsafe_code_is_seen_however_it_is_written() {
    for code in ["unsafe { f() }", "let a = unsafe{f()};", "unsafe\n{ f() }", "#![allow(unsafe_code)]", "(unsafe fn())"]
    {
        assert!(has_unsafe(code), "{code}");
    }
    for code in ["// unsafe { f() }", "/// An unsafe thing", "let unsafe_total = 1;"] {
        assert!(!has_unsafe(code), "{code}");
    }
}

#[test]
fn nothing_below_the_proxy_does_io() {
    let proxy = LAYERS.iter().position(|layer| *layer == "proxy").unwrap();
    for path in sources().iter().filter(|path| layer(path).is_some_and(|layer| layer < proxy) && !is_test(path)) {
        for line in code(path) {
            for word in IO.iter().filter(|word| !MAY_HOLD.contains(&(name(path), word))) {
                assert!(!line.contains(word), "{} has {word}: {line}", name(path));
            }
        }
    }
}

#[test]
fn files_stay_readable() {
    for path in sources().iter().filter(|path| !is_test(path)) {
        // A table of numbers, written by a script.
        if path.ends_with("validator/phone_table.rs") {
            continue;
        }
        let lines = code(path).len();
        let exception = LONG_FILES.iter().find(|(file, _)| *file == name(path));
        let longest = exception.map_or(LONGEST_FILE, |(_, longest)| *longest);
        assert!(lines <= longest, "{} has {lines} lines without its tests", name(path));
    }
}

#[test]
fn functions_stay_readable() {
    let mut long = Vec::new();
    for path in sources().iter().filter(|path| !is_test(path)) {
        for (function, lines) in functions(&code(path)) {
            if lines > LONGEST_FUNCTION && !LONG_FUNCTIONS.contains(&(name(path), function)) {
                long.push(format!("{} has {lines} lines in {function}", name(path)));
            }
        }
    }
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn functions_are_measured_from_their_names_to_their_braces() {
    let code = "impl A {\n    pub(super) async fn long(\n        a: u8,\n    ) -> u8\n    where\n        u8: Copy,\n    {\n        \
                if a {\n        }\n    }\n    fn one() {}\n}\nfn last() {\n    x\n}";
    let lines: Vec<String> = code.lines().map(str::to_owned).collect();
    assert_eq!(functions(&lines), [("long", 9), ("one", 1), ("last", 3)]);
}
