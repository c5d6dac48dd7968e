"""Bad networks: relays on loopback that stall, cut and reset what goes through them,
and a network namespace in which packets and answers of the DNS get lost.

Each request carries a number that the upstream counts: none may come twice. Between
proxy and upstream anything may happen, and the client has its answer, good or bad,
before the deadlines are over. Between client and proxy the client may not hear of
it, so there the proxy's own gauges tell that nothing is left.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    folders = ("reliability", "loadtest", "tests/sdk")
    sys.path[:0] = [str(Path(__file__).resolve().parents[1] / folder) for folder in folders]

import client
import load
from claim import Claim
from proxy import Proxy
from upstream import Upstream

CONFIG = """
[timeouts]
head = "1s"
keep_alive = "1s"
body_idle = "1s"
small_body = "2s"
request = "4s"
connect = "1s"
response_head = "1500ms"
response_idle = "1500ms"
client_write = "1500ms"
upstream_keep_alive = "1s"
"""
# The head, the whole exchange, and what a busy machine may add.
BOUND = 1 + 4 + 2
NEEDS = "needs root, unshare, ip and nft (scripts/setup reliability)"
BLOCK = 1 << 14


SCENES = ("loss 1", "loss 5", "loss 20", "reset 2", "silence", "clients 10", "names 30", "names 100")


def measure(seconds=20.0, scenes=SCENES):
    """`seconds` of load for each kind of fault."""
    return [*asyncio.run(_relayed(seconds)), *_in_namespace(seconds, scenes)]


class Relay:
    """Passes bytes between who connects and `port`, until the fault that a connection
    drew: it is refused, ends, is reset, or stays open and passes nothing any more. A
    slow one passes all of it, a little late."""

    FAULTS = ("slow", "reset", "reset", "end", "stall", "refuse")

    def __init__(self, port, seed):
        self._to, self._rng = port, random.Random(seed)
        self.met = load.collections.Counter()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024, limit=BLOCK)
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks = set()
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        fault, after = self._rng.choice(self.FAULTS), int(2 ** self._rng.uniform(0, 18))
        self.met[fault] += 1
        ends = [writer]
        try:
            if fault == "refuse":
                return _cut(ends)
            there, back = await asyncio.open_connection("127.0.0.1", self._to, limit=BLOCK)
            ends.append(back)
            passing = [self._pass(reader, back, fault, after, ends), self._pass(there, writer, fault, after, ends)]
            await asyncio.gather(*passing)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            _cut(ends)
            self._tasks.discard(task)

    async def _pass(self, reader, writer, fault, after, ends):
        passed = 0
        while data := await reader.read(BLOCK):
            if fault in ("reset", "end", "stall") and passed + len(data) > after:
                writer.write(data[: after - passed])
                await writer.drain()
                if fault == "stall":
                    # Until somebody gives up, which is then not passed on either.
                    await asyncio.sleep(3600)
                if fault == "reset":
                    _cut(ends)
                    return
                break
            passed += len(data)
            if fault == "slow":
                await asyncio.sleep(self._rng.uniform(0, 0.03))
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()


def _cut(writers):
    for writer in writers:
        with contextlib.suppress(OSError):
            if not writer.transport.is_closing():
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()


async def _relayed(seconds):
    with tempfile.TemporaryDirectory(prefix="expurgate-network-") as folder:
        async with Upstream() as upstream, Relay(upstream.port, 1) as behind:
            with Proxy(f"http://127.0.0.1:{behind.port}", folder, CONFIG, {"EXPURGATE_LOG": "error"}) as proxy:
                ended = await _load(proxy.address, seconds, clients=24)
                left = await _left(proxy)
            one = _claim("a relay before the upstream that stalls, cuts and resets", ended, upstream, left, behind.met)
        async with Upstream() as upstream:
            with Proxy(upstream.url, folder, CONFIG, {"EXPURGATE_LOG": "error"}) as proxy:
                async with Relay(proxy.port, 2) as before:
                    ended = await _load(f"127.0.0.1:{before.port}", seconds, clients=24)
                    # Its stalled connections are still open to the proxy.
                    left = await _left(proxy)
            two = _claim("the same before the proxy", ended, upstream, left, before.met, hears=False)
    return [one, two]


async def _load(address, seconds, clients=16, seed=1):
    asking = load.Load(address, clients=clients, patience=BOUND, pause=0.005, wait=20, seed=seed)
    running = asyncio.ensure_future(asking.run())
    await asyncio.sleep(seconds)
    asking.stop()
    return await running


async def _left(proxy):
    """What the gauges still show when all deadlines are over."""
    names = ("inflight_requests", "buffered_bytes", "holdback_bytes", "listener_connections", "upstream_connections")
    end = time.monotonic() + BOUND + 3
    while True:
        gauges = {name: await asyncio.to_thread(proxy.metric, f"expurgate_{name}") for name in names}
        left = {name: value for name, value in gauges.items() if value}
        if not left or time.monotonic() > end:
            return left
        await asyncio.sleep(0.1)  # the interval of a poll with a deadline


def _claim(what, ended, upstream, left, met=None, hears=True, works=True):
    """`hears` says that nothing keeps answers from clients."""
    hung = [each for each in ended if each.answer.status == client.LATE] if hears else []
    twice = sum(count > 1 for count in upstream.heads.values())
    good = sum(each.answer.good for each in ended)
    longest = max((each.answer.seconds for each in ended), default=0)
    measured = f"{len(hung)} hung and {twice} came twice of {len(ended):,}"
    measured += f"; {good / max(1, len(ended)):.0%} good" + (f", the longest {longest:.1f} s" if hears else "")
    if met:
        measured += f"; {sum(met.values()):,} connections: {load.shown(met)}"
    if left:
        measured += "; left: " + ", ".join(f"{value:.0f} {name}" for name, value in left.items())
    if not works:
        measured += "; nothing works after it"
    return Claim(what, "0 hang, 0 come twice", measured, not hung and not twice and not left and works and good > 0)


# In a namespace of its own.


def _in_namespace(seconds, scenes):
    tools = all(shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin") for tool in ("unshare", "ip", "nft"))
    command = ["unshare", "--net", "--mount", sys.executable, __file__]
    allowed = tools and os.geteuid() == 0 and subprocess.run([*command[:3], "true"], capture_output=True).returncode == 0
    if not allowed:
        return [Claim("loss of packets and of answers of the DNS, in a network namespace", "0 hang, 0 come twice", NEEDS, None)]
    done = subprocess.run([*command, str(seconds), *scenes], stdout=subprocess.PIPE, text=True, timeout=30 * seconds + 120)
    if done.returncode:
        raise SystemExit(f"in the namespace: exit code {done.returncode}\n{done.stdout}")
    return [Claim(**each) for each in json.loads(done.stdout.splitlines()[-1])]


def _inside(seconds, scenes):
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    _run("ip", "link", "set", "lo", "up")
    _run("nft", "add table inet bad")
    _run("nft", "add chain inet bad in { type filter hook input priority 0; }")
    with tempfile.TemporaryDirectory(prefix="expurgate-network-") as folder:
        claims = asyncio.run(_scenes(Path(folder), seconds, scenes))
    print(json.dumps([dataclasses.asdict(each) for each in claims]))


def _run(*command):
    subprocess.run(command, check=True)


@contextlib.contextmanager
def _rules(*rules):
    for rule in rules:
        _run("nft", f"add rule inet bad in {rule}")
    try:
        yield
    finally:
        _run("nft", "flush chain inet bad in")


async def _scenes(folder, seconds, scenes):
    claims = []
    for kind, share in (scene.partition(" ")[::2] for scene in scenes):
        if kind == "loss":
            what, verdict = f"{share} % of the packets between proxy and upstream lost", f"numgen random mod 100 < {share} drop"
            claims.append(await _scene(folder, seconds, what, verdict))
        elif kind == "reset":
            what, verdict = f"{share} % of them answered with a reset", f"numgen random mod 100 < {share} reject with tcp reset"
            claims.append(await _scene(folder, seconds, what, verdict))
        elif kind == "silence":
            what = "an upstream that is silent from one moment to the next, and again there"
            claims.append(await _scene(folder, seconds, what, "drop", pauses=True))
        elif kind == "clients":
            claims.append(await _lossy_clients(folder, seconds, int(share)))
    shares = [int(scene.split()[1]) for scene in scenes if scene.startswith("names")]
    return claims + await _names(folder, seconds, shares)


async def _scene(folder, seconds, what, verdict, pauses=False):
    async with Upstream() as upstream:
        with Proxy(upstream.url, folder, CONFIG, {"EXPURGATE_LOG": "error"}) as proxy:
            asking = asyncio.ensure_future(_load(proxy.address, seconds))
            port = upstream.port
            # Half-open: neither end hears of the other, in the middle of what they do.
            await asyncio.sleep(seconds / 4 if pauses else 0)
            with _rules(f"tcp dport {port} {verdict}", f"tcp sport {port} {verdict}"):
                await asyncio.sleep(seconds / 2 if pauses else seconds)
            ended = await asking
            works = await _works(proxy)
            left = await _left(proxy)
    return _claim(what, ended, upstream, left, works=works)


async def _works(proxy):
    """Whether it serves again, once the network does."""
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        link = client.Link(proxy.address, patience=BOUND)
        answer = await link.ask([client.head("after", length=2) + b"{}"])
        link.close()
        if answer.good:
            return True
    return False


async def _lossy_clients(folder, seconds, share):
    async with Upstream() as upstream:
        with Proxy(upstream.url, folder, CONFIG, {"EXPURGATE_LOG": "error"}) as proxy:
            with _rules(*(f"tcp {way} {proxy.port} numgen random mod 100 < {share} drop" for way in ("dport", "sport"))):
                ended = await _load(proxy.address, seconds)
            left = await _left(proxy)
    return _claim(f"{share} % of the packets between clients and proxy lost", ended, upstream, left, hears=False)


class Names(asyncio.DatagramProtocol):
    """A DNS server that knows one address for all names, and loses a share of the
    questions."""

    def __init__(self):
        self.lost, self.asked, self._rng = 0.0, 0, random.Random(3)

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, address):
        self.asked += 1
        if self._rng.random() < self.lost:
            return
        question = data[12 : data.index(b"\0", 12) + 5]
        is_ipv4 = question[-4:-2] == b"\0\x01"
        answer = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\x7f\0\0\x01" if is_ipv4 else b""
        head = data[:2] + b"\x81\x80\0\x01" + struct.pack(">H", is_ipv4) + b"\0\0\0\0"
        self._transport.sendto(head + question + answer, address)


async def _names(folder, seconds, shares):
    if not shares:
        return []
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:2\n")
    _run("mount", "--bind", str(resolver), os.path.realpath("/etc/resolv.conf"))
    _, names = await asyncio.get_running_loop().create_datagram_endpoint(Names, local_addr=("127.0.0.1", 53))
    claims = []
    async with Upstream(closes=True) as upstream:
        url = f"http://upstream.test:{upstream.port}"
        with Proxy(url, folder, CONFIG, {"EXPURGATE_LOG": "error"}) as proxy:
            for number, share in enumerate(shares):
                before = names.asked
                asking = asyncio.ensure_future(_load(proxy.address, seconds, seed=number + 1))
                await asyncio.sleep(seconds / 4)
                names.lost = share / 100
                await asyncio.sleep(seconds / 2)
                names.lost = 0.0
                ended = await asking
                works = await _works(proxy)
                left = await _left(proxy)
                what = f"{share} % of the questions to the DNS lost ({names.asked - before:,} asked)"
                claims.append(_claim(what, ended, upstream, left, works=works and names.asked > before))
                upstream.heads.clear()
    return claims


if __name__ == "__main__":
    _inside(float(sys.argv[1]), sys.argv[2:])
