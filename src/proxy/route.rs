//! Which route a request takes: the longest path prefix wins, and among equal
//! ones a route that names the host.

use super::upstream::{Upstream, UpstreamError};
use crate::config;
use crate::metrics::{Metrics, RouteMetrics};
use crate::redact::Plan;
use crate::scan::Engine;
use std::sync::Arc;

/// A route, ready for use.
pub(super) struct Route {
    pub(super) name: String,
    path: String,
    pub(super) host: Option<String>,
    pub(super) pass: Vec<String>,
    pub(super) query: bool,
    pub(super) upstream: Upstream,
    pub(super) metrics: Arc<RouteMetrics>,
    plan: Arc<Plan>,
}

impl Route {
    fn new(
        config: &config::Route,
        timeouts: &config::Timeouts,
        engine: &Arc<Engine>,
        metrics: &Metrics,
    ) -> Result<Self, UpstreamError> {
        let metrics = Arc::new(metrics.route(&config.name));
        Ok(Self {
            name: config.name.clone(),
            path: config.path.clone(),
            host: config.host.clone(),
            pass: config.pass.clone(),
            query: config.query,
            upstream: Upstream::new(config, timeouts, &metrics)?,
            metrics,
            plan: Arc::new(Plan::new(Arc::clone(engine), &config.policy)),
        })
    }

    /// The plan that is current now; a request keeps the one it began with.
    pub(super) fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }
}

/// All routes, in the order in which they are tried.
pub(super) struct Routes(Vec<Arc<Route>>);

impl Routes {
    pub(super) fn new(config: &config::Config, engine: &Arc<Engine>, metrics: &Metrics) -> Result<Self, UpstreamError> {
        let mut routes = Vec::with_capacity(config.routes.len());
        for route in &config.routes {
            routes.push(Arc::new(Route::new(route, &config.timeouts, engine, metrics)?));
        }
        routes.sort_by_key(|route| {
            let length = route.path.trim_end_matches('/').len();
            (std::cmp::Reverse(length), route.host.is_none())
        });
        Ok(Self(routes))
    }

    /// The route for a host (without port) and a path.
    pub(super) fn find(&self, host: Option<&str>, path: &str) -> Option<&Arc<Route>> {
        self.0.iter().find(|route| {
            let host_fits = match (&route.host, host) {
                (None, _) => true,
                (Some(wanted), Some(host)) => wanted.eq_ignore_ascii_case(host),
                (Some(_), None) => false,
            };
            host_fits && has_prefix(path, &route.path)
        })
    }
}

/// Whether `prefix` ends where a segment of `path` ends.
fn has_prefix(path: &str, prefix: &str) -> bool {
    let prefix = prefix.trim_end_matches('/');
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Flags, Sources};
    use crate::rule::Ruleset;

    fn routes(places: &[(&str, Option<&str>)]) -> Routes {
        let mut file = String::new();
        for (index, (path, host)) in places.iter().enumerate() {
            file += &format!("[[route]]\nname = \"{index}\"\npath = \"{path}\"\n");
            file += "upstream = \"http://127.0.0.1:1\"\n";
            if let Some(host) = host {
                file += &format!("host = \"{host}\"\n");
            }
        }
        let sources =
            Sources { file: Some(("test.toml".to_owned(), file)), environment: Vec::new(), flags: Flags::default() };
        let config = Config::load(&sources).unwrap();
        let engine = Engine::compile(Arc::new(Ruleset::builtin().unwrap())).unwrap();
        Routes::new(&config, &Arc::new(engine), &Metrics::new()).unwrap()
    }

    fn found<'a>(routes: &'a Routes, host: Option<&str>, path: &str) -> Option<&'a str> {
        routes.find(host, path).map(|route| route.name.as_str())
    }

    #[test]
    fn the_longest_prefix_wins_and_ends_at_a_segment() {
        let routes = routes(&[("/", None), ("/api", None), ("/api/v2/", None)]);
        assert_eq!(found(&routes, None, "/"), Some("0"));
        assert_eq!(found(&routes, None, "/apix"), Some("0"));
        assert_eq!(found(&routes, None, "/api"), Some("1"));
        assert_eq!(found(&routes, None, "/api/v1"), Some("1"));
        assert_eq!(found(&routes, None, "/api/v2"), Some("2"));
        assert_eq!(found(&routes, None, "/api/v2/x"), Some("2"));
    }

    #[test]
    fn a_named_host_wins_among_equal_paths() {
        let routes = routes(&[("/", None), ("/", Some("a.example")), ("/b", Some("b"))]);
        assert_eq!(found(&routes, Some("A.example"), "/x"), Some("1"));
        assert_eq!(found(&routes, Some("other"), "/b"), Some("0"));
        assert_eq!(found(&routes, Some("b"), "/b"), Some("2"));
    }

    #[test]
    fn no_route_is_found_outside_of_all_prefixes() {
        let routes = routes(&[("/api", None)]);
        assert_eq!(found(&routes, None, "/"), None);
    }
}
