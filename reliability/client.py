"""A client that decides itself what it sends, when it stops, and that tells how
each of its requests ended."""

import asyncio
import contextlib
import socket
import struct
import time
from dataclasses import dataclass

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived
from h2.exceptions import ProtocolError

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


class Http2Link:
    """A connection of HTTP/2 that takes what [`Link`] takes, and says it in frames: the
    chunks of a body, or the segments of one with a length, are one or more each, and what
    is cut has no end. One stream at a time."""

    def __init__(self, address, patience=60):
        self._host, _, port = address.rpartition(":")
        self._port, self._patience = int(port), patience
        self._state = self._reader = self._writer = None

    async def open(self):
        opening = asyncio.open_connection(self._host, self._port)
        self._reader, self._writer = await asyncio.wait_for(opening, self._patience)
        self._state = H2Connection(H2Configuration(client_side=True, header_encoding=None, validate_outbound_headers=False))
        self._state.initiate_connection()
        await self._flush()

    def close(self):
        if self._writer is not None:
            self._writer.transport.abort()
        self._state = self._reader = self._writer = None

    async def ask(self, segments):
        started, answer = time.monotonic(), Answer(CLOSED)
        try:
            if self._writer is None:
                await self.open()
            await asyncio.wait_for(self._exchange(segments, answer), self._patience)
        except (asyncio.TimeoutError, TimeoutError):
            answer.status = LATE
        except ConnectionRefusedError:
            answer.status = REFUSED
        except (OSError, ProtocolError):
            if not isinstance(answer.status, int):
                answer.status = RESET
        answer.seconds = time.monotonic() - started
        if not answer.whole:
            self.close()
        return answer

    async def abandon(self, segments, reset):
        answer = Answer(CLOSED)
        try:
            if self._writer is None:
                await self.open()
            stream = self._state.get_next_available_stream_id()
            await asyncio.wait_for(self._send(stream, segments, answer), self._patience)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._receive(stream, answer), LOOK)
            if reset and not answer.whole:
                self._state.reset_stream(stream)
                await self._flush()
        except (OSError, asyncio.TimeoutError, ProtocolError):
            pass
        self.close()
        return answer

    async def _exchange(self, segments, answer):
        stream = self._state.get_next_available_stream_id()
        await self._send(stream, segments, answer)
        await self._receive(stream, answer)

    async def _send(self, stream, segments, answer):
        pauses = [each for each in segments if isinstance(each, (int, float))]
        head, _, body = b"".join(each for each in segments if isinstance(each, bytes)).partition(b"\r\n\r\n")
        if not body and not head.endswith(b"\r\n"):
            # Cut within: nobody says half a head in frames.
            return
        fields, length = _fields(head)
        pieces, trailers, ended = _pieces(body, length)
        self._state.send_headers(stream, fields, end_stream=ended and not pieces and not trailers)
        answer.sent = time.monotonic()
        await self._flush()
        for at, piece in enumerate(pieces):
            while piece and not answer.whole:
                room = min(self._state.local_flow_control_window(stream), self._state.max_outbound_frame_size)
                if not room:
                    await self._step(stream, answer)
                    continue
                piece, now = piece[room:], piece[:room]
                self._state.send_data(stream, now, end_stream=ended and not trailers and not piece and at + 1 == len(pieces))
                await self._flush()
            if pauses and at < 4:
                await asyncio.sleep(pauses[0])
        if trailers and not answer.whole:
            self._state.send_headers(stream, trailers, end_stream=True)
            await self._flush()

    async def _receive(self, stream, answer):
        while not answer.whole:
            await self._step(stream, answer)

    async def _step(self, stream, answer):
        """Takes what comes next."""
        data = await self._reader.read(BLOCK)
        if not data:
            raise ConnectionResetError
        for event in self._state.receive_data(data):
            if getattr(event, "stream_id", stream) != stream:
                continue
            if isinstance(event, (ResponseReceived, TrailersReceived)):
                lines = b"\r\n".join(b"%b: %b" % field for field in event.headers)
                answer.raw += lines + b"\r\n\r\n"
            if isinstance(event, ResponseReceived):
                answer.head, answer.status = lines, int(dict(event.headers)[b":status"])
            elif isinstance(event, DataReceived):
                answer.raw, answer.body = answer.raw + event.data, answer.body + event.data
                self._state.acknowledge_received_data(event.flow_controlled_length, stream)
            elif isinstance(event, StreamEnded):
                answer.whole = True
            elif isinstance(event, (StreamReset, ConnectionTerminated)):
                raise ConnectionResetError
        await self._flush()

    async def _flush(self):
        self._writer.write(self._state.data_to_send())
        await self._writer.drain()


def _fields(head):
    """The fields of HTTP/2 for a head of HTTP/1, and the length that it tells."""
    start, *lines = head.split(b"\r\n")
    method, target, _ = start.split(b" ")
    named = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines if line)]
    host = dict(named)[b"host"]
    fields = [(b":method", method), (b":scheme", b"http"), (b":authority", host), (b":path", target)]
    fields += [field for field in named if field[0] not in (b"host", b"transfer-encoding")]
    length = dict(named).get(b"content-length")
    return fields, None if length is None else int(length)


def _pieces(body, length):
    """What stands in chunks, or in the body; the trailers; and whether that is all."""
    if length is not None:
        return ([body] if body else []), [], len(body) >= length
    pieces = []
    while True:
        line, end, rest = body.partition(b"\r\n")
        size = int(line, 16) if end and line else None
        if size == 0:
            lines, end, _ = (b"\r\n" + rest).partition(b"\r\n\r\n")
            fields = (line.partition(b":") for line in lines.split(b"\r\n") if line)
            return pieces, [(name.lower(), value.strip()) for name, _, value in fields] if end else [], bool(end)
        if size is None or len(rest) < size + 2:
            return [*pieces, rest[:size]] if size and rest else pieces, [], False
        pieces.append(rest[:size])
        body = rest[size + 2 :]
