//! Where in a document the pods are that come of it.

use super::node::Node;
use std::fmt;

/// Kinds with pods: the group of their API, the kind, where the template is.
const KINDS: &[(&str, &str, &[&str])] = &[
    ("", "Pod", &[]),
    ("", "PodTemplate", &["template"]),
    ("", "ReplicationController", &["spec", "template"]),
    ("apps", "Deployment", &["spec", "template"]),
    ("apps", "StatefulSet", &["spec", "template"]),
    ("apps", "DaemonSet", &["spec", "template"]),
    ("apps", "ReplicaSet", &["spec", "template"]),
    ("batch", "Job", &["spec", "template"]),
    ("batch", "CronJob", &["spec", "jobTemplate", "spec", "template"]),
    ("argoproj.io", "Rollout", &["spec", "template"]),
];

/// What a document is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    kind: String,
    name: String,
    /// Where it says so.
    pub namespace: Option<String>,
}

impl Named {
    pub(super) fn of(document: &Node) -> Self {
        let text = |path: &[&str]| document.at(path).and_then(Node::as_text).map(str::to_owned);
        let name = text(&["metadata", "name"]);
        let generated = || text(&["metadata", "generateName"]).map(|stem| format!("{stem}*"));
        Self {
            kind: text(&["kind"]).unwrap_or_else(|| "document".to_owned()),
            name: name.or_else(generated).unwrap_or_else(|| "without a name".to_owned()),
            namespace: text(&["metadata", "namespace"]),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = self.namespace.as_ref().map_or(String::new(), |namespace| format!("{namespace}/"));
        write!(formatter, "{} {slash}{}", self.kind, self.name)
    }
}

/// Where the template is of the pods of a document; `None` if it has none.
pub(super) fn template_path(document: &Node) -> Option<&'static [&'static str]> {
    let (version, kind) = (document.text_of("apiVersion")?, document.text_of("kind")?);
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    KINDS.iter().find(|known| known.0 == group && known.1 == kind).map(|known| known.2)
}

/// Calls with each document: of a list, with each of its items.
pub fn each_document(document: &mut Node, each: &mut dyn FnMut(&mut Node)) {
    let is_list = document.text_of("kind").is_some_and(|kind| kind.ends_with("List"));
    if is_list && matches!(document.at(&["items"]), Some(Node::List(_))) {
        document.items_mut("items").iter_mut().for_each(|item| each_document(item, each));
    } else {
        each(document);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::yaml::read_yaml;

    #[test]
    fn kinds_are_those_of_their_groups_and_lists_hold_several() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}\n\
                    - {apiVersion: batch.volcano.sh/v1, kind: Job, metadata: {generateName: b-, namespace: n}}\n\
                    - {apiVersion: v1, kind: PodList, items: [{apiVersion: v1, kind: Pod}]}\n";
        let mut list = read_yaml(text).unwrap().unwrap().node;
        let mut seen = Vec::new();
        each_document(&mut list, &mut |document| {
            seen.push((Named::of(document).to_string(), template_path(document).map(<[_]>::len)));
        });
        let seen: Vec<_> = seen.iter().map(|(name, path)| (name.as_str(), *path)).collect();
        assert_eq!(seen, [("Deployment a", Some(2)), ("Job n/b-*", None), ("Pod without a name", Some(0))]);
    }
}
