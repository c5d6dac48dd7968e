"""HTTP/2 clients that make work instead of requests, frame by frame.

Each flood comes on one connection from somebody who reads nothing unless the attack needs
it. Whatever becomes of that connection, the process stays small, few requests reach the
upstream, others are served meanwhile, and nothing of the flood is left when it is over.
"""

import contextlib
import itertools
import socket
import threading
import time
from dataclasses import dataclass

import pytest
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

import wire
from proxy import Proxy
from sink import Answer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CONFIG = """
[timeouts]
client_write = "1s"
body_idle = "1s"
keep_alive = "1s"
response_head = "5s"
"""
# Of a flood, if nobody ends it.
MANY = 100_000
FLOOD_SECONDS = 10
COME_AGAIN = 0.05
END_SECONDS = 30
# The rules take most of it; a flood that piles up takes more in a moment.
GROWTH = 24 << 20
# For an answer to somebody else while a flood goes on, on machines with one core, too.
OTHERS_SECONDS = 5


class Peer:
    """A connection on which frames are what the test says."""

    def __init__(self, address, settings=None):
        host, port = address.split(":")
        self.sock = socket.create_connection((host, int(port)), timeout=END_SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.encoder = Encoder()
        self.streams = itertools.count(1, 2)
        self.host = address
        self.send(PREFACE, SettingsFrame(0, settings=settings or {}))

    def send(self, *parts):
        self.sock.sendall(b"".join(each if isinstance(each, bytes) else each.serialize() for each in parts))

    def fields(self, method="GET", **more):
        fields = [(":method", method), (":scheme", "http"), (":path", "/flood"), (":authority", self.host)]
        return self.encoder.encode(fields + list(more.items()))

    def headers(self, stream, flags=("END_HEADERS", "END_STREAM"), **fields):
        frame = HeadersFrame(stream, self.fields(**fields))
        for flag in flags:
            frame.flags.add(flag)
        return frame

    def frames(self, seconds=END_SECONDS):
        """What comes until the connection ends, or nothing comes for so long."""
        self.sock.settimeout(seconds)
        data = b""
        with contextlib.suppress(OSError):
            while True:
                while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], "big"):
                    piece = self.sock.recv(65536)
                    if not piece:
                        return
                    data += piece
                frame, length = Frame.parse_frame_header(memoryview(data[:9]))
                frame.parse_body(memoryview(data[9 : 9 + length]))
                data = data[9 + length :]
                yield frame

    def is_told_to_go(self):
        """Whether the other side ends the connection with an error, by a word or a reset."""
        return any(isinstance(frame, GoAwayFrame) and frame.error_code for frame in self.frames())


def rapid_resets(peer):
    """CVE-2023-44487: requests that are taken back at once."""
    while True:
        stream = next(peer.streams)
        yield peer.headers(stream), RstStreamFrame(stream, error_code=8)


def mistakes(peer):
    """CVE-2025-8671: requests that the other side has to take back, while the work for
    them goes on."""
    while True:
        stream = next(peer.streams)
        yield peer.headers(stream), WindowUpdateFrame(stream, window_increment=(1 << 31) - 1)


def continuations(peer):
    """CVE-2024-27316: a head without an end."""
    block = Encoder().encode([("x-more", "y" * 8000)])
    yield (peer.headers(next(peer.streams), flags=()),)
    while True:
        yield (ContinuationFrame(1, block),)


def empty_continuations(peer):
    yield (peer.headers(next(peer.streams), flags=()),)
    while True:
        yield (ContinuationFrame(1, b""),) * 100


def settings(_):
    """CVE-2019-9515: each wants an answer, which nobody reads."""
    while True:
        yield (SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 65535}),) * 100


def pings(_):
    """CVE-2019-9512: the same."""
    while True:
        yield (PingFrame(0, opaque_data=b"12345678"),) * 100


def priorities(peer):
    while True:
        yield (PriorityFrame(next(peer.streams), depends_on=0, stream_weight=1),) * 100


def empty_data(peer):
    """CVE-2019-9518: a body that is no longer for all its frames."""
    stream = next(peer.streams)
    yield (peer.headers(stream, ("END_HEADERS",), method="POST", **{"content-type": "application/json"}),)
    while True:
        yield (DataFrame(stream, b""),) * 100


def tiny_data(peer):
    """A body of one byte per frame, each with 255 of padding."""
    stream = next(peer.streams)
    yield (peer.headers(stream, ("END_HEADERS",), method="POST", **{"content-type": "application/json"}),)
    while True:
        frame = DataFrame(stream, b"1", pad_length=255)
        frame.flags.add("PADDED")
        yield (frame,) * 10


def bodies_without_an_end(peer):
    """As many requests as there may be, each with a little of its body, and more of them."""
    while True:
        stream = next(peer.streams)
        head = peer.headers(stream, ("END_HEADERS",), method="POST", **{"content-type": "application/json"})
        yield head, DataFrame(stream, b"[1, 2")


FLOODS = {
    flood.__name__: flood
    for flood in (
        *(rapid_resets, mistakes, continuations, empty_continuations, settings, pings, priorities),
        *(empty_data, tiny_data, bodies_without_an_end),
    )
}
# Those on which the other side has to end the connection.
ENDED = {"rapid_resets", "mistakes", "continuations", "empty_continuations", "empty_data"}
# Of all requests of a flood.
MOST_FORWARDED = 2000


@pytest.fixture
def small(sink, tmp_path):
    with Proxy(sink.url, tmp_path, CONFIG) as proxy:
        # What it needs in any case.
        assert wire.post(proxy.address, b'{"to": "others"}').status == 200
        sink.forget()
        yield proxy


def pour(peer, flood):
    """Sends until it is enough, or the other side takes no more."""
    end = time.monotonic() + FLOOD_SECONDS
    peer.sock.settimeout(2)
    with contextlib.suppress(OSError):
        for parts in itertools.islice(flood(peer), MANY):
            peer.send(*parts)
            if time.monotonic() > end:
                break


def assert_nothing_is_left(proxy):
    for gauge in ("inflight_requests", "buffered_bytes", "holdback_bytes"):
        end = time.monotonic() + END_SECONDS
        while proxy.metric(f"expurgate_{gauge}") and time.monotonic() < end:
            time.sleep(0.05)  # the interval of a poll with a deadline
        assert proxy.metric(f"expurgate_{gauge}") == 0, gauge


@dataclass
class Poured:
    """What a flood did, on so many connections: `slowest` is the longest that others waited,
    and `whole` how many of its bodies ended cleanly though none has an end."""

    slowest: float
    served: int
    growth: int
    forwarded: int
    whole: int
    connections: int


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_costs_little_and_harms_nobody(name, sink, small):
    poured = pour_out(name, sink, small)
    assert poured.slowest < OTHERS_SECONDS
    assert poured.growth < GROWTH
    assert poured.forwarded < MOST_FORWARDED
    assert poured.whole == 0


def pour_out(name, sink, proxy, seconds=0):
    """What comes of a flood that comes again for so long, once nothing of it is left."""
    before = proxy.peak_memory()
    peers = [Peer(proxy.address)]

    def pour_again():
        end = time.monotonic() + seconds
        pour(peers[0], FLOODS[name])
        while time.monotonic() < end:
            # Each may call the upstream, as 20 requests of anybody may, who is not to be flooded.
            time.sleep(COME_AGAIN)
            peers[-1].sock.close()
            peers.append(Peer(proxy.address))
            pour(peers[-1], FLOODS[name])

    pouring = threading.Thread(target=pour_again)
    pouring.start()
    slowest, served = 0, 0
    while pouring.is_alive() or not served:
        begin = time.monotonic()
        answer = wire.post(proxy.address, b'{"to": "others"}', target="/others")
        assert answer.status == 200, (answer, served)
        slowest, served = max(slowest, time.monotonic() - begin), served + 1
    pouring.join()
    peer = peers[-1]
    if name in ENDED:
        assert peer.is_told_to_go() or is_ended(peer)
    peer.sock.close()
    assert_nothing_is_left(proxy)
    forwarded = [request for request in sink.requests if request.target == "/flood"]
    whole = [request for request in forwarded if request.method == "POST" and request.clean]
    return Poured(slowest, served, proxy.peak_memory() - before, len(forwarded), len(whole), len(peers))


def is_ended(peer):
    """Whether the connection is gone: reset, it may have lost its last word."""
    try:
        peer.sock.settimeout(END_SECONDS)
        while peer.sock.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


@pytest.mark.timeout(120)
def test_windows_that_never_open_cost_their_streams_only(sink, small):
    large = b"x" * (1 << 20)
    sink.answer = lambda request: Answer(body=large if request.target == "/flood" else b"{}")
    before = small.peak_memory()
    peer = Peer(small.address, {SettingsFrame.INITIAL_WINDOW_SIZE: 0})
    streams = [next(peer.streams) for _ in range(100)]
    peer.send(*(peer.headers(stream) for stream in streams))
    assert wire.post(small.address, b'{"to": "others"}', target="/others").status == 200
    reset = set()
    for frame in peer.frames():
        assert not isinstance(frame, DataFrame) or not frame.data
        if isinstance(frame, RstStreamFrame):
            reset.add(frame.stream_id)
        if len(reset) == len(streams):
            break
    assert reset == set(streams)
    assert_nothing_is_left(small)
    assert small.peak_memory() - before < GROWTH
    # The connection itself is as good as ever.
    stream = next(peer.streams)
    peer.send(peer.headers(stream), WindowUpdateFrame(stream, window_increment=1 << 21))
    peer.send(WindowUpdateFrame(0, window_increment=1 << 21))
    received = 0
    for frame in peer.frames():
        received += len(frame.data) if isinstance(frame, DataFrame) else 0
        if "END_STREAM" in frame.flags:
            break
    assert received == len(large)
    peer.sock.close()


def test_more_streams_than_there_may_be_are_refused(sink, small):
    gate = threading.Event()
    sink.answer = lambda _: Answer() if gate.wait(END_SECONDS) else None
    peer = Peer(small.address)
    # As long as the other side's settings have not come, a client knows of no limit.
    peer.send(*(peer.headers(next(peer.streams)) for _ in range(150)))
    refused = 0
    for frame in peer.frames():
        refused += isinstance(frame, RstStreamFrame) and frame.error_code == 7
        if refused == 50:
            break
    gate.set()
    ended = set()
    for frame in peer.frames():
        if "END_STREAM" in frame.flags:
            ended.add(frame.stream_id)
        if len(ended) == 100:
            break
    assert (refused, len(ended), len(sink.requests)) == (50, 100, 100)
    peer.sock.close()
