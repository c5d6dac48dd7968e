//! In-process redaction beside what bounds it: a streaming memcpy, and the raw
//! Hyperscan scan for the literals of all rules.
//!
//! ```text
//! cargo bench --bench redact [-- CASE]
//! cargo bench --bench redact -- --profile CASE     # nothing but the redactor
//! ```
//!
//! Every case states how many findings it must give; a wrong count fails the
//! run. The variants of a case run in turn, round after round, so that a noisy
//! machine hits them alike; the medians are printed, and their ratios.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, reason = "a program for a terminal")]

use bytes::Bytes;
use expurgate::redact::{Format, Plan, Policy, Redactor};
use expurgate::rule::Ruleset;
use expurgate::scan::Engine;
use rustix::time::{ClockId, clock_gettime};
use std::hint::black_box;
use std::sync::Arc;

/// Bytes per chunk, as a socket gives them at best.
const CHUNK: usize = 64 << 10;
const ROUNDS: usize = 9;

/// A document and what must be found in it.
struct Case {
    name: &'static str,
    data: Bytes,
    findings: u64,
}

fn main() {
    let wanted = std::env::args().nth(1).filter(|arg| !arg.starts_with('-'));
    if let Some(name) = std::env::args().skip_while(|arg| arg != "--profile").nth(1) {
        return profile(&name);
    }
    let engine = Arc::new(Engine::compile(Arc::new(Ruleset::builtin().unwrap())).unwrap());
    let plan = Arc::new(Plan::new(Arc::clone(&engine), &Policy::default()));
    let rules = engine.ruleset().rules.iter().filter(|rule| rule.enabled).count();
    println!("{rules} rules, {} KiB chunks, medians of {ROUNDS} rounds, GB/s\n", CHUNK >> 10);
    println!("| case | MB | findings | memcpy | literals | redact | of memcpy | of literals |");
    println!("|---|---|---|---|---|---|---|---|");
    for case in cases().iter().filter(|case| wanted.as_deref().is_none_or(|wanted| case.name == wanted)) {
        measure(case, &engine, &plan);
    }
}

/// Redacts one case over and over, for a profiler to look at.
fn profile(name: &str) {
    let engine = Arc::new(Engine::compile(Arc::new(Ruleset::builtin().unwrap())).unwrap());
    let plan = Arc::new(Plan::new(Arc::clone(&engine), &Policy::default()));
    let case = cases().into_iter().find(|case| case.name == name).unwrap();
    for _ in 0..40 {
        black_box(redact(&plan, &case.data));
    }
}

fn measure(case: &Case, engine: &Engine, plan: &Arc<Plan>) {
    let mut times: [Vec<f64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(seconds(|| copy(&case.data)));
        times[1].push(seconds(|| literals(engine, &case.data)));
        times[2].push(seconds(|| {
            let found = redact(plan, &case.data);
            assert_eq!(found, case.findings, "{}", case.name);
        }));
    }
    let speed = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        case.data.len() as f64 / times[ROUNDS / 2] / 1e9
    });
    println!(
        "| {} | {:.1} | {} | {:.2} | {:.2} | {:.3} | {:.3} | {:.3} |",
        case.name,
        case.data.len() as f64 / 1e6,
        case.findings,
        speed[0],
        speed[1],
        speed[2],
        speed[2] / speed[0],
        speed[2] / speed[1],
    );
}

/// Of the processor, not of the clock: other programs share the machine.
fn seconds(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let start = now();
    work();
    now() - start
}

/// What a proxy that does nothing but copy would do.
fn copy(data: &[u8]) {
    let mut buffer = vec![0; CHUNK];
    for chunk in data.chunks(CHUNK) {
        buffer[..chunk.len()].copy_from_slice(chunk);
        black_box(&mut buffer);
    }
}

fn literals(engine: &Engine, data: &[u8]) {
    for chunk in data.chunks(CHUNK) {
        black_box(engine.count_literals(chunk).unwrap());
    }
}

fn redact(plan: &Arc<Plan>, data: &Bytes) -> u64 {
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

const SIZE: usize = 16 << 20;

fn cases() -> Vec<Case> {
    let mut cases = vec![spans("low", 40, 1), spans("high", 1, 1), spans("none", 1, 0), base64()];
    let hostile: [(&'static str, &str, u64); 15] = [
        ("digits", "0123456789", 0),
        ("at", "a@a@a@a@a@", 0),
        ("plus", "+1+1+1+1+1", 0),
        ("dots", "..........a.a.a", 0),
        ("escapes", r"\u0040", 0),
        ("brackets", "[[[[[[[[[[", 0),
        ("passwords", "password ", 0),
        ("tokens", "eyJ-", 0),
        ("mixed", r"a\u0040", 0),
        ("percent", "a%40b.c%40", 0),
        ("backslashes", r"\\", 0),
        ("quotes", r#"\""#, 0),
        ("member-names", r#"\"password\":"#, 0),
        ("schemes", "a://b:", 0),
        ("prefixes", "sk-ant-ghp_AKIA", 0),
    ];
    for (name, unit, findings) in hostile {
        let text = format!("{{\"text\":\"{}\"}}", unit.repeat((4 << 20) / unit.len()));
        cases.push(Case { name, data: Bytes::from(text), findings });
    }
    cases
}

/// Spans of an agent's trace: prose, ids, time stamps, tool arguments as JSON
/// within a string. Every `every`-th of them holds `number` e-mail addresses.
fn spans(name: &'static str, every: usize, number: u64) -> Case {
    let mut text = String::from("{\"batch\":[");
    let mut findings = 0;
    for index in 0.. {
        if text.len() >= SIZE {
            break;
        }
        let secret = if index % every == 0 && number > 0 {
            findings += number;
            format!("agent.user{index}@mail.example.org")
        } else {
            "nobody in particular".to_owned()
        };
        text.push_str(&format!(
            concat!(
                "{{\"id\":\"0192ead0-66b4-77b2-af4a-{:012x}\",\"startTime\":\"2025-11-13T05:30:14.{:06}+00:00\",",
                "\"input\":\"The retrieval step returned three passages; the planner ranked them.\\nAsk {} again.\",",
                "\"arguments\":\"{{\\\"query\\\":\\\"select * from runs\\\",\\\"limit\\\":{}}}\",\"tokens\":{}}},",
            ),
            index,
            index % 1_000_000,
            secret,
            index % 100,
            index % 5000,
        ));
    }
    text.push_str("{}]}");
    Case { name, data: Bytes::from(text), findings }
}

/// Mostly pictures: base64 with no findings in it.
fn base64() -> Case {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut text = String::from("{\"images\":[");
    while text.len() < SIZE {
        text.push_str("{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,");
        for _ in 0..100_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push(char::from(ALPHABET[(state >> 58) as usize]));
        }
        text.push_str("\"}},");
    }
    text.push_str("{}]}");
    Case { name: "base64", data: Bytes::from(text), findings: 0 }
}
