//! Documents to redact: plausible ones and hostile ones.

use super::redactor_rig::plan;
use expurgate::rule::Matcher;
use proptest::prelude::*;
use std::fmt::Write;
use std::sync::LazyLock;

/// A JSON document; texts may hold documents themselves.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Literals and numbers, as they are written.
    Plain(&'static str),
    Text(String),
    /// A document in a string.
    Nested(Box<Value>),
    List(Vec<Value>),
    Object(Vec<(String, Value)>),
    /// `{"key": ..., "value": {"stringValue": ...}}`
    Attribute(String, String),
}

/// How freely a writer uses escapes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Style {
    /// Only those that must be.
    Least,
    /// Everything beyond ASCII, and slashes.
    Ascii,
    /// Any character, at random.
    Wild,
}

/// Values that a rule finds whole wherever they stand between spaces: the
/// rules' own examples.
pub(crate) static PLANTED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let rules = plan().engine().ruleset().rules.iter().filter(|rule| rule.enabled && !rule.shadow);
    let whole = rules.filter(|rule| match &rule.matcher {
        Matcher::Pattern(pattern) => !pattern.contains("(?P<secret>") && rule.keywords.is_empty(),
        Matcher::Detector(_) => true,
        Matcher::Key(_) => false,
    });
    let texts = whole.flat_map(|rule| rule.examples.iter().filter(|example| example.finds.is_none()));
    texts.map(|example| example.text.clone()).collect()
});

/// Texts that no rule says anything about.
const HARMLESS: &[&str] = &[
    "the agent ran ",
    "naïve café ",
    "第三章 ",
    "🎉 done ",
    "a/b/c ",
    "C:\\Users\\new\\temp ",
    "\n",
    "\t",
    "\r\n",
    "\"quoted\" ",
    "'x' ",
    "{braces} ",
    "[1, 2] ",
    "2025-01-31T10:20:30.123456+00:00 ",
    "6f9d362e-244a-4ca5-ac48-1fc342d32173 ",
    "\\",
    "\\\\ ",
    "100% ",
    "\u{0} ",
    "\u{7f} ",
    "&lt; ",
    "x = 1; ",
    "1749563440396 ",
    "v1.2.3-rc.1 ",
    "@maria ",
    "\u{feff}",
    "\u{2028} ",
];

/// Pieces of secrets, and what stands around them in bad luck.
const FRAGMENTS: &[&str] = &[
    "@",
    "a@",
    "a@a@",
    "bob@example.com",
    "jane@",
    "example.com",
    ".co",
    "+",
    "+1",
    "00",
    "0044",
    "+44 20 7946 0129",
    "617-555-0110",
    "4111111111111111",
    "4111",
    " 1111",
    "1111",
    "-",
    "5555-5555-5555-4444",
    "DE89",
    "DE89370400440532013000",
    "536-22-8145",
    "-8145",
    "0",
    "1234567890",
    "ghp_",
    "sk-ant-",
    "sk-proj-",
    "eyJ",
    "eyJhbGciOiJIUzI1NiJ9.",
    "AKIA",
    "AKIAQ3EGUW5XRTJ7MVPA",
    "npm_",
    "://",
    "postgres://u:",
    "password",
    "Password=",
    "password: hunter22x",
    "\"password\": \"hunter22x\"",
    "\"password\":",
    "\"api_key\"",
    "\"apiKeys\": [\"",
    "\", \"",
    "\"password\": [",
    "api_key=",
    "secret",
    "token",
    "\"key\": \"db.password\", \"value\": {\"stringValue\": \"q8f1o2m3n4\"}",
    "{\"value\": {\"stringValue\": \"q8f1o2m3n4\"}, \"key\": \"db.password\"",
    "{\"value\":\"q8f1o2m3n4\",\"name\":\"password\"",
    "{'value': 'q8f1o2m3n4', 'key': 'password'}",
    "{\"value\":",
    ", \"key\": \"password\"}",
    "\"value\"",
    "stringValue",
    "bearer ",
    "Bearer q8f1o2m3n4b5v6c7x8z9",
    "Authorization: ",
    "cookie: session=",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "-----BEGIN ",
    "-----",
    "MC4CAQAw",
    "MC4CAQAwBQYDK2VwBCIEIOkLtzqiwn",
    "\\n\" + \n\"",
    "\n> ",
    "\"",
    "\"\"",
    "\\",
    "\\\\",
    "\\\"",
    "\\\\\\\"",
    "\\n",
    "\\\\n",
    "\\u0040",
    "\\u00",
    "\\u0022",
    "\\\\u0022",
    "\\u00e9",
    "\\ud83c\\udf89",
    "\\ud83c",
    "\\udf89",
    "\\/",
    "%40",
    "%2540",
    "%",
    "%25",
    "%2",
    "\n",
    "\r",
    "\t",
    "\0",
    "\u{feff}",
    " ",
    "  ",
    ",",
    ":",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "[EMAIL_ADDRESS]",
    "[PASSWORD]",
    "é",
    "🎉",
    "用户8740@例子.公司",
    "x",
    "X",
    "n",
    "u",
    "_",
    ".",
    "/",
    "?",
    "=",
    "&",
    "<",
    ">",
    "'",
    "`",
    ";",
    "|",
    "null",
    "true",
    "-1.5e3",
    "key",
    "-us12",
    "AzSe",
    "8Q~",
    "T3BlbkFJ",
    "\"a b\"@example.com",
    "://",
    "user:pass@",
    "https://u:q8f1o2m3n4@",
    "cookie",
    "phone",
    "phone: ",
    "call 0",
    "0171 3920091",
    "06.39.98.01.64",
    "(030) 1234567",
    "8 (912) 345-67-89",
    "9876543210",
    "_id=",
    "2024-01-02 ",
    "12 34 ",
    "\"phone\": ",
    "{\"mobile\":\"",
    "\\xe9",
    "\\u00e9",
    "тел",
    "'",
    "\\'",
    "\\\\'",
    "', '",
    "'}",
    "'password': '",
    "'password': 'hunter22x'",
    "'password': \"",
    "\\'password\\': \\'hunter22x\\'",
    "'api_key': b'q8f1o2m3n4'",
    "'token': ['",
    "'pin_code'",
    "None",
    "(",
    ")",
    "\\x27",
    "\\x22",
    "\\u0027",
    "\\u{40}",
    "\\u{1f389}",
    "\\U00000040",
    "\\U0001f389",
    "\\xc3\\xa9",
    "\\xe9",
    "\\x",
    "\\u{",
    "%22",
    "%2522",
    "%22password%22%3A%22hunter22x%22",
    "%27",
    "%E2%80%8B",
    "%EF%BC%A0",
    "\\xe2\\x80\\x8b",
    "\\u{200b}",
    "\\u2060",
    "\\ufeff",
    "\\u00ad",
    "\\uff20",
    "\\uff0b",
    "\u{200d}",
    "\u{2060}",
    "\u{ad}",
    "＋",
    "４１１１",
    "٤١١١",
    "५",
    "bob\u{200b}@example.com",
    "bob＠example.com",
    "4111\u{200b}1111\u{200b}1111\u{200b}1111",
    "４１１１１１１１１１１１１１１１",
    "5３6-22-8145",
    "ghp\u{200b}_",
    "AKIAQ3EG\u{200b}UW5XRTJ7MVPA",
    "+44 20 7946 ０129",
    "%EF%BC%91",
    "\\x40",
    "\u{200b}",
    "４１５",
    "＠",
    "\\u200b",
    "\\uff11",
    "pass\u{200b}word=hunter22x",
    "'pass\\u200bword': 'hunter22x'",
    "Be\u{ad}arer q8f1o2m3n4b5v6c7x8z9",
    "pho\u{2060}ne 0044 20 7946 0129",
    "phone",
    "0044\u{200b}2079460129",
    "-----BEGIN\u{200b} PRIVATE KEY-----",
    "-----BEGIN PRIVATE\\u200b KEY-----",
    "-----E\u{200b}ND PRIVATE KEY-----",
    "MC4C\u{feff}AQAw",
    "\u{fe0f}",
    "\\ufe0f",
    "\u{e0020}",
    "\\udb40\\udc20",
    "\u{2010}",
    "\u{2007}",
    "\\u2011",
    "617\u{2011}555\u{2212}0110",
    "\u{a0}",
    "\\u00a0",
    "\u{202f}",
    "\u{2013}",
    "DE89\u{a0}3704\u{a0}0044\u{a0}0532\u{a0}0130\u{a0}00",
    "password\u{202f}:\u{a0}hunter22x",
    "4111\\u202f1111\\u202f1111\\u202f1111",
    "4111\u{2007}1111 1111\u{2007}1111",
];

/// Bytes that are no text.
const NO_TEXT: &[&[u8]] = &[b"\xff", b"\xc3", b"\xe2\x82", b"\x80", b"\xf0\x9f\x8e", b"\xed\xa0\x80", b"\0\0"];

/// A hostile heap of fragments, written at some nesting level.
pub(crate) fn heap() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        40 => prop::sample::select(FRAGMENTS).prop_map(|text| text.as_bytes().to_vec()),
        6 => prop::sample::select(&**PLANTED).prop_map(String::into_bytes),
        4 => prop::sample::select(HARMLESS).prop_map(|text| text.as_bytes().to_vec()),
        2 => prop::sample::select(NO_TEXT).prop_map(<[u8]>::to_vec),
        2 => "[a-zA-Z0-9@.+_-]{1,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 1..6),
    ];
    let pieces = prop::collection::vec(piece, 1..24).prop_map(|pieces| pieces.concat());
    (pieces, 0_u32..4, any::<u64>(), any::<bool>()).prop_map(|(heap, level, seed, member)| {
        let mut random = Random(seed);
        let mut heap = heap;
        for _ in 0..level {
            heap = escaped(&heap, &mut random);
        }
        match (level, member) {
            (0, _) => heap,
            (_, true) => [b"{\"text\": \"", heap.as_slice(), b"\", \"n\": 1}"].concat(),
            (_, false) => [b"\"", heap.as_slice(), b"\""].concat(),
        }
    })
}

/// As a JSON string writes it, bytes that are no text as they are.
fn escaped(text: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = Vec::new();
    let free = random.below(3) == 0;
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\t' => out.extend(b"\\t"),
            0..0x20 => out.extend(format!("\\u{byte:04x}").into_bytes()),
            0x20..0x7f if free && random.below(8) == 0 => out.extend(format!("\\u{byte:04X}").into_bytes()),
            _ => out.push(byte),
        }
    }
    out
}

/// As [`heap`], quickly, for runs of millions.
pub(crate) fn quick_heap(random: &mut Random) -> Vec<u8> {
    let heap = quick_pieces(random);
    let level = random.below(4);
    within_strings(heap, level, random)
}

/// As [`quick_heap`], with texts in base64 among the pieces.
pub(crate) fn quick_encoded_heap(random: &mut Random) -> Vec<u8> {
    let mut heap = Vec::new();
    for _ in 0..1 + random.below(3) {
        if random.below(2) == 0 {
            heap.extend(quick_pieces(random));
        }
        push_encoded(&mut heap, random);
        heap.extend_from_slice(random.pick(FRAGMENTS).as_bytes());
    }
    let level = random.below(4);
    within_strings(heap, level, random)
}

/// As [`quick_heap`], with something in it that is longer than a scanner looks
/// back, or longer than it looks ahead.
pub(crate) fn quick_long_heap(random: &mut Random) -> Vec<u8> {
    const NAMES: &[&str] = &[
        "\"password\": \"",
        "\"api_key\":\"",
        "{\\\"secret\\\": \\\"",
        "{\\\\\\\"token\\\\\\\":\\\\\\\"",
        "\"key\":\"db.password\",\"value\":{\"stringValue\":\"",
        "'access_token': '",
        "{\"value\":[{\"value\":\"q8f1o2m3n4",
        "{\"value\":\"q8f1o2m3n4\",\"name\":\"password\",\"a\":\"",
        "password=",
    ];
    let level = random.below(3);
    let mut long = within_strings(quick_pieces(random), level, random);
    if random.below(2) == 0 {
        let length = 3 * KIB + random.below(6 * KIB);
        push_escapes(&mut long, length, random);
    } else {
        long.extend_from_slice(random.pick(NAMES).as_bytes());
        let length = 8 * KIB + random.below(2 * KIB);
        match random.below(3) {
            0 => push_escapes(&mut long, length, random),
            _ => push_value(&mut long, length, random),
        }
    }
    long.extend(within_strings(quick_pieces(random), level, random));
    long
}

/// As [`quick_long_heap`], with texts in base64 before and behind, one of which
/// may be as long as is looked at.
pub(crate) fn quick_long_encoded_heap(random: &mut Random) -> Vec<u8> {
    let mut heap = quick_encoded_heap(random);
    if random.below(2) == 0 {
        let filler = [b"the agent ran ".repeat(random.below(430)), quick_pieces(random)].concat();
        heap.extend(base64(&filler, random.below(2) == 0, true).into_bytes());
        heap.extend_from_slice(random.pick(FRAGMENTS).as_bytes());
        heap.extend(b"word ".repeat(random.below(3 * KIB)));
    } else {
        heap.extend(quick_long_heap(random));
    }
    heap.extend(quick_encoded_heap(random));
    heap
}

/// Appends a text in base64, as some writer may write it.
fn push_encoded(out: &mut Vec<u8>, random: &mut Random) {
    let mut text = match random.below(4) {
        0 => quick_pieces(random),
        1 => format!("API_KEY=q8f1o2m3n4b5\nmail={}\n", random.pick(&["bob@example.com", "no"])).into_bytes(),
        2 => br#"{"password": "hunter22x", "n": [4111111111111111], "to": "a@b.co"}"#.to_vec(),
        _ => {
            [random.pick(HARMLESS), &PLANTED[random.below(PLANTED.len())], random.pick(HARMLESS)].concat().into_bytes()
        }
    };
    if random.below(12) == 0 {
        text.truncate(random.below(text.len() + 1));
    }
    let mut written = base64(&text, random.below(3) == 0, random.below(3) > 0);
    match random.below(6) {
        0 => written = written.replace('/', "\\/").replace('=', "\\u003d"),
        1 => written = written.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"),
        2 => written = written.replace('b', "\\u0062").replace('+', "\\u002b"),
        3 => written.truncate(random.below(written.len() + 1)),
        _ => {}
    }
    out.extend(written.into_bytes());
}

/// `text` in base64.
pub(crate) fn base64(text: &[u8], url_safe: bool, padded: bool) -> String {
    let last = if url_safe { "-_" } else { "+/" };
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(last.chars()).collect();
    let bits: String = text.iter().map(|byte| format!("{byte:08b}")).collect();
    let groups = bits.as_bytes().chunks(6).map(|group| format!("{:0<6}", std::str::from_utf8(group).unwrap()));
    let mut written: String = groups.map(|group| alphabet[usize::from_str_radix(&group, 2).unwrap()]).collect();
    while padded && !written.len().is_multiple_of(4) {
        written.push('=');
    }
    written
}

const KIB: usize = 1 << 10;

/// `length` bytes or a few more of escapes, one at the other.
fn push_escapes(out: &mut Vec<u8>, length: usize, random: &mut Random) {
    const ESCAPES: &[&str] = &[
        "\\u0041",
        "\\u0061",
        "\\u0040",
        "\\u00e9",
        "\\\\u0062",
        "\\n",
        "\\\\",
        "\\\\n",
        "\\\"",
        "%41",
        "%2540",
        "\\/",
        "\\ud83c\\udf89",
    ];
    let kinds: Vec<&str> = (0..1 + random.below(3)).map(|_| random.pick(ESCAPES)).collect();
    let end = out.len() + length;
    while out.len() < end {
        out.extend_from_slice(random.pick(&kinds).as_bytes());
    }
}

/// `length` bytes of a value, with an escape or another break here and there.
fn push_value(out: &mut Vec<u8>, length: usize, random: &mut Random) {
    const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/_-";
    const BREAKS: &[&str] = &["\\u0041", "\\/", "\\n", "\\\\n", "%2B", "=", " ", "."];
    let breaks = random.below(3) == 0;
    let end = out.len() + length;
    while out.len() < end {
        match random.below(200) {
            0 if breaks => out.extend_from_slice(random.pick(BREAKS).as_bytes()),
            _ => out.push(ALPHABET[random.below(ALPHABET.len())]),
        }
    }
}

fn quick_pieces(random: &mut Random) -> Vec<u8> {
    let mut heap = Vec::new();
    for _ in 0..1 + random.below(14) {
        match random.below(50) {
            0..38 => heap.extend_from_slice(FRAGMENTS[random.below(FRAGMENTS.len())].as_bytes()),
            38..43 => heap.extend_from_slice(PLANTED[random.below(PLANTED.len())].as_bytes()),
            43..46 => heap.extend_from_slice(HARMLESS[random.below(HARMLESS.len())].as_bytes()),
            46..48 => heap.extend_from_slice(NO_TEXT[random.below(NO_TEXT.len())]),
            48 => heap.push(u8::try_from(random.below(256)).unwrap()),
            _ => {
                const ALPHABET: &[u8] = b"abcXYZ0189@.+_-";
                heap.extend((0..1 + random.below(20)).map(|_| ALPHABET[random.below(ALPHABET.len())]));
            }
        }
    }
    heap
}

/// Written `level` strings deep.
fn within_strings(mut heap: Vec<u8>, level: usize, random: &mut Random) -> Vec<u8> {
    for _ in 0..level {
        heap = escaped(&heap, random);
    }
    match (level, random.below(2)) {
        (0, _) => heap,
        (_, 0) => [b"{\"text\": \"", heap.as_slice(), b"\", \"n\": 1}"].concat(),
        _ => [b"\"", heap.as_slice(), b"\""].concat(),
    }
}

/// Texts with planted values between harmless ones.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let planted = (prop::sample::select(&**PLANTED), prop::sample::select(&[" ", "\n", "\" ", "\t", " | "][..]))
        .prop_map(|(value, apart)| format!("{apart}{value} "));
    let piece = prop_oneof![
        3 => prop::sample::select(HARMLESS).prop_map(str::to_owned),
        2 => planted,
        1 => "[a-z]{1,12} ".prop_map(|word| word),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z]{1,8}".prop_map(|name| name),
        3 => prop::sample::select(&["password", "apiKey", "X-Api-Key", "db.password", "access_token", "token", "api keys", "secret", "ssn", "card_number"][..])
            .prop_map(str::to_owned),
        1 => text(),
    ]
}

/// Documents with texts up to four levels deep.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        8 => text().prop_map(Value::Text),
        2 => prop::sample::select(&["null", "true", "false", "0", "-1.5e3", "4111111111111111", "1749563440396", "4242424242424242"][..])
            .prop_map(Value::Plain),
        1 => (name(), "[a-zA-Z0-9]{0,20}").prop_map(|(key, value)| Value::Attribute(key, value)),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            3 => prop::collection::vec((name(), inner.clone()), 0..4).prop_map(Value::Object),
            2 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            3 => inner.prop_map(|value| Value::Nested(Box::new(value))),
        ]
    })
}

/// Styles of writing, with a seed.
pub(crate) fn style() -> impl Strategy<Value = (Style, u64)> {
    (prop::sample::select(&[Style::Least, Style::Ascii, Style::Wild][..]), any::<u64>())
}

impl Value {
    /// The document as `style` writes it.
    pub(crate) fn write(&self, style: (Style, u64)) -> String {
        self.json(style.0, &mut Random(style.1))
    }

    fn json(&self, style: Style, random: &mut Random) -> String {
        let space = random.pick(&["", "", " ", "\n  "]);
        match self {
            Self::Plain(text) => (*text).to_owned(),
            Self::Text(text) => quoted(text, style, random),
            Self::Nested(value) => {
                let inner = value.json(style, random);
                quoted(&inner, style, random)
            }
            Self::List(values) => {
                let values: Vec<String> = values.iter().map(|value| value.json(style, random)).collect();
                format!("[{}]", values.join(&format!(",{space}")))
            }
            Self::Object(members) => {
                let member = |(name, value): &(String, Self)| {
                    format!("{}:{space}{}", quoted(name, style, random), value.json(style, random))
                };
                let members: Vec<String> = members.iter().map(member).collect();
                format!("{{{}{space}}}", members.join(","))
            }
            Self::Attribute(key, value) => {
                let (key, value) = (quoted(key, style, random), quoted(value, style, random));
                let name = format!("\"key\":{space}{key}");
                let value = format!("\"value\":{space}{{\"stringValue\":{space}{value}}}");
                let [first, second] = if random.below(2) == 0 { [name, value] } else { [value, name] };
                format!("{{{first},{space}{second}}}")
            }
        }
    }
}

fn quoted(text: &str, style: Style, random: &mut Random) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        let code = |out: &mut String, random: &mut Random| {
            for unit in char.encode_utf16(&mut [0; 2]) {
                let written = if random.below(2) == 0 { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") };
                out.push_str(&written);
            }
        };
        match char {
            // Not where it would escape an escape of the text within: units are
            // not read through that (see the README's limits).
            _ if matches!(style, Style::Wild) && !text.contains('\\') && random.below(10) == 0 => {
                code(&mut out, random)
            }
            '"' | '\\' => write!(out, "\\{char}").unwrap(),
            '/' if !matches!(style, Style::Least) => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' => code(&mut out, random),
            _ if !char.is_ascii() && matches!(style, Style::Ascii) => code(&mut out, random),
            _ => out.push(char),
        }
    }
    out.push('"');
    out
}

/// A small generator of numbers that proptest's seed starts.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((word ^ (word >> 31)) >> 33).unwrap() % end.max(1)
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// Up to `most` places within `length`, in order.
    pub(crate) fn cuts(&mut self, length: usize, most: usize) -> Vec<usize> {
        let mut cuts: Vec<usize> = (0..self.below(most + 1)).map(|_| self.below(length + 1)).collect();
        cuts.sort_unstable();
        cuts
    }
}
