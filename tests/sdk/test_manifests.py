"""Kustomize and Helm: rendered, valid in several versions of Kubernetes, equal
to each other, and right where a schema has no opinion."""

import copy
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import textwrap
import tomllib

import helm_python
import kubernetes_validate
import pytest
import yaml

import manifests
from certificates import Authority
from manifests import CHART, IMAGE, KUBECTL, KUSTOMIZE, NAME, VERSION, kustomize, only, pod_of, validate
from proxy import BINARY, REPOSITORY

needs_kubectl = pytest.mark.skipif(not KUBECTL, reason="kubectl is not installed")
EXAMPLES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((CHART / "examples").glob("*.yaml"))}


def helm(values, release=NAME, chart=CHART):
    """The objects of the chart, and its notes."""
    with helm_python.Chart.load(str(chart)) as chart:
        chart.validate_schema(values)
        rendered = chart.render(values, name=release, namespace="agents")
    notes = next((text for path, text in rendered.items() if path.endswith("NOTES.txt")), "")
    texts = [text for path, text in rendered.items() if path.endswith(".yaml")]
    return [each for text in texts for each in yaml.safe_load_all(text) if each], notes


@needs_kubectl
@pytest.mark.parametrize("overlay", ["example", "gateway"])
def test_an_overlay_is_valid_in_every_version(overlay):
    objects = kustomize(KUSTOMIZE / "overlays" / overlay)
    assert len(objects) >= 3
    validate(objects)


def test_the_validator_refuses_what_is_wrong():
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "a"}]}}
    validate([pod])
    pod["spec"]["containers"][0]["restartPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        validate([pod])


@needs_kubectl
def test_the_example_has_the_sidecar():
    objects = kustomize(KUSTOMIZE / "overlays/example")
    workload = only(objects, "Deployment")
    assert manifests.sidecar_mistakes(workload) == []
    assert pod_of(workload)["initContainers"][0]["image"] == IMAGE
    # The rules keep their name, to be read again; the settings do not.
    assert only(objects, "ConfigMap", "expurgate-rules")
    settings = pod_of(workload)["initContainers"][0]["envFrom"][0]["configMapRef"]["name"]
    assert settings.startswith("expurgate-settings-") and only(objects, "ConfigMap", settings)


def broken(change):
    workload = copy.deepcopy(only(kustomize(KUSTOMIZE / "overlays/example"), "Deployment"))
    pod = pod_of(workload)
    change(pod, pod["initContainers"][0])
    return manifests.sidecar_mistakes(workload)


@needs_kubectl
def test_each_mistake_with_a_sidecar_is_seen():
    changes = [
        lambda pod, own: own.pop("restartPolicy"),
        lambda pod, own: own.update(restartPolicy="OnFailure"),
        lambda pod, own: pod["initContainers"].insert(0, {"name": "migrate"}),
        lambda pod, own: pod["containers"].append(pod["initContainers"].pop()),
        lambda pod, own: own.update(lifecycle={"preStop": {"sleep": {"seconds": 5}}}),
        lambda pod, own: own["startupProbe"].pop("periodSeconds"),
        lambda pod, own: own["startupProbe"]["httpGet"].update(path="/readyz"),
        lambda pod, own: own["startupProbe"].pop("failureThreshold"),
        lambda pod, own: own["readinessProbe"]["httpGet"].update(port=8080),
        lambda pod, own: own["env"].pop(0),
        lambda pod, own: own["resources"]["limits"].pop("memory"),
        lambda pod, own: own["securityContext"].pop("readOnlyRootFilesystem"),
        lambda pod, own: own["securityContext"].update(runAsUser=0),
        lambda pod, own: own["volumeMounts"][0].update(subPath="rules.toml"),
        lambda pod, own: own["volumeMounts"][0].pop("readOnly"),
        lambda pod, own: pod["volumes"].clear(),
        lambda pod, own: pod["containers"][0]["env"].clear(),
    ]
    for number, change in enumerate(changes):
        assert broken(change), f"change {number} is not seen"


KINDS = ["Deployment", "StatefulSet", "DaemonSet", "Job", "CronJob"]


@needs_kubectl
@pytest.mark.parametrize("kind", KINDS)
def test_the_component_puts_the_sidecar_before_other_init_containers(kind, tmp_path):
    pod = {
        "initContainers": [{"name": "migrate", "image": "a"}],
        "containers": [{"name": "a", "image": "a", "env": [{"name": "URL", "value": "http://127.0.0.1:8080"}]}],
    }
    spec = {"template": {"metadata": {"labels": {"app": "a"}}, "spec": pod}}
    if kind in ("Job", "CronJob"):
        pod["restartPolicy"] = "Never"
    else:
        spec["selector"] = {"matchLabels": {"app": "a"}}
    if kind == "StatefulSet":
        spec["serviceName"] = "a"
    if kind == "CronJob":
        spec = {"schedule": "@daily", "jobTemplate": {"spec": spec}}
    api = "batch/v1" if kind in ("Job", "CronJob") else "apps/v1"
    meta = {"name": "a", "annotations": {"expurgate.dev/inject": "true"}}
    wanted = {"apiVersion": api, "kind": kind, "metadata": meta, "spec": spec}
    unwanted = {"apiVersion": api, "kind": kind, "metadata": {"name": "b"}, "spec": spec}
    component = tmp_path / "component"
    # kustomize reads below its own folder, or by a relative path to another root.
    component.symlink_to(KUSTOMIZE / "components/native-sidecar")
    (tmp_path / "pseudonyms").symlink_to(KUSTOMIZE / "components/pseudonyms")
    (tmp_path / "a.json").write_text(json.dumps(wanted))
    (tmp_path / "b.json").write_text(json.dumps(unwanted))
    (tmp_path / "kustomization.yaml").write_text(
        "resources: [a.json, b.json]\ncomponents: [component, pseudonyms]\n"
        "configMapGenerator: [{name: expurgate-settings, literals: [EXPURGATE_PROTOCOL=otlp]}]\n"
    )
    objects = kustomize(tmp_path)
    validate(objects)
    assert manifests.sidecar_mistakes(only(objects, kind, "a")) == []
    assert pod_of(only(objects, kind, "b")) == pod
    keys = {"name": "EXPURGATE_HASH_KEYS", "value": "k1=/etc/expurgate/keys/k1.key"}
    assert keys in pod_of(only(objects, kind, "a"))["initContainers"][0]["env"]
    names = [each["name"] for each in pod_of(only(objects, kind, "a"))["initContainers"]]
    assert names == [NAME, "migrate"]


@pytest.mark.parametrize("component", ["native-sidecar", "pseudonyms", "upstream-tls"])
def test_a_cron_job_gets_what_others_get(component):
    folder = KUSTOMIZE / "components" / component
    usual, cron = (yaml.safe_load((folder / name).read_text()) for name in ("sidecar.yaml", "cronjob.yaml"))
    assert cron["spec"]["jobTemplate"]["spec"] == usual["spec"]


@needs_kubectl
def test_the_gateway_is_whole():
    objects = kustomize(KUSTOMIZE / "overlays/gateway")
    assert manifests.gateway_mistakes(objects) == []
    assert pod_of(only(objects, "Deployment"))["containers"][0]["image"] == IMAGE


@needs_kubectl
def test_each_mistake_with_the_gateway_is_seen():
    changes = [
        ("Deployment", lambda spec: spec.update(replicas=1)),
        ("Deployment", lambda spec: spec["template"]["spec"].pop("topologySpreadConstraints")),
        ("Deployment", lambda spec: spec["template"]["spec"].update(terminationGracePeriodSeconds=30)),
        ("Deployment", lambda spec: spec["template"]["spec"]["containers"][0].pop("lifecycle")),
        ("Deployment", lambda spec: spec["template"]["metadata"]["labels"].clear()),
        ("Service", lambda spec: spec["selector"].update(app="other")),
        ("Service", lambda spec: spec["ports"][0].update(targetPort="web")),
        ("PodDisruptionBudget", lambda spec: spec.pop("maxUnavailable")),
        ("HorizontalPodAutoscaler", lambda spec: spec["metrics"].pop()),
        ("HorizontalPodAutoscaler", lambda spec: spec["scaleTargetRef"].update(name="other")),
        ("HorizontalPodAutoscaler", lambda spec: spec.update(minReplicas=1)),
        ("NetworkPolicy", lambda spec: spec.update(policyTypes=["Ingress"])),
        ("NetworkPolicy", lambda spec: spec["ingress"][0].pop("from")),
    ]
    rendered = kustomize(KUSTOMIZE / "overlays/gateway")
    for number, (kind, change) in enumerate(changes):
        objects = copy.deepcopy(rendered)
        change(next(each for each in objects if each["kind"] == kind)["spec"])
        assert manifests.gateway_mistakes(objects), f"change {number} is not seen"
    objects = copy.deepcopy(rendered)
    only(objects, "NetworkPolicy", "expurgate-only")["spec"]["egress"].append({"ports": [{"port": 443}]})
    assert manifests.gateway_mistakes(objects)


@needs_kubectl
def test_pseudonyms_have_the_same_key_on_every_replica_and_in_every_sidecar(tmp_path):
    for overlay, where in (("gateway", "containers"), ("example", "initContainers")):
        folder = tmp_path / overlay
        folder.mkdir()
        (folder / "overlay").symlink_to(KUSTOMIZE / "overlays" / overlay)
        (folder / "pseudonyms").symlink_to(KUSTOMIZE / "components/pseudonyms")
        (folder / "kustomization.yaml").write_text("resources: [overlay]\ncomponents: [pseudonyms]\n")
        objects = kustomize(folder)
        validate(objects)
        pod = pod_of(only(objects, "Deployment"))
        own = next(each for each in pod[where] if each["name"] == NAME)
        assert {"name": "EXPURGATE_HASH_KEYS", "value": "k1=/etc/expurgate/keys/k1.key"} in own["env"]
        secrets = [each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each]
        assert secrets == ["expurgate-keys"]
        assert list(manifests.container_mistakes(own, pod)) == []


@needs_kubectl
def test_the_docs_patch_for_a_rotated_key_fits_the_gateway(tmp_path):
    text = (REPOSITORY / "docs/kubernetes.md").read_text()
    blocks = re.findall(r"^  ```yaml\n(.*?)^  ```$", text, re.MULTILINE | re.DOTALL)
    (block,) = [each for each in blocks if "EXPURGATE_HASH_ACTIVE" in each]
    (tmp_path / "overlay").symlink_to(KUSTOMIZE / "overlays/gateway")
    (tmp_path / "pseudonyms").symlink_to(KUSTOMIZE / "components/pseudonyms")
    own = "resources: [overlay]\ncomponents: [pseudonyms]\n" + textwrap.dedent(block)
    (tmp_path / "kustomization.yaml").write_text(own)
    (container,) = pod_of(only(kustomize(tmp_path), "Deployment"))["containers"]
    env = {each["name"]: each["value"] for each in container["env"]}
    assert env["EXPURGATE_HASH_KEYS"] == "k2=/etc/expurgate/keys/k2.key,k1=/etc/expurgate/keys/k1.key"
    assert env["EXPURGATE_HASH_ACTIVE"] == "k2"


@needs_kubectl
def test_files_for_tls_with_the_upstream_are_mounted_where_the_component_says(tmp_path):
    component = KUSTOMIZE / "components/upstream-tls"
    told = re.findall(r"/etc/expurgate/\S+(?=\"?$)", (component / "kustomization.yaml").read_text(), re.MULTILINE)
    folders = {path.strip('"').rsplit("/", 1)[0] for path in told}
    assert len(folders) == 2
    for overlay, where in (("gateway", "containers"), ("example", "initContainers")):
        folder = tmp_path / overlay
        folder.mkdir()
        (folder / "overlay").symlink_to(KUSTOMIZE / "overlays" / overlay)
        (folder / "tls").symlink_to(component)
        (folder / "kustomization.yaml").write_text("resources: [overlay]\ncomponents: [tls]\n")
        objects = kustomize(folder)
        validate(objects)
        pod = pod_of(only(objects, "Deployment"))
        own = next(each for each in pod[where] if each["name"] == NAME)
        assert folders <= {each["mountPath"] for each in own["volumeMounts"]}
        assert list(manifests.container_mistakes(own, pod)) == []


def test_nothing_of_kustomize_is_skipped_in_ci():
    """scripts/kubectl brings one, and says where it cannot."""
    if not os.environ.get("CI"):
        pytest.skip("this is no CI")
    assert KUBECTL or platform.machine() != "x86_64"


@needs_kubectl
@pytest.mark.parametrize("overlay, example", [("gateway", "gateway"), ("example", "sidecar")])
def test_helm_and_kustomize_make_the_same(overlay, example):
    objects, _ = helm(EXAMPLES[example])
    assert normal(objects) == normal(kustomize(KUSTOMIZE / "overlays" / overlay))


OF_HELM = ("app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart")


def normal(objects):
    """Objects by kind and name, without what only Helm says, and without hashes,
    by which both make pods restart."""
    names = [each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"]
    hashed = {name: plain(name) for name in names}

    def cleaned(value):
        if isinstance(value, dict):
            kept = {key: cleaned(each) for key, each in value.items() if not ignored(key)}
            return {key: each for key, each in kept.items() if each or key not in ("labels", "annotations")}
        if isinstance(value, list):
            return [cleaned(each) for each in value]
        return hashed.get(value, value) if isinstance(value, str) else value

    return {(each["kind"], plain(each["metadata"]["name"])): cleaned(each) for each in objects}


def ignored(key):
    return key in OF_HELM or key.startswith("checksum/")


def plain(name):
    """Without kustomize's hash."""
    for prefix in ("expurgate-config", "expurgate-settings"):
        if name.startswith(prefix):
            return prefix
    return name


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_of_values_is_clean_and_valid_in_every_version(name):
    for version in ("1.29.0", "1.33.0"):
        report = helm_python.lint(str(CHART), EXAMPLES[name], strict=True, kube_version=version)
        said = [each["error"] for each in report["messages"]]
        assert (said, report["errors"]) == (["icon is recommended"], [])
    objects, notes = helm(EXAMPLES[name])
    validate(objects)
    assert "http://" in notes or "https://" in notes or "expurgate inject" in notes
    keys = [(each["apiVersion"], each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(keys) == len(set(keys)) >= 2


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_an_example_configures_is_accepted_by_the_program(name, tmp_path):
    objects, _ = helm(EXAMPLES[name])
    rules = tmp_path / "rules"
    rules.mkdir()
    for file, text in only_ending(objects, "-rules")["data"].items():
        (rules / file).write_text(text)
    certificates = Authority(tmp_path)
    named = [each["data"] for each in objects if each["metadata"]["name"] == "expurgate-settings"]
    settings = dict(next(iter(named), {}))
    command = [str(BINARY), "check"]
    for each in objects:
        if "config.toml" in each.get("data", {}):
            text = each["data"]["config.toml"]
            assert tomllib.loads(text)["listener"]["address"] == "0.0.0.0:8080"
            text = text.replace("/etc/expurgate/rules", str(rules))
            for path in sorted(set(re.findall(r'"(/tls/.*?)"', text))):
                # Those of a folder are a pair.
                pair = certificates.issue(path.split("/")[2])
                text = text.replace(f'"{path}"', f'"{pair[path.endswith(".key")]}"')
            (tmp_path / "config.toml").write_text(text)
            command += ["--config", str(tmp_path / "config.toml")]
    check = subprocess.run(command, env=settings | {"EXPURGATE_RULES": str(rules)}, capture_output=True, timeout=60)
    assert (check.returncode, check.stderr) == (0, b"")


def test_a_gateway_with_its_own_values_has_them():
    objects, notes = helm(EXAMPLES["fixed"])
    gateway = only(objects, "Deployment")
    pod = pod_of(gateway)
    (container,) = pod["containers"]
    assert gateway["metadata"]["name"] == "redaction" and gateway["spec"]["replicas"] == 3
    assert container["image"].endswith("@sha256:" + "0123456789abcdef" * 4)
    assert {"name": "EXPURGATE_HASH_KEYS", "value": "k1=/etc/expurgate/keys/k1.key"} in container["env"]
    assert list(manifests.container_mistakes(container, pod, "redaction-rules")) == []
    assert only(objects, "ExternalSecret")["spec"]["dataFrom"][0]["extract"]["key"] == "expurgate/agents"
    assert not [each for each in objects if each["kind"] == "HorizontalPodAutoscaler"]
    assert "http://redaction.agents:80" in notes


def test_a_key_is_rotated_with_the_old_one_live():
    own = EXAMPLES["fixed"]
    own = own | {"pseudonyms": {"secret": "expurgate-keys", "key": "k2", "file": "k2.key", "others": {"k1": "k1.key"}}}
    (container,) = pod_of(only(helm(own)[0], "Deployment"))["containers"]
    env = {each["name"]: each["value"] for each in container["env"]}
    assert env["EXPURGATE_HASH_KEYS"] == "k2=/etc/expurgate/keys/k2.key,k1=/etc/expurgate/keys/k1.key"
    assert env["EXPURGATE_HASH_ACTIVE"] == "k2"


def only_ending(objects, end):
    (found,) = [each for each in objects if each["kind"] == "ConfigMap" and each["metadata"]["name"].endswith(end)]
    return found


def test_every_file_that_a_configuration_names_is_mounted():
    objects, notes = helm(EXAMPLES["tls"])
    pod = pod_of(only(objects, "Deployment"))
    (container,) = pod["containers"]
    assert list(manifests.container_mistakes(container, pod)) == []
    folders = {each["mountPath"] for each in container["volumeMounts"]}
    named = re.findall(r'"(/tls/.*)/[^/"]+"', only_ending(objects, "-config")["data"]["config.toml"])
    assert len(named) == 6 and set(named) <= folders
    assert {each["name"] for each in pod["volumes"]} >= {"listener-tls", "client-tls", "authorities"}
    assert "https://expurgate.agents:8080" in notes


@pytest.mark.parametrize("name", EXAMPLES)
def test_two_releases_in_one_namespace_share_nothing(name):
    values = {key: value for key, value in EXAMPLES[name].items() if key not in ("nameOverride", "extraManifests")}
    # The application of the example is not the chart's own.
    values.pop("example", None)
    keys = [
        {(each["kind"], each["metadata"]["name"]) for each in helm(values, release)[0]}
        for release in ("expurgate", "second")
    ]
    assert keys[0] and not keys[0] & keys[1]
    objects, _ = helm(values, "second")
    names = {each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"}
    for each in objects:
        if each["kind"] == "Deployment":
            volumes = [volume["configMap"]["name"] for volume in pod_of(each)["volumes"] if "configMap" in volume]
            assert {volume for volume in volumes if volume.startswith(("expurgate", "second"))} <= names


@pytest.mark.parametrize("release", ["expurgate", "second"])
@pytest.mark.parametrize("name", ["sidecar", "sidecars-monitored"])
def test_the_command_of_the_notes_makes_the_sidecar_that_the_settings_mean(name, release):
    objects, notes = helm(EXAMPLES[name], release)
    spec = spec_of_the_notes(notes)
    variables = {each["name"]: each["value"] for each in spec["initContainers"][0]["env"]}
    assert EXAMPLES[name]["settings"].items() <= variables.items()
    assert [each["configMap"]["name"] for each in spec["volumes"]] == [only_ending(objects, "-rules")["metadata"]["name"]]


def test_the_command_of_the_notes_has_the_pseudonyms_of_the_values():
    settings = {"EXPURGATE_PROTOCOL": "openai", "EXPURGATE_ROUTE_0_POLICY_EMAIL_ADDRESS": "hash"}
    settings |= {"EXPURGATE_ROUTE_0_POLICY_DEFAULT": "mask"}
    keys = {"secret": "team-keys", "key": "k2", "file": "k2.key", "others": {"k1": "k1.key"}}
    values = {"mode": "sidecar", "settings": settings, "pseudonyms": keys, "example": {"enabled": True}}
    objects, notes = helm(values)
    spec = spec_of_the_notes(notes)
    (own,) = [pod_of(each)["initContainers"][0] for each in objects if each["kind"] == "Deployment"]
    wanted = {each["name"]: each["value"] for each in own["env"] if "HASH" in each["name"]} | settings
    assert len(wanted) == 5
    assert wanted.items() <= {each["name"]: each["value"] for each in spec["initContainers"][0]["env"]}.items()
    assert [each["secret"]["secretName"] for each in spec["volumes"] if "secret" in each] == ["team-keys"]
    with pytest.raises(helm_python.HelmError, match="the file of the key k2 must be k2.key"):
        helm(values | {"pseudonyms": keys | {"file": "new"}})


def spec_of_the_notes(notes):
    """A pod's, by the command of the notes."""
    (line,) = [line for line in notes.splitlines() if line.startswith("  expurgate inject ")]
    words = shlex.split(line.split("<")[0])
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "image": "a"}]}}
    done = subprocess.run([BINARY, *words[1:]], input=json.dumps(pod), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["spec"]


def test_notes_tell_what_has_no_flag():
    settings = {"EXPURGATE_PROTOCOL": "openai", "EXPURGATE_TIMEOUTS_DRAIN": "10s"}
    notes = helm({"mode": "sidecar", "settings": settings})[1]
    assert "No flag is there for EXPURGATE_TIMEOUTS_DRAIN:" in notes and "--protocol 'openai' <" in notes


def test_a_chart_that_depends_on_this_one_has_the_sidecar_with_its_settings(tmp_path):
    parent = tmp_path / "parent"
    shutil.copytree(CHART, parent / "charts/expurgate")
    (parent / "templates").mkdir()
    (parent / "Chart.yaml").write_text("apiVersion: v2\nname: parent\nversion: 1.0.0\n")
    readme = (CHART / "README.md").read_text()
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    app = '  containers: [{name: a, image: a, env: [{name: OPENAI_BASE_URL, value: "http://127.0.0.1:8080/v1"}]}]\n'
    spec = textwrap.indent(block + app, "    ").replace("nindent 4", "nindent 8")
    (parent / "templates/app.yaml").write_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec:\n"
        "  selector: {matchLabels: {a: b}}\n  template:\n    metadata: {labels: {a: b}}\n" + spec
    )
    mounted = {"name": "ca", "mountPath": "/tls/ca", "readOnly": True}
    own = EXAMPLES["sidecars-monitored"] | {
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "extraVolumeMounts": [mounted],
    }
    objects, _ = helm({"expurgate": own}, "web", parent)
    validate(objects)
    workload = only(objects, "Deployment", "app")
    pod = pod_of(workload)
    sidecar = pod["initContainers"][0]
    assert list(manifests.container_mistakes(sidecar, pod, "web-expurgate-rules")) == []
    assert mounted in sidecar["volumeMounts"]
    assert only(objects, "ConfigMap", sidecar["envFrom"][0]["configMapRef"]["name"])["data"] == own["settings"]
    assert only(objects, "ConfigMap", "web-expurgate-rules")


def test_a_changed_configuration_restarts_pods_and_changed_rules_do_not():
    values = EXAMPLES["gateway"]
    before = only(helm(values)[0], "Deployment")
    assert only(helm(values | {"rules": {"other.toml": ""}})[0], "Deployment") == before
    assert only(helm(values | {"config": values["config"] + "\n"})[0], "Deployment") != before


@pytest.mark.parametrize(
    "values",
    [
        {"mode": "daemon"},
        {"imag": {}},
        {"image": {"repository": "a", "digest": "latest"}},
        {"rules": {"rules.yaml": ""}},
        {"settings": {"UPSTREAM": "a"}},
        {"autoscaling": {"enabled": "yes"}},
        {"service": {"port": 0}},
        {"extraVolumes": [{"configMap": {"name": "a"}}]},
        {"extraVolumes": [{"name": "expurgate-rules", "emptyDir": {}}]},
        {"extraVolumeMounts": [{"name": "a", "mountPath": "tls"}]},
        {"pseudonyms": {"key": "k1,k2"}},
        {"pseudonyms": {"others": {"k0": "../k0.key"}}},
    ],
)
def test_values_that_nobody_means_are_refused(values):
    with pytest.raises(helm_python.HelmError):
        helm(values)


def test_sidecars_without_a_destination_are_refused():
    with pytest.raises(helm_python.HelmError, match="EXPURGATE_UPSTREAM or EXPURGATE_PROTOCOL"):
        helm({"mode": "sidecar"})


def test_the_chart_carries_the_rules_and_the_dashboard_as_they_are():
    for copied, source in (
        ("recording.yaml", "prometheus/recording.yaml"),
        ("alerts.yaml", "prometheus/alerts.yaml"),
        ("dashboard.json", "grafana/expurgate.json"),
    ):
        text = (REPOSITORY / "deploy" / source).read_text()
        assert (CHART / "files" / copied).read_text() == text, f"copy deploy/{source} to {copied} of the chart"
    objects, _ = helm(EXAMPLES["monitored"])
    sources = [yaml.safe_load((CHART / "files" / name).read_text()) for name in ("recording.yaml", "alerts.yaml")]
    assert only(objects, "PrometheusRule")["spec"]["groups"] == [group for each in sources for group in each["groups"]]
    dashboard = only(objects, "ConfigMap", "expurgate-dashboard")
    assert json.loads(dashboard["data"]["expurgate.json"])["uid"] == "expurgate"


@pytest.mark.parametrize("name", ["monitored", "sidecars-monitored"])
def test_what_prometheus_chooses_is_what_pods_carry(name):
    objects, _ = helm(EXAMPLES[name])
    selector = only(objects, "PodMonitor")["spec"]["selector"]["matchLabels"]
    if name == "monitored":
        labels = only(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    else:
        patch = yaml.safe_load((KUSTOMIZE / "components/native-sidecar/sidecar.yaml").read_text())
        labels = patch["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= labels.items()


def test_chart_and_manifests_are_of_this_version():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (VERSION, VERSION)
    for path in KUSTOMIZE.rglob("*.yaml"):
        for line in path.read_text().splitlines():
            if "image: ghcr.io/expurgate/" in line:
                assert line.split("image: ")[1] == IMAGE, path


def test_yaml_in_the_docs_is_what_kubernetes_or_kustomize_reads():
    text = (REPOSITORY / "docs/kubernetes.md").read_text()
    blocks = re.findall(r"^ *```yaml\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    loaded = [yaml.safe_load(textwrap.dedent(block)) for block in blocks]
    whole = [each for each in loaded if "kind" in each]
    validate(whole)
    assert len(loaded) >= 4 and whole
    name = ("NetworkPolicy", "expurgate-only")
    installed, _ = helm(EXAMPLES["gateway"])
    assert normal(whole)[name]["spec"] == normal(installed)[name]["spec"]


@needs_kubectl
def test_the_docs_patch_for_memory_fits_the_example(tmp_path):
    text = (REPOSITORY / "docs/kubernetes.md").read_text()
    blocks = re.findall(r"^  ```yaml\n(.*?)^  ```$", text, re.MULTILINE | re.DOTALL)
    (block,) = [each for each in blocks if "limits/memory" in each]
    (tmp_path / "overlay").symlink_to(KUSTOMIZE / "overlays/example")
    (tmp_path / "kustomization.yaml").write_text("resources: [overlay]\n" + textwrap.dedent(block))
    sidecar = pod_of(only(kustomize(tmp_path), "Deployment"))["initContainers"][0]
    assert sidecar["resources"]["limits"] == {"cpu": "500m", "memory": "256Mi"}
