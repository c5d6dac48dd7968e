//! Rules that change while the real binary serves, as a mounted ConfigMap does.

use crate::mounted::Mounted;
use crate::proxy_client::{Client, chunk, head, request};
use crate::proxy_drain::Running;
use crate::proxy_rig::JSON;
use crate::proxy_sink::{Answer, PATIENCE, Sink};
use rustix::process::Signal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

const FILE: &str = "rules.toml";

/// A directory with a rule file.
fn mounted(rules: &str) -> Mounted {
    Mounted::new(&[(FILE, rules)])
}

/// Rules of which the first finds `testtok_...` as `entity`; so many in all.
pub(crate) fn rules(entity: &str, number: usize) -> String {
    let rule = |index: usize| {
        let prefix = if index == 0 { "testtok".to_owned() } else { format!("othertok{index}") };
        format!(
            "[[rule]]\nid = \"{prefix}\"\nentity = \"{entity}\"\ncategory = \"credential\"\n\
             description = \"A token of the tests\"\npattern = '''\\b{prefix}_[a-z0-9]{{8}}\\b'''\n\
             examples = [\"{prefix}_abcd1234\"]\nnegative_examples = [\"{prefix}_abcd\"]\n\
             references = [\"https://example.com\"]\n"
        )
    };
    (0..number).map(rule).collect()
}

const FIRST: (&str, usize) = ("FIRST_TOKEN", 1);
const SECOND: (&str, usize) = ("SECOND_TOKEN", 2);

/// What cannot be used, for every kind of reason.
fn wrong(kind: usize) -> String {
    let right = rules("WRONG_TOKEN", 1);
    match kind % 5 {
        0 => right.replace("[[rule]]", "[[rule]"),
        1 => right.replace("entity =", "entitty ="),
        2 => right.replace("testtok_abcd1234", "nothing"),
        3 => right.replace("testtok_[a-z0-9]{8}", "[a-z]+"),
        _ => right.replace("testtok_abcd\"", "testtok_abcd1234\""),
    }
}

async fn start(sink: &Sink, rules: &Path) -> Running {
    let path = rules.to_str().unwrap();
    Running::start(sink, &[("EXPURGATE_RULES", path), ("EXPURGATE_RULES_BUILTIN", "false")]).await
}

/// What the metrics say.
pub(crate) async fn metrics(admin: &mut Client) -> String {
    admin.exchange(&request("GET", "/metrics", &[], b"")).await.text().to_owned()
}

pub(crate) async fn wait_for(admin: &mut Client, what: &str, condition: impl Fn(&str) -> bool) {
    let waiting = async {
        while !condition(&metrics(admin).await) {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}: {}", metrics(admin).await);
}

async fn wait_for_rules(admin: &mut Client, number: usize) {
    let rules = format!("rules=\"{number}\"}} 1");
    wait_for(admin, "the new rules are used", |text| text.contains(&rules)).await;
}

fn failures(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("expurgate_ruleset_reloads_total{outcome=\"failure\"} "));
    line.unwrap().parse().unwrap()
}

/// Tokens in each half of a body.
const HALF: usize = 20;

fn half() -> String {
    (0..HALF).map(|index| format!("\"testtok_abcd{index:04}\",")).collect()
}

/// Sends bodies in two halves until told to stop; how many.
async fn load(address: std::net::SocketAddr, over: Arc<AtomicBool>) -> usize {
    let mut client = Client::connect(address).await;
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        client.send(&head("POST", "/", &[JSON, ("transfer-encoding", "chunked")])).await;
        client.send(&chunk(format!("[{}", half()).as_bytes())).await;
        tokio::task::yield_now().await;
        client.send(&chunk(format!("{}0]", half()).as_bytes())).await;
        client.send(&chunk(b"")).await;
        assert_eq!(client.reply().await.status, 200);
        sent += 1;
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_changes_under_load_lose_nothing_and_never_meet_in_one_request() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let mut map = mounted(&rules(FIRST.0, FIRST.1));
    let mut running = start(&sink, map.path()).await;
    let log = running.take_log();
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..3).map(|_| tokio::spawn(load(running.address, Arc::clone(&over)))).collect();
    let mut admin = Client::connect(running.admin).await;
    let mut now = FIRST;
    for change in 1..=1000 {
        if change % 10 == 0 {
            let before = failures(&metrics(&mut admin).await);
            map.set(&[(FILE, &wrong(change / 10))]);
            running.signal(Signal::HUP);
            wait_for(&mut admin, "the wrong rules are refused", |text| failures(text) > before).await;
        } else {
            now = if now == FIRST { SECOND } else { FIRST };
            map.set(&[(FILE, &rules(now.0, now.1))]);
            running.signal(Signal::HUP);
        }
        wait_for_rules(&mut admin, now.1).await;
    }
    over.store(true, Ordering::Relaxed);
    let mut sent = 0;
    for client in clients {
        sent += client.await.unwrap();
    }
    let seen = sink.wait("all requests", |seen| seen.len() == sent && seen.iter().all(|one| one.complete)).await;
    let mut by_rules = [0, 0];
    for one in &seen {
        let body = std::str::from_utf8(&one.body).unwrap();
        let found = [FIRST, SECOND].map(|(entity, _)| body.matches(&format!("\"[{entity}]\"")).count());
        assert!(found == [2 * HALF, 0] || found == [0, 2 * HALF], "{found:?} in {body}");
        by_rules[usize::from(found[0] == 0)] += 1;
    }
    assert!(by_rules[0] > 0 && by_rules[1] > 0, "{by_rules:?}");
    running.signal(Signal::TERM);
    assert_eq!(running.end().await.0, Some(0));
    assert_eq!(log.await.unwrap().matches("the new rules are not used").count(), 100);
}

#[tokio::test]
async fn a_request_keeps_the_rules_that_it_began_with() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let mut map = mounted(&rules(FIRST.0, FIRST.1));
    let running = start(&sink, map.path()).await;
    let mut admin = Client::connect(running.admin).await;
    let mut client = Client::connect(running.address).await;
    client.send(&head("POST", "/", &[JSON, ("transfer-encoding", "chunked")])).await;
    client.send(&chunk(format!("[{}", half()).as_bytes())).await;
    wait_for(&mut admin, "it has begun", |text| text.contains("expurgate_inflight_requests{route=\"default\"} 1\n"))
        .await;
    map.set(&[(FILE, &rules(SECOND.0, SECOND.1))]);
    // Nobody is told: the change is seen.
    wait_for_rules(&mut admin, SECOND.1).await;
    client.send(&chunk(format!("{}0]", half()).as_bytes())).await;
    client.send(&chunk(b"")).await;
    assert_eq!(client.reply().await.status, 200);
    client.exchange(&request("POST", "/", &[JSON], b"[\"testtok_abcd1234\"]")).await;
    let seen = sink.wait("two requests", |seen| seen.len() == 2 && seen[1].complete).await;
    let body = std::str::from_utf8(&seen[0].body).unwrap();
    assert_eq!(body.matches("[FIRST_TOKEN]").count(), 2 * HALF, "{body}");
    assert_eq!(seen[1].body, b"[\"[SECOND_TOKEN]\"]");
}

/// The next line of the log at level `ERROR`.
pub(crate) async fn next_error(running: &mut Running) -> serde_json::Value {
    next_line(running, |line| line["level"] == "ERROR").await
}

/// The next line of the log that is wanted.
pub(crate) async fn next_line(running: &mut Running, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    let log = running.log.as_mut().unwrap();
    let telling = async {
        loop {
            let line = log.next_line().await.unwrap().expect("it goes on");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if wanted(&line) {
                return line;
            }
        }
    };
    tokio::time::timeout(PATIENCE, telling).await.expect("it is told")
}

#[tokio::test]
async fn wrong_rules_are_told_with_their_place_and_the_old_ones_stay() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let mut map = mounted(&rules(FIRST.0, FIRST.1));
    let mut running = start(&sink, map.path()).await;
    map.set(&[(FILE, &wrong(1))]);
    let line = next_error(&mut running).await;
    assert_eq!(line["message"], "the new rules are not used; the old ones stay");
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("rules.toml:3:") && error.contains("entitty"), "{error}");
    let mut client = Client::connect(running.address).await;
    client.exchange(&request("POST", "/", &[JSON], b"[\"testtok_abcd1234\"]")).await;
    assert_eq!(sink.only().await.body, b"[\"[FIRST_TOKEN]\"]");
}

#[tokio::test]
async fn a_file_that_is_emptied_to_be_written_anew_keeps_its_rules_until_it_is_full() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("rules.toml");
    std::fs::write(&file, rules(FIRST.0, FIRST.1)).unwrap();
    let running = start(&sink, folder.path()).await;
    let mut admin = Client::connect(running.admin).await;
    std::fs::write(&file, "").unwrap();
    wait_for(&mut admin, "the empty file is refused", |text| failures(text) == 1).await;
    wait_for_rules(&mut admin, FIRST.1).await;
    let mut client = Client::connect(running.address).await;
    client.exchange(&request("POST", "/", &[JSON], b"[\"testtok_abcd1234\"]")).await;
    assert_eq!(sink.only().await.body, b"[\"[FIRST_TOKEN]\"]");
    std::fs::write(&file, rules(SECOND.0, SECOND.1)).unwrap();
    wait_for_rules(&mut admin, SECOND.1).await;
    // Told that this is meant.
    std::fs::write(&file, "").unwrap();
    running.signal(Signal::HUP);
    wait_for_rules(&mut admin, 0).await;
}

#[tokio::test]
async fn new_rules_are_used_while_files_beside_them_change_without_end() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let mut map = mounted(&rules(FIRST.0, FIRST.1));
    let running = start(&sink, map.path()).await;
    let mut admin = Client::connect(running.admin).await;
    let beside = [".hidden.toml", "access.log"].map(|name| map.path().join(name));
    let noise = tokio::spawn(async move {
        let mut often = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            often.tick().await;
            beside.iter().for_each(|file| std::fs::write(file, "noise").unwrap());
        }
    });
    map.set(&[(FILE, &rules(SECOND.0, SECOND.1))]);
    wait_for_rules(&mut admin, SECOND.1).await;
    noise.abort();
}
