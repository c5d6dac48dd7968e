"""An upstream on loopback that misbehaves as each request tells it to.

It speaks HTTP/1.1 with keep-alive, and HTTP/2 to who begins so, and counts the requests that it sees by their
number (`X-Number`), since a proxy must not send one twice. What a request wants
stands in its header `X-Upstream`, which the proxy forwards:

- `reset N`: a reset once N bytes of the body have come
- `close N`: an end of the connection then
- `stall`: no answer at all
- `wait N`: the answer comes after N ms
- `answer NAME`: the answer of that name; with `reset N` or `stall N` behind it
  only its first N bytes come, and then a reset or nothing

What has no such header may be answered by its path.
"""

import asyncio
import collections
import contextlib
import socket
import struct
from dataclasses import dataclass, field

from streams import PREFACE, Streams

BLOCK = 1 << 16
# What may be left of a connection when a run ends.
ENDS = (OSError, asyncio.IncompleteReadError, asyncio.CancelledError, asyncio.LimitOverrunError)
DEFAULT = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"

CLOSING = DEFAULT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


class GivenUp(Exception):
    """The request said that its connection ends here."""


@dataclass
class Seen:
    """A request as far as it came; `body` without the framing."""

    head: bytes
    headers: dict
    body: bytearray = field(default_factory=bytearray)
    length: int = 0
    whole: bool = False


class Upstream:
    """Use as an asynchronous context manager. With `keep` all that comes is kept; one
    that `closes` ends each connection with its first answer."""

    def __init__(self, keep=False, closes=False):
        self.keep, self._closes = keep, closes
        self.answers, self.by_path = {}, {}
        # By number: how often a request's head came, and how often all of it.
        self.heads, self.wholes = collections.Counter(), collections.Counter()
        # All bytes by connection, and all requests.
        self.raw, self.seen = [], []
        self.connections = self.sent = 0
        self._writers = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        # Those that were served see their ends.
        await asyncio.sleep(0)

    def forget(self):
        self.raw.clear()
        self.seen.clear()

    async def _serve(self, reader, writer):
        self.connections += 1
        self._writers.add(writer)
        raw = bytearray()
        if self.keep:
            self.raw.append(raw)
        try:
            with contextlib.suppress(*ENDS, GivenUp, ValueError):
                while await self._serve_one(_Recorded(reader, raw if self.keep else None), writer):
                    pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve_one(self, reader, writer):
        try:
            head = await reader.until(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        if head == PREFACE:
            await Streams(self, reader, writer).serve()
            return False
        seen = self.begun(head, _headers(head))
        wants = seen.headers.get(b"x-upstream", b"").decode().split()
        breaks_at = int(wants[1]) if wants[:1] in (["reset"], ["close"]) else None
        await self._body(reader, writer, seen, breaks_at, wants)
        self.ended(seen)
        return await self._answer(writer, seen, wants)

    def begun(self, head, headers):
        """A request's head has come."""
        seen = Seen(head, headers)
        if self.keep:
            self.seen.append(seen)
        self.heads[headers.get(b"x-number")] += 1
        return seen

    def took(self, seen, piece):
        """So much of its body has come."""
        seen.length += len(piece)
        if self.keep:
            seen.body += piece

    def ended(self, seen):
        """All of it has come."""
        seen.whole = True
        self.wholes[seen.headers.get(b"x-number")] += 1

    def answer_to(self, seen, wants):
        """What is answered, as bytes of HTTP/1.1."""
        if wants[:1] == ["answer"]:
            # Who asked may have gone.
            return self.answers.get(wants[1], DEFAULT)
        return self.by_path.get(seen.head.split(b" ", 2)[1], CLOSING if self._closes else DEFAULT)

    async def _body(self, reader, writer, seen, breaks_at, wants):
        async for piece in reader.body(seen.headers):
            self.took(seen, piece)
            if breaks_at is not None and seen.length >= breaks_at:
                _end(writer, wants[0])
        if breaks_at is not None:
            _end(writer, wants[0])

    async def _answer(self, writer, seen, wants):
        answer = self.answer_to(seen, wants)
        if wants[:1] == ["stall"]:
            await asyncio.sleep(3600)
        elif wants[:1] == ["wait"]:
            await asyncio.sleep(int(wants[1]) / 1000)
        elif len(wants) == 4:
            writer.write(answer[: int(wants[3])])
            await writer.drain()
            if wants[2] == "stall":
                await asyncio.sleep(3600)
            # What is still in the way would be lost with a reset.
            await asyncio.sleep(0.02)
            _end(writer, "reset")
        for at in range(0, len(answer), BLOCK):
            writer.write(answer[at : at + BLOCK])
            await writer.drain()
            self.sent += BLOCK
        return not self._closes


def _end(writer, how):
    if how == "reset":
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
    raise GivenUp


class _Recorded:
    """A reader that records what it read, and knows the framing of bodies."""

    def __init__(self, reader, raw):
        self._reader, self._raw = reader, raw

    def _keep(self, data):
        if self._raw is not None:
            self._raw += data
        return data

    async def until(self, mark):
        try:
            return self._keep(await self._reader.readuntil(mark))
        except asyncio.IncompleteReadError as cut:
            self._keep(cut.partial)
            raise

    async def some(self):
        return self._keep(await self._reader.read(BLOCK))

    async def body(self, headers):
        if b"chunked" in headers.get(b"transfer-encoding", b""):
            while size := int((await self.until(b"\r\n")).split(b";")[0], 16):
                async for piece in self._exactly(size):
                    yield piece
                await self.until(b"\r\n")
            while await self.until(b"\r\n") != b"\r\n":
                pass
        else:
            async for piece in self._exactly(int(headers.get(b"content-length", 0))):
                yield piece

    async def _exactly(self, left):
        while left:
            piece = self._keep(await self._reader.read(min(left, BLOCK)))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)
            yield piece


def _headers(head):
    lines = head.split(b"\r\n")[1:-2]
    return {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
