"""Resident memory for each of a thousand client connections, in three states:

- idle: kept after one request
- small body: 16 KB redacted and sent, the upstream has not answered
- streaming: half of a 1 MB body sent, the client pauses

What is told is the growth of the process's anonymous memory, divided by the
connections; each state is measured in a fresh process, warmed up by one request
of its kind. Sockets' buffers are the kernel's and not in it."""

import asyncio
import contextlib
import resource

import payload

CONNECTIONS = 1000
STATES = ("idle", "small body", "streaming")
# What must have reached the upstream of half a streaming body: the rest may be
# held back.
SENT, ARRIVED = 500_000, 400_000
PATIENCE = 120


def measure(start_server):
    """{state: KB per connection}. `start_server(port)` gives an unstarted server
    that forwards to `port`."""
    # A client's, an upstream's and their twins, and some more.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16 * CONNECTIONS), hard))
    return {state: asyncio.run(one_state(state, start_server)) for state in STATES}


async def one_state(state, start_server):
    sink = Sink(holds=state == "small body")
    listening = await asyncio.start_server(sink.serve, "127.0.0.1", 0, backlog=CONNECTIONS)
    async with contextlib.AsyncExitStack() as stack:
        stack.enter_context(contextlib.closing(listening))
        server = stack.enter_context(start_server(listening.sockets[0].getsockname()[1]))
        await asyncio.to_thread(server.wait_until_listening)
        clients = Clients(server.port, stack)
        await asyncio.wait_for(clients.reach(state, 1, sink), PATIENCE)
        before = server.resident_bytes()
        await asyncio.wait_for(clients.reach(state, CONNECTIONS, sink), PATIENCE)
        return (server.resident_bytes() - before) / CONNECTIONS / 1000


class Clients:
    """Connections that are all brought into one state."""

    def __init__(self, port, stack):
        self._port, self._stack = port, stack
        self._small = payload.bodies(16_000, 1)[0].encode()
        self._large = payload.bodies(SENT, 1)[0].encode()[:SENT]
        self._tiny = payload.bodies(1_000, 1)[0].encode()

    async def reach(self, state, count, sink):
        """`count` more connections."""
        known = sink.arrived
        for at in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._stack.callback(writer.close)
            if state == "idle":
                await self._send(writer, self._tiny, len(self._tiny))
                await reader.readuntil(b"\r\n\r\n{}")
                continue
            body, length = (self._small, len(self._small)) if state == "small body" else (self._large, 2 * SENT)
            await self._send(writer, body, length)
            # One after the other: a burst would measure the burst.
            await sink.wait_for(known + at + 1)

    @staticmethod
    async def _send(writer, body, length):
        head = "POST /v1/traces HTTP/1.1\r\nHost: load.test\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {length}\r\n\r\n".encode() + body)
        await writer.drain()


class Sink:
    """An upstream that counts the requests that have arrived: whole, or so much
    of them that what is left is the client's to send."""

    def __init__(self, holds):
        self._holds = holds
        self.arrived = 0
        self._changed = asyncio.Condition()

    async def wait_for(self, count):
        async with self._changed:
            await self._changed.wait_for(lambda: self.arrived >= count)

    async def serve(self, reader, writer):
        # Cancelled at the end of the measurement.
        ends = (OSError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*ends), contextlib.closing(writer):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if b"chunked" in head or b"content-length: 1000000\r\n" in head:
                    await self._count_stream(reader)
                    return
                length = int(head.partition(b"content-length:")[2].split()[0])
                await reader.readexactly(length)
                await self._arrive()
                if self._holds:
                    await reader.read()
                    return
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async def _count_stream(self, reader):
        left = ARRIVED
        while data := await reader.read(1 << 16):
            left -= len(data)
            if left <= 0 < left + len(data):
                await self._arrive()

    async def _arrive(self):
        async with self._changed:
            self.arrived += 1
            self._changed.notify_all()
