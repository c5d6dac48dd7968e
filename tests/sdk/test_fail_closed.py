"""Whatever goes wrong, nothing unredacted leaves: the answer is the one that
the table of failures names, and the sink finds no canary.

A body up to `buffer_limit` is refused before the upstream hears of it. A
larger one is cut off: the sink may see its redacted beginning, never its end.
"""

import gzip
import json
import random
import socket
import threading

import pytest

import wire
from proxy import Proxy, free_ports
from sink import Answer, Sink

EMAIL = "canary.victim@corp-mail.example"
AWS = "AKIAIOSFODNN7CANARY7"
CANARIES = (EMAIL, AWS)
TEXT = f"mail {EMAIL}, key {AWS}"
JSON = json.dumps({"messages": [{"content": TEXT}]}).encode()

LIMITS = """
[limits]
buffer_limit = "16KiB"
max_head = "16KiB"
max_body = "1MiB"
max_decoded = "2MiB"

[timeouts]
body_idle = "1s"
response_head = "1s"
"""
ABOVE_BUFFER = 64 * 1024
ABOVE_BODY = 1024 * 1024 + 1


def filler(size, seed=7):
    """JSON that gzip can't shrink much, with the canaries at both ends."""
    noise = random.Random(seed).randbytes(size // 2).hex()
    return json.dumps({"first": TEXT, "noise": noise, "last": TEXT}).encode()


@pytest.fixture(scope="module")
def proxy(sink, tmp_path_factory):
    with Proxy(sink.url, tmp_path_factory.mktemp("proxy"), config=LIMITS) as proxy:
        proxy.planted.update(CANARIES)
        yield proxy
        metrics = proxy.metrics()
        assert [len(text) for text in CANARIES if text in metrics] == []


@pytest.fixture(autouse=True)
def no_canary_reaches_the_sink(sink):
    yield
    assert [len(text) for text in CANARIES if text.encode() in sink.everything()] == []


def assert_refused(response, status, code):
    assert (response.status, response.error()["code"]) == (status, code)
    assert response.error()["request_id"] and response.error()["message"]
    for text in CANARIES:
        assert text.encode() not in response.body
        assert text not in str(response.headers)


def assert_cut_off(sink):
    """No request ended as if it were whole."""
    sink.wait_until_settled()
    sink.wait_for(lambda sink: all(request.over for request in sink.requests))
    assert [request.clean for request in sink.requests if request.clean] == []


REFUSED_BY_HEAD_OR_SHAPE = {
    "unknown coding": (dict(Content_Encoding="sdch"), JSON, 415, "unsupported_content_encoding"),
    "two codings": (
        dict(Content_Encoding="gzip, gzip"),
        gzip.compress(gzip.compress(JSON)),
        415,
        "unsupported_content_encoding",
    ),
    "two coding headers": (
        dict(Content_Encoding=["gzip", "gzip"]),
        gzip.compress(gzip.compress(JSON)),
        415,
        "unsupported_content_encoding",
    ),
    "bytes of an unknown type": (
        dict(Content_Type="application/octet-stream"),
        b"\xff\xfe\x80" + JSON,
        415,
        "unsupported_media_type",
    ),
    "bytes without a type": (dict(Content_Type=[]), b"\x80\x81" + JSON, 415, "unsupported_media_type"),
    "binary part": (
        dict(Content_Type="multipart/form-data; boundary=b"),
        b"--b\r\nContent-Type: image/png\r\n\r\n\x89PNG" + JSON + b"\r\n--b--\r\n",
        415,
        "unsupported_media_type",
    ),
    "multipart without a boundary": (
        dict(Content_Type="multipart/form-data"),
        b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\n" + JSON + b"\r\n--b--\r\n",
        400,
        "corrupt_framing",
    ),
    "JSON as MessagePack": (dict(Content_Type="application/msgpack"), JSON, 400, "corrupt_framing"),
    "JSON as protobuf": (dict(Content_Type="application/x-protobuf"), JSON, 400, "corrupt_framing"),
    "declared charset": (dict(Content_Type="application/json; charset=utf-16le"), JSON, 415, "unsupported_charset"),
    "latin-1": (dict(Content_Type="text/plain; charset=iso-8859-1"), JSON, 415, "unsupported_charset"),
    "utf-16 by shape": ({}, JSON.decode().encode("utf-16"), 415, "unsupported_charset"),
    "utf-16 without a mark": ({}, JSON.decode().encode("utf-16-be"), 415, "unsupported_charset"),
}


@pytest.mark.parametrize("case", REFUSED_BY_HEAD_OR_SHAPE)
def test_what_is_not_understood_is_refused_before_the_upstream_hears_of_it(case, proxy, sink):
    headers, body, status, code = REFUSED_BY_HEAD_OR_SHAPE[case]
    assert_refused(wire.post(proxy.address, body, **headers), status, code)
    assert sink.requests == []


def test_a_large_body_of_an_unknown_type_never_ends_cleanly_when_a_byte_is_not_utf8(proxy, sink):
    body = filler(4 * ABOVE_BUFFER) + b"\xff"
    response = wire.post(proxy.address, body, Content_Type="application/x-unknown")
    assert_refused(response, 415, "unsupported_media_type")
    assert_cut_off(sink)


def test_a_declared_length_over_the_limit_is_refused_without_the_body(proxy, sink):
    head = wire.head("POST", "/", Content_Type="application/json", Content_Length=ABOVE_BODY)
    assert_refused(wire.exchange(proxy.address, head), 413, "body_too_large")
    assert sink.requests == []


def test_a_client_that_sends_all_before_it_reads_still_gets_the_refusal(proxy, sink):
    assert_refused(wire.post(proxy.address, filler(ABOVE_BODY)), 413, "body_too_large")
    assert sink.requests == []


def test_a_chunked_body_over_the_limit_never_ends_cleanly(proxy, sink):
    head = wire.head("POST", "/", Content_Type="application/json", Transfer_Encoding="chunked")
    body = wire.chunked(wire.blocks(filler(ABOVE_BODY)))
    assert_refused(wire.exchange(proxy.address, head + body), 413, "body_too_large")
    assert_cut_off(sink)


@pytest.mark.parametrize("size", [4, 64], ids=["4 MiB", "64 MiB"])
def test_a_gzip_bomb_never_ends_cleanly(size, proxy, sink):
    bomb = gzip.compress(b'"' + b"a" * (size * 1024 * 1024) + b'"')
    assert_refused(wire.post(proxy.address, bomb, Content_Encoding="gzip"), 413, "decoded_body_too_large")
    assert_cut_off(sink)


def test_a_head_over_the_limit_is_refused(proxy, sink):
    response = wire.post(proxy.address, JSON, X_Long="a" * 20_000)
    assert response.status == 431
    assert sink.requests == []


def test_a_client_that_leaves_in_the_middle_of_a_small_body_leaves_no_trace(proxy, sink):
    with wire.connection(proxy.address) as sock:
        sock.sendall(wire.head("POST", "/left", Content_Type="application/json", Content_Length=len(JSON)))
        sock.sendall(JSON[:-1])
    assert wire.post(proxy.address, JSON, target="/after").status == 200
    assert [request.target for request in sink.requests] == ["/after"]


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_client_that_leaves_in_the_middle_of_a_large_body_cuts_the_upstream_off(framing, proxy, sink):
    body = filler(8 * ABOVE_BUFFER)
    if framing == "length":
        headers, part = dict(Content_Length=len(body)), body[: len(body) // 2]
    else:
        headers, part = dict(Transfer_Encoding="chunked"), wire.chunked([body])[: len(body) // 2]
    with wire.connection(proxy.address) as sock:
        sock.sendall(wire.head("POST", "/", Content_Type="application/json", **headers) + part)
        # Only once it streams is there something to cut off.
        assert sink.body_began.wait(10)
    assert_cut_off(sink)
    assert len(sink.requests) == 1


@pytest.mark.parametrize("size", [2048, ABOVE_BUFFER], ids=["small", "large"])
def test_a_client_that_stalls_is_cut_off(size, proxy, sink):
    body = filler(size)
    with wire.connection(proxy.address) as sock:
        sock.sendall(wire.head("POST", "/", Content_Type="application/json", Content_Length=len(body)))
        sock.sendall(body[:-1])
        assert_refused(wire.receive(sock), 408, "body_timeout")
    assert_cut_off(sink)


def test_an_upstream_that_does_not_answer_in_time_is_a_504(proxy, sink):
    release = threading.Event()
    sink.answer = lambda _: release.wait(30) and None
    try:
        assert_refused(wire.post(proxy.address, JSON), 504, "upstream_timeout")
    finally:
        release.set()
    assert len(sink.requests) == 1, "a request that may have had an effect is not repeated"


def test_an_upstream_that_hangs_up_is_a_502(proxy, sink):
    sink.answer = lambda _: None
    assert_refused(wire.post(proxy.address, JSON), 502, "upstream_broke")


def test_an_upstream_that_is_down_is_a_502(tmp_path):
    (closed,) = free_ports(1)
    with Proxy(f"http://127.0.0.1:{closed}", tmp_path) as proxy:
        proxy.planted.update(CANARIES)
        response = wire.post(proxy.address, JSON)
        assert_refused(response, 502, "upstream_unreachable")
        assert response.headers["Retry-After"]
        assert proxy.admin("/livez")[0] == 200


def test_an_answer_that_breaks_off_does_not_end_cleanly(proxy, sink):
    def breaks():
        yield b'{"half": '
        raise OSError("the upstream breaks off")

    sink.answer = lambda _: Answer(body=breaks())
    with pytest.raises((ConnectionError, OSError, wire.http.client.IncompleteRead)):
        wire.post(proxy.address, JSON)


@pytest.mark.parametrize("size", [512, 8 * ABOVE_BUFFER], ids=["small", "large"])
def test_a_blocked_entity_is_a_422_that_names_it_but_not_its_value(size, tmp_path):
    # The e-mail stands last, so that a large body is on its way by then.
    body = json.dumps({"noise": random.Random(1).randbytes(size).hex(), "last": EMAIL}).encode()
    with Sink() as sink:
        config = f'[[route]]\nupstream = "{sink.url}"\n[route.policy]\nEMAIL_ADDRESS = "block"\n'
        with Proxy(sink.url, tmp_path, config=config) as proxy:
            proxy.planted.update(CANARIES)
            response = wire.post(proxy.address, body)
            assert_refused(response, 422, "blocked")
            assert "EMAIL_ADDRESS" in response.error()["message"]
            assert_cut_off(sink)
        assert EMAIL.encode() not in sink.everything()
        if size == 512:
            assert sink.requests == []


def test_a_draining_proxy_finishes_what_it_has(tmp_path):
    with Sink() as sink, Proxy(sink.url, tmp_path) as proxy, wire.connection(proxy.address) as sock:
        proxy.planted.update(CANARIES)
        body = filler(8 * ABOVE_BUFFER)
        sock.sendall(wire.head("POST", "/large", Content_Type="application/json", Content_Length=len(body)))
        sock.sendall(body[: len(body) // 2])
        assert sink.body_began.wait(10)
        proxy.terminate()
        # New connections are refused once the drain has begun.
        wait_until_refused(proxy.address)
        sock.sendall(body[len(body) // 2 :])
        assert wire.receive(sock).status == 200
        assert [request.clean for request in sink.requests if request.target == "/large"] == [True]


def wait_until_refused(address):
    """Connecting until it fails, or is answered with a 503."""
    for _ in range(2000):
        try:
            if wire.post(address, b"{}", target="/probe").status == 503:
                return
        except (ConnectionError, socket.timeout):
            return
    raise AssertionError("a draining proxy still takes requests")


UNDERSTOOD = {
    "broken JSON": ({}, b'{"a": "' + TEXT.encode() + b'", "b": [1,'),
    "JSON without a type": (dict(Content_Type=[]), JSON),
    "JSON as text": (dict(Content_Type="text/plain"), JSON),
    "JSON of a vendor": (dict(Content_Type="application/vnd.acme+json"), JSON),
    "text of an unknown type": (dict(Content_Type="application/x-unknown"), TEXT.encode()),
    "NDJSON": (dict(Content_Type="application/x-ndjson"), JSON + b"\n" + JSON + b"\n"),
    "gzip of two members": (dict(Content_Encoding="gzip"), gzip.compress(JSON[:30]) + gzip.compress(JSON[30:])),
    "gzip in capitals": (dict(Content_Encoding="GZIP"), gzip.compress(JSON)),
}


@pytest.mark.parametrize("case", UNDERSTOOD)
def test_what_is_understood_arrives_redacted(case, proxy, sink):
    headers, body = UNDERSTOOD[case]
    assert wire.post(proxy.address, body, **headers).status == 200
    (request,) = sink.requests
    coding = request.header("Content-Encoding", "").lower()
    entity = gzip.decompress(request.body) if coding == "gzip" else bytes(request.body)
    assert entity.count(b"mail [EMAIL_ADDRESS]") == (2 if case == "NDJSON" else 1)
    assert [len(text) for text in CANARIES if text.encode() in entity] == []


def test_an_empty_body_and_a_request_without_one_pass(proxy, sink):
    assert wire.post(proxy.address, b"", target="/empty").status == 200
    assert wire.exchange(proxy.address, wire.head("GET", "/none"), method="GET").status == 200
    assert [request.target for request in sink.requests] == ["/empty", "/none"]
