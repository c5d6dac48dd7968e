"""SIGTERM under load: what had begun ends well, and the process with 0.

A request counts as accepted when the upstream has seen it, or when any of it had
been sent on a connection that the proxy had taken before it was told to end.
One that a client sends on an idle connection in the very moment in which that is
closed meets an end without a word; clients send it again, since nothing of it was
answered, and the upstream must not have seen it.
"""

import asyncio
import random
import tempfile
import time

import client
import load
from claim import Claim
from proxy import Proxy
from upstream import Upstream

# Between the signal's sending and its handling requests may still come in time.
NOTICE = 0.005
GRACE = "300ms"


def measure(times=50, seed=None):
    return asyncio.run(_measure(times, random.Random(seed)))


async def _measure(times, rng):
    total, failed, raced, told, codes, seconds, twice = 0, [], 0, {}, [], [], 0
    late = load.collections.Counter()
    with tempfile.TemporaryDirectory(prefix="expurgate-drain-") as folder:
        for number in range(times):
            one = await _once(folder, number, rng)
            total += one.before
            failed += one.failed
            raced += one.raced
            late.update(one.late)
            codes.append(one.code)
            seconds.append(one.seconds)
            twice += one.twice
    for each in failed[:20]:
        print(f"  failed: {each}", flush=True)
    return [
        Claim(
            f"SIGTERM under load, {times} times: accepted requests that failed",
            "0",
            f"{len(failed)} of {total:,}; {raced} met the end of an idle connection unseen; later ones: {load.shown(late)}",
            not failed and total > 0,
        ),
        Claim("requests that came to the upstream twice", "0", str(twice), twice == 0),
        Claim(
            "exit code, and time until the process was gone",
            "0",
            f"{codes.count(0)} of {times} times 0; {max(seconds):.1f} s at most",
            codes.count(0) == times,
        ),
    ]


class _Once:
    def __init__(self):
        self.before, self.failed, self.raced, self.late, self.twice = 0, [], 0, load.collections.Counter(), 0
        self.code, self.seconds = None, 0.0


async def _once(folder, number, rng):
    told = _Once()
    async with Upstream() as upstream:
        with Proxy(upstream.url, folder, environment={"EXPURGATE_TIMEOUTS_DRAIN_GRACE": GRACE, "EXPURGATE_LOG": "warn"}) as proxy:
            clients = load.Load(proxy.address, clients=24, wait=120, seed=number, pause=0.002)
            running = asyncio.ensure_future(clients.run())
            await asyncio.sleep(rng.uniform(0.15, 0.5))
            signalled = time.monotonic()
            proxy.terminate()
            ending = asyncio.ensure_future(asyncio.to_thread(proxy.wait, 40))
            told.code = await ending
            told.seconds = time.monotonic() - signalled
            clients.stop()
            await running
    for each in clients.ended:
        seen = upstream.heads[each.number.encode()]
        told.twice += seen > 1
        status = each.answer.status
        if each.answer.good:
            told.before += 1
        elif seen or isinstance(status, int) and status != 503 or status == client.LATE:
            told.failed.append(f"{status}, {'seen' if seen else 'not seen'} upstream, sent {each.answer.sent - signalled:+.4f} s")
        elif each.answer.sent < signalled - NOTICE:
            # Longer on its way than the signal, and not even looked at.
            nth = "the first of its connection" if each.first else "not the first of its connection"
            told.failed.append(f"{status}, not seen upstream, sent {each.answer.sent - signalled:+.4f} s, {nth}")
        elif status == 503:
            told.late[load.outcomes([each]).popitem()[0]] += 1
        elif each.first or status == client.REFUSED:
            told.late["connections refused or closed unused"] += 1
        else:
            told.raced += 1
    return told
