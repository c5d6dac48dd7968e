"""The container image, and the example of deploy/kustomize as a pod, with the sidecar
of kustomize and with that of `expurgate inject`, by podman.

Slow, and a matter of what a machine allows: `make deploy-test` sets
EXPURGATE_DEPLOY, without which all of it is skipped.
"""

import json
import os
import re
import subprocess
import tarfile
import threading
import time
from pathlib import Path

import openai
import pytest
import yaml

import manifests
import wire
from manifests import IMAGE, KUBECTL, KUSTOMIZE, NAME, VERSION, kustomize, only, pod_of
from planted import PLANTED, PROMPT, entity, redacted
from pod import PODMAN, Pod, podman
from proxy import BINARY, REPOSITORY, ask_admin
from sink import Answer, Sink
from test_openai import COMPLETION, KEY

pytestmark = [
    pytest.mark.skipif(not os.environ.get("EXPURGATE_DEPLOY"), reason="only in `make deploy-test`"),
    pytest.mark.skipif(not PODMAN, reason="podman is not installed: scripts/setup deploy"),
    pytest.mark.skipif(os.geteuid() != 0, reason="podman builds and plays as root here"),
    pytest.mark.timeout(600),
]

ADDRESS = "127.0.0.1:8080"
WAIT_SECONDS = 60
ADDRESS_OF_A_PERSON = "someone@corp-mail.example"


@pytest.fixture(scope="module")
def image():
    build = [REPOSITORY / "scripts/image", BINARY]
    built = subprocess.run(build, capture_output=True, text=True, timeout=500)
    assert built.returncode == 0, built.stdout + built.stderr
    return json.loads(podman("image", "inspect", IMAGE).stdout)[0]


@pytest.fixture(scope="module")
def files(image, tmp_path_factory):
    """Paths in the image, with their modes, owners and contents' place."""
    folder = tmp_path_factory.mktemp("image")
    podman("save", "--format", "docker-archive", "--output", str(folder / "image.tar"), IMAGE)
    with tarfile.open(folder / "image.tar") as archive:
        archive.extractall(folder, filter="data")
    (layers,) = [each["Layers"] for each in json.loads((folder / "manifest.json").read_text())]
    found = {}
    for layer in layers:
        with tarfile.open(folder / layer) as archive:
            for member in archive.getmembers():
                found[member.name] = member
                if member.name.endswith("sbom.cdx.json"):
                    found["sbom"] = json.loads(archive.extractfile(member).read())
    return found


def test_the_image_says_what_it_is_and_runs_as_nobody(image):
    config = image["Config"]
    assert config["User"] == "65532:65532"
    assert (config["Entrypoint"], config["Cmd"]) == (["/usr/bin/expurgate"], ["run"])
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["version"] == VERSION and labels["licenses"] == "Apache-2.0"
    # That of the program, which is asked in the image too.
    said = in_image("--version")
    assert said == f"expurgate {VERSION} (revision {labels['revision']})\n"
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?", labels["revision"])
    assert {"title", "description", "source", "documentation"} <= set(labels)
    assert image["Size"] < 64 << 20, image["Size"]


def test_the_image_holds_one_program_its_libraries_and_no_shell(files):
    programs = [name for name, each in files.items() if name != "sbom" and each.isfile() and each.mode & 0o111]
    others = [name for name in programs if ".so" not in name]
    assert others == ["usr/bin/expurgate"]
    assert not [name for name, each in files.items() if name != "sbom" and each.mode & 0o6022 and not each.issym()]
    assert {"etc/ssl/certs/ca-certificates.crt", "etc/passwd", "usr/share/doc/expurgate/LICENSE"} <= set(files)


def test_the_bill_of_materials_names_every_library_and_the_crates(files):
    bom = files["sbom"]
    assert bom["bomFormat"] == "CycloneDX" and bom["metadata"]["component"]["version"] == VERSION
    purls = [each["purl"] for each in bom["components"]]
    assert len(purls) == len(set(purls)) > 100
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in purls)
    crates = {each["name"] for each in bom["components"] if each["purl"].startswith("pkg:cargo/")}
    assert {"hyper", "rustls", "regex-automata"} <= crates
    assert not {"proptest", "rcgen", "tempfile"} & crates
    for library in (name for name in files if name != "sbom" and ".so" in name):
        package = {"libhs": "libvectorscan5", "libstdc++": "libstdc++6", "libgcc_s": "libgcc-s1"}
        wanted = package.get(Path(library).name.split(".so")[0], "libc6")
        assert any(f"/{wanted}@" in purl.replace("%2B", "+") for purl in purls), library


def test_the_same_files_make_the_same_image(image):
    podman("rmi", "--force", IMAGE)
    again = subprocess.run([REPOSITORY / "scripts/image", BINARY], capture_output=True, timeout=500)
    assert again.returncode == 0
    assert json.loads(podman("image", "inspect", IMAGE).stdout)[0]["Id"] == image["Id"]


def test_the_image_knows_its_rules_alone(image):
    assert re.match(r"valid: 1 route, \d+ rules", in_image("check"))


def in_image(*arguments):
    """What the program says in a container of its own."""
    return podman("run", "--rm", "--network", "none", "--read-only", "--ulimit", "nofile=1024:1024", "--ulimit",
                  "nproc=512:512", "--env", "EXPURGATE_UPSTREAM=http://127.0.0.1:1", IMAGE, *arguments).stdout  # fmt: skip


UPSTREAM = "http://127.0.0.1:9999"


def rendered():
    """The example as kustomize makes it."""
    objects = kustomize(KUSTOMIZE / "overlays/example")
    settings = {"name": "EXPURGATE_UPSTREAM", "value": UPSTREAM}
    pod_of(only(objects, "Deployment"))["initContainers"][0]["env"].append(settings)
    return objects


def injected(*arguments):
    """The example's application with what `expurgate inject` puts in."""
    application = (KUSTOMIZE / "overlays/example/application.yaml").read_text()
    rules = ["--rules", KUSTOMIZE / "base/rules.toml"]
    command = [BINARY, "inject", "--protocol", "openai", "--upstream", UPSTREAM, *rules, *arguments]
    done = subprocess.run(command, input=application, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def large():
    """The same, with the memory that rules of one's own take: docs/kubernetes.md, "Sizing"."""
    return injected("--memory-limit", "256Mi")


def pod_of_the_example(objects):
    """The application left out: we are it."""
    workload = only(objects, "Deployment")
    pod = pod_of(workload)
    sidecar = pod["initContainers"][0]
    # podman knows neither sidecars that start first, nor probes by a port's name,
    # and publishes ports of the machine, which this pod has no part in.
    for key in ("restartPolicy", "startupProbe", "readinessProbe", "livenessProbe", "ports"):
        del sidecar[key]
    sidecar["imagePullPolicy"] = "Never"
    spec = {"containers": [sidecar], "volumes": pod["volumes"], "restartPolicy": "Never"}
    for volume in spec["volumes"]:
        volume["configMap"].pop("optional", None)
    maps = [each for each in objects if each["kind"] == "ConfigMap"]
    return [*maps, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "agent"}, "spec": spec}]


@pytest.fixture
def played(image, tmp_path, request):
    """The pod, once it is ready, a sink in it that is its upstream, and the
    application's container as its manifest has it."""
    if not KUBECTL:
        pytest.skip("kubectl is not installed")
    objects = getattr(request, "param", injected)()
    manifests.validate(objects)
    mistakes = manifests.sidecar_mistakes(only(objects, "Deployment"))
    assert mistakes == [] or getattr(request, "param", None) is large
    (application,) = pod_of(only(objects, "Deployment"))["containers"]
    with Pod(pod_of_the_example(objects), tmp_path) as pod:
        with pod.inside(NAME):
            with Sink(port=9999) as sink:
                wait_for(lambda: admin("/readyz")[0] == 200, lambda: pod.log(NAME))
                yield pod, sink, application


def wait_for(holds, explain=lambda: ""):
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            if holds():
                return
        except OSError:
            pass
        assert time.monotonic() < end, explain()
        time.sleep(0.05)  # the interval of a poll with a deadline


def admin(path):
    return ask_admin(9090, path)


def test_the_pod_tells_the_revision_of_its_image(played, image):
    revision = image["Config"]["Labels"]["org.opencontainers.image.revision"]
    assert json.loads(admin("/version")[1]) == {"version": VERSION, "revision": revision}
    (info,) = re.findall(r"^expurgate_build_info\{(.*)\} 1$", admin("/metrics")[1], re.MULTILINE)
    assert dict(re.findall(r'(\w+)="([^"]*)"', info)) == {"version": VERSION, "revision": revision}


def test_the_sdk_in_the_pod_is_redacted_as_its_variable_points_it(played, monkeypatch):
    pod, sink, application = played
    for each in application["env"]:
        monkeypatch.setenv(each["name"], each["value"])
    assert os.environ["OPENAI_BASE_URL"] == "http://127.0.0.1:8080/v1"
    answer = json.dumps(COMPLETION).encode()
    sink.answer = lambda _: Answer(body=answer)
    messages = [{"role": "user", "content": PROMPT}]
    # In this thread, whose sockets are the pod's.
    with openai.OpenAI(api_key=KEY, max_retries=0) as client:
        done = client.chat.completions.create(model="gpt-4o", messages=messages)
    assert done.choices[0].message.content == COMPLETION["choices"][0]["message"]["content"]
    (request,) = sink.requests
    assert (request.method, request.target) == ("POST", "/v1/chat/completions")
    assert json.loads(entity(request))["messages"] == redacted(messages) != messages
    for secret in PLANTED:
        assert secret.encode() not in sink.everything()
        assert secret not in pod.log(NAME)
    # What the upstream is to know the client by.
    assert request.header("Authorization") == f"Bearer {KEY}"
    assert 'entity="EMAIL_ADDRESS"' in admin("/metrics")[1]


@pytest.mark.parametrize("played", [injected, rendered], indirect=True)
def test_the_pod_is_as_restricted_as_its_manifest_says(played):
    pod, *_ = played
    status = Path(f"/proc/{pod.pid(NAME)}/status").read_text()
    fields = dict(re.findall(r"^(\w+):\s+(.*)$", status, re.MULTILINE))
    assert fields["Uid"].split() == fields["Gid"].split() == ["65532"] * 4
    assert [int(fields[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")] == [0] * 4
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    state = pod.state(NAME)
    assert state["HostConfig"]["ReadonlyRootfs"] is True
    assert state["HostConfig"]["Memory"] == 64 << 20
    assert state["HostConfig"]["CpuQuota"] / state["HostConfig"]["CpuPeriod"] == 0.5
    # One thread for each processor that the quota allows, however many the machine has.
    assert re.search(r"^expurgate_worker_threads 1$", admin("/metrics")[1], re.MULTILINE)
    rules = [each for each in state["Mounts"] if each["Destination"] == "/etc/expurgate/rules"]
    assert rules and rules[0]["RW"] is False


@pytest.mark.parametrize("played", [injected, rendered], indirect=True)
def test_traffic_through_the_pod_is_redacted_and_bodies_beyond_its_memory_stream(played, report):
    pod, sink, _ = played
    body = json.dumps({"messages": [{"role": "user", "content": f"I am {ADDRESS_OF_A_PERSON}"}]}).encode()
    for _ in range(200):
        assert wire.post(ADDRESS, body, "/v1/chat/completions").status == 200
    assert ADDRESS_OF_A_PERSON.encode() not in sink.everything()
    assert all(b"[EMAIL_ADDRESS]" in request.body for request in sink.requests)
    sink.forget()
    # Four at a time, 64 MiB each: as much as four times the limit.
    sink.new_body = Nothing
    large = b'{"pad": "' + b"x" * (64 << 20) + b'", "to": "' + ADDRESS_OF_A_PERSON.encode() + b'"}'
    statuses = []
    threads = [threading.Thread(target=post_inside, args=(pod, large, statuses)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 4
    assert all(ADDRESS_OF_A_PERSON.encode() not in request.body.end for request in sink.requests)
    state = pod.state(NAME)["State"]
    assert state["Running"] and not state["OOMKilled"]
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pod.pid(NAME)}/status").read_text())[1])
    measured = f"resident at most {peak / 1024:.1f} MiB, four bodies of 64 MiB at once"
    report("a pod with 64 MiB and half a CPU", [measured])


class Nothing:
    """A body of which the end alone is kept."""

    def __init__(self):
        self.end = b""

    def feed(self, view):
        self.end = (self.end + bytes(view))[-4096:]


def post_inside(pod, body, statuses):
    # A thread is where its process began, until it says otherwise.
    with pod.inside(NAME):
        statuses.append(wire.post(ADDRESS, body).status)


@pytest.mark.parametrize("played", [large], indirect=True)
def test_a_swapped_configmap_is_taken_without_a_restart(played):
    pod, sink, _ = played
    before = admin("/metrics")[1]
    rule = (
        '[[rule]]\nid = "acme.key"\nentity = "ACME_KEY"\ncategory = "credential"\ndescription = "Keys of ours"\n'
        "pattern = '''\\bacme_[a-z0-9]{24}\\b'''\nexamples = [\"acme_0123456789abcdefghijklmn\"]\n"
        'negative_examples = ["acme_short"]\nreferences = ["https://example.com/keys"]\n'
    )
    body = b'{"a": "acme_0123456789abcdefghijklmn"}'
    assert wire.post(ADDRESS, body).status == 200
    assert sink.requests[-1].body == body
    swap(Path(pod.volume("expurgate-rules")), {"rules.toml": rule})
    wait_for(lambda: 'reloads_total{outcome="success"} 1' in admin("/metrics")[1], lambda: pod.log(NAME))
    assert wire.post(ADDRESS, body).status == 200
    assert sink.requests[-1].body == b'{"a": "[ACME_KEY]"}'
    swap(Path(pod.volume("expurgate-rules")), {"rules.toml": rule.replace("acme_short", "acme_" + "0" * 24)})
    wait_for(lambda: 'reloads_total{outcome="failure"} 1' in admin("/metrics")[1], lambda: pod.log(NAME))
    assert admin("/readyz")[0] == 200
    assert wire.post(ADDRESS, body).status == 200
    assert sink.requests[-1].body == b'{"a": "[ACME_KEY]"}'
    start = re.search(r"process_start_time_seconds \S+", before)[0]
    assert start in admin("/metrics")[1]


def swap(folder, files):
    """As kubelet does: a new folder, and one rename of the link that all go through."""
    new = folder / f"..{time.monotonic_ns()}"
    new.mkdir()
    for name, text in files.items():
        (new / name).write_text(text)
    link = folder / "..data_tmp"
    link.symlink_to(new.name)
    link.rename(folder / "..data")
    for name in files:
        path = folder / name
        if not path.is_symlink():
            path.unlink(missing_ok=True)
            path.symlink_to(f"..data/{name}")


def test_sigterm_with_requests_in_flight_lets_them_end_and_ends_with_0(played):
    pod, sink, _ = played
    release = threading.Event()

    def answer(_):
        assert release.wait(WAIT_SECONDS)
        return Answer()

    sink.answer = answer
    statuses = []
    threads = [threading.Thread(target=post_inside, args=(pod, b'{"a": 1}', statuses)) for _ in range(8)]
    for thread in threads:
        thread.start()
    sink.wait_for(lambda sink: sum(request.clean for request in sink.requests) == 8, WAIT_SECONDS)
    pod.terminate(NAME)
    wait_for(lambda: admin("/readyz")[0] == 503)
    release.set()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 8
    assert pod.exit_code(NAME) == 0
    assert "drained" in pod.log(NAME)
