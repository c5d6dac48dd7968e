"""What becomes of every recorded request, in a table for each SDK and each request:
recall, damage, and the time that the proxy adds.

Each request is sent in turns to a sink itself and by way of the proxy, on a
connection of its own; calls of gRPC over HTTP/2, to a server of gRPC. --write puts the table of SDKs into docs/captures.md; the
one of requests is printed. The exit code is 1 if what must not leak leaked, or a
look-alike was damaged.

usage: tests/sdk/captures_table.py [--rounds N] [--write | SDK...]
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter

import calls
import captures
import wire
from calls import CallSink
from proxy import REPOSITORY, Proxy
from sink import Sink

PAGE = REPOSITORY / "docs" / "captures.md"
BEGIN, END = "<!-- measured: make captures -->\n", "<!-- end -->"
KINDS = {
    "email": "e-mail",
    "phone": "phone",
    "phone_national": "phone, national",
    "credential": "credential",
    "credential_ctx": "by context",
    "other_pii": "other",
}
# The most that a frame of HTTP/2 holds unless a server says otherwise.
FRAME = 16 * 1024
NEVER_LEAKED = ("email", "phone", "credential")


class Row:
    """One request, or the sum of several."""

    def __init__(self, name):
        self.name = name
        self.requests = self.refused = self.bytes = self.damaged = 0
        self.planted, self.leaked = Counter(), Counter()
        self.direct, self.added = [], []

    def add(self, other):
        for name in ("requests", "refused", "bytes", "damaged", "planted", "leaked", "direct", "added"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def cells(self):
        def caught(kind):
            planted = self.planted[kind]
            return f"{planted - self.leaked[kind]} / {planted}" if planted else "-"

        times = []
        if self.added:
            times = [statistics.median(self.direct), statistics.median(self.added), max(self.added)]
        return [
            self.name,
            str(self.requests),
            str(self.refused or "-"),
            f"{self.bytes / 1000:.0f}",
            *map(caught, KINDS),
            "-" if self.refused == self.requests else str(self.damaged),
            *([f"{each:.2f}" for each in times] or ["-"] * 3),
        ]

    def is_sound(self):
        return self.damaged == 0 and all(self.leaked[kind] == 0 for kind in NEVER_LEAKED)


TITLES = ["SDK", "requests", "refused", "kB", *KINDS.values(), "damaged", "direct, ms", "added, ms", "at most, ms"]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    arguments.add_argument("sdks", nargs="*", metavar="SDK", help="only these")
    arguments.add_argument("--rounds", type=int, default=9, help="how often each request is sent each way")
    arguments.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(REPOSITORY)}")
    options = arguments.parse_args()
    if options.write and options.sdks:
        arguments.error("the page is of all SDKs")
    recorded = captures.load(options.sdks or captures.ALL)
    if not recorded:
        sys.exit(f"no captures in {captures.FOLDER}; set EXPURGATE_SHARED")
    rows, sdks = [], {}
    plain = [capture for capture in recorded if capture.sdk not in captures.CALLS]
    called = [capture for capture in recorded if capture.sdk in captures.CALLS]
    with tempfile.TemporaryDirectory() as folder, Sink() as sink, Proxy(sink.url, folder) as proxy:
        rows += [measure(capture, proxy, sink, options.rounds) for capture in plain]
    with tempfile.TemporaryDirectory() as folder, CallSink() as sink, Proxy(sink.url, folder) as proxy:
        rows += [measure_call(capture, proxy, sink, options.rounds) for capture in called]
    for capture, row in zip([*plain, *called], rows):
        sdks.setdefault(capture.sdk, Row(capture.sdk)).add(row)
    total = Row("all")
    for row in rows:
        total.add(row)
    print(table(rows))
    summary = table([*sdks.values(), total])
    print(f"\n{summary}")
    if not total.is_sound():
        sys.exit("captures: leaked or damaged; the page stays as it is")
    if options.write:
        write(summary)


def measure(capture, proxy, sink, rounds):
    """Sends a request each way in turns, and judges what the sink got."""
    row = Row(capture.name)
    row.requests, row.bytes = 1, len(capture.wire)
    sink.forget()
    answer, _ = send(capture, proxy.address)
    if answer.status != 200:
        assert answer.status in (415, 422) and sink.requests == [], capture.name
        row.refused = 1
        return row
    (request,) = sink.requests
    judge(row, capture, captures.decode(bytes(request.body), request.header("Content-Encoding", "")))
    in_turns(row, rounds, [sink.address, proxy.address], lambda address: send(capture, address)[1], sink.forget)
    return row


def measure_call(capture, proxy, sink, rounds):
    """The same of a call of gRPC."""
    row = Row(capture.name)
    row.requests, row.bytes = 1, len(capture.wire)
    sink.calls.clear()
    assert call(capture, proxy.address)[0].status == "0", capture.name
    judge(row, capture, b"".join(sink.only().messages))
    addresses = [f"127.0.0.1:{sink.port}", proxy.address]
    in_turns(row, rounds, addresses, lambda address: call(capture, address)[1], sink.calls.clear)
    return row


def judge(row, capture, entity):
    """Counts what the upstream got."""
    score = captures.score(capture, entity)
    row.planted.update(score.planted)
    row.leaked.update({kind: len(items) for kind, items in score.leaked.items()})
    row.damaged = len(score.damaged)


def in_turns(row, rounds, addresses, exchange, forget):
    """Times an exchange with the sink itself, and with the proxy."""
    times = [[], []]
    for _ in range(rounds):
        for address, taken in zip(addresses, times):
            taken.append(exchange(address) * 1000)
        forget()
    direct, proxied = map(statistics.median, times)
    row.direct, row.added = [direct], [proxied - direct]


def call(capture, address):
    """How a recorded call ends, and the seconds from the connection to its end."""
    headers = [(name, value) for name, value in capture.request["headers"] if name == "grpc-encoding"]
    frames = [capture.wire[at : at + FRAME] for at in range(0, len(capture.wire), FRAME)]
    started = time.perf_counter()
    ended = calls.raw(address, capture.request["target"], frames, headers)
    return ended, time.perf_counter() - started


def send(capture, address):
    """The answer, and the seconds from the connection to its end."""
    started = time.perf_counter()
    answer = wire.exchange(address, capture.head + capture.wire, wire.whole, capture.request["method"])
    return answer, time.perf_counter() - started


def table(rows):
    lines = ["| " + " | ".join(TITLES) + " |", "| --- |" + " --: |" * (len(TITLES) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row.cells()) + " |" for row in rows])


def write(summary):
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{summary}\n\n{END}{after}")


if __name__ == "__main__":
    main()
