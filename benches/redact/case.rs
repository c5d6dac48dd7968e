//! The documents, each with the number of findings in it.

use bytes::Bytes;

/// A document and what must be found in it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) data: Bytes,
    pub(crate) findings: u64,
}

const SIZE: usize = 16 << 20;

/// By how much there is to find.
pub(crate) const DENSITIES: [&str; 4] = ["low", "high", "none", "base64"];

/// The case with this name.
pub(crate) fn density(name: &'static str) -> Case {
    match name {
        "low" => spans(name, SIZE, 40),
        "high" => spans(name, SIZE, 1),
        "none" => spans(name, SIZE, usize::MAX),
        "base64" => base64(name),
        _ => panic!("no case is called {name}; there are {DENSITIES:?} and those of HOSTILE"),
    }
}

/// A text made to cost as much as it can: `unit` over and over, in a string.
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    unit: &'static str,
    bytes: usize,
    /// However often the unit stands there.
    pub(crate) findings: u64,
}

const fn hostile(name: &'static str, unit: &'static str, bytes: usize, findings: u64) -> Hostile {
    Hostile { name, unit, bytes, findings }
}

const MB: usize = 1 << 20;

pub(crate) const HOSTILE: [Hostile; 27] = [
    hostile("digits", "0123456789", 2 * MB, 0),
    hostile("groups", "123-4567 ", 2 * MB, 0),
    hostile("at", "a@", 2 * MB, 0),
    hostile("at-dots", "a@b.c", 2 * MB, 0),
    hostile("plus", "+1", 2 * MB, 0),
    hostile("dots", "..........a.a.a", 2 * MB, 0),
    hostile("escapes", r"\u0040", 2 * MB, 0),
    hostile("mixed", r"a\u0040", 2 * MB, 0),
    hostile("percent", "a%40b.c%40", 2 * MB, 0),
    hostile("backslashes", r"\\", 2 * MB, 0),
    hostile("quotes", r#"\""#, 2 * MB, 0),
    hostile("brackets", "[[[[[[[[[[", 2 * MB, 0),
    hostile("eyJ-", "eyJ-", 2 * MB, 0),
    hostile("eyJ.", "eyJ.", 2 * MB, 0),
    hostile("sk-", "sk-", 2 * MB, 0),
    hostile("AKIA", "AKIA", 2 * MB, 0),
    hostile("prefixes", "sk-ant-ghp_AKIA", 2 * MB, 0),
    hostile("pwd=", "pwd=", MB / 8, 1),
    hostile("password=", "password=", MB / 8, 1),
    hostile("password", "password ", 2 * MB, 0),
    hostile("secret:", "secret: ", 2 * MB, 0),
    hostile("bearer", "Bearer ", 2 * MB, 0),
    hostile("member-names", r#"\"password\":"#, 2 * MB, 0),
    hostile("schemes", "a://b:", 2 * MB, 0),
    hostile("://", "://", 2 * MB, 0),
    hostile("url-users", "postgres://u:p", 2 * MB, 0),
    hostile("begin", r"\n-----BEGIN ", 2 * MB, 0),
];

impl Hostile {
    /// The unit as often as fits into so many quarters of the full size.
    pub(crate) fn case(&self, quarters: usize) -> Case {
        let times = self.bytes * quarters / 4 / self.unit.len();
        let text = format!("{{\"text\":\"{}\"}}", self.unit.repeat(times));
        Case { name: self.name, data: Bytes::from(text), findings: self.findings }
    }

    /// The unit, as a cell of a table.
    pub(crate) fn shown(&self) -> String {
        format!("`{}`", self.unit)
    }
}

/// 10 million strings of one byte.
pub(crate) fn tiny_strings(quarters: usize) -> Case {
    let text = format!("[{}\"a\"]", "\"a\",".repeat(2_500_000 * quarters - 1));
    Case { name: "tiny-strings", data: Bytes::from(text), findings: 0 }
}

/// 100,000 brackets, opened and closed, with 8 of such documents in a row.
pub(crate) fn nested(quarters: usize) -> Case {
    let document = format!("{}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    Case { name: "nested", data: Bytes::from(document.repeat(2 * quarters)), findings: 0 }
}

/// Spans of an agent's trace: prose, ids, time stamps, tool arguments as JSON
/// within a string. Every `every`-th of them, from the first on unless that is
/// out of sight, holds an e-mail address.
fn spans(name: &'static str, size: usize, every: usize) -> Case {
    let mut text = String::from("{\"batch\":[");
    let mut findings = 0;
    for index in 0.. {
        if text.len() >= size {
            break;
        }
        let secret = if every != usize::MAX && index % every == 0 {
            findings += 1;
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
fn base64(name: &'static str) -> Case {
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
    Case { name, data: Bytes::from(text), findings: 0 }
}
