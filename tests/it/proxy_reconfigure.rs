//! A configuration that changes while the real binary serves, as a mounted ConfigMap
//! does.

use crate::mounted::Mounted;
use crate::proxy_client::{Client, chunk, head, request};
use crate::proxy_drain::Running;
use crate::proxy_reload::{metrics, next_error, next_line, rules, wait_for};
use crate::proxy_rig::JSON;
use crate::proxy_sink::{Answer, Sink};
use crate::tls_rig::{Authority, connect, listener};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::sync::Arc;

const TOKEN: &[u8] = b"[\"testtok_abcd1234\"]";
const REDACTED: &[u8] = b"[\"[TOKEN]\"]";
const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");

/// A configuration file with a file of rules beside it.
struct Files(Mounted);

impl Files {
    /// `keys` are sections, and keys of the route behind them.
    fn new(sink: &Sink, keys: &str) -> Self {
        let mut files = Self(Mounted::new(&[("expurgate.toml", ""), ("rules.toml", "")]));
        files.set(sink, keys);
        files
    }

    fn set(&mut self, sink: &Sink, keys: &str) {
        let (sections, route) = keys.split_once("[[route]]").unwrap_or((keys, ""));
        let rules_file = self.0.file("rules.toml");
        let text = format!(
            "[rules]\nbuiltin = false\npaths = [\"{rules_file}\"]\n{sections}\n\
             [[route]]\nname = \"default\"\nupstream = \"http://{}\"\n{route}",
            sink.address
        );
        self.write(&text);
    }

    fn write(&mut self, text: &str) {
        self.0.set(&[("expurgate.toml", text), ("rules.toml", &rules("TOKEN", 1))]);
    }

    fn path(&self) -> String {
        self.0.file("expurgate.toml")
    }

    async fn start(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Running {
        let path = self.path();
        let arguments = [&["--config", &path], arguments].concat();
        Running::start_with(&arguments, environment).await
    }
}

const LISTEN: &[&str] = &["--listen", "127.0.0.1:0"];

/// Waits until so many configurations were used, and so many refused.
async fn wait_for_reloads(admin: &mut Client, used: u64, refused: u64) {
    let line = |outcome, count| format!("expurgate_config_reloads_total{{outcome=\"{outcome}\"}} {count}\n");
    let lines = [line("success", used), line("failure", refused)];
    wait_for(admin, "the configuration is read again", |text| lines.iter().all(|line| text.contains(line))).await;
}

async fn post(address: SocketAddr, path: &str, kind: (&str, &str), body: &[u8]) -> u16 {
    Client::connect(address).await.exchange(&request("POST", path, &[kind], body)).await.status
}

#[tokio::test]
async fn what_changes_is_in_force_for_the_next_requests() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let mut files = Files::new(&sink, "");
    let running = files.start(LISTEN, &[]).await;
    let (mut admin, mut kept) = (Client::connect(running.admin).await, Client::connect(running.address).await);
    let mut seen = 0;
    // What is posted, the status before and after, and what arrives then.
    let cases: [(&str, _, &[u8], _, &[u8]); 4] = [
        ("[[route]]\npolicy.default = \"remove\"", JSON, TOKEN, (200, 200), b"[\"\"]"),
        ("[[route]]\npass = [\"application/octet-stream\"]", OCTETS, b"\0\x01", (415, 200), b"\0\x01"),
        ("[limits]\nmax_body = \"10B\"", JSON, TOKEN, (200, 413), b""),
        ("[limits]\nbuffer_limit = \"10B\"\nmax_buffered = \"10B\"", JSON, TOKEN, (200, 503), b""),
    ];
    for (number, (keys, kind, body, (before, after), arrives)) in (1..).zip(cases) {
        assert_eq!(post(running.address, "/", kind, body).await, before, "{keys}");
        files.set(&sink, keys);
        // Nobody is told: the change is seen.
        wait_for_reloads(&mut admin, number * 2 - 1, 0).await;
        // On a connection that was there before.
        assert_eq!(kept.exchange(&request("POST", "/", &[kind], body)).await.status, after, "{keys}");
        seen += [before, after].iter().filter(|status| **status == 200).count();
        let all = sink.wait("what was forwarded", |all| all.len() == seen && all.iter().all(|one| one.complete)).await;
        if after == 200 {
            assert_eq!(all.last().unwrap().body, arrives, "{keys}");
        } else {
            // It was not read to its end.
            kept = Client::connect(running.address).await;
        }
        files.set(&sink, "");
        running.signal(Signal::HUP);
        wait_for_reloads(&mut admin, number * 2, 0).await;
    }
}

#[tokio::test]
async fn a_route_is_added_and_one_that_is_gone_is_told_of_no_longer() {
    let (sink, other) = (Sink::start(Answer::Ok("ok")).await, Sink::start(Answer::Ok("ok")).await);
    let mut files = Files::new(&sink, "");
    let running = files.start(LISTEN, &[]).await;
    let mut admin = Client::connect(running.admin).await;
    let open = "expurgate_upstream_connections{route=\"default\",state=\"open\"} 1\n";
    assert_eq!(post(running.address, "/own", JSON, TOKEN).await, 200);
    wait_for(&mut admin, "a kept connection", |text| text.contains(open)).await;
    let added =
        format!("[[route]]\n[[route]]\nname = \"own\"\npath = \"/own\"\nupstream = \"http://{}\"", other.address);
    files.set(&sink, &added);
    wait_for_reloads(&mut admin, 1, 0).await;
    assert_eq!(post(running.address, "/own", JSON, TOKEN).await, 200);
    assert_eq!((sink.only().await.body.as_slice(), other.only().await.body.as_slice()), (REDACTED, REDACTED));
    let told = metrics(&mut admin).await;
    assert!(told.contains("expurgate_inflight_requests{route=\"own\"}"), "{told}");
    // The upstream of the other route is the same still, with its connections.
    assert!(told.contains(open), "{told}");
    assert_eq!(post(running.address, "/", JSON, TOKEN).await, 200);
    assert_eq!(sink.connections(), 1);
    files.set(&sink, "");
    wait_for_reloads(&mut admin, 2, 0).await;
    let is_gauge =
        |line: &str| line.contains("route=\"own\"") && !line.contains("_total") && !line.contains("_seconds");
    wait_for(&mut admin, "its gauges are gone", |text| !text.lines().any(is_gauge)).await;
    let told = metrics(&mut admin).await;
    let count = "expurgate_requests_total{code=\"200\",method=\"POST\",outcome=\"forwarded\",route=\"own\"} 1\n";
    assert!(told.contains(count), "{told}");
    assert_eq!(post(running.address, "/own", JSON, TOKEN).await, 200);
    sink.wait("it is the other's again", |seen| seen.len() == 3).await;
}

#[tokio::test]
async fn a_request_keeps_the_configuration_that_it_began_with() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let no_rate = "[timeouts]\nclient_rate = \"0\"\n";
    let mut files = Files::new(&sink, no_rate);
    let running = files.start(LISTEN, &[]).await;
    let (mut admin, mut client) = (Client::connect(running.admin).await, Client::connect(running.address).await);
    client.send(&head("POST", "/", &[JSON, ("transfer-encoding", "chunked")])).await;
    client.send(&chunk(b"[\"testtok_abcd1234\",")).await;
    let begun = "expurgate_inflight_requests{route=\"default\"} 1\n";
    wait_for(&mut admin, "it has begun", |text| text.contains(begun)).await;
    let keys = "[limits]\nmax_requests = 1\nmax_body = \"30B\"\n[[route]]\npolicy.default = \"remove\"";
    files.set(&sink, &format!("{no_rate}{keys}"));
    wait_for_reloads(&mut admin, 1, 0).await;
    // It counts where the new ones are counted.
    assert_eq!(post(running.address, "/", JSON, TOKEN).await, 503);
    client.send(&chunk(b"\"testtok_abcd1234\"]")).await;
    client.send(&chunk(b"")).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(sink.only().await.body, b"[\"[TOKEN]\",\"[TOKEN]\"]");
    wait_for(&mut admin, "it is over", |text| text.contains(&begun.replace(" 1\n", " 0\n"))).await;
    assert_eq!(post(running.address, "/", JSON, TOKEN).await, 200);
}

#[tokio::test]
async fn more_places_are_for_connections_that_wait() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let mut files = Files::new(&sink, "[limits]\nmax_connections = 1");
    let running = files.start(LISTEN, &[]).await;
    let (mut admin, mut first) = (Client::connect(running.admin).await, Client::connect(running.address).await);
    assert_eq!(first.exchange(&request("POST", "/", &[JSON], TOKEN)).await.status, 200);
    let mut second = Client::connect(running.address).await;
    second.send(&request("POST", "/", &[JSON], TOKEN)).await;
    files.set(&sink, "[limits]\nmax_connections = 2");
    wait_for_reloads(&mut admin, 1, 0).await;
    assert_eq!(second.reply().await.status, 200);
    assert_eq!(first.exchange(&request("POST", "/", &[JSON], TOKEN)).await.status, 200);
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_place_and_the_old_stays() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let own = "[listener]\naddress = \"127.0.0.1:0\"\n";
    let mut files = Files::new(&sink, own);
    let mut running = files.start(&[], &[]).await;
    let mut admin = Client::connect(running.admin).await;
    let route = format!("[[route]]\nupstream = \"http://{}\"\n", sink.address);
    let rules = format!("[rules]\nbuiltin = false\npaths = [\"{}\"]\n", files.0.file("rules.toml"));
    let cases = [
        (format!("{own}[limits]\nmax_requests = = 1\n{route}"), "expurgate.toml:4:16: "),
        (format!("{own}[limits]\nmax_reqests = 1\n{route}"), "expurgate.toml:4:1: "),
        (format!("{own}{route}policy.TOKEM = \"remove\"\n"), "expurgate.toml:5:8: "),
        (
            format!("{own}{}tls.ca = \"/nowhere\"\n", route.replace("http:", "https:")),
            "expurgate.toml:5:1: route \"default\": tls.ca: /nowhere ",
        ),
        (format!("[listener]\naddress = \"127.0.0.1:1\"\n{route}"), "expurgate.toml:2:1: listener.address"),
        (format!("{own}tls.cert = \"a\"\ntls.key = \"b\"\n{route}"), "expurgate.toml:3:5: listener.tls"),
        (format!("[log]\nlevel = \"debug\"\n{own}{route}"), "expurgate.toml:2:1: log.level"),
        ("# to be filled\n".to_owned(), "no upstream"),
    ];
    for (number, (text, wanted)) in (1..).zip(cases) {
        files.write(&format!("{text}{rules}"));
        running.signal(Signal::HUP);
        wait_for_reloads(&mut admin, 0, number).await;
        let line = next_error(&mut running).await;
        assert_eq!(line["message"], "the new configuration is not used; the old one stays");
        let error = line["error"].as_str().unwrap();
        assert!(error.contains(wanted), "{error}");
        assert_eq!(error.contains("restart"), wanted.contains("listener.") || wanted.contains("log."), "{error}");
        assert_eq!(post(running.address, "/", JSON, TOKEN).await, 200, "{text}");
    }
    let seen = sink.wait("all", |seen| seen.iter().filter(|one| one.complete).count() == 8).await;
    assert!(seen.iter().all(|one| one.body == REDACTED));
    files.set(&sink, &format!("{own}[[route]]\npolicy.default = \"remove\""));
    wait_for_reloads(&mut admin, 1, 8).await;
    assert_eq!(post(running.address, "/", JSON, TOKEN).await, 200);
    let seen = sink.wait("one more", |seen| seen.len() == 9 && seen[8].complete).await;
    assert_eq!(seen[8].body, b"[\"\"]");
}

#[tokio::test]
async fn the_log_says_what_is_new_and_that_a_mistake_was_taken_back() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let files = Files::new(&sink, "");
    let mut running = files.start(LISTEN, &[]).await;
    let mut told = async |files: &Files, text: &str| {
        std::fs::write(files.path(), text).unwrap();
        running.signal(Signal::HUP);
        next_line(&mut running, |line| line["message"] != "route").await["message"].as_str().unwrap().to_owned()
    };
    let right = std::fs::read_to_string(files.path()).unwrap();
    assert_eq!(told(&files, &right).await, "the configuration was read again; nothing changed");
    let wrong = told(&files, &format!("{right}pas = []\n")).await;
    assert_eq!(wrong, "the new configuration is not used; the old one stays");
    assert_eq!(told(&files, &right).await, "the configuration is valid again; nothing changed");
    // Of a new configuration only that is told, unless the rules are new too.
    let other = format!("{right}http2 = false\nresponses = true\n");
    assert_eq!(told(&files, &other).await, "a new configuration is in use");
    assert_eq!(told(&files, &other).await, "the configuration was read again; nothing changed");
    let rules_file = files.0.file("rules.toml");
    let two = rules("TOKEN", 2);
    std::fs::write(&rules_file, &two).unwrap();
    assert_eq!(told(&files, &other).await, "new rules are in use");
    std::fs::write(&rules_file, format!("# two\n{two}")).unwrap();
    assert_eq!(told(&files, &other).await, "the rule files were read again; their rules are the same");
}

#[tokio::test]
async fn environment_and_flags_still_win_over_the_file() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let mut files = Files::new(&sink, "");
    let environment = [("EXPURGATE_LIMITS_MAX_BODY", "10B"), ("EXPURGATE_LOG_LEVEL", "info")];
    let running = files.start(&["--listen", "127.0.0.1:0", "--action", "TOKEN=remove"], &environment).await;
    let mut admin = Client::connect(running.admin).await;
    assert_eq!(post(running.address, "/", JSON, TOKEN).await, 413);
    // None of it needs a restart, since none of it counts.
    let keys = "[listener]\naddress = \"127.0.0.1:1\"\n[log]\nlevel = \"debug\"\n[limits]\nmax_body = \"1GiB\"\n\
                max_requests = 5\n[[route]]\npolicy.TOKEN = \"report\"";
    files.set(&sink, keys);
    wait_for_reloads(&mut admin, 1, 0).await;
    assert_eq!(post(running.address, "/", JSON, TOKEN).await, 413);
    assert_eq!(post(running.address, "/?a=testtok_abcd1234", JSON, b"{}").await, 200);
    assert_eq!(sink.only().await.target, "/?a=");
}

#[tokio::test]
async fn new_files_of_certificates_are_used_and_watched() {
    let (sink, authority) = (Sink::start(Answer::Ok("ok")).await, Authority::new());
    let leaves = [authority.issue(0), authority.issue(1), authority.issue(2)];
    let (old, mut new) = (Mounted::new(&leaves[0].files()), Mounted::new(&leaves[1].files()));
    let mut files = Files::new(&sink, &listener(&old));
    let running = files.start(LISTEN, &[]).await;
    let mut admin = Client::connect(running.admin).await;
    let shown = async |number: usize| {
        let config = Arc::new(authority.client(&[], None));
        let client = connect(running.address, &config).await.unwrap();
        let shown = client.stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        assert_eq!(vec![shown], leaves[number].chain());
    };
    shown(0).await;
    files.set(&sink, &listener(&new));
    wait_for_reloads(&mut admin, 1, 0).await;
    shown(1).await;
    new.set(&leaves[2].files());
    let renewed = "expurgate_tls_certificate_reloads_total{outcome=\"success\"} 1\n";
    wait_for(&mut admin, "the new pair is watched", |text| text.contains(renewed)).await;
    shown(2).await;
}

#[tokio::test]
async fn a_drain_ends_well_while_configurations_come() {
    let sink = Sink::start(Answer::Gated("ok")).await;
    let mut files = Files::new(&sink, "");
    let mut running = files.start(LISTEN, &[]).await;
    let log = running.take_log();
    let mut client = Client::connect(running.address).await;
    client.send(&request("POST", "/", &[JSON], TOKEN)).await;
    sink.wait("it has begun", |seen| seen.len() == 1 && seen[0].complete).await;
    let keys = ["[limits]\nmax_requests = 7", "[timeouts]\ndrain_grace = \"1ms\"\nconnect = \"1s\""];
    for round in 0..10 {
        files.set(&sink, keys[round % 2]);
        running.signal(Signal::HUP);
        if round == 4 {
            running.signal(Signal::TERM);
        }
        tokio::task::yield_now().await;
    }
    sink.open_gate();
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(running.end().await.0, Some(0));
    assert!(!log.await.unwrap().contains("panic"));
}
