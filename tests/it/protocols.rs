//! Protocol packs: what they protect in bodies, however those come, and the
//! document that lists them.

use crate::cli::{expurgate, expurgate_with};
use crate::proxy_client::{Client, request};
use crate::proxy_rig::{JSON, Proxy, Rig};
use crate::proxy_sink::{Answer, Sink};
use crate::redactor_rig::plan;
use bytes::Bytes;
use expurgate::redact::{Format, Plan, Policy, Redactor, naive};
use expurgate::rule::protocol::{Pack, Packs, Shape};
use proptest::prelude::*;
use std::fmt::Write;
use std::path::Path;
use std::sync::{Arc, LazyLock};

static PACKS: LazyLock<Packs> = LazyLock::new(|| Packs::builtin().unwrap());

/// The built-in rules with what a pack protects.
fn protecting(pack: &str) -> Arc<Plan> {
    let protected = Arc::clone(&PACKS.find(pack).unwrap().protected);
    Arc::new(Plan::new(Arc::clone(plan().engine()), &Policy { protected, ..Policy::default() }))
}

fn redact(plan: &Arc<Plan>, chunks: &[&[u8]]) -> String {
    let (mut redactor, mut out) = (Redactor::new(plan, Format::Json), Vec::new());
    redactor.scan_every(1);
    for chunk in chunks {
        redactor.push(Bytes::copy_from_slice(chunk), &mut out).unwrap();
    }
    redactor.finish(&mut out).unwrap();
    String::from_utf8(out.concat()).unwrap()
}

fn whole(plan: &Arc<Plan>, body: &str) -> String {
    redact(plan, &[body.as_bytes()])
}

const KEY: &str = "AKIAZ3KQ7VT6XR2MB5NW";
const RANDOM: &str = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds";

fn signed(signature: &str) -> String {
    format!(
        r#"{{"messages": [{{"role": "assistant", "content": [{{"type": "thinking", "signature": "{signature}"}}]}}], "user": "bob@example.com"}}"#
    )
}

#[test]
fn a_protected_field_stays_with_its_pack_and_goes_without() {
    let body = signed(&format!("{RANDOM}/{KEY}+{RANDOM}=="));
    let label = "[AWS_ACCESS_KEY_ID]";
    let kept = body.replace("bob@example.com", "[EMAIL_ADDRESS]");
    assert_eq!(whole(&protecting("anthropic"), &body), kept);
    assert_eq!(whole(&protecting("openai"), &body), kept.replace(KEY, label));
    assert_eq!(whole(plan(), &body), kept.replace(KEY, label));
    // Elsewhere it goes with the pack too.
    let elsewhere = body.replace("signature", "note");
    assert_eq!(whole(&protecting("anthropic"), &elsewhere), kept.replace("signature", "note").replace(KEY, label));
}

#[test]
fn what_does_not_look_like_a_signature_goes_at_its_place_too() {
    let anthropic = protecting("anthropic");
    for signature in [
        "bob@example.com".to_owned(),
        KEY.to_owned(),
        format!("{RANDOM} bob@example.com {RANDOM}"),
        format!("{RANDOM}.{KEY}.{RANDOM}"),
        format!("{RANDOM}-{KEY}+{RANDOM}"),
        "+14155550132".to_owned(),
        format!("tel-{}-+14155550132-or-mail-me-at-home-tomorrow", "call-me-please-".repeat(4)),
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
            .to_owned(),
    ] {
        let body = signed(&signature);
        let redacted = whole(&anthropic, &body);
        assert_eq!(redacted, whole(plan(), &body), "{signature}");
        assert!(!redacted.contains(&signature), "{signature}");
    }
}

/// Bodies of packs, with what of them stays: in long strings, behind escapes, beside
/// the same in other places.
fn bodies() -> Vec<(&'static str, String, &'static str)> {
    let key = "c2709e095337d4835e731f3e91ce980e";
    vec![
        ("anthropic", signed(&format!("{RANDOM}/{KEY}+{RANDOM}==")), KEY),
        ("anthropic", signed(&format!("{}/{KEY}+{}", RANDOM.repeat(20), RANDOM.repeat(8))), KEY),
        ("anthropic", signed(&format!("{RANDOM}\\/{KEY}+{RANDOM}\\u003d\\u003d")), KEY),
        ("anthropic", signed(&format!("{RANDOM} /{KEY}+{}", RANDOM.repeat(5))), ""),
        (
            "posthog",
            r#"{"batch": [{"a": "bob@example.com"}], "api_key": "phc_q8f1o2m3n4b5v6c7x8z9"}"#.to_owned(),
            "phc_q8",
        ),
        ("amplitude", format!(r#"{{"api_key": "{key}", "api_token": "{key}"}}"#), key),
        ("amplitude", format!(r#"{{"api\u005fkey": "{key}", "user": {{"api_key": "{key}"}}}}"#), key),
        ("amplitude", format!(r#"{{"api_key": "{key}0"}}"#), ""),
        ("mixpanel", format!(r#"{{"data": "[{{\"token\": \"{key}\", \"api_token\": \"{key}\"}}]"}}"#), key),
        ("mixpanel", format!(r#"{{"other": "[{{\"token\": \"{key}\"}}]"}}"#), ""),
        ("datadog", r#"[["a"], [[[0, 0, 4111111111111111, "4111111111111111 "]], [4111111111111111]]]"#.to_owned(), ""),
    ]
}

#[test]
fn a_protected_field_stays_once_and_at_every_split() {
    for (pack, body, stays) in bodies() {
        let plan = protecting(pack);
        let expected = whole(&plan, &body);
        let without = whole(crate::redactor_rig::plan(), &body);
        match stays {
            "" => assert_eq!(expected, without, "{pack}"),
            _ => assert_eq!(expected.matches(stays).count(), 1, "{pack}: {expected}"),
        }
        for cut in 0..=body.len() {
            let (before, behind) = body.as_bytes().split_at(cut);
            assert_eq!(redact(&plan, &[before, behind]), expected, "{pack} cut at {cut}: {body}");
        }
        let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        assert_eq!(redact(&plan, &bytes), expected, "{pack}: {body}");
        assert_eq!(whole(&plan, &expected), expected, "{pack} again: {body}");
        let oracle = naive::redact(&plan, Format::Json, body.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(oracle).unwrap(), expected, "{pack}: {body}");
    }
}

#[test]
fn a_large_picture_stays_whatever_stands_in_it() {
    let plan = protecting("openai");
    let data = format!("{RANDOM}/{KEY}+").repeat(20_000);
    let body = format!(
        r#"{{"messages": [{{"content": [{{"image_url": {{"url": "data:image/png;base64,{data}"}}}}]}}], "user": "bob@example.com"}}"#
    );
    let expected = body.replace("bob@example.com", "[EMAIL_ADDRESS]");
    for step in [1000, 16 << 10, 100_000, body.len()] {
        let chunks: Vec<&[u8]> = body.as_bytes().chunks(step).collect();
        assert!(redact(&plan, &chunks) == expected, "{step}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_scanner_and_the_oracle_protect_the_same_however_it_is_cut(
        parts in prop::collection::vec(prop_oneof![
            Just(KEY), Just(RANDOM), Just("/"), Just("+"), Just("-"), Just("="), Just("\\/"), Just("\\u003d"),
            Just(" "), Just("bob@example.com"), Just("phc_q8f1o2m3n4b5"), Just("\\\""), Just("data:image/png;base64,"),
            Just("c2709e095337d4835e731f3e91ce980e"), Just("+14155550132"), Just("\u{e9}"), Just("\\\\n"),
        ], 0..12),
        cuts in prop::collection::vec(0_usize..2000, 0..6),
        pack in prop_oneof![Just("anthropic"), Just("amplitude"), Just("posthog"), Just("mixpanel")],
    ) {
        static PLANS: LazyLock<Vec<(&str, Arc<Plan>)>> = LazyLock::new(|| {
            ["anthropic", "amplitude", "posthog", "mixpanel"].map(|pack| (pack, protecting(pack))).to_vec()
        });
        let plan = &PLANS.iter().find(|(name, _)| *name == pack).unwrap().1;
        let text = parts.concat();
        let body = format!(
            r#"{{"api_key": "{text}", "data": "{{\"token\": \"{text}\"}}", "messages": [{{"content": [{{"signature": "{text}"}}]}}]}}"#
        );
        let expected = String::from_utf8(naive::redact(plan, Format::Json, body.as_bytes()).unwrap()).unwrap();
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (body.len() + 1)).collect();
        cuts.sort_unstable();
        let (mut chunks, mut from) = (Vec::new(), 0);
        for cut in cuts.into_iter().chain([body.len()]) {
            chunks.push(&body.as_bytes()[from..cut]);
            from = cut;
        }
        prop_assert_eq!(redact(plan, &chunks), expected);
    }
}

/// What of a pack stands in the table of the document.
fn row(pack: &Pack) -> String {
    let upstream = match (&pack.upstream, &pack.upstream_hint) {
        (Some(upstream), _) => format!("`{upstream}`"),
        (None, hint) => format!("*{}*", hint.as_deref().unwrap_or_default()),
    };
    let set: Vec<String> = pack
        .environment
        .iter()
        .map(|one| {
            let sdk = one.sdk.as_ref().map_or_else(String::new, |sdk| format!(" ({sdk})"));
            let only = if one.if_set { " (where it is set)" } else { "" };
            format!("`{}={}`{sdk}{only}", one.name, one.value)
        })
        .collect();
    let mut keeps: Vec<String> = pack
        .protected
        .iter()
        .map(|one| match one.shape {
            Shape::Base64 => format!("{} (base64)", one.reason),
            Shape::Pattern(_) => one.reason.clone(),
        })
        .collect();
    keeps.dedup();
    let note = pack.note.as_ref().map_or_else(String::new, |note| format!(". {note}"));
    let cells = [format!("`{}`", pack.name), upstream + &note, set.join(", "), keeps.join("; ")];
    format!("| {} |", cells.join(" | "))
}

/// `UPDATE_DOCS=1` writes it.
#[test]
fn the_document_lists_every_pack() {
    let mut table = "| pack | upstream | set | what stays |\n|---|---|---|---|\n".to_owned();
    PACKS.iter().for_each(|pack| writeln!(table, "{}", row(pack)).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocols.md");
    let written = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = written.split_once("<!-- table -->\n").unwrap();
    let (_, behind) = rest.split_once("<!-- end -->").unwrap();
    let document = format!("{before}<!-- table -->\n{table}<!-- end -->{behind}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &document).unwrap();
        return;
    }
    assert!(written == document, "docs/protocols.md is not up to date: run this test with UPDATE_DOCS=1");
}

#[test]
fn every_pack_says_where_it_is_documented_and_how_an_sdk_is_pointed_at_it() {
    for pack in PACKS.iter() {
        assert!(!pack.environment.is_empty(), "{}", pack.name);
        assert!(pack.references.iter().all(|reference| reference.starts_with("https://")), "{}", pack.name);
        assert!(pack.upstream.as_ref().is_none_or(|upstream| upstream.parse::<expurgate::config::Upstream>().is_ok()));
    }
}

/// A signature, and the project's key of Amplitude, in one body.
fn both() -> String {
    let signed = signed(&format!("{RANDOM}/{KEY}+{RANDOM}=="));
    signed.replace("\"user\"", "\"api_key\": \"c2709e095337d4835e731f3e91ce980e\", \"user\"")
}

#[tokio::test]
async fn each_route_protects_what_its_own_pack_says() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let route = |name: &str, protocol: &str| {
        let upstream = sink.address;
        format!(
            "[[route]]\nname = '{name}'\npath = '/{name}'\nupstream = 'http://{upstream}'\nprotocol = '{protocol}'\n"
        )
    };
    let routes = [("a", "anthropic"), ("b", "amplitude"), ("c", "auto")];
    let configuration: String = routes.iter().map(|(name, protocol)| route(name, protocol)).collect();
    let proxy = Proxy::start(&configuration, "").await;
    let body = both();
    for (name, protocol) in routes {
        let sent = request("POST", &format!("/{name}"), &[JSON], body.as_bytes());
        assert_eq!(Client::connect(proxy.address).await.exchange(&sent).await.status, 200);
        let seen = String::from_utf8(sink.seen().pop().unwrap().body).unwrap();
        let expected = if protocol == "auto" { whole(plan(), &body) } else { whole(&protecting(protocol), &body) };
        assert_eq!(seen, expected, "{protocol}");
        assert_eq!(seen.contains(KEY), protocol == "anthropic");
        assert_eq!(seen.contains("c2709e095337d4835e731f3e91ce980e"), protocol == "amplitude");
    }
}

#[tokio::test]
async fn credentials_in_the_query_stay_where_the_pack_says() {
    for (protocol, name, stays) in [
        ("gemini", "key", true),
        ("sentry", "sentry_key", true),
        ("sentry", "key", false),
        ("openai", "api_key", false),
        ("clickhouse", "password", true),
        ("datadog", "dd-api-key", true),
        ("datadog", "api_key", false),
        ("mixpanel", "api_key", true),
        ("auto", "api_key", true),
    ] {
        let rig = Rig::with(&format!("[[route]]\nprotocol = '{protocol}'\n"), Answer::Ok("ok")).await;
        let target = format!("/?{name}={KEY}&to=bob@example.com");
        let reply = rig.client().await.exchange(&request("POST", &target, &[JSON], b"{}")).await;
        assert_eq!(reply.status, 200);
        let seen = rig.sink.only().await.target;
        assert_eq!(seen.contains(KEY), stays, "{protocol}: {seen}");
        assert!(!seen.contains("bob@"), "{protocol}: {seen}");
    }
}

#[tokio::test]
async fn rows_of_clickhouse_are_read_in_the_format_that_the_query_names() {
    let rig = Rig::with("[[route]]\nprotocol = 'clickhouse'\n", Answer::Ok("ok")).await;
    let rows = "{\"id\": 1, \"api_key\": 4815162342}\n{\"id\": 2, \"mail\": \"bob@example.com\"}\n";
    let form = ("content-type", "application/x-www-form-urlencoded");
    let target = "/?query=INSERT%20INTO%20t%20FORMAT%20JSONEachRow";
    let reply = rig.client().await.exchange(&request("POST", target, &[form], rows.as_bytes())).await;
    assert_eq!(reply.status, 200);
    let seen = rig.sink.seen().pop().unwrap();
    let expected = "{\"id\": 1, \"api_key\": \"[API_KEY]\"}\n{\"id\": 2, \"mail\": \"[EMAIL_ADDRESS]\"}\n";
    assert_eq!((seen.target.as_str(), String::from_utf8(seen.body).unwrap().as_str()), (target, expected));
    for (target, headers, body) in [
        ("/?query=INSERT%20INTO%20t%20FORMAT%20RowBinary", vec![], "\u{3}bob"),
        ("/?query=INSERT%20INTO%20t", vec![("x-clickhouse-format", "Native")], "\u{3}bob"),
        ("/", vec![], "INSERT INTO t FORMAT RowBinary \u{3}bob"),
        ("/?query=INSERT%20INTO%20t%20FORMAT%20CSV&decompress=1", vec![], "bob"),
    ] {
        let reply = rig.client().await.exchange(&request("POST", target, &headers, body.as_bytes())).await;
        assert_eq!(reply.status, 415, "{target}");
        assert!(text(&reply.body).contains("send FORMAT JSONEachRow"), "{}", text(&reply.body));
    }
    assert_eq!(rig.sink.seen().len(), 1);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_commands_know_packs_by_flag_variable_and_file() {
    let listed = text(&expurgate(&["protocols", "list"], b"").stdout);
    assert!(PACKS.iter().all(|pack| listed.contains(&pack.title)), "{listed}");
    let shown = expurgate(&["protocols", "show", "openai"], b"").stdout;
    assert_eq!(text(&shown), &*PACKS.find("openai").unwrap().text);
    let unknown = expurgate(&["protocols", "show", "openay"], b"");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("did you mean \"openai\"?"), "{}", text(&unknown.stderr));

    let body = both();
    let kept = whole(&protecting("anthropic"), &body);
    assert_eq!(text(&expurgate(&["redact", "--protocol", "anthropic"], body.as_bytes()).stdout), kept);
    let variable = [("EXPURGATE_PROTOCOL", "anthropic")];
    assert_eq!(text(&expurgate_with(&variable, &["redact"], body.as_bytes()).stdout), kept);
    let explained = text(&expurgate(&["explain", "--protocol", "anthropic"], body.as_bytes()).stdout);
    assert!(explained.contains("the protocol pack of the route protects it: the signature of thinking"), "{explained}");

    let checked = expurgate(&["check", "--protocol", "langsmith"], b"");
    assert!(text(&checked.stdout).starts_with("valid: 1 route, "), "{}", text(&checked.stdout));
    let run = expurgate(&["run", "--protocol", "sentry"], b"");
    assert_eq!(run.status.code(), Some(2));
    assert!(text(&run.stderr).contains("of Sentry, the host of your DSN"), "{}", text(&run.stderr));
}

#[test]
fn a_pack_of_a_file_is_used_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("acme.toml");
    let path = file.to_str().unwrap();
    let pack = "name = 'acme'\ntitle = 'Acme'\nupstream = 'http://127.0.0.1:9'\nreferences = ['https://a.example']\n\
                [[protected]]\npaths = ['/api_key']\npattern = '[0-9a-f]{16}'\ncategories = ['credential']\nreason = 'own'\n\
                [[example]]\nbody = '{\"api_key\": \"9f86d081884c7d65\"}'\nkeeps = ['9f86d081884c7d65']\n";
    std::fs::write(&file, pack).unwrap();
    let body = br#"{"api_key": "9f86d081884c7d65", "mail": "bob@example.com"}"#;
    let args = ["redact", "--protocols", path, "--protocol", "acme"];
    let expected = r#"{"api_key": "9f86d081884c7d65", "mail": "[EMAIL_ADDRESS]"}"#;
    assert_eq!(text(&expurgate(&args, body).stdout), expected);
    let checked = text(&expurgate(&["check", "--protocols", path], b"").stdout);
    assert!(checked.starts_with("valid: ") && checked.trim_end().ends_with(", 1 protocol pack"), "{checked}");

    std::fs::write(&file, pack.replace("[0-9a-f]{16}", "[0-9a-f]{17}")).unwrap();
    for args in [&["check", "--protocols", path][..], &["run", "--protocols", path, "--protocol", "acme"]] {
        let output = expurgate(args, b"");
        assert_eq!(output.status.code(), Some(2));
        let told = text(&output.stdout) + &text(&output.stderr);
        assert!(told.contains("acme.toml:10:1: protocol.acme: `9f86d081884c7d65` must stay"), "{told}");
    }
    std::fs::write(&file, pack.replace("title", "titel")).unwrap();
    let output = expurgate(&["check", "--protocols", path], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("acme.toml:2:1: unknown field `titel`"), "{}", text(&output.stderr));
    let output = expurgate(&["check", "--protocols", "/no/such.toml"], b"");
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
}
