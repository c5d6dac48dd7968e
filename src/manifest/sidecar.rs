//! The container that is added, and its volumes.

use super::endpoint::lists;
use super::knob::{RULES, Settings, actions, find};
use super::node::{Map, Node};
use super::secret::{Secret, secrets};
use super::state::SIDECAR;

/// Where the rules are in the sidecar.
const RULES_PATH: &str = "/etc/expurgate/rules";
/// Where its configuration is.
const CONFIG_PATH: &str = "/etc/expurgate/config";
const CONFIG_FILE: &str = "/etc/expurgate/config/config.toml";
const RULES_VOLUME: &str = "expurgate-rules";
const CONFIG_VOLUME: &str = "expurgate-config";
/// The name of the port for probes and metrics.
const ADMIN_PORT: &str = "metrics";
/// What of the memory's limit bodies may take, which are held to be redacted.
const BUFFERED_PART: f64 = 8.0;
/// An application is one client: more connections than this are a mistake of it, and
/// would not fit into the memory.
const CONNECTIONS: &str = "256";

/// The ports of a sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) listener: u16,
    pub(super) admin: u16,
}

/// Where a sidecar sends what comes to one of its names.
#[derive(Debug)]
pub(super) struct Route {
    /// The pack's name; `None` for any.
    pub(super) pack: Option<String>,
    /// By which it is told from others; `None` for the only one.
    pub(super) host: Option<String>,
    /// `None` if its configuration says so.
    pub(super) upstream: Option<String>,
    /// The Secret with the authority that is trusted instead of the system's.
    pub(super) ca: Option<String>,
    /// The Secret with the certificate that the upstream is shown.
    pub(super) certificate: Option<String>,
}

/// The ports that a pod leaves free, unless they are set.
///
/// # Errors
/// When one that is set is taken.
pub(super) fn ports(spec: &Node, settings: &Settings) -> Result<Ports, String> {
    let taken = taken(spec);
    let choose = |name: &str, usual: u16, other: Option<u16>| match settings.get(name).and_then(|set| set.parse().ok())
    {
        Some(set) if taken.contains(&set) || other == Some(set) => {
            Err(format!("the {name} {set} is used by another container, or twice; set another one"))
        }
        Some(set) => Ok(set),
        None => {
            let free = |port: &u16| !taken.contains(port) && other != Some(*port);
            let mut ports = std::iter::once(usual).chain(usual + 10_000..);
            ports.find(free).ok_or_else(|| format!("no free port; set {name}"))
        }
    };
    let listener = choose("port", 8080, None)?;
    Ok(Ports { listener, admin: choose("admin-port", 9090, Some(listener))? })
}

/// Ports that containers name, in whatever way they tell: to listen on one needs no
/// word of it in a manifest.
fn taken(spec: &Node) -> Vec<u16> {
    let mut taken = Vec::new();
    for container in ["initContainers", "containers"].iter().flat_map(|kind| spec.items(kind)) {
        let port = |node: &Node, key: &str| node.text_of(key)?.parse::<u16>().ok();
        taken.extend(container.items("ports").iter().filter_map(|own| port(own, "containerPort")));
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            for kind in ["httpGet", "tcpSocket", "grpc"] {
                taken.extend(container.at(&[probe, kind]).and_then(|target| port(target, "port")));
            }
        }
        let is_port = |entry: &&Node| entry.text_of("name").is_some_and(|name| name.ends_with("PORT"));
        taken.extend(container.items("env").iter().filter(is_port).filter_map(|own| port(own, "value")));
    }
    taken
}

/// The container.
pub(super) fn container(settings: &Settings, routes: &[Route], ports: Ports) -> Node {
    let value = |name: &str| Node::text(setting(settings, name));
    let mut container = Node::map([("name", Node::text(SIDECAR)), ("image", value("image"))]);
    let map = container.as_map_mut().expect("it is one");
    if let Some(policy) = settings.get("image-pull-policy") {
        map.set("imagePullPolicy", Node::text(policy));
    }
    map.set("args", Node::List(vec![Node::text("run")]));
    map.set("restartPolicy", Node::text("Always"));
    map.set("env", Node::List(environment(settings, routes, ports)));
    let port = [("name", Node::text(ADMIN_PORT)), ("containerPort", Node::plain(ports.admin.to_string()))];
    map.set("ports", Node::List(vec![Node::map(port)]));
    // Not `/readyz`, and soon: the application waits for it, whatever the upstream does.
    map.set("startupProbe", probe("/livez", 1, 60));
    map.set("livenessProbe", probe("/livez", 10, 3));
    map.set("readinessProbe", probe("/readyz", 5, 3));
    let resources = ["requests", "limits"].map(|kind| {
        let one = kind.trim_end_matches('s');
        (kind, Node::map(["cpu", "memory"].map(|what| (what, value(&format!("{what}-{one}"))))))
    });
    map.set("resources", Node::map(resources));
    map.set("securityContext", security());
    map.set("volumeMounts", Node::List(mounts(settings, &secrets(settings, routes))));
    container
}

/// What is set, else what holds without it.
pub(super) fn setting<'s>(settings: &'s Settings, name: &str) -> &'s str {
    let default = || find(name).map_or("", |knob| knob.default);
    settings.get(name).map_or_else(default, String::as_str)
}

fn environment(settings: &Settings, routes: &[Route], ports: Ports) -> Vec<Node> {
    let own = |name: &str, value: String| (format!("EXPURGATE_{name}"), value);
    let mut variables = vec![
        own("LISTEN", format!("127.0.0.1:{}", ports.listener)),
        own("ADMIN", format!("0.0.0.0:{}", ports.admin)),
        own("RULES", RULES_PATH.to_owned()),
    ];
    // What a configuration says of them is not overruled.
    if settings.contains_key("config-configmap") {
        variables.push(own("CONFIG", CONFIG_FILE.to_owned()));
    } else {
        let buffered = bytes(setting(settings, "memory-limit")) / BUFFERED_PART;
        variables.push(own("LIMITS_MAX_BUFFERED", format!("{buffered:.0}")));
        variables.push(own("LIMITS_MAX_CONNECTIONS", CONNECTIONS.to_owned()));
        variables.push(own("LOG_FORMAT", setting(settings, "log-format").to_owned()));
    }
    for (index, route) in routes.iter().enumerate() {
        let prefix = if routes.len() == 1 { String::new() } else { format!("ROUTE_{index}_") };
        let name = route.pack.as_ref().filter(|_| routes.len() > 1);
        let keys = [("NAME", name), ("HOST", route.host.as_ref()), ("PROTOCOL", route.pack.as_ref())];
        let keys = keys.into_iter().chain([("UPSTREAM", route.upstream.as_ref())]);
        variables.extend(keys.filter_map(|(key, value)| Some(own(&format!("{prefix}{key}"), value?.clone()))));
    }
    variables.extend(policies(settings, routes.len()).map(|(key, action)| own(&key, action)));
    let files = secrets(settings, routes).into_iter().flat_map(|secret| secret.variables);
    variables.extend(files.map(|(name, value)| own(&name, value)));
    for (name, knob) in [("PROFILE", "profile"), ("LOG", "log-level"), ("LOG_FORMAT", "log-format")] {
        let is_set = variables.iter().any(|(set, _)| set.strip_prefix("EXPURGATE_") == Some(name));
        variables.extend(settings.get(knob).filter(|_| !is_set).map(|value| own(name, value.clone())));
    }
    let entry = |(name, value): (String, String)| Node::map([("name", Node::text(name)), ("value", Node::text(value))]);
    variables.into_iter().map(entry).collect()
}

/// What becomes of findings on each route, unless a configuration says so.
fn policies(settings: &Settings, routes: usize) -> impl Iterator<Item = (String, String)> {
    let list = settings.get("actions").filter(|_| !settings.contains_key("config-configmap"));
    (0..routes).flat_map(move |route| {
        let key = move |entity: &str| format!("ROUTE_{route}_POLICY_{}", entity.to_ascii_uppercase());
        let all = list.into_iter().flat_map(|list| actions(list));
        all.map(move |(entity, action)| (key(entity), action.to_owned()))
    })
}

/// How many bytes a quantity is that has been checked.
pub(super) fn bytes(quantity: &str) -> f64 {
    let end = quantity.find(|char: char| char.is_ascii_alphabetic()).unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(end);
    let factor = match unit {
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        _ => 1.0,
    };
    number.parse().unwrap_or(0.0) * factor
}

fn probe(path: &str, period: u16, failures: u16) -> Node {
    Node::map([
        ("httpGet", Node::map([("path", Node::text(path)), ("port", Node::text(ADMIN_PORT))])),
        ("periodSeconds", Node::plain(period.to_string())),
        ("failureThreshold", Node::plain(failures.to_string())),
    ])
}

fn security() -> Node {
    Node::map([
        ("allowPrivilegeEscalation", Node::plain("false")),
        ("capabilities", Node::map([("drop", Node::List(vec![Node::text("ALL")]))])),
        ("readOnlyRootFilesystem", Node::plain("true")),
        ("runAsNonRoot", Node::plain("true")),
        ("runAsUser", Node::plain("65532")),
        ("runAsGroup", Node::plain("65532")),
        ("seccompProfile", Node::map([("type", Node::text("RuntimeDefault"))])),
    ])
}

fn mounts(settings: &Settings, secrets: &[Secret]) -> Vec<Node> {
    let mount = |name: &str, path: &str| {
        Node::map([("name", Node::text(name)), ("mountPath", Node::text(path)), ("readOnly", Node::plain("true"))])
    };
    let config = settings.get("config-configmap").map(|_| mount(CONFIG_VOLUME, CONFIG_PATH));
    let secrets = secrets.iter().map(|secret| mount(&secret.volume, &secret.path));
    std::iter::once(mount(RULES_VOLUME, RULES_PATH)).chain(config).chain(secrets).collect()
}

/// The volumes. The rules' ConfigMap has to be there if it was given; Secrets always.
pub(super) fn volumes(settings: &Settings, routes: &[Route], rules_are_given: bool) -> Vec<Node> {
    let volume = |name: &str, config_map: &str, optional: bool| {
        let mut source = Map::default();
        source.set("name", Node::text(config_map));
        if optional {
            source.set("optional", Node::plain("true"));
        }
        Node::map([("name", Node::text(name)), ("configMap", Node::Map(source))])
    };
    let rules = settings.get("rules-configmap").map_or(RULES, String::as_str);
    let config = settings.get("config-configmap").map(|name| volume(CONFIG_VOLUME, name, false));
    let secrets = secrets(settings, routes).into_iter().map(|secret| {
        let source = Node::map([("secretName", Node::text(secret.name))]);
        Node::map([("name", Node::text(secret.volume)), ("secret", source)])
    });
    std::iter::once(volume(RULES_VOLUME, rules, !rules_are_given)).chain(config).chain(secrets).collect()
}

/// Whether variables of this name stay as they are.
pub(super) fn keeps(settings: &Settings, variable: &str) -> bool {
    lists(settings.get("keep-variables"), variable)
}
