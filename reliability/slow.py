"""Slow heads, slow bodies and slow readers, by slowhttptest, beside other clients.

The others' latency is measured in pairs, without and with the attack, one right
after the other; the median of the pairs' ratios counts, since a shared machine
has its own slow moments.
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
# A difference below this is no harm, whatever its ratio.
NOTHING = 0.002


def measure(connections=1000, rounds=5, seconds=5.0, attacks=tuple(ATTACKS), share=0.99):
    if not shutil.which("slowhttptest"):
        raise SystemExit("slowhttptest is missing: scripts/setup reliability")
    return [asyncio.run(_attack(name, connections, rounds, seconds, share)) for name in attacks]


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
