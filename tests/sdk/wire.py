"""A client that decides itself how a request is cut into TCP segments."""

import contextlib
import http.client
import json
import random
import socket
from dataclasses import dataclass

TIMEOUT = 60


@dataclass
class Response:
    status: int
    headers: object
    body: bytes

    def error(self):
        """The error object of our own answers."""
        assert self.headers.get_content_type() == "application/json", self.headers.items()
        return json.loads(self.body)["error"]


def head(method, target, **headers):
    """A request head; `content_type="..."` becomes `Content-Type`."""
    lines = [f"{method} {target} HTTP/1.1", "Host: upstream.test"]
    for name, value in headers.items():
        values = value if isinstance(value, list) else [value]
        lines += [f"{name.replace('_', '-')}: {each}" for each in values]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def chunked(pieces):
    """The pieces with the framing of `Transfer-Encoding: chunked`."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def whole(data):
    """One write."""
    return [data]


def bytewise(data, ends=65536):
    """Segments of one byte; 64 KiB ones in the middle of what is long, since a
    write per byte takes some microseconds."""
    edge = len(data) if len(data) <= 2 * ends else ends
    yield from (data[at : at + 1] for at in range(edge))
    yield from blocks(data[edge : len(data) - ends])
    yield from (data[at : at + 1] for at in range(max(edge, len(data) - ends), len(data)))


def blocks(data, size=65536):
    """Segments of 64 KiB."""
    return (data[at : at + size] for at in range(0, len(data), size))


def scattered(data, seed=1):
    """Segments of random sizes, small ones as likely as large ones."""
    rng = random.Random(seed)
    at = 0
    while at < len(data):
        size = int(2 ** rng.uniform(0, 13))
        yield data[at : at + size]
        at += size


@contextlib.contextmanager
def connection(address):
    """A socket without Nagle's delay, so that each write is a segment."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=TIMEOUT) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def receive(sock, method="POST"):
    """The next final response on the connection."""
    response = http.client.HTTPResponse(sock, method=method)
    try:
        response.begin()
        return Response(response.status, response.headers, response.read())
    finally:
        response.close()


def exchange(address, data, segments=whole, method="POST"):
    """Sends a whole request in segments on its own connection."""
    with connection(address) as sock:
        # An early refusal may close the connection while we still write; the
        # answer is then there to be read all the same.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for segment in segments(data):
                sock.sendall(segment)
        return receive(sock, method)


def post(address, body, target="/", segments=whole, **headers):
    """POSTs a body with `Content-Length`."""
    headers.setdefault("Content_Type", "application/json")
    start = head("POST", target, **headers, Content_Length=len(body))
    return exchange(address, start + body, segments)
