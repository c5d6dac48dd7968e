//! CPU time, medians, and tables.

use rustix::time::{ClockId, clock_gettime};
use std::path::Path;

/// Something to measure.
pub(crate) type Work<'a> = Box<dyn FnMut() + 'a>;

/// The median seconds that each of `works` takes. They run in turn, round after
/// round, so that a noisy machine hits them alike.
pub(crate) fn medians(rounds: usize, mut works: Vec<Work<'_>>) -> Vec<f64> {
    let mut times = vec![Vec::new(); works.len()];
    for _ in 0..rounds {
        for (work, times) in works.iter_mut().zip(&mut times) {
            times.push(seconds(work));
        }
    }
    times.into_iter().map(median).collect()
}

/// Of the processor, not of the clock: other programs share the machine.
pub(crate) fn seconds(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let start = now();
    work();
    now() - start
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A table in Markdown, with a line about what it shows.
pub(crate) struct Table {
    text: String,
}

impl Table {
    pub(crate) fn new(about: &str, titles: &[&str]) -> Self {
        let mut table = Self { text: format!("{about}\n\n") };
        table.row(&titles.iter().map(ToString::to_string).collect::<Vec<_>>());
        table.text += &format!("|{}\n", "---|".repeat(titles.len()));
        table
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        self.text += &format!("| {} |\n", cells.join(" | "));
    }

    /// Prints it, and writes it to `target/bench/NAME.md`, for the documents.
    pub(crate) fn publish(&self, name: &str) {
        println!("{}", self.text);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.md")), &self.text).unwrap();
    }
}

/// `bytes` in `seconds` as a figure with a unit.
pub(crate) fn speed(bytes: usize, seconds: f64) -> String {
    match bytes as f64 / seconds {
        fast if fast >= 1e9 => format!("{:.2} GB/s", fast / 1e9),
        slow if slow >= 1e6 => format!("{:.0} MB/s", slow / 1e6),
        slow => format!("{:.0} KB/s", slow / 1e3),
    }
}
