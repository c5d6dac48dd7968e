//! Pods of a cluster that should have the sidecar, and have none, or go past it.

use super::endpoint::{Endpoint, lists};
use super::kind::{Named, each_document};
use super::knob::{LABEL, PREFIX};
use super::node::Node;
use super::state::{self, DOMAIN, SIDECAR};
use super::stream::Stream;
use crate::rule::protocol::Packs;
use std::collections::BTreeSet;

/// Variables that name several places at once, whatever the pack: none of them can be put in
/// the sidecar's place.
const SIDE_DOORS: [&str; 2] = ["LANGSMITH_RUNS_ENDPOINTS", "LANGCHAIN_RUNS_ENDPOINTS"];
/// By which a namespace asks the webhook for sidecars.
pub const NAMESPACE_LABEL: (&str, &str) = ("expurgate.dev/injection", "enabled");
/// Namespaces that the webhook is never asked about, whatever their labels:
/// deploy/webhook/base/webhook.yaml.
const EXEMPT: [&str; 2] = ["expurgate-system", "kube-system"];
/// Of a pod that the kubelet has of a file: no webhook is asked about it.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";

/// Which pods are looked at, beside those that say so themselves.
#[derive(Debug, Default)]
pub struct Scope {
    /// All of them.
    pub all: bool,
    /// Those of these namespaces, and of those that come along and have the label.
    pub namespaces: BTreeSet<String>,
}

/// What was seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many pods there are.
    pub pods: usize,
    /// How many of them should have the sidecar.
    pub meant: usize,
    /// How many namespaces came along.
    pub namespaces: usize,
    /// Namespaces of the scope of which neither a pod came along nor they themselves.
    pub missing: Vec<String>,
    /// Whether there is a list, and nothing in it but pods and namespaces: what a
    /// cluster without pods answers.
    pub is_answer: bool,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Something that is wrong with a pod.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub namespace: String,
    /// What it is called.
    pub pod: String,
    /// What is wrong.
    pub problem: String,
}

/// Looks at pods: those that say they want the sidecar, those that have it, and those
/// of a scope. Those that have ended, and those that say they do not want it, are left
/// out.
pub fn verify(stream: &mut Stream, mut scope: Scope, packs: &Packs) -> Verdict {
    let mut verdict = Verdict::default();
    let (mut others, mut missing) = (0, scope.namespaces.clone());
    let lists = |node: &Node| node.text_of("kind").is_some_and(|kind| kind.ends_with("List"));
    let has_list = stream.documents().filter_map(|document| document.node.as_ref()).any(lists);
    each(stream, &mut |document| match document.text_of("kind") {
        Some("Namespace") => {
            verdict.namespaces += 1;
            let label = document.at(&["metadata", "labels", NAMESPACE_LABEL.0]).and_then(Node::as_text);
            let name = document.at(&["metadata", "name"]).and_then(Node::as_text);
            name.map(|name| missing.remove(name));
            scope.namespaces.extend(name.filter(|_| label == Some(NAMESPACE_LABEL.1)).map(str::to_owned));
        }
        Some("Pod") => {
            verdict.pods += 1;
            missing.remove(&namespace(document));
        }
        _ => others += 1,
    });
    verdict.is_answer = has_list && others == 0;
    verdict.missing = missing.into_iter().collect();
    each(stream, &mut |pod| {
        if pod.text_of("kind") != Some("Pod") || !scope.means(pod) {
            return;
        }
        verdict.meant += 1;
        let name = pod.at(&["metadata", "name"]).and_then(Node::as_text);
        let told = |problem| Problem { namespace: namespace(pod), pod: name.unwrap_or_default().to_owned(), problem };
        verdict.problems.extend(look(pod, packs).into_iter().map(told));
    });
    verdict
}

fn each(stream: &mut Stream, each: &mut dyn FnMut(&mut Node)) {
    stream.documents_mut().filter_map(|document| document.node.as_mut()).for_each(|node| each_document(node, each));
}

fn namespace(pod: &Node) -> String {
    Named::of(pod).namespace.unwrap_or_else(|| "default".to_owned())
}

impl Scope {
    /// Whether a pod should have the sidecar.
    fn means(&self, pod: &Node) -> bool {
        let phase = pod.at(&["status", "phase"]).and_then(Node::as_text);
        let says = pod.at(&["metadata", "annotations", &format!("{PREFIX}inject")]).and_then(Node::as_text);
        if says == Some("false") || matches!(phase, Some("Succeeded" | "Failed")) {
            return false;
        }
        let label = pod.at(&["metadata", "labels", LABEL.0]).and_then(Node::as_text);
        if says == Some("true") || state::is_injected(pod) || label == Some(LABEL.1) {
            return true;
        }
        let namespace = namespace(pod);
        let is_asked = !EXEMPT.contains(&namespace.as_str()) && pod.at(&["metadata", "annotations", MIRROR]).is_none();
        is_asked && (self.all || self.namespaces.contains(&namespace))
    }
}

/// What is wrong with one.
pub(super) fn look(pod: &Node, packs: &Packs) -> Vec<String> {
    let Some(spec) = pod.at(&["spec"]) else { return vec!["it has no spec".to_owned()] };
    let find = |kind: &str| spec.items(kind).iter().position(|one| one.text_of("name") == Some(SIDECAR));
    let mut problems = Vec::new();
    let sidecar = match (find("initContainers"), find("containers")) {
        (Some(place), _) => {
            let sidecar = &spec.items("initContainers")[place];
            if sidecar.text_of("restartPolicy") != Some("Always") {
                return vec![
                    "its sidecar ends before the application begins: restartPolicy: Always is missing".to_owned(),
                ];
            }
            if place > 0 {
                problems
                    .push("the sidecar is not the first of the init containers: those before it go past it".to_owned());
            }
            sidecar
        }
        (None, Some(place)) => &spec.items("containers")[place],
        (None, None) => return vec!["it has no sidecar".to_owned()],
    };
    let keeps = pod.at(&["metadata", "annotations", &format!("{PREFIX}keep-variables")]).and_then(Node::as_text);
    let keeps = keeps.map(str::to_owned);
    let others: Vec<&Node> = applications(spec).collect();
    problems.extend(detours(spec, sidecar, keeps.as_ref(), packs).into_iter().map(|(_, problem)| problem));
    for name in protocols(sidecar) {
        let Ok(pack) = packs.find(&name) else { continue };
        let endpoints = Endpoint::of(pack, "");
        let is_set = |endpoint: &Endpoint<'_>| {
            lists(keeps.as_ref(), endpoint.name)
                || others.iter().any(|container| !matches!(endpoint.find(container), Ok(None)))
        };
        if !endpoints.is_empty() && !endpoints.iter().any(is_set) {
            let names = endpoints.iter().filter(|endpoint| !endpoint.if_set).map(|endpoint| endpoint.name);
            let names: Vec<&str> = names.collect();
            problems.push(format!("no container sets {}, so nothing points at the sidecar", names.join(" or ")));
        }
    }
    problems
}

/// All containers but the sidecar.
fn applications(spec: &Node) -> impl Iterator<Item = &Node> {
    let all = ["initContainers", "containers"].into_iter().flat_map(|kind| spec.items(kind));
    all.filter(|one| one.text_of("name") != Some(SIDECAR))
}

/// Variables that do not point at the sidecar, but for those that are kept, and what is
/// wrong with each.
pub(super) fn detours(spec: &Node, sidecar: &Node, keeps: Option<&String>, packs: &Packs) -> Vec<(String, String)> {
    let port = port(sidecar);
    let (mut seen, mut detours) = (BTreeSet::new(), Vec::new());
    for pack in packs.iter() {
        for endpoint in Endpoint::of(pack, "").into_iter().filter(|endpoint| !lists(keeps, endpoint.name)) {
            if seen.insert(endpoint.name.to_owned()) {
                let problems = applications(spec).filter_map(|container| past(&endpoint, container, &port));
                detours.extend(problems.map(|problem| (endpoint.name.to_owned(), problem)));
            }
        }
    }
    for door in SIDE_DOORS.into_iter().filter(|door| !lists(keeps, door)) {
        let open = applications(spec).filter(|container| is_open(door, container, &port));
        detours
            .extend(open.filter_map(|container| container.text_of("name")).map(|name| {
                (door.to_owned(), format!("container {name}: {door} goes past the sidecar; leave it out"))
            }));
    }
    detours
}

/// Whether a variable is set and names, in JSON, another place than the sidecar, or where it
/// points is not seen.
fn is_open(door: &str, container: &Node, port: &str) -> bool {
    let set = container.items("env").iter().filter(|entry| entry.text_of("name") == Some(door));
    let is_past = |entry: &Node| {
        let value = entry.text_of("value").unwrap_or_default();
        let urls: Vec<&str> = value.split('"').filter(|part| part.contains("://")).collect();
        entry.at(&["valueFrom"]).is_some() || !value.is_empty() && !urls.iter().all(|url| is_sidecar(url, port))
    };
    set.into_iter().any(is_past)
}

/// What is wrong with a variable, if it is set. Values are not told: they may hold a
/// password.
fn past(endpoint: &Endpoint<'_>, container: &Node, port: &str) -> Option<String> {
    let (name, variable) = (container.text_of("name").unwrap_or_default(), endpoint.name);
    match endpoint.find(container) {
        Ok(Some(Some(value))) if !is_sidecar(value, port) => {
            Some(format!("container {name}: {variable} goes past the sidecar"))
        }
        Ok(_) => None,
        Err(_) => Some(format!("container {name}: where {variable} goes is not seen: it is set elsewhere, or twice")),
    }
}

/// Whether a URL is one of the sidecar.
fn is_sidecar(url: &str, port: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let Some((host, own)) = authority.rsplit_once(':') else { return false };
    own == port && (matches!(host, "127.0.0.1" | "localhost") || host.ends_with(DOMAIN))
}

/// The values of the sidecar's variables whose names are so.
fn values<'n>(sidecar: &'n Node, is_meant: impl Fn(&str) -> bool + 'n) -> impl Iterator<Item = &'n str> {
    let meant = sidecar.items("env").iter().filter(move |entry| entry.text_of("name").is_some_and(&is_meant));
    meant.filter_map(|entry| entry.text_of("value"))
}

fn port(sidecar: &Node) -> String {
    let listen = values(sidecar, |name| matches!(name, "EXPURGATE_LISTEN" | "EXPURGATE_LISTENER_ADDRESS")).last();
    listen.and_then(|address| address.rsplit_once(':')).map_or("8080", |(_, port)| port).to_owned()
}

fn protocols(sidecar: &Node) -> Vec<String> {
    let is_protocol = |name: &str| {
        name == "EXPURGATE_PROTOCOL" || (name.starts_with("EXPURGATE_ROUTE_") && name.ends_with("_PROTOCOL"))
    };
    values(sidecar, is_protocol).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::yaml::{read_yaml, write_yaml};
    use crate::manifest::{Injector, Settings};

    fn pod(spec: &str, annotations: &str) -> Node {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: a, namespace: n, annotations: {{{annotations}}}}}\nspec: {spec}\n"
        );
        read_yaml(&text).unwrap().unwrap().node
    }

    fn problems(pod: Node, all: bool) -> Vec<String> {
        let scope = Scope { all, ..Scope::default() };
        let verdict = verdict(&write_yaml(&pod), scope);
        verdict.problems.into_iter().map(|problem| problem.problem).collect()
    }

    fn verdict(text: &str, scope: Scope) -> Verdict {
        verify(&mut Stream::read(text).unwrap(), scope, &Packs::builtin().unwrap())
    }

    const APP: &str = "{containers: [{name: app}]}";

    #[test]
    fn what_inject_makes_is_right_whatever_the_packs() {
        for protocol in ["openai", "openai,langfuse,sentry", "braintrust", "amplitude"] {
            let mut pod = pod("{containers: [{name: app, env: [{name: SENTRY_DSN, value: \"https://k@h/1\"}]}]}", "");
            let settings = Settings::from([("protocol", protocol.to_owned()), ("upstream", String::new())]);
            let settings = settings.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            Injector::new(Packs::builtin().unwrap(), settings, false).unwrap().inject(&mut pod).unwrap();
            let expected: &[&str] = match protocol.contains("sentry") {
                true => &[],
                // Nobody has told that the sidecar is to have it.
                false => &["container app: SENTRY_DSN goes past the sidecar"],
            };
            assert_eq!(problems(pod, false), expected, "{protocol}");
        }
    }

    #[test]
    fn a_pod_is_looked_at_if_it_says_so_or_all_are() {
        let wants = "expurgate.dev/inject: \"true\"";
        assert_eq!(problems(pod(APP, wants), false), ["it has no sidecar"]);
        assert_eq!(problems(pod(APP, ""), true), ["it has no sidecar"]);
        assert!(problems(pod(APP, ""), false).is_empty());
        assert!(problems(pod(APP, "expurgate.dev/inject: \"false\""), true).is_empty());
        let mut ended = pod(APP, wants);
        ended.as_map_mut().unwrap().set("status", Node::map([("phase", Node::text("Succeeded"))]));
        assert!(problems(ended, true).is_empty());
    }

    #[test]
    fn pods_of_a_namespace_with_the_label_are_looked_at_wherever_it_stands() {
        let pod = |name: &str, namespace: &str, more: &str| {
            format!(
                "- {{kind: Pod, metadata: {{name: {name}, namespace: {namespace}, {more}}}, spec: {{containers: [{{name: \
                 app}}]}}}}\n"
            )
        };
        let space = |name: &str, label: &str| {
            format!("- {{kind: Namespace, metadata: {{name: {name}, labels: {{{label}}}}}}}\n")
        };
        let label = "expurgate.dev/injection: enabled";
        let listed = [
            pod("old", "agents", ""),
            pod("out", "agents", "annotations: {expurgate.dev/inject: \"false\"}"),
            pod("static", "agents", "annotations: {kubernetes.io/config.mirror: x}"),
            pod("other", "web", ""),
            pod("dns", "kube-system", ""),
            // Somebody else's sidecar was meant to be there, as kustomize puts it.
            pod("labelled", "web", "labels: {expurgate.dev/injected: \"true\"}"),
            space("agents", label),
            space("web", "expurgate.dev/injection: disabled"),
            space("kube-system", label),
        ];
        let text = format!("kind: List\nitems:\n{}", listed.concat());
        let names = |scope| {
            let verdict = verdict(&text, scope);
            assert_eq!((verdict.pods, verdict.namespaces, verdict.is_answer), (6, 3, true));
            verdict.problems.into_iter().map(|problem| problem.pod).collect::<Vec<_>>()
        };
        assert_eq!(names(Scope::default()), ["old", "labelled"]);
        assert_eq!(names(Scope { namespaces: ["web".to_owned()].into(), all: false }), ["old", "other", "labelled"]);
        assert_eq!(names(Scope { all: true, ..Scope::default() }), ["old", "other", "labelled"]);
    }

    #[test]
    fn an_empty_list_is_an_answer_and_other_things_are_none() {
        for (text, is_answer) in [
            ("{\"kind\": \"List\", \"items\": []}", true),
            ("kind: PodList\nitems: []\n", true),
            ("kind: List\nitems: [{kind: Namespace, metadata: {name: a}}]\n", true),
            ("kind: List\nitems: [{kind: Secret}]\n", false),
            ("kind: Service\n", false),
            ("", false),
        ] {
            assert_eq!(verdict(text, Scope::default()).is_answer, is_answer, "{text}");
        }
    }

    #[test]
    fn the_webhook_is_never_asked_about_the_namespaces_that_are_left_out() {
        let manifest = include_str!("../../deploy/webhook/base/webhook.yaml");
        let excluded = manifest.split("operator: NotIn\n").nth(1).unwrap();
        let names: Vec<&str> = excluded.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
        assert_eq!(names, EXEMPT);
        assert!(manifest.contains(&format!("{}: {}\n", NAMESPACE_LABEL.0, NAMESPACE_LABEL.1)));
    }

    #[test]
    fn what_goes_past_the_sidecar_is_told_without_its_value() {
        let sidecar = "{name: expurgate, restartPolicy: Always, env: [{name: EXPURGATE_PROTOCOL, value: openai}]}";
        let with = |init: &str, env: &str| {
            pod(&format!("{{initContainers: [{init}], containers: [{{name: app, env: [{env}]}}]}}"), "")
        };
        for (env, told) in [
            ("", "no container sets OPENAI_BASE_URL"),
            ("{name: OPENAI_BASE_URL, value: \"https://u:secret@api.openai.com/v1\"}", "OPENAI_BASE_URL goes past"),
            ("{name: OPENAI_BASE_URL, value: \"http://127.0.0.1:8081/v1\"}", "OPENAI_BASE_URL goes past"),
            ("{name: OPENAI_BASE_URL, value: \"http://127.0.0.1:8080@evil.example/v1\"}", "OPENAI_BASE_URL goes past"),
            ("{name: OPENAI_BASE_URL, valueFrom: {secretKeyRef: {name: a, key: b}}}", "is not seen"),
        ] {
            let found = problems(with(sidecar, env), true);
            assert!(found.len() == 1 && found[0].contains(told) && !found[0].contains("secret@"), "{env}: {found:?}");
        }
        let right = "{name: OPENAI_BASE_URL, value: \"http://localhost:8080/v1\"}";
        assert!(problems(with(sidecar, right), true).is_empty());
        let late = problems(with(&format!("{{name: migrate}}, {sidecar}"), right), true);
        assert!(late.len() == 1 && late[0].contains("not the first"), "{late:?}");
        let short = problems(with("{name: expurgate}", right), true);
        assert!(short.len() == 1 && short[0].contains("restartPolicy: Always is missing"), "{short:?}");
    }
}
