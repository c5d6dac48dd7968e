"""A body of 1 GiB streams: redacted, byte-exact elsewhere, in little memory."""

import hashlib
import itertools
import json
import random
import uuid

import pytest

import wire
from proxy import Proxy
from sink import Answer, Sink

TOTAL = 1 << 30
MEMORY_LIMIT = 64 << 20
BLOCK = 1 << 20
# After this much the client stops until the sink has seen the first byte.
PAUSE = 64 << 20
# In every planted value, and in nothing else.
MARK = b"@canary-corp.example"
LABEL = b"[EMAIL_ADDRESS]"


class Watching:
    """A body that is not kept: hashed, counted and searched as it comes."""

    def __init__(self):
        self.length = 0
        self.sha256 = hashlib.sha256()
        self.labels = Count(LABEL)
        self.marks = Count(MARK)

    def feed(self, view):
        self.length += len(view)
        self.sha256.update(view)
        data = bytes(view)
        self.labels.feed(data)
        self.marks.feed(data)


class Count:
    """Counts a pattern over blocks, also across their borders."""

    def __init__(self, pattern):
        self.total = 0
        self._pattern = pattern
        # Shorter than the pattern, so nothing is counted twice.
        self._tail = b""

    def feed(self, data):
        size = len(self._pattern) - 1
        self.total += (self._tail + data[:size]).count(self._pattern) + data.count(self._pattern)
        self._tail = (self._tail + data[-size:])[-size:]


def turns(kinds, total):
    """The blocks, one after the other and over again, until a body with one byte
    before them is `total` bytes long."""
    length = 1
    for before, after in itertools.islice(itertools.cycle(kinds), 1, None):
        if length >= total:
            return
        yield before, after
        length += len(before)


def spans(rng, size):
    """One block of a trace export, before and after redaction: realistic
    spans, with an e-mail address in one of eight, each ended by a comma."""
    before, after = [], []
    length = 0
    while length < size:
        user = f"user{rng.randrange(10**6)}"
        mail = rng.randrange(8) == 0
        span = {
            "trace_id": rng.randbytes(16).hex(),
            "id": str(uuid.UUID(bytes=rng.randbytes(16), version=4)),
            "start_time": f"2026-11-21T07:{rng.randrange(60):02}:{rng.randrange(60):02}.{rng.randrange(10**6):06}Z",
            "name": rng.choice(["llm.chat", "tool.search", "retriever.query"]),
            "attributes": {
                "gen_ai.request.model": "gpt-4o-2024-08-06",
                "gen_ai.usage.input_tokens": rng.randrange(4000),
                "tool.arguments": json.dumps({"query": "open \"tickets\"\nof", "limit": rng.randrange(50)}),
                "message": "The build of step %d went well; see C:\\logs. \u00e9\u4e2d " % rng.randrange(100)
                + "Then the agent read the next page of the list and wrote it down. " * 4,
            },
        }
        if mail:
            span["attributes"]["note"] = f"reply to\n{user}{MARK.decode()} today"
        line = json.dumps(span, ensure_ascii=rng.randrange(2) == 0).encode() + b","
        before.append(line)
        after.append(line.replace(user.encode() + MARK, LABEL))
        length += len(line)
    return b"".join(before), b"".join(after)


@pytest.fixture(scope="module")
def body():
    """Blocks of the body in order, and what the sink has to get. A few blocks
    of uneven sizes take turns, so nothing lies at a round offset."""
    rng = random.Random(20)
    kinds = [spans(rng, BLOCK + rng.randrange(65536)) for _ in range(5)]
    sent, expected = [b"["], Watching()
    expected.feed(b"[")
    for before, after in turns(kinds, TOTAL):
        sent.append(before)
        expected.feed(after)
    sent.append(b"null]")
    expected.feed(b"null]")
    assert expected.marks.total == 0 and expected.labels.total > 100_000
    return sent, expected


@pytest.mark.timeout(600)
@pytest.mark.parametrize("framing", ["chunked", "length"])
def test_a_gibibyte_streams_redacted_in_little_memory(framing, body, tmp_path, report):
    sent, expected = body
    total = sum(map(len, sent))
    framed = {"chunked": dict(Transfer_Encoding="chunked"), "length": dict(Content_Length=total)}
    with Sink(answer=lambda _: Answer(), new_body=Watching) as sink, Proxy(sink.url, tmp_path) as proxy:
        with wire.connection(proxy.address) as sock:
            sock.sendall(wire.head("POST", "/v1/traces", Content_Type="application/json", **framed[framing]))
            written = 0
            for block in sent:
                sock.sendall(wire.chunked([block])[:-5] if framing == "chunked" else block)
                if written < PAUSE <= written + len(block):
                    assert sink.body_began.wait(60), "the upstream saw nothing while the body was sent"
                written += len(block)
            if framing == "chunked":
                sock.sendall(b"0\r\n\r\n")
            response = wire.receive(sock)
        (request,) = sink.requests
        got = request.body
        seconds = request.last_byte - request.first_byte
        report(
            f"1 GiB, {framing}",
            [f"{total / seconds / 1e6:.0f} MB/s, {proxy.peak_memory() / 2**20:.1f} MiB resident at most"],
        )
        assert response.status == 200
        assert request.clean
        assert got.marks.total == 0
        assert got.labels.total == expected.labels.total
        assert got.length == expected.length
        assert got.sha256.digest() == expected.sha256.digest(), "changed outside of the findings"
        assert proxy.peak_memory() < MEMORY_LIMIT
        # Findings in the log would be one line each at worst: the mark is enough.
        proxy.planted.add(MARK.decode())
