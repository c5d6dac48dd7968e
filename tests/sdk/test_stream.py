"""Bodies of 2 GiB, and strings of 200 MiB, stream: redacted, byte-exact elsewhere,
in little memory, plain and compressed.

`EXPURGATE_STREAM_MIB` sets the length of the former.
"""

import os

import pytest

import bodies
import wire
from proxy import Proxy
from sink import Sink

LONG = int(os.environ.get("EXPURGATE_STREAM_MIB") or 2048) << 20
STRING = 200 << 20
MEMORY_LIMIT = 64 << 20
# After this much the client stops until the sink has seen the first byte.
PAUSE = 64 << 20

LONG_BODIES = {
    "chunked": (bodies.array, LONG, None),
    "length": (bodies.array, LONG // 8, None),
    "gzip": (bodies.array, LONG, "gzip"),
}
STRINGS = {kind or "plain": (bodies.string, STRING, kind) for kind in (None, "gzip", "zstd", "br")}


@pytest.fixture(scope="module")
def body():
    """Makes a body, or gives the last one again: what it becomes takes seconds."""
    made = {}

    def make(shape, total):
        if (shape, total) not in made:
            made.clear()
            made[shape, total] = shape(total)
        return made[shape, total]

    return make


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", LONG_BODIES)
def test_a_long_body_streams_redacted_in_little_memory(case, body, tmp_path, report):
    shape, total, kind = LONG_BODIES[case]
    stream(body(shape, total), kind, case == "length", f"{total >> 20} MiB, {case}", tmp_path, report)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("case", STRINGS)
def test_a_long_string_streams_redacted_in_little_memory(case, body, tmp_path, report):
    shape, total, kind = STRINGS[case]
    stream(body(shape, total), kind, False, f"a string of {total >> 20} MiB, {case}", tmp_path, report)


def stream(body, kind, with_length, title, folder, report):
    """Sends the body and holds what the sink got against what it has to get."""
    coding, encode, new_decode = bodies.CODINGS[kind] if kind else (None, iter, lambda: bytes)
    headers = {"Content_Type": "application/json"} | ({"Content_Encoding": coding} if coding else {})
    if with_length:
        headers["Content_Length"] = sum(map(len, body.blocks()))
    else:
        headers["Transfer_Encoding"] = "chunked"
    with Sink(new_body=lambda: bodies.Watching(new_decode())) as sink, Proxy(sink.url, folder) as proxy:
        with wire.connection(proxy.address) as sock:
            sock.sendall(wire.head("POST", "/v1/traces", **headers))
            for piece in encode(pausing(body.blocks(), sink)):
                if piece:
                    sock.sendall(piece if with_length else wire.chunked([piece])[:-5])
            if not with_length:
                sock.sendall(b"0\r\n\r\n")
            response = wire.receive(sock)
        (request,) = sink.requests
        seconds = request.last_byte - request.first_byte
        speed, peak = body.expected.length / seconds / 1e6, proxy.peak_memory()
        report(title, [f"{speed:.0f} MB/s, {peak / 2**20:.1f} MiB resident at most"])
        assert response.status == 200
        assert request.clean and request.header("Content-Encoding") == coding
        request.body.assert_equals(body.expected)
        assert peak < MEMORY_LIMIT
        # Findings in the log would be one line each at worst: the mark is enough.
        proxy.planted.add(bodies.MARK.decode())


def pausing(blocks, sink):
    """The blocks; in their middle it waits until the sink has seen the first byte."""
    length = 0
    for block in blocks:
        if length < PAUSE <= length + len(block):
            assert sink.body_began.wait(60), "the upstream saw nothing while the body was sent"
        length += len(block)
        yield block
