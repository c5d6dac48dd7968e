"""Compressed bodies: large ones stream in little memory whatever window they
ask for, bombs are refused in little memory and time."""

import time

import pytest

import bodies
import wire
from bodies import BLOCK, CODINGS
from proxy import Proxy
from sink import Sink
from test_stream import MEMORY_LIMIT

TOTAL = 96 << 20
BOMB = 512 << 20
BOMB_SECONDS = 5


@pytest.fixture(scope="module")
def body():
    return bodies.array(TOTAL)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", CODINGS)
def test_a_large_compressed_body_streams_in_little_memory(kind, body, tmp_path, report):
    name, encode, new_decode = CODINGS[kind]
    sent = b"".join(encode(body.blocks()))
    with Sink(new_body=lambda: bodies.Watching(new_decode())) as sink, Proxy(sink.url, tmp_path) as proxy:
        started = time.monotonic()
        response = wire.post(proxy.address, sent, Content_Encoding=name)
        seconds = time.monotonic() - started
        report(
            f"{kind}, {len(sent) >> 10} KiB for {TOTAL >> 20} MiB",
            [f"{TOTAL / seconds / 1e6:.0f} MB/s, {proxy.peak_memory() / 2**20:.1f} MiB resident at most"],
        )
        assert response.status == 200
        (request,) = sink.requests
        assert request.clean
        request.body.assert_equals(body.expected)
        assert proxy.peak_memory() < MEMORY_LIMIT
        proxy.planted.add(bodies.MARK.decode())


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", CODINGS)
def test_a_bomb_is_refused_in_little_memory_and_time(kind, tmp_path, report):
    name, encode, _ = CODINGS[kind]
    zeros, spaces = (b"".join(encode([byte * BLOCK] * (BOMB // BLOCK))) for byte in (b"\0", b" "))
    with Sink() as sink, Proxy(sink.url, tmp_path) as proxy:
        started = time.monotonic()
        response = wire.post(proxy.address, spaces, Content_Encoding=name)
        seconds = time.monotonic() - started
        report(
            f"{kind}, a bomb of {len(spaces)} bytes",
            [f"{seconds * 1000:.0f} ms, {proxy.peak_memory() / 2**20:.1f} MiB resident at most"],
        )
        assert (response.status, response.error()["code"]) == (413, "decoded_body_too_large")
        # No text either, which is seen first.
        assert wire.post(proxy.address, zeros, Content_Encoding=name).status in (413, 415)
        assert not any(request.clean for request in sink.requests)
        assert seconds < BOMB_SECONDS
        assert proxy.peak_memory() < MEMORY_LIMIT
