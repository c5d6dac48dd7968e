"""Clients that send request after request, and what became of each."""

import asyncio
import collections
import json
import random
import time
from dataclasses import dataclass, field

import client
import payload


@dataclass
class Ended:
    """A request: when it began, when its head was handed to the kernel, and how
    it ended."""

    number: str
    began: float
    answer: client.Answer
    # Whether it was the first on its connection.
    first: bool = False


@dataclass
class Load:
    """`clients` that ask one after the other until `stop`; with `tls` over TLS.
    A part of the connections is new for each request."""

    address: str
    clients: int = 16
    tls: object = None
    patience: float = 30
    # Milliseconds that the upstream waits at most.
    wait: int = 0
    # Seconds between two requests of one client.
    pause: float = 0.0
    seed: int = 1
    ended: list = field(default_factory=list)

    def __post_init__(self):
        self._rng = random.Random(self.seed)
        self._stopped = asyncio.Event()
        self._bodies = [body.encode() for size in (500, 2_000, 16_000) for body in payload.bodies(size, 8)]
        # More than is buffered: it streams.
        self._bodies += [body.encode() for body in payload.bodies(400_000, 1)]
        self._count = 0

    def stop(self):
        self._stopped.set()

    async def run(self):
        await asyncio.gather(*(self._client(f"{self.seed}.{each}") for each in range(self.clients)))
        return self.ended

    async def _client(self, name):
        link = client.Link(self.address, self.patience, self.tls)
        while not self._stopped.is_set():
            self._count += 1
            number = f"{name}.{self._count}"
            first = not link.is_open
            ended = Ended(number, time.monotonic(), None, first)
            ended.answer = await link.ask(self._request(number))
            self.ended.append(ended)
            if self._rng.random() < 0.1:
                link.close()
            if self.pause or not ended.answer.good:
                await asyncio.sleep(self.pause or 0.01)
        link.close()

    def _request(self, number):
        body = self._rng.choice(self._bodies)
        headers = [("X-Upstream", f"wait {self._rng.randrange(self.wait)}")] if self.wait else []
        if self._rng.random() < 0.3:
            half = len(body) // 2
            pieces = [b"%x\r\n%b\r\n" % (len(each), each) for each in (body[:half], body[half:])]
            slow = [self._rng.uniform(0, self.wait / 1000)] if self.wait else []
            return [client.head(number, headers=headers), pieces[0], *slow, pieces[1] + b"0\r\n\r\n"]
        return [client.head(number, headers=headers, length=len(body)) + body]


def outcomes(ended):
    """How many ended how: a status, or a word."""
    told = collections.Counter()
    for each in ended:
        status = each.answer.status
        if status == 503:
            status = f"503 {json.loads(each.answer.body)['error']['code']}"
        told[str(status) if each.answer.whole or not isinstance(status, int) else f"{status} cut"] += 1
    return told


def shown(counter):
    return ", ".join(f"{count:,} {what}" for what, count in sorted(counter.items(), key=lambda each: -each[1]))
