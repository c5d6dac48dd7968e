"""What becomes of every recorded request, in a table for each SDK and each request:
recall, damage, and the time that the proxy adds.

Each request is sent in turns to a sink itself and by way of the proxy, on a
connection of its own. --write puts the table of SDKs into docs/captures.md; the
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

import captures
import wire
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
    recorded = captures.load(options.sdks or [*captures.SDKS, *captures.SIGNED])
    if not recorded:
        sys.exit(f"no captures in {captures.FOLDER}; set EXPURGATE_SHARED")
    rows, sdks = [], {}
    with tempfile.TemporaryDirectory() as folder, Sink() as sink, Proxy(sink.url, folder) as proxy:
        for capture in recorded:
            row = measure(capture, proxy, sink, options.rounds)
            rows.append(row)
            sdks.setdefault(capture.name.split("/")[0], Row(capture.name.split("/")[0])).add(row)
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
    entity = captures.decode(bytes(request.body), request.header("Content-Encoding", ""))
    score = captures.score(capture, entity)
    row.planted.update(score.planted)
    row.leaked.update({kind: len(items) for kind, items in score.leaked.items()})
    row.damaged = len(score.damaged)
    direct, proxied = [], []
    for _ in range(rounds):
        for address, times in ((sink.address, direct), (proxy.address, proxied)):
            times.append(send(capture, address)[1] * 1000)
        sink.forget()
    row.direct = [statistics.median(direct)]
    row.added = [statistics.median(proxied) - statistics.median(direct)]
    return row


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
