"""Looks for canaries everywhere after all that may go wrong.

A case is one canary in one carrier of one request (or answer), with its format,
coding, cut, and the fault that meets it. Each batch is a process of its own, with
all that it logs (level trace), answers, counts and shows searched after it.
"""

import asyncio
import base64
import binascii
import collections
import contextlib
import gzip
import itertools
import os
import random
import resource
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path

import canary
import client
import documents
from certificates import Authority
from claim import Claim
from proxy import Proxy
from upstream import Upstream

WORKERS = 48
CONFIG = """
[limits]
buffer_limit = "8KiB"
max_buffered = "{budget}"
max_requests = {places}

[timeouts]
head = "1s"
body_idle = "{silence}"
client_rate = "{rate}"
small_body = "{small}"
request = "{request}"
response_head = "400ms"
response_idle = "400ms"
client_write = "1s"

[hash]
keys = {{ k1 = "{folder}/k1.key" }}
{listener}{routes}
"""
ROUTE = """
[[route]]
name = "{name}"
path = "/{name}"
upstream = "{upstream}"
http2 = {upstream_http2}
headers = ["referer", "baggage", "cookie", "x-note"]
responses = {responses}
[route.policy]
default = "{action}"
"""
ACTIONS = ("replace", "mask", "hash", "remove", "block")
ANSWERS, REPORT, CALLS = "answers", "report", "gRPC"

FAULTS = (
    "no fault",
    "upstream resets",
    "upstream ends",
    "client resets",
    "client ends",
    "client stalls",
    "client drips",
    "upstream stalls",
    "damaged body",
    "damaged framing",
)
ANSWER_FAULTS = ("no fault", "answer reset", "answer stalls", "client resets", "damaged answer")


def measure(cases=120_000, kills=60, seed=None):
    """At least so many cases; `kills` processes are killed in the middle."""
    seed = time.time_ns() & 0xFFFFFFFF if seed is None else seed
    print(f"  seed {seed}", flush=True)
    return asyncio.run(_measure(cases, kills, seed))


async def _measure(cases, kills, seed):
    total = Tally()
    with tempfile.TemporaryDirectory(prefix="expurgate-leaks-") as folder:
        folder = Path(folder)
        (folder / "k1.key").write_bytes(b"a key of this run alone, 32 bytes")
        checked = await self_check(folder, seed)
        # Killed ones are small; the rest is divided among what goes on meanwhile.
        for number in range(kills):
            number_of = signal.SIGKILL if number % 6 else signal.SIGABRT
            total.add(await Batch(folder, seed + number, kill=number_of).run(10**9))
        # Each plan at least once.
        plans = (
            *({}, {"budget": "64KiB"}, {"reloads": True}, {"text_log": False}, {"request": "60ms"}, {"tls": Authority(folder)}),
            *({"http2": True, "calls": True}, {"http2": True, "calls": True, "upstream_http2": True}, {"upstream_http2": True}, {"rate": "1GB", "silence": "100ms"}, {"places": 3, "silence": "9s", "request": "9s", "small": "9s"}),
        )
        for number, plan in enumerate(itertools.cycle(plans)):
            if number >= len(plans) and total.cases >= cases:
                break
            total.add(await Batch(folder, seed + 1000 * (number + 1), **plan).run(max(1000, cases // 12)))
        dumps = control_dumps(folder)
    return claims(total, checked, dumps, kills)


def claims(total, checked, dumps, kills):
    found = total.hits
    yield Claim(
        "the search finds what a route with `report` lets through, and base64, hex, URL and compressed forms",
        "all",
        f"{checked[0]:,} of {checked[1]:,}",
        checked[0] == checked[1] > 0,
    )
    for where, kind in (("upstream", "by the upstream"), ("reply", "in replies"), ("log", "in logs of level trace")):
        count = sum(hit.where.startswith(where) for hit in found)
        yield Claim(f"canaries found {kind}", "0", f"{count} of {total.cases:,}", count == 0)
    count = sum(hit.where.startswith("admin") for hit in found)
    yield Claim("canaries found in metrics and on other pages of the admin port", "0", f"{count} of {total.cases:,}", count == 0)
    yield Claim(
        "core files left by processes that were aborted (another program's: " + ("some" if dumps else "none, so this shows little") + ")",
        "0",
        f"{total.dumps} of {total.aborted}",
        total.dumps == 0,
    )
    missing = total.missing(kills)
    yield Claim(
        f"faults that were met: {total.told()}",
        "each",
        "each" if not missing else "not: " + ", ".join(missing),
        not missing,
    )


class Tally:
    """What came of all batches."""

    def __init__(self):
        self.cases = self.requests = self.dumps = self.aborted = self.killed = 0
        self.hits, self.by_axis, self.reasons = [], collections.Counter(), collections.Counter()
        self.reloads = 0

    def add(self, batch):
        self.cases += batch.cases
        self.requests += batch.requests
        self.dumps += batch.dumped
        self.aborted += batch.kill == signal.SIGABRT
        self.killed += batch.kill == signal.SIGKILL
        self.reloads += batch.reload_count
        self.by_axis.update(batch.by_axis)
        self.reasons.update(batch.reasons)
        for hit in batch.hits:
            print(f"  FOUND {hit.describe()}\n        {hit.around!r}", flush=True)
        self.hits += batch.hits

    # What the proxy says of each fault.
    REASONS = (
        "incomplete_body",
        "body_timeout",
        "upstream_broke",
        "upstream_timeout",
        "corrupt_framing",
        "corrupt_content_encoding",
        "memory_budget",
        "blocked",
        "deadline",
        "body_too_slow",
        "made_room",
    )

    def missing(self, kills):
        axes = [*FAULTS, *(f"answer: {each}" for each in ANSWER_FAULTS), *documents.FORMATS, *documents.CODINGS, *ACTIONS, "TLS", "HTTP/2", CALLS]
        missing = [axis for axis in axes if not self.by_axis[axis]]
        missing += [reason for reason in self.REASONS if not self.reasons[reason]]
        if kills and not self.killed:
            missing.append("SIGKILL")
        if not self.reloads:
            missing.append("reload")
        return missing

    def told(self):
        reasons = ", ".join(f"{self.reasons[reason]:,} `{reason}`" for reason in self.REASONS)
        return (
            f"{self.requests:,} requests, {self.by_axis['TLS']:,} of them over TLS, {self.by_axis['HTTP/2']:,} over HTTP/2, {self.by_axis[CALLS]:,} of them gRPC calls, in {len(documents.FORMATS)} formats and {len(documents.CODINGS)} codings, "
            f"{self.killed} processes killed, {self.reloads} reloads, {reasons}"
        )


def config(upstream, folder, budget="128MiB", request="3s", tls=None, silence="400ms", small="2s", rate="240B", places=1024, upstream_http2=False):
    upstream_http2 = str(upstream_http2).lower()
    routes = "".join(
        ROUTE.format(name=name, upstream=upstream, action=action, responses=str(name == ANSWERS).lower(), upstream_http2=upstream_http2)
        for name, action in [*((action, action) for action in ACTIONS), (ANSWERS, "replace"), (REPORT, "report")]
    )
    listener = ""
    if tls:
        cert, key = tls.issue("proxy")
        listener = f'[listener.tls]\ncert = "{cert}"\nkey = "{key}"\n'
    limits = {"budget": budget, "request": request, "silence": silence, "small": small, "rate": rate, "places": places}
    return CONFIG.format(folder=folder, routes=routes, listener=listener, **limits)


class Batch:
    """A process, the requests that it gets, and what is found after it."""

    def __init__(self, folder, seed, reloads=False, kill=None, text_log=True, tls=None, http2=False, calls=False, **limits):
        """With `calls` a part of the requests is gRPC's. `tls` is an authority whose certificate the proxy has, `limits` are those of `config`."""
        self.kill, self.cases, self.requests, self.dumped, self.reload_count = kill, 0, 0, False, 0
        self.hits, self.by_axis, self.reasons = [], collections.Counter(), collections.Counter()
        self._folder, self._reloads, self._text_log = folder, reloads, text_log
        self._tls, self._http2, self._calls, self._limits = tls, http2, calls, limits
        self._rng, self._number, self._damaged = random.Random(seed), 0, set()
        self._canaries, self._replies, self._pages = canary.Canaries(), [], []
        self._over = False

    async def run(self, cases):
        environment = {"EXPURGATE_LOG": "trace", "EXPURGATE_LOG_FORMAT": "text" if self._text_log else "json"}
        async with Upstream(keep=True) as self._upstream:
            text = config(self._upstream.url, self._folder, tls=self._tls, **self._limits)
            # The other end of a connection that breaks when the process is killed.
            with Proxy(None, self._folder, text, environment) as self._proxy:
                beside = [asyncio.ensure_future(each) for each in (self._look(), self._meanwhile())]
                # Who keeps the proxy waiting all the time has to make room for the others.
                beside += [asyncio.ensure_future(self._hold()) for _ in range(self._limits.get("places", 0))]
                await asyncio.gather(*(self._work(cases) for _ in range(WORKERS)))
                for task in beside:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
                if not self.kill:
                    self._pages.append(await asyncio.to_thread(self._read_pages))
                    self._count_reasons()
                # What is on its way to the upstream arrives.
                await asyncio.sleep(0.05)
        await asyncio.to_thread(self._search)
        return self

    def _count_reasons(self):
        for reason in Tally.REASONS:
            for name in ("refused_requests", "failures"):
                self.reasons[reason] += int(self._proxy.metric(f"expurgate_{name}_total", reason=reason))

    async def _look(self):
        """Reads the pages of the admin port now and then."""
        while not self.kill:
            await asyncio.sleep(0.5)
            self._pages.append(await asyncio.to_thread(self._read_pages))

    def _read_pages(self):
        paths = ("/metrics", "/", "/version", "/readyz", "/livez", "/rules", "/nothing")
        return "\0".join(self._proxy.admin(path)[1] for path in paths).encode()

    async def _meanwhile(self):
        if self.kill:
            await asyncio.sleep(self._rng.uniform(0.02, 0.5))
            self._over = True
            self.dumped = self._proxy.kill(self.kill)
        while self._reloads:
            self._proxy.send_signal(signal.SIGHUP)
            self.reload_count += 1
            await asyncio.sleep(0.3)

    async def _work(self, cases):
        tls = ssl.create_default_context(cafile=self._tls.cert) if self._tls else None
        link = client.Http2Link(self._proxy.address, 15) if self._http2 else client.Link(self._proxy.address, 15, tls)
        while self.cases < cases and not self._over:
            # So that many canaries are planted at once when a process is killed.
            await (self._answer if self._rng.random() < 0.2 else self._request)(link)
            self.requests += 1
            self.by_axis["TLS" if self._tls else "HTTP/2" if self._http2 else "plain text"] += 1
        link.close()

    async def _hold(self):
        link = client.Link(self._proxy.address, 15)
        while not self._over:
            await self._request(link, "client stalls")
            await asyncio.sleep(1)  # as `Retry-After` tells

    def _planted(self, count, share, *axes):
        self.cases += int(count * share)
        self.by_axis.update(axes)

    def _next(self):
        self._number += 1
        return self._number

    async def _request(self, link, fault=None):
        rng, canaries, before = self._rng, self._canaries, len(self._canaries)
        self._next()
        fault = fault or rng.choice(FAULTS)
        name, coding, make = self._form()
        split = rng.choice(("length", "whole", "bytes", "scattered"))
        if self._http2 and fault == "damaged framing":
            # Frames are never chunks, and may belie a length.
            split = "length"
        action = rng.choices(ACTIONS, (8, 2, 2, 2, 1))[0]
        canaries.case = f"{name}, {coding}, {split}, {fault}, {action}"
        # A damage leaves open which string is the value of which name.
        damages = fault in ("damaged body", "damaged framing")
        size = int(2 ** rng.uniform(8, 11)) if rng.random() < 0.6 else int(2 ** rng.uniform(13, 16))
        media, body = make(canaries, rng, size, not damages)
        encoding, encode = documents.CODINGS[coding]
        # The framing of the format, or that of the coding.
        inside = encoding is None or rng.random() < 0.5
        if fault == "damaged body" and inside:
            body = damaged_between(body, rng) if name in documents.LENIENT else damaged(body, rng)
        body = encode(body)
        if fault == "damaged body" and not inside:
            body = damaged(body, rng)
        if damages:
            self._damaged.add(str(self._number).encode())
        data = self._wire(action, media, encoding, body, split, fault)
        planted, share = len(canaries) - before, 1.0
        if fault in ("client resets", "client ends"):
            cut = rng.randrange(1, len(data)) if rng.random() < 0.1 else rng.randrange(len(data) - len(body), len(data))
            share = cut / len(data)
            answer = await link.abandon(_segments(data[:cut], rng), reset=fault == "client resets")
        elif fault == "client stalls":
            cut = rng.randrange(len(data) - len(body), len(data) - 1)
            share = cut / len(data)
            answer = await link.ask([*_segments(data[:cut], rng)])
            link.close()
        elif fault == "client drips":
            at, pause = sorted(rng.randrange(len(data)) for _ in range(4)), rng.choice((0.02, 0.08))
            pieces = [data[a:b] for a, b in zip([0, *at], [*at, len(data)])]
            answer = await link.ask([each for piece in pieces for each in (piece, pause)])
        else:
            answer = await link.ask(_segments(data, rng))
        if answer.status == client.LATE:
            print(f"  late: {canaries.case}", flush=True)
        self._replies.append((answer, damages))
        if b"overloaded" in answer.body:
            # It went nowhere, and is no case.
            await asyncio.sleep(1)  # as `Retry-After` tells
            return
        self._planted(planted, share, fault, name, coding, action)

    def _wire(self, action, media, encoding, body, split, fault):
        """All bytes of a request, with canaries in its head and its trailers."""
        rng, canaries = self._rng, self._canaries
        wants = {
            "upstream resets": f"reset {rng.randrange(len(body) + 1)}",
            "upstream ends": f"close {rng.randrange(len(body) + 1)}",
            "upstream stalls": "stall",
        }.get(fault, f"wait {rng.randrange(20)}")
        query = urllib.parse.urlencode({"to": canaries.email("query"), "call": canaries.phone("query"), "n": 7})
        path = f"/{action}/v1/{canaries.in_path()}/x" if rng.random() < 0.2 else f"/{action}/v1/x"
        headers = [
            ("X-Upstream", wants),
            ("Referer", f"https://app.test/?mail={canaries.email('Referer')}"),
            ("Baggage", f"user={canaries.email('Baggage')},n=1"),
            ("Cookie", f"theme=dark; mail={canaries.email('Cookie')}"),
            ("X-Note", f"call {canaries.phone('listed header')} with {canaries.key('listed header')}"),
        ]
        if encoding:
            headers.append(("Content-Encoding", encoding))
        if media == documents.GRPC:
            headers += [("TE", "trailers"), ("grpc-encoding", "gzip")]
        target = f"{path}?{query}"
        if split == "length":
            # A length that is not the body's is a damage, too.
            length = len(body) + (rng.choice((-7, 9)) if fault == "damaged framing" else 0)
            return client.head(self._number, target, headers, max(0, length), media=media) + body
        pieces = [documents.framed(piece) for piece in documents.chunks(body, rng, split)]
        if fault == "damaged framing":
            pieces.insert(rng.randrange(len(pieces) + 1), rng.choice((b"zz\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n", b"5\r\n\r\n")))
        end = b"0\r\n"
        if rng.random() < 0.4:
            end += f"X-Note: {canaries.email('trailer')}\r\nX-Other: {canaries.key('trailer')}\r\n".encode()
        return client.head(self._number, target, headers, media=media) + b"".join(pieces) + end + b"\r\n"

    def _form(self):
        """A format, a coding, and what makes a body."""
        if self._calls and self._rng.random() < 0.4:
            return CALLS, "plain", documents.calls
        name = self._rng.choice(list(documents.FORMATS))
        return name, self._rng.choice(list(documents.CODINGS)), documents.FORMATS[name]

    async def _answer(self, link):
        rng, canaries, before = self._rng, self._canaries, len(self._canaries)
        fault = rng.choice(ANSWER_FAULTS)
        name, coding, make = self._form()
        canaries.case = f"answer in {name}, {coding}, {fault}"
        damages = fault == "damaged answer"
        size = int(2 ** rng.uniform(8, 11)) if rng.random() < 0.5 else int(2 ** rng.uniform(13, 16))
        media, body = make(canaries, rng, size, not damages)
        encoding, encode = documents.CODINGS[coding]
        body = encode(body)
        if damages:
            body = damaged_between(body, rng) if not encoding and name in documents.LENIENT else damaged(body, rng)
        number = self._next()
        head = [f"Content-Type: {media}"] if media else []
        head += ["grpc-encoding: gzip"] if name == CALLS else []
        head += [f"Content-Encoding: {encoding}"] if encoding else []
        if rng.random() < 0.5:
            head, framed = [*head, f"Content-Length: {len(body)}"], body
        else:
            head = [*head, "Transfer-Encoding: chunked"]
            framed = b"".join(map(documents.framed, documents.chunks(body, rng, "scattered"))) + b"0\r\n\r\n"
        status = rng.choice(("200 OK", "200 OK", "400 Bad Request", "500 Oops"))
        whole = ("\r\n".join([f"HTTP/1.1 {status}", *head]) + "\r\n\r\n").encode() + framed
        self._upstream.answers[str(number)] = whole
        cut = rng.randrange(len(whole))
        wants = f"answer {number}" + {"answer reset": f" reset {cut}", "answer stalls": f" stall {cut}"}.get(fault, "")
        headers = [("X-Upstream", wants), ("Accept-Encoding", "gzip, deflate, zstd, br")]
        if name == CALLS:
            headers += [("TE", "trailers"), ("grpc-accept-encoding", "gzip")]
        asked = b"\0\0\0\0\0" if name == CALLS else b"{}"
        data = client.head(number, f"/{ANSWERS}/x", headers, len(asked), media=media if name == CALLS else "application/json") + asked
        share = cut / len(whole) if fault in ("answer reset", "answer stalls") else 1.0
        planted = len(canaries) - before
        ask = link.abandon([data], True) if fault == "client resets" else link.ask([data])
        self._replies.append((await ask, damages))
        del self._upstream.answers[str(number)]
        self._planted(planted, share, f"answer: {fault}", name, coding)

    def _search(self):
        seen = self._upstream.seen
        damaged = [each for each in seen if each.headers.get(b"x-number") in self._damaged]
        intact = [each for each in seen if each.headers.get(b"x-number") not in self._damaged]
        answers = [answer for answer, damages in self._replies if not damages]
        damaged_answers = [answer for answer, damages in self._replies if damages]
        join = b"\0".join
        self._note("upstream, heads", join(each.head for each in seen))
        self._note("upstream, bodies", join(bytes(each.body) for each in intact))
        self._note("upstream, decompressed", join(plain_of(each.body, each.headers) for each in intact))
        self._note("upstream, damaged", join(bytes(each.body) for each in damaged), canary.search_whole)
        self._note("upstream, damaged, decompressed", join(plain_of(each.body, each.headers) for each in damaged), canary.search_whole)
        # Between the chunks, above all: what stands in two pieces in it is whole above.
        self._note("upstream, as it came", join(self._upstream.raw), canary.search_whole)
        self._note("reply", join(answer.raw for answer in answers))
        self._note("reply, body", join(answer.body for answer in answers))
        self._note("reply, damaged", join(answer.raw + b"\0" + answer.body for answer in damaged_answers), canary.search_whole)
        self._note("log", self._proxy.log().encode())
        self._note("admin port", join(self._pages))

    def _note(self, where, data, search=canary.search):
        """Notes what is found; a path does not change on its way to the upstream."""
        for hit in search(self._canaries, data, where):
            if not (hit.canary and hit.canary.allowed and where.startswith("upstream")):
                self.hits.append(hit)


def plain_of(body, headers):
    if headers.get(b"content-type") == documents.GRPC.encode():
        return b"\0".join(documents.messages(bytes(body)))
    coding = headers.get(b"content-encoding")
    return canary.decompressed(body, coding) if coding else b""


def _segments(data, rng):
    """One write, or a few: where a body is cut is the business of its chunks, too."""
    cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 0, 1, 3, 12))))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]
    return [piece for piece in pieces if piece]


def damaged(body, rng):
    """Some byte is another, or the end is missing, or something stands behind it."""
    at = rng.randrange(len(body))
    return rng.choice(
        (
            body[:at] + bytes([body[at] ^ (1 << rng.randrange(8))]) + body[at + 1 :],
            body[: max(1, at)],
            body + rng.randbytes(9),
        )
    )


def damaged_between(body, rng):
    """Something that does not belong there in the middle of the filling, which no canary
    stands next to."""
    words = [at for at in range(len(body) - 20) if body[at : at + 1] == b" " and body[at - 10 : at + 10].isascii() and
             all(byte in b"abdefgilmnoprstuw " for byte in body[at - 10 : at + 10])] or [0]
    at = rng.choice(words[:: max(1, len(words) // 50)])
    return body[:at] + rng.choice((b"\\x", b"\\u12", b"\x00", b"{[", b"\n\n", b"}}")) + body[at:]


async def self_check(folder, seed):
    """How many of the canaries that a route with `report` lets through, and of those
    that are written in other forms, the search finds: (found, planted)."""
    rng, canaries = random.Random(seed), canary.Canaries()
    async with Upstream(keep=True) as upstream:
        with Proxy(None, folder, config(upstream.url, folder)) as proxy:
            link, numbers = client.Link(proxy.address), itertools.count()
            over_http2 = client.Http2Link(proxy.address)
            for _ in range(8):
                media, body = documents.calls(canaries, rng, 2000, True)
                headers = [("TE", "trailers"), ("grpc-encoding", "gzip")]
                data = client.head(next(numbers), f"/{REPORT}/x", headers, len(body), media=media) + body
                answer = await over_http2.ask([data])
                assert answer.good and b"grpc-status: 0" in answer.raw, answer
            over_http2.close()
            for name, coding in itertools.product(documents.FORMATS, documents.CODINGS):
                media, body = documents.FORMATS[name](canaries, rng, 2000, True)
                encoding, encode = documents.CODINGS[coding]
                headers = [("X-Note", canaries.email("header")), *([("Content-Encoding", encoding)] if encoding else [])]
                body = encode(body)
                data = client.head(next(numbers), f"/{REPORT}/x", headers, len(body), media=media) + body
                answer = await link.ask([data])
                assert answer.good, (name, coding, answer)
            # Forms that no rule sees: what is written so passes any route.
            forms = (base64.b64encode, binascii.hexlify, lambda text: b"".join(b"%%%02x" % byte for byte in text))
            for at, form in enumerate(forms * 3):
                body = b"- " + form(b"a" * (at // 3) + canaries.email("another form").encode())
                data = client.head(next(numbers), f"/{REPORT}/x", (), len(body), media="text/plain") + body
                assert (await link.ask([data])).good
            link.close()
    found, forms = set(), collections.Counter()
    seen = upstream.seen
    for data in [b"\0".join(upstream.raw), *(plain_of(each.body, each.headers) for each in seen)]:
        for hit in canary.search(canaries, data, "upstream"):
            forms[hit.form] += 1
            if hit.canary:
                found.add(hit.canary.text)
    asked = [each for each in canaries if each.place not in ("text in pieces", "another form")]
    for each in asked:
        if each.text not in found:
            print(f"  not seen: {each.place}", flush=True)
    seen_forms = sum(forms[form] > 0 for form in ("raw", "base64", "hex", "URL-encoded"))
    return len(found & {each.text for each in asked}) + seen_forms, len(asked) + 4


def control_dumps(folder):
    """Whether a process that is aborted leaves a core here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    process = subprocess.Popen(["sleep", "60"], cwd=folder)
    process.send_signal(signal.SIGABRT)
    told = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.wait()
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))
    return told.si_code == os.CLD_DUMPED
