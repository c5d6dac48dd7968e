//! A progress bar on standard error, where that is a terminal.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Between two drawings, and before the first: short work shows nothing.
const PAUSE: Duration = Duration::from_millis(200);
const WIDTH: u64 = 30;

/// How far the reading has come.
pub(super) struct Progress {
    /// `None` where it is not known.
    total: Option<u64>,
    done: u64,
    started: Instant,
    drawn: Instant,
    /// Whether a bar stands on the screen.
    shown: bool,
    wanted: bool,
}

impl Progress {
    /// A bar for all of `files`; none when the output goes to the terminal too.
    pub(super) fn over(files: &[PathBuf]) -> Self {
        let size = |path: &PathBuf| std::fs::metadata(path).ok().filter(|data| data.is_file()).map(|data| data.len());
        let now = Instant::now();
        Self {
            total: files.iter().map(size).sum(),
            done: 0,
            started: now,
            drawn: now,
            shown: false,
            wanted: std::io::stderr().is_terminal() && !std::io::stdout().is_terminal(),
        }
    }

    /// So many bytes more have been read.
    pub(super) fn add(&mut self, bytes: usize) {
        self.done += bytes as u64;
        if self.wanted && self.drawn.elapsed() >= PAUSE {
            self.drawn = Instant::now();
            self.shown = true;
            let bar = bar(self.done, self.total, self.started.elapsed());
            // Whoever looks at a bar misses nothing without it.
            let _ = write!(std::io::stderr(), "\r\x1b[K{bar}");
        }
    }

    /// Takes the bar away.
    pub(super) fn clear(&mut self) {
        if self.shown {
            self.shown = false;
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn bar(done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
    let speed = format!("{}/s", size(done.saturating_mul(1000) / millis));
    let Some(total) = total.filter(|&total| total > 0) else {
        return format!("{}  {speed}", size(done));
    };
    let done = done.min(total);
    let filled = usize::try_from(done * WIDTH / total).unwrap_or(0);
    let rest = usize::try_from(WIDTH).unwrap_or(0) - filled;
    format!(
        "{}{} {:>3} %  {} of {}  {speed}",
        "━".repeat(filled),
        "─".repeat(rest),
        done * 100 / total,
        size(done),
        size(total)
    )
}

/// `3.2 MB`: powers of 1000, as network tools count.
pub(super) fn size(bytes: u64) -> String {
    let (mut whole, mut tenths, mut unit) = (bytes, 0, 0);
    while whole >= 1000 {
        tenths = whole % 1000 / 100;
        whole /= 1000;
        unit += 1;
    }
    let name = ["B", "kB", "MB", "GB", "TB", "PB", "EB"].get(unit).copied().unwrap_or("EB");
    if unit == 0 || whole >= 100 { format!("{whole} {name}") } else { format!("{whole}.{tenths} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, shown) in
            [(0, "0 B"), (999, "999 B"), (1_234, "1.2 kB"), (345_678, "345 kB"), (7_060_000_000, "7.0 GB")]
        {
            assert_eq!(size(bytes), shown);
        }
    }

    #[test]
    fn a_bar_says_how_much_and_how_fast() {
        let second = Duration::from_secs(1);
        let half = bar(50_000_000, Some(100_000_000), second);
        assert!(half.ends_with(" 50 %  50.0 MB of 100 MB  50.0 MB/s"), "{half}");
        assert_eq!(half.matches('━').count(), 15);
        assert_eq!(bar(5_000, None, second), "5.0 kB  5.0 kB/s");
        assert!(bar(5, Some(0), Duration::ZERO).starts_with("5 B"));
    }
}
