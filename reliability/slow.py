"""Slow heads, slow bodies and slow readers, by slowhttptest, beside other clients.

The others' latency is measured in pairs, without and with the attack, one right
after the other; the median of the pairs' ratios counts, since a shared machine
has its own slow moments.

Then as many clients of our own as may have requests in progress, and some more, send next to
nothing of a body each, and come again when they are refused.
"""

import asyncio
import contextlib
import shutil
import statistics
import tempfile
import time

import load
from claim import Claim, percentile
from proxy import Proxy
from upstream import Upstream

LARGE = 512 << 10
# Head, body and reader; each connection sends, or takes, next to nothing.
ATTACKS = {
    "slow heads": ["-H", "-i", "2", "-t", "GET"],
    "slow bodies": ["-B", "-i", "2", "-s", "1000000", "-t", "POST", "-f", "application/json"],
    "slow readers": ["-X", "-w", "512", "-y", "1024", "-n", "2", "-z", "64", "-k", "1"],
}
MOST = 2.0
# More than `limits.max_requests`, and how long others may find no place, in seconds: a
# client may keep the proxy waiting for two.
CROWD = 1100
OUT = 3.0
# A difference below this is no harm, whatever its ratio.
NOTHING = 0.002


def measure(connections=1000, rounds=5, seconds=5.0, attacks=tuple(ATTACKS), share=0.99):
    if not shutil.which("slowhttptest"):
        raise SystemExit("slowhttptest is missing: scripts/setup reliability")
    claims = [asyncio.run(_attack(name, connections, rounds, seconds, share)) for name in attacks]
    return [*claims, crowded(CROWD, 4 * seconds)]


def crowded(count, seconds):
    """What others get while so many drip."""
    return asyncio.run(_crowded(count, seconds))


async def _crowded(count, seconds):
    with tempfile.TemporaryDirectory(prefix="expurgate-slow-") as folder:
        async with Upstream() as upstream:
            with Proxy(upstream.url, folder, environment={"EXPURGATE_LOG": "error"}) as proxy:
                begun = time.monotonic()
                crowd = [asyncio.ensure_future(_drip(proxy.address)) for _ in range(count)]
                try:
                    full = await _full(proxy)
                    others = await _others(proxy, OUT + seconds)
                    held = await asyncio.to_thread(proxy.metric, "expurgate_listener_connections")
                finally:
                    for each in crowd:
                        each.cancel()
                    await asyncio.gather(*crowd, return_exceptions=True)
    early = [each for each in others if each.began < full + OUT]
    later = [each for each in others if each.began >= full + OUT]
    failed = [sum(not each.answer.good for each in part) for part in (early, later)]
    return Claim(
        f"{count:,} clients that send 2 bytes a second of 1 MB each, and come again when refused, where 1,024 requests "
        "may be in progress: others that fail",
        f"0 after {OUT:g} s",
        f"{failed[1]} of {len(later):,} in {seconds:g} s; {failed[0]} of {len(early):,} before; full {full - begun:.1f} s "
        f"after they began; {held:,.0f} connections open",
        not failed[1] and len(later) > 0 and held > count / 2,
    )


async def _full(proxy):
    """When no place was left."""
    end = time.monotonic() + 30
    while not await asyncio.to_thread(proxy.metric, "expurgate_refused_requests_total", reason="overloaded"):
        if time.monotonic() > end:
            raise SystemExit("there was room for all of them")
        await asyncio.sleep(0.02)  # the interval of a poll with a deadline
    return time.monotonic()


async def _drip(address):
    host, _, port = address.rpartition(":")
    head = b"POST /v1/traces HTTP/1.1\r\nHost: slow.test\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n"
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(head)
                while True:
                    writer.write(b"1,")
                    with contextlib.suppress(asyncio.TimeoutError):
                        # Whatever comes is a refusal, or the end.
                        await asyncio.wait_for(reader.read(1), 1)
                        break
            finally:
                writer.transport.abort()
        await asyncio.sleep(1)  # as `Retry-After` tells


async def _attack(name, connections, rounds, seconds, share):
    pairs, held, failed, count = [], [], 0, 0
    with tempfile.TemporaryDirectory(prefix="expurgate-slow-") as folder:
        async with Upstream() as upstream:
            body = b"a" * LARGE
            upstream.by_path[b"/large"] = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (LARGE, body)
            with Proxy(upstream.url, folder, environment={"EXPURGATE_LOG": "error"}) as proxy:
                await _others(proxy, 1.0)
                for _ in range(rounds):
                    quiet = await _others(proxy, seconds)
                    async with _slow(name, proxy, connections):
                        await _settled(upstream)
                        attacked = await _others(proxy, seconds)
                        held.append(await asyncio.to_thread(proxy.metric, "expurgate_listener_connections"))
                    pairs.append([percentile([each.answer.seconds for each in part], share) for part in (quiet, attacked)])
                    failed += sum(not each.answer.good for each in [*quiet, *attacked])
                    count += len(quiet) + len(attacked)
    ratio = statistics.median(attacked / quiet for quiet, attacked in pairs)
    before, during = (statistics.median(each) for each in zip(*pairs))
    return Claim(
        f"{name}, {connections:,} of slowhttptest's: the p{share * 100:.0f} of other clients, median of {rounds} pairs",
        "less than twice",
        f"{ratio:.2f} times ({before * 1000:.1f} ms, then {during * 1000:.1f}); {failed} of {count:,} failed; "
        f"{statistics.median(held):,.0f} connections open",
        (ratio < MOST or during - before < NOTHING) and not failed and min(held) > connections / 2,
    )


async def _others(proxy, seconds):
    clients = load.Load(proxy.address, clients=8, pause=0.03)
    running = asyncio.ensure_future(clients.run())
    await asyncio.sleep(seconds)
    clients.stop()
    return await running


async def _settled(upstream):
    """Waits until the upstream sends no more: who reads has taken what fits between."""
    sent = -1
    while sent != upstream.sent:
        sent = upstream.sent
        await asyncio.sleep(0.3)  # how long nothing may come


@contextlib.asynccontextmanager
async def _slow(name, proxy, connections):
    """The attack, once all of its connections are open."""
    path = "large" if name == "slow readers" else "v1/traces"
    command = ["slowhttptest", "-c", str(connections), "-r", str(connections), "-l", "60", "-p", "5", *ATTACKS[name]]
    quiet = {"stdin": asyncio.subprocess.DEVNULL, "stdout": asyncio.subprocess.DEVNULL, "stderr": asyncio.subprocess.DEVNULL}
    attack = await asyncio.create_subprocess_exec(*command, "-u", f"{proxy.url}/{path}", **quiet)
    try:
        end = time.monotonic() + 20
        while await asyncio.to_thread(proxy.metric, "expurgate_listener_connections") < 0.9 * connections:
            if time.monotonic() > end or attack.returncode is not None:
                raise SystemExit(f"slowhttptest did not open its {connections} connections")
            await asyncio.sleep(0.05)  # the interval of a poll with a deadline
        yield
    finally:
        if attack.returncode is None:
            attack.kill()
        await attack.wait()
        end = time.monotonic() + 90
        while await asyncio.to_thread(proxy.metric, "expurgate_listener_connections") > 8 and time.monotonic() < end:
            await asyncio.sleep(0.05)  # the interval of a poll with a deadline
