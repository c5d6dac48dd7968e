"""Clients that give up in the middle of a body leave nothing behind: no memory,
no connection, no place among the requests in flight."""

import gzip
import json
import random
import socket
import struct

import pytest

import wire
from proxy import Proxy
from sink import Sink

# Bodies over this stream, so that a client can give up in the middle of one
# that the upstream has seen a part of.
CONFIG = '[limits]\nbuffer_limit = "16KiB"\n'
ROUND = 1000
ROUNDS = 4
# At most so many are in flight together: memory is to tell of leaks, not of load.
AT_ONCE = 10
# What an allocator may keep; a leak of one KiB by each request is more.
SLACK = 3 << 20
ADDRESS = "given-up@canary-corp.example"
SENT = 40 << 10
# None of the bodies gets as long.
DECLARED = 1 << 20


def sized(data):
    return wire.head("POST", "/", Content_Type="application/json", Content_Length=DECLARED) + data


def chunk(data):
    head = wire.head("POST", "/", Content_Type="application/json", Transfer_Encoding="chunked")
    return head + wire.chunked([data])[: -len(b"0\r\n\r\n")]


def requests():
    """Beginnings of requests, each with something open where it is cut."""
    rng = random.Random(3)
    words = " ".join(rng.choice(["trace", "span", "the", ADDRESS, "run"]) for _ in range(SENT // 8))
    document = json.dumps([words, {"note": f"a\n{ADDRESS}"}]).encode()[:SENT]
    noise = rng.randbytes(SENT).hex().encode()
    zipped = gzip.compress(b'["' + noise)
    small = wire.head("POST", "/", Content_Type="application/json", Content_Length=9000) + document[:8000]
    return [
        # Waits for the rest in the buffer.
        small,
        sized(document),
        chunk(document),
        # Held back: an address may go on, or begin, here.
        chunk(document[:20000] + b'", "given-up@canary-corp.exam'),
        # In the middle of what is swallowed as it streams by.
        sized(b'{"password": "' + noise),
        chunk(b'"-----BEGIN PRIVATE KEY-----\\n' + noise),
        # In the middle of escapes, and of one.
        chunk(b'["' + rb"\u0040\\\u00" * (SENT // 12)),
        wire.head("POST", "/", Content_Type="application/json", Content_Encoding="gzip", Content_Length=DECLARED)
        + zipped[:-100],
        # Not even a whole head, nor a whole chunk.
        small[:40],
        chunk(document)[:-700],
    ]


def give_up(proxy, beginnings, count):
    for number in range(count):
        with wire.connection(proxy.address) as sock:
            sock.sendall(beginnings[number % len(beginnings)])
            if number % 3 == 0:
                # A reset instead of an end.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if number % AT_ONCE == 0:
            proxy.assert_metric("expurgate_inflight_requests", 0)


@pytest.mark.timeout(300)
def test_thousands_of_requests_given_up_in_the_middle_leave_nothing_behind(tmp_path, report):
    beginnings = requests()
    with Sink(new_body=Uncollected) as sink, Proxy(sink.url, tmp_path, CONFIG) as proxy:
        resident = []
        for _ in range(ROUNDS):
            give_up(proxy, beginnings, ROUND)
            for gauge in ("inflight_requests", "buffered_bytes", "holdback_bytes", "listener_connections"):
                proxy.assert_metric(f"expurgate_{gauge}", 0)
            for state in ("connecting", "open"):
                proxy.assert_metric("expurgate_upstream_connections", 0, state=state)
            resident.append(proxy.resident_memory())
            sink.forget()
        report(
            f"{ROUND * ROUNDS} requests given up",
            ["MiB resident after each round: " + ", ".join(f"{each / 2**20:.1f}" for each in resident)],
        )
        # The first round warms up: threads, their buffers, the allocator.
        assert resident[-1] - resident[0] < SLACK, resident
        # They did what they are here for, and the proxy serves others.
        assert proxy.metric("expurgate_failures_total", reason="incomplete_body") > ROUND * ROUNDS / 2
        assert wire.post(proxy.address, json.dumps({"from": ADDRESS}).encode()).status == 200
        proxy.planted.add(ADDRESS)


class Uncollected:
    """A body that is not kept."""

    def feed(self, view):
        pass
