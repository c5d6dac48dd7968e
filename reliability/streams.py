"""The same upstream over HTTP/2: what a request wants is done to its stream."""

import asyncio

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

# By which a client begins (RFC 9113, section 3.4), up to its first empty line.
PREFACE = b"PRI * HTTP/2.0\r\n\r\n"
GRPC = b"application/grpc"


class Streams:
    """A connection whose preface has come."""

    def __init__(self, upstream, reader, writer):
        self._upstream, self._reader, self._writer = upstream, reader, writer
        self._state = H2Connection(H2Configuration(client_side=False, header_encoding=None, validate_inbound_headers=False))
        self._open, self._tasks, self._moved = {}, set(), asyncio.Event()

    async def serve(self):
        """Until the client ends, or a request wants the connection to."""
        self._state.initiate_connection()
        self._state.receive_data(PREFACE)
        try:
            await self._flush()
            while data := await self._reader.some():
                for event in self._state.receive_data(data):
                    if isinstance(event, ConnectionTerminated) or not self._take(event):
                        return
                self._moved.set()
                await self._flush()
        except ProtocolError:
            pass
        finally:
            for task in self._tasks:
                task.cancel()

    def _take(self, event):
        """Whether the connection goes on."""
        stream = getattr(event, "stream_id", 0)
        if isinstance(event, RequestReceived):
            fields = dict(event.headers)
            start = fields[b":method"] + b" " + fields[b":path"] + b" HTTP/2"
            head = b"\r\n".join([start, *(b"%b: %b" % field for field in event.headers)])
            self._open[stream] = self._upstream.begun(head, fields)
        elif isinstance(event, StreamReset):
            self._open.pop(stream, None)
        elif isinstance(event, DataReceived):
            self._state.acknowledge_received_data(event.flow_controlled_length, stream)
            if stream in self._open:
                self._upstream.took(self._open[stream], event.data)
        elif not isinstance(event, StreamEnded):
            return True
        seen = self._open.get(stream)
        if seen is None:
            return True
        wants = seen.headers.get(b"x-upstream", b"").decode().split()
        ended = isinstance(event, StreamEnded)
        if wants[:1] in (["reset"], ["close"]) and (ended or seen.length >= int(wants[1])):
            del self._open[stream]
            if wants[0] == "close":
                return False
            self._state.reset_stream(stream)
        elif ended:
            self._upstream.ended(seen)
            task = asyncio.ensure_future(self._answer(stream, seen, wants))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return True

    async def _answer(self, stream, seen, wants):
        if wants[:1] == ["stall"]:
            return
        if wants[:1] == ["wait"]:
            await asyncio.sleep(int(wants[1]) / 1000)
        answer = self._upstream.answer_to(seen, wants)
        head, _, body = answer.partition(b"\r\n\r\n")
        start, *lines = head.split(b"\r\n")
        fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        if (b"transfer-encoding", b"chunked") in fields:
            body = b"".join(_chunks(body))
        is_call = seen.headers.get(b"content-type", b"").startswith(GRPC)
        fields = [field for field in fields if field[0] not in (b"transfer-encoding", b"connection")]
        if is_call and wants[:1] != ["answer"]:
            fields, body = [(b"content-type", GRPC)], b"\0\0\0\0\0"
        breaks = wants[2] if len(wants) == 4 else None
        if breaks:
            body = body[: max(0, int(wants[3]) - len(head))]
        try:
            self._state.send_headers(stream, [(b":status", start.split(b" ")[1]), *fields])
            await self._send(stream, body)
            if breaks == "stall":
                return
            if breaks:
                self._state.reset_stream(stream)
            elif is_call:
                self._state.send_headers(stream, [(b"grpc-status", b"0")], end_stream=True)
            else:
                self._state.end_stream(stream)
            await self._flush()
        except (OSError, ProtocolError, KeyError):
            # Who asked has gone.
            pass

    async def _send(self, stream, body):
        while body:
            room = min(self._state.local_flow_control_window(stream), self._state.max_outbound_frame_size)
            if not room:
                self._moved.clear()
                await self._flush()
                await self._moved.wait()
                continue
            now, body = body[:room], body[room:]
            self._state.send_data(stream, now)
            await self._flush()

    async def _flush(self):
        self._writer.write(self._state.data_to_send())
        await self._writer.drain()


def _chunks(body):
    while body:
        size, _, body = body.partition(b"\r\n")
        size = int(size, 16)
        yield body[:size]
        body = body[size + 2 :]
