//! The variables by which SDKs are pointed at the sidecar, as protocol packs name
//! them, and what those that are set already say.

use super::knob::members;
use super::node::{Map, Node};
use super::state::{Change, Was};
use crate::config::Upstream;
use crate::rule::protocol::{Pack, Variable};

/// Stand for the sidecar in the value of a pack's variable.
const LISTENER: &str = "{listener}";
const HOST: &str = "{host}";
/// In the values of DSNs.
const KEY: &str = "PUBLIC_KEY";
const PROJECT: &str = "PROJECT";

/// A variable of a pack, and where it shall point.
#[derive(Debug)]
pub(super) struct Endpoint<'p> {
    pub(super) name: &'p str,
    template: &'p str,
    /// Whether it is left out where it is not set.
    pub(super) if_set: bool,
    /// Host and port of the sidecar.
    host: String,
}

/// What the value of a variable says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// That requests go to the sidecar already.
    Sidecar,
    /// Where requests go.
    Upstream(Upstream),
    /// Nothing that is understood.
    Unclear,
}

impl<'p> Endpoint<'p> {
    /// Those that a pack names; what its SDKs are given in their code is none.
    pub(super) fn of(pack: &'p Pack, host: &str) -> Vec<Self> {
        let variables = pack.environment.iter().filter(|variable| is_name(&variable.name));
        variables.map(|variable| Self::new(variable, host)).collect()
    }

    fn new(variable: &'p Variable, host: &str) -> Self {
        Self { name: &variable.name, template: &variable.value, if_set: variable.if_set, host: host.to_owned() }
    }

    /// Whether its value holds something that nobody but the user knows.
    pub(super) fn is_dsn(&self) -> bool {
        self.template.contains(KEY)
    }

    /// The value that points at the sidecar; for a DSN, with the key and the project of
    /// the one that is there.
    pub(super) fn value(&self, was: Option<&str>) -> Result<String, String> {
        let listener = format!("http://{}", self.host);
        let value = self.template.replace(LISTENER, &listener).replace(HOST, &self.host);
        if !self.is_dsn() {
            return Ok(value);
        }
        let dsn = was.and_then(Dsn::read);
        let dsn = dsn.ok_or_else(|| format!("{} is no DSN like https://KEY@HOST/PROJECT", self.name))?;
        Ok(value.replace(KEY, dsn.key).replace(PROJECT, dsn.project))
    }

    /// What a value says.
    pub(super) fn says(&self, value: &str) -> Says {
        if self.value(Some(value)).is_ok_and(|own| own.trim_end_matches('/') == value.trim_end_matches('/')) {
            return Says::Sidecar;
        }
        let upstream = if self.is_dsn() {
            Dsn::read(value).map(|dsn| format!("{}://{}", dsn.scheme, dsn.host))
        } else {
            let suffix = self.template.rsplit('}').next().unwrap_or_default();
            value.trim_end_matches('/').strip_suffix(suffix).map(str::to_owned)
        };
        let is_known = self.template.starts_with(LISTENER) || self.is_dsn();
        let upstream = upstream.filter(|_| is_known).and_then(|url| url.parse().ok());
        upstream.map_or(Says::Unclear, Says::Upstream)
    }

    /// What stands in a container, its value if it is written there. `None` if it does
    /// not stand there.
    pub(super) fn find<'n>(&self, container: &'n Node) -> Result<Option<Option<&'n str>>, String> {
        let mut entries = container.items("env").iter().filter(|entry| entry.text_of("name") == Some(self.name));
        let Some(entry) = entries.next() else { return Ok(None) };
        if entries.next().is_some() {
            return Err(format!("{} is set twice; keep one", self.name));
        }
        match entry.at(&["valueFrom"]).filter(|from| !from.is_empty()) {
            Some(from) => Err(self.elsewhere(from)),
            None => Ok(Some(entry.text_of("value"))),
        }
    }

    /// What to do about a value that is kept somewhere else.
    fn elsewhere(&self, from: &Node) -> String {
        let name = self.name;
        let reference = from.as_map().and_then(|from| from.iter().next());
        let place = match reference.map(|(kind, reference)| (kind.text.as_str(), reference)) {
            Some(("secretKeyRef", reference)) => format!("Secret {}", reference.text_of("name").unwrap_or("?")),
            Some(("configMapKeyRef", reference)) => format!("ConfigMap {}", reference.text_of("name").unwrap_or("?")),
            _ => "elsewhere (valueFrom)".to_owned(),
        };
        let value = self.value(None).unwrap_or_else(|_| self.template.replace(HOST, &self.host));
        let what = if self.is_dsn() { "the DSN (its key is public)" } else { "it" };
        format!(
            "{name} comes from {place}, which is not seen here: write {what} as a value instead, or let it say {value} \
             there, add the annotation expurgate.dev/keep-variables: {name}, and name the upstream"
        )
    }

    /// Sets it in a container that has been looked at. `None` if it is set already, or
    /// cannot be.
    pub(super) fn set(&self, variables: &mut Vec<Node>) -> Option<Change> {
        let name = self.name.to_owned();
        let own = variables.iter_mut().find(|entry| entry.text_of("name") == Some(self.name));
        let Some(entry) = own.and_then(Node::as_map_mut) else {
            let set = self.value(None).ok().filter(|_| !self.if_set)?;
            variables.insert(0, Node::map([("name", Node::text(self.name)), ("value", Node::text(&set))]));
            return Some(Change { name, set, was: Was::Absent });
        };
        let was = entry.get("value").cloned();
        let set = self.value(was.as_ref().and_then(Node::as_text)).ok()?;
        if was.as_ref().and_then(Node::as_text) == Some(&set) {
            return None;
        }
        set_value(entry, &set);
        Some(Change { name, set, was: was.map_or(Was::WithoutValue, Was::Value) })
    }
}

fn set_value(entry: &mut Map, value: &str) {
    entry.set("value", Node::text(value));
}

/// Whether it is the name of a variable, and not of an argument.
fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// How SDKs are pointed at the sidecar that no variable points: for a warning.
pub(super) fn in_code(pack: &Pack, host: &str) -> Vec<String> {
    let arguments = pack.environment.iter().filter(|variable| !is_name(&variable.name));
    let shown = arguments.map(|argument| {
        let value = argument.value.replace(LISTENER, &format!("http://{host}")).replace(HOST, host);
        let sdk = argument.sdk.as_ref().map_or_else(String::new, |sdk| format!(" ({sdk})"));
        format!("{}={value}{sdk}", argument.name)
    });
    shown.collect()
}

/// Whether one of a list of names, separated by commas, is this.
pub(super) fn lists(names: Option<&String>, name: &str) -> bool {
    names.is_some_and(|names| members(names).any(|one| one == name))
}

/// `https://KEY@HOST/PROJECT`; a path before the project belongs to it here, a secret
/// behind the key is of old and goes.
struct Dsn<'t> {
    scheme: &'t str,
    key: &'t str,
    host: &'t str,
    project: &'t str,
}

impl<'t> Dsn<'t> {
    fn read(text: &'t str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (user, rest) = rest.split_once('@')?;
        let (host, project) = rest.split_once('/')?;
        let key = user.split(':').next()?;
        let project = project.trim_end_matches('/');
        let is_whole = matches!(scheme, "http" | "https") && !key.is_empty() && !host.is_empty() && !project.is_empty();
        is_whole.then_some(Self { scheme, key, host, project })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::protocol::Packs;

    const HOST_PORT: &str = "127.0.0.1:8080";

    fn value(pack: &str, was: Option<&str>) -> Result<String, String> {
        let packs = Packs::builtin().unwrap();
        Endpoint::of(packs.find(pack).unwrap(), HOST_PORT)[0].value(was)
    }

    fn says(pack: &str, value: &str) -> String {
        let packs = Packs::builtin().unwrap();
        match Endpoint::of(packs.find(pack).unwrap(), HOST_PORT)[0].says(value) {
            Says::Upstream(upstream) => upstream.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn values_are_those_of_the_pack() {
        assert_eq!(value("openai", None).unwrap(), "http://127.0.0.1:8080/v1");
        assert_eq!(value("langfuse", Some("x")).unwrap(), "http://127.0.0.1:8080");
        let dsn = value("sentry", Some("https://abc:old@o1.ingest.sentry.io/sub/42/")).unwrap();
        assert_eq!(dsn, "http://abc@127.0.0.1:8080/sub/42");
        for wrong in ["", "https://o1.ingest.sentry.io/42", "https://@h/1", "https://k@h/", "k@h/1"] {
            assert!(value("sentry", Some(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_value_tells_where_requests_went() {
        assert_eq!(says("openai", "https://gateway.example/llm/v1/"), "https://gateway.example/llm");
        assert_eq!(says("openai", "https://gateway.example/v2"), "Unclear");
        assert_eq!(says("openai", "http://127.0.0.1:8080/v1/"), "Sidecar");
        assert_eq!(says("otlp", "http://collector:4318"), "http://collector:4318");
        assert_eq!(says("otlp", "collector:4318"), "Unclear");
        assert_eq!(says("sentry", "https://abc@o1.ingest.sentry.io/42"), "https://o1.ingest.sentry.io");
        assert_eq!(says("sentry", "http://abc@127.0.0.1:8080/42"), "Sidecar");
    }

    #[test]
    fn what_the_code_is_given_is_no_variable() {
        let packs = Packs::builtin().unwrap();
        let amplitude = packs.find("amplitude").unwrap();
        assert!(Endpoint::of(amplitude, HOST_PORT).is_empty());
        assert!(in_code(amplitude, HOST_PORT)[0].starts_with("server_url=http://127.0.0.1:8080/2/httpapi (Python"));
        for pack in packs.iter() {
            let count = Endpoint::of(pack, HOST_PORT).len() + in_code(pack, HOST_PORT).len();
            assert_eq!(count, pack.environment.len(), "{}", pack.name);
        }
    }
}
