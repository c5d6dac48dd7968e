//! The layers of the configuration, merged key by key as TOML tables; each is
//! parsed on its own first, so that a mistake is blamed on where it was made.

use super::error::ConfigError;
use super::file::{File, Source};
use super::types::Upstream;
use super::{Config, Limits, Log, Route, Timeouts};
use crate::redact::{Action, Policy};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use toml::{Table, Value};

/// All that a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Path and text of the file, if any.
    pub file: Option<(String, String)>,
    /// The process's environment, or what a test makes of it.
    pub environment: Environment,
    /// The command line.
    pub flags: Flags,
}

/// Names and values of environment variables.
pub type Environment = Vec<(String, String)>;

/// The flags that set something, as given.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--listen`
    pub listen: Option<String>,
    /// `--upstream`
    pub upstream: Option<String>,
    /// `--admin`
    pub admin: Option<String>,
    /// `--protocol`
    pub protocol: Option<String>,
    /// `--rules`, any number of times
    pub rules: Vec<PathBuf>,
    /// `--log-format`
    pub log_format: Option<String>,
}

/// The kinds of values, to read them from the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Boolean,
    /// Separated by commas.
    List,
}

/// Every key outside of routes: `EXPURGATE_` + section + `_` + key.
const KEYS: &[(&str, &str, Kind)] = &[
    ("listener", "address", Kind::Text),
    ("admin", "address", Kind::Text),
    ("rules", "builtin", Kind::Boolean),
    ("rules", "paths", Kind::List),
    ("log", "level", Kind::Text),
    ("log", "format", Kind::Text),
    ("limits", "buffer_limit", Kind::Text),
    ("limits", "max_head", Kind::Text),
    ("limits", "max_body", Kind::Text),
    ("limits", "max_decoded", Kind::Text),
    ("limits", "max_ratio", Kind::Integer),
    ("limits", "max_requests", Kind::Integer),
    ("limits", "max_connections", Kind::Integer),
    ("limits", "max_buffered", Kind::Text),
    ("timeouts", "head", Kind::Text),
    ("timeouts", "keep_alive", Kind::Text),
    ("timeouts", "body_idle", Kind::Text),
    ("timeouts", "small_body", Kind::Text),
    ("timeouts", "request", Kind::Text),
    ("timeouts", "connect", Kind::Text),
    ("timeouts", "response_head", Kind::Text),
    ("timeouts", "response_idle", Kind::Text),
    ("timeouts", "client_write", Kind::Text),
    ("timeouts", "upstream_keep_alive", Kind::Text),
    ("timeouts", "drain", Kind::Text),
    ("timeouts", "drain_grace", Kind::Text),
];

/// Every key of a route: `EXPURGATE_ROUTE_0_` + key, counted from 0.
const ROUTE_KEYS: &[(&[&str], Kind)] = &[
    (&["name"], Kind::Text),
    (&["path"], Kind::Text),
    (&["host"], Kind::Text),
    (&["upstream"], Kind::Text),
    (&["protocol"], Kind::Text),
    (&["pass"], Kind::List),
    (&["headers"], Kind::List),
    (&["query"], Kind::Boolean),
    (&["query_allow"], Kind::List),
    (&["tls", "ca"], Kind::Text),
];

/// Short names of what is set most often.
const SHORT: &[(&str, &str)] =
    &[("LISTEN", "LISTENER_ADDRESS"), ("ADMIN", "ADMIN_ADDRESS"), ("RULES", "RULES_PATHS"), ("LOG", "LOG_LEVEL")];

const PREFIX: &str = "EXPURGATE_";
/// Known, and read by others than [`load`].
const ELSEWHERE: [&str; 1] = ["EXPURGATE_CONFIG"];
/// Kubernetes sets variables that begin like this for a Service of our name.
const KUBERNETES: [&str; 2] = ["EXPURGATE_SERVICE_", "EXPURGATE_PORT"];

/// More routes than this want a file.
const MAX_ROUTES_BY_ENVIRONMENT: usize = 64;

pub(super) fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let source = sources.file.clone().map(|(path, text)| Source { path, text });
    let mut table = source.as_ref().map_or(Ok(Table::new()), read_file)?;
    // Long names win over short ones: they are read later. Names of one length
    // are read in order, so that a route comes after those before it.
    let by_length = |(name, _): &&(String, String)| (name.len(), name.clone());
    let mut variables: Vec<_> = sources.environment.iter().collect();
    variables.sort_by_cached_key(by_length);
    let mut ignored = Vec::new();
    for (name, value) in variables {
        if let Some((path, kind)) = name.strip_prefix(PREFIX).and_then(locate) {
            let blame = |message| ConfigError::Environment { name: name.clone(), message };
            set(&mut table, &path, read_value(kind, value).map_err(blame)?).map_err(blame)?;
        } else if name == "EXPURGATE_UPSTREAM" {
            let blame = |message| ConfigError::Environment { name: name.clone(), message };
            set_only_route(&mut table, "upstream", value).map_err(blame)?;
        } else if is_mistake(name) {
            ignored.push(name.clone());
        }
    }
    apply_flags(&mut table, &sources.flags)?;
    let file: File =
        table.try_into().map_err(|error: toml::de::Error| ConfigError::Whole(error.message().to_owned()))?;
    build(file, source, ignored)
}

/// Whether a variable that is not known was most likely meant for us.
fn is_mistake(name: &str) -> bool {
    name.starts_with(PREFIX) && !ELSEWHERE.contains(&name) && !KUBERNETES.iter().any(|prefix| name.starts_with(prefix))
}

fn read_file(source: &Source) -> Result<Table, ConfigError> {
    let blame = |error: &toml::de::Error| {
        let offset = error.span().map_or(0, |span| span.start);
        ConfigError::at_offset(source, offset, error.message().to_owned())
    };
    toml::from_str::<File>(&source.text).map_err(|error| blame(&error))?;
    toml::from_str(&source.text).map_err(|error| blame(&error))
}

/// Where a variable's value goes, by its name without the prefix.
fn locate(name: &str) -> Option<(Vec<String>, Kind)> {
    let name = SHORT.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long);
    if let Some(rest) = name.strip_prefix("ROUTE_") {
        return locate_in_route(rest);
    }
    KEYS.iter()
        .find(|(section, key, _)| name == format!("{section}_{key}").to_ascii_uppercase())
        .map(|&(section, key, kind)| (vec![section.to_owned(), key.to_owned()], kind))
}

fn locate_in_route(name: &str) -> Option<(Vec<String>, Kind)> {
    let (index, key) = name.split_once('_')?;
    index.parse::<usize>().ok().filter(|&index| index < MAX_ROUTES_BY_ENVIRONMENT)?;
    let mut path = vec!["route".to_owned(), index.to_owned()];
    if let Some(entity) = key.strip_prefix("POLICY_") {
        let entity = if entity == "DEFAULT" { "default" } else { entity };
        path.extend(["policy".to_owned(), entity.to_owned()]);
        return Some((path, Kind::Text));
    }
    let (keys, kind) = ROUTE_KEYS.iter().find(|(keys, _)| key == keys.join("_").to_ascii_uppercase())?;
    path.extend(keys.iter().map(|&key| key.to_owned()));
    Some((path, *kind))
}

fn read_value(kind: Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::Text => Ok(Value::String(text.to_owned())),
        Kind::Integer => text.parse().map(Value::Integer).map_err(|_| format!("\"{text}\" is not a whole number")),
        Kind::Boolean => text.parse().map(Value::Boolean).map_err(|_| format!("\"{text}\" is neither true nor false")),
        Kind::List => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Ok(Value::Array(items.map(|item| Value::String(item.to_owned())).collect()))
        }
    }
}

/// Puts a value into its place, after a look whether it is valid there.
fn set(table: &mut Table, path: &[String], value: Value) -> Result<(), String> {
    let mut alone = Table::new();
    place(&mut alone, path, value.clone(), true)?;
    alone.try_into::<File>().map_err(|error| error.message().to_owned())?;
    place(table, path, value, false)
}

/// Walks down `path`, making tables, and the next route, as needed.
fn place(table: &mut Table, path: &[String], value: Value, alone: bool) -> Result<(), String> {
    match path {
        [route, index, rest @ ..] if route == "route" && !rest.is_empty() => {
            let routes = table.entry("route").or_insert_with(|| Value::Array(Vec::new()));
            let Value::Array(routes) = routes else {
                return Err("\"route\" must be written [[route]]".to_owned());
            };
            let index = if alone { 0 } else { index.parse().unwrap_or(0) };
            if index > routes.len() {
                return Err(format!("there is no route {} before it", routes.len()));
            }
            if index == routes.len() {
                routes.push(Value::Table(Table::new()));
            }
            match routes.get_mut(index) {
                Some(Value::Table(route)) => place(route, rest, value, alone),
                _ => Err("a route must be a table".to_owned()),
            }
        }
        [key] => {
            table.insert(key.clone(), value);
            Ok(())
        }
        [section, rest @ ..] => {
            let section = table.entry(section.clone()).or_insert_with(|| Value::Table(Table::new()));
            match section {
                Value::Table(section) => place(section, rest, value, alone),
                _ => Err("a section must be a table".to_owned()),
            }
        }
        [] => Ok(()),
    }
}

/// Sets a key of the only route, or of a new one when there is none.
fn set_only_route(table: &mut Table, key: &str, value: &str) -> Result<(), String> {
    let count = match table.get("route") {
        Some(Value::Array(routes)) => routes.len(),
        _ => 0,
    };
    if count > 1 {
        return Err(format!("this sets the {key} of the only route, but there are {count}; set it in the file"));
    }
    let path = ["route", "0", key].map(str::to_owned);
    set(table, &path, Value::String(value.to_owned()))
}

fn apply_flags(table: &mut Table, flags: &Flags) -> Result<(), ConfigError> {
    let sections = [
        ("--listen", "listener", "address", &flags.listen),
        ("--admin", "admin", "address", &flags.admin),
        ("--log-format", "log", "format", &flags.log_format),
    ];
    for (flag, section, key, value) in sections {
        if let Some(value) = value {
            let path = [section, key].map(str::to_owned);
            set(table, &path, Value::String(value.clone())).map_err(|message| ConfigError::Flag { flag, message })?;
        }
    }
    let of_route = [("--upstream", "upstream", &flags.upstream), ("--protocol", "protocol", &flags.protocol)];
    for (flag, key, value) in of_route {
        if let Some(value) = value {
            set_only_route(table, key, value).map_err(|message| ConfigError::Flag { flag, message })?;
        }
    }
    if !flags.rules.is_empty() {
        let text = |path: &PathBuf| Value::String(path.display().to_string());
        let paths = Value::Array(flags.rules.iter().map(text).collect());
        let path = ["rules", "paths"].map(str::to_owned);
        set(table, &path, paths).map_err(ConfigError::Whole)?;
    }
    Ok(())
}

fn build(file: File, source: Option<Source>, ignored: Vec<String>) -> Result<Config, ConfigError> {
    let routes = build_routes(file.route, source.as_ref())?;
    let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let config = Config {
        listener: file.listener.address.unwrap_or(local(8080)),
        admin: file.admin.address.unwrap_or(local(9090)),
        routes,
        limits: build_limits(&file.limits),
        timeouts: build_timeouts(&file.timeouts),
        builtin_rules: file.rules.builtin.unwrap_or(true),
        rules: file.rules.paths,
        log: Log { level: file.log.level.unwrap_or_default(), format: file.log.format.unwrap_or_default() },
        ignored,
        source,
    };
    check_limits(&config)?;
    Ok(config)
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

fn build_routes(routes: Vec<super::file::Route>, source: Option<&Source>) -> Result<Vec<Route>, ConfigError> {
    if routes.is_empty() {
        return Err(ConfigError::Whole(
            "no upstream: give --upstream URL, EXPURGATE_UPSTREAM, or a [[route]] in the file".to_owned(),
        ));
    }
    let only = routes.len() == 1;
    let mut names = BTreeSet::new();
    let mut places = BTreeSet::new();
    let mut built = Vec::with_capacity(routes.len());
    for (nth, route) in routes.into_iter().enumerate() {
        let blame = |message| ConfigError::at_route(source, nth, message);
        let route = build_route(route, only).map_err(blame)?;
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

fn build_route(route: super::file::Route, only: bool) -> Result<Route, String> {
    let name = match route.name {
        Some(name) if name.is_empty() || name == "none" => {
            return Err("a route's name may be neither empty nor \"none\"".to_owned());
        }
        Some(name) => name,
        None if only => "default".to_owned(),
        None => return Err("a route needs a \"name\" when there are several".to_owned()),
    };
    let Some(upstream) = route.upstream else {
        return Err(format!("route \"{name}\" needs an \"upstream\""));
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
    if let Some(host) = route.host.as_ref().filter(|host| has_port(host)) {
        return Err(format!("route \"{name}\": \"host\" must not have a port, but is \"{host}\""));
    }
    let policy = build_policy(route.policy.into_iter().map(|(key, action)| (key, action.0)));
    let _only_auto_exists = route.protocol;
    Ok(Route {
        path,
        host: route.host.as_deref().map(normal_host),
        ca: check_ca(&name, &upstream, route.tls.ca)?,
        upstream,
        pass: route.pass.iter().map(|t| t.to_ascii_lowercase()).collect(),
        headers: lower_case(route.headers, &HEADERS),
        query: route.query.unwrap_or(true),
        query_allow: lower_case(route.query_allow, &QUERY_ALLOW),
        policy,
        name,
    })
}

/// Headers that carry data, unless told.
const HEADERS: [&str; 3] = ["referer", "baggage", "cookie"];
/// Parameters by which upstreams know their clients, unless told.
const QUERY_ALLOW: [&str; 3] = ["key", "api_key", "sentry_key"];

fn lower_case(given: Option<Vec<String>>, default: &[&str]) -> Vec<String> {
    match given {
        Some(names) => names.iter().map(|name| name.to_ascii_lowercase()).collect(),
        None => default.iter().map(|&name| name.to_owned()).collect(),
    }
}

/// Whether it is a header's name, and of none that says how to read a request.
fn may_be_redacted(name: &str) -> bool {
    const FRAMING: [&str; 7] = ["host", "connection", "transfer-encoding", "expect", "te", "trailer", "upgrade"];
    let is_framing = FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing));
    is_token(name) && !is_framing && !name.to_ascii_lowercase().starts_with("content-")
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

/// Whether it is a name as HTTP knows them (RFC 9110, section 5.6.2).
fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether it is `type/subtype`, without wildcard and parameters: what else is
/// listed would never be met.
fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| is_name(kind) && is_name(subtype))
}

fn has_port(host: &str) -> bool {
    host.rsplit_once(':').is_some_and(|(name, _)| !name.contains(':') || name.ends_with(']'))
}

fn check_ca(name: &str, to: &Upstream, ca: Option<PathBuf>) -> Result<Option<PathBuf>, String> {
    if ca.is_some() && to.scheme == super::Scheme::Http {
        return Err(format!("route \"{name}\": \"tls.ca\" has no use with an http:// upstream"));
    }
    Ok(ca)
}

fn build_policy(actions: impl Iterator<Item = (String, Action)>) -> Policy {
    let mut entities: BTreeMap<String, Action> = actions.collect();
    let default = entities.remove("default").unwrap_or(Policy::default().default);
    Policy { default, entities }
}

fn build_limits(file: &super::file::Limits) -> Limits {
    let default = Limits::default();
    let size = |size: Option<super::Size>, or: u64| size.map_or(or, |size| size.0);
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

fn build_timeouts(file: &super::file::Timeouts) -> Timeouts {
    let default = Timeouts::default();
    let or = |period: Option<super::Period>, or| period.map_or(or, |period| period.0);
    Timeouts {
        head: or(file.head, default.head),
        keep_alive: or(file.keep_alive, default.keep_alive),
        body_idle: or(file.body_idle, default.body_idle),
        small_body: or(file.small_body, default.small_body),
        request: file.request.map(|period| period.0),
        connect: or(file.connect, default.connect),
        response_head: or(file.response_head, default.response_head),
        response_idle: or(file.response_idle, default.response_idle),
        client_write: or(file.client_write, default.client_write),
        upstream_keep_alive: or(file.upstream_keep_alive, default.upstream_keep_alive),
        drain: or(file.drain, default.drain),
        drain_grace: or(file.drain_grace, default.drain_grace),
    }
}

#[cfg(test)]
pub(super) fn variables() -> Vec<String> {
    let of_sections = KEYS.iter().map(|(section, key, _)| format!("{PREFIX}{section}_{key}"));
    let of_routes = ROUTE_KEYS.iter().map(|(keys, _)| format!("{PREFIX}route_0_{}", keys.join("_")));
    of_sections.chain(of_routes).map(|name| name.to_ascii_uppercase()).collect()
}
