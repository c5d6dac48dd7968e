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
pub(crate) fn density(name: &str) -> Case {
    match name {
        "low" => spans("low", SIZE, 40),
        "high" => spans("high", SIZE, 1),
        "none" => spans("none", SIZE, usize::MAX),
        "base64" => base64("base64"),
        _ => panic!("no case is called {name}; there are {DENSITIES:?} and those of HOSTILE"),
    }
}

/// Text in base64: spans as of an agent's trace, encoded by themselves. With what
/// is found by rules that look into it; by others that is nothing.
pub(crate) fn encoded() -> [Case; 5] {
    let spans = spans("", SIZE / 2, 10);
    let text = std::str::from_utf8(&spans.data).unwrap();
    let lines: Vec<String> =
        text.split_inclusive("},{").map(|span| format!("{{\"message\":\"{}\"}}", encode(span.as_bytes()))).collect();
    let hostile = |name, unit: &str, findings| {
        let text = format!("{{\"text\":\"{}\"}}", unit.repeat(2 * MB / unit.len()));
        Case { name, data: Bytes::from(text), findings }
    };
    let addresses = "a@b.co ".repeat(850);
    [
        Case { name: "base64-text", data: Bytes::from(format!("[{}]", lines.join(","))), findings: spans.findings },
        // The shortest runs, the longest, the longest full of findings, and such
        // that are of both alphabets with different ends.
        hostile("short-runs", "YSBiIGMgZCBl ", 0),
        hostile("long-runs", &format!("{} ", encode("aGV4IGJ5dGVzIA ".repeat(400).as_bytes())), 0),
        hostile("findings", &format!("{} ", encode(addresses.as_bytes())), (2 * MB / 7935) as u64 * 850),
        hostile("both-alphabets", &format!("{}/{}-", &encode(b"the agent ran ")[..16], "YWdlbnQgcmFu"), 0),
    ]
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// In base64, padded with spaces of the text rather than signs.
fn encode(text: &[u8]) -> String {
    let mut out = String::new();
    for group in text.chunks(3) {
        let bits = [0, 1, 2].iter().fold(0, |bits, &at| bits << 8 | usize::from(*group.get(at).unwrap_or(&b' ')));
        out.extend([18, 12, 6, 0].map(|shift| char::from(ALPHABET[bits >> shift & 63])));
    }
    out
}

/// A text made to cost as much as it can: `unit` over and over, in a string.
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    unit: &'static str,
    bytes: usize,
    /// In a quarter of it, and in all of it.
    findings: [u64; 2],
}

const fn hostile(name: &'static str, unit: &'static str, bytes: usize, findings: [u64; 2]) -> Hostile {
    Hostile { name, unit, bytes, findings }
}

const MB: usize = 1 << 20;
const NONE: [u64; 2] = [0, 0];

pub(crate) const HOSTILE: [Hostile; 35] = [
    hostile("digits", "0123456789", 2 * MB, NONE),
    hostile("groups", "123-4567 ", 2 * MB, NONE),
    hostile("single-digits", "12 3 45 6 ", MB, NONE),
    hostile("pairs", "12 34 5 ", MB, NONE),
    hostile("cards", "4111 1111 ", MB, NONE),
    hostile("at", "a@", 2 * MB, NONE),
    // A candidate at every byte.
    hostile("ats", "@", 2 * MB, NONE),
    hostile("at-dots", "a@b.c", 2 * MB, [104_856, 419_429]),
    hostile("plus", "+1", 2 * MB, NONE),
    hostile("dots", "..........a.a.a", 2 * MB, NONE),
    hostile("escapes", r"\u0040", 2 * MB, NONE),
    hostile("mixed", r"a\u0040", 2 * MB, NONE),
    hostile("percent", "a%40b.c%40", 2 * MB, NONE),
    hostile("backslashes", r"\\", 2 * MB, NONE),
    hostile("quotes", r#"\""#, 2 * MB, NONE),
    hostile("brackets", "[[[[[[[[[[", 2 * MB, NONE),
    hostile("eyJ-", "eyJ-", MB, NONE),
    hostile("eyJ.", "eyJ.", 2 * MB, NONE),
    hostile("sk-", "sk-", MB, NONE),
    hostile("AKIA", "AKIA", 2 * MB, NONE),
    hostile("prefixes", "sk-ant-ghp_AKIA", 2 * MB, NONE),
    hostile("pwd=", "pwd=", MB, [1, 1]),
    hostile("password=", "password=", MB, [1, 1]),
    hostile("password", "password ", MB, NONE),
    hostile("secret:", "secret: ", MB, NONE),
    hostile("bearer", "Bearer ", 2 * MB, NONE),
    hostile("member-names", r#"\"password\":"#, MB, NONE),
    hostile("percent-names", "%22password%22%3A", MB, NONE),
    hostile("names-in-values", "aws_secret_access_key=aws_secret_access_key='", MB, [5825, 23_301]),
    hostile("single-quotes", r#"'pwd':'\"x"#, MB, NONE),
    hostile("hidden", "a\u{200b}@b.co ", MB, [26_214, 104_857]),
    hostile("schemes", "a://b:", MB, NONE),
    hostile("://", "://", MB, NONE),
    hostile("url-users", "postgres://u:p", MB, NONE),
    hostile("begin", r"\n-----BEGIN ", MB, NONE),
];

impl Hostile {
    /// A quarter of it, and all of it.
    pub(crate) fn cases(&self) -> [Case; 2] {
        [(self.bytes / 4, self.findings[0]), (self.bytes, self.findings[1])].map(|(bytes, findings)| {
            let text = format!("{{\"text\":\"{}\"}}", self.unit.repeat(bytes / self.unit.len()));
            Case { name: self.name, data: Bytes::from(text), findings }
        })
    }

    /// The unit, as a cell of a table.
    pub(crate) fn shown(&self) -> String {
        format!("`{}`", self.unit)
    }
}

/// 10 million strings of one byte, and a quarter of them.
pub(crate) fn tiny_strings() -> [Case; 2] {
    [2_500_000, 10_000_000].map(|number| {
        let text = format!("[{}\"a\"]", "\"a\",".repeat(number - 1));
        Case { name: "tiny-strings", data: Bytes::from(text), findings: 0 }
    })
}

/// 100,000 brackets, opened and closed; two of such documents, and eight.
pub(crate) fn nested() -> [Case; 2] {
    [2, 8].map(|number| {
        let document = format!("{}{}\n", "[".repeat(100_000), "]".repeat(100_000));
        Case { name: "nested", data: Bytes::from(document.repeat(number)), findings: 0 }
    })
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
