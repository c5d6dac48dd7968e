//! The metrics of the process: those of the crate, but for CPU time, which that counts
//! in whole seconds. A rate over some scrapes would be a square wave.

use prometheus::core::{Collector, Desc};
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Opts};
use rustix::time::{ClockId, clock_gettime};

const CPU: &str = "process_cpu_seconds_total";

pub(super) struct Process(ProcessCollector);

impl Process {
    pub(super) fn new() -> Self {
        Self(ProcessCollector::for_self())
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        self.0.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = self.0.collect();
        families.retain(|family| family.name() != CPU);
        families.extend(cpu().collect());
        families
    }
}

/// Of all threads, those that have ended too, in user and system mode.
fn cpu() -> Counter {
    let options = Opts::new(CPU, "Total user and system CPU time spent in seconds.");
    let counter = Counter::with_opts(options).expect("the name is valid");
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    counter.inc_by(std::time::Duration::try_from(spent).unwrap_or_default().as_secs_f64());
    counter
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn cpu_time_of_less_than_a_second_is_seen() {
        let first = cpu().get();
        let mut last = first;
        while last < first + 0.02 {
            (0..100_000_u64).for_each(|round| _ = black_box(round));
            last = cpu().get();
        }
        assert!(last.fract() > 0.0, "{first} {last}");
        let collected: Vec<_> = Process::new().collect();
        let own: Vec<_> = collected.iter().filter(|family| family.name() == CPU).collect();
        assert_eq!((own.len(), collected.len()), (1, 7));
        assert!(own[0].get_metric()[0].get_counter().get_value() >= last);
    }
}
