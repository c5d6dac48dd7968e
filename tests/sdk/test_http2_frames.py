"""Frames and heads of HTTP/2 that RFC 9113 forbids, one at a time, as h2spec has them.

Each comes on a connection of its own, behind a request that is as it should be or instead of
one. It costs the stream or the connection, by a frame that says so, a 4xx or an end; nothing
of it is whole at the upstream, and whoever comes next is served.
"""

import contextlib
import struct

import pytest
from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
)

import wire
from proxy import Proxy
from sink import Sink
from test_http2_floods import CONFIG, Peer, assert_nothing_is_left

JSON = {"content-type": "application/json"}
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
SECONDS = 10
ENDS = ("farewell", "reset", "end")


def frame(kind, stream=0, payload=b"", flags=0):
    """A frame as its bytes, whatever they say."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def post(peer, stream=1, **more):
    """A head whose body is to come."""
    return peer.headers(stream, ("END_HEADERS",), method="POST", **JSON, **more)


def head(fields, stream=1, flags=END_HEADERS | END_STREAM):
    """A head with just these fields, in this order."""
    return frame(HEADERS, stream, Encoder().encode(fields), flags)


def setting(key, value):
    return frame(SETTINGS, payload=struct.pack(">HI", key, value))


def increment(value):
    return struct.pack(">I", value)


# What the connection is ended for.
CONNECTION = {
    "data on stream 0": lambda peer: [frame(DATA, 0, b"1")],
    "data on an idle stream": lambda peer: [frame(DATA, 5, b"1")],
    "data with more padding than there is": lambda peer: [post(peer), frame(DATA, 1, b"\x09abc", PADDED)],
    "a head on stream 0": lambda peer: [frame(HEADERS, 0, peer.fields(), END_HEADERS | END_STREAM)],
    "a head on an even stream": lambda peer: [frame(HEADERS, 2, peer.fields(), END_HEADERS | END_STREAM)],
    "a head with more padding than there is": lambda peer: [frame(HEADERS, 1, b"\xff" + peer.fields(), END_HEADERS | PADDED)],
    "a head cut by another frame": lambda peer: [peer.headers(1, ()), PingFrame(0, opaque_data=b"12345678")],
    "a head cut by another stream's continuation": lambda peer: [peer.headers(1, ()), ContinuationFrame(3, b"")],
    "a head cut by another head": lambda peer: [peer.headers(1, ()), peer.headers(3)],
    "a continuation of nothing": lambda peer: [ContinuationFrame(1, peer.fields())],
    "a continuation of a whole head": lambda peer: [post(peer), frame(CONTINUATION, 1, peer.fields(), END_HEADERS)],
    "a field that is in no table": lambda peer: [frame(HEADERS, 1, b"\xff\x80\x80\x08", END_HEADERS | END_STREAM)],
    "a field that is cut": lambda peer: [frame(HEADERS, 1, peer.fields()[:-3], END_HEADERS | END_STREAM)],
    "a table that is too large": lambda peer: [frame(HEADERS, 1, b"\x3f\xe1\xff\xff\x03" + peer.fields(), END_HEADERS | END_STREAM)],
    "a reset of stream 0": lambda peer: [frame(RST_STREAM, 0, bytes(4))],
    "a reset of an idle stream": lambda peer: [frame(RST_STREAM, 7, bytes(4))],
    "a reset of another length": lambda peer: [post(peer), frame(RST_STREAM, 1, bytes(3))],
    "settings of a stream": lambda peer: [frame(SETTINGS, 1)],
    "settings of another length": lambda peer: [frame(SETTINGS, 0, bytes(5))],
    "an acknowledgement that says something": lambda peer: [frame(SETTINGS, 0, bytes(6), ACK)],
    "a push that is half on": lambda peer: [setting(2, 2)],
    "a window beyond all bounds": lambda peer: [setting(4, 1 << 31)],
    "a frame size below the least": lambda peer: [setting(5, 16383)],
    "a frame size above the largest": lambda peer: [setting(5, 1 << 24)],
    "a ping on a stream": lambda peer: [frame(PING, 1, bytes(8))],
    "a ping of another length": lambda peer: [frame(PING, 0, bytes(7))],
    "a farewell on a stream": lambda peer: [frame(GOAWAY, 1, bytes(8))],
    "a promise of a client": lambda peer: [post(peer), frame(PUSH_PROMISE, 1, increment(2) + peer.fields(), END_HEADERS)],
    "a window that opens by nothing": lambda peer: [frame(WINDOW_UPDATE, 0, increment(0))],
    "a window that opens too far": lambda peer: [frame(WINDOW_UPDATE, 0, increment((1 << 31) - 1))],
    "a window's frame of another length": lambda peer: [frame(WINDOW_UPDATE, 0, bytes(3))],
    "the window of an idle stream": lambda peer: [frame(WINDOW_UPDATE, 9, increment(1))],
    "a frame above the size that was told": lambda peer: [post(peer), frame(DATA, 1, bytes(1 << 20))],
}

PSEUDO = [(":method", "POST"), (":scheme", "http"), (":path", "/flood"), (":authority", "upstream.test")]


def without(name):
    return [field for field in PSEUDO if field[0] != name]


def with_value(name, value):
    return [(key, value if key == name else old) for key, old in PSEUDO]


# What is no request, whose stream is ended or answered with 4xx.
HEADS = {
    "no method": without(":method"),
    "no scheme": without(":scheme"),
    "no path": without(":path"),
    "an empty path": with_value(":path", ""),
    "a path without a slash": with_value(":path", "flood"),
    "a path with a space": with_value(":path", "/flo od"),
    "a method with a space": with_value(":method", "POST /x HTTP/1.1"),
    "a method with an end of line": with_value(":method", "POST\r\nX: 1"),
    "a path with an end of line": with_value(":path", "/flood HTTP/1.1\r\nX: 1"),
    "an authority with an end of line": with_value(":authority", "a\r\nX: 1"),
    "two methods": [*PSEUDO, (":method", "GET")],
    "two paths": [*PSEUDO, (":path", "/other")],
    "two schemes": [*PSEUDO, (":scheme", "https")],
    "two authorities": [*PSEUDO, (":authority", "other.test")],
    "a status": [*PSEUDO, (":status", "200")],
    "an unknown word with a colon": [*PSEUDO, (":magic", "1")],
    "a method behind a field": [("x-a", "1"), *PSEUDO],
    "a name in capitals": [*PSEUDO, ("X-Capitals", "1")],
    "a name with a space": [*PSEUDO, ("x a", "1")],
    "a name with a colon": [*PSEUDO, ("x-a: b", "1")],
    "a name with an end of line": [*PSEUDO, ("x-a\r\nx-b", "1")],
    "an empty name": [*PSEUDO, ("", "1")],
    "a value with a line feed": [*PSEUDO, ("x-a", "1\nx-b: 2")],
    "a value with a carriage return": [*PSEUDO, ("x-a", "1\rx-b: 2")],
    "a value with a NUL": [*PSEUDO, ("x-a", "1\0")],
    "connection": [*PSEUDO, ("connection", "x-a")],
    "keep-alive": [*PSEUDO, ("keep-alive", "timeout=5")],
    "proxy-connection": [*PSEUDO, ("proxy-connection", "keep-alive")],
    "transfer-encoding": [*PSEUDO, ("transfer-encoding", "chunked")],
    "upgrade": [*PSEUDO, ("upgrade", "websocket")],
    "te with more than trailers": [*PSEUDO, ("te", "trailers, deflate")],
    "a host that is another": [*PSEUDO, ("host", "other.test")],
    "two hosts": [*without(":authority"), ("host", "a.test"), ("host", "b.test")],
    "a CONNECT with a path": with_value(":method", "CONNECT"),
    "a protocol without CONNECT": [*PSEUDO, (":protocol", "websocket")],
    "lengths that differ": [*PSEUDO, ("content-length", "0"), ("content-length", "5")],
    "a length with a plus": [*PSEUDO, ("content-length", "+0")],
    "a length of a body that is not there": [*PSEUDO, ("content-length", "5")],
}

# Bodies that are not as their head says, or come when it is over.
BODIES = {
    "less than the length": lambda peer: [post(peer, **{"content-length": "5"}), frame(DATA, 1, b"[1]", END_STREAM)],
    "more than the length": lambda peer: [post(peer, **{"content-length": "2"}), frame(DATA, 1, b"[1]", END_STREAM)],
    "trailers that do not end the stream": lambda peer: [
        *(post(peer), frame(DATA, 1, b"[1]")),
        frame(HEADERS, 1, peer.encoder.encode([("x-a", "1")]), END_HEADERS),
        frame(DATA, 1, b"", END_STREAM),
    ],
    "a stream's window that opens by nothing": lambda peer: [post(peer), frame(WINDOW_UPDATE, 1, increment(0))],
    "a stream's window that opens too far": lambda peer: [post(peer), frame(WINDOW_UPDATE, 1, increment((1 << 31) - 1))],
    "a stream that waits for itself": lambda peer: [post(peer), frame(PRIORITY, 1, increment(1) + b"\x10")],
    "a stream that is taken back": lambda peer: [post(peer), frame(DATA, 1, b"[1"), RstStreamFrame(1, error_code=8)],
}

# What a recipient has to let pass, before a request.
FINE = {
    "nothing": [],
    "a frame of an unknown kind": [frame(0xBE, 0, b"hello", 0xFF)],
    "an unknown setting": [setting(0xBEEF, 1)],
    "unknown flags of a ping": [frame(PING, 0, bytes(8), 0xFE)],
    "a priority of an idle stream": [frame(PRIORITY, 9, increment(0) + b"\x10")],
    "a window that opens by one": [frame(WINDOW_UPDATE, 0, increment(1))],
}


class Judge(Peer):
    """A peer that tells what becomes of it."""

    def __init__(self, address):
        super().__init__(address)
        self.decoder = Decoder()

    def consequence(self):
        """An error of the stream or of the connection, a status, or the end."""
        for each in self.frames(SECONDS):
            if isinstance(each, RstStreamFrame):
                return "reset"
            if isinstance(each, GoAwayFrame):
                return "farewell" if each.error_code else "end"
            if isinstance(each, HeadersFrame):
                return int(dict(self.decoder.decode(each.data))[":status"])
        return "end"


@pytest.fixture(scope="module")
def lane(tmp_path_factory):
    """A sink and the proxy before it."""
    with Sink() as sink, Proxy(sink.url, tmp_path_factory.mktemp("proxy"), CONFIG) as proxy:
        yield sink, proxy


def refused(lane, parts):
    """What comes of these parts, of which nothing is whole upstream. Somebody else is
    served after them."""
    sink, proxy = lane
    sink.forget()
    peer = Judge(proxy.address)
    # It may be ended before all of it was sent.
    with contextlib.suppress(OSError):
        peer.send(*parts(peer))
    found = peer.consequence()
    peer.sock.close()
    assert_nothing_is_left(proxy)
    assert [request for request in sink.requests if request.clean] == []
    assert wire.post(proxy.address, b"[1]").status == 200
    return found


@pytest.mark.parametrize("name", CONNECTION)
def test_what_breaks_the_connection_ends_it(name, lane):
    assert refused(lane, CONNECTION[name]) in ENDS


@pytest.mark.parametrize("name", HEADS)
def test_a_head_that_is_none_does_not_leave(name, lane):
    found = refused(lane, lambda _: [head(HEADS[name])])
    assert found in ENDS or 400 <= found < 500 or found == 501


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_none_does_not_leave_whole(name, lane):
    found = refused(lane, BODIES[name])
    assert found in ENDS or 400 <= found < 500


@pytest.mark.parametrize("name", FINE)
def test_what_is_unknown_harms_nobody(name, lane):
    sink, proxy = lane
    sink.forget()
    peer = Judge(proxy.address)
    peer.send(*FINE[name], head(PSEUDO))
    assert peer.consequence() == 200
    assert [(request.method, request.target, request.clean) for request in sink.requests] == [("POST", "/flood", True)]
    peer.sock.close()


@pytest.mark.parametrize("more", [frame(DATA, 1, b"1"), frame(HEADERS, 1, b"\x82", END_HEADERS | END_STREAM)])
def test_what_follows_the_end_of_a_stream_is_no_part_of_it(more, lane):
    sink, proxy = lane
    sink.forget()
    peer = Judge(proxy.address)
    peer.send(post(peer), frame(DATA, 1, b"[1]", END_STREAM), more)
    # The request was whole before.
    assert peer.consequence() in (*ENDS, 200)
    assert_nothing_is_left(proxy)
    assert [bytes(each.body) for each in sink.requests if each.clean] in ([b"[1]"], [])
    peer.sock.close()


@pytest.mark.parametrize("fields", [[("x-a", "1")], [(":method", "GET"), (":path", "/other")]])
def test_trailers_end_here_whatever_they_say(fields, lane):
    sink, proxy = lane
    sink.forget()
    peer = Judge(proxy.address)
    trailers = frame(HEADERS, 1, peer.encoder.encode(fields), END_HEADERS | END_STREAM)
    peer.send(post(peer), frame(DATA, 1, b"[1]"), trailers)
    assert peer.consequence() == 200
    [request] = sink.requests
    assert (request.method, request.target, bytes(request.body), request.clean) == ("POST", "/flood", b"[1]", True)
    assert request.header("x-a") is None
    peer.sock.close()
