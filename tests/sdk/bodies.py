"""Bodies of any length that are never held: what is sent, and what has to arrive.

A body is some blocks that take turns, of uneven sizes, so that nothing lies at a
round offset. They are more than the largest window of brotli, 16 MiB: what comes
again within it compresses as a bomb does.
"""

import hashlib
import itertools
import json
import random
import struct
import uuid
import zlib

import brotli
import zstandard

BLOCK = 1 << 20
KINDS = 17
# In every planted value, and in nothing else.
MARK = b"@canary-corp.example"
LABEL = b"[EMAIL_ADDRESS]"


class Watching:
    """A body that is not kept: decoded, hashed, counted and searched as it comes."""

    def __init__(self, decode=bytes):
        self.length = 0
        self.sha256 = hashlib.sha256()
        # What the digest says already; but a leak is to be told from damage.
        self.marks = Count(MARK)
        self._decode = decode

    def feed(self, view):
        data = self._decode(bytes(view))
        self.length += len(data)
        self.sha256.update(data)
        self.marks.feed(data)

    def assert_equals(self, other):
        assert self.marks.total == 0
        assert self.length == other.length
        assert self.sha256.digest() == other.sha256.digest(), "changed outside of the findings"


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


class Body:
    """`opening`, blocks of `kinds` (before and after redaction) until `total` bytes
    are reached, `closing`."""

    def __init__(self, opening, kinds, closing, total):
        self._opening, self._kinds, self._closing, self._total = opening, kinds, closing, total
        assert all(MARK not in after and after.count(LABEL) > 100 for _, after in kinds)
        self.expected = Watching()
        for _, after in self._pairs():
            self.expected.feed(after)

    def blocks(self):
        return (before for before, _ in self._pairs())

    def _pairs(self):
        yield self._opening, self._opening
        length = 1
        for before, after in itertools.cycle(self._kinds):
            if length >= self._total:
                break
            yield before, after
            length += len(before)
        yield self._closing, self._closing


def array(total):
    """A trace export: an array of spans."""
    rng = random.Random(20)
    return Body(b"[", _kinds(_spans, rng), b"null]", total)


def string(total):
    """A document whose only member of note is one string."""
    rng = random.Random(21)
    opening = b'{"id": "0192ead0-66b4-77b2-8f3e-5d0c7a9b1e24", "text": "'
    return Body(opening, _kinds(_prose, rng), b'"}', total)


def _kinds(new, rng):
    return [new(rng, BLOCK + rng.randrange(65536)) for _ in range(KINDS)]


def _spans(rng, size):
    """Realistic spans, with an e-mail address in one of eight, each ended by a comma."""
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


def _prose(rng, size):
    """Sentences as they stand within a JSON string, with an address in one of eight."""
    before, after = [], []
    length = 0
    while length < size:
        words = rng.choices(["the", "agent", "read", "the next page", "of", "a list,", "on 2026-11-21", "and"], k=40)
        sentence = " ".join(words) + f' found "{rng.randbytes(8).hex()}" (größe) in C:\\logs.\n'
        written = json.dumps(sentence, ensure_ascii=rng.randrange(2) == 0)[1:-1].encode()
        user = b"user%d" % rng.randrange(10**6) if rng.randrange(8) == 0 else b""
        before.append(written + (user + MARK + b" " if user else b""))
        after.append(written + (LABEL + b" " if user else b""))
        length += len(before[-1])
    return b"".join(before), b"".join(after)


def deflated(blocks, wbits):
    """One stream of gzip (31), zlib (15) or raw deflate (-15). Blocks that come
    again are compressed once: each ends so that the next depends on nothing of it."""
    known = {}
    checksum = {31: zlib.crc32, 15: zlib.adler32}.get(wbits, lambda data, value: value)
    value, length = int(wbits == 15), 0
    yield {31: b"\x1f\x8b\x08\0\0\0\0\0\0\xff", 15: b"\x78\x9c", -15: b""}[wbits]
    for block in blocks:
        if block not in known:
            compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
            known[block] = compressor.compress(block) + compressor.flush(zlib.Z_FULL_FLUSH)
        value, length = checksum(block, value), length + len(block)
        yield known[block]
    # An empty last block.
    yield b"\x03\0"
    yield {31: struct.pack("<II", value, length & 0xFFFFFFFF), 15: struct.pack(">I", value), -15: b""}[wbits]


def zstd(blocks):
    # The largest window that is allowed.
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=23, write_checksum=1)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    yield from map(compressor.compress, blocks)
    yield compressor.flush()


def br(blocks):
    # The largest window that there is.
    compressor = brotli.Compressor(quality=3, lgwin=24)
    yield from map(compressor.process, blocks)
    yield compressor.finish()


# By kind: the Content-Encoding, from blocks to pieces of it, and what a new decoder
# makes of pieces.
CODINGS = {
    "gzip": ("gzip", lambda blocks: deflated(blocks, 31), lambda: zlib.decompressobj(31).decompress),
    "zlib": ("deflate", lambda blocks: deflated(blocks, 15), lambda: zlib.decompressobj(15).decompress),
    "raw deflate": ("deflate", lambda blocks: deflated(blocks, -15), lambda: zlib.decompressobj(-15).decompress),
    "zstd": ("zstd", zstd, lambda: zstandard.ZstdDecompressor().decompressobj().decompress),
    "br": ("br", br, lambda: brotli.Decompressor().process),
}
