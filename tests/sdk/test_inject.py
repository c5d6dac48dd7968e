"""The sidecar, put into manifests by the command and into pods by the webhook: as
kubectl's YAML and the API server's schemas see it."""

import base64
import copy
import hmac
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import kubernetes_validate
import pytest
import yaml

import wire
from certificates import Authority
from manifests import KUBECTL
from proxy import BINARY, REPOSITORY, Proxy, free_ports
from sink import Sink

CORPUS = REPOSITORY / "tests/corpus/manifests"
INPUTS = sorted(path for path in CORPUS.iterdir() if ".out." not in path.name)
# The first with native sidecars, one of today, and the newest that is known.
VERSIONS = ("1.29", "1.33", kubernetes_validate.latest_version())
WEBHOOK = REPOSITORY / "deploy/webhook"
SECONDS = 20
PERSON = "someone@corp-mail.example"
# The key of new pseudonyms.
ACTIVE = "00112233445566778899aabbccddeeff" * 2


def validate(thing):
    for version in VERSIONS:
        kubernetes_validate.validate(thing, version, strict=True)


def command(*arguments, text):
    kept = {key: value for key, value in os.environ.items() if not key.startswith("EXPURGATE_")}
    return subprocess.run(
        [BINARY, *arguments], input=text, capture_output=True, text=True, timeout=60, env=kept
    )


def inject(text, *arguments):
    done = command("inject", *arguments, text=text)
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(text):
    return [each for each in yaml.safe_load_all(text) if each is not None]


def arguments_of(path):
    first = path.read_text().splitlines()[0]
    return first.removeprefix("# args: ").split() if first.startswith("# args: ") else ["--protocol", "openai"]


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.stem)
def test_a_reader_of_yaml_1_1_sees_what_was_there_and_the_sidecar(path):
    """PyYAML takes `yes`, `0.10` and `010` as kubectl does."""
    before = path.read_text()
    after = inject(before, *arguments_of(path))
    assert documents(inject(after, "--uninject")) == documents(before)
    changed = [each for old, each in zip(documents(before), documents(after)) if old != each]
    assert changed
    for each in changed:
        for item in each.get("items", [each]):
            if item["kind"] not in ("Secret",):
                pods = list(templates(item))
                assert pods and all(pod["initContainers"][0]["name"] == "expurgate" for pod in pods)


def templates(document):
    if document["kind"] == "Pod":
        yield document["spec"]
    elif document["kind"] == "CronJob":
        yield document["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    else:
        yield document["spec"]["template"]["spec"]


def container(**more):
    return {"name": "app", "image": "app:1"} | more


def pod(spec=None, **metadata):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"} | metadata,
        "spec": {"containers": [container()]} | (spec or {}),
    }


PODS = {
    "bare": pod(),
    "generated": {**pod(), "metadata": {"generateName": "web-"}},
    "variables": pod({"containers": [container(env=[{"name": "OPENAI_BASE_URL", "value": "https://llm.example/v1"}])]}),
    "busy": pod(
        {
            "initContainers": [container(name="migrate")],
            "containers": [container(ports=[{"containerPort": 8080}, {"containerPort": 9090}]), container(name="b")],
            "volumes": [{"name": "data", "emptyDir": {}}],
            "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["db"]}],
        },
        labels={"a/b": "c"},
        annotations={"expurgate.dev/memory-limit": "128Mi", "expurgate.dev/protocol": "openai,otlp",
                     "expurgate.dev/upstream": "otlp=http://collector:4318", "x~y/z": "1"},
    ),
    "secrets": pod(
        annotations={"expurgate.dev/actions": "pii=hash", "expurgate.dev/hash-keys-secret": "agent-keys",
                     "expurgate.dev/hash-keys": "k2,k1", "expurgate.dev/tls-ca-secret": "corp-ca",
                     "expurgate.dev/tls-cert-secret": "agent-client"},
    ),
    "configured": pod(annotations={"expurgate.dev/config-configmap": "own", "expurgate.dev/profile": "strict"}),
}


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"])
def test_what_comes_out_is_valid_in_every_version(kind):
    template = {"metadata": {"labels": {"app": "a"}}, "spec": pod()["spec"]}
    spec = {"template": template}
    if kind in ("Job", "CronJob"):
        template["spec"]["restartPolicy"] = "Never"
    else:
        spec["selector"] = {"matchLabels": {"app": "a"}}
    if kind == "StatefulSet":
        spec["serviceName"] = "a"
    if kind == "CronJob":
        spec = {"schedule": "@daily", "jobTemplate": {"spec": spec}}
    api = "batch/v1" if kind in ("Job", "CronJob") else "apps/v1"
    document = {"apiVersion": api, "kind": kind, "metadata": {"name": "a"}, "spec": spec}
    if kind == "Pod":
        document = pod()
    for protocols in ("openai", "openai,langfuse,anthropic"):
        (injected,) = documents(inject(json.dumps(document), "--protocol", protocols))
        validate(injected)


def test_the_validator_refuses_what_is_wrong():
    wrong = pod()
    wrong["spec"]["containers"][0]["restartPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(wrong)


def test_the_sidecar_starts_with_the_variables_that_it_is_given(tmp_path):
    """All but the ports, which are the test's own."""
    text = json.dumps(pod())
    arguments = ["--protocol", "openai,otlp", "--upstream", "otlp=http://127.0.0.1:9,openai=http://127.0.0.1:9"]
    arguments += ["--log-level", "debug", "--log-format", "text", "--profile", "strict"]
    (injected,) = documents(inject(text, *arguments))
    sidecar = injected["spec"]["initContainers"][0]
    assert sidecar["args"] == ["run"]
    variables = {each["name"]: each["value"] for each in sidecar["env"]}
    assert variables.pop("EXPURGATE_LISTEN") == "127.0.0.1:8080"
    assert variables.pop("EXPURGATE_ADMIN") == "0.0.0.0:9090"
    rules = tmp_path / "rules"
    rules.mkdir()
    assert variables["EXPURGATE_RULES"] == sidecar["volumeMounts"][0]["mountPath"]
    variables["EXPURGATE_RULES"] = str(rules)
    with Proxy(None, tmp_path, environment=variables) as proxy:
        for name in ("openai", "otlp"):
            asked = http.client.HTTPConnection(proxy.host, proxy.port, timeout=10)
            asked.request("POST", "/v1/x", body=b"{}", headers={"Host": f"{name}.expurgate.internal"})
            # The route is known; nobody listens behind it.
            assert asked.getresponse().status == 502
            asked.close()
        log = proxy.log()
    assert "is not known" not in log and "ignored" not in log


class MutualSink(Sink):
    """An upstream with a certificate of `own`, for who has one of `clients`."""

    def __init__(self, own, clients):
        super().__init__()
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=clients.cert)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(*own.issue("upstream"))
        self._context = context

    def _serve(self, connection, number):
        try:
            connection = self._context.wrap_socket(connection, server_side=True)
        except OSError:
            return
        super()._serve(connection, number)


def test_secrets_make_pseudonyms_and_mutual_tls_in_the_sidecar(tmp_path):
    """The sidecar as it is injected, with what kubelet would mount."""
    names = ("upstream-ca", "clients")
    for name in names:
        (tmp_path / name).mkdir()
    own, clients = (Authority(tmp_path / name, name) for name in names)
    with MutualSink(own, clients) as sink:
        upstream = f"https://localhost:{sink.port}"
        arguments = ["--protocol", "openai", "--upstream", upstream]
        arguments += ["--hash-keys-secret", "agent-keys", "--hash-keys", "k2,k1", "--actions", "EMAIL_ADDRESS=hash"]
        arguments += ["--tls-ca-secret", "corp-ca", "--tls-cert-secret", "agent-client"]
        (injected,) = documents(inject(json.dumps(pod()), *arguments))
        validate(injected)
        sidecar = injected["spec"]["initContainers"][0]
        mounts = {each["name"]: each for each in sidecar["volumeMounts"]}
        assert all(each["readOnly"] for each in mounts.values())
        files = {
            "agent-keys": {"k1.key": "0123456789abcdef" * 4, "k2.key": f"hex:{ACTIVE}"},
            "corp-ca": {"ca.crt": own.cert.read_text()},
            "agent-client": dict(zip(("tls.crt", "tls.key"), (path.read_text() for path in clients.issue("agent")))),
        }
        root = tmp_path / "root"
        for volume in injected["spec"]["volumes"]:
            folder = root / mounts[volume["name"]]["mountPath"][1:]
            folder.mkdir(parents=True)
            for name, text in files.pop(volume.get("secret", {}).get("secretName"), {}).items():
                (folder / name).write_text(text)
                (folder / name).chmod(0o600)
        assert files == {}
        variables = {each["name"]: each["value"].replace("/etc/", f"{root}/etc/") for each in sidecar["env"]}
        for name in ("EXPURGATE_LISTEN", "EXPURGATE_ADMIN"):
            del variables[name]
        with Proxy(None, tmp_path, environment=variables) as proxy:
            body = json.dumps({"messages": [{"role": "user", "content": f"I am {PERSON}"}]}).encode()
            assert wire.post(proxy.address, body, "/v1/chat/completions").status == 200
            log = proxy.log()
    (request,) = sink.requests
    digest = hmac.new(bytes.fromhex(ACTIVE), PERSON.encode(), "sha256").hexdigest()[:16]
    assert json.loads(request.body)["messages"][0]["content"] == f"I am [EMAIL_ADDRESS:k2:{digest}]"
    assert "is not known" not in log and "ignored" not in log and PERSON not in log


class Webhook:
    """`expurgate webhook` with a certificate of `authority`."""

    def __init__(self, cert, key, *arguments, trust):
        (self.port,) = free_ports(1)
        self.context = ssl.create_default_context(cafile=trust)
        self._command = [BINARY, "webhook", "--cert", cert, "--key", key, "--listen", f"127.0.0.1:{self.port}", *arguments]

    def __enter__(self):
        self.process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + SECONDS
        while True:
            try:
                assert self.ask("GET", "/readyz")[0] == 200
                return self
            except OSError:
                assert self.process.poll() is None, self.process.stderr.read()
                assert time.monotonic() < end, "not ready in time"
                time.sleep(0.02)  # the interval of a poll with a deadline

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.log = self.process.stderr.read()
        assert code == 0 and "panicked" not in self.log, self.log

    def connect(self):
        return http.client.HTTPSConnection("localhost", self.port, timeout=SECONDS, context=self.context)

    def ask(self, method, path, body=None, headers=None):
        connection = self.connect()
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def review(self, thing, operation="CREATE", kind="Pod", version="admission.k8s.io/v1"):
        request = {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": kind},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": "agents",
            "operation": operation,
            "object": thing,
            "oldObject": None,
            "dryRun": False,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        }
        body = json.dumps({"kind": "AdmissionReview", "apiVersion": version, "request": request})
        status, answer = self.ask("POST", "/inject?timeout=10s", body, {"Content-Type": "application/json"})
        assert status == 200, answer
        review = json.loads(answer)
        assert (review["apiVersion"], review["kind"]) == (version, "AdmissionReview")
        assert review["response"]["uid"] == request["uid"]
        return review["response"]


def patched(thing, response):
    """The object after its JSON Patch (RFC 6902), read strictly."""
    assert response["allowed"] is True and response["patchType"] == "JSONPatch"
    thing = copy.deepcopy(thing)
    for operation in json.loads(base64.b64decode(response["patch"], validate=True)):
        *above, last = [step.replace("~1", "/").replace("~0", "~") for step in operation["path"].split("/")[1:]]
        parent = thing
        for step in above:
            parent = parent[int(step)] if isinstance(parent, list) else parent[step]
        if isinstance(parent, list):
            last = int(last)
        match operation["op"]:
            case "add":
                assert not isinstance(parent, list) and last not in parent
                parent[last] = operation["value"]
            case "replace":
                parent[last]
                parent[last] = operation["value"]
            case "remove":
                del parent[last]
            case other:
                raise AssertionError(other)
    return thing


@pytest.fixture(scope="module")
def webhook(authority):
    cert, key = authority.issue("webhook")
    with Webhook(cert, key, "--protocol", "openai", trust=authority.cert) as webhook:
        yield webhook


@pytest.mark.parametrize("name", PODS)
def test_a_reviewed_pod_is_what_the_command_makes_of_it_and_valid(webhook, name):
    response = webhook.review(PODS[name])
    after = patched(PODS[name], response)
    validate(after if "name" in after["metadata"] else after | {"metadata": after["metadata"] | {"name": "web-x"}})
    assert after == json.loads(inject(json.dumps(PODS[name]), "--protocol", "openai"))
    assert after["spec"]["initContainers"][0]["restartPolicy"] == "Always"
    again = webhook.review(after)
    assert again["allowed"] is True and "patch" not in again


def test_pods_that_need_nothing_and_other_objects_are_let_in(webhook):
    for response in [
        webhook.review(pod(annotations={"expurgate.dev/inject": "false"})),
        webhook.review(pod(), operation="UPDATE"),
        webhook.review(None, operation="DELETE"),
        webhook.review({"kind": "ConfigMap"}, kind="ConfigMap"),
    ]:
        assert response["allowed"] is True and "patch" not in response


def test_a_refusal_says_what_to_do_and_a_warning_reaches_the_user(webhook):
    response = webhook.review(pod({"hostNetwork": True}, annotations={"expurgate.dev/imgae": "x"}))
    assert response["allowed"] is False and "patch" not in response
    assert response["status"]["code"] == 422
    assert "did you mean expurgate.dev/image?" in response["status"]["message"]
    response = webhook.review(pod({"containers": [container(envFrom=[{"secretRef": {"name": "a"}}])]}))
    assert response["allowed"] is True
    (warning,) = response["warnings"]
    assert warning.startswith("expurgate: container app: ") and len(warning) <= 256


def pod_of_kustomize():
    """As the ReplicaSet of the overlay's Deployment creates it."""
    template = only(rendered(REPOSITORY / "deploy/kustomize/overlays/example"), "Deployment")["spec"]["template"]
    metadata = template["metadata"] | {"name": "agent-1", "namespace": "agents"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


@pytest.mark.skipif(not KUBECTL, reason="kubectl is not installed")
def test_a_pod_of_kustomize_is_let_in_as_it_is_unless_it_goes_past_its_sidecar(webhook):
    own = pod_of_kustomize()
    response = webhook.review(own)
    assert response["allowed"] is True and "patch" not in response
    (warning,) = response["warnings"]
    assert "a sidecar that inject did not put in" in warning
    (variable,) = own["spec"]["containers"][0]["env"]
    variable["value"] = "https://api.openai.com/v1"
    response = webhook.review(own)
    assert response["allowed"] is False and response["status"]["code"] == 422
    assert "container agent: OPENAI_BASE_URL goes past the sidecar; point it there" in response["status"]["message"]
    own["metadata"]["annotations"] = {"expurgate.dev/keep-variables": "OPENAI_BASE_URL"}
    assert webhook.review(own)["allowed"] is True


def verify(objects, *arguments):
    """What is listed, by pod."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    done = command("verify", "--output", "json", *arguments, text=text)
    listed = json.loads(done.stdout)
    assert done.returncode == (1 if listed else 0), done.stderr
    return {each["pod"]: each["problem"] for each in listed}, done.stderr


@pytest.mark.skipif(not KUBECTL, reason="kubectl is not installed")
def test_pods_that_are_older_than_the_label_of_their_namespace_are_listed(webhook):
    labels = {"expurgate.dev/injection": "enabled"}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "agents", "labels": labels}}
    old = pod(name="old", namespace="agents")
    new = patched(old, webhook.review(old)) | {"metadata": old["metadata"] | {"name": "new"}}
    new["metadata"] |= {"annotations": patched(old, webhook.review(old))["metadata"]["annotations"]}
    others = [pod(name="web", namespace="web"), pod(name="dns", namespace="kube-system")]
    objects = [*others, old, new, pod_of_kustomize()]
    assert verify([*objects, space])[0] == {"old": "it has no sidecar"}
    assert verify(objects, "--namespace", "agents")[0] == {"old": "it has no sidecar"}
    listed, said = verify(objects)
    assert listed == {} and "note: no namespaces came along" in said
    assert set(verify(objects, "--all")[0]) == {"old", "web"}
    assert "the list is empty" in verify([])[1]


def test_what_is_no_review_is_refused_and_limits_hold(webhook):
    for body in (b"", b"{}", b"\xff", b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1"}'):
        assert webhook.ask("POST", "/inject", body)[0] == 400
    assert webhook.ask("POST", "/inject", b" " * (4 * 1024 * 1024 + 1))[0] == 413
    assert webhook.ask("GET", "/inject")[0] == 405
    assert webhook.ask("POST", "/livez")[0] == 405
    assert webhook.ask("GET", "/livez") == (200, b"live\n")
    assert webhook.ask("GET", "/elsewhere")[0] == 404
    # A pod of nearly that size, and deep, is answered.
    large = pod(annotations={"a": "x" * 1_000_000, "b": "[" * 1_000_000})
    assert webhook.review(large)["allowed"] is True


def test_who_sends_no_body_is_not_waited_for(webhook):
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", webhook.port), timeout=SECONDS + 10) as plain:
        with webhook.context.wrap_socket(plain, server_hostname="localhost") as stream:
            stream.sendall(b"POST /inject HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{")
            assert stream.recv(65536).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < SECONDS


def test_many_reviews_at_once_over_connections_that_stay(webhook):
    def several(_):
        connection = webhook.connect()
        answers = []
        for _ in range(20):
            connection.request("GET", "/livez")
            answers.append(connection.getresponse().read())
        connection.close()
        answers.append(webhook.review(PODS["busy"])["allowed"])
        return answers

    with ThreadPoolExecutor(16) as pool:
        assert all(answers == [b"live\n"] * 20 + [True] for answers in pool.map(several, range(32)))


def test_http_2_is_spoken_where_it_is_asked_for(webhook):
    h2 = pytest.importorskip("h2.connection")
    events = pytest.importorskip("h2.events")
    context = ssl.create_default_context(cafile=None)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", webhook.port), timeout=SECONDS) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as stream:
            assert stream.selected_alpn_protocol() == "h2"
            connection = h2.H2Connection()
            connection.initiate_connection()
            headers = [(":method", "GET"), (":path", "/livez"), (":scheme", "https"), (":authority", "localhost")]
            connection.send_headers(1, headers, end_stream=True)
            stream.sendall(connection.data_to_send())
            body, ended = b"", False
            while not ended:
                for event in connection.receive_data(stream.recv(65536)):
                    if isinstance(event, events.DataReceived):
                        body += event.data
                    ended = ended or isinstance(event, events.StreamEnded)
                stream.sendall(connection.data_to_send())
            assert body == b"live\n"


@pytest.mark.parametrize("told", [True, False], ids=["by a signal", "untold"])
def test_a_certificate_is_replaced_while_the_webhook_runs(told, authority, tmp_path):
    cert, key = tmp_path / "tls.crt", tmp_path / "tls.key"

    def use(name):
        for source, target in zip(authority.issue(name), (cert, key)):
            fresh = target.with_suffix(".new")
            shutil.copy(source, fresh)
            fresh.replace(target)

    use("first")
    with Webhook(cert, key, "--upstream", "http://a.example", trust=authority.cert) as webhook:
        assert served(webhook) == "first"
        use("second")
        if told:
            webhook.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + SECONDS
        while served(webhook) != "second":
            assert time.monotonic() < end, "the new certificate is not used"
            time.sleep(0.02)  # the interval of a poll with a deadline
        assert webhook.review(pod())["allowed"] is True


def test_a_certificate_of_a_secret_is_taken_as_kubelet_brings_it_without_a_signal(authority, tmp_path):
    """Links to a folder that is swapped by one rename, for certificate and key at once."""
    volume = tmp_path / "volume"

    def bring(name):
        folder = volume / f"..{name}"
        folder.mkdir(parents=True)
        for source, target in zip(authority.issue(name), ("tls.crt", "tls.key"), strict=True):
            shutil.copy(source, folder / target)
        link = volume / "..data_tmp"
        link.symlink_to(folder.name)
        link.rename(volume / "..data")

    bring("one")
    for name in ("tls.crt", "tls.key"):
        (volume / name).symlink_to(f"..data/{name}")
    with Webhook(volume / "tls.crt", volume / "tls.key", "--protocol", "openai", trust=authority.cert) as webhook:
        assert served(webhook) == "one"
        bring("two")
        end = time.monotonic() + SECONDS
        while served(webhook) != "two":
            assert time.monotonic() < end, "the new certificate is not used"
            time.sleep(0.02)  # the interval of a poll with a deadline
        assert webhook.review(pod())["allowed"] is True
        # What is no certificate changes nothing.
        (volume / "..broken").mkdir()
        for name in ("tls.crt", "tls.key"):
            (volume / "..broken" / name).write_text("nothing")
        (volume / "..data_tmp").symlink_to("..broken")
        (volume / "..data_tmp").rename(volume / "..data")
        said = read_until(webhook.process.stderr, "the new certificates are not used")
        assert "the old ones stay" in said
        assert served(webhook) == "two"


def read_until(stream, words):
    """The line that has these words."""
    lines = []
    for line in stream:
        lines.append(line)
        if words in line:
            return line
    raise AssertionError("".join(lines))


def served(webhook):
    """The name in the certificate that a client is shown."""
    with socket.create_connection(("127.0.0.1", webhook.port), timeout=SECONDS) as plain:
        with webhook.context.wrap_socket(plain, server_hostname="localhost") as stream:
            return dict(part[0] for part in stream.getpeercert()["subject"])["commonName"]


def test_a_wrong_certificate_or_setting_does_not_start(authority, tmp_path):
    cert, key = authority.issue("right")
    (tmp_path / "broken.key").write_text("no key")
    for arguments, code, told in [
        (["--cert", cert, "--key", tmp_path / "broken.key"], 2, "broken.key holds no private key"),
        (["--cert", tmp_path / "none.crt", "--key", key], 3, "none.crt cannot be read"),
        (["--cert", cert, "--key", key, "--protocol", "opanai"], 2, 'did you mean "openai"?'),
    ]:
        done = subprocess.run(
            [BINARY, "webhook", "--listen", "127.0.0.1:0", *arguments], capture_output=True, text=True, timeout=SECONDS
        )
        assert done.returncode == code and told in done.stderr, done.stderr


@contextmanager
def made(tmp_path):
    """A copy of the manifests, with a certificate of their script."""
    copy = tmp_path / "webhook"
    shutil.copytree(WEBHOOK, copy, ignore=shutil.ignore_patterns("made"))
    subprocess.run([copy / "own-certificate/make"], check=True, capture_output=True, timeout=60)
    yield copy


def rendered(folder):
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def only(objects, kind):
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


@pytest.mark.skipif(not KUBECTL, reason="kubectl is not installed")
@pytest.mark.parametrize("way", ["cert-manager", "own-certificate"])
def test_the_manifests_of_the_webhook_are_valid_and_scoped(way, tmp_path):
    with made(tmp_path) as folder:
        objects = rendered(folder / way)
    for each in objects:
        if not each["apiVersion"].startswith("cert-manager.io/"):
            validate(each)
    configuration = only(objects, "MutatingWebhookConfiguration")
    (hook,) = configuration["webhooks"]
    assert (hook["failurePolicy"], hook["sideEffects"]) == ("Fail", "None")
    selector = hook["namespaceSelector"]
    assert selector["matchLabels"] == {"expurgate.dev/injection": "enabled"}
    (excluded,) = selector["matchExpressions"]
    own = only(objects, "Namespace")["metadata"]["name"]
    assert excluded["operator"] == "NotIn" and own in excluded["values"]
    service = hook["clientConfig"]["service"]
    assert (service["name"], service["namespace"]) == (only(objects, "Service")["metadata"]["name"], own)
    host = f"{service['name']}.{service['namespace']}.svc"
    if way == "cert-manager":
        issued = [each for each in objects if each["kind"] == "Certificate" and host in each["spec"].get("dnsNames", [])]
        (certificate,) = issued
        annotation = configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"]
        assert annotation == f"{own}/{certificate['metadata']['name']}"
        secret = certificate["spec"]["secretName"]
        (authority,) = [each for each in objects if each["kind"] == "Issuer" and "ca" in each["spec"]]
        assert certificate["spec"]["issuerRef"]["name"] == authority["metadata"]["name"]
    else:
        secret = only(objects, "Secret")["metadata"]["name"]
        assert hook["clientConfig"]["caBundle"]
    spec = only(objects, "Deployment")["spec"]["template"]["spec"]
    assert spec["volumes"][0]["secret"]["secretName"] == secret
    image = spec["containers"][0]["image"]
    assert image == documents(inject(json.dumps(pod()), "--protocol", "openai"))[0]["spec"]["initContainers"][0]["image"]


@pytest.mark.skipif(not KUBECTL, reason="kubectl is not installed")
def test_the_certificate_of_the_script_is_trusted_as_the_api_server_trusts(tmp_path):
    with made(tmp_path) as folder:
        first = rendered(folder / "own-certificate")
        subprocess.run([folder / "own-certificate/make"], check=True, capture_output=True, timeout=60)
        objects = rendered(folder / "own-certificate")
    # Replaced, and trusted by whoever trusts the authority that was there.
    bundles = [only(each, "MutatingWebhookConfiguration")["webhooks"][0]["clientConfig"]["caBundle"] for each in (first, objects)]
    secrets = [only(each, "Secret")["data"] for each in (first, objects)]
    assert bundles[0] == bundles[1] and secrets[0] != secrets[1]
    files = {name: tmp_path / name for name in ("tls.crt", "tls.key")}
    for name, path in files.items():
        path.write_bytes(base64.b64decode(secrets[1][name]))
    (tmp_path / "ca.crt").write_bytes(base64.b64decode(bundles[0]))
    with Served(files["tls.crt"], files["tls.key"], "--protocol", "openai", trust=tmp_path / "ca.crt") as webhook:
        assert webhook.review(pod())["allowed"] is True


class Served(Webhook):
    """Asked as the API server does: by the name of the Service."""

    def connect(self):
        name = "expurgate-webhook.expurgate-system.svc"
        connection = http.client.HTTPSConnection(name, timeout=SECONDS, context=self.context)
        connection._create_connection = lambda *_: socket.create_connection(("127.0.0.1", self.port), SECONDS)
        return connection
