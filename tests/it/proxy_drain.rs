//! The real binary: its signals, its exit codes, its log.

use crate::proxy_client::{Client, request};
use crate::proxy_rig::JSON;
use crate::proxy_sink::{Answer, PATIENCE, Sink};
use rustix::process::{Pid, Signal, kill_process};
use std::net::SocketAddr;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

/// Connections are refused as soon as the drain begins.
const SHORT_GRACE: (&str, &str) = ("EXPURGATE_TIMEOUTS_DRAIN_GRACE", "1ms");

pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) log: Option<Lines<BufReader<ChildStderr>>>,
}

fn expurgate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_expurgate"));
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

impl Running {
    pub(crate) async fn start(sink: &Sink, environment: &[(&str, &str)]) -> Self {
        let upstream = format!("http://{}", sink.address);
        Self::start_with(&["--upstream", &upstream, "--listen", "127.0.0.1:0"], environment).await
    }

    /// With these arguments beside those that it always has.
    pub(crate) async fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let always = ["run", "--admin", "127.0.0.1:0", "--log-format", "json"];
        let mut command = expurgate(&[&always[..], arguments].concat());
        let mut child = command.envs(environment.iter().copied()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        loop {
            let line = log.next_line().await.unwrap().expect("it says that it listens");
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            if line["message"] == "listening" {
                let address = |key: &str| line[key].as_str().unwrap().parse().unwrap();
                return Self { child, address: address("address"), admin: address("admin"), log: Some(log) };
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Reads the log to its end meanwhile: who logs much waits for its reader.
    pub(crate) fn take_log(&mut self) -> tokio::task::JoinHandle<String> {
        let log = self.log.take();
        tokio::spawn(rest(log))
    }

    /// The exit code and the rest of the log.
    pub(crate) async fn end(mut self) -> (Option<i32>, String) {
        let ending = async {
            let log = rest(self.log.take()).await;
            (self.child.wait().await.unwrap().code(), log)
        };
        tokio::time::timeout(PATIENCE, ending).await.expect("it ends")
    }
}

async fn rest(log: Option<Lines<BufReader<ChildStderr>>>) -> String {
    let mut text = String::new();
    if let Some(mut log) = log {
        while let Some(line) = log.next_line().await.unwrap() {
            text += &line;
            text.push('\n');
        }
    }
    text
}

async fn wait_until_refused(address: SocketAddr) {
    let waiting = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the listener closes");
}

#[tokio::test]
async fn on_sigterm_requests_in_flight_finish_and_it_exits_with_0() {
    let sink = Sink::start(Answer::Gated("done")).await;
    let running = Running::start(&sink, &[SHORT_GRACE]).await;
    let mut client = Client::connect(running.address).await;
    let mut idle = Client::connect(running.address).await;
    client.send(&request("POST", "/", &[JSON], b"{}")).await;
    sink.only().await;
    running.signal(Signal::TERM);
    wait_until_refused(running.address).await;
    assert_eq!(idle.rest().await.bytes, b"");
    let mut probe = Client::connect(running.admin).await;
    let ready = request("GET", "/readyz", &[], b"");
    assert_eq!(probe.exchange(&ready).await.status, 503);
    sink.open_gate();
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.text()), (200, "done"));
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(running.end().await.0, Some(0));
}

#[tokio::test]
async fn what_does_not_finish_in_the_drain_time_is_aborted() {
    let sink = Sink::start(Answer::Gated("never")).await;
    let running = Running::start(&sink, &[("EXPURGATE_TIMEOUTS_DRAIN", "100ms")]).await;
    let mut client = Client::connect(running.address).await;
    client.send(&request("POST", "/", &[JSON], b"{}")).await;
    sink.only().await;
    running.signal(Signal::INT);
    assert_eq!(client.rest().await.bytes, b"");
    assert_eq!(running.end().await.0, Some(0));
}

#[tokio::test]
async fn a_second_signal_cuts_the_drain_short() {
    let sink = Sink::start(Answer::Gated("never")).await;
    let running = Running::start(&sink, &[("EXPURGATE_TIMEOUTS_DRAIN", "1h"), SHORT_GRACE]).await;
    let mut client = Client::connect(running.address).await;
    client.send(&request("POST", "/", &[JSON], b"{}")).await;
    sink.only().await;
    running.signal(Signal::TERM);
    wait_until_refused(running.address).await;
    running.signal(Signal::TERM);
    assert_eq!(running.end().await.0, Some(0));
}

#[tokio::test]
async fn while_draining_new_requests_are_told_to_try_elsewhere() {
    let sink = Sink::start(Answer::Gated("done")).await;
    let environment = [("EXPURGATE_TIMEOUTS_DRAIN", "1h"), ("EXPURGATE_TIMEOUTS_DRAIN_GRACE", "1h")];
    let running = Running::start(&sink, &environment).await;
    let mut client = Client::connect(running.address).await;
    client.send(&request("POST", "/", &[JSON], b"{}")).await;
    sink.only().await;
    running.signal(Signal::TERM);
    let ready = request("GET", "/readyz", &[], b"");
    while Client::connect(running.admin).await.exchange(&ready).await.status == 200 {}
    let mut late = Client::connect(running.address).await;
    let reply = late.exchange(&request("POST", "/", &[JSON], b"{}")).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "draining"));
    assert_eq!(reply.header("retry-after"), Some("1"));
    assert_eq!(late.rest().await.bytes, b"", "it is closed");
    assert_eq!(sink.seen().len(), 1);
    sink.open_gate();
    assert_eq!(client.reply().await.status, 200);
    running.signal(Signal::TERM);
    assert_eq!(running.end().await.0, Some(0));
}

#[tokio::test]
async fn what_comes_in_the_grace_and_says_nothing_does_not_hold_the_process() {
    let sink = Sink::start(Answer::Ok("ok")).await;
    let environment = [("EXPURGATE_TIMEOUTS_DRAIN", "1h"), ("EXPURGATE_TIMEOUTS_DRAIN_GRACE", "500ms")];
    let running = Running::start(&sink, &environment).await;
    running.signal(Signal::TERM);
    let ready = request("GET", "/readyz", &[], b"");
    while Client::connect(running.admin).await.exchange(&ready).await.status == 200 {}
    let _late = Client::connect(running.address).await;
    assert_eq!(running.end().await.0, Some(0));
}

#[tokio::test]
async fn the_log_has_a_line_per_request_and_nothing_of_its_content() {
    let sink = Sink::start(Answer::Ok("canary-response")).await;
    let running = Running::start(&sink, &[("EXPURGATE_LOG", "trace")]).await;
    let mut client = Client::connect(running.address).await;
    let headers = [JSON, ("x-canary", "canary-header"), ("authorization", "canary")];
    let body = b"{\"canary\": \"body\"}";
    let good = request("POST", "/canary/path?canary=query", &headers, body);
    assert_eq!(client.exchange(&good).await.status, 200);
    let headers = [("content-encoding", "canary-coding")];
    let bad = request("POST", "/canary", &headers, body);
    assert_eq!(client.exchange(&bad).await.status, 415);
    drop(client);
    running.signal(Signal::TERM);
    let (code, log) = running.end().await;
    assert_eq!(code, Some(0));
    assert!(!log.contains("canary"), "{log}");
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &serde_json::Value| line["target"] == "expurgate::access")
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["status"], 200);
    assert_eq!(lines[0]["method"], "POST");
    assert_eq!(lines[0]["received_bytes"], 18);
    assert_eq!(lines[1]["reason"], "unsupported_content_encoding");
}

#[tokio::test]
async fn an_address_in_use_is_an_io_failure() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = ["run", "--upstream", "http://127.0.0.1:1", "--listen", &address];
    let output = expurgate(&arguments).output().await.unwrap();
    assert_eq!(output.status.code(), Some(3));
    let error = String::from_utf8(output.stderr).unwrap();
    let told = format!(
        "cannot listen on {address}: Address already in use; give another with --listen, EXPURGATE_LISTEN, \
         [listener] address, or LISTEN= of make run\n"
    );
    assert!(error.ends_with(&told), "{error}");
}

#[tokio::test]
async fn a_wrong_configuration_ends_run_and_check_with_2() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"[limits]\nmax_bodi = 1\n").unwrap();
    let path = file.path().to_str().unwrap();
    for command in ["run", "check"] {
        let output = expurgate(&[command, "--config", path]).output().await.unwrap();
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(&format!("{path}:2:1: unknown field")), "{error}");
    }
    let missing = expurgate(&["check", "--config", "/nowhere"]).output().await.unwrap();
    assert_eq!(missing.status.code(), Some(3));
}

#[tokio::test]
async fn check_accepts_what_is_valid_and_does_not_listen() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = ["check", "--upstream", "http://127.0.0.1:1", "--listen", &address];
    let output = expurgate(&arguments).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("valid: 1 route, "), "{text}");
}
