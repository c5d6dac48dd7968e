"""Memory of many slow uploads at once, and of many idle connections.

The uploads are cut off after a while: at 1 MB/s in all they would take hours, and
what a process holds of each is reached within seconds. What the kernel holds in the
sockets' buffers is not the process's and is not counted.
"""

import asyncio
import contextlib
import resource
import socket
import struct
import tempfile
import time

import client
import load
import payload
import proxy as proxy_module
from claim import Claim
from proxy import Proxy
from upstream import Upstream

MIB = 1 << 20
UPLOAD_LIMIT = 96 * MIB
# More than before, once all have gone.
RETURNED = 24 * MIB
IDLE_LIMIT = 20_000
LENGTH = 100_000_000
RATE = 1_000_000
# What must have come to the upstream of an upload for it to count as one that streams.
BEGUN = 1_000


def measure(count=200, seconds=60, connections=5000):
    return [uploads(count, seconds), idle(connections)]


def uploads(count, seconds):
    _allow(3 * count)
    return asyncio.run(_uploads(count, seconds))


def idle(count):
    _allow(3 * count)
    return asyncio.run(_idle(count))


def _allow(files):
    """So many file descriptors and some more, to this process and to the proxy."""
    files += 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        raise SystemExit(f"needs {files} file descriptors, {hard} are allowed: ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, files), hard))


class SlowSink:
    """Reads `rate` bytes a second of all connections together, in small pieces."""

    def __init__(self):
        self.read_by_connection, self.rate, self._next = [], RATE, time.monotonic()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096, limit=4096)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    def begun(self):
        return sum(each >= BEGUN for each in self.read_by_connection)

    async def _serve(self, reader, writer):
        place = len(self.read_by_connection)
        self.read_by_connection.append(0)
        with contextlib.suppress(OSError, asyncio.CancelledError), contextlib.closing(writer):
            while data := await reader.read(5_000):
                self.read_by_connection[place] += len(data)
                # Whoever reads takes the next moment at which somebody may.
                now = time.monotonic()
                self._next = max(self._next, now) + len(data) / self.rate
                await asyncio.sleep(self._next - now)


async def _upload(address, number, block, sent):
    """As much of an upload as is taken. Half of them say their length."""
    chunked = number % 2
    piece = b"%x\r\n%b\r\n" % (len(block), block) if chunked else block
    reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
    try:
        start = client.head(number, length=None if chunked else LENGTH)
        writer.write(start + (b"1\r\n[\r\n" if chunked else b"["))
        for _ in range(LENGTH // len(block)):
            writer.write(piece)
            await writer.drain()
            sent[number] = sent.get(number, 0) + len(block)
        await reader.read()
    except OSError:
        pass
    finally:
        # Closed, it would wait until all that it and the kernel hold is taken.
        linger = struct.pack("ii", 1, 0)
        with contextlib.suppress(OSError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()


async def _uploads(count, seconds):
    block = payload.bodies(64_000, 1)[0].encode() + b","
    with tempfile.TemporaryDirectory(prefix="expurgate-memory-") as folder:
        async with SlowSink() as sink:
            with Proxy(sink.url, folder, environment={"EXPURGATE_LOG": "warn"}) as proxy:
                await asyncio.sleep(0.5)
                before = proxy.resident_memory()
                sent = {}
                clients = [asyncio.ensure_future(_upload(proxy.address, each, block, sent)) for each in range(count)]
                await asyncio.sleep(seconds)
                await _until_all_have_begun(sink, count)
                peak = proxy.peak_memory()
                inflight = await asyncio.to_thread(proxy.metric, "expurgate_inflight_requests")
                begun = sink.begun()
                arrived = sum(sink.read_by_connection)
                for each in clients:
                    each.cancel()
                await asyncio.gather(*clients, return_exceptions=True)
                # Resets are seen once there is room for what came before.
                sink.rate = 1e9
                gone = await _until_none_is_left(proxy)
                after = await _until_given_back(proxy, before + RETURNED)
    return Claim(
        f"{count} uploads of 100 MB at once to an upstream that reads 1 MB/s in all, for {seconds} s: resident at most",
        f"< {UPLOAD_LIMIT // MIB} MiB, and less than {RETURNED // MIB} more than before when they have gone",
        f"{peak / MIB:.1f} MiB ({before / MIB:.1f} before, {after / MIB:.1f} when they had gone, {gone:.1f} s after their clients); "
        f"{inflight:.0f} in flight, {begun} had come through in part, {arrived / 1e6:.0f} MB in all, {sum(sent.values()) / 1e6:.0f} MB sent",
        peak < UPLOAD_LIMIT and inflight == count and begun == count and after < before + RETURNED,
    )


async def _until_all_have_begun(sink, count):
    """A busy machine takes longer to fill the buffers before."""
    end = time.monotonic() + 60
    while sink.begun() < count and time.monotonic() < end:
        await asyncio.sleep(0.05)  # the interval of a poll with a deadline


async def _until_given_back(proxy, enough):
    """What is resident once the process has looked whether it needs it all."""
    end = time.monotonic() + 30
    while proxy.resident_memory() > enough and time.monotonic() < end:
        await asyncio.sleep(0.2)  # the interval of a poll with a deadline
    return proxy.resident_memory()


async def _until_none_is_left(proxy):
    """How long that took."""
    started = time.monotonic()
    end = started + 60
    while await asyncio.to_thread(proxy.metric, "expurgate_inflight_requests") and time.monotonic() < end:
        await asyncio.sleep(0.05)  # the interval of a poll with a deadline
    return time.monotonic() - started


async def _idle(count):
    body = payload.bodies(1_000, 1)[0].encode()
    config = '[timeouts]\nkeep_alive = "10m"\n'
    with tempfile.TemporaryDirectory(prefix="expurgate-memory-") as folder:
        async with Upstream() as upstream:
            with Proxy(upstream.url, folder, config, {"EXPURGATE_LOG": "warn"}) as proxy:
                links = []

                async def connect(number):
                    link = client.Link(proxy.address)
                    answer = await link.ask([client.head(number, length=len(body)) + body])
                    if not answer.good:
                        raise SystemExit(f"a connection that was to idle got {answer.status}")
                    links.append(link)

                # Pools and caches are filled before.
                await asyncio.gather(*(connect(each) for each in range(100)))
                before = proxy_module.memory(proxy.pid, "RssAnon")
                for at in range(0, count, 50):
                    await asyncio.gather(*(connect(at + each) for each in range(min(50, count - at))))
                grown = proxy_module.memory(proxy.pid, "RssAnon") - before
                open_now = await asyncio.to_thread(proxy.metric, "expurgate_listener_connections")
                for link in links:
                    link.close()
    each = grown / count
    return Claim(
        f"{count:,} idle connections, each kept after a request: resident for each",
        f"< {IDLE_LIMIT / 1000:.0f} kB",
        f"{each / 1000:.1f} kB; {open_now:,.0f} open",
        each < IDLE_LIMIT and open_now == count + 100,
    )
