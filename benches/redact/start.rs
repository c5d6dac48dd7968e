//! How long it takes to be ready.

use crate::measure::{Table, median, seconds};
use expurgate::rule::Ruleset;
use expurgate::scan::Engine;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// From nothing to all packs compiled, and to a proxy that is ready.
pub(crate) fn table() {
    const ROUNDS: usize = 5;
    let read = median((0..ROUNDS).map(|_| seconds(|| drop(black_box(Ruleset::builtin().unwrap())))).collect());
    let ruleset = Arc::new(super::ruleset::builtin());
    let compile = || seconds(|| drop(black_box(Engine::compile(Arc::clone(&ruleset)).unwrap())));
    let compiled = median((0..ROUNDS).map(|_| compile()).collect());
    let (clock, used): (Vec<f64>, Vec<f64>) = (0..ROUNDS).map(|_| until_ready()).unzip();
    let about = format!("All packs, {} rules; medians of {ROUNDS} rounds.", ruleset.rules.len());
    let mut table = Table::new(&about, &["step", "ms"]);
    for (step, seconds) in [
        ("reading the packs (CPU time)", read),
        ("compiling the rules (CPU time)", compiled),
        ("`expurgate run`, from its start until `/readyz` says 200 (CPU time)", median(used)),
        ("the same by the clock, which other programs delay", median(clock)),
    ] {
        table.row(&[step.to_owned(), format!("{:.0}", seconds * 1e3)]);
    }
    table.publish("start");
}

/// A proxy that ends with its owner.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Seconds by the clock, and of the processor.
fn until_ready() -> (f64, f64) {
    const PATIENCE: Duration = Duration::from_secs(60);
    // Bound together, so that they differ.
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [listen, admin] = sockets.map(|socket| socket.local_addr().unwrap());
    let start = Instant::now();
    let mut proxy = Proxy(
        Command::new(env!("CARGO_BIN_EXE_expurgate"))
            .args(["run", "--upstream", "http://127.0.0.1:9", "--listen", &listen.to_string()])
            .args(["--admin", &admin.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    while !is_ready(admin) {
        assert!(start.elapsed() < PATIENCE && proxy.0.try_wait().unwrap().is_none(), "the proxy does not get ready");
        std::thread::sleep(Duration::from_millis(1));
    }
    (start.elapsed().as_secs_f64(), cpu_seconds(proxy.0.id()))
}

/// What the threads of a process have used of the processor.
fn cpu_seconds(process: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let nanoseconds = threads.map(|thread| {
        let text = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        text.split(' ').next().unwrap().parse::<f64>().unwrap()
    });
    nanoseconds.sum::<f64>() / 1e9
}

fn is_ready(admin: SocketAddr) -> bool {
    let mut answer = [0; 12];
    let Ok(mut stream) = TcpStream::connect(admin) else { return false };
    let asked = stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    asked.and_then(|()| stream.read_exact(&mut answer)).is_ok() && answer.ends_with(b" 200")
}
