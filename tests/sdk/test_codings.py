"""Compressed bodies: large ones stream in little memory whatever window they
ask for, bombs are refused in little memory and time."""

import hashlib
import random
import time
import zlib

import brotli
import pytest
import zstandard

import wire
from proxy import Proxy
from sink import Answer, Sink
from test_stream import BLOCK, LABEL, MARK, MEMORY_LIMIT, spans, turns

TOTAL = 128 << 20
BOMB = 512 << 20
BOMB_SECONDS = 5


def deflate(wbits):
    compressor = zlib.compressobj(6, zlib.DEFLATED, wbits)
    return compressor.compress, compressor.flush


def zstd():
    # The largest window that is allowed.
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=23)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressor.compress, compressor.flush


def br():
    # The largest window that there is.
    compressor = brotli.Compressor(quality=3, lgwin=24)
    return compressor.process, compressor.finish


def inflated(wbits):
    return lambda body: zlib.decompress(body, wbits)


CODINGS = {
    "gzip": ("gzip", lambda: deflate(31), inflated(31)),
    "zlib": ("deflate", lambda: deflate(15), inflated(15)),
    "raw deflate": ("deflate", lambda: deflate(-15), inflated(-15)),
    "zstd": ("zstd", zstd, lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body)),
    "br": ("br", br, brotli.decompress),
}


def encode(new, pieces):
    compress, finish = new()
    return b"".join(compress(piece) for piece in pieces) + finish()


@pytest.fixture(scope="module")
def blocks():
    """The blocks of a body, and what has to come of them."""
    rng = random.Random(5)
    kinds = [spans(rng, BLOCK + rng.randrange(65536)) for _ in range(12)]
    sent, expected = [b"["], hashlib.sha256(b"[")
    for before, after in turns(kinds, TOTAL):
        sent.append(before)
        expected.update(after)
    sent.append(b"null]")
    expected.update(b"null]")
    return sent, expected


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", CODINGS)
def test_a_large_compressed_body_streams_in_little_memory(kind, blocks, tmp_path, report):
    name, new, decode = CODINGS[kind]
    sent, expected = blocks
    body = encode(new, sent)
    with Sink(answer=lambda _: Answer()) as sink, Proxy(sink.url, tmp_path) as proxy:
        started = time.monotonic()
        response = wire.post(proxy.address, body, Content_Encoding=name)
        seconds = time.monotonic() - started
        report(
            f"{kind}, {len(body) >> 10} KiB for {TOTAL >> 20} MiB",
            [f"{TOTAL / seconds / 1e6:.0f} MB/s, {proxy.peak_memory() / 2**20:.1f} MiB resident at most"],
        )
        assert response.status == 200
        (request,) = sink.requests
        assert request.clean
        text = decode(bytes(request.body))
        assert MARK not in text and LABEL in text
        assert hashlib.sha256(text).digest() == expected.digest(), "changed outside of the findings"
        assert proxy.peak_memory() < MEMORY_LIMIT
        proxy.planted.add(MARK.decode())


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", CODINGS)
def test_a_bomb_is_refused_in_little_memory_and_time(kind, tmp_path, report):
    name, new, _ = CODINGS[kind]
    zeros, spaces = (encode(new, [byte * BLOCK] * (BOMB // BLOCK)) for byte in (b"\0", b" "))
    with Sink(answer=lambda _: Answer()) as sink, Proxy(sink.url, tmp_path) as proxy:
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
