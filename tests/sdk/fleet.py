"""A small fleet under load, and Debian's Prometheus that scrapes it.

Two proxies share a sink: one for clients in plain text, with a route whose
upstream is gone, and one behind TLS. The load is such that every metric that a
healthy process can have is there.
"""

import contextlib
import gzip
import http.client
import itertools
import json
import shutil
import ssl
import subprocess
import threading
import time
import urllib.parse

import wire
from certificates import Authority
from proxy import REPOSITORY, Proxy, free_ports
from sink import Answer

PROMETHEUS = shutil.which("prometheus")
RULES = REPOSITORY / "deploy/prometheus"
WAIT_SECONDS = 60
# What is found, and a token whose checksum is wrong.
TEXTS = (
    "write to someone@corp-mail.example or call +49 30 901820",
    "card 4111 1111 1111 1111",
    "aws_access_key_id = AKIAQYLPMN5HFIQR7XYA",
    "no token: ghp_" + "a" * 36,
)


class Fleet:
    """Use as a context manager; what it was sent grows until it ends."""

    def __init__(self, sink, folder):
        self._sink = sink
        self._stop = threading.Event()
        self._problems = []
        (gone,) = free_ports(1)
        cert, key = Authority(folder).issue("localhost")
        rules = folder / "rules"
        rules.mkdir()
        self._rules = rules / "own.toml"
        self._rules.write_text('[[override]]\nid = "email.address"\nenabled = true\n')
        route = f'[[route]]\nname = "traces"\nupstream = "{sink.url}"\npass = ["image/png"]\n'
        plain = (
            f'[rules]\npaths = ["{rules}"]\n{route}'
            '[route.policy]\nPHONE_NUMBER = "mask"\nCREDIT_CARD = "remove"\n'
            f'[[route]]\nname = "gone"\npath = "/gone"\nupstream = "http://127.0.0.1:{gone}"\n'
        )
        tls = f'[listener.tls]\ncert = "{cert}"\nkey = "{key}"\n{route}'
        self._trust = ssl.create_default_context(cafile=cert.with_name("authority.crt"))
        self.proxies = [Proxy(None, folder, plain), Proxy(None, folder, tls)]

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            for proxy in self.proxies:
                stack.enter_context(proxy)
            self._load = threading.Thread(target=self._send_on, daemon=True)
            self._load.start()
            stack.callback(self._end_load)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *reason):
        return self._stack.__exit__(*reason)

    def _end_load(self):
        self._stop.set()
        self._load.join()
        assert self._problems == []

    def reload(self, text):
        """Puts other rules where the first proxy reads them."""
        self._rules.write_text(text)

    def metrics(self):
        return [proxy.metrics() for proxy in self.proxies]

    def _send_on(self):
        try:
            for number in itertools.count():
                if self._stop.is_set():
                    return
                self.send(number)
                self._sink.forget()
                self._stop.wait(0.02)  # a pace, not a wait for something
        except Exception as problem:  # a thread's failure is the test's
            self._problems.append(problem)

    def send(self, number):
        """One request of each sort."""
        plain, tls = self.proxies
        body = json.dumps({"id": number, "messages": [{"text": text} for text in TEXTS]}).encode()
        self._status(200, wire.post(plain.address, body))
        self._status(200, wire.post(plain.address, gzip.compress(body), Content_Encoding="gzip"))
        self._status(200, wire.post(plain.address, TEXTS[number % 4].encode(), Content_Type="text/plain"))
        self._status(200, wire.post(plain.address, b"\x89PNG\r\n", Content_Type="image/png"))
        self._status(415, wire.post(plain.address, body, Content_Encoding="sdch"))
        self._status(502, wire.post(plain.address, body, "/gone"))
        client = http.client.HTTPSConnection("localhost", tls.port, context=self._trust, timeout=10)
        with contextlib.closing(client):
            client.request("POST", "/", body, {"Content-Type": "application/json"})
            answer = client.getresponse()
            answer.read()
            self._status(200, answer)

    def _status(self, wanted, response):
        assert response.status == wanted, (wanted, response.status)


def answer_slowly_at_times(request):
    """So that the times of upstreams differ."""
    if len(request.body) % 7 == 0:
        time.sleep(0.005)  # what is measured, not a wait
    return Answer()


class Prometheus:
    """Debian's Prometheus, with our rules, scraping admin ports each second."""

    def __init__(self, folder, ports):
        self._folder = folder
        (self._port,) = free_ports(1)
        targets = [f"127.0.0.1:{port}" for port in ports]
        self._targets = targets
        job = {"job_name": "expurgate", "static_configs": [{"targets": targets, "labels": {"namespace": "agents"}}]}
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES / "recording.yaml"), str(RULES / "alerts.yaml")],
            "scrape_configs": [job],
        }
        # JSON is YAML.
        (folder / "prometheus.yml").write_text(json.dumps(config))

    def __enter__(self):
        command = [PROMETHEUS, f"--config.file={self._folder}/prometheus.yml"]
        command += [f"--storage.tsdb.path={self._folder}/data", f"--web.listen-address=127.0.0.1:{self._port}"]
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self.wait_for(lambda: all(each["health"] == "up" for each in self.targets()) and self.targets())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(30)

    def ask(self, path, **parameters):
        """The data that the API answers."""
        query = urllib.parse.urlencode(parameters)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", f"/api/v1/{path}?{query}")
            answer = json.loads(connection.getresponse().read())
        assert answer["status"] == "success", answer
        return answer["data"]

    def targets(self):
        return self.ask("targets")["activeTargets"]

    def query(self, expression):
        """Labels and value of each series now."""
        result = self.ask("query", query=expression)["result"]
        return [(each["metric"], float(each["value"][1])) for each in result]

    def wait_for(self, holds, seconds=WAIT_SECONDS):
        """Waits until `holds()`, and returns what it says."""
        end = time.monotonic() + seconds
        while True:
            # It answers in plain text while it starts.
            with contextlib.suppress(OSError, json.JSONDecodeError):
                if found := holds():
                    return found
            assert time.monotonic() < end, "Prometheus was asked in vain"
            assert self._process.poll() is None, (self._folder / "prometheus.log").read_text()
            time.sleep(0.2)  # the interval of a poll with a deadline

    def wait_until_none_is_left(self, missing):
        """Waits until `missing()` lists nothing, and tells what it listed last."""
        listed = []

        def none_is_left():
            listed[:] = missing()
            return not listed

        try:
            self.wait_for(none_is_left)
        except AssertionError as problem:
            raise AssertionError(f"{problem}: {listed}") from None
