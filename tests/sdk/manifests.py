"""Kubernetes manifests as Python sees them: rendered, validated, and judged by
what a schema does not know."""

import json
import re
import shutil
import subprocess

import kubernetes_validate
import yaml

from proxy import REPOSITORY

KUSTOMIZE = REPOSITORY / "deploy/kustomize"
CHART = REPOSITORY / "deploy/helm/expurgate"
# Of scripts/kubectl, else whoever has one.
KUBECTL = shutil.which("kubectl", path=REPOSITORY / ".venv/bin") or shutil.which("kubectl")
# The first with native sidecars, one of today, and the newest that is known.
VERSIONS = ("1.29", "1.33", kubernetes_validate.latest_version())
# Kinds of operators, which Kubernetes' own schemas do not have.
FOREIGN = ("monitoring.coreos.com/", "external-secrets.io/")
NAME = "expurgate"
VERSION = re.search(r'^version = "(.*)"', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)[1]
IMAGE = f"ghcr.io/expurgate/expurgate:{VERSION}"


def kustomize(folder):
    """The objects that a kustomization is rendered to."""
    command = [KUBECTL, "kustomize", str(folder)]
    rendered = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert rendered.returncode == 0, rendered.stderr
    return list(yaml.safe_load_all(rendered.stdout))


def validate(objects):
    """Strictly, with each version."""
    for each in objects:
        if not each["apiVersion"].startswith(FOREIGN):
            for version in VERSIONS:
                kubernetes_validate.validate(each, version, strict=True)


def only(objects, kind, name=None):
    (found,) = [each for each in objects if each["kind"] == kind and name in (None, each["metadata"]["name"])]
    return found


def pod_of(workload):
    spec = workload["spec"]
    return spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"]


def sidecar_mistakes(workload):
    """What is wrong with a pod's sidecar that no schema tells."""
    return list(_sidecar_mistakes(pod_of(workload)))


def _sidecar_mistakes(pod):
    starting = pod.get("initContainers", [])
    named = [each for each in starting if each["name"] == NAME]
    if len(named) != 1 or any(each["name"] == NAME for each in pod["containers"]):
        yield "there is not one container of that name among those that start first"
        return
    (sidecar,) = named
    if starting[0] is not sidecar:
        yield "it is not the first that starts"
    if sidecar.get("restartPolicy") != "Always":
        yield "it is no sidecar: restartPolicy is not Always"
    if "lifecycle" in sidecar:
        yield "its preStop would run while the application still sends"
    startup = sidecar.get("startupProbe", {})
    if startup.get("periodSeconds") != 1 or startup.get("httpGet", {}).get("path") != "/livez":
        yield "the application does not start as soon as it can"
    if startup.get("failureThreshold", 3) < 10:
        yield "it has no time to start"
    if sidecar.get("readinessProbe", {}).get("httpGet", {}).get("path") != "/readyz":
        yield "its readiness is not told"
    settings = {each["name"]: each.get("value") for each in sidecar["env"]}
    if settings.get("EXPURGATE_LISTEN") != "127.0.0.1:8080":
        yield "others than this pod reach it, or nobody does"
    if settings.get("EXPURGATE_ADMIN") != "0.0.0.0:9090":
        yield "probes do not reach it"
    if "http://127.0.0.1:8080" not in json.dumps(pod["containers"]):
        yield "the application does not send to it"
    if sidecar["resources"]["limits"] != {"cpu": "500m", "memory": "64Mi"}:
        yield "it may take more than it should, or less"
    yield from container_mistakes(sidecar, pod)


def container_mistakes(container, pod, config_map="expurgate-rules"):
    """What is wrong with our container, whatever it is in."""
    security = container.get("securityContext", {})
    outer = pod.get("securityContext", {})
    restricted = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for key, value in restricted.items():
        if security.get(key) != value:
            yield f"{key} is not restricted"
    if security.get("runAsUser", outer.get("runAsUser")) != 65532:
        yield "it runs as another user"
    if container.get("args", [None])[0] != "run" or "command" in container:
        yield "it does not run the proxy"
    resources = container["resources"]
    if not {"cpu", "memory"} <= set(resources["requests"]) or "memory" not in resources["limits"]:
        yield "what it needs is not told"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if container.get(probe, {}).get("httpGet", {}).get("port") != "metrics":
            yield f"{probe} does not ask the admin port"
    if {"name": "metrics", "containerPort": 9090} not in container["ports"]:
        yield "the admin port has no name"
    mounts = {each["mountPath"]: each for each in container["volumeMounts"]}
    if not all(each.get("readOnly") for each in mounts.values()):
        yield "a volume can be written"
    if any("subPath" in each for each in mounts.values()):
        yield "a volume with subPath is never renewed"
    volumes = {each["name"]: each for each in pod["volumes"]}
    rules = volumes.get(mounts.get("/etc/expurgate/rules", {}).get("name"), {})
    if rules.get("configMap", {}).get("name") != config_map:
        yield "the rules are not those of the ConfigMap"
    if set(each["name"] for each in mounts.values()) - set(volumes):
        yield "a volume is missing"


def gateway_mistakes(objects):
    """What is wrong with the gateway as a whole."""
    return list(_gateway_mistakes(objects))


def _gateway_mistakes(objects):
    gateway = only(objects, "Deployment")
    pod, labels = pod_of(gateway), gateway["spec"]["template"]["metadata"]["labels"]
    (container,) = pod["containers"]
    yield from container_mistakes(container, pod)
    pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    # The image has no shell, and the drain takes 30 s by default.
    if not 3 <= pause <= 15 or pod.get("terminationGracePeriodSeconds", 30) < pause + 35:
        yield "requests on their way do not end well"

    def chooses(selector):
        return selector and selector.items() <= labels.items()

    if not chooses(gateway["spec"]["selector"]["matchLabels"]):
        yield "the Deployment does not choose its own pods"
    service = only(objects, "Service")
    if not chooses(service["spec"]["selector"]):
        yield "the Service chooses other pods"
    names = {port["name"] for port in container["ports"]}
    if not {port["targetPort"] for port in service["spec"]["ports"]} <= names:
        yield "the Service's ports go nowhere"
    disruption = only(objects, "PodDisruptionBudget")
    if not chooses(disruption["spec"]["selector"]["matchLabels"]) or disruption["spec"].get("maxUnavailable") != 1:
        yield "a drained node may take all replicas"
    spread = {each["topologyKey"]: each for each in pod.get("topologySpreadConstraints", [])}
    if set(spread) != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
        yield "replicas may all be in one zone or on one node"
    if not all(chooses(each["labelSelector"]["matchLabels"]) for each in spread.values()):
        yield "other pods are spread"
    scaler = only(objects, "HorizontalPodAutoscaler")
    target = scaler["spec"]["scaleTargetRef"]
    if (target["kind"], target["name"]) != ("Deployment", gateway["metadata"]["name"]):
        yield "something else is scaled"
    if scaler["spec"]["minReplicas"] < 2 or "replicas" in gateway["spec"]:
        yield "an upgrade of the manifests undoes the scaling, or one replica is enough"
    metrics = [next(iter(set(each) - {"type"})) for each in scaler["spec"]["metrics"]]
    if metrics != ["resource", "pods"] or "cpu" not in container["resources"]["requests"]:
        yield "CPU and throughput do not decide"
    yield from network_mistakes(objects, labels, container)


def network_mistakes(objects, labels, container):
    """Who may talk to whom."""
    policies = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "NetworkPolicy"}
    own, others = policies[NAME], policies[f"{NAME}-only"]
    if not own["podSelector"]["matchLabels"].items() <= labels.items():
        yield "the NetworkPolicy is about other pods"
    if set(own["policyTypes"]) != {"Ingress", "Egress"} or others["policyTypes"] != ["Egress"]:
        yield "a direction is open"
    ports = [port["port"] for rule in own["ingress"] for port in rule["ports"]]
    if ports != ["http", "metrics"] or not all(rule.get("from") for rule in own["ingress"]):
        yield "anybody may send, or read metrics"
    to = [(rule.get("to"), [port["port"] for port in rule["ports"]]) for rule in others["egress"]]
    if [ports for _, ports in to] != [[53, 53], ["http"]] or not all(where for where, _ in to):
        yield "there is a side door"
    (where,) = to[1][0]
    if where != {"podSelector": {"matchLabels": own["podSelector"]["matchLabels"]}}:
        yield "what has one door only does not get to the gateway"
