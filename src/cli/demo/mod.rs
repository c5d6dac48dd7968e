//! `expurgate demo`: the whole way once, in one process and half a minute.
//!
//! Client, proxy and upstream run on the loopback interface; what is shown as
//! "after" is what the upstream received.

mod client;
mod compare;
mod payloads;
mod upstream;

use super::table::{Table, stdout_width};
use super::{CliError, Exit, progress, setup};
use crate::config::{Config, Flags, Sources};
use crate::metrics::Metrics;
use crate::rule::{Profile, Ruleset};
use crate::server::Server;
use client::{Client, Load};
use compare::Marks;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use upstream::Upstream;

/// Show the proxy at work with requests of real SDKs.
///
/// Starts the proxy and an upstream on free loopback ports, sends recorded
/// requests with invented data through it, shows what arrived, how fast, and
/// the metrics. Ends by itself within half a minute.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the proxy listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

/// How long requests are sent as fast as they go.
const LOAD_TIME: Duration = Duration::from_secs(3);
const CONNECTIONS: usize = 8;
/// Something hangs if it takes longer.
const LONGEST: Duration = Duration::from_secs(25);

/// Runs the demonstration.
pub(super) fn run(args: &Args) -> Result<Exit, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let demo = async { tokio::time::timeout(LONGEST, demonstrate(args)).await };
    let result = runtime.block_on(demo).unwrap_or_else(|late| Err(failed(io::Error::other(late))));
    runtime.shutdown_background();
    result.map(|()| Exit::Clean)
}

async fn demonstrate(args: &Args) -> Result<(), CliError> {
    let upstream = Upstream::start().await.map_err(failed)?;
    let engine = setup::engine(&Arc::new(Ruleset::builtin()?.in_profile(Profile::Default)))?;
    let server = Server::bind(&config(args, &upstream)?, &engine, Arc::new(Metrics::new())).await?;
    let (proxy, admin) = (server.address().map_err(failed)?, server.admin_address().map_err(failed)?);
    let (stop, stopped) = mpsc::channel(1);
    let serving = tokio::spawn(server.run(stopped));
    let shown = show(proxy, admin, &upstream, engine.ruleset().enabled()).await;
    // The receiver is gone only when serving has ended already.
    let _ = stop.send(()).await;
    shown.map_err(failed)?;
    serving.await.map_err(|error| failed(io::Error::other(error)))
}

fn config(args: &Args, upstream: &Upstream) -> Result<Config, CliError> {
    let flags = Flags {
        listen: Some(args.listen.to_string()),
        admin: Some("127.0.0.1:0".to_owned()),
        upstream: Some(upstream.url()),
        ..Flags::default()
    };
    Ok(Config::load(&Sources { flags, ..Sources::default() })?)
}

async fn show(proxy: SocketAddr, admin: SocketAddr, upstream: &Upstream, rules: usize) -> io::Result<()> {
    let screen = Screen::new();
    let mut client = Client::connect(proxy).await?;
    let mut metrics = Client::connect(admin).await?;
    let title = format!("proxy on http://{proxy}, {rules} rules; upstream on {}", upstream.url());
    screen.print(&format!("{} {title}", screen.bold("Expurgate")))?;
    if !screen.colour {
        screen.print(&Marks::PLAIN.legend())?;
    }
    for payload in payloads::ALL {
        let status = client.send(payload).await?;
        let received = upstream.last();
        let received = String::from_utf8_lossy(&received);
        let head = format!(
            "POST {}  {} bytes sent, {} received, answer {}",
            payload.path,
            payload.body.len(),
            received.len(),
            status.as_u16()
        );
        screen.print(&format!("\n{}\n{head}", screen.bold(payload.sdk)))?;
        screen.print(&screen.comparison(payload.body, &received))?;
    }
    screen.heading("Findings by entity")?;
    screen.print(&findings(&metrics.get("/metrics").await?)?)?;
    screen.heading("Throughput")?;
    screen.print(&throughput(client::load(proxy, CONNECTIONS, LOAD_TIME).await?))?;
    screen.heading(&format!("Metrics (http://{admin}/metrics, in part)"))?;
    screen.print(&excerpt(&metrics.get("/metrics").await?))?;
    screen.heading("Next")?;
    screen.print("make run UPSTREAM=https://api.example.com   # then point your SDK at http://127.0.0.1:8080")
}

/// Where and how things are shown.
struct Screen {
    colour: bool,
    width: usize,
}

impl Screen {
    fn new() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: io::stdout().is_terminal() && !plain, width: stdout_width().unwrap_or(120).clamp(60, 180) }
    }

    fn bold(&self, text: &str) -> String {
        if self.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn heading(&self, text: &str) -> io::Result<()> {
        self.print(&format!("\n{}", self.bold(text)))
    }

    fn print(&self, text: &str) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{}", text.trim_end_matches('\n'))
    }

    fn comparison(&self, before: &str, after: &str) -> String {
        let marks = if self.colour { Marks::COLOUR } else { Marks::PLAIN };
        let width = (self.width - 3) / 2;
        let line = |left: &str, right: &str, cross: &str| format!("{left:<width$}{cross}{right}\n");
        let mut text = line("what the SDK sent", "what the upstream received", " │ ");
        text += &format!("{:─<width$}─┼─{:─<width$}\n", "", "");
        for row in compare::side_by_side(before, after, width, marks) {
            text.push_str(&row);
            text.push('\n');
        }
        text
    }
}

/// The table of findings, from the metrics: what an operator would see.
fn findings(metrics: &str) -> io::Result<String> {
    let mut entities: BTreeMap<&str, u64> = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.starts_with("expurgate_findings_total{")) {
        let entity = line.split("entity=\"").nth(1).and_then(|rest| rest.split('"').next());
        let count = line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok());
        if let (Some(entity), Some(count)) = (entity, count) {
            *entities.entry(entity).or_default() += count;
        }
    }
    let mut sorted: Vec<(&str, u64)> = entities.into_iter().collect();
    sorted.sort_by_key(|&(entity, count)| (std::cmp::Reverse(count), entity));
    let (mut table, mut out) = (Table::new(&["ENTITY", "COUNT", ""], None), Vec::new());
    for (entity, count) in sorted {
        let bar = "■".repeat(usize::try_from(count).unwrap_or(0).min(40));
        table.add(&mut out, &[entity.to_owned(), format!("{count:>5}"), bar])?;
    }
    table.flush(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn throughput(load: Load) -> String {
    let seconds = load.elapsed.as_secs_f64();
    let bytes = u64::try_from(u128::from(load.bytes) * 1000 / load.elapsed.as_millis().max(1)).unwrap_or(0);
    format!(
        "{} requests in {seconds:.1} s over {CONNECTIONS} connections: {} requests/s, {}/s of JSON\n\
         (client, proxy and upstream share this machine and this process)",
        load.requests,
        u128::from(load.requests) * 1000 / load.elapsed.as_millis().max(1),
        progress::size(bytes),
    )
}

/// A few lines of the metrics, as Prometheus gets them.
fn excerpt(metrics: &str) -> String {
    const SHOWN: &[(&str, usize)] = &[
        ("expurgate_requests_total{", 1),
        ("expurgate_findings_total{", 3),
        ("expurgate_received_bytes_total{", 1),
        ("expurgate_scanned_bytes_total{", 1),
        ("expurgate_redaction_duration_seconds_sum", 1),
        ("expurgate_ruleset_info{", 1),
        ("process_resident_memory_bytes", 1),
    ];
    SHOWN.iter().fold(String::new(), |mut text, &(name, most)| {
        for line in metrics.lines().filter(|line| line.starts_with(name)).take(most) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}");
        }
        text
    })
}

fn failed(source: io::Error) -> CliError {
    CliError::Io { what: "the demonstration failed".to_owned(), source }
}
