//! The configuration of commands that send nothing anywhere.

use super::build::{DEFAULT_ROUTE, build};
use super::file;
use super::layers::{Sources, merge};
use super::protocol::{no_upstream, of_route, upstream};
use super::types::{Scheme, Upstream};
use super::{Config, ConfigError, Route, Ruleset, UpstreamTls};
use crate::content::{Level, PartRules};
use crate::rule::Profile;
use crate::rule::protocol::Pack;
use crate::scan::Engine;
use std::path::PathBuf;
use std::sync::Arc;

/// A configuration that may lack its upstreams. All else is as valid as in a
/// [`Config`], so that a mistake does not wait for the proxy to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offline {
    /// Has a stand-in for every upstream unless `complete`, and so must not be
    /// served then.
    config: Config,
    /// Whether the routes have their upstreams.
    complete: bool,
    /// What is wrong with that, if the file has routes.
    lacking: Option<ConfigError>,
}

impl Offline {
    /// Reads all layers. Upstreams may be missing from all routes together,
    /// and there may be no route.
    ///
    /// # Errors
    /// The first mistake, with the place where it was made.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut merged = merge(sources)?;
        let routes = &mut merged.file.route;
        // One of several is most likely forgotten: `build` tells which.
        let packs = &merged.packs;
        let has_upstream = |route: &file::Route| upstream(route, of_route(route, packs).as_deref()).is_some();
        let complete = routes.iter().any(has_upstream);
        let mut lacking = None;
        if !complete {
            if let Some((route, source)) = routes.first().zip(merged.source.as_ref()).filter(|_| merged.has_routes) {
                let (name, pack) = (route.name.as_deref().unwrap_or(DEFAULT_ROUTE), of_route(route, packs));
                lacking = Some(ConfigError::at_route(Some(source), 0, no_upstream(name, pack.as_deref())));
            }
            if routes.is_empty() {
                routes.push(file::Route::default());
            }
            for route in routes {
                route.upstream = Some(stand_in(route));
            }
        }
        Ok(Self { config: build(merged, sources.keys)?, complete, lacking })
    }

    /// The whole configuration, if it has its upstreams.
    pub fn complete(&self) -> Option<&Config> {
        self.complete.then_some(&self.config)
    }

    /// Whether each `[[route]]` of the file has its upstream, as the proxy wants it.
    ///
    /// # Errors
    /// When it has none.
    pub fn check_upstreams(&self) -> Result<(), ConfigError> {
        self.lacking.clone().map_or(Ok(()), Err)
    }

    /// Whether the built-in packs are used.
    pub fn builtin_rules(&self) -> bool {
        self.config.builtin_rules
    }

    /// Rule files or directories.
    pub fn rules(&self) -> &[PathBuf] {
        &self.config.rules
    }

    /// Which of the rules are enabled.
    pub fn profile(&self) -> Profile {
        self.config.profile
    }

    /// As in [`Config`].
    pub fn compression(&self) -> Level {
        self.config.compression
    }

    /// As in [`Config`].
    pub fn packs(&self) -> &[Arc<Pack>] {
        &self.config.packs
    }

    /// The routes, whose upstreams may be missing; at least one.
    pub fn routes(&self) -> &[Route] {
        &self.config.routes
    }

    /// As in the proxy, for the parts of a body that goes by this route.
    pub fn part_rules(&self, route: &Route) -> PartRules {
        let formats = route.protocol.as_ref().and_then(|pack| pack.body.clone());
        let media = route.protocol.as_ref().map(|pack| Arc::clone(&pack.pass)).unwrap_or_default();
        let (limit, coding) = (self.config.limits.buffer, self.config.limits.coding());
        PartRules { limit, pass: route.pass.clone().into(), media, formats, coding }
    }

    /// As in [`Config`].
    pub fn ignored(&self) -> &[String] {
        &self.config.ignored
    }

    /// As in [`Config`].
    pub fn warnings(&self) -> &[String] {
        &self.config.warnings
    }

    /// All of it, for messages: it has stand-ins for upstreams.
    pub fn as_written(&self) -> &Config {
        &self.config
    }

    /// As [`Config::check_entities`].
    ///
    /// # Errors
    /// As there.
    pub fn check_entities(&self, ruleset: &Ruleset) -> Result<(), ConfigError> {
        self.config.check_entities(ruleset)
    }

    /// As [`Config::check_actions`].
    ///
    /// # Errors
    /// As there.
    pub fn check_actions(&self, engine: &Arc<Engine>) -> Result<(), ConfigError> {
        self.config.check_actions(engine)
    }

    /// The listener and the routes that bring certificates, to be set up and
    /// thrown away: that shows whether the files are right. The others trust the
    /// system's certificates, which say nothing about the configuration.
    pub fn rehearsal(&self) -> Config {
        let mut config = self.config.clone();
        config.routes.retain(|route| route.tls != UpstreamTls::default());
        config
    }
}

/// An upstream that goes with the route's other keys. RFC 6761, section 6.4,
/// reserves its name to never exist.
fn stand_in(route: &file::Route) -> Upstream {
    let file::Tls { ca, cert, key } = &route.tls;
    let scheme = if ca.is_some() || cert.is_some() || key.is_some() { Scheme::Https } else { Scheme::Http };
    Upstream { scheme, authority: "upstream.invalid".to_owned(), base: String::new() }
}
