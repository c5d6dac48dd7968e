//! Pods with a sidecar: what is put in, and what is refused because it would go past
//! it or break.

mod caution;

use super::endpoint::{Endpoint, Says, lists};
use super::knob::{LABEL, PREFIX, RULES, RULES_MEMORY, STATE, Settings, conflicts, find, members, read_annotation};
use super::node::{Map, Node};
use super::sidecar::{self, Ports, Route};
use super::state::{self, DOMAIN, SIDECAR, State, VOLUMES, variables_of};
use crate::config::Upstream;
use crate::rule::Ruleset;
use crate::rule::protocol::{Pack, Packs};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Puts sidecars into pods.
#[derive(Debug)]
pub struct Injector {
    packs: Packs,
    settings: Settings,
    rules_are_given: bool,
    /// Whether there is anything in them to be judged.
    rules_are_judged: bool,
    /// What the rules find that are known here; none if that is not looked at.
    entities: BTreeSet<String>,
}

/// What became of a pod.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it has a sidecar now.
    pub is_injected: bool,
    /// What the user should look at.
    pub warnings: Vec<String>,
}

impl Injector {
    /// With settings for all pods. `rules_are_given` when the ConfigMap with rules comes
    /// with the pods, so that none starts without it.
    ///
    /// # Errors
    /// With what is wrong with a setting.
    pub fn new(packs: Packs, settings: Settings, rules_are_given: bool) -> Result<Self, String> {
        for (name, value) in &settings {
            find(name).map_or(Ok(()), |knob| knob.check(value)).map_err(|why| format!("--{name}: {why}"))?;
        }
        let injector =
            Self { packs, settings, rules_are_given, rules_are_judged: rules_are_given, entities: BTreeSet::new() };
        let settings = injector.with_memory(injector.settings.clone());
        if let Some((name, why)) = conflicts(&settings, |_| true).into_iter().next() {
            return Err(format!("--{name}: {why}"));
        }
        injector.chosen(&injector.settings)?;
        Ok(injector)
    }

    /// The same, which warns of actions for entities that none of these rules finds. Those
    /// that came with the program are the ones that need no memory to be judged.
    #[must_use]
    pub fn knowing(self, ruleset: &Ruleset) -> Self {
        let entities = ruleset.rules.iter().map(|rule| rule.entity.clone()).collect();
        let is_own = ruleset.rules.iter().any(|rule| !rule.builtin || rule.changes.is_some());
        Self { entities, rules_are_judged: self.rules_are_given && is_own, ..self }
    }

    /// The settings with the memory that rules of one's own need to be judged, where some
    /// come along or are named, unless it is set.
    fn with_memory(&self, mut settings: Settings) -> Settings {
        let has_rules = self.rules_are_judged || settings.contains_key("rules-configmap");
        if has_rules && !settings.contains_key("memory-limit") {
            settings.entry("memory-request").or_insert_with(|| RULES_MEMORY.0.to_owned());
            settings.insert("memory-limit", RULES_MEMORY.1.to_owned());
        }
        settings
    }

    /// All that are known.
    pub(super) fn packs(&self) -> &Packs {
        &self.packs
    }

    /// The name of the ConfigMap with rules of a pod.
    pub fn rules_of<'s>(&'s self, template: &'s Node) -> &'s str {
        let own = template.at(&["metadata", "annotations", &format!("{PREFIX}rules-configmap")]);
        let set = own.and_then(Node::as_text).or_else(|| self.settings.get("rules-configmap").map(String::as_str));
        set.unwrap_or(RULES)
    }

    /// Puts the sidecar into the template of a pod, in the place of one that is there.
    ///
    /// # Errors
    /// With all that is in the way. Then the template is changed halfway.
    pub fn inject(&self, template: &mut Node) -> Result<Outcome, Vec<String>> {
        let settings = self.settings_of(template)?;
        state::remove(template).map_err(|why| vec![why])?;
        if settings.get("inject").is_some_and(|inject| inject == "false") {
            return Ok(Outcome::default());
        }
        let Some(spec) = template.at(&["spec"]).filter(|spec| spec.as_map().is_some()) else {
            return Err(vec!["it has no spec".to_owned()]);
        };
        let mut problems = hindrances(spec, &settings);
        let ports = sidecar::ports(spec, &settings).map_err(|why| problems.push(why)).ok();
        let packs = self.chosen(&settings).map_err(|why| problems.push(why)).ok();
        let (Some(ports), Some(packs)) = (ports, packs) else { return Err(problems) };
        let mut plan = Plan::new(&packs, &settings, ports);
        plan.look(spec, &mut problems);
        let routes = plan.routes(&mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        plan.apply(template, &routes, self.rules_are_given);
        let mut warnings = plan.warnings;
        warnings.extend(self.warn_of_entities(&settings));
        warnings.extend(Self::warn_of_keys(&settings));
        warnings.extend(self.warn_of_detours(template, &settings));
        Ok(Outcome { is_injected: true, warnings })
    }

    /// What holds for a pod.
    pub(super) fn settings_of(&self, template: &Node) -> Result<Settings, Vec<String>> {
        let (mut settings, mut problems) = (self.settings.clone(), Vec::new());
        if let Some(annotations) = template.at(&["metadata", "annotations"]).and_then(Node::as_map) {
            for (name, value) in annotations.iter() {
                let value = value.as_text().unwrap_or_default();
                problems.extend(read_annotation(&name.text, value, &mut settings).err());
            }
            settings = self.with_memory(settings);
            let is_own = |name: &str| annotations.get(&format!("{PREFIX}{name}")).is_some();
            let conflicts = conflicts(&settings, is_own).into_iter();
            problems.extend(conflicts.map(|(name, why)| format!("annotation {PREFIX}{name}: {why}")));
        }
        if problems.is_empty() { Ok(self.with_memory(settings)) } else { Err(problems) }
    }

    /// The packs that settings name.
    pub(super) fn chosen(&self, settings: &Settings) -> Result<Vec<Arc<Pack>>, String> {
        let names = settings.get("protocol").map_or("", String::as_str);
        let mut chosen: Vec<Arc<Pack>> = Vec::new();
        for name in members(names).filter(|name| *name != "auto") {
            let pack = self.packs.find(name)?;
            let own = Endpoint::of(pack, "");
            let shared = |other: &&Arc<Pack>| {
                Endpoint::of(other, "").iter().any(|theirs| own.iter().any(|own| own.name == theirs.name))
            };
            match chosen.iter().find(shared) {
                Some(other) if other.name == pack.name => return Err(format!("protocol {name} is named twice")),
                Some(other) => {
                    let other = &other.name;
                    return Err(format!("protocols {other} and {name} are told by the same variable; choose one"));
                }
                None => chosen.push(Arc::clone(pack)),
            }
        }
        Ok(chosen)
    }
}

/// What no sidecar can be put into.
fn hindrances(spec: &Node, settings: &Settings) -> Vec<String> {
    let mut problems = Vec::new();
    let is_true = |key: &str| spec.text_of(key) == Some("true");
    if is_true("hostNetwork") {
        problems.push(format!(
            "it has hostNetwork: true, so the sidecar's ports would be the node's; leave it out with the annotation \
             {PREFIX}inject: \"false\", and point it at a gateway"
        ));
    }
    if spec.at(&["os"]).and_then(|os| os.text_of("name")) == Some("windows") {
        problems
            .push(format!("it runs on Windows, the sidecar does not; set the annotation {PREFIX}inject: \"false\""));
    }
    let containers = || ["initContainers", "containers"].into_iter().flat_map(|kind| spec.items(kind));
    if containers().any(|container| container.text_of("name") == Some(SIDECAR)) {
        problems.push(format!(
            "it has a container called {SIDECAR} that inject did not put in; take it out, or set the annotation \
             {PREFIX}inject: \"false\""
        ));
    }
    let volumes = spec.items("volumes").iter().filter_map(|volume| volume.text_of("name"));
    for name in volumes.filter(|name| name.starts_with(VOLUMES)) {
        problems.push(format!("its volume {name} has a name of the sidecar's; call it otherwise"));
    }
    for name in settings.get("containers").into_iter().flat_map(|names| members(names)) {
        if !containers().any(|container| container.text_of("name") == Some(name)) {
            problems.push(format!("annotation {PREFIX}containers: there is no container {name}"));
        }
    }
    if spec.items("containers").is_empty() {
        problems.push("it has no containers".to_owned());
    }
    problems
}

/// What will be done to a pod.
struct Plan<'p> {
    packs: &'p [Arc<Pack>],
    settings: &'p Settings,
    ports: Ports,
    /// The variables of each pack, and host and port that they point at.
    endpoints: Vec<(Vec<Endpoint<'p>>, String)>,
    /// Where the variables of each pack pointed, with the first that did.
    said: Vec<BTreeMap<String, String>>,
    warnings: Vec<String>,
}

impl<'p> Plan<'p> {
    fn new(packs: &'p [Arc<Pack>], settings: &'p Settings, ports: Ports) -> Self {
        let endpoints = packs.iter().map(|pack| {
            let host = format!("{}:{}", host(pack, packs).unwrap_or("127.0.0.1".to_owned()), ports.listener);
            (Endpoint::of(pack, &host), host)
        });
        let said = vec![BTreeMap::new(); packs.len()];
        Self { packs, settings, ports, endpoints: endpoints.collect(), said, warnings: Vec::new() }
    }

    /// Whether variables are set in a container.
    fn is_meant(&self, container: &Node) -> bool {
        let chosen = self.settings.get("containers");
        container.text_of("name").is_some_and(|name| chosen.is_none() || lists(chosen, name))
    }

    fn containers<'n>(&self, spec: &'n Node) -> Vec<&'n Node> {
        let all = ["initContainers", "containers"].into_iter().flat_map(|kind| spec.items(kind));
        all.filter(|container| self.is_meant(container)).collect()
    }

    /// Looks at the variables that are set.
    fn look(&mut self, spec: &Node, problems: &mut Vec<String>) {
        for container in self.containers(spec) {
            let name = container.text_of("name").unwrap_or_default();
            for (index, (endpoints, _)) in self.endpoints.iter().enumerate() {
                for endpoint in endpoints.iter().filter(|own| !sidecar::keeps(self.settings, own.name)) {
                    let found = match endpoint.find(container) {
                        Ok(found) => found.flatten(),
                        Err(why) => {
                            problems.push(format!("container {name}: {why}"));
                            continue;
                        }
                    };
                    let Some(value) = found.filter(|value| !value.is_empty()) else { continue };
                    let upstream = match endpoint.says(value) {
                        Says::Upstream(upstream) => upstream.to_string(),
                        Says::Sidecar => continue,
                        Says::Unclear if self.is_told(index) && endpoint.value(Some(value)).is_ok() => continue,
                        Says::Unclear => {
                            problems.push(format!(
                                "container {name}: {} does not tell where requests go; name the upstream",
                                endpoint.name
                            ));
                            continue;
                        }
                    };
                    self.said[index].entry(upstream).or_insert_with(|| format!("{} of {name}", endpoint.name));
                }
            }
            self.warnings.extend(self.cautions(container, name));
        }
        self.warn_of_code(spec);
    }

    /// Whether the user says where requests of a pack go.
    fn is_told(&self, index: usize) -> bool {
        self.told("upstream", index).is_some() || self.settings.contains_key("config-configmap")
    }

    /// What a setting says of a pack, which may name it: `PACK=VALUE`.
    fn told(&self, knob: &str, index: usize) -> Option<&str> {
        let own = self.packs.get(index).map(|pack| pack.name.as_str());
        let mut values = members(self.settings.get(knob)?);
        values.find_map(|one| match one.split_once('=') {
            Some((pack, told)) if pack.parse::<Upstream>().is_err() => (Some(pack.trim()) == own).then(|| told.trim()),
            _ => (self.packs.len() < 2).then_some(one),
        })
    }

    /// Settings that may name a pack name those that are there, and with several always.
    fn check_names(&self, problems: &mut Vec<String>) {
        for (knob, value) in [("upstream", "URL"), ("tls-ca-secret", "NAME"), ("tls-cert-secret", "NAME")] {
            let Some(told) = self.settings.get(knob) else { continue };
            let known = |name: &str| self.packs.iter().any(|pack| pack.name == name);
            let named = members(told).filter_map(|one| one.split_once('=')).map(|(name, _)| name.trim());
            problems
                .extend(named.filter(|name| !known(name)).map(|name| format!("{knob}: {name} is no protocol named")));
            if self.packs.len() > 1 && members(told).any(|one| !one.contains('=')) {
                problems.push(format!("{knob}: with several protocols write PACK={value} for each that needs one"));
            }
        }
    }

    /// The route of a pack, with the Secrets that are for it.
    fn route(
        &self,
        index: usize,
        pack: Option<String>,
        host: Option<String>,
        upstream: Option<String>,
        problems: &mut Vec<String>,
    ) -> Route {
        let [ca, certificate] = ["tls-ca-secret", "tls-cert-secret"].map(|knob| {
            let name = self.told(knob, index)?;
            if let Some(plain) = upstream.as_ref().filter(|upstream| upstream.starts_with("http://")) {
                problems.push(format!("{knob}: {plain} has no TLS; write https://, or leave it out"));
            }
            Some(name.to_owned())
        });
        Route { pack, host, upstream, ca, certificate }
    }

    /// Where requests go, by pack.
    fn routes(&mut self, problems: &mut Vec<String>) -> Vec<Route> {
        if self.packs.is_empty() {
            let upstream = self.told("upstream", 0).map(str::to_owned);
            if upstream.is_none() && !self.settings.contains_key("config-configmap") {
                problems.push(format!(
                    "name the protocol, the upstream, or both (--protocol, --upstream, or the annotations \
                     {PREFIX}protocol, {PREFIX}upstream)"
                ));
            }
            return vec![self.route(0, None, None, upstream, problems)];
        }
        self.check_names(problems);
        let has_config = self.settings.contains_key("config-configmap");
        let mut routes = Vec::new();
        for (index, pack) in self.packs.iter().enumerate() {
            let upstream = self.upstream(index, pack).map_err(|why| problems.push(why)).ok().flatten();
            let route = if has_config && self.told("upstream", index).is_none() {
                self.route(index, None, None, None, problems)
            } else {
                self.route(index, Some(pack.name.clone()), host(pack, self.packs), upstream, problems)
            };
            routes.push(route);
        }
        if has_config && self.packs.len() > 1 {
            problems.push("with a configuration of your own name one protocol, whose variables are set".to_owned());
        }
        routes
    }

    /// Where requests of a pack go: `None` if the pack or the configuration says so.
    fn upstream(&self, index: usize, pack: &Pack) -> Result<Option<String>, String> {
        if let Some(told) = self.told("upstream", index) {
            return Ok(Some(told.to_owned()));
        }
        if self.settings.contains_key("config-configmap") {
            return Ok(None);
        }
        let mut said = self.said[index].iter();
        match (said.next(), said.next()) {
            (Some((one, first)), Some((other, second))) => Err(format!(
                "{first} says {one}, but {second} says {other}; name the upstream, or give a configuration"
            )),
            (Some((one, _)), None) => Ok(Some(one.clone())),
            (None, _) => match (&pack.upstream, &pack.upstream_hint) {
                (Some(upstream), _) => Ok(Some(upstream.clone())),
                (None, hint) => {
                    let hint = hint.as_ref().map_or_else(String::new, |hint| format!(": {hint}"));
                    Err(format!("protocol {}: name the upstream (--upstream, or {PREFIX}upstream){hint}", pack.name))
                }
            },
        }
    }

    /// Changes the template.
    fn apply(&self, template: &mut Node, routes: &[Route], rules_are_given: bool) {
        let mut state = State::default();
        let spec = template.at_mut(&["spec"]).and_then(Node::as_map_mut).expect("it was looked at");
        for kind in ["initContainers", "containers"] {
            let Some(Node::List(containers)) = spec.get_mut(kind) else { continue };
            for container in containers.iter_mut().filter(|container| self.is_meant(container)) {
                let name = container.text_of("name").unwrap_or_default().to_owned();
                let Some(container) = container.as_map_mut() else { continue };
                self.point(container, &name, &mut state);
            }
        }
        let list = || Node::List(Vec::new());
        let sidecar = sidecar::container(self.settings, routes, self.ports);
        push(state.grow(spec, "initContainers", "initContainers", list()), Some(0), sidecar);
        for volume in sidecar::volumes(self.settings, routes, rules_are_given) {
            push(state.grow(spec, "volumes", "volumes", list()), None, volume);
        }
        let hosts: Vec<Node> = routes.iter().filter_map(|route| route.host.as_deref()).map(Node::text).collect();
        if !hosts.is_empty() {
            let alias = [("ip", Node::text("127.0.0.1")), ("hostnames", Node::List(hosts))];
            push(state.grow(spec, "hostAliases", "hostAliases", list()), None, Node::map(alias));
        }
        let map = || Node::Map(Map::default());
        let template = template.as_map_mut().expect("it has a spec");
        let metadata = state.grow(template, "metadata", "metadata", map());
        let Some(metadata) = metadata.as_map_mut() else { return };
        if let Some(labels) = state.grow(metadata, "labels", "labels", map()).as_map_mut() {
            labels.set(LABEL.0, Node::text(LABEL.1));
        }
        state.grow(metadata, "annotations", "annotations", map());
        let text = state.to_text();
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Node::as_map_mut) {
            annotations.set(STATE, Node::text(text));
        }
    }

    /// Sets the variables of a container.
    fn point(&self, container: &mut Map, name: &str, state: &mut State) {
        let meant = self.endpoints.iter().flat_map(|(endpoints, _)| endpoints);
        let meant: Vec<_> = meant.filter(|own| !sidecar::keeps(self.settings, own.name)).collect();
        let is_new = |endpoint: &&Endpoint<'_>| !endpoint.is_dsn() && !endpoint.if_set;
        if container.get("env").is_none_or(Node::is_empty) && !meant.iter().any(is_new) {
            return;
        }
        let variables = state.grow(container, "env", &variables_of(name), Node::List(Vec::new()));
        let Node::List(variables) = variables else { return };
        // From the last, since each that is new stands in front: others may refer to it.
        let mut changes: Vec<_> = meant.iter().rev().filter_map(|endpoint| endpoint.set(variables)).collect();
        changes.reverse();
        state.note(name, changes);
    }
}

/// The name by which the sidecar knows a pack, if it has several.
fn host(pack: &Pack, packs: &[Arc<Pack>]) -> Option<String> {
    (packs.len() > 1).then(|| format!("{}{DOMAIN}", pack.name))
}

fn push(list: &mut Node, place: Option<usize>, item: Node) {
    if let Node::List(items) = list {
        items.insert(place.unwrap_or(items.len()), item);
    }
}
