"""The processes of the comparison: nginx as sink and as pass-through, the
proxy with and without rules, a sink for large bodies. Each is pinned to a core
and ended by its process id."""

import contextlib
import http.client
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

ECHO_MODULE = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
TICKS = os.sysconf("SC_CLK_TCK")
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"

NGINX = """
daemon off;
# One process, so that one pid carries all its CPU time.
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log error;
{modules}
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_max_body_size 0;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {http}
}}
"""
# `return 200` would answer before it has read the body; echo reads all first.
SINK = """
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        client_body_buffer_size 256k;
        location / {{
            default_type application/json;
            echo_read_request_body;
            echo '{{}}';
        }}
    }}
"""
PASS_THROUGH = """
    upstream sink {{
        server {upstream};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://sink;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
        }}
    }}
"""
WITHOUT_RULES = "[rules]\nbuiltin = false\n"


class Server:
    """A running process that listens on `port`."""

    def __init__(self, name, command, core, port, log, environment=None):
        self.name, self.port, self._log = name, port, log
        with log.open("wb") as out:
            # taskset replaces itself by the command: the pid is the server's.
            self._process = subprocess.Popen(
                ["taskset", "--cpu-list", str(core), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, "PATH": PATH, **(environment or {})},
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def wait_until_listening(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self
            time.sleep(0.02)  # the interval of a poll with a deadline
        raise SystemExit(f"{self.name} did not start:\n{self._log.read_text(errors='replace')}")

    @property
    def pid(self):
        return self._process.pid

    def cpu_seconds(self):
        """User and system time of the process, all threads."""
        stat = Path(f"/proc/{self.pid}/stat").read_text()
        # The name in parentheses may hold spaces.
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident_bytes(self):
        """Anonymous memory: what is mapped of files is shared and not theirs."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("RssAnon:"))
        return int(line.split()[1]) * 1024


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def nginx(name, http, folder, core, modules=""):
    """`http` is a template with {port}."""
    port = free_port()
    folder = folder / f"{name}-{port}".replace(" ", "-")
    folder.mkdir()
    # As root, nginx would hand its temporary folders to another user.
    if os.geteuid() == 0:
        modules = f"user root;\n{modules}"
    path = folder / "nginx.conf"
    path.write_text(NGINX.format(folder=folder, modules=modules, http=http(port)))
    return Server(name, ["nginx", "-e", str(folder / "error.log"), "-c", str(path)], core, port, folder / "log")


def nginx_sink(folder, core):
    if not ECHO_MODULE.exists():
        raise SystemExit("nginx's echo module is missing: scripts/setup bench")
    http = lambda port: SINK.format(port=port)
    return nginx("sink", http, folder, core, f"load_module {ECHO_MODULE};")


def nginx_pass_through(upstream, folder, core):
    http = lambda port: PASS_THROUGH.format(port=port, upstream=f"127.0.0.1:{upstream}")
    return nginx("nginx", http, folder, core)


def expurgate(name, binary, upstream, folder, core, config="", tool=()):
    """`tool` is a command that starts it."""
    port, admin = free_port(), free_port()
    command = [*tool, str(binary), "run", "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"]
    command += ["--upstream", f"http://127.0.0.1:{upstream}"]
    if config:
        path = folder / f"expurgate-{port}.toml"
        path.write_text(config)
        command += ["--config", str(path)]
    # A line per request would be measured too; nginx's access log is off.
    environment = {"EXPURGATE_LOG": "warn"}
    return Server(name, command, core, port, folder / f"expurgate-{port}.log", environment)


class LargeSink:
    """Reads a body by its framing, keeps nothing, answers with its length.
    In this process: it must only be faster than what it measures."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError, ValueError), connection:
            stream = connection.makefile("rb", buffering=1 << 18)
            block = memoryview(bytearray(1 << 20))
            while headers := self._headers(stream):
                length = 0
                if b"transfer-encoding" in headers:
                    while size := int(stream.readline().split(b";")[0], 16):
                        length += self._skip(stream, block, size)
                        stream.readline()
                    stream.readline()
                else:
                    length = self._skip(stream, block, int(headers.get(b"content-length", 0)))
                answer = str(length).encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))

    @staticmethod
    def _headers(stream):
        headers = {}
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        return headers

    @staticmethod
    def _skip(stream, block, size):
        left = size
        while left:
            count = stream.readinto(block[: min(left, len(block))])
            if not count:
                raise ValueError("cut")
            left -= count
        return size


def assert_reads_the_body(port):
    """The sink answers only once the whole body is there."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"a" * 99_999)
        client.settimeout(0.3)
        try:
            early = client.recv(1)
        except TimeoutError:
            early = None
        if early is not None:
            raise SystemExit("the sink answers before it has read the body")
        client.settimeout(5)
        client.sendall(b"a")
        response = http.client.HTTPResponse(client)
        response.begin()
        if response.status != 200 or response.read() != b"{}\n":
            raise SystemExit("the sink does not answer as it should")
