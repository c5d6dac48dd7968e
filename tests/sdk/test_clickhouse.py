"""A real ClickHouse server behind the proxy takes inserts, and holds redacted rows.

It is Debian's package. Rows are sent as its HTTP clients send them: the query in
the URL, the rows in the body, and a media type that is missing or says something
else.
"""

import gzip
import http.client
import json
import shutil
import subprocess
import time
import urllib.parse
import uuid
import zlib

import pytest

import javascript
import wire
from proxy import Proxy, free_ports

SERVER = shutil.which("clickhouse-server", path="/usr/sbin:/usr/bin:/usr/local/bin")
START_SECONDS = 30
CONFIG = """<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>{http}</http_port>
  <tcp_port>{native}</tcp_port>
  <path>{folder}/data/</path>
  <tmp_path>{folder}/tmp/</tmp_path>
  <users_config>{folder}/config.xml</users_config>
  <mark_cache_size>16777216</mark_cache_size>
  <default_profile>default</default_profile>
  <default_database>default</default_database>
  <profiles><default>
    <output_format_json_quote_64bit_integers>0</output_format_json_quote_64bit_integers>
  </default></profiles>
  <quotas><default/></quotas>
  <users><default>
    <password>{password}</password>
    <networks><ip>127.0.0.1</ip></networks>
    <profile>default</profile><quota>default</quota>
  </default></users>
</yandex>
"""
# The server's own, which must arrive.
PASSWORD = "Own-Passw0rd-of-ClickHouse"
LOGIN = dict(X_ClickHouse_User="default", X_ClickHouse_Key=PASSWORD)

EMAIL = "canary.row@corp-mail.example"
PHONE = "+44 20 7946 0958"
AWS = "AKIAIOSFODNN7CANARY7"
PLANTED = (EMAIL, PHONE, AWS)
TABLE = """CREATE TABLE {name} (
    id UInt64, at DateTime, trace String, session UUID,
    prompt String, arguments String, tags Array(String), cost Float64
) ENGINE = Memory"""
ROWS = 2000

pytestmark = pytest.mark.skipif(not SERVER, reason="no clickhouse-server: scripts/setup test, if Debian has it")


class Server:
    """A ClickHouse server with its data in `folder`."""

    def __init__(self, folder):
        self.port, native = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "log"
        config = folder / "config.xml"
        config.write_text(CONFIG.format(http=self.port, native=native, folder=folder, password=PASSWORD))
        self._command = [SERVER, f"--config-file={config}"]

    def __enter__(self):
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise AssertionError(f"ClickHouse did not start:\n{self._log.read_text()[-4000:]}")
            time.sleep(0.05)  # the interval of a poll with a deadline
        return self

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_ready(self):
        try:
            return self._request("GET", "/ping") == "Ok.\n"
        except OSError:
            return False

    def query(self, text):
        """Asks the server itself, not by way of the proxy."""
        return self._request("POST", "/", text)

    def _request(self, method, target, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {name.replace("_", "-"): value for name, value in LOGIN.items()}
            connection.request(method, target, body, headers)
            response = connection.getresponse()
            text = response.read().decode()
            assert response.status == 200, text
            return text
        finally:
            connection.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(server, tmp_path_factory):
    with Proxy(server.url, tmp_path_factory.mktemp("proxy")) as proxy:
        proxy.planted.update((*PLANTED, PASSWORD))
        yield proxy


@pytest.fixture
def table(server):
    """The name of an empty table."""
    name = f"calls_{uuid.uuid4().hex}"
    server.query(TABLE.format(name=name))
    return name


def rows():
    """Rows as an application makes them, and as the table has to hold them."""
    sent, held = [], []
    for number in range(ROWS):
        row = {
            # Nanoseconds, a trace and a session: long numbers, and no findings.
            "id": 1_763_708_400_000_000_000 + number,
            "at": f"2026-11-21 07:{number // 60 % 60:02}:{number % 60:02}",
            "trace": uuid.uuid5(uuid.NAMESPACE_OID, str(number)).hex,
            "session": str(uuid.uuid5(uuid.NAMESPACE_URL, str(number))),
            "prompt": f"Ask {EMAIL} or {PHONE}.\nThe key is {AWS}\n",
            "arguments": json.dumps({"to": EMAIL, "rows": [{"limit": number, "text": f"a\t\"{EMAIL}\""}]}),
            "tags": ["prod", f"user:{EMAIL}", "größe"],
            "cost": number / 4,
        }
        sent.append(row)
        arguments = json.dumps(
            {"to": "[EMAIL_ADDRESS]", "rows": [{"limit": number, "text": 'a\t"[EMAIL_ADDRESS]"'}]}
        )
        held.append(
            row
            | {
                "prompt": "Ask [EMAIL_ADDRESS] or [PHONE_NUMBER].\nThe key is [AWS_ACCESS_KEY_ID]\n",
                "arguments": arguments,
                "tags": ["prod", "user:[EMAIL_ADDRESS]", "größe"],
            }
        )
    return sent, held


def ndjson(rows, **options):
    return b"".join(json.dumps(row, **options).encode() + b"\n" for row in rows)


def insert_into(name, **parameters):
    query = {"query": f"INSERT INTO {name} FORMAT JSONEachRow", **parameters}
    return "/?" + urllib.parse.urlencode(query)


def assert_holds(server, name, held):
    text = server.query(f"SELECT * FROM {name} ORDER BY id FORMAT JSONEachRow")
    found = [json.loads(line) for line in text.splitlines()]
    assert len(found) == len(held)
    for row, expected in zip(found, held):
        assert row == expected


CLIENTS = {
    # As `requests` and `http.client` send bytes.
    "without a media type": (dict(Content_Type=[]), bytes),
    # As `curl --data-binary` says of whatever it is given.
    "as a form": (dict(Content_Type="application/x-www-form-urlencoded"), bytes),
    "as text": (dict(Content_Type="text/plain; charset=UTF-8"), bytes),
    "as bytes": (dict(Content_Type="application/octet-stream"), bytes),
    "as JSON": (dict(Content_Type="application/json"), bytes),
    "as NDJSON": (dict(Content_Type="application/x-ndjson"), bytes),
    "gzip": (dict(Content_Type=[], Content_Encoding="gzip"), gzip.compress),
    "deflate": (dict(Content_Type="text/plain", Content_Encoding="deflate"), zlib.compress),
}


@pytest.mark.parametrize("ascii", [True, False], ids=["escaped", "raw"])
@pytest.mark.parametrize("client", CLIENTS)
def test_inserted_rows_are_held_redacted(client, ascii, server, proxy, table):
    headers, encode = CLIENTS[client]
    sent, held = rows()
    body = encode(ndjson(sent, ensure_ascii=ascii))
    response = wire.post(proxy.address, body, insert_into(table), **headers, **LOGIN)
    assert response.status == 200, response.body.decode()
    assert_holds(server, table, held)


def test_rows_that_are_made_while_they_are_sent_are_held_redacted(server, proxy, table):
    sent, held = rows()
    head = wire.head("POST", insert_into(table), Transfer_Encoding="chunked", **LOGIN)
    pieces = wire.scattered(ndjson(sent))
    response = wire.exchange(proxy.address, head + wire.chunked(pieces))
    assert response.status == 200, response.body.decode()
    assert_holds(server, table, held)


def test_a_query_that_stands_before_its_rows_in_the_body_works_too(server, proxy, table):
    sent, held = rows()
    body = f"INSERT INTO {table} FORMAT JSONEachRow\n".encode() + ndjson(sent)
    response = wire.post(proxy.address, body, "/", Content_Type=[], **LOGIN)
    assert response.status == 200, response.body.decode()
    assert_holds(server, table, held)


@javascript.needs_node
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_rows_of_the_servers_own_client_for_node_are_held_redacted(compressed, server, proxy, table):
    sent, held = rows()
    # Beyond what JavaScript holds as a number.
    sent = [row | {"id": str(row["id"])} for row in sent]
    login = dict(username="default", password=PASSWORD)
    told = javascript.run("clickhouse.mjs", url=proxy.url, table=table, rows=sent, compressed=compressed, **login)
    assert told == "done"
    assert_holds(server, table, held)


def test_an_error_of_the_server_reaches_the_client(proxy, table):
    response = wire.post(proxy.address, b'{"id": "no number"}\n', insert_into(table), Content_Type=[], **LOGIN)
    assert response.status >= 400
    assert b"DB::Exception" in response.body
