//! From the syntax of all layers to a [`Config`], with what one key says about
//! another checked.

use super::action;
use super::error::ConfigError;
use super::file::{self, Source};
use super::keys::{KeyReader, Keys};
use super::layers::Merged;
use super::types::{Period, Scheme, Size, Upstream};
use super::{Breaker, Config, KeyPair, Limits, ListenerTls, Log, Route, Timeouts, UpstreamTls, protocol};
use crate::redact::Policy;
use crate::rule::protocol::{Pack, Packs, is_media_type, may_be_redacted};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What the only route is called, unless told.
pub(super) const DEFAULT_ROUTE: &str = "default";

pub(super) fn build(merged: Merged, reader: KeyReader) -> Result<Config, ConfigError> {
    let Merged { file, source, ignored, packs, flagged, .. } = merged;
    let files = source.iter().map(|source| PathBuf::from(&source.path));
    let files = files.chain(file.protocols.paths.iter().cloned()).chain(file.hash.keys.values().cloned()).collect();
    let keys = Keys::read(&file.hash, reader, source.as_ref())?;
    let routes = build_routes(file.route, &keys, &packs, source.as_ref())?;
    let mut warnings = keys.warnings;
    warnings.extend(routes.iter().filter_map(|route| {
        let pack = route.protocol.as_deref();
        protocol::warning(&route.name, &route.headers, pack)
    }));
    warnings.extend(packs.iter().filter(|pack| pack.replaces).map(|pack| protocol::replacement(pack)));
    let listener_tls = build_listener_tls(file.listener.tls, source.as_ref())?;
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let config = Config {
        listener: file.listener.address.unwrap_or(local(8080)),
        listener_tls,
        admin: file.admin.address.unwrap_or(local(9090)),
        routes,
        limits: build_limits(&file.limits),
        timeouts: build_timeouts(&file.timeouts),
        compression: file.compression.level.unwrap_or_default(),
        builtin_rules: file.rules.builtin.unwrap_or(true),
        rules: file.rules.paths,
        profile: file.rules.profile.unwrap_or_default(),
        log: Log { level: file.log.level.unwrap_or_default(), format: file.log.format.unwrap_or_default() },
        ignored,
        warnings,
        packs: packs.iter().filter(|pack| !pack.builtin).cloned().collect(),
        files,
        flagged,
        source,
    };
    check_limits(&config)?;
    check_addresses(&config)?;
    Ok(config)
}

/// Whether listener, admin port and upstreams are told apart.
fn check_addresses(config: &Config) -> Result<(), ConfigError> {
    let source = config.source.as_ref();
    let (listener, admin) = (config.listener, config.admin);
    if takes(listener, admin) || takes(admin, listener) {
        let message = format!("the listener {listener} and the admin port {admin} are one; give one another port");
        return Err(ConfigError::at_section_key(source, "admin", "address", message));
    }
    let is_own = |upstream: SocketAddr| {
        let is_here = upstream.ip() == listener.ip() || upstream.ip().is_loopback();
        is_here && takes(listener, upstream)
    };
    for (nth, route) in config.routes.iter().enumerate() {
        if route.upstream.address().is_some_and(is_own) {
            let message = format!("route \"{}\": the upstream is this proxy's own address", route.name);
            return Err(ConfigError::at_route_key(source, nth, "upstream", message));
        }
    }
    Ok(())
}

/// Whether a socket that listens on one address has the other, too.
fn takes(listening: SocketAddr, other: SocketAddr) -> bool {
    let is_any = match listening.ip() {
        IpAddr::V4(ip) => ip.is_unspecified() && other.is_ipv4(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    (is_any || listening.ip() == other.ip()) && listening.port() == other.port() && listening.port() != 0
}

fn check_limits(config: &Config) -> Result<(), ConfigError> {
    let source = config.source.as_ref();
    let limits = &config.limits;
    if limits.head < 1024 {
        let message = "\"max_head\" must be at least 1KiB".to_owned();
        return Err(ConfigError::at_key(source, "max_head", message));
    }
    if limits.buffer > limits.buffered {
        let message = "\"buffer_limit\" must not exceed \"max_buffered\"".to_owned();
        return Err(ConfigError::at_key(source, "buffer_limit", message));
    }
    let counts =
        [("max_ratio", limits.ratio), ("max_requests", limits.requests), ("max_connections", limits.connections)];
    for (key, count) in counts {
        if count == 0 {
            let message = format!("\"{key}\" must be at least 1");
            return Err(ConfigError::at_key(source, key, message));
        }
    }
    Ok(())
}

fn build_routes(
    routes: Vec<file::Route>,
    keys: &Keys,
    packs: &Packs,
    source: Option<&Source>,
) -> Result<Vec<Route>, ConfigError> {
    if routes.is_empty() {
        return Err(ConfigError::Whole(
            "no upstream: give --upstream URL, EXPURGATE_UPSTREAM, a --protocol that has one, or a [[route]] in the file"
                .to_owned(),
        ));
    }
    let only = routes.len() == 1;
    let mut names = BTreeSet::new();
    let mut places = BTreeSet::new();
    let mut built = Vec::with_capacity(routes.len());
    for (nth, route) in routes.into_iter().enumerate() {
        let blame = |message| ConfigError::at_route(source, nth, message);
        let name = route.name.clone().unwrap_or_else(|| DEFAULT_ROUTE.to_owned());
        let mut policy = action::policy(&route.policy, keys).map_err(|(key, why)| {
            ConfigError::at_route_key(source, nth, &key, format!("route \"{name}\": {key}: {why}"))
        })?;
        let pack = protocol::of_route(&route, packs);
        policy.protected = pack.as_ref().map(|pack| Arc::clone(&pack.protected)).unwrap_or_default();
        let route = build_route(route, policy, pack, only).map_err(blame)?;
        if !names.insert(route.name.clone()) {
            return Err(blame(format!("two routes are named \"{}\"", route.name)));
        }
        if !places.insert((route.host.clone(), route.path.clone())) {
            let message = format!("another route has the path \"{}\" too", route.path);
            return Err(blame(message));
        }
        built.push(route);
    }
    Ok(built)
}

fn build_route(route: file::Route, policy: Policy, pack: Option<Arc<Pack>>, only: bool) -> Result<Route, String> {
    let upstream = protocol::upstream(&route, pack.as_deref());
    let name = match route.name {
        Some(name) if name.is_empty() || name == "none" => {
            return Err("a route's name may be neither empty nor \"none\"".to_owned());
        }
        Some(name) => name,
        None if only => DEFAULT_ROUTE.to_owned(),
        None => return Err("a route needs a \"name\" when there are several".to_owned()),
    };
    let Some(upstream) = upstream else {
        return Err(protocol::no_upstream(&name, pack.as_deref()));
    };
    let path = normal_path(&route.path.unwrap_or_else(|| "/".to_owned()))
        .map_err(|why| format!("route \"{name}\": \"path\" {why}"))?;
    if let Some(header) = route.headers.iter().flatten().find(|header| !may_be_redacted(header)) {
        return Err(format!("route \"{name}\": \"{header}\" in \"headers\" is not a header that may be redacted"));
    }
    if let Some(kind) = route.pass.iter().find(|kind| !is_media_type(kind)) {
        return Err(format!(
            "route \"{name}\": \"{kind}\" in \"pass\" is not a media type; write one like \"image/png\""
        ));
    }
    if let Some(protocol) = route.upgrades.iter().find(|protocol| !may_be_upgraded_to(protocol)) {
        return Err(format!(
            "route \"{name}\": \"{protocol}\" in \"upgrades\" is not a protocol to upgrade to; write one like \"websocket\""
        ));
    }
    if let Some(host) = route.host.as_ref().filter(|host| has_port(host)) {
        return Err(format!("route \"{name}\": \"host\" must not have a port, but is \"{host}\""));
    }
    let query_allow = match (route.query_allow, &pack) {
        (None, Some(pack)) => Some(pack.query_allow.clone()),
        (given, _) => given,
    };
    let mut headers = lower_case(route.headers.clone(), &HEADERS);
    if let (None, Some(pack)) = (&route.headers, &pack) {
        headers.extend(pack.headers.iter().cloned());
    }
    Ok(Route {
        path,
        host: route.host.as_deref().map(normal_host),
        breaker: build_breaker(&route.breaker).map_err(|why| format!("route \"{name}\": {why}"))?,
        tls: build_tls(&upstream, route.tls).map_err(|why| format!("route \"{name}\": {why}"))?,
        upstream,
        pass: route.pass.iter().map(|t| t.to_ascii_lowercase()).collect(),
        headers,
        query: route.query.unwrap_or(true),
        responses: route.responses.unwrap_or(false),
        http2: route.http2.unwrap_or(false),
        upgrades: route.upgrades.iter().map(|protocol| protocol.to_ascii_lowercase()).collect(),
        query_allow: lower_case(query_allow, &QUERY_ALLOW),
        protocol: pack,
        policy,
        name,
    })
}

/// Headers that carry data, unless told.
const HEADERS: [&str; 6] = ["referer", "baggage", "cookie", "*-meta-*", "*-metadata", "*-property-*"];
/// Parameters by which upstreams know their clients, unless told.
const QUERY_ALLOW: [&str; 3] = ["key", "api_key", "sentry_key"];

fn lower_case(given: Option<Vec<String>>, default: &[&str]) -> Vec<String> {
    match given {
        Some(names) => names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        None => default.iter().map(|&name| name.to_owned()).collect(),
    }
}

/// Whether this names a protocol (RFC 9110, section 7.8) that is not HTTP itself.
fn may_be_upgraded_to(protocol: &str) -> bool {
    let is_of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&byte);
    let is_http = ["h2c", "http"].iter().any(|http| protocol.to_ascii_lowercase().split('/').next() == Some(http));
    !protocol.is_empty() && protocol.bytes().all(is_of_token) && !is_http
}

/// A prefix in the one way of writing it in which it is compared.
fn normal_path(path: &str) -> Result<String, &'static str> {
    if !path.starts_with('/') {
        return Err("must begin with /");
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("must not hold . or .. as a segment");
    }
    let path = path.trim_end_matches('/');
    Ok(if path.is_empty() { "/" } else { path }.to_owned())
}

/// A host in the one way of writing it in which it is compared.
fn normal_host(host: &str) -> String {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match address.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]"),
        Err(_) => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
    }
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(name, _)| !name.contains(':') || name.ends_with(']'))
}

/// How long an upstream is left alone, unless told.
const PAUSE: Duration = Duration::from_secs(10);

fn build_breaker(file: &file::Breaker) -> Result<Option<Breaker>, &'static str> {
    match (file.failures, file.pause) {
        (Some(0), _) => Err("\"breaker.failures\" must be at least 1"),
        (Some(failures), pause) => Ok(Some(Breaker { failures, pause: pause.map_or(PAUSE, |pause| pause.0) })),
        (None, Some(_)) => Err("\"breaker.pause\" needs \"breaker.failures\""),
        (None, None) => Ok(None),
    }
}

fn build_tls(to: &Upstream, file: file::Tls) -> Result<UpstreamTls, String> {
    let set = [("ca", &file.ca), ("cert", &file.cert), ("key", &file.key)];
    if let Some((key, _)) = set.iter().find(|(_, path)| to.scheme == Scheme::Http && path.is_some()) {
        return Err(format!("\"tls.{key}\" has no use with an http:// upstream"));
    }
    let pair = key_pair(file.cert, file.key).map_err(|(key, other)| format!("\"tls.{key}\" needs \"tls.{other}\""))?;
    Ok(UpstreamTls { ca: file.ca, pair })
}

/// Where there is such a table nobody expects plain text, whatever it lacks.
fn build_listener_tls(
    file: Option<file::ListenerTls>,
    source: Option<&Source>,
) -> Result<Option<ListenerTls>, ConfigError> {
    let Some(file) = file else { return Ok(None) };
    let lacks = |(key, other)| {
        let message = format!("\"listener.tls.{key}\" needs \"listener.tls.{other}\"");
        ConfigError::at_section_key(source, "listener", key, message)
    };
    match (key_pair(file.cert, file.key).map_err(lacks)?, file.client_ca) {
        (Some(pair), client_ca) => Ok(Some(ListenerTls { pair, client_ca })),
        (None, None) => {
            let message = "[listener.tls] needs \"cert\" and \"key\"; remove the table for plain text".to_owned();
            Err(ConfigError::at_table(source, "listener", "tls", message))
        }
        (None, Some(_)) => Err(lacks(("client_ca", "cert"))),
    }
}

/// A certificate and its key, or neither. The error names the one that is there
/// and the one that is not.
fn key_pair(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<KeyPair>, (&'static str, &'static str)> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(KeyPair { cert, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(("cert", "key")),
        (None, Some(_)) => Err(("key", "cert")),
    }
}

fn build_limits(file: &file::Limits) -> Limits {
    let default = Limits::default();
    let size = |size: Option<Size>, or: u64| size.map_or(or, |size| size.0);
    let count = |count: Option<u32>, or: u64| count.map_or(or, u64::from);
    Limits {
        buffer: size(file.buffer_limit, default.buffer),
        head: size(file.max_head, default.head),
        body: size(file.max_body, default.body),
        decoded: size(file.max_decoded, default.decoded),
        ratio: count(file.max_ratio, default.ratio),
        requests: count(file.max_requests, default.requests),
        connections: count(file.max_connections, default.connections),
        buffered: size(file.max_buffered, default.buffered),
    }
}

fn build_timeouts(file: &file::Timeouts) -> Timeouts {
    let default = Timeouts::default();
    let or = |period: Option<Period>, or| period.map_or(or, |period| period.0);
    Timeouts {
        head: or(file.head, default.head),
        keep_alive: or(file.keep_alive, default.keep_alive),
        body_idle: or(file.body_idle, default.body_idle),
        small_body: or(file.small_body, default.small_body),
        buffer_wait: or(file.buffer_wait, default.buffer_wait),
        request: file.request.map(|period| period.0),
        connect: or(file.connect, default.connect),
        response_head: or(file.response_head, default.response_head),
        response_idle: or(file.response_idle, default.response_idle),
        client_write: or(file.client_write, default.client_write),
        client_rate: file.client_rate.map_or(default.client_rate, |rate| rate.0),
        upstream_keep_alive: or(file.upstream_keep_alive, default.upstream_keep_alive),
        upstream_max_age: or(file.upstream_max_age, default.upstream_max_age),
        drain: or(file.drain, default.drain),
        drain_grace: or(file.drain_grace, default.drain_grace),
    }
}
