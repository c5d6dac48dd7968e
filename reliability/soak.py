"""Half of the load that the proxy can take, for long, with reloads, and with clients
that stream, compress and give up beside: memory and file descriptors stay flat.

A straight line through what was seen after the warm-up tells the growth: of memory through
the least between two reloads, each of which takes some for a while.
"""

import asyncio
import contextlib
import gzip
import json
import os
import random
import tempfile
import time
from pathlib import Path

import client
import load
import payload
import servers
from claim import Claim, slope
from proxy import Proxy
from reloads import RULE, reload
from upstream import Upstream

POST = Path(__file__).parents[1] / "loadtest/post.lua"
CONNECTIONS = 32
SIZES = [1_000] * 8 + [16_000] * 4 + [100_000, 400_000]
MIB = 1 << 20
# What the line may grow by over the whole time, for it to be called flat: a leak of 100
# bytes by each request is far more.
MEMORY_SLACK = 6 * MIB
# Each of the load's connections may have one to the upstream, which comes and goes.
FILES_SLACK = CONNECTIONS


# Of the requests that were asked for.
LEAST = 0.8


def measure(minutes=20.0, probe=4, reload_seconds=10, warming=12, slack=MEMORY_SLACK, least=LEAST):
    """`warming` reloads come before: they take memory that later ones use again."""
    return asyncio.run(_measure(minutes * 60, probe, reload_seconds, warming, slack, least))


async def _measure(seconds, probe, reload_seconds, warming, slack, least):
    with tempfile.TemporaryDirectory(prefix="expurgate-soak-") as folder, contextlib.ExitStack() as stack:
        folder = Path(folder)
        sink = stack.enter_context(servers.nginx_sink(folder, f"0-{os.cpu_count() - 1}"))
        await asyncio.to_thread(sink.wait_until_listening)
        bodies = folder / "bodies.jsonl"
        bodies.write_text("\n".join(body for size in SIZES for body in payload.bodies(size, 1, seed=size)) + "\n")
        rules = folder / "rules.toml"
        rules.write_text(RULE.format(number=0))
        async with Upstream() as upstream:
            # wrk's requests to nginx, the others to an upstream that knows their numbers.
            config = f'[rules]\npaths = ["{rules}"]\n[[route]]\nname = "odd"\npath = "/odd"\nupstream = "{upstream.url}"\n'
            config += f'[[route]]\nname = "load"\npath = "/"\nupstream = "http://127.0.0.1:{sink.port}"\n'
            with Proxy(None, folder, config, {"EXPURGATE_LOG": "error"}) as proxy:
                most = await _wrk(proxy, bodies, probe, 0)
                for number in range(1, warming + 1):
                    await reload(proxy, rules, number)
                rate = _rate(most) / 2
                # Between two requests of a connection, of which the answer takes a part.
                pause = CONNECTIONS / rate * 1000
                answer = CONNECTIONS / _rate(await _wrk(proxy, bodies, probe, round(pause))) * 1000 - pause
                loading = asyncio.ensure_future(_wrk(proxy, bodies, seconds, max(1, round(pause - answer))))
                beside = [asyncio.ensure_future(each) for each in (_reload(proxy, rules, reload_seconds, warming), _odd(proxy))]
                samples = await _watch(proxy, seconds)
                result = await loading
                for task in beside:
                    task.cancel()
                reloads, odd = await asyncio.gather(*beside)
                refused = proxy.metric("expurgate_ruleset_reloads_total", outcome="failure")
    return _claims(samples, result, rate, reloads, odd, refused, seconds, slack, least)


def _rate(result):
    return result["requests"] / result["microseconds"] * 1e6


def troughs(samples, reloads):
    """The least memory before, between and after the reloads, with its time."""
    edges = [float("-inf"), *reloads, float("inf")]
    for begin, end in zip(edges, edges[1:]):
        if between := [(resident, at) for at, resident, _ in samples if begin <= at < end]:
            resident, at = min(between)
            yield at, resident


def _claims(samples, result, rate, reloads, odd, refused, seconds, slack, least):
    warm = samples[len(samples) // 5 :]
    begun, whole = warm[0][0], warm[-1][0] - warm[0][0]
    memory = list(troughs(warm, reloads))
    files = [(at, count) for at, _, count in warm]
    grown, more = slope(memory) * whole, slope(files) * whole
    shown = f"{min(each for _, each in memory) / MIB:.1f} to {max(each for _, each in memory) / MIB:.1f} MiB between "
    shown += f"reloads, {max(each for _, each, _ in warm) / MIB:.1f} at most"
    span = f"over {whole / 60:.1f} min after {(begun - samples[0][0]) / 60:.1f} of warm-up"
    failed = result["errors"] + odd["failed"]
    asked = result["requests"] + odd["asked"]
    return [
        Claim(
            f"requests a second for {seconds / 60:g} min",
            f"at least {least * 100:.0f} % of half of the most ({rate:.0f})",
            f"{_rate(result):.0f} ({_rate(result) / rate * 100:.0f} %)",
            _rate(result) >= least * rate,
        ),
        Claim(
            "resident memory meanwhile",
            f"flat: grows by less than {slack // MIB} MiB",
            f"{grown / MIB:+.2f} MiB {span}; {shown}",
            grown < slack,
        ),
        Claim(
            "file descriptors",
            f"flat: less than {FILES_SLACK} more",
            f"{more:+.1f} {span}; {min(each for _, each in files)} to {max(each for _, each in files)}",
            more < FILES_SLACK,
        ),
        Claim(
            "failed requests",
            "0",
            f"{failed} of {asked:,}, with {len(reloads)} reloads of all rules ({refused:.0f} refused) and {odd['given up']:,} clients that gave up",
            not failed and asked > 0 and bool(reloads) and not refused and odd["given up"] > 0,
        ),
    ]


async def _wrk(proxy, bodies, seconds, pause):
    command = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{max(1, round(seconds))}s"]
    command += ["--timeout", "30s", "--script", str(POST), proxy.url, "--", str(bodies), str(pause)]
    wrk = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        out, _ = await wrk.communicate()
    finally:
        # Where another part of the run failed.
        if wrk.returncode is None:
            wrk.kill()
    line = next((line for line in out.decode().splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise SystemExit(f"wrk failed:\n{out.decode()}")
    return json.loads(line.removeprefix("RESULT "))


async def _watch(proxy, seconds):
    """(time, resident bytes, open files) at short intervals."""
    started, samples, told = time.monotonic(), [], 0
    while (now := time.monotonic()) < started + seconds:
        samples.append((now, proxy.resident_memory(), len(os.listdir(f"/proc/{proxy.pid}/fd"))))
        if now >= started + told * seconds / 20:
            told += 1
            print(f"  {(now - started) / 60:.1f} min: {samples[-1][1] / MIB:.1f} MiB, {samples[-1][2]} files", flush=True)
        await asyncio.sleep(min(1.0, seconds / 100))  # the interval of the samples
    return samples


async def _reload(proxy, rules, interval, warming):
    """When each was in force."""
    times = []
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(interval)
            await reload(proxy, rules, warming + len(times) + 1)
            times.append(time.monotonic())
    return times


async def _odd(proxy):
    """Requests that stream or are compressed, and some that are given up."""
    told = {"asked": 0, "failed": 0, "given up": 0}
    rng = random.Random(5)
    body = payload.bodies(600_000, 1, seed=9)[0].encode()
    small = gzip.compress(payload.bodies(20_000, 1, seed=9)[0].encode())
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            link = client.Link(proxy.address)
            told["asked"] += 2
            start = client.head("odd", "/odd", length=len(body))
            stream = await link.ask([start + body[:300_000], 0.02, body[300_000:]])
            coded = client.head("odd", "/odd", [("Content-Encoding", "gzip")], len(small)) + small
            answer = await link.ask([coded])
            told["failed"] += (not stream.good) + (not answer.good)
            await link.abandon([start + body[: rng.randrange(len(body))]], reset=rng.random() < 0.5)
            told["given up"] += 1
            await asyncio.sleep(0.05)  # it is a small part of the load
    return told
