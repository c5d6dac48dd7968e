//! What the user should look at though a pod gets its sidecar.

use super::{Injector, Plan};
use crate::manifest::endpoint::{self, Endpoint};
use crate::manifest::knob::{Settings, actions, members};
use crate::manifest::node::Node;
use crate::manifest::sidecar;
use crate::manifest::state::DOMAIN;
use crate::manifest::verify::detours;
use crate::rule::protocol::Pack;
use crate::rule::{Category, nearest_entity};
use std::sync::Arc;

impl Injector {
    /// Of a pod with the sidecar: variables of any pack that go past it.
    pub(super) fn warn_of_detours(&self, template: &Node, settings: &Settings) -> Vec<String> {
        let Some(spec) = template.at(&["spec"]) else { return Vec::new() };
        let Some(sidecar) = spec.items("initContainers").first() else { return Vec::new() };
        let detours = detours(spec, sidecar, settings.get("keep-variables"), &self.packs);
        let chosen = settings.get("protocol").map_or("", String::as_str);
        let hint = |variable: &str| {
            let has_it = |pack: &&Arc<Pack>| Endpoint::of(pack, "").iter().any(|own| own.name == variable);
            let packs: Vec<&str> = self.packs.iter().filter(has_it).map(|pack| pack.name.as_str()).collect();
            match packs.is_empty() || members(chosen).any(|one| packs.contains(&one)) {
                true => String::new(),
                false => format!(
                    "; name its protocol too ({}), or the variable in keep-variables if that is meant",
                    packs.join(" or ")
                ),
            }
        };
        detours.into_iter().map(|(variable, problem)| format!("{problem}{}", hint(&variable))).collect()
    }

    /// Of keys that nothing is done with.
    pub(super) fn warn_of_keys(settings: &Settings) -> Option<String> {
        let hashes = settings.get("actions").is_some_and(|list| actions(list).any(|(_, action)| action == "hash"));
        let is_idle =
            settings.contains_key("hash-keys-secret") && !settings.contains_key("config-configmap") && !hashes;
        is_idle.then(|| {
            "hash-keys-secret: no action is hash, so nothing gets a pseudonym; set actions, such as EMAIL_ADDRESS=hash"
                .to_owned()
        })
    }

    /// Of entities that none of the rules that are known here finds: others may come with
    /// the ConfigMap.
    pub(super) fn warn_of_entities(&self, settings: &Settings) -> Vec<String> {
        let Some(list) = settings.get("actions").filter(|_| !self.entities.is_empty()) else { return Vec::new() };
        let is_group = |name: &str| name == "default" || Category::ALL.into_iter().any(|one| one.name() == name);
        let known: Vec<&str> = self.entities.iter().map(String::as_str).collect();
        let unknown =
            actions(list).map(|(entity, _)| entity).filter(|entity| !is_group(entity) && !known.contains(entity));
        let told = unknown.map(|entity| {
            let rule = if self.rules_are_given { "rule" } else { "built-in rule" };
            let hint = match nearest_entity(entity, &known) {
                Some(near) => format!("did you mean {near}?"),
                None => "`expurgate rules list` shows all".to_owned(),
            };
            format!("actions: no {rule} finds {entity}; {hint} The sidecar starts only if a rule of its ConfigMap does")
        });
        told.collect()
    }
}

impl Plan<'_> {
    /// What may be wrong with a container, and cannot be seen here.
    pub(super) fn cautions(&self, container: &Node, name: &str) -> Vec<String> {
        let mut cautions = Vec::new();
        if !container.items("envFrom").is_empty() {
            cautions.extend(self.cautions_of_env_from(container, name));
        }
        let set = |names: [&str; 2]| {
            let is_one = |entry: &&Node| entry.text_of("name").is_some_and(|name| names.contains(&name));
            container.items("env").iter().find(is_one)
        };
        let spared = set(["NO_PROXY", "no_proxy"]).and_then(|entry| entry.text_of("value")).unwrap_or_default();
        for names in [["HTTP_PROXY", "http_proxy"], ["ALL_PROXY", "all_proxy"]] {
            let spares = members(spared).any(|host| host == "127.0.0.1" || host == "*");
            if set(names).is_some() && !(spares && self.packs.len() < 2) {
                let hosts = if self.packs.len() < 2 { "127.0.0.1" } else { DOMAIN };
                cautions.push(format!(
                    "container {name}: {} would take requests to the sidecar elsewhere; add {hosts} to NO_PROXY",
                    names[0]
                ));
            }
        }
        cautions
    }

    /// Of variables that a ConfigMap or Secret may set as a whole: those that the sidecar's
    /// own win over, and those that nothing is put in the place of.
    fn cautions_of_env_from(&self, container: &Node, name: &str) -> Vec<String> {
        let all = self.endpoints.iter().flat_map(|(endpoints, _)| endpoints);
        let meant = all.filter(|endpoint| !sidecar::keeps(self.settings, endpoint.name));
        let (passing, won): (Vec<&Endpoint<'_>>, Vec<_>) = meant.partition(|one| one.if_set || one.is_dsn());
        let names = |endpoints: &[&Endpoint<'_>]| {
            let names: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.name).collect();
            names.join(" or ")
        };
        let mut cautions = Vec::new();
        let untold = (0..self.packs.len()).any(|index| !self.is_told(index) && self.said[index].is_empty());
        if untold && !won.is_empty() {
            cautions.push(format!(
                "container {name}: if a ConfigMap or Secret of envFrom sets {}, name the upstream: what is set there is \
                 not seen, and no longer holds",
                names(&won)
            ));
        }
        let is_absent = |endpoint: &&Endpoint<'_>| matches!(endpoint.find(container), Ok(None));
        let passing: Vec<_> = passing.into_iter().filter(is_absent).collect();
        if !passing.is_empty() {
            cautions.push(format!(
                "container {name}: if a ConfigMap or Secret of envFrom sets {}, its requests go past the sidecar: take \
                 it out there, or write it into env",
                names(&passing)
            ));
        }
        cautions
    }

    /// Of what no variable does.
    pub(super) fn warn_of_code(&mut self, spec: &Node) {
        if self.packs.is_empty() {
            self.warnings.push(format!(
                "no protocol is named, so no variable is set: point the SDKs at http://127.0.0.1:{}",
                self.ports.listener
            ));
        }
        for (pack, (endpoints, host)) in self.packs.iter().zip(&self.endpoints) {
            let code = endpoint::in_code(pack, host);
            if endpoints.is_empty() {
                self.warnings.push(format!(
                    "protocol {}: no variable points its SDK at the sidecar; set in your code {}",
                    pack.name,
                    code.join(", or ")
                ));
            }
            for dsn in endpoints.iter().filter(|endpoint| endpoint.is_dsn()) {
                let is_set = |container: &&Node| dsn.find(container).is_ok_and(|found| found.is_some());
                if !self.containers(spec).iter().any(is_set) && !sidecar::keeps(self.settings, dsn.name) {
                    self.warnings.push(format!(
                        "protocol {}: no container sets {}; set it, or in your code {}",
                        pack.name,
                        dsn.name,
                        dsn.value(Some("https://PUBLIC_KEY@host/PROJECT")).unwrap_or_default()
                    ));
                }
            }
        }
    }
}
