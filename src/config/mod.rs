//! One [`Config`] out of file, environment and flags.
//!
//! Precedence: flags, then environment, then file, then defaults. Everything
//! is parsed into types that can only hold valid values; reading the file and
//! the environment is the caller's.

mod action;
mod build;
mod change;
mod error;
mod file;
mod keys;
mod layers;
mod offline;
mod place;
mod protocol;
mod schema;
mod spec;
mod types;

pub use change::SettingsGone;
pub use error::ConfigError;
pub use keys::{KeyFile, KeyReader};
pub use layers::{Environment, Flags, Sources};
pub use offline::Offline;
pub use place::TlsFile;
pub use protocol::PackReader;
pub use schema::schema;
pub use types::{LogFormat, LogLevel, Period, Scheme, Size, Upstream};

use crate::content::{CodingLimits, Level};
use crate::redact::{Policy, Refusal, judge_policy};
use crate::rule::protocol::Pack;
use crate::rule::{Profile, Ruleset, nearest_entity};
use crate::scan::Engine;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The whole configuration, valid in itself; entity names are checked by
/// [`Config::check_entities`] once the rules are loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where clients connect.
    pub listener: SocketAddr,
    /// How they do it, if not in plain text.
    pub listener_tls: Option<ListenerTls>,
    /// Where probes and Prometheus connect.
    pub admin: SocketAddr,
    /// At least one; names are unique.
    pub routes: Vec<Route>,
    /// Sizes and counts.
    pub limits: Limits,
    /// One for every stage.
    pub timeouts: Timeouts,
    /// At which compressed bodies that changed are compressed again.
    pub compression: Level,
    /// Whether the built-in packs are used.
    pub builtin_rules: bool,
    /// Rule files or directories, on top of the built-in packs if those are
    /// used.
    pub rules: Vec<PathBuf>,
    /// Which of the rules are enabled.
    pub profile: Profile,
    /// What is logged, and how.
    pub log: Log,
    /// Variables that look like ours and mean nothing: misspelt, most likely.
    pub ignored: Vec<String>,
    /// What is not wrong, but not right either.
    pub warnings: Vec<String>,
    /// The protocol packs of the user's own files.
    pub packs: Vec<Arc<Pack>>,
    /// The files that it was read from, but for those of rules.
    pub files: Vec<PathBuf>,
    /// Keys of policies that flags set, on all routes.
    flagged: Vec<String>,
    /// The file it came from, for messages about it.
    source: Option<file::Source>,
}

/// Which requests go where, and what happens to what is found in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Unique; a label of metrics.
    pub name: String,
    /// Prefix of the path, ending at a `/` or at the path's end; without a `/`
    /// at its own end unless it is no more than that.
    pub path: String,
    /// Lower case, without port, an IPv6 address in brackets; `None` for any.
    pub host: Option<String>,
    /// Where to.
    pub upstream: Upstream,
    /// When the upstream is left alone; `None` for never.
    pub breaker: Option<Breaker>,
    /// Of an `https://` upstream.
    pub tls: UpstreamTls,
    /// Media types that pass unscanned, lower case.
    pub pass: Vec<String>,
    /// Headers whose values are scanned as text, and redacted as the policy
    /// says; lower case. Unless told: `referer`, `baggage` and `cookie`, which
    /// carry data rather than say how to read it. A request whose signature
    /// covers its headers is refused when a value would change.
    pub headers: Vec<String>,
    /// Whether the query is redacted.
    pub query: bool,
    /// Parameters of the query by which the upstream knows its client, in any
    /// case: credentials in them are counted and left alone, other findings
    /// are not. Unless told: those of the protocol pack; without one `key`
    /// (Gemini), `api_key`, `sentry_key`.
    pub query_allow: Vec<String>,
    /// Whether responses are redacted, too.
    pub responses: bool,
    /// Whether the upstream is asked over HTTP/2: over TLS by agreement (ALPN), else by
    /// prior knowledge. gRPC calls are in any case, upgrades never.
    pub http2: bool,
    /// Protocols that clients may ask to go on with (`Upgrade`), unredacted;
    /// lower case.
    pub upgrades: Vec<String>,
    /// What is known of the upstream, if it was named. What its pack protects is in
    /// the policy.
    pub protocol: Option<Arc<Pack>>,
    /// Action by entity.
    pub policy: Policy,
}

/// When an upstream that fails is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// After so many failures in a row.
    pub failures: u32,
    /// For so long.
    pub pause: Duration,
}

/// The files of a certificate and of its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// The certificate, and behind it those between it and its authority.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// How clients are served over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// By which clients know us.
    pub pair: KeyPair,
    /// Clients need a certificate of one of these.
    pub client_ca: Option<PathBuf>,
}

/// How an upstream is reached over TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Trusted instead of the system's roots.
    pub ca: Option<PathBuf>,
    /// By which the upstream knows us.
    pub pair: Option<KeyPair>,
}

/// Sizes in bytes, and counts. What goes beyond is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bodies up to this size are redacted before the upstream is called.
    pub buffer: u64,
    /// Request line and headers.
    pub head: u64,
    /// A body on the wire.
    pub body: u64,
    /// A body after decoding.
    pub decoded: u64,
    /// Decoded bytes per encoded byte.
    pub ratio: u64,
    /// Requests at a time.
    pub requests: u64,
    /// Client connections at a time; more wait to be accepted.
    pub connections: u64,
    /// Bytes of buffered bodies at a time.
    pub buffered: u64,
}

impl Limits {
    /// What compressed bytes may grow to.
    pub fn coding(&self) -> CodingLimits {
        CodingLimits { max_decoded: self.decoded, max_ratio: self.ratio }
    }
}

/// How long each stage may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// Between two requests on a client's connection.
    pub keep_alive: Duration,
    /// Between two pieces of a request's body.
    pub body_idle: Duration,
    /// For all of a request's body, up to the buffer limit: the upstream is not
    /// called before. One whose length is not declared begins to stream then.
    pub small_body: Duration,
    /// For room among the bytes of buffered bodies, before a request is shed for it.
    pub buffer_wait: Duration,
    /// The whole exchange; `None` for no limit.
    pub request: Option<Duration>,
    /// Name resolution, TCP and TLS to the upstream.
    pub connect: Duration,
    /// From the last progress of the request's body to the response's head.
    pub response_head: Duration,
    /// Between two pieces of the response's body.
    pub response_idle: Duration,
    /// A client that does not read its response.
    pub client_write: Duration,
    /// Bytes a second that a client sends of a body, or takes of a response, while it
    /// is waited for; 0 for no limit.
    pub client_rate: u64,
    /// An unused connection to the upstream.
    pub upstream_keep_alive: Duration,
    /// A connection to the upstream takes requests for so long.
    pub upstream_max_age: Duration,
    /// For requests in flight when the process is told to stop.
    pub drain: Duration,
    /// How much of that connections are still accepted, for clients that have
    /// not heard yet: their requests are answered 503.
    pub drain_grace: Duration,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// Our own events; those of libraries stop at `info`.
    pub level: LogLevel,
    /// Text or JSON.
    pub format: LogFormat,
}

impl Config {
    /// Reads all layers.
    ///
    /// # Errors
    /// The first mistake, with the place where it was made.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        build::build(layers::merge(sources)?, sources.keys)
    }

    /// Whether every entity named in a policy is one that a rule finds.
    ///
    /// # Errors
    /// The first that is not, with the nearest name that is.
    pub fn check_entities(&self, ruleset: &Ruleset) -> Result<(), ConfigError> {
        let known: BTreeSet<&str> = ruleset.rules.iter().map(|r| r.entity.as_str()).collect();
        for (nth, route) in self.routes.iter().enumerate() {
            for entity in route.policy.entities.keys() {
                if !known.contains(entity.as_str()) {
                    let message = format!("no rule finds the entity {entity}; {}", entity_hint(entity, &known));
                    return Err(self.of_policy(nth, entity, message));
                }
            }
        }
        let of_packs = self.packs.iter().flat_map(|pack| pack.protected.iter());
        for (protected, entity) in of_packs.flat_map(|one| one.entities.iter().map(move |entity| (one, entity))) {
            if !known.contains(entity.as_str()) {
                let hint = entity_hint(entity, &known);
                let message = format!("{}: no rule finds the entity {entity}; {hint}", protected.place);
                return Err(ConfigError::Whole(message));
            }
        }
        Ok(())
    }

    /// Whether rules leave alone what the actions of every route write.
    ///
    /// # Errors
    /// The first action whose output a rule would find, with its place.
    pub fn check_actions(&self, engine: &Arc<Engine>) -> Result<(), ConfigError> {
        for (nth, route) in self.routes.iter().enumerate() {
            if self.routes[..nth].iter().any(|earlier| earlier.policy.acts_as(&route.policy)) {
                continue;
            }
            if let Some(Refusal { key, message }) = judge_policy(engine, &route.policy).into_iter().next() {
                return Err(self.of_policy(nth, &key, format!("{key}: {message}")));
            }
        }
        Ok(())
    }

    /// About a key of a route's policy, or the flag that set it.
    fn of_policy(&self, nth: usize, key: &str, message: String) -> ConfigError {
        if self.flagged.iter().any(|flagged| flagged == key) {
            return ConfigError::Flag { flag: "--action", message };
        }
        let message = format!("route \"{}\": {message}", self.routes[nth].name);
        ConfigError::at_route_key(self.source.as_ref(), nth, key, message)
    }
}

impl Default for Limits {
    fn default() -> Self {
        const KIB: u64 = 1024;
        const MIB: u64 = 1024 * KIB;
        Self {
            buffer: 256 * KIB,
            head: 64 * KIB,
            body: 4096 * MIB,
            decoded: 16384 * MIB,
            ratio: 200,
            requests: 1024,
            connections: 8192,
            buffered: 128 * MIB,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            head: seconds(10),
            keep_alive: seconds(75),
            body_idle: seconds(30),
            small_body: seconds(60),
            buffer_wait: seconds(1),
            request: None,
            connect: seconds(5),
            response_head: seconds(60),
            response_idle: seconds(300),
            client_write: seconds(60),
            client_rate: 240,
            upstream_keep_alive: seconds(30),
            upstream_max_age: seconds(300),
            drain: seconds(30),
            drain_grace: seconds(1),
        }
    }
}

/// What the user may have meant by an entity that no rule finds.
fn entity_hint(entity: &str, known: &BTreeSet<&str>) -> String {
    let known: Vec<&str> = known.iter().copied().collect();
    nearest_entity(entity, &known)
        .map_or_else(|| "`expurgate rules list` shows all entities".to_owned(), |name| format!("did you mean {name}?"))
}

#[cfg(test)]
mod tests;
