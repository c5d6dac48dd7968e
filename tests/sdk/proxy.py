"""Starts and ends the real binary, and asks its admin port."""

import http.client
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(
    os.environ.get("EXPURGATE_BIN")
    or Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target") / "release/expurgate"
)
START_SECONDS = 60
METRIC_SECONDS = 5
# Longer than the drain of an idle proxy may take.
END_SECONDS = 20


def free_ports(count):
    """Ports that nobody listens on now. Bound together, so that they differ."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def peak_memory(pid):
    """The most memory a process ever had resident, in bytes."""
    return memory(pid, "VmHWM")


def memory(pid, name):
    """A figure of a process that the kernel keeps in kB, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) * 1024


def ask_admin(port, path):
    """Status and body, as text, of a page of the admin port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


class Proxy:
    """`expurgate run` before `upstream`, with `config` (TOML) on top, which names
    the upstreams if that is None.

    On exit it is sent SIGTERM and must end with code 0, unless it was killed,
    with nothing of `planted` in its log.
    """

    def __init__(self, upstream, folder, config="", environment=None):
        listen, admin = free_ports(2)
        self.host, self.port, self.admin_port = "127.0.0.1", listen, admin
        self.address = f"127.0.0.1:{listen}"
        self.url = f"http://{self.address}"
        self.planted = set()
        self._log_path = Path(folder) / f"expurgate-{listen}.log"
        self._command = [str(BINARY), "run", "--listen", self.address]
        self._command += ["--upstream", upstream] if upstream else []
        self._command += ["--admin", f"127.0.0.1:{admin}"]
        if config:
            self.config = Path(folder) / f"expurgate-{listen}.toml"
            self.config.write_text(config)
            self._command += ["--config", str(self.config)]
        # Nothing of the developer's own settings may leak into a test.
        kept = {key: value for key, value in os.environ.items() if not key.startswith("EXPURGATE_")}
        # Nobody comes late to these tests.
        kept["EXPURGATE_TIMEOUTS_DRAIN_GRACE"] = "1ms"
        self._environment = kept | (environment or {})
        self._process = None
        self._asked_to_end = False
        self._exit_code = 0

    def __enter__(self):
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(self, kind, *_):
        self.terminate()
        try:
            code = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            code = "none: it did not end on SIGTERM"
        if kind is not None:
            return  # the test's own failure says more
        assert code == self._exit_code, f"exit code {code}; log:\n{self.log()[-4000:]}"
        self.assert_log_is_clean()

    def terminate(self):
        """Asks the process to drain and end; once, since a second signal may
        mean that nobody wants to wait."""
        if not self._asked_to_end and self._process.poll() is None:
            self._asked_to_end = True
            self._process.send_signal(signal.SIGTERM)

    def send_signal(self, number):
        self._process.send_signal(number)

    def kill(self, number=signal.SIGKILL):
        """Ends the process by a signal that it cannot handle; whether it left a core."""
        self._process.send_signal(number)
        told = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self._process.wait()
        self._asked_to_end, self._exit_code = True, -number
        return told.si_code == os.CLD_DUMPED

    def wait(self, seconds=END_SECONDS):
        """The exit code of a process that was told to end."""
        return self._process.wait(seconds)

    @property
    def pid(self):
        return self._process.pid

    def log(self):
        return self._log_path.read_text(errors="replace")

    def assert_log_is_clean(self):
        # A value may also be split over lines or be escaped: compare without.
        log = self.log()
        for text in self.planted:
            # The value itself must not be printed by a failing test either.
            assert text not in log, f"a planted value of {len(text)} characters is in the log"
        assert "panicked" not in log, log[-4000:]

    def admin(self, path):
        """Status, body as text."""
        return ask_admin(self.admin_port, path)

    def metrics(self):
        status, text = self.admin("/metrics")
        assert status == 200
        return text

    def metric(self, name, **labels):
        """The sum of all samples of `name` that carry these labels."""
        total = 0.0
        for line in self.metrics().splitlines():
            sample = re.fullmatch(r"([a-z_0-9]+)(?:\{(.*)\})? (\S+)", line)
            if not sample or sample[1] != name:
                continue
            found = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', sample[2] or ""))
            if all(found.get(key) == value for key, value in labels.items()):
                total += float(sample[3])
        return total

    def assert_metric(self, name, value, **labels):
        """Waits for the value: a request is counted when all of it is done,
        which may be just after its client has the answer."""
        end = time.monotonic() + METRIC_SECONDS
        while (found := self.metric(name, **labels)) != value and time.monotonic() < end:
            time.sleep(0.02)  # the interval of a poll with a deadline
        assert found == value, name

    def peak_memory(self):
        """The most memory the process ever had resident, in bytes."""
        return peak_memory(self.pid)

    def resident_memory(self):
        """The memory that the process has resident now, in bytes."""
        return memory(self.pid, "VmRSS")

    def _wait_until_ready(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise AssertionError(f"ended with {self._process.returncode} at the start:\n{self.log()}")
            try:
                if self.admin("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)  # the interval of a poll with a deadline
        raise AssertionError(f"not ready after {START_SECONDS} s:\n{self.log()}")
