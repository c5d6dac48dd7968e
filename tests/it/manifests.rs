//! The sidecar in manifests: golden files of what the command writes, what it refuses,
//! and properties that hold for manifests of all kinds.

use crate::cli::expurgate;
use expurgate::manifest::{
    Injector, KNOBS, Map, Node, PREFIX, Settings, Stream, each_document, inject, uninject, write_yaml,
};
use expurgate::rule::protocol::Packs;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/manifests")
}

/// Inputs, and the arguments that the first line of each asks for.
fn cases() -> Vec<(String, String, Vec<String>)> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.contains(".out.") {
            continue;
        }
        let text = fs::read_to_string(folder().join(&name)).unwrap();
        let args = text.lines().next().unwrap().strip_prefix("# args: ").unwrap_or("--protocol openai");
        let args = args.split_whitespace().map(str::to_owned).collect();
        cases.push((name, text, args));
    }
    cases.sort();
    assert!(cases.len() >= 6, "the manifests are not where this test looks");
    cases
}

fn command(args: &[String], input: &str) -> String {
    let args: Vec<&str> = std::iter::once("inject").chain(args.iter().map(String::as_str)).collect();
    let output = expurgate(&args, input.as_bytes());
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `UPDATE_DOCS=1` writes what is made anew; then look at what changed.
#[test]
fn manifests_become_what_the_golden_files_say_and_come_back() {
    for (name, text, args) in cases() {
        let (stem, kind) = name.rsplit_once('.').unwrap();
        let golden = folder().join(format!("{stem}.out.{kind}"));
        let injected = command(&args, &text);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&golden, &injected).unwrap();
        }
        assert_eq!(injected, fs::read_to_string(&golden).unwrap(), "{name}");
        assert_eq!(command(&args, &injected), injected, "{name}: twice is not once");
        let back = command(&["--uninject".to_owned()], &injected);
        assert_eq!(trees(&back), trees(&text), "{name}: not what it was");
    }
}

/// All documents, with one spelling of null.
fn trees(text: &str) -> Vec<Node> {
    let stream = Stream::read(text).unwrap();
    stream.documents().filter_map(|document| document.node.as_ref().map(normal)).collect()
}

fn normal(node: &Node) -> Node {
    match node {
        _ if node.is_null() => Node::plain("null"),
        Node::Scalar(_) => node.clone(),
        Node::List(items) => Node::List(items.iter().map(normal).collect()),
        Node::Map(map) => {
            let mut normalised = Map::default();
            map.iter().for_each(|(key, value)| normalised.set(&key.text, normal(value)));
            Node::Map(normalised)
        }
    }
}

/// A pod of one container, with more of each.
fn pod(annotations: &str, spec: &str, container: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web, annotations: {{{annotations}}}}}\n\
         spec: {{{spec}containers: [{{name: app{container}}}]}}\n"
    )
}

#[test]
fn what_would_go_past_the_sidecar_or_break_is_refused_with_what_to_do() {
    let env = |entry: &str| pod("", "", &format!(", env: [{entry}]"));
    let own = "initContainers: [{name: expurgate}], ";
    for (args, text, told) in [
        (&["--protocol", "opanai"][..], pod("", "", ""), "unknown protocol \"opanai\"; did you mean \"openai\"?"),
        (&["--protocol", "openai,openai"], pod("", "", ""), "named twice"),
        (&["--protocol", "openai,helicone"], pod("", "", ""), "told by the same variable"),
        (&[], pod("", "", ""), "Pod web: name the protocol, the upstream, or both"),
        (&["--protocol", "otlp"], pod("", "", ""), "name the upstream (--upstream, or expurgate.dev/upstream): the endpoint of your collector"),
        (&["--upstream", "collector:4318"], pod("", "", ""), "--upstream: not an upstream"),
        (&["--protocol", "openai,otlp", "--upstream", "http://a"], pod("", "", ""), "write PACK=URL"),
        (&["--protocol", "openai,otlp", "--upstream", "oltp=http://a"], pod("", "", ""), "oltp is no protocol named"),
        (&["--memory-limit", "64MB"], pod("", "", ""), "--memory-limit: \"64MB\" is no quantity"),
        (
            &["--memory-request", "128Mi"],
            pod("", "", ""),
            "--memory-request: \"128Mi\" is more than the memory limit, 64Mi; raise that too\n",
        ),
        (
            &["--cpu-limit", "10m"],
            pod("", "", ""),
            "--cpu-limit: \"10m\" is less than the CPU request, 50m; lower that too\n",
        ),
        (
            &["--cpu-limit", "1", "--cpu-request", "1500m"],
            pod("", "", ""),
            "--cpu-request: \"1500m\" is more than the CPU limit, 1; raise that too\n",
        ),
        (
            &["--protocol", "openai", "--memory-request", "48Mi"],
            pod("expurgate.dev/memory-limit: 32Mi", "", ""),
            "Pod web: annotation expurgate.dev/memory-limit: \"32Mi\" is less than the memory request, 48Mi; lower \
             that too\n",
        ),
        (
            &["--protocol", "openai"],
            pod("expurgate.dev/memory-request: 96Mi", "", ""),
            "annotation expurgate.dev/memory-request: \"96Mi\" is more than the memory limit, 64Mi; raise that too\n",
        ),
        (&["--protocol", "openai"], pod("", "hostNetwork: true, ", ""), "the sidecar's ports would be the node's"),
        (&["--protocol", "openai"], pod("", "os: {name: windows}, ", ""), "Windows"),
        (&["--protocol", "openai"], pod("", own, ""), "a container called expurgate that inject did not put in"),
        (&["--protocol", "openai"], pod("", "volumes: [{name: expurgate-rules}], ", ""), "call it otherwise"),
        (&["--protocol", "openai", "--port", "8080"], pod("", "", ", ports: [{containerPort: 8080}]"), "port 8080 is used"),
        (&["--protocol", "openai"], pod("expurgate.dev/imgae: x", "", ""), "did you mean expurgate.dev/image?"),
        (&["--protocol", "openai"], pod("expurgate.dev/port: \"80\"", "", ""), "no port from 1024"),
        (&["--protocol", "openai"], pod("expurgate.dev/containers: ap", "", ""), "there is no container ap"),
        (&["--protocol", "openai"], pod("expurgate.dev/injected: x", "", ""), "is damaged"),
        (
            &["--protocol", "openai"],
            env("{name: OPENAI_BASE_URL, valueFrom: {configMapKeyRef: {name: llm, key: url}}}"),
            "container app: OPENAI_BASE_URL comes from ConfigMap llm, which is not seen here: write it as a value \
             instead, or let it say http://127.0.0.1:8080/v1 there, add the annotation expurgate.dev/keep-variables: \
             OPENAI_BASE_URL, and name the upstream",
        ),
        (
            &["--protocol", "sentry"],
            env("{name: SENTRY_DSN, valueFrom: {secretKeyRef: {name: dsn, key: dsn}}}"),
            "write the DSN (its key is public) as a value instead, or let it say http://PUBLIC_KEY@127.0.0.1:8080/PROJECT",
        ),
        (&["--protocol", "sentry"], env("{name: SENTRY_DSN, value: nonsense}"), "does not tell where requests go"),
        (&["--protocol", "openai"], env("{name: OPENAI_BASE_URL, value: \"https://a/v2\"}"), "does not tell where"),
        (
            &["--protocol", "langfuse"],
            env("{name: LANGFUSE_HOST, value: \"https://a\"}, {name: LANGFUSE_BASE_URL, value: \"https://b\"}"),
            "LANGFUSE_HOST of app says https://a, but LANGFUSE_BASE_URL of app says https://b",
        ),
        (
            &["--protocol", "openai"],
            env("{name: OPENAI_BASE_URL, value: \"https://a/v1\"}, {name: OPENAI_BASE_URL, value: x}"),
            "is set twice",
        ),
        (
            &["--protocol", "openai"],
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: n, annotations: {expurgate.dev/inject: \
             \"false\"}}\n"
                .to_owned(),
            "Deployment n/a: move the annotation expurgate.dev/inject to spec.template.metadata.annotations",
        ),
        (&["--protocol", "openai"], "a: 1\n---\nb: [\n".to_owned(), "standard input: line "),
        (
            &["--protocol", "openai"],
            "kind: Pod\nmetadata:\n\tname: x\n".to_owned(),
            "standard input: line 3: no valid YAML at column 1: tabs disallowed within this context (block \
             indentation); indent with spaces\n",
        ),
        (
            &["--protocol", "openai"],
            "kind: Pod\n{{- if .Values.on }}\nspec: {}\n{{- end }}\n".to_owned(),
            "; render templates first: helm template … | expurgate inject\n",
        ),
    ] {
        let args: Vec<&str> = std::iter::once("inject").chain(args.iter().copied()).collect();
        let output = expurgate(&args, text.as_bytes());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{args:?} {text} {error}");
        assert!(error.contains(told), "{told}: {error}");
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused_with_what_to_do() {
    for (protocol, args, annotation, told) in [
        (
            "openai",
            &["--actions", "pii=hash"][..],
            "",
            "--actions: hash needs keys; name their Secret with hash-keys-secret\n",
        ),
        (
            "openai",
            &["--hash-keys", "k2"],
            "",
            "--hash-keys: which Secret are they in? name it with hash-keys-secret\n",
        ),
        ("openai", &["--actions", "pii=hide"], "", "--actions: unknown action \"hide\""),
        (
            "openai",
            &["--hash-keys-secret", "Keys"],
            "",
            "--hash-keys-secret: \"Keys\" is no name of a ConfigMap or Secret\n",
        ),
        ("openai", &[], "actions: pii=hash", "annotation expurgate.dev/actions: hash needs keys"),
        (
            "openai",
            &["--hash-keys-secret", "k", "--config-configmap", "c", "--actions", "pii=mask"],
            "",
            "--actions: the configuration of config-configmap says this, in [route.policy]; leave it out\n",
        ),
        (
            "openai",
            &["--upstream", "http://a", "--tls-ca-secret", "ca"],
            "",
            "tls-ca-secret: http://a has no TLS; write https://",
        ),
        ("openai", &["--upstream", "http://a"], "tls-cert-secret: c", "tls-cert-secret: http://a has no TLS"),
        (
            "openai,otlp",
            &["--upstream", "otlp=https://a", "--tls-ca-secret", "ca"],
            "",
            "tls-ca-secret: with several protocols write PACK=NAME for each that needs one",
        ),
        ("openai", &["--tls-ca-secret", "oltp=ca"], "", "tls-ca-secret: oltp is no protocol named"),
        ("openai", &[], "tls-cert-secrets: a", "did you mean expurgate.dev/tls-cert-secret?"),
    ] {
        let args: Vec<&str> = ["inject", "--protocol", protocol].into_iter().chain(args.iter().copied()).collect();
        let annotation = if annotation.is_empty() { String::new() } else { format!("{PREFIX}{annotation}") };
        let output = expurgate(&args, pod(&annotation, "", "").as_bytes());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]), "{args:?} {error}");
        assert!(error.contains(told), "{told}: {error}");
    }
}

#[test]
fn what_is_not_seen_is_warned_of() {
    for (args, text, told) in [
        ("amplitude", pod("", "", ""), "set in your code server_url=http://127.0.0.1:8080/2/httpapi"),
        ("sentry", pod("", "", ""), "no container sets SENTRY_DSN"),
        ("openai", pod("", "", ", envFrom: [{secretRef: {name: a}}]"), "envFrom sets OPENAI_BASE_URL"),
        (
            "otlp",
            pod("", "", ", envFrom: [{configMapRef: {name: a}}], env: [{name: OTEL_EXPORTER_OTLP_LOGS_ENDPOINT}]"),
            "container app: if a ConfigMap or Secret of envFrom sets OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or \
             OTEL_EXPORTER_OTLP_METRICS_ENDPOINT, its requests go past the sidecar: take it out there, or write it into \
             env\n",
        ),
        (
            "sentry",
            pod("", "", ", envFrom: [{secretRef: {name: a}}]"),
            "if a ConfigMap or Secret of envFrom sets SENTRY_DSN, its requests go past the sidecar",
        ),
        ("openai", pod("", "", ", env: [{name: HTTP_PROXY, value: \"http://p\"}]"), "add 127.0.0.1 to NO_PROXY"),
        ("openai", "kind: Service\n".to_owned(), "no workload gets the sidecar"),
        (
            "openai",
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: k}\nspec: {template: {spec: \
             {containers: [{image: x}]}}}\n"
                .to_owned(),
            "Service k: inject does not know this kind",
        ),
        (
            "openai",
            "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {template: {spec: {containers: \
             [{name: x}]}}}\n"
                .to_owned(),
            "Widget w: inject does not know this kind",
        ),
        (
            "openai",
            "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: f}\nspec: {templates: [{name: a, \
             container: {image: x}}]}\n"
                .to_owned(),
            "Workflow f: inject does not know this kind",
        ),
        ("openai", ROLLOUT.to_owned(), "Rollout r: its pods are those of the Deployment web (workloadRef)"),
    ] {
        let args = ["inject", "--protocol", args, "--upstream", "https://a.example"];
        let args = if told.starts_with("envFrom") { &args[..3] } else { &args };
        let output = expurgate(args, text.as_bytes());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{error}");
        assert!(error.contains("warning: ") && error.contains(told), "{told}: {error}");
    }
}

#[test]
fn what_goes_past_the_sidecar_is_warned_of_and_what_points_at_it_is_not() {
    let env = |entries: &str| pod("", "", &format!(", env: [{entries}]"));
    let otlp = "{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: \"http://collector:4318\"}";
    let runs = |url: &str| format!("{{name: LANGSMITH_RUNS_ENDPOINTS, value: '{{\"{url}\": \"lsv2_key\"}}'}}");
    for (args, text, told) in [
        (
            &["--protocol", "langsmith"][..],
            env(otlp),
            "OTEL_EXPORTER_OTLP_ENDPOINT goes past the sidecar; name its protocol too (",
        ),
        (
            &["--protocol", "langsmith"],
            env(&runs("https://a.example")),
            "LANGSMITH_RUNS_ENDPOINTS goes past the sidecar; leave it out\n",
        ),
        (&["--protocol", "langsmith"], env(&runs("http://127.0.0.1:8080")), ""),
        (&["--protocol", "langsmith", "--keep-variables", "OTEL_EXPORTER_OTLP_ENDPOINT"], env(otlp), ""),
        (&["--protocol", "langsmith,otlp"], env(otlp), ""),
    ] {
        let args: Vec<&str> = std::iter::once("inject").chain(args.iter().copied()).collect();
        let output = expurgate(&args, text.as_bytes());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{error}");
        assert_eq!(error.contains("past the sidecar"), !told.is_empty(), "{error}");
        assert!(told.is_empty() || error.contains(&format!("container app: {told}")), "{told}: {error}");
        assert!(!error.contains("lsv2_key"), "{error}");
        // The same is told of what runs.
        let listed = expurgate(&["verify"], &output.stdout);
        let table = String::from_utf8_lossy(&listed.stdout).into_owned();
        let is_flag = args.contains(&"--keep-variables");
        assert_eq!(table.contains("past the sidecar"), !told.is_empty() || is_flag, "{table}");
    }
}

#[test]
fn an_entity_that_no_known_rule_finds_is_warned_of() {
    let keys = ["--hash-keys-secret", "k"];
    let own = rule_file(
        "[[rule]]\nid = \"acme.key\"\nentity = \"ACME_KEY\"\ncategory = \"credential\"\ndescription = \"d\"\n\
         pattern = '\\bacme_[a-z0-9]{8}\\b'\nexamples = [\"acme_a1b2c3d4\"]\nnegative_examples = [\"acme_\"]\n\
         references = [\"https://example.com\"]\n",
    );
    let rules = ["--rules", own.path().to_str().unwrap()];
    for (args, actions, told) in [
        (&[][..], "EMAIL_ADRESS=hash", "actions: no built-in rule finds EMAIL_ADRESS; did you mean EMAIL_ADDRESS?"),
        (&[], "EMAIL_ADDRESS=hash,pii=hash,default=mask,credential=remove", ""),
        (&[], "ACME_KEY=hash", "actions: no built-in rule finds ACME_KEY; "),
        (&rules, "ACME_KEY=hash", ""),
        (&rules, "ACME_KEYS=hash", "actions: no rule finds ACME_KEYS; did you mean ACME_KEY?"),
        (&[], "EMAIL_ADDRESS=mask", "hash-keys-secret: no action is hash, so nothing gets a pseudonym"),
    ] {
        let args = [&["inject", "--protocol", "openai"], &keys[..], args].concat();
        let text = pod(&format!("{PREFIX}actions: \"{actions}\""), "", "");
        let output = expurgate(&args, text.as_bytes());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{error}");
        assert_eq!(error.contains("warning: "), !told.is_empty(), "{actions}: {error}");
        assert!(error.contains(told), "{told}: {error}");
    }
}

fn rule_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().prefix("rules").suffix(".toml").tempfile().unwrap();
    fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn rules_of_ones_own_get_the_memory_to_be_judged_unless_it_is_set() {
    let memory = |args: &[&str], annotations: &str| {
        let args = [&["inject", "--protocol", "openai"], args].concat();
        let output = expurgate(&args, pod(annotations, "", "").as_bytes());
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{error}");
        let out = String::from_utf8(output.stdout).unwrap();
        let pod = trees(&out).into_iter().find(|tree| tree.text_of("kind") == Some("Pod")).unwrap();
        let sidecar = &pod.at(&["spec"]).unwrap().items("initContainers")[0];
        let of = |kind: &str| sidecar.at(&["resources", kind, "memory"]).and_then(Node::as_text).unwrap().to_owned();
        (of("requests"), of("limits"))
    };
    let own = rule_file("[[override]]\nid = \"email.address\"\nshadow = true\n");
    let (rules, named) = (["--rules", own.path().to_str().unwrap()], format!("{PREFIX}rules-configmap: mine"));
    let with = |more: [&'static str; 2]| [rules, more].concat();
    let is = |request: &str, limit: &str| (request.to_owned(), limit.to_owned());
    assert_eq!(memory(&[], ""), is("32Mi", "64Mi"));
    assert_eq!(memory(&rules, ""), is("128Mi", "256Mi"));
    assert_eq!(memory(&[], &named), is("128Mi", "256Mi"));
    let none = rule_file("# none yet\n");
    assert_eq!(memory(&["--rules", none.path().to_str().unwrap()], ""), is("32Mi", "64Mi"));
    assert_eq!(memory(&["--rules-configmap", "mine"], ""), is("128Mi", "256Mi"));
    assert_eq!(memory(&with(["--memory-limit", "96Mi"]), ""), is("32Mi", "96Mi"));
    assert_eq!(memory(&rules, &format!("{PREFIX}memory-limit: 64Mi")), is("32Mi", "64Mi"));
    assert_eq!(memory(&with(["--memory-request", "200Mi"]), ""), is("200Mi", "256Mi"));
}

const ROLLOUT: &str = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: r}\nspec: {workloadRef: \
                       {apiVersion: apps/v1, kind: Deployment, name: web}}\n";

#[test]
fn what_is_seen_elsewhere_or_has_no_containers_is_not_warned_of() {
    let deployment = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {template: {spec: \
                      {containers: [{name: app}]}}}\n";
    let schema = "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: w}\nspec: \
                  {versions: [{schema: {openAPIV3Schema: {properties: {spec: {properties: {containers: {type: \
                  array}}}}}}}]}\n";
    let usage = "---\napiVersion: metrics.k8s.io/v1beta1\nkind: PodMetrics\nmetadata: {name: m}\ncontainers: [{name: \
                 app, usage: {}}]\n";
    let text = format!("{ROLLOUT}{deployment}{schema}{usage}");
    let output = expurgate(&["inject", "--protocol", "openai"], text.as_bytes());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "1 workload has the sidecar\n");
}

#[test]
fn rules_come_with_the_pods_checked_and_once_per_namespace() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mine.toml");
    let rule = "[[override]]\nid = \"email.address\"\nshadow = true\n";
    fs::write(&file, rule).unwrap();
    let args = ["--protocol", "openai", "--rules", file.to_str().unwrap()].map(str::to_owned);
    let pods = ["n", "n", "m"]
        .map(|namespace| pod("", "", "").replace("name: web,", &format!("name: web, namespace: {namespace},")));
    let text = pods.join("---\n") + "---\nkind: ConfigMap\nmetadata: {name: expurgate-rules, namespace: other}\n";
    let injected = command(&args, &text);
    assert_eq!(injected.matches("\nkind: ConfigMap\n").count(), 3, "{injected}");
    assert!(
        injected.contains("data:\n  mine.toml: |\n    [[override]]\n") && !injected.contains("optional"),
        "{injected}"
    );
    assert_eq!(command(&args, &injected), injected);
    assert_eq!(trees(&command(&["--uninject".to_owned()], &injected)), trees(&text));

    let args = ["inject", "--protocol", "openai", "--rules", file.to_str().unwrap()];
    let output = expurgate(&args, text.replace("namespace: other", "namespace: n").as_bytes());
    assert!(String::from_utf8_lossy(&output.stderr).contains("the ConfigMap expurgate-rules is there already"));
    fs::write(&file, rule.replace("email.address", "email.adress")).unwrap();
    let output = expurgate(&args, text.as_bytes());
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("mine.toml:2:"));
}

#[test]
fn verify_lists_what_has_no_sidecar_and_ends_with_1() {
    let args = ["--protocol", "openai"].map(str::to_owned);
    let good = command(&args, &pod("expurgate.dev/inject: \"true\"", "", ""));
    let output = expurgate(&["verify"], good.as_bytes());
    assert_eq!(
        (output.status.code(), output.stdout.len()),
        (Some(0), 0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let bad = format!("{good}---\n{}", pod("expurgate.dev/inject: \"true\"", "", ""));
    let output = expurgate(&["verify", "--output", "json"], bad.as_bytes());
    assert_eq!(output.status.code(), Some(1));
    let listed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = serde_json::json!([{"namespace": "default", "pod": "web", "problem": "it has no sidecar"}]);
    assert_eq!(listed, expected);
    let table = expurgate(&["verify", "--all"], bad.as_bytes());
    assert!(String::from_utf8_lossy(&table.stdout).contains("NAMESPACE  POD  PROBLEM\ndefault    web  it has no"));
    assert_eq!(expurgate(&["verify"], b"kind: Service").status.code(), Some(2));
}

#[test]
fn verify_says_how_much_it_saw_and_an_empty_list_is_no_mistake() {
    let space = "---\nkind: Namespace\nmetadata: {name: default, labels: {expurgate.dev/injection: enabled}}\n";
    let old = pod("", "", "");
    let named = |namespace: &str, pod: &str| pod.replace("name: web,", &format!("name: web, namespace: {namespace},"));
    for (args, text, code, told) in [
        (&["verify"][..], "{\"kind\": \"List\", \"items\": []}".to_owned(), 0, "note: the list is empty"),
        (&["verify"], old.clone(), 0, "1 pod, 0 of them should have the sidecar, 0 problems\nnote: no namespaces"),
        (&["verify"], format!("{old}{space}"), 1, "1 pod, 1 of them should have the sidecar, 1 problem\n"),
        (&["verify", "--namespace", "default"], old.clone(), 1, "1 problem\n"),
        (
            &["verify", "--namespace", "other"],
            old.clone(),
            2,
            "1 pod, 0 of them should have the sidecar, 0 problems\nerror: --namespace: no pod of other is on standard \
             input; is it spelled so?\n",
        ),
        (&["verify", "--namespace", "default"], named("other", &old) + space, 0, "1 pod, 0 of them"),
    ] {
        let output = expurgate(args, text.as_bytes());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?} {said}");
        assert!(said.contains(told), "{args:?} {said}");
    }
}

/// `UPDATE_DOCS=1` writes it.
#[test]
fn the_document_lists_every_setting() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/inject.md");
    let document = fs::read_to_string(&path).unwrap();
    let (before, rest) = document.split_once("<!-- table -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    let rows = KNOBS.iter().map(|knob| {
        let flag = if knob.is_flag { format!("`--{} {}`", knob.name, knob.value) } else { String::new() };
        format!("| `{PREFIX}{}` | {flag} | {} | {} |\n", knob.name, knob.default, knob.meaning)
    });
    let table: String = std::iter::once("| annotation | flag | default | meaning |\n|---|---|---|---|\n".to_owned())
        .chain(rows)
        .collect();
    let expected = format!("{before}<!-- table -->\n{table}<!-- end -->{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), expected, "UPDATE_DOCS=1 cargo test --test it manifests");
}

/// What a setting does to a pod of the containers app and b with the protocol openai.
#[derive(Debug)]
struct Effect {
    knob: &'static str,
    value: &'static str,
    /// What it needs beside it.
    given: &'static [(&'static str, &'static str)],
    /// Lines that go (-) and come (+), below the pod's spec.
    lines: &'static [&'static str],
}

const fn effect(knob: &'static str, value: &'static str, lines: &'static [&'static str]) -> Effect {
    Effect { knob, value, given: &[], lines }
}

const EFFECTS: &[Effect] = &[
    effect(
        "protocol",
        "anthropic",
        &[
            "- containers.app.env.OPENAI_BASE_URL.name: OPENAI_BASE_URL",
            "- containers.app.env.OPENAI_BASE_URL.value: http://127.0.0.1:8080/v1",
            "- containers.b.env.OPENAI_BASE_URL.name: OPENAI_BASE_URL",
            "- containers.b.env.OPENAI_BASE_URL.value: http://127.0.0.1:8080/v1",
            "- @.env.EXPURGATE_PROTOCOL.value: openai",
            "- @.env.EXPURGATE_UPSTREAM.value: https://api.openai.com",
            "+ containers.app.env.ANTHROPIC_BASE_URL.name: ANTHROPIC_BASE_URL",
            "+ containers.app.env.ANTHROPIC_BASE_URL.value: http://127.0.0.1:8080",
            "+ containers.b.env.ANTHROPIC_BASE_URL.name: ANTHROPIC_BASE_URL",
            "+ containers.b.env.ANTHROPIC_BASE_URL.value: http://127.0.0.1:8080",
            "+ @.env.EXPURGATE_PROTOCOL.value: anthropic",
            "+ @.env.EXPURGATE_UPSTREAM.value: https://api.anthropic.com",
        ],
    ),
    effect(
        "upstream",
        "https://llm.example:8443/base",
        &[
            "- @.env.EXPURGATE_UPSTREAM.value: https://api.openai.com",
            "+ @.env.EXPURGATE_UPSTREAM.value: https://llm.example:8443/base",
        ],
    ),
    effect(
        "image",
        "registry.example/expurgate@sha256:12",
        &["- @.image: ghcr.io/expurgate/expurgate:0.1.0", "+ @.image: registry.example/expurgate@sha256:12"],
    ),
    effect("image-pull-policy", "Never", &["+ @.imagePullPolicy: Never"]),
    effect(
        "rules-configmap",
        "own-rules",
        &[
            "- @.env.EXPURGATE_LIMITS_MAX_BUFFERED.value: 8388608",
            "- @.resources.limits.memory: 64Mi",
            "- @.resources.requests.memory: 32Mi",
            "- volumes.expurgate-rules.configMap.name: expurgate-rules",
            "+ @.env.EXPURGATE_LIMITS_MAX_BUFFERED.value: 33554432",
            "+ @.resources.limits.memory: 256Mi",
            "+ @.resources.requests.memory: 128Mi",
            "+ volumes.expurgate-rules.configMap.name: own-rules",
        ],
    ),
    effect(
        "config-configmap",
        "own-config",
        &[
            "- @.env.EXPURGATE_LIMITS_MAX_BUFFERED.name: EXPURGATE_LIMITS_MAX_BUFFERED",
            "- @.env.EXPURGATE_LIMITS_MAX_BUFFERED.value: 8388608",
            "- @.env.EXPURGATE_LIMITS_MAX_CONNECTIONS.name: EXPURGATE_LIMITS_MAX_CONNECTIONS",
            "- @.env.EXPURGATE_LIMITS_MAX_CONNECTIONS.value: 256",
            "- @.env.EXPURGATE_LOG_FORMAT.name: EXPURGATE_LOG_FORMAT",
            "- @.env.EXPURGATE_LOG_FORMAT.value: json",
            "- @.env.EXPURGATE_PROTOCOL.name: EXPURGATE_PROTOCOL",
            "- @.env.EXPURGATE_PROTOCOL.value: openai",
            "- @.env.EXPURGATE_UPSTREAM.name: EXPURGATE_UPSTREAM",
            "- @.env.EXPURGATE_UPSTREAM.value: https://api.openai.com",
            "+ @.env.EXPURGATE_CONFIG.name: EXPURGATE_CONFIG",
            "+ @.env.EXPURGATE_CONFIG.value: /etc/expurgate/config/config.toml",
            "+ @.volumeMounts.expurgate-config.mountPath: /etc/expurgate/config",
            "+ @.volumeMounts.expurgate-config.name: expurgate-config",
            "+ @.volumeMounts.expurgate-config.readOnly: true",
            "+ volumes.expurgate-config.configMap.name: own-config",
            "+ volumes.expurgate-config.name: expurgate-config",
        ],
    ),
    effect(
        "actions",
        "default=report, EMAIL_ADDRESS=mask",
        &[
            "+ @.env.EXPURGATE_ROUTE_0_POLICY_DEFAULT.name: EXPURGATE_ROUTE_0_POLICY_DEFAULT",
            "+ @.env.EXPURGATE_ROUTE_0_POLICY_DEFAULT.value: report",
            "+ @.env.EXPURGATE_ROUTE_0_POLICY_EMAIL_ADDRESS.name: EXPURGATE_ROUTE_0_POLICY_EMAIL_ADDRESS",
            "+ @.env.EXPURGATE_ROUTE_0_POLICY_EMAIL_ADDRESS.value: mask",
        ],
    ),
    effect(
        "hash-keys-secret",
        "agent-keys",
        &[
            "+ @.env.EXPURGATE_HASH_KEYS.name: EXPURGATE_HASH_KEYS",
            "+ @.env.EXPURGATE_HASH_KEYS.value: k1=/etc/expurgate/keys/k1.key",
            "+ @.volumeMounts.expurgate-keys.mountPath: /etc/expurgate/keys",
            "+ @.volumeMounts.expurgate-keys.name: expurgate-keys",
            "+ @.volumeMounts.expurgate-keys.readOnly: true",
            "+ volumes.expurgate-keys.name: expurgate-keys",
            "+ volumes.expurgate-keys.secret.secretName: agent-keys",
        ],
    ),
    Effect {
        given: &[("hash-keys-secret", "agent-keys")],
        ..effect(
            "hash-keys",
            "new,old",
            &[
                "- @.env.EXPURGATE_HASH_KEYS.value: k1=/etc/expurgate/keys/k1.key",
                "+ @.env.EXPURGATE_HASH_ACTIVE.name: EXPURGATE_HASH_ACTIVE",
                "+ @.env.EXPURGATE_HASH_ACTIVE.value: new",
                "+ @.env.EXPURGATE_HASH_KEYS.value: new=/etc/expurgate/keys/new.key,old=/etc/expurgate/keys/old.key",
            ],
        )
    },
    effect(
        "tls-ca-secret",
        "corp-ca",
        &[
            "+ @.env.EXPURGATE_ROUTE_0_TLS_CA.name: EXPURGATE_ROUTE_0_TLS_CA",
            "+ @.env.EXPURGATE_ROUTE_0_TLS_CA.value: /etc/expurgate/ca/ca.crt",
            "+ @.volumeMounts.expurgate-ca.mountPath: /etc/expurgate/ca",
            "+ @.volumeMounts.expurgate-ca.name: expurgate-ca",
            "+ @.volumeMounts.expurgate-ca.readOnly: true",
            "+ volumes.expurgate-ca.name: expurgate-ca",
            "+ volumes.expurgate-ca.secret.secretName: corp-ca",
        ],
    ),
    effect(
        "tls-cert-secret",
        "agent-client",
        &[
            "+ @.env.EXPURGATE_ROUTE_0_TLS_CERT.name: EXPURGATE_ROUTE_0_TLS_CERT",
            "+ @.env.EXPURGATE_ROUTE_0_TLS_CERT.value: /etc/expurgate/client/tls.crt",
            "+ @.env.EXPURGATE_ROUTE_0_TLS_KEY.name: EXPURGATE_ROUTE_0_TLS_KEY",
            "+ @.env.EXPURGATE_ROUTE_0_TLS_KEY.value: /etc/expurgate/client/tls.key",
            "+ @.volumeMounts.expurgate-client.mountPath: /etc/expurgate/client",
            "+ @.volumeMounts.expurgate-client.name: expurgate-client",
            "+ @.volumeMounts.expurgate-client.readOnly: true",
            "+ volumes.expurgate-client.name: expurgate-client",
            "+ volumes.expurgate-client.secret.secretName: agent-client",
        ],
    ),
    effect(
        "profile",
        "strict",
        &["+ @.env.EXPURGATE_PROFILE.name: EXPURGATE_PROFILE", "+ @.env.EXPURGATE_PROFILE.value: strict"],
    ),
    effect("log-level", "warn", &["+ @.env.EXPURGATE_LOG.name: EXPURGATE_LOG", "+ @.env.EXPURGATE_LOG.value: warn"]),
    effect(
        "log-format",
        "text",
        &["- @.env.EXPURGATE_LOG_FORMAT.value: json", "+ @.env.EXPURGATE_LOG_FORMAT.value: text"],
    ),
    effect(
        "port",
        "4000",
        &[
            "- containers.app.env.OPENAI_BASE_URL.value: http://127.0.0.1:8080/v1",
            "- containers.b.env.OPENAI_BASE_URL.value: http://127.0.0.1:8080/v1",
            "- @.env.EXPURGATE_LISTEN.value: 127.0.0.1:8080",
            "+ containers.app.env.OPENAI_BASE_URL.value: http://127.0.0.1:4000/v1",
            "+ containers.b.env.OPENAI_BASE_URL.value: http://127.0.0.1:4000/v1",
            "+ @.env.EXPURGATE_LISTEN.value: 127.0.0.1:4000",
        ],
    ),
    effect(
        "admin-port",
        "4001",
        &[
            "- @.env.EXPURGATE_ADMIN.value: 0.0.0.0:9090",
            "- @.ports.metrics.containerPort: 9090",
            "+ @.env.EXPURGATE_ADMIN.value: 0.0.0.0:4001",
            "+ @.ports.metrics.containerPort: 4001",
        ],
    ),
    effect("cpu-request", "75m", &["- @.resources.requests.cpu: 50m", "+ @.resources.requests.cpu: 75m"]),
    effect("cpu-limit", "2", &["- @.resources.limits.cpu: 500m", "+ @.resources.limits.cpu: 2"]),
    effect("memory-request", "48Mi", &["- @.resources.requests.memory: 32Mi", "+ @.resources.requests.memory: 48Mi"]),
    effect(
        "memory-limit",
        "256Mi",
        &[
            "- @.env.EXPURGATE_LIMITS_MAX_BUFFERED.value: 8388608",
            "- @.resources.limits.memory: 64Mi",
            "+ @.env.EXPURGATE_LIMITS_MAX_BUFFERED.value: 33554432",
            "+ @.resources.limits.memory: 256Mi",
        ],
    ),
    effect(
        "containers",
        "b",
        &[
            "- containers.app.env.OPENAI_BASE_URL.name: OPENAI_BASE_URL",
            "- containers.app.env.OPENAI_BASE_URL.value: http://127.0.0.1:8080/v1",
        ],
    ),
    effect(
        "keep-variables",
        "OPENAI_BASE_URL",
        &[
            "- containers.app.env.OPENAI_BASE_URL.name: OPENAI_BASE_URL",
            "- containers.app.env.OPENAI_BASE_URL.value: http://127.0.0.1:8080/v1",
            "- containers.b.env.OPENAI_BASE_URL.name: OPENAI_BASE_URL",
            "- containers.b.env.OPENAI_BASE_URL.value: http://127.0.0.1:8080/v1",
        ],
    ),
];

const INTO: &str = "initContainers.expurgate.";

/// Each leaf of a tree by its path; members of a list that have a name go by that.
fn leaves(node: &Node, path: &str, into: &mut BTreeSet<String>) {
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match node {
        Node::Scalar(_) => drop(into.insert(format!("{path}: {}", node.as_text().unwrap()))),
        Node::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let name = item.text_of("name").map_or_else(|| index.to_string(), str::to_owned);
                leaves(item, &below(&name), into);
            }
        }
        Node::Map(map) => map.iter().for_each(|(key, value)| leaves(value, &below(&key.text), into)),
    }
}

/// The leaves of a pod's spec.
fn spec_of(text: &str) -> BTreeSet<String> {
    let stream = Stream::read(text).unwrap();
    let pod = stream.documents().next().unwrap().node.as_ref().unwrap();
    let mut found = BTreeSet::new();
    leaves(pod.at(&["spec"]).unwrap(), "", &mut found);
    found
}

/// The pod of the table, as it is injected with flags and annotations.
fn with_settings(flags: &[(&'static str, &str)], annotations: &[(&str, &str)]) -> BTreeSet<String> {
    let mut settings = Settings::from([("protocol", "openai".to_owned())]);
    settings.extend(flags.iter().map(|(name, value)| (*name, (*value).to_owned())));
    let injector = Injector::new(Packs::builtin().unwrap(), settings, false).unwrap();
    let annotations: Vec<_> = annotations.iter().map(|(name, value)| format!("{PREFIX}{name}: '{value}'")).collect();
    let text = pod(&annotations.join(", "), "", "}, {name: b");
    spec_of(&inject(&text, &injector, &[]).unwrap().text)
}

#[test]
fn each_setting_changes_what_it_says_and_nothing_else() {
    for effect in EFFECTS {
        let knob = KNOBS.iter().find(|knob| knob.name == effect.knob).unwrap();
        let changed: Vec<_> = effect.given.iter().copied().chain([(effect.knob, effect.value)]).collect();
        let before = with_settings(effect.given, &[]);
        let after = with_settings(&[], &changed);
        let gone = before.difference(&after).map(|line| format!("- {line}"));
        let come = after.difference(&before).map(|line| format!("+ {line}"));
        let found: Vec<String> = gone.chain(come).collect();
        let expected: Vec<String> = effect.lines.iter().map(|line| line.replace("@.", INTO)).collect();
        assert_eq!(found, expected, "{} = {}", effect.knob, effect.value);
        if knob.is_flag {
            assert_eq!(with_settings(&changed, &[]), after, "--{}", effect.knob);
        }
    }
    let plain = spec_of(&pod("", "", "}, {name: b"));
    assert_eq!(with_settings(&[], &[("inject", "false")]), plain);
    assert_eq!(with_settings(&[], &[("inject", "true")]), with_settings(&[], &[]));
    let shown: BTreeSet<&str> = EFFECTS.iter().map(|effect| effect.knob).chain(["inject"]).collect();
    let known: BTreeSet<&str> = KNOBS.iter().map(|knob| knob.name).collect();
    assert_eq!(shown, known, "a setting without an effect that is shown here");
}

/// Values of all spellings.
fn scalar() -> impl Strategy<Value = Node> {
    let plain = ["8080", "0.10", "1e3", "yes", "off", "~", "null", "", "0o17", "12:30:45", "1_000", "-1", "true", ".5"];
    let text = [
        "yes",
        "0.10",
        "8080",
        "",
        "null",
        "a: b",
        "#c",
        "x #y",
        "it's \"so\"",
        "é\u{1f600}",
        "two\nlines\n",
        " lead\nx",
        "t\t",
        "end\n\n",
        "- x",
        "{a}",
        "*a",
        "!t",
        "@",
        "`",
        "a\\b",
        "\u{85}\u{2028}",
        "x:",
        "---",
        "| x",
        "<<",
        "https://a/b?c=d#e",
    ];
    prop_oneof![
        prop::sample::select(plain.to_vec()).prop_map(Node::plain),
        prop::sample::select(text.to_vec()).prop_map(Node::text),
        "[ -~]{0,12}".prop_map(Node::text),
    ]
}

fn value() -> impl Strategy<Value = Node> {
    scalar().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Node::List),
            prop::collection::btree_map("[a-z0-9 ]{1,5}", inner, 0..3).prop_map(map_of),
        ]
    })
}

fn map_of<K: AsRef<str>>(entries: impl IntoIterator<Item = (K, Node)>) -> Node {
    let mut map = Map::default();
    entries.into_iter().for_each(|(key, value)| map.set(key.as_ref(), value));
    Node::Map(map)
}

/// A collection that may be missing, null or empty.
fn maybe(some: impl Strategy<Value = Node> + 'static, empty: Node) -> impl Strategy<Value = Option<Node>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(empty)),
        1 => Just(Some(Node::plain("null"))),
        4 => some.prop_map(Some),
    ]
}

fn variable() -> impl Strategy<Value = Node> {
    let entry = |name: &str, value: Node| Node::map([("name", Node::text(name)), ("value", value)]);
    let from = Node::map([
        ("name", Node::text("KEY")),
        ("valueFrom", Node::map([("secretKeyRef", Node::Map(Map::default()))])),
    ]);
    prop_oneof![
        "[A-Z]{1,4}".prop_map(move |name| entry(&name, Node::text("1"))),
        Just(from),
        "OTHER_[A-Z]".prop_map(|name| Node::map([("name", Node::text(name))])),
        prop::sample::select(vec!["8080", "18080", "9090"]).prop_map(move |port| entry("APP_PORT", Node::text(port))),
    ]
}

fn container(name: String) -> impl Strategy<Value = Node> {
    let own = prop::sample::select(vec![
        None,
        Some("https://gateway.example/v1"),
        Some("https://gateway.example/v1/"),
        Some("http://127.0.0.1:8080/v1"),
        Some(""),
    ]);
    let variables = (prop::collection::vec(variable(), 0..3), own, any::<prop::sample::Index>());
    let env = variables.prop_map(|(mut variables, own, place)| {
        if let Some(own) = own {
            let own = Node::map([("name", Node::text("OPENAI_BASE_URL")), ("value", Node::text(own))]);
            variables.insert(place.index(variables.len() + 1), own);
        }
        Node::List(variables)
    });
    (maybe(env, Node::List(Vec::new())), value(), any::<bool>()).prop_map(move |(env, other, is_first)| {
        let mut map = Map::default();
        let set_env = |map: &mut Map| {
            if let Some(env) = env.clone() {
                map.set("env", env);
            }
        };
        if is_first {
            set_env(&mut map);
        }
        map.set("name", Node::text(&name));
        map.set("x", other);
        if !is_first {
            set_env(&mut map);
        }
        Node::Map(map)
    })
}

fn template() -> impl Strategy<Value = Node> {
    let list = || Node::List(Vec::new());
    let empty = || Node::Map(Map::default());
    let some = || prop::collection::btree_map("[a-z]{1,4}(/[a-z])?", scalar(), 1..3).prop_map(map_of);
    let metadata = (maybe(some(), empty()), maybe(some(), empty()));
    let metadata = metadata.prop_map(|(labels, annotations)| {
        let parts = [("labels", labels), ("annotations", annotations)];
        map_of(parts.into_iter().filter_map(|(key, part)| Some((key, part?))))
    });
    let volumes = prop::collection::vec(value().prop_map(|x| Node::map([("name", Node::text("v")), ("x", x)])), 1..3);
    let spec = (
        maybe(container("init".to_owned()).prop_map(|one| Node::List(vec![one])), list()),
        prop_oneof![
            container("app".to_owned()).prop_map(|one| vec![one]),
            (container("app".to_owned()), container("b".to_owned())).prop_map(|(one, two)| vec![one, two]),
        ],
        maybe(volumes.prop_map(Node::List), list()),
        value(),
    );
    let spec = spec.prop_map(|(init, containers, volumes, other)| {
        let parts = [("other", Some(other)), ("initContainers", init), ("containers", Some(Node::List(containers)))];
        map_of(parts.into_iter().chain([("volumes", volumes)]).filter_map(|(key, part)| Some((key, part?))))
    });
    (maybe(metadata, empty()), spec).prop_map(|(metadata, spec)| {
        let parts = [("metadata", metadata), ("spec", Some(spec))];
        map_of(parts.into_iter().filter_map(|(key, part)| Some((key, part?))))
    })
}

fn workload() -> impl Strategy<Value = Node> {
    let document = |version: &str, kind: &str| {
        vec![("apiVersion".to_owned(), Node::text(version)), ("kind".to_owned(), Node::text(kind))]
    };
    let kinds = vec![
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("apps/v1", "DaemonSet"),
        ("apps/v1", "ReplicaSet"),
        ("batch/v1", "Job"),
        ("batch/v1", "CronJob"),
        ("v1", "Pod"),
    ];
    (prop::sample::select(kinds), template(), "[a-z]{1,8}", value()).prop_map(
        move |((version, kind), template, name, other)| {
            let mut parts = document(version, kind);
            if kind == "Pod" {
                let own = template.as_map().unwrap();
                parts.extend(own.iter().map(|(key, value)| (key.text.clone(), value.clone())));
                return map_of(parts);
            }
            parts.push(("metadata".to_owned(), Node::map([("name", Node::text(name)), ("x", other)])));
            let spec = Node::map([("template", template)]);
            let spec = if kind == "CronJob" { Node::map([("jobTemplate", Node::map([("spec", spec)]))]) } else { spec };
            parts.push(("spec".to_owned(), spec));
            map_of(parts)
        },
    )
}

/// Documents as text, and whether each is a workload.
fn manifests() -> impl Strategy<Value = Vec<(String, bool)>> {
    let others = prop::sample::select(vec![
        "kind:   Service   # odd\n",
        "# only a comment\n",
        "\n",
        "apiVersion: example.com/v1\nkind: Deployment\nspec: {template: {spec: {containers: [a]}}}\n",
        "a: !Tagged x\n'b' : \"c\" \n...\n",
        "- 1\n-   2\n",
        "{\"kind\": \"Secret\",\"n\":0.10}\n",
    ]);
    let write = |node: &Node, has_comments: bool| match has_comments {
        false => write_yaml(node),
        true => format!("# above\n\n{}# below\n", write_yaml(node)),
    };
    let list = |nodes: Vec<Node>| {
        Node::map([("apiVersion", Node::text("v1")), ("kind", Node::text("List")), ("items", Node::List(nodes))])
    };
    let one = prop_oneof![
        2 => others.prop_map(|text| (text.to_owned(), false)),
        4 => (workload(), any::<bool>()).prop_map(move |(node, style)| (write(&node, style), true)),
        1 => (prop::collection::vec(workload(), 1..3), any::<bool>()).prop_map(move |(nodes, style)| (write(&list(nodes), style), true)),
    ];
    prop::collection::vec(one, 1..4)
}

/// The chunks that begin with a marker.
fn chunks(text: &str) -> Vec<String> {
    format!("\n{text}").split("\n---\n").skip(1).map(str::to_owned).collect()
}

/// Some of the settings of the table, as flags, with what each needs: those but for the
/// ones that say what is judged, or that others contradict.
fn injector() -> impl Strategy<Value = Injector> {
    let judged = ["protocol", "upstream", "containers", "keep-variables", "config-configmap"];
    let free: Vec<&Effect> = EFFECTS.iter().filter(|effect| !judged.contains(&effect.knob)).collect();
    let count = free.len();
    prop::sample::subsequence(free, 0..=count).prop_map(|chosen: Vec<&Effect>| {
        let mut settings =
            Settings::from([("protocol", "openai".to_owned()), ("upstream", "https://gateway.example".to_owned())]);
        for effect in chosen {
            settings.extend(effect.given.iter().map(|(name, value)| (*name, (*value).to_owned())));
            settings.insert(effect.knob, effect.value.to_owned());
        }
        Injector::new(Packs::builtin().unwrap(), settings, false).unwrap()
    })
}

/// The first init container is the sidecar, restricted, and nothing points past it.
fn judge(document: &Node) {
    let paths: [&[&str]; 3] = [&["spec", "jobTemplate", "spec", "template"], &["spec", "template"], &[]];
    let template = paths.iter().find_map(|path| document.at(path)).unwrap();
    let spec = template.at(&["spec"]).unwrap();
    let sidecar = &spec.items("initContainers")[0];
    assert_eq!((sidecar.text_of("name"), sidecar.text_of("restartPolicy")), (Some("expurgate"), Some("Always")));
    let security = sidecar.at(&["securityContext"]).unwrap();
    for (key, value) in [
        ("runAsNonRoot", "true"),
        ("runAsUser", "65532"),
        ("readOnlyRootFilesystem", "true"),
        ("allowPrivilegeEscalation", "false"),
    ] {
        assert_eq!(security.text_of(key), Some(value));
    }
    assert_eq!(security.at(&["capabilities", "drop"]), Some(&Node::List(vec![Node::text("ALL")])));
    assert_eq!(security.at(&["seccompProfile", "type"]), Some(&Node::text("RuntimeDefault")));
    let volumes: BTreeSet<_> = spec.items("volumes").iter().filter_map(|volume| volume.text_of("name")).collect();
    for mount in sidecar.items("volumeMounts") {
        assert_eq!(mount.text_of("readOnly"), Some("true"));
        assert!(volumes.contains(mount.text_of("name").unwrap()));
    }
    let env = |container: &Node, name: &str| -> Vec<String> {
        let own = container.items("env").iter().filter(|entry| entry.text_of("name") == Some(name));
        own.map(|entry| entry.text_of("value").unwrap_or_default().to_owned()).collect()
    };
    let listen = env(sidecar, "EXPURGATE_LISTEN");
    let containers = spec.items("initContainers")[1..].iter().chain(spec.items("containers"));
    for container in containers {
        assert_eq!(env(container, "OPENAI_BASE_URL"), [format!("http://{}/v1", listen[0])]);
        assert!(env(container, "APP_PORT").iter().all(|port| !listen[0].ends_with(&format!(":{port}"))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn injecting_is_idempotent_and_comes_back_and_leaves_all_else(documents in manifests(), injector in injector()) {
        let text: String = documents.iter().map(|(text, _)| format!("---\n{text}")).collect();
        let once = inject(&text, &injector, &[]).unwrap().text;
        let twice = inject(&once, &injector, &[]).unwrap().text;
        prop_assert_eq!(&twice, &once);
        let back = uninject(&once).unwrap().text;
        prop_assert_eq!(trees(&back), trees(&text));
        let (before, after, returned) = (chunks(&text), chunks(&once), chunks(&back));
        prop_assert_eq!(before.len(), documents.len());
        prop_assert_eq!(after.len(), documents.len());
        for (index, (_, is_workload)) in documents.iter().enumerate() {
            if !is_workload {
                prop_assert_eq!(&after[index], &before[index]);
                prop_assert_eq!(&returned[index], &before[index]);
                continue;
            }
            let mut stream = Stream::read(&after[index]).unwrap();
            let document = stream.documents_mut().next().unwrap();
            each_document(document.node.as_mut().unwrap(), &mut |document| judge(document));
        }
    }
}
