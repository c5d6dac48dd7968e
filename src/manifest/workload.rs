//! All documents of a stream: their pods, and the ConfigMap with rules beside them.

use super::inject::Injector;
use super::kind::{Named, each_document, template_path};
use super::knob::PREFIX;
use super::node::{Map, Node};
use super::state;
use super::stream::Stream;
use super::yaml::Wrong;
use std::collections::BTreeSet;

/// By which a ConfigMap is known to be of `inject`.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "expurgate-inject");
/// A ConfigMap cannot hold more; the rest is left for its own fields.
const LARGEST_RULES: usize = 1_000_000;

/// Why manifests cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// They cannot be read, or not be written.
    #[error("line {line}: {why}")]
    Text {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// What is in the way, each on a line.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
}

impl From<Wrong> for ManifestError {
    fn from(wrong: Wrong) -> Self {
        Self::Text { line: wrong.line, why: wrong.why }
    }
}

/// What came of manifests.
#[derive(Debug, Default)]
pub struct Changed {
    /// The manifests.
    pub text: String,
    /// How many workloads have a sidecar now.
    pub injected: usize,
    /// What the user should look at.
    pub warnings: Vec<String>,
}

/// Puts the sidecar into every pod of some manifests; with `rules`, names and texts of
/// files, a ConfigMap of them beside.
///
/// # Errors
/// When a text cannot be read, or with all that is in the way.
pub fn inject(text: &str, injector: &Injector, rules: &[(String, String)]) -> Result<Changed, ManifestError> {
    let mut stream = Stream::read(text)?;
    let (mut changed, mut problems) = (Changed::default(), Vec::new());
    let mut config_maps = BTreeSet::new();
    without_rules(&mut stream);
    each_template(&mut stream, &mut |named, template| match injector.inject(template) {
        Ok(outcome) => {
            changed.injected += usize::from(outcome.is_injected);
            if outcome.is_injected {
                config_maps.insert((named.namespace.clone(), injector.rules_of(template).to_owned()));
            }
            changed.warnings.extend(outcome.warnings.iter().map(|warning| format!("{named}: {warning}")));
        }
        Err(whys) => problems.extend(whys.iter().map(|why| format!("{named}: {why}"))),
    });
    let mut deployments = BTreeSet::new();
    each_document_of(&mut stream, &mut |document| {
        problems.extend(misplaced(document));
        if document.text_of("kind") == Some("Deployment") {
            deployments.insert((Named::of(document).namespace, name_of(document).to_owned()));
        }
    });
    each_document_of(&mut stream, &mut |document| changed.warnings.extend(unseen(document, &deployments)));
    if !rules.is_empty() {
        add_rules(&mut stream, config_maps, rules, &mut problems);
    }
    if !problems.is_empty() {
        return Err(ManifestError::Refused(problems));
    }
    changed.text = stream.write()?;
    Ok(changed)
}

/// Takes everything out that [`inject`] put in.
///
/// # Errors
/// When a text cannot be read, or it is not known what was put in.
pub fn uninject(text: &str) -> Result<Changed, ManifestError> {
    let mut stream = Stream::read(text)?;
    let mut problems = Vec::new();
    without_rules(&mut stream);
    each_template(&mut stream, &mut |named, template| {
        problems.extend(state::remove(template).err().map(|why| format!("{named}: {why}")));
    });
    if !problems.is_empty() {
        return Err(ManifestError::Refused(problems));
    }
    Ok(Changed { text: stream.write()?, ..Changed::default() })
}

fn each_document_of(stream: &mut Stream, each: &mut dyn FnMut(&mut Node)) {
    stream.documents_mut().filter_map(|document| document.node.as_mut()).for_each(|node| each_document(node, each));
}

fn each_template(stream: &mut Stream, each: &mut dyn FnMut(&Named, &mut Node)) {
    each_document_of(stream, &mut |document| {
        let named = Named::of(document);
        if let Some(template) = template_path(document).and_then(|path| document.at_mut(path)) {
            each(&named, template);
        }
    });
}

/// Annotations that stand where nothing reads them, which is not what their author
/// wants to hear from a leak.
fn misplaced(document: &Node) -> Vec<String> {
    let Some(path) = template_path(document).filter(|path| !path.is_empty()) else { return Vec::new() };
    let annotations = document.at(&["metadata", "annotations"]).and_then(Node::as_map);
    // For selectors of kustomize, as in deploy/kustomize.
    let is_harmless =
        |key: &str, value: &Node| key.strip_prefix(PREFIX) == Some("inject") && value.as_text() == Some("true");
    let own = annotations.into_iter().flat_map(Map::iter);
    let own = own.filter(|(key, value)| key.text.starts_with(PREFIX) && !is_harmless(&key.text, value));
    let told = own.map(|(key, _)| {
        let place = path.join(".");
        format!("{}: move the annotation {} to {place}.metadata.annotations", Named::of(document), key.text)
    });
    told.collect()
}

/// What is told of a document whose pods get no sidecar, as `inject` does not know
/// where they are in it. `deployments` are those that come along.
fn unseen(document: &Node, deployments: &BTreeSet<(Option<String>, String)>) -> Option<String> {
    let named = Named::of(document);
    let Some(path) = template_path(document) else {
        return has_containers(document).then(|| {
            format!(
                "{named}: inject does not know this kind, and leaves its containers without the sidecar; the webhook \
                 gives it to their pods"
            )
        });
    };
    let reference = document.at(&["spec", "workloadRef"]).filter(|_| document.at(path).is_none())?;
    let (kind, name) = (reference.text_of("kind").unwrap_or("workload"), reference.text_of("name").unwrap_or("?"));
    let comes_along = kind == "Deployment" && deployments.contains(&(named.namespace.clone(), name.to_owned()));
    let told =
        || format!("{named}: its pods are those of the {kind} {name} (workloadRef), which is not here; inject that");
    (!comes_along).then(told)
}

fn name_of(document: &Node) -> &str {
    document.at(&["metadata", "name"]).and_then(Node::as_text).unwrap_or_default()
}

/// Whether containers stand in it, at any depth: `containers` below a `spec`, or
/// anything that is called a container, or several, and has an image.
fn has_containers(node: &Node) -> bool {
    let has_image = |container: &Node| container.text_of("image").is_some();
    match node {
        Node::Scalar(_) => false,
        Node::List(items) => items.iter().any(has_containers),
        Node::Map(map) => map.iter().any(|(key, value)| {
            let is_one = match key.text.as_str() {
                "spec" => value.items("containers").iter().any(|container| container.text_of("name").is_some()),
                "containers" | "initContainers" => matches!(value, Node::List(items) if items.iter().any(has_image)),
                "container" | "script" => has_image(value),
                _ => false,
            };
            is_one || has_containers(value)
        }),
    }
}

/// Whether it is a ConfigMap with rules that an earlier `inject` added.
fn is_ours(document: &Node) -> bool {
    document.text_of("kind") == Some("ConfigMap")
        && document.at(&["metadata", "labels", MANAGED_BY.0]).and_then(Node::as_text) == Some(MANAGED_BY.1)
}

fn without_rules(stream: &mut Stream) {
    for document in stream.documents_mut() {
        document.node = document.node.take().filter(|node| !is_ours(node));
    }
}

/// Adds the ConfigMap to each namespace that has pods with a sidecar.
fn add_rules(
    stream: &mut Stream,
    config_maps: BTreeSet<(Option<String>, String)>,
    rules: &[(String, String)],
    problems: &mut Vec<String>,
) {
    let size: usize = rules.iter().map(|(name, text)| name.len() + text.len()).sum();
    if size > LARGEST_RULES {
        problems.push(format!("the rules have {size} bytes, more than a ConfigMap holds ({LARGEST_RULES})"));
    }
    let mut others = BTreeSet::new();
    each_document_of(stream, &mut |document| {
        if document.text_of("kind") == Some("ConfigMap") {
            others.insert((Named::of(document).namespace, name_of(document).to_owned()));
        }
    });
    for own in config_maps {
        if others.contains(&own) {
            problems
                .push(format!("the ConfigMap {} is there already; give the rules there, or name another one", own.1));
        }
        let mut metadata = Node::map([("name", Node::text(own.1))]);
        let map = metadata.as_map_mut().expect("it is one");
        if let Some(namespace) = own.0 {
            map.set("namespace", Node::text(namespace));
        }
        map.set("labels", Node::map([(MANAGED_BY.0, Node::text(MANAGED_BY.1))]));
        let mut data = Map::default();
        rules.iter().for_each(|(name, text)| data.set(name, Node::text(text)));
        stream.add(Node::map([
            ("apiVersion", Node::text("v1")),
            ("kind", Node::text("ConfigMap")),
            ("metadata", metadata),
            ("data", Node::Map(data)),
        ]));
    }
}
