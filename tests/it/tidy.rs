//! The shape of the source, held by a test: layers import downwards only,
//! `unsafe` and IO stay in their folders, files stay readable.

use std::fs;
use std::path::{Path, PathBuf};

/// From the bottom up: a layer may use those before it.
const LAYERS: [&str; 13] = [
    "span",
    "hyperscan",
    "simd",
    "validator",
    "rule",
    "scan",
    "redact",
    "content",
    "metrics",
    "config",
    "proxy",
    "server",
    "cli",
];

/// Layers that may hold `unsafe`.
const UNSAFE: [&str; 2] = ["hyperscan", "simd"];

/// Words of IO, of time and of threads, not to be found below `proxy`. Rule
/// files and the configuration are read where they are parsed.
const IO: [&str; 8] =
    ["tokio::", "hyper::", "TcpStream", "Instant::", "SystemTime", "std::thread", "std::process", "println!"];

/// Lines of a file without its tests: a table or a state machine may be longer
/// than the 500 that we aim at, but not by much.
const LONGEST: usize = 740;

fn sources() -> Vec<PathBuf> {
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
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 50, "the sources are not where this test looks");
    found
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

#[test]
fn layers_import_downwards_only() {
    let mut wrong = Vec::new();
    for path in sources() {
        let Some(own) = layer(&path) else { continue };
        for line in code(&path) {
            for (index, name) in LAYERS.iter().enumerate().skip(own + 1) {
                if line.contains(&format!("crate::{name}::")) || line.contains(&format!("crate::{name};")) {
                    wrong.push(format!("{} ({}) uses {name} ({index})", path.display(), LAYERS[own]));
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn unsafe_code_stays_in_its_folders() {
    for path in sources() {
        let allowed = layer(&path).is_some_and(|layer| UNSAFE.contains(&LAYERS[layer]));
        let has = code(&path).iter().any(|line| line.contains("unsafe ") && !line.contains("unsafe_code"));
        assert!(allowed || !has, "{}", path.display());
    }
}

#[test]
fn nothing_below_the_proxy_does_io() {
    let proxy = LAYERS.iter().position(|layer| *layer == "proxy").unwrap();
    for path in sources().iter().filter(|path| layer(path).is_some_and(|layer| layer < proxy) && !is_test(path)) {
        for line in code(path) {
            for word in IO {
                assert!(!line.contains(word), "{} has {word}: {line}", path.display());
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
        assert!(lines <= LONGEST, "{} has {lines} lines without its tests", path.display());
    }
}
