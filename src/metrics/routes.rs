//! Which routes there are, and what is told of those that are gone.
//!
//! Routes come and go with the configuration. A gauge of a route that is gone would
//! tell of it for ever: it goes with the route's last request. Counters stay, so that
//! what was counted last is seen too; of [`REMEMBERED`] routes, so that their number
//! has a bound.

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many routes that are gone keep their counters.
const REMEMBERED: usize = 64;

/// Lets go of what is told of a route.
pub(super) type Forget = Box<dyn Fn(&str) + Send + Sync>;

/// The routes whose metrics are told.
pub(super) struct Routes {
    names: Mutex<Names>,
    gauges: Vec<Forget>,
    counters: Vec<Forget>,
}

#[derive(Default)]
struct Names {
    /// How many [`Named`] there are of each.
    used: HashMap<String, usize>,
    /// Those that are gone, the one that has been so for longest first.
    gone: VecDeque<String>,
}

/// A route is there, until the last of its name is dropped.
pub(super) struct Named {
    name: String,
    routes: Arc<Routes>,
}

impl Routes {
    /// None yet. `gauges` tell of now, `counters` of ever.
    pub(super) fn new(gauges: Vec<Forget>, counters: Vec<Forget>) -> Arc<Self> {
        Arc::new(Self { names: Mutex::default(), gauges, counters })
    }

    /// One is there, whose handles `make` looks up.
    pub(super) fn enter<T>(self: &Arc<Self>, name: &str, make: impl FnOnce(Named) -> T) -> T {
        let mut names = self.names();
        names.gone.retain(|gone| gone != name);
        *names.used.entry(name.to_owned()).or_default() += 1;
        // Under the lock: nobody forgets what is looked up.
        make(Named { name: name.to_owned(), routes: Arc::clone(self) })
    }

    fn leave(&self, name: &str) {
        let mut names = self.names();
        match names.used.get_mut(name) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                names.used.remove(name);
                names.gone.push_back(name.to_owned());
                self.gauges.iter().for_each(|forget| forget(name));
                let oldest = if names.gone.len() > REMEMBERED { names.gone.pop_front() } else { None };
                for forget in &self.counters {
                    oldest.iter().for_each(|name| forget(name));
                }
            }
        }
    }

    /// A panic elsewhere leaves names and counts: still good.
    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.routes.leave(&self.name);
    }
}

/// Lets go of all that `family` tells of a route.
pub(super) fn forget<B>(family: &MetricVec<B>) -> Forget
where
    B: MetricVecBuilder + Send + Sync + 'static,
    MetricVec<B>: Collector + Send + Sync,
{
    let family = family.clone();
    Box::new(move |route| {
        for told in family.collect() {
            for metric in told.get_metric() {
                let labels: HashMap<&str, &str> =
                    metric.get_label().iter().map(|label| (label.name(), label.value())).collect();
                if labels.get("route") == Some(&route) {
                    // It is there: it was told just now.
                    let _ = family.remove(&labels);
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    fn told(metrics: &Metrics, line: &str) -> bool {
        metrics.render().lines().any(|told| told.starts_with(line))
    }

    #[test]
    fn gauges_go_with_the_last_of_a_route_and_counters_stay() {
        let metrics = Metrics::new();
        let (one, other) = (metrics.route("a"), metrics.route("a"));
        let kept = metrics.route("b");
        one.inflight.inc();
        one.received_wire.inc_by(7);
        metrics.findings.with_label_values(&["r", "E", "replace", "a"]).inc();
        let gauge = "expurgate_inflight_requests{route=\"a\"} 1";
        drop(one);
        assert!(told(&metrics, gauge));
        drop(other);
        assert!(!told(&metrics, "expurgate_inflight_requests{route=\"a\"}"));
        assert!(!told(&metrics, "expurgate_upstream_connections{route=\"a\""));
        assert!(!told(&metrics, "expurgate_upstream_circuit_open{route=\"a\"}"));
        let counter = "expurgate_received_bytes_total{layer=\"wire\",route=\"a\"}";
        assert!(told(&metrics, &format!("{counter} 7")));
        assert!(told(&metrics, "expurgate_inflight_requests{route=\"b\"} 0"));
        // It comes back, from nothing.
        let again = metrics.route("a");
        assert!(told(&metrics, "expurgate_inflight_requests{route=\"a\"} 0"));
        again.received_wire.inc();
        assert!(told(&metrics, &format!("{counter} 8")));
        drop((again, kept));
    }

    #[test]
    fn counters_of_so_many_routes_are_remembered_and_no_more() {
        let metrics = Metrics::new();
        let stays = metrics.route("stays");
        for number in 0..REMEMBERED * 3 {
            let route = format!("r{number}");
            metrics.requests.with_label_values(&[&route, "GET", "200", "forwarded"]).inc();
            drop(metrics.route(&route));
        }
        let text = metrics.render();
        let requests = text.lines().filter(|line| line.starts_with("expurgate_requests_total{")).count();
        assert_eq!(requests, REMEMBERED);
        let newest = format!("route=\"r{}\"", REMEMBERED * 3 - 1);
        assert!(text.contains(&newest) && !text.contains("route=\"r0\""), "{text}");
        assert!(text.contains("expurgate_received_bytes_total{layer=\"wire\",route=\"stays\"} 0"));
        drop(stays);
    }
}
