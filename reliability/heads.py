"""Heads and framing that two parsers may understand differently, and floods of frames.

What passes arrives as the one thing that it means, as `framing` reads it; what is
refused leaves nothing. The mutated requests are made of the probes and of those of
the public corpora. tests/sdk/test_framing.py and test_http2_floods.py have the same
cases one by one.
"""

import contextlib
import random
import tempfile
import time
from pathlib import Path

import probes
import test_framing
import test_http2_floods as floods
import wire
from claim import Claim
from proxy import Proxy
from sink import Sink

BATCH = 400
LARGEST = 4000
# For which a flood comes again, when its connection is ended.
SECONDS = 10
TOKENS = (
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b",", b";", b"-", b"_", b'"', b"\x0b", b"\xff"),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"chunked", b"0\r\n\r\n", b"5\r\nhello\r\n"),
    *(b"Host: upstream.test\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"HTTP/1.0", b"HTTP/1.1"),
    *(b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"%2e%2e", b"/../", b"HEAD"),
)


def measure(mutants=20_000, seed=None, names=tuple(floods.FLOODS)):
    seed = time.time_ns() & 0xFFFFFFFF if seed is None else seed
    print(f"  seed {seed}", flush=True)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="expurgate-heads-")))
        numbers = iter(range(1000))

        def new_folder():
            new = folder / str(next(numbers))
            new.mkdir()
            return new

        lanes = stack.enter_context(test_framing.open_lanes(new_folder))
        yield from _probes(lanes)
        yield _corpora(lanes)
        yield _mutants(lanes, mutants, random.Random(seed))
        panics = 0
        for _ in range(test_framing.LANES):
            panics += lanes.get().proxy.metric("expurgate_panics_total")
        yield Claim("panics in all of these", "0", f"{panics:.0f}", panics == 0)
        for name in names:
            yield _flood(name, new_folder())


def _probes(lanes):
    refused = {name: data for name, (data, _) in probes.refused().items()}
    outcomes = test_framing.observe_all(lanes, refused)
    wrong = [name for name, outcome in outcomes.items() if outcome.count or outcome.requests]
    yield _claim("probes that can be understood in two ways", "none arrives", len(refused), wrong)
    forwarded = {name: data for name, (data, *_) in probes.forwarded().items()}
    arrived, _, wrong = test_framing.judge(forwarded, test_framing.observe_all(lanes, forwarded))
    least = sum(len(requests) for _, requests, _ in probes.forwarded().values())
    yield _claim("probes that are odd and mean one thing", "what arrives is what is meant", len(forwarded), wrong, arrived, least)


def _corpora(lanes):
    what, promised = "requests of llhttp's tests and of Http11Probe", "what arrives is what is meant"
    if not test_framing.FOLDER.is_dir():
        return Claim(what, promised, f"no {test_framing.FOLDER.name} there", None)
    cases = test_framing.corpus_requests()
    arrived, _, wrong = test_framing.judge(cases, test_framing.observe_all(lanes, cases))
    return _claim(what, promised, len(cases), wrong, arrived, len(cases) // 5)


def _mutants(lanes, count, rng):
    base = [data for data, *_ in [*probes.refused().values(), *probes.forwarded().values()]]
    base += probes.cut().values()
    if test_framing.FOLDER.is_dir():
        base += test_framing.corpus_requests().values()
    base = [data for data in base if 0 < len(data) < LARGEST]
    arrived, answers, wrong = 0, 0, []
    for begin in range(0, count, BATCH):
        cases = {number: mutated(base, rng) for number in range(begin, min(count, begin + BATCH))}
        came, statuses, bad = test_framing.judge(cases, test_framing.observe_all(lanes, cases))
        arrived, answers, wrong = arrived + came, answers + statuses.total(), wrong + bad
    return _claim(f"mutated ones ({answers:,} answers)", "what arrives is what is meant", count, wrong, arrived, count // 20)


def mutated(base, rng):
    """One of them with a few bytes, words or lines that are others."""
    data = bytearray(rng.choice(base))
    for _ in range(rng.choice((1, 1, 2, 3, 5))):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(7):
            case 0 if data:
                data[min(at, len(data) - 1)] = rng.randrange(256)
            case 1:
                data[at:at] = rng.choice(TOKENS)
            case 2:
                del data[at : at + rng.choice((1, 1, 2, 5))]
            case 3:
                lines = bytes(data).split(b"\r\n")
                lines.insert(rng.randrange(len(lines)), rng.choice(lines))
                data = bytearray(b"\r\n".join(lines))
            case 4:
                other = rng.choice(base)
                cut = rng.randrange(len(other))
                data[at:] = other[cut : cut + 200]
            case 5:
                data = bytearray(bytes(data).replace(b"\r\n", rng.choice((b"\n", b"\r\n ")), 1))
            case 6:
                data[at : at + rng.choice((1, 2, 4))] = rng.choice(TOKENS)
    return bytes(data)


def _claim(what, promised, count, wrong, arrived=None, least=0):
    """`least` must arrive: who refuses all forwards nothing that is wrong."""
    for each in wrong[:10]:
        print(f"  WRONG {each}", flush=True)
    told = f"; {arrived:,} arrived" if arrived is not None else ""
    return Claim(what, promised, f"{len(wrong)} of {count:,} otherwise{told}", not wrong and count > 0 and (arrived or 0) >= least)


def _flood(name, folder):
    with Sink() as sink, Proxy(sink.url, folder, floods.CONFIG) as proxy:
        # What it needs in any case.
        assert wire.post(proxy.address, b'{"to": "others"}').status == 200
        sink.forget()
        poured = floods.pour_out(name, sink, proxy, SECONDS)
    return Claim(
        f"HTTP/2: {name.replace('_', ' ')}",
        f"less than {floods.GROWTH >> 20} MiB above the peak before, others served within {floods.OTHERS_SECONDS} s",
        f"{poured.growth / (1 << 20):.1f} MiB more, {poured.served} others within {poured.slowest:.2f} s; "
        f"{poured.connections} connections, {poured.forwarded} requests of it reached the upstream",
        poured.growth < floods.GROWTH
        and poured.slowest < floods.OTHERS_SECONDS
        and poured.forwarded < floods.MOST_FORWARDED * poured.connections
        and not poured.whole,
    )
