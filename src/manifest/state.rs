//! What was changed in a pod, kept in an annotation of it, so that it can be undone.

use super::json::{read_json, write_json};
use super::knob::{LABEL, STATE};
use super::node::{Map, Node};

/// The name of the sidecar.
pub const SIDECAR: &str = "expurgate";
/// What the names of our volumes begin with.
pub(super) const VOLUMES: &str = "expurgate-";
/// The domain of names that stand for the sidecar, where it has several.
pub(super) const DOMAIN: &str = ".expurgate.internal";

/// All that was changed, but for what is known by its name.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// The variables that were set, by container, in their order.
    variables: Vec<(String, Vec<Change>)>,
    /// What was there, and empty, where we added something.
    before: Map,
}

/// A variable that was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) name: String,
    /// What it was set to.
    pub(super) set: String,
    pub(super) was: Was,
}

/// What a variable was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Was {
    /// Not there.
    Absent,
    /// There, without a value.
    WithoutValue,
    /// There, with this one.
    Value(Node),
}

impl State {
    /// Notes variables of a container.
    pub(super) fn note(&mut self, container: &str, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.variables.push((container.to_owned(), changes));
        }
    }

    /// The collection under a key, which is made if it is not there, and how it was if
    /// it was empty.
    pub(super) fn grow<'n>(&mut self, parent: &'n mut Map, key: &str, called: &str, kind: Node) -> &'n mut Node {
        let empty = parent.get(key).filter(|node| node.is_empty()).cloned();
        if let Some(empty) = &empty {
            self.before.set(called, empty.clone());
        }
        if empty.is_some() {
            parent.set(key, kind);
        } else if parent.get(key).is_none() {
            match key {
                "metadata" => parent.set_before("", key, kind),
                "initContainers" => parent.set_before("containers", key, kind),
                _ => parent.set(key, kind),
            }
        }
        parent.get_mut(key).expect("it was set if it was not there")
    }

    /// As the text of the annotation.
    pub(super) fn to_text(&self) -> String {
        let mut variables = Map::default();
        for (container, changes) in &self.variables {
            let changes = changes.iter().map(|change| {
                let mut node = Node::map([("name", Node::text(&change.name)), ("set", Node::text(&change.set))]);
                let map = node.as_map_mut().expect("it is one");
                match &change.was {
                    Was::Absent => {}
                    Was::WithoutValue => map.set("was", Node::List(Vec::new())),
                    Was::Value(value) => map.set("was", value.clone()),
                }
                node
            });
            variables.set(container, Node::List(changes.collect()));
        }
        let mut state = Node::map([("version", Node::text(env!("CARGO_PKG_VERSION")))]);
        let map = state.as_map_mut().expect("it is one");
        for (key, part) in [("variables", variables), ("before", self.before.clone())] {
            if !part.is_empty() {
                map.set(key, Node::Map(part));
            }
        }
        write_json(&state, None)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        let damaged = |_| format!("annotation {STATE} is damaged; take the sidecar out by hand, and the annotation");
        let node = read_json(text).map_err(damaged)?;
        let map = |key: &str| node.at(&[key]).and_then(Node::as_map).cloned().unwrap_or_default();
        let change = |node: &Node| {
            let was = match node.at(&["was"]) {
                None => Was::Absent,
                Some(Node::List(_)) => Was::WithoutValue,
                Some(value) => Was::Value(value.clone()),
            };
            Some(Change { name: node.text_of("name")?.to_owned(), set: text_of(node, "set")?, was })
        };
        let variables = map("variables");
        let changes = variables.iter().map(|(container, changes)| {
            let Node::List(changes) = changes else { return None };
            Some((container.text.clone(), changes.iter().map(change).collect::<Option<_>>()?))
        });
        let variables = changes.collect::<Option<_>>().ok_or_else(|| damaged(String::new()))?;
        Ok(Self { variables, before: map("before") })
    }
}

fn text_of(node: &Node, key: &str) -> Option<String> {
    node.text_of(key).map(str::to_owned)
}

/// Whether a pod's template has been changed.
pub(super) fn is_injected(template: &Node) -> bool {
    template.at(&["metadata", "annotations", STATE]).is_some()
}

/// Takes out of a pod's template what was put in. Nothing, if that has none.
///
/// # Errors
/// When it is not known what was put in.
pub(super) fn remove(template: &mut Node) -> Result<(), String> {
    let Some(text) = template.at(&["metadata", "annotations", STATE]) else { return Ok(()) };
    let state = State::from_text(text.as_text().unwrap_or_default())?;
    let before = &state.before;
    if let Some(metadata) = template.at_mut(&["metadata"]).and_then(Node::as_map_mut) {
        for (key, own) in [("labels", LABEL.0), ("annotations", STATE)] {
            let removed = metadata.get_mut(key).and_then(Node::as_map_mut).and_then(|map| map.remove(own));
            if removed.is_some() {
                tidy(metadata, key, key, before);
            }
        }
    }
    if let Some(template) = template.as_map_mut() {
        tidy(template, "metadata", "metadata", before);
    }
    let Some(spec) = template.at_mut(&["spec"]) else { return Ok(()) };
    let is_ours = |key: &str, item: &Node| match key {
        "initContainers" => item.text_of("name") == Some(SIDECAR),
        "volumes" => item.text_of("name").is_some_and(|name| name.starts_with(VOLUMES)),
        _ => item.items("hostnames").iter().any(|name| name.as_text().is_some_and(|name| name.ends_with(DOMAIN))),
    };
    for key in ["initContainers", "volumes", "hostAliases"] {
        let Some(Node::List(items)) = spec.at_mut(&[key]) else { continue };
        let count = items.len();
        items.retain(|item| !is_ours(key, item));
        if items.len() < count
            && let Some(spec) = spec.as_map_mut()
        {
            tidy(spec, key, key, before);
        }
    }
    for (name, changes) in &state.variables {
        for kind in ["initContainers", "containers"] {
            let own = spec.items_mut(kind).iter_mut().filter(|container| container.text_of("name") == Some(name));
            own.filter_map(Node::as_map_mut).for_each(|container| undo(container, name, changes, before));
        }
    }
    Ok(())
}

/// Sets the variables of a container to what they were. Those that somebody has set to
/// something else since stay.
fn undo(container: &mut Map, name: &str, changes: &[Change], before: &Map) {
    let Some(Node::List(variables)) = container.get_mut("env") else { return };
    for change in changes {
        let is_set =
            |entry: &Node| entry.text_of("name") == Some(&change.name) && entry.text_of("value") == Some(&change.set);
        let Some(place) = variables.iter().position(is_set) else { continue };
        match (&change.was, variables[place].as_map_mut()) {
            (Was::Value(value), Some(entry)) => entry.set("value", value.clone()),
            (Was::WithoutValue, Some(entry)) => drop(entry.remove("value")),
            _ => drop(variables.remove(place)),
        }
    }
    tidy(container, "env", &variables_of(name), before);
}

/// What the variables of a container are called in the state.
pub(super) fn variables_of(container: &str) -> String {
    format!("env/{container}")
}

/// Makes an empty collection what it was: not there, or empty too.
fn tidy(parent: &mut Map, key: &str, called: &str, before: &Map) {
    if parent.get(key).is_some_and(Node::is_empty) {
        match before.get(called) {
            Some(empty) => parent.set(key, empty.clone()),
            None => drop(parent.remove(key)),
        }
    }
}
