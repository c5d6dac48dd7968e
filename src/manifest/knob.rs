//! What may be set: by an annotation of a pod, or by a flag for all pods. One table
//! for both, for the help, and for `docs/inject.md`.

use super::sidecar::{bytes, setting};
use crate::config::{LogFormat, LogLevel, Upstream};
use crate::redact::{Action, HashKey};
use crate::rule::{Category, Profile, nearest};
use std::collections::{BTreeMap, BTreeSet};

/// Before the name of each annotation.
pub const PREFIX: &str = "expurgate.dev/";
/// The annotation in which `inject` keeps what it changed; nobody writes it by hand.
pub const STATE: &str = "expurgate.dev/injected";
/// The label of pods with a sidecar, for selectors.
pub const LABEL: (&str, &str) = ("expurgate.dev/injected", "true");

/// Something that may be set.
#[derive(Debug)]
pub struct Knob {
    /// Of the annotation, behind [`PREFIX`], and of the flag, behind `--`.
    pub name: &'static str,
    /// What stands for its value in a help text.
    pub value: &'static str,
    /// What holds without it.
    pub default: &'static str,
    /// What it sets.
    pub meaning: &'static str,
    /// Whether it is a flag too.
    pub is_flag: bool,
    check: fn(&str) -> Result<(), String>,
}

/// Values by the names of their knobs.
pub type Settings = BTreeMap<&'static str, String>;

const fn knob(
    name: &'static str,
    value: &'static str,
    default: &'static str,
    meaning: &'static str,
    check: fn(&str) -> Result<(), String>,
) -> Knob {
    Knob { name, value, default, meaning, is_flag: true, check }
}

/// All of them.
pub const KNOBS: &[Knob] = &[
    Knob {
        is_flag: false,
        ..knob("inject", "BOOL", "true", "false: this pod gets no sidecar, and loses one it has", is_bool)
    },
    knob("protocol", "PACKS", "", "protocol packs, separated by commas: what the application's SDKs speak", is_list),
    knob(
        "upstream",
        "URL",
        "what the variables said, else the pack's",
        "where requests go; with several packs PACK=URL, separated by commas",
        is_upstream,
    ),
    knob("image", "IMAGE", DEFAULT_IMAGE, "the sidecar's image", is_word),
    knob("image-pull-policy", "POLICY", "Kubernetes' own", "Always, IfNotPresent or Never", is_pull_policy),
    knob("rules-configmap", "NAME", RULES, "the ConfigMap with rule files of your own; it need not exist", is_name),
    knob("config-configmap", "NAME", "none", "the ConfigMap whose config.toml is the sidecar's configuration", is_name),
    knob(
        "actions",
        "ACTIONS",
        "default=replace",
        "what becomes of findings: ENTITY=ACTION, separated by commas; pii, credential and default stand for more",
        is_actions,
    ),
    knob(
        "hash-keys-secret",
        "NAME",
        "none",
        "the Secret with the keys of pseudonyms (action hash), each in NAME.key",
        is_name,
    ),
    knob(
        "hash-keys",
        "NAMES",
        "k1",
        "names of keys in that Secret, separated by commas; the first is that of new pseudonyms",
        is_key_list,
    ),
    knob(
        "tls-ca-secret",
        "NAME",
        "the system's authorities",
        "the Secret whose ca.crt is trusted for the upstream instead; with several packs PACK=NAME",
        is_secret,
    ),
    knob(
        "tls-cert-secret",
        "NAME",
        "none",
        "the Secret whose tls.crt and tls.key are shown to the upstream; with several packs PACK=NAME",
        is_secret,
    ),
    knob("profile", "PROFILE", "default", "default, credentials-only or strict: which rules are enabled", is_profile),
    knob("log-level", "LEVEL", "info", "error, warn, info, debug or trace", is_level),
    knob("log-format", "FORMAT", "json", "text or json", is_format),
    knob("port", "PORT", "8080, else a free one", "the sidecar's port for the application, on 127.0.0.1", is_port),
    knob("admin-port", "PORT", "9090, else a free one", "the sidecar's port for probes and metrics", is_port),
    knob("cpu-request", "QUANTITY", "50m", "CPU that the sidecar is sure of", is_quantity),
    knob("cpu-limit", "QUANTITY", "500m", "CPU that it gets at most", is_quantity),
    knob("memory-request", "QUANTITY", "32Mi", "memory that it is sure of; with rules 128Mi", is_quantity),
    knob("memory-limit", "QUANTITY", "64Mi", "memory that it gets at most; with rules 256Mi; at least 32Mi", is_memory),
    Knob {
        is_flag: false,
        ..knob("containers", "NAMES", "all", "containers whose variables are set, separated by commas", is_list)
    },
    knob(
        "keep-variables",
        "NAMES",
        "none",
        "variables that are left as they are, separated by commas: you have pointed them yourself",
        is_list,
    ),
];

/// The image of this version.
const DEFAULT_IMAGE: &str = concat!("ghcr.io/expurgate/expurgate:", env!("CARGO_PKG_VERSION"));
/// Request and limit of the memory with rules of one's own, which are judged at the start
/// and at each reload.
pub(super) const RULES_MEMORY: (&str, &str) = ("128Mi", "256Mi");
/// The ConfigMap with rules.
pub const RULES: &str = "expurgate-rules";

/// The knob of this name.
pub(super) fn find(name: &str) -> Option<&'static Knob> {
    KNOBS.iter().find(|knob| knob.name == name)
}

impl Knob {
    /// Whether it may have this value.
    ///
    /// # Errors
    /// With what would be right.
    pub fn check(&self, value: &str) -> Result<(), String> {
        (self.check)(value)
    }
}

/// Reads an annotation, and adds what it sets; others than ours set nothing.
///
/// # Errors
/// With what is wrong with it.
pub(super) fn read_annotation(name: &str, value: &str, settings: &mut Settings) -> Result<(), String> {
    let Some(own) = name.strip_prefix(PREFIX) else { return Ok(()) };
    if name == STATE {
        return Ok(());
    }
    let Some(knob) = find(own) else {
        let names: Vec<&str> = KNOBS.iter().map(|knob| knob.name).collect();
        let hint = match nearest(own, &names) {
            Some(near) => format!("did you mean {PREFIX}{near}?"),
            None => format!("known are {}", names.join(", ")),
        };
        return Err(format!("unknown annotation {name}; {hint}"));
    };
    knob.check(value).map_err(|why| format!("annotation {name}: {why}"))?;
    settings.insert(knob.name, value.to_owned());
    Ok(())
}

/// What does not go together: the name of the knob to blame, which is one that `is_own`,
/// and why.
pub(super) fn conflicts(settings: &Settings, is_own: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
    let is_set = |name: &str| settings.contains_key(name) && is_own(name);
    let mut conflicts = excesses(settings, is_set);
    for (name, key) in [("actions", "[route.policy]"), ("hash-keys", "[hash.keys]")] {
        if is_set(name) && settings.contains_key("config-configmap") {
            conflicts.push((name, format!("the configuration of config-configmap says this, in {key}; leave it out")));
        }
    }
    let without_keys = !settings.contains_key("hash-keys-secret") && !settings.contains_key("config-configmap");
    let hashes = settings.get("actions").is_some_and(|list| actions(list).any(|(_, action)| action == "hash"));
    if is_set("actions") && hashes && without_keys {
        conflicts.push(("actions", "hash needs keys; name their Secret with hash-keys-secret".to_owned()));
    }
    if is_set("hash-keys") && without_keys {
        conflicts.push(("hash-keys", "which Secret are they in? name it with hash-keys-secret".to_owned()));
    }
    conflicts
}

/// Requests that are above their limits, which Kubernetes refuses.
fn excesses(settings: &Settings, is_set: impl Fn(&str) -> bool) -> Vec<(&'static str, String)> {
    let pairs = [("memory", "memory-request", "memory-limit"), ("CPU", "cpu-request", "cpu-limit")];
    let excess = |(what, request, limit): (&str, &'static str, &'static str)| {
        let (asked, most) = (setting(settings, request), setting(settings, limit));
        match bytes(asked) > bytes(most) {
            true if is_set(request) => {
                Some((request, format!("\"{asked}\" is more than the {what} limit, {most}; raise that too")))
            }
            true if is_set(limit) => {
                Some((limit, format!("\"{most}\" is less than the {what} request, {asked}; lower that too")))
            }
            _ => None,
        }
    };
    pairs.into_iter().filter_map(excess).collect()
}

/// The members of a list that is separated by commas.
pub(super) fn members(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|member| !member.is_empty())
}

/// Entities, and what becomes of them.
pub(super) fn actions(list: &str) -> impl Iterator<Item = (&str, &str)> {
    members(list).map(|one| one.split_once('=').map_or((one, ""), |(entity, action)| (entity.trim(), action.trim())))
}

fn one_of(value: &str, known: &[&str]) -> Result<(), String> {
    if known.contains(&value) { Ok(()) } else { Err(format!("\"{value}\" is none of {}", known.join(", "))) }
}

fn is_bool(value: &str) -> Result<(), String> {
    one_of(value, &["true", "false"])
}

fn is_pull_policy(value: &str) -> Result<(), String> {
    one_of(value, &["Always", "IfNotPresent", "Never"])
}

fn is_profile(value: &str) -> Result<(), String> {
    let names: Vec<&str> = Profile::ALL.iter().map(|profile| profile.name()).collect();
    one_of(value, &names)
}

fn is_level(value: &str) -> Result<(), String> {
    value.parse::<LogLevel>().map(|_| ())
}

fn is_format(value: &str) -> Result<(), String> {
    value.parse::<LogFormat>().map(|_| ())
}

fn is_word(value: &str) -> Result<(), String> {
    let is_word = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
    is_word.then_some(()).ok_or_else(|| format!("\"{value}\" is no image; write one like {DEFAULT_IMAGE}"))
}

fn is_list(value: &str) -> Result<(), String> {
    members(value).next().map(|_| ()).ok_or_else(|| "names nothing; leave it out instead".to_owned())
}

/// As in `[route.policy]`. Options need a configuration.
fn is_actions(value: &str) -> Result<(), String> {
    is_list(value)?;
    for (entity, action) in actions(value) {
        let is_group = entity == "default" || Category::ALL.into_iter().any(|category| category.name() == entity);
        let in_entity = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if action.is_empty() || entity.is_empty() || !(is_group || entity.bytes().all(in_entity)) {
            return Err(format!("\"{entity}\" is not ENTITY=ACTION; write one like EMAIL_ADDRESS=hash"));
        }
        action.parse::<Action>().map_err(|unknown| unknown.to_string())?;
    }
    once(actions(value).map(|(entity, _)| entity))
}

/// Whether each of them is named once: of two nobody would know which counts.
fn once<'n>(names: impl Iterator<Item = &'n str>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    let mut names = names;
    names.find(|name| !seen.insert(*name)).map_or(Ok(()), |name| match name {
        "" => Err("there are two for all; leave one out, or write PACK= before each".to_owned()),
        name => Err(format!("{name} is named twice; leave one out")),
    })
}

fn is_key_list(value: &str) -> Result<(), String> {
    is_list(value)?;
    members(value).try_for_each(HashKey::check_id)?;
    once(members(value))
}

/// The name of a Secret, or `PACK=NAME` for each of several packs.
fn is_secret(value: &str) -> Result<(), String> {
    is_list(value)?;
    members(value).try_for_each(|one| is_name(one.split_once('=').map_or(one, |(_, name)| name.trim())))?;
    once(members(value).map(|one| one.split_once('=').map_or("", |(pack, _)| pack.trim())))
}

/// As Kubernetes names ConfigMaps and Secrets (RFC 1123).
fn is_name(value: &str) -> Result<(), String> {
    let is_label = |label: &str| {
        let inside = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        !label.is_empty() && inside && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_name = value.len() <= 253 && value.split('.').all(is_label);
    is_name.then_some(()).ok_or_else(|| format!("\"{value}\" is no name of a ConfigMap or Secret"))
}

fn is_port(value: &str) -> Result<(), String> {
    let is_port = value.parse::<u16>().is_ok_and(|port| port >= 1024) && !value.starts_with(['+', '0']);
    is_port.then_some(()).ok_or_else(|| format!("\"{value}\" is no port from 1024 to 65535"))
}

fn is_quantity(value: &str) -> Result<(), String> {
    let end = value.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(value.len());
    let (number, unit) = value.split_at(end);
    let is_number = number.starts_with(|first: char| first.is_ascii_digit()) && number.parse::<f64>().is_ok();
    let is_unit = ["", "m", "k", "M", "G", "Ki", "Mi", "Gi"].contains(&unit);
    (is_number && is_unit).then_some(()).ok_or_else(|| format!("\"{value}\" is no quantity like 500m or 64Mi"))
}

/// What is less ends the process that needs it.
fn is_memory(value: &str) -> Result<(), String> {
    is_quantity(value)?;
    let enough = bytes(value) >= 32.0 * 1024.0 * 1024.0;
    enough.then_some(()).ok_or_else(|| format!("\"{value}\" is less than the 32Mi that it needs"))
}

/// A URL, or `PACK=URL` for each of several packs.
fn is_upstream(value: &str) -> Result<(), String> {
    members(value).try_for_each(|one| {
        let url = one.split_once('=').map_or(one, |(_, url)| url);
        url.parse::<Upstream>().map(|_| ())
    })?;
    once(members(value).map(|one| one.split_once('=').map_or("", |(pack, _)| pack.trim())))?;
    is_list(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_default_is_a_value_that_may_be_set() {
        for knob in KNOBS.iter().filter(|knob| !knob.default.contains([' ', '\'']) && !knob.default.is_empty()) {
            assert!(["all", "none"].contains(&knob.default) || knob.check(knob.default).is_ok(), "{}", knob.name);
        }
    }

    #[test]
    fn an_unknown_annotation_is_told_with_the_near_name() {
        let mut settings = Settings::new();
        let told = read_annotation("expurgate.dev/memory-limits", "1Gi", &mut settings).unwrap_err();
        assert_eq!(told, "unknown annotation expurgate.dev/memory-limits; did you mean expurgate.dev/memory-limit?");
        let told = read_annotation("expurgate.dev/x", "1", &mut settings).unwrap_err();
        assert!(told.contains("known are inject, protocol"), "{told}");
        read_annotation("example.com/x", "1", &mut settings).unwrap();
        assert!(settings.is_empty());
    }

    #[test]
    fn values_are_checked() {
        for (name, wrong) in [
            ("inject", "no"),
            ("protocol", " ,"),
            ("upstream", "api.openai.com"),
            ("upstream", "openai=ftp://x"),
            ("image", "a b"),
            ("image-pull-policy", "always"),
            ("rules-configmap", "My_Rules"),
            ("actions", "EMAIL_ADDRESS"),
            ("actions", "email=hash"),
            ("actions", "EMAIL_ADDRESS=hide"),
            ("hash-keys-secret", "a/b"),
            ("hash-keys", "k1,../k2"),
            ("hash-keys", "k1,k1"),
            ("actions", "EMAIL_ADDRESS=hash, EMAIL_ADDRESS=mask"),
            ("upstream", "openai=https://a, openai=https://b"),
            ("upstream", "https://a, https://b"),
            ("tls-ca-secret", "openai=a,openai=b"),
            ("tls-cert-secret", "a,b"),
            ("tls-ca-secret", "otlp=A"),
            ("tls-cert-secret", "a b"),
            ("profile", "weak"),
            ("log-level", "loud"),
            ("log-format", "xml"),
            ("port", "80"),
            ("port", "08080"),
            ("admin-port", "70000"),
            ("cpu-limit", "500 m"),
            ("memory-limit", "64MiB"),
            ("memory-limit", "."),
            ("memory-limit", "16Mi"),
            ("memory-limit", "500m"),
            ("containers", ""),
        ] {
            let name = format!("{PREFIX}{name}");
            let told = read_annotation(&name, wrong, &mut Settings::new()).unwrap_err();
            assert!(told.starts_with(&format!("annotation {name}: ")), "{told}");
        }
        let mut settings = Settings::new();
        for (name, value) in [("upstream", "openai=https://a.example, x=http://b.example:1"), ("cpu-limit", "1.5")] {
            read_annotation(&format!("{PREFIX}{name}"), value, &mut settings).unwrap();
            assert_eq!(settings[name], value);
        }
    }
}
