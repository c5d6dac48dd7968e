"""The process keeps payloads to itself, and nobody who reads its log stops it."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import wire
from proxy import BINARY, Proxy

NOBODY = 65534


def started_by(**popen):
    """A proxy whose process is started in another way."""

    class Started(Proxy):
        def __enter__(self):
            original = subprocess.Popen
            subprocess.Popen = lambda command, **others: original(command, **others | popen)
            try:
                return super().__enter__()
            finally:
                subprocess.Popen = original

    return Started


def test_there_are_no_core_files(proxy):
    limits = Path(f"/proc/{proxy.pid}/limits").read_text()
    [core] = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"], core


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a process of somebody else")
def test_other_processes_of_its_user_cannot_read_its_memory(sink, tmp_path):
    """The files in /proc of a process that cannot be dumped are root's (proc(5))."""
    if subprocess.run([BINARY, "--version"], user=NOBODY, capture_output=True).returncode:
        pytest.skip("nobody but root can run the binary from where it is")
    with started_by(user=NOBODY, group=NOBODY)(sink.url, tmp_path) as proxy:
        status = Path(f"/proc/{proxy.pid}/status").read_text()
        assert f"Uid:\t{NOBODY}" in status
        assert os.stat(f"/proc/{proxy.pid}/mem").st_uid == 0
        assert "Permission denied" in environment(proxy.pid).stderr
    # So it is not for want of rights in general.
    with subprocess.Popen(["sleep", "60"], user=NOBODY, group=NOBODY) as other:
        assert environment(other.pid).returncode == 0
        other.kill()


def environment(pid):
    """What nobody in particular gets who looks into the memory of a process."""
    command = ["cat", f"/proc/{pid}/environ"]
    return subprocess.run(command, user=NOBODY, group=NOBODY, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("cores", [1, 2])
def test_there_are_as_many_workers_as_cores_that_may_be_used(cores, sink, tmp_path):
    own = sorted(os.sched_getaffinity(0))
    if len(own) < cores:
        pytest.skip(f"this machine has no {cores} cores")
    only = started_by(preexec_fn=lambda: os.sched_setaffinity(0, own[:cores]))
    with only(sink.url, tmp_path) as proxy:
        assert proxy.metric("expurgate_worker_threads") == cores


def requests(log):
    return [line for line in log.splitlines() if '"target":"expurgate::access"' in line]


@pytest.mark.timeout(120)
def test_who_reads_no_log_stops_nobody(sink, tmp_path):
    """A pipe holds 64 KiB, and the proxy some thousand lines: more than both are written,
    each request is answered, what is lost is counted, and the rest is there to be read."""
    read, write = os.pipe()
    count = 8000
    stuck = started_by(stdout=subprocess.DEVNULL, stderr=write)
    with stuck(sink.url, tmp_path, environment={"EXPURGATE_LOG_FORMAT": "json"}) as proxy:
        os.close(write)
        with wire.connection(proxy.address) as sock:
            for _ in range(count):
                sock.sendall(wire.head("GET", "/"))
                assert wire.receive(sock, "GET").status == 200
        dropped = proxy.metric("expurgate_log_lines_dropped_total")
        assert 0 < dropped < count
        assert os.read(read, 1 << 20)
    rest = b""
    while piece := os.read(read, 1 << 20):
        rest += piece
    os.close(read)
    # Every line is whole.
    assert all(json.loads(line)["level"] for line in rest.split(b"\n")[1:-1])


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_log_of_every_level_has_no_payload(form, sink, tmp_path):
    secret = "hygiene@canary-corp.example"
    environment = {"EXPURGATE_LOG_FORMAT": form, "EXPURGATE_LOG_LEVEL": "trace"}
    with Proxy(sink.url, tmp_path, environment=environment) as proxy:
        # Looked for when the proxy ends.
        proxy.planted |= {secret, "hygiene%40canary-corp.example"}
        body = json.dumps({"to": secret}).encode()
        for target in ("/", f"/?to={secret}", f"/{secret}"):
            assert wire.post(proxy.address, body, target=target, Referer=f"http://a/{secret}").status == 200
        wire.post(proxy.address, body, Content_Encoding="gzip")
        wire.post(proxy.address, body[:-9], Content_Type=f"text/{secret}")
    lines = proxy.log().splitlines()
    assert len(lines) > 5
    for line in lines if form == "json" else []:
        assert json.loads(line)["level"]
