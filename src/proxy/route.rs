//! Which route a request takes: the longest path prefix wins, and among equal
//! ones a route that names the host.

use super::certificate::Certified;
use super::fields::FieldNames;
use super::path::{KINDS, Reading};
use super::respond::Failure;
use super::upstream::{Upstream, UpstreamError};
use crate::config;
use crate::metrics::{Metrics, RouteMetrics};
use crate::redact::{Plan, Policy, Treatment};
use crate::rule::Category;
use crate::rule::protocol::NamedFormats;
use crate::scan::Engine;
use arc_swap::ArcSwap;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// A route, ready for use.
pub(super) struct Route {
    pub(super) name: String,
    path: Reading,
    /// What servers may take it for.
    readings: [Reading; KINDS],
    pub(super) host: Option<String>,
    pub(super) pass: Arc<[String]>,
    pub(super) media: Arc<[String]>,
    pub(super) headers: FieldNames,
    pub(super) query: bool,
    pub(super) query_allow: Vec<String>,
    pub(super) responses: bool,
    /// Protocols that clients may ask to go on with, unredacted.
    pub(super) upgrades: Vec<String>,
    /// How requests name the format of their body, beside its type.
    pub(super) formats: Option<Arc<NamedFormats>>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) metrics: Arc<RouteMetrics>,
    policy: Policy,
    /// Replaced as a whole when the rules change.
    plans: ArcSwap<Plans>,
}

/// What is done with findings, by where they stand.
pub(super) struct Plans {
    /// In bodies, headers and queries.
    pub(super) body: Arc<Plan>,
    /// In what the upstream knows its client by: credentials are only counted.
    pub(super) needed: Arc<Plan>,
    /// In the path, and in the name of an account that signs: all are only counted.
    pub(super) path: Arc<Plan>,
}

impl Plans {
    fn new(engine: &Arc<Engine>, policy: &Policy) -> Self {
        let plan = |policy: &Policy| Arc::new(Plan::new(Arc::clone(engine), policy));
        let credentials = engine.ruleset().rules.iter().filter(|rule| rule.category == Category::Credential);
        let mut needed = policy.clone();
        needed.entities.extend(credentials.map(|rule| (rule.entity.clone(), Treatment::Report)));
        let path = Policy::always(Treatment::Report);
        Self { body: plan(policy), needed: plan(&needed), path: plan(&path) }
    }
}

impl Route {
    fn new(
        config: &config::Route,
        timeouts: &config::Timeouts,
        engine: &Arc<Engine>,
        metrics: &Metrics,
        before: Option<&Routes>,
    ) -> Result<Self, UpstreamError> {
        let metrics = Arc::new(metrics.route(&config.name));
        let upstream = match before.and_then(|before| before.upstream(config, timeouts)) {
            Some(same) => same,
            None => Arc::new(Upstream::new(config, timeouts, &metrics)?),
        };
        Ok(Self {
            name: config.name.clone(),
            path: Reading::plain(&config.path),
            readings: Reading::all(&config.path),
            host: config.host.clone(),
            pass: config.pass.clone().into(),
            media: config.protocol.as_ref().map(|pack| Arc::clone(&pack.pass)).unwrap_or_default(),
            headers: FieldNames::new(&config.headers),
            query: config.query,
            query_allow: config.query_allow.clone(),
            responses: config.responses,
            upgrades: config.upgrades.clone(),
            formats: config.protocol.as_ref().and_then(|pack| pack.body.clone()),
            upstream,
            metrics,
            policy: config.policy.clone(),
            plans: ArcSwap::from_pointee(Plans::new(engine, &config.policy)),
        })
    }

    /// One for each place, of the rules in use now. A request asks once and
    /// keeps them, so that no two sets of rules meet in it.
    pub(super) fn plans(&self) -> Arc<Plans> {
        self.plans.load_full()
    }
}

/// All routes, in the order in which they are tried.
pub(super) struct Routes(Vec<Arc<Route>>);

impl Routes {
    /// With the upstreams of those that were there `before`, where they are the same.
    pub(super) fn new(
        config: &config::Config,
        engine: &Arc<Engine>,
        metrics: &Metrics,
        before: Option<&Self>,
    ) -> Result<Self, UpstreamError> {
        let mut routes = Vec::with_capacity(config.routes.len());
        for route in &config.routes {
            routes.push(Arc::new(Route::new(route, &config.timeouts, engine, metrics, before)?));
        }
        routes.sort_by_key(|route| (std::cmp::Reverse(route.path.length()), route.host.is_none()));
        Ok(Self(routes))
    }

    /// Requests that begin from now on are redacted by the rules of `engine`.
    pub(super) fn set_rules(&self, engine: &Arc<Engine>) {
        for route in &self.0 {
            route.plans.store(Arc::new(Plans::new(engine, &route.policy)));
        }
    }

    /// They take the place of those that were there `before`, whose upstreams are told
    /// of no longer.
    pub(super) fn succeed(&self, before: &Self) {
        let is_kept = |upstream: &Arc<Upstream>| self.0.iter().any(|route| Arc::ptr_eq(&route.upstream, upstream));
        let old = before.0.iter().map(|route| &route.upstream);
        old.filter(|upstream| !is_kept(upstream)).for_each(|upstream| upstream.breaker.retire());
        self.0.iter().for_each(|route| route.upstream.breaker.show());
    }

    /// The upstream of the route that has the same one, with the same time-outs.
    fn upstream(&self, config: &config::Route, timeouts: &config::Timeouts) -> Option<Arc<Upstream>> {
        let mut upstreams = self.0.iter().map(|route| &route.upstream);
        upstreams.find(|upstream| upstream.is_of(config, timeouts)).cloned()
    }

    /// What is made of files with certificates.
    pub(super) fn certified(&self) -> Vec<Arc<dyn Certified>> {
        self.0.iter().map(|route| route.upstream.certified()).collect()
    }

    /// The route for a host (without port) and a path.
    ///
    /// # Errors
    /// When there is none, or another one for what an upstream may take the path
    /// for.
    pub(super) fn find(&self, host: Option<&str>, path: &str) -> Result<&Arc<Route>, Failure> {
        let written = Reading::plain(path);
        let route = self.first(host, |route| written.has_prefix(&route.path)).ok_or(Failure::NoRoute)?;
        let is_same = |(kind, reading): (usize, Reading)| {
            let other = self.first(host, |route| reading.has_prefix(&route.readings[kind]));
            other.is_some_and(|other| Arc::ptr_eq(other, route))
        };
        let mut others = Reading::others(path).into_iter().flatten().enumerate();
        if others.all(is_same) { Ok(route) } else { Err(Failure::AmbiguousTarget) }
    }

    fn first(&self, host: Option<&str>, path_fits: impl Fn(&Route) -> bool) -> Option<&Arc<Route>> {
        self.0.iter().find(|route| {
            let host_fits = match (&route.host, host) {
                (None, _) => true,
                (Some(wanted), Some(host)) => is_same_host(wanted, host),
                (Some(_), None) => false,
            };
            host_fits && path_fits(route)
        })
    }
}

/// Whether a request's host is the configured one, which is written as the
/// configuration does: an IPv6 address in brackets and as short as can be.
fn is_same_host(wanted: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if wanted.eq_ignore_ascii_case(host) {
        return true;
    }
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let address = address.and_then(|address| address.parse::<Ipv6Addr>().ok());
    address.is_some_and(|address| wanted == format!("[{address}]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};
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
        let sources = Sources { file: Some(("test.toml".to_owned(), file)), ..Sources::default() };
        let config = Config::load(&sources).unwrap();
        let engine = Engine::compile(Arc::new(Ruleset::builtin().unwrap())).unwrap();
        Routes::new(&config, &Arc::new(engine), &Metrics::new(), None).unwrap()
    }

    fn found<'a>(routes: &'a Routes, host: Option<&str>, path: &str) -> Option<&'a str> {
        routes.find(host, path).ok().map(|route| route.name.as_str())
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
    fn a_path_that_may_be_taken_for_one_of_another_route_is_refused() {
        let routes = routes(&[("/", None), ("/api", None), ("/api/v2", Some("a.example")), ("/x%2Fy;z", None)]);
        let found = |host, path| routes.find(host, path).map(|route| route.name.as_str());
        for path in ["//api", "/%61pi", "/api;x", "/api%2fv1", "/x/..;/api", "/%2561pi/x", "/;/api", "/x;/y"] {
            assert_eq!(found(None, path), Err(Failure::AmbiguousTarget), "{path}");
        }
        // Another route, but for another host.
        assert_eq!(found(None, "/api//v2"), Ok("1"));
        assert_eq!(found(Some("a.example"), "/api//v2"), Err(Failure::AmbiguousTarget));
        for (path, route) in [("/api//v1;y/%7Ea", "1"), ("/v1/x%2Fy", "0"), ("/x%2Fy;z/a", "3"), ("/apis;x", "0")] {
            assert_eq!(found(None, path), Ok(route), "{path}");
        }
    }

    #[test]
    fn a_named_host_wins_among_equal_paths() {
        let routes = routes(&[("/", None), ("/", Some("a.example")), ("/b", Some("b"))]);
        assert_eq!(found(&routes, Some("A.example"), "/x"), Some("1"));
        assert_eq!(found(&routes, Some("other"), "/b"), Some("0"));
        assert_eq!(found(&routes, Some("b"), "/b"), Some("2"));
    }

    #[test]
    fn a_host_is_the_same_however_it_is_written() {
        for configured in ["::1", "[::1]", "[0:0::1]"] {
            let routes = routes(&[("/", Some(configured))]);
            for host in ["[::1]", "[0:0:0:0:0:0:0:1]"] {
                assert_eq!(found(&routes, Some(host), "/"), Some("0"), "{configured} {host}");
            }
        }
        let routes = routes(&[("/", Some("A.example."))]);
        assert_eq!(found(&routes, Some("a.example"), "/"), Some("0"));
        assert_eq!(found(&routes, Some("a.example."), "/"), Some("0"));
    }

    #[test]
    fn new_rules_keep_what_the_pack_of_a_route_protects() {
        let file = "[[route]]\nprotocol = \"anthropic\"\n";
        let sources = Sources { file: Some(("test.toml".to_owned(), file.to_owned())), ..Sources::default() };
        let engine = || Arc::new(Engine::compile(Arc::new(Ruleset::from_texts_alone(&[]).unwrap())).unwrap());
        let routes = Routes::new(&Config::load(&sources).unwrap(), &engine(), &Metrics::new(), None).unwrap();
        let protects = || {
            let plans = routes.0[0].plans();
            [&plans.body, &plans.needed, &plans.path].map(|plan| plan.protections().is_some())
        };
        assert_eq!(protects(), [true, true, false]);
        routes.set_rules(&engine());
        assert_eq!(protects(), [true, true, false]);
    }

    #[test]
    fn an_upstream_is_kept_where_all_that_is_said_of_it_is_the_same() {
        let config = |sections: &str, keys: &str| {
            let file = format!("{sections}\n[[route]]\nupstream = \"http://127.0.0.1:1/a\"\n{keys}");
            Config::load(&Sources { file: Some(("test.toml".to_owned(), file)), ..Sources::default() }).unwrap()
        };
        let engine = Arc::new(Engine::compile(Arc::new(Ruleset::from_texts_alone(&[]).unwrap())).unwrap());
        let metrics = Metrics::new();
        let before = Routes::new(&config("", ""), &engine, &metrics, None).unwrap();
        let is_kept = |sections: &str, keys: &str| {
            let routes = Routes::new(&config(sections, keys), &engine, &metrics, Some(&before)).unwrap();
            Arc::ptr_eq(&routes.0[0].upstream, &before.0[0].upstream)
        };
        assert!(is_kept("", "") && is_kept("[timeouts]\nhead = \"1s\"", "pass = [\"image/png\"]\npath = \"/x\""));
        for keys in ["name = \"other\"", "http2 = true", "breaker.failures = 3"] {
            assert!(!is_kept("", keys), "{keys}");
        }
        for key in ["connect", "response_head", "upstream_keep_alive", "upstream_max_age"] {
            assert!(!is_kept(&format!("[timeouts]\n{key} = \"1s\""), ""), "{key}");
        }
        let elsewhere = config("", "").routes.remove(0);
        let elsewhere = config::Route {
            upstream: config::Upstream { base: "/b".to_owned(), ..elsewhere.upstream.clone() },
            ..elsewhere
        };
        assert!(before.upstream(&elsewhere, &config("", "").timeouts).is_none());
    }

    #[test]
    fn no_route_is_found_outside_of_all_prefixes() {
        let routes = routes(&[("/api", None)]);
        assert_eq!(found(&routes, None, "/"), None);
        assert_eq!(routes.find(None, "//api").err(), Some(Failure::NoRoute));
    }
}
