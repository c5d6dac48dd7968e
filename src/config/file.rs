//! The configuration file's syntax: every key optional, unknown keys errors.

use super::action::ActionSpec;
use super::types::{LogFormat, LogLevel, Period, Size, Upstream};
use crate::content::Level;
use crate::rule::Profile;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A file's path and text, kept to tell where a mistake is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// As given.
    pub path: String,
    /// All of it.
    pub text: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) listener: Listener,
    pub(super) admin: Address,
    #[serde(deserialize_with = "routes")]
    pub(super) route: Vec<Route>,
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
    pub(super) compression: Compression,
    pub(super) rules: Rules,
    pub(super) protocols: Protocols,
    pub(super) hash: Hash,
    pub(super) log: Log,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section: [listener], and in it address = \"127.0.0.1:8080\"")]
pub(super) struct Listener {
    #[serde(deserialize_with = "socket_address")]
    pub(super) address: Option<SocketAddr>,
    pub(super) tls: Option<ListenerTls>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section: [listener.tls], and in it cert and key")]
pub(super) struct ListenerTls {
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) client_ca: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section: [admin], and in it address = \"127.0.0.1:9090\"")]
pub(super) struct Address {
    #[serde(deserialize_with = "socket_address")]
    pub(super) address: Option<SocketAddr>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section: [[route]], and in it upstream = \"https://...\"")]
pub(super) struct Route {
    pub(super) name: Option<String>,
    pub(super) path: Option<String>,
    pub(super) host: Option<String>,
    pub(super) upstream: Option<Upstream>,
    pub(super) protocol: Option<String>,
    pub(super) pass: Vec<String>,
    pub(super) headers: Option<Vec<String>>,
    pub(super) query: Option<bool>,
    pub(super) query_allow: Option<Vec<String>>,
    pub(super) responses: Option<bool>,
    pub(super) http2: Option<bool>,
    pub(super) upgrades: Vec<String>,
    pub(super) breaker: Breaker,
    pub(super) tls: Tls,
    pub(super) policy: BTreeMap<String, ActionSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section: [route.breaker], and in it failures and pause")]
pub(super) struct Breaker {
    pub(super) failures: Option<u32>,
    pub(super) pause: Option<Period>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section: [route.tls], and in it ca, cert or key")]
pub(super) struct Tls {
    pub(super) ca: Option<PathBuf>,
    pub(super) cert: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section: [limits], and in it such as buffer_limit = \"256KiB\"")]
pub(super) struct Limits {
    pub(super) buffer_limit: Option<Size>,
    pub(super) max_head: Option<Size>,
    pub(super) max_body: Option<Size>,
    pub(super) max_decoded: Option<Size>,
    pub(super) max_ratio: Option<u32>,
    pub(super) max_requests: Option<u32>,
    pub(super) max_connections: Option<u32>,
    pub(super) max_buffered: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section: [timeouts], and in it such as request = \"60s\"")]
pub(super) struct Timeouts {
    pub(super) head: Option<Period>,
    pub(super) keep_alive: Option<Period>,
    pub(super) body_idle: Option<Period>,
    pub(super) small_body: Option<Period>,
    pub(super) buffer_wait: Option<Period>,
    pub(super) request: Option<Period>,
    pub(super) connect: Option<Period>,
    pub(super) response_head: Option<Period>,
    pub(super) response_idle: Option<Period>,
    pub(super) client_write: Option<Period>,
    pub(super) client_rate: Option<Size>,
    pub(super) upstream_keep_alive: Option<Period>,
    pub(super) upstream_max_age: Option<Period>,
    pub(super) drain: Option<Period>,
    pub(super) drain_grace: Option<Period>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section: [compression], and in it level = \"fast\"")]
pub(super) struct Compression {
    #[serde(deserialize_with = "level")]
    pub(super) level: Option<Level>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section: [rules], and in it such as paths = [\"rules\"]")]
pub(super) struct Rules {
    pub(super) builtin: Option<bool>,
    pub(super) paths: Vec<PathBuf>,
    #[serde(deserialize_with = "profile")]
    pub(super) profile: Option<Profile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section: [protocols], and in it paths = [\"packs\"]")]
pub(super) struct Protocols {
    pub(super) paths: Vec<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section: [hash], and in it bits and keys")]
pub(super) struct Hash {
    pub(super) active: Option<String>,
    pub(super) bits: Option<u32>,
    pub(super) keys: BTreeMap<String, PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a section: [log], and in it level and format")]
pub(super) struct Log {
    pub(super) level: Option<LogLevel>,
    pub(super) format: Option<LogFormat>,
}

fn routes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Route>, D::Error> {
    struct Routes;

    impl<'de> Visitor<'de> for Routes {
        type Value = Vec<Route>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("tables; write [[route]]")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, routes: A) -> Result<Vec<Route>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(routes))
        }

        fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Vec<Route>, A::Error> {
            Err(de::Error::custom("write [[route]], with two brackets"))
        }
    }

    deserializer.deserialize_any(Routes)
}

fn profile<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Profile>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known: Vec<&str> = Profile::ALL.iter().map(|profile| profile.name()).collect();
    let unknown = || de::Error::custom(format!("unknown profile \"{name}\"; use one of {}", known.join(", ")));
    Profile::from_name(&name).map(Some).ok_or_else(unknown)
}

fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Level>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = Level::ALL.into_iter().find(|level| level.name() == name);
    let unknown = || de::Error::custom(format!("\"{name}\" is not a level; use fast, default or best"));
    known.map(Some).ok_or_else(unknown)
}

fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(|_| {
        de::Error::custom(format!(
            "\"{text}\" is not an address; write an IP address and a port, like \"127.0.0.1:8080\""
        ))
    })
}
