//! Log lines on standard error, written by a thread of their own: whoever reads
//! them may be slow, or stuck, and requests must not wait for that. What does not
//! fit is dropped and counted.

use crate::config::{Log, LogFormat, LogLevel};
use prometheus::IntCounter;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Lines that wait to be written.
const WAITING: usize = 4096;
/// How long the process stays for the last lines.
const LAST: Duration = Duration::from_secs(1);

/// Starts logging, and counts the lines that are `dropped`. Whatever the level,
/// libraries log at `info` at most: below that, hyper and rustls may log what
/// passes through them.
///
/// # Errors
/// When the thread cannot be started.
pub(super) fn start(log: Log, dropped: IntCounter) -> io::Result<Flush> {
    let (lines, flush) = Lines::to(io::stderr(), dropped)?;
    let layer = tracing_subscriber::fmt::layer().with_writer(lines);
    let registry = tracing_subscriber::registry().with(filter(log.level));
    match log.format {
        LogFormat::Text => registry.with(layer.with_ansi(false)).init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).init(),
    }
    Ok(flush)
}

fn filter(level: LogLevel) -> Targets {
    let own = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_default(own.min(LevelFilter::INFO)).with_target("expurgate", own)
}

/// Where lines go. Writing one never waits.
#[derive(Clone)]
struct Lines {
    waiting: SyncSender<Line>,
    dropped: IntCounter,
}

enum Line {
    Text(Vec<u8>),
    /// Everything before it has been written then.
    Last(SyncSender<()>),
}

/// Waits, when it is dropped, until the lines are written, if that does not take
/// too long.
pub(super) struct Flush(SyncSender<Line>);

impl Lines {
    fn to(out: impl Write + Send + 'static, dropped: IntCounter) -> io::Result<(Self, Flush)> {
        let (waiting, lines) = sync_channel(WAITING);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || write_all(out, &lines))?;
        Ok((Self { waiting: waiting.clone(), dropped }, Flush(waiting)))
    }
}

fn write_all(mut out: impl Write, lines: &Receiver<Line>) {
    for line in lines {
        match line {
            // Nobody is left to be told that it failed.
            Line::Text(text) => drop(out.write_all(&text)),
            Line::Last(told) => drop(told.try_send(())),
        }
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.waiting.try_send(Line::Text(line.to_vec())).is_err() {
            self.dropped.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let (told, written) = sync_channel(1);
        // Where nothing fits, nobody reads.
        if !matches!(self.0.try_send(Line::Last(told)), Err(TrySendError::Full(_))) {
            let _ = written.recv_timeout(LAST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};
    use tracing::Level;

    #[test]
    fn libraries_never_log_more_than_info() {
        let filter = filter(LogLevel::Trace);
        assert!(filter.would_enable("expurgate::proxy", &Level::TRACE));
        assert!(filter.would_enable("hyper", &Level::INFO));
        for library in ["hyper::proto", "rustls::conn", "tokio", "log"] {
            assert!(!filter.would_enable(library, &Level::DEBUG), "{library}");
        }
    }

    #[test]
    fn a_lower_level_lowers_libraries_too() {
        let filter = filter(LogLevel::Error);
        assert!(!filter.would_enable("hyper", &Level::WARN));
    }

    /// A reader that says what it has read, once it may read.
    struct Gated(Receiver<()>, Sender<Vec<u8>>);

    impl Write for Gated {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // Until the other end is gone.
            let _ = self.0.recv();
            self.1.send(line.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_stuck_costs_lines_and_no_time() {
        let dropped = IntCounter::new("dropped", "for this test").unwrap();
        let (gate, closed) = channel();
        let (read, lines) = channel();
        let (mut writer, flush) = Lines::to(Gated(closed, read), dropped.clone()).unwrap();
        let more = 10;
        for number in 0..WAITING + more {
            writer.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        // One is on its way, if the thread has come so far.
        assert!((more as u64 - 1..=more as u64).contains(&dropped.get()), "{}", dropped.get());
        drop(gate);
        let kept = WAITING + more - usize::try_from(dropped.get()).unwrap();
        for number in 0..kept {
            assert_eq!(lines.recv_timeout(Duration::from_secs(20)).unwrap(), format!("{number}\n").into_bytes());
        }
        writer.write_all(b"last\n").unwrap();
        drop(flush);
        assert_eq!(lines.try_recv().unwrap(), b"last\n");
    }
}
