"""A client that decides itself what it sends, when it stops, and that tells how
each of its requests ended."""

import asyncio
import contextlib
import socket
import struct
import time
from dataclasses import dataclass

# How a request can end that got no answer.
CLOSED, RESET, REFUSED, LATE = "closed", "reset", "refused", "late"
BLOCK = 1 << 20
# How long one that goes away looks for an answer first.
LOOK = 0.02


@dataclass
class Answer:
    """`status` is a number, or one of the words above. `raw` is all that came."""

    status: object
    raw: bytes = b""
    head: bytes = b""
    body: bytes = b""
    # Whether the body came to the end that its framing announced.
    whole: bool = False
    seconds: float = 0.0
    # When the first bytes of the request were the kernel's.
    sent: float = float("inf")

    def header(self, name):
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == name.lower():
                return value.strip()
        return None

    @property
    def good(self):
        return self.status == 200 and self.whole


class Link:
    """One connection, kept for several requests."""

    def __init__(self, address, patience=60, tls=None):
        self._host, _, port = address.rpartition(":")
        self._port, self._patience, self._tls = int(port), patience, tls
        self._reader = self._writer = None

    @property
    def is_open(self):
        return self._writer is not None

    @property
    def socket(self):
        return self._writer.get_extra_info("socket")

    @property
    def peer_certificate(self):
        return self._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)

    async def open(self):
        named = {"server_hostname": "localhost"} if self._tls else {}
        opening = asyncio.open_connection(self._host, self._port, limit=1 << 22, ssl=self._tls, **named)
        self._reader, self._writer = await asyncio.wait_for(opening, self._patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self, reset=False):
        if self._writer is None:
            return
        # One that broke has no socket any more.
        if reset and not self._writer.transport.is_closing():
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()
        self._reader = self._writer = None

    async def ask(self, segments, method="POST"):
        """Sends these segments, a number among them being a pause in seconds, and
        waits for the answer. The connection is closed unless it may be used again."""
        started = time.monotonic()
        answer = Answer(CLOSED)
        try:
            if self._writer is None:
                await self.open()
            await asyncio.wait_for(self._exchange(segments, method, answer), self._patience)
        except (asyncio.TimeoutError, TimeoutError):
            answer.status = LATE
        except ConnectionRefusedError:
            answer.status = REFUSED
        except (ConnectionError, asyncio.IncompleteReadError, OSError) as error:
            if not isinstance(answer.status, int):
                answer.status = RESET if isinstance(error, ConnectionError) else CLOSED
        answer.seconds = time.monotonic() - started
        if not answer.whole or (answer.header(b"connection") or b"").lower() == b"close":
            self.close()
        return answer

    async def abandon(self, segments, reset):
        """Sends these segments and goes away; what had come by then."""
        answer = Answer(CLOSED)
        try:
            if self._writer is None:
                await self.open()
            await asyncio.wait_for(self._send(segments, answer), self._patience)
            answer.raw = await asyncio.wait_for(self._reader.read(BLOCK), LOOK)
        except (OSError, asyncio.TimeoutError):
            pass
        self.close(reset)
        return answer

    async def _exchange(self, segments, method, answer):
        sending = asyncio.ensure_future(self._send(segments, answer))
        try:
            await self._receive(method, answer)
            # An early answer: what was left to send is of no use to anybody.
            if not sending.done():
                answer.whole = False
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await sending

    async def _send(self, segments, answer):
        # Who reads the answer learns of an end that sending meets.
        with contextlib.suppress(ConnectionError):
            for segment in segments:
                if isinstance(segment, (int, float)):
                    await asyncio.sleep(segment)
                    continue
                self._writer.write(segment)
                answer.sent = min(answer.sent, time.monotonic())
                await self._writer.drain()

    async def _receive(self, method, answer):
        while True:
            head = await self._until(answer, b"\r\n\r\n")
            answer.head, answer.status = head, int(head.split(b" ", 2)[1])
            if answer.status >= 200:
                break
        if method == "HEAD" or answer.status in (204, 304):
            pass
        elif b"chunked" in (answer.header(b"transfer-encoding") or b""):
            while size := int((await self._until(answer, b"\r\n")).split(b";")[0], 16):
                answer.body += await self._exactly(answer, size)
                await self._exactly(answer, 2)
            while await self._until(answer, b"\r\n") != b"\r\n":
                pass
        else:
            answer.body = await self._exactly(answer, int(answer.header(b"content-length") or 0))
        answer.whole = True

    async def _until(self, answer, mark):
        return await self._read(answer, self._reader.readuntil(mark))

    async def _exactly(self, answer, count):
        return await self._read(answer, self._reader.readexactly(count))

    async def _read(self, answer, reading):
        try:
            data = await reading
        except asyncio.IncompleteReadError as cut:
            answer.raw += cut.partial
            raise
        answer.raw += data
        return data


def head(number, target="/v1/traces", headers=(), length=None, method="POST", media="application/json"):
    """A request's head. `length` is None for chunks."""
    lines = [f"{method} {target} HTTP/1.1", "Host: reliability.test", f"X-Number: {number}"]
    if media:
        lines.append(f"Content-Type: {media}")
    lines += [f"{name}: {value}" for name, value in headers]
    if length is not None:
        lines.append(f"Content-Length: {length}")
    elif method == "POST":
        lines.append("Transfer-Encoding: chunked")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
