"""Metrics, rules, alerts and the dashboard, by Debian's own Prometheus."""

import contextlib
import http.client
import itertools
import json
import random
import re
import shutil
import subprocess
import sys

import pytest
import yaml

import wire
from fleet import PROMETHEUS, RULES, Fleet, Prometheus, answer_slowly_at_times
from proxy import REPOSITORY, Proxy
from sink import Answer, Sink

pytestmark = pytest.mark.skipif(
    not (PROMETHEUS and shutil.which("promtool")), reason="Prometheus is not installed: scripts/setup test"
)

DASHBOARD = json.loads((REPOSITORY / "deploy/grafana/expurgate.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
CASES = sorted(RULES.glob("*.test.yaml"))
# Of Expurgate itself, of DESIGN's table and the reloads of certificates.
FAMILIES = 36
HOSTILE_REQUESTS = 100_000
VALUES = {"$job": "expurgate", "$instance": ".+", "$route": ".+", "$__rate_interval": "20s"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    with Sink(answer_slowly_at_times) as sink, Fleet(sink, tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def prometheus(fleet, tmp_path_factory):
    ports = [proxy.admin_port for proxy in fleet.proxies]
    with Prometheus(tmp_path_factory.mktemp("prometheus"), ports) as prometheus:
        # There is no such rule. Only a failure that comes after others is a change.
        fleet.reload('[[override]]\nid = "no.such.rule"\nenabled = true\n')
        yield prometheus


def families(text):
    """Names and types."""
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


def series(text):
    """Names with labels, without values."""
    return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}


def documented():
    text = (REPOSITORY / "docs/operations.md").read_text()
    section = text.split("\n## Metrics\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `(\w+)", section, re.MULTILINE)


@pytest.mark.timeout(120)
def test_every_metric_is_there_documented_and_clean(fleet, prometheus):
    prometheus.wait_for(lambda: prometheus.query("expurgate_upstream_errors_total > 3"))
    found = {}
    for text in fleet.metrics():
        check = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=30)
        assert (check.returncode, check.stdout + check.stderr) == (0, "")
        found |= families(text)
    own = [name for name in found if name.startswith("expurgate_")]
    # promtool has nothing to say of nothing.
    assert len(own) == FAMILIES, sorted(own)
    assert sorted(documented()) == sorted(found)


@pytest.mark.parametrize(
    "accept, kind, end",
    [
        (None, "text/plain; version=0.0.4; charset=utf-8", b"\n"),
        ("text/plain", "text/plain; version=0.0.4; charset=utf-8", b"\n"),
        ("application/openmetrics-text; version=1.0.0, text/plain;q=0.5",
         "application/openmetrics-text; version=1.0.0; charset=utf-8", b"\n# EOF\n"),
    ],
)  # fmt: skip
def test_the_format_is_the_one_that_is_asked_for(fleet, accept, kind, end):
    connection = http.client.HTTPConnection("127.0.0.1", fleet.proxies[0].admin_port, timeout=10)
    connection.request("GET", "/metrics", headers={"Accept": accept} if accept else {})
    response = connection.getresponse()
    assert response.getheader("Content-Type") == kind
    text = response.read()
    assert text.endswith(end)
    assert (b"# TYPE expurgate_requests counter" in text) == (b"# EOF" in text)
    connection.close()


@pytest.mark.timeout(300)
def test_every_query_of_the_dashboard_returns_data(prometheus):
    def filled(query):
        for name, value in VALUES.items():
            query = query.replace(name, value)
        assert "$" not in query, query
        return query

    def silent():
        return [(title, query) for title, query in QUERIES if not numbers(prometheus.query(filled(query)))]

    def numbers(found):
        return [value for _, value in found if value == value]  # NaN is no data

    prometheus.wait_until_none_is_left(silent)
    assert len(QUERIES) > 35


@pytest.mark.timeout(300)
def test_every_recording_rule_has_data_and_every_alert_is_understood(prometheus):
    text = yaml.safe_load((RULES / "recording.yaml").read_text())
    names = [rule["record"] for group in text["groups"] for rule in group["rules"]]
    prometheus.wait_until_none_is_left(lambda: [name for name in names if not prometheus.query(name)])
    rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    alerts = [rule for rule in rules if rule["type"] == "alerting"]
    assert len(alerts) == len(alert_rules())
    prometheus.wait_for(
        lambda: all(
            rule["health"] == "ok" for group in prometheus.ask("rules")["groups"] for rule in group["rules"]
        )
    )


@pytest.mark.timeout(300)
def test_alerts_see_what_the_load_does_and_rules_that_are_refused(fleet, prometheus):
    def alerting(name):
        return prometheus.query(f'ALERTS{{alertname="{name}"}}')

    prometheus.wait_for(lambda: alerting("ExpurgatePassthrough"))
    ((alert, _),) = alerting("ExpurgatePassthrough")
    assert (alert["route"], alert["reason"], alert["severity"]) == ("traces", "media_type", "warning")
    # That it fires for some minutes is what promtool shows: here it would take them.
    fleet.proxies[0].assert_metric("expurgate_ruleset_reloads_total", 1, outcome="failure")
    failed = 'changes(expurgate_ruleset_reloads_total{outcome="failure"}[5m]) > 0'
    ((found, _),) = prometheus.wait_for(lambda: prometheus.query(failed))
    assert found["instance"] == f"127.0.0.1:{fleet.proxies[0].admin_port}"
    for quiet in ("ExpurgatePanics", "ExpurgateDown", "ExpurgateCertificateReloadFailed"):
        assert not alerting(quiet)


@pytest.mark.timeout(900)
def test_hostile_requests_add_no_series(tmp_path):
    """Paths, hosts, methods, types and codings are the client's to choose, and
    their number is not bounded."""
    with Sink() as sink:
        config = (
            f'[[route]]\nname = "open"\npath = "/open"\nupstream = "{sink.url}"\n'
            f'[[route]]\nname = "named"\nhost = "named.test"\nupstream = "{sink.url}"\n'
        )
        with Proxy(None, tmp_path, config) as proxy:
            known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"]
            # Each method by each way, so that all closed sets are there.
            hostile(proxy, sink, itertools.product(range(WAYS), known, [1]))
            before = series(proxy.metrics())
            rng = random.Random(7)

            def made_up():
                for number in range(HOSTILE_REQUESTS):
                    method = rng.choice(known) if number % 3 else f"M{number}"
                    # One in fifty reaches the upstream: Python's is slow.
                    yield (rng.randrange(1, WAYS) if number % 50 else 0), method, number

            total = proxy.metric("expurgate_requests_total")
            hostile(proxy, sink, made_up())
            proxy.assert_metric("expurgate_requests_total", total + HOSTILE_REQUESTS)
            text = proxy.metrics()
            assert series(text) == before
            assert "hostile" not in text
            for path in ("/metrics/hostile", "/hostile?metrics", "/%00hostile"):
                assert proxy.admin(path)[0] == 404
            assert series(proxy.metrics()) == before


WAYS = 5
BATCH = 250


def hostile(proxy, sink, requests):
    """Sends them pipelined, and reads as many answers."""
    sink.answer = lambda _: Answer(204, b"", ())
    requests = iter(requests)
    while batch := list(itertools.islice(requests, BATCH)):
        while batch:
            batch = batch[answers(proxy, batch) :]
        sink.forget()


def answers(proxy, batch):
    """How many of the batch were answered before the connection was closed,
    which is at the end, or behind a refusal."""
    with wire.connection(proxy.address) as sock:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(b"".join(one(*request) for request in batch))
        stream = sock.makefile("rb")
        for number, (_, method, _) in enumerate(batch):
            if not read_answer(stream, method):
                assert number, "not one answer on a connection"
                return number
    return len(batch)


def one(way, method, number):
    """A request that is forwarded, or that is refused in one of four ways."""
    target, host, more = [
        (f"/open/hostile{number}", f"hostile{number}.test", ""),
        (f"/hostile{number}", f"hostile{number}.test", ""),
        (f"/open/a/../hostile{number}", "named.test", ""),
        (f"/open/hostile{number}?a=hostile{number}", "named.test", f"Content-Encoding: hostile{number}\r\n"),
        (f"/hostile{number}", f"named.test{number}", f"Content-Type: hostile/{number}\r\n"),
    ][way]
    body = "hostile"
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def read_answer(stream, method):
    """False where the connection has ended instead."""
    line = stream.readline()
    if not line:
        return False
    assert line.startswith(b"HTTP/1.1 "), line
    length = 0
    while (field := stream.readline()) != b"\r\n":
        name, _, value = field.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    if method != "HEAD":
        stream.read(length)
    return True


def alert_rules():
    text = yaml.safe_load((RULES / "alerts.yaml").read_text())
    return {rule["alert"]: rule for group in text["groups"] for rule in group["rules"]}


def test_alerts_fire_and_stay_quiet_as_their_cases_say():
    command = ["promtool", "test", "rules", *CASES]
    check = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert check.returncode == 0, check.stdout + check.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_does_not():
    cases = [case for file in CASES for case in yaml.safe_load(file.read_text())["tests"]]
    tried = [(each["alertname"], bool(each["exp_alerts"])) for case in cases for each in case["alert_rule_test"]]
    for alert in alert_rules():
        assert (alert, True) in tried, f"{alert} fires nowhere"
        assert (alert, False) in tried, f"{alert} stays quiet nowhere"


def test_every_alert_says_what_happened_how_bad_it_is_and_what_to_do():
    runbook = (REPOSITORY / "docs/operations.md").read_text()
    entries = re.findall(r"^### (Expurgate\w+)$", runbook, re.MULTILINE)
    assert sorted(entries) == sorted(alert_rules())
    for name, rule in alert_rules().items():
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"].endswith(f"/docs/operations.md#{name.lower()}")


def test_rules_and_dashboard_ask_for_metrics_that_exist():
    text = (RULES / "recording.yaml").read_text() + (RULES / "alerts.yaml").read_text() + str(QUERIES)
    asked = set(re.findall(r"(?<![:\w])(expurgate_\w+|process_\w+)", text))
    known = {*documented(), *(f"{name}_bucket" for name in documented())}
    assert asked - known == set()
    assert len(asked) > 25


def test_the_dashboard_is_what_its_script_writes():
    command = [sys.executable, REPOSITORY / "scripts/dashboard", "--check"]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0


# What Grafana's dashboard linter asks for.


def test_the_dashboard_chooses_data_source_job_and_instance():
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert variables["datasource"]["label"] == "Data source"
    for name in ("job", "instance"):
        each = variables[name]
        assert each["type"] == "query" and each["label"] == name
        assert each["multi"] and each["includeAll"] and each["allValue"] == ".+"
    for each in variables.values():
        if each["type"] == "query":
            assert each["datasource"]["uid"] == "${datasource}"
            # Values come and go while the page is open.
            assert each["refresh"] == 2
            assert re.fullmatch(r"label_values\([a-z_]+(\{.*\})?, \w+\)", each["query"]["query"])


def test_the_dashboard_is_not_editable_and_has_an_address_of_its_own():
    assert DASHBOARD["editable"] is False
    assert DASHBOARD["uid"] == "expurgate" and DASHBOARD["title"] and DASHBOARD["description"]


def test_every_panel_has_title_description_unit_source_and_targets():
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in PANELS:
        assert panel["title"] and panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}" and target["legendFormat"]


def test_panels_do_not_overlap():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not taken & cells, panel["title"]
        taken |= cells


@pytest.mark.parametrize("title, query", QUERIES, ids=[title for title, _ in QUERIES])
def test_a_query_chooses_job_and_instance_and_takes_rates_of_counters(title, query):
    selectors = re.findall(r"\b((?:expurgate|process)_\w+)\{([^}]*)\}", query)
    assert selectors and len(selectors) == len(re.findall(r"\b(?:expurgate|process)_\w+", query))
    for metric, labels in selectors:
        assert 'job=~"$job"' in labels and 'instance=~"$instance"' in labels
        is_counter = metric.endswith(("_total", "_bucket", "_sum", "_count"))
        ranged = re.search(rf"(rate|increase)\({metric}\{{[^}}]*\}}\[(\S+)\]\)", query)
        assert bool(ranged) == is_counter, metric
        assert not ranged or ranged[2] == "$__rate_interval"
