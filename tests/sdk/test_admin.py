"""The admin port: alive, ready, metrics that Prometheus' own linter likes."""

import json
import os
import re
import shutil
import subprocess

import pytest

import wire
from proxy import BINARY, REPOSITORY


def test_the_proxy_says_that_it_lives_and_is_ready(proxy):
    assert proxy.admin("/livez")[0] == 200
    assert proxy.admin("/readyz")[0] == 200
    assert proxy.admin("/nothing-here")[0] == 404


def test_metrics_count_requests_bytes_and_findings(proxy, sink):
    body = b'{"to": "someone@corp-mail.example"}'
    for _ in range(3):
        assert wire.post(proxy.address, body).status == 200
    assert wire.post(proxy.address, body, Content_Encoding="sdch").status == 415
    proxy.assert_metric("expurgate_requests_total", 3, method="POST", code="200")
    proxy.assert_metric("expurgate_requests_total", 1, method="POST", code="415")
    proxy.assert_metric("expurgate_findings_total", 3, entity="EMAIL_ADDRESS", action="replace")
    proxy.assert_metric("expurgate_refused_requests_total", 1)
    proxy.assert_metric("expurgate_inflight_requests", 0)
    assert proxy.metric("process_resident_memory_bytes") > 0


def test_metrics_are_clean_for_promtool(proxy, sink):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is not installed: scripts/setup test")
    wire.post(proxy.address, b'{"to": "someone@corp-mail.example"}')
    check = subprocess.run(
        [promtool, "check", "metrics"], input=proxy.metrics(), capture_output=True, text=True, timeout=30
    )
    assert (check.returncode, check.stdout + check.stderr) == (0, "")


def test_make_tells_the_build_of_which_revision_it_is():
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True)
    if head.returncode:
        pytest.skip("this is no clone")
    # In the place of cargo, with whatever it is told by its environment.
    cargo = 'CARGO=sh -c "echo told=$$EXPURGATE_REVISION" sh'
    made = subprocess.run(["make", "build", cargo], cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    assert re.search(rf"^told={head.stdout.strip()}(-dirty)?$", made.stdout, re.MULTILINE), made.stdout + made.stderr


def test_version_tells_what_the_program_says_of_itself(proxy):
    said = subprocess.run([BINARY, "--version"], capture_output=True, text=True, timeout=60).stdout
    status, body = proxy.admin("/version")
    told = json.loads(body)
    assert status == 200 and said == f"expurgate {told['version']} (revision {told['revision']})\n"
    # There the build before was that of `make`.
    assert not os.environ.get("CI") or re.fullmatch("[0-9a-f]{40}(-dirty)?", told["revision"])
