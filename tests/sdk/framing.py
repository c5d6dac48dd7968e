"""HTTP/1.1 as RFC 9112 has it: what the bytes on a connection mean, if they mean one thing.

A reader of these has the freedoms that the RFC leaves to a recipient, and no other: a line
may end in a bare line feed and empty ones may stand before a request (section 2.2), a
length may be told twice if it is the same (6.3), in a request chunks count where a length
stands beside them, and the connection ends there (6.1). Beyond it, in chunks, whitespace may
follow the size, an extension may be anything in one line, and empty lines may stand before a
response: nobody reads these as something else. All else is malformed.
"""

import re
from dataclasses import dataclass, field

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(%b) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])" % TOKEN)
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
FIELD = re.compile(rb"(%b):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*" % TOKEN)
HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z\-._~%!$&'()*+,;=]+)(?::[0-9]*)?")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?")

WHOLE, CUT, MALFORMED = "whole", "cut", "malformed"


class Malformed(Exception):
    """No message, or one that can be understood in several ways."""


class Cut(Exception):
    """The bytes end before the message does."""


@dataclass
class Message:
    """One request or response. `closes` says that none follows it, `has_host`
    that it is a request for one host."""

    start: tuple
    fields: list
    body: bytes = b""
    closes: bool = False
    has_host: bool = True

    def values(self, name):
        """The elements of a list in all fields of a name, without empty ones."""
        values = b",".join(value for key, value in self.fields if key == name).split(b",")
        return [value.strip(b" \t") for value in values if value.strip(b" \t")]

    def has(self, name):
        return any(key == name for key, _ in self.fields)


@dataclass
class Reading:
    """All messages on a connection up to what is none, and how it ends."""

    messages: list = field(default_factory=list)
    end: str = WHOLE


def requests(data):
    """What a client's bytes ask for."""
    reading = Reading()
    try:
        while data.lstrip(b"\r\n"):
            message, data = _request(data)
            reading.messages.append(message)
            if message.closes:
                break
    except Malformed:
        reading.end = MALFORMED
    except Cut:
        reading.end = CUT
    return reading


def methods(data):
    """Of the requests in a client's bytes, one that is cut or malformed included."""
    found = []
    try:
        while words := data.lstrip(b"\r\n").split(None, 1):
            found.append(words[0].decode("latin-1"))
            message, data = _request(data)
            if message.closes:
                break
    except (Malformed, Cut):
        pass
    return found


def responses(data, methods):
    """What the bytes answer to requests with these methods, when the connection
    has ended behind them. Those of the 1xx class are left out."""
    reading, methods = Reading(), list(methods)
    try:
        while data:
            message, data = _response(data, methods[0] if methods else "GET")
            if not 100 <= message.start[0] < 200:
                methods = methods[1:]
                reading.messages.append(message)
            if message.closes:
                break
    except Malformed:
        reading.end = MALFORMED
    except Cut:
        reading.end = CUT
    return reading


def _request(data):
    line, fields, data = _head(data.lstrip(b"\r\n"))
    start = REQUEST_LINE.fullmatch(line)
    if not start:
        raise Malformed("request line")
    is_old = start[3] == b"0"
    message = Message((start[1].decode(), start[2].decode("latin-1")), fields)
    hosts = [value for key, value in fields if key == b"host"]
    # Whatever the host is, what follows is the next request.
    message.has_host = len(hosts) == 1 or (is_old and not hosts)
    message.has_host &= all(map(HOST.fullmatch, hosts))
    message.closes = _closes(message, is_old)
    if message.has(b"transfer-encoding"):
        if is_old or _codings(message) != [b"chunked"]:
            raise Malformed("transfer coding")
        message.closes |= message.has(b"content-length")
        message.body, data = _chunks(data)
    elif message.has(b"content-length"):
        message.body, data = _exactly(data, _length(message))
    return message, data


def _response(data, method):
    line, fields, data = _head(data.lstrip(b"\r\n"))
    start = STATUS_LINE.fullmatch(line)
    if not start:
        raise Malformed("status line")
    is_old, status = start[1] == b"0", int(start[2])
    message = Message((status,), fields)
    if 100 <= status < 200:
        if status == 101:
            raise Malformed("an upgrade")
        return message, data
    message.closes = _closes(message, is_old)
    if message.has(b"transfer-encoding") and message.has(b"content-length"):
        # Whoever read the length has read something else (RFC 9112, section 6.3).
        raise Malformed("two lengths")
    if method == "HEAD" or status in (204, 304):
        return message, data
    if message.has(b"transfer-encoding"):
        if is_old or _codings(message) != [b"chunked"]:
            raise Malformed("transfer coding")
        message.body, data = _chunks(data)
    elif message.has(b"content-length"):
        message.body, data = _exactly(data, _length(message))
    else:
        message.body, data, message.closes = data, b"", True
    return message, data


def _head(data):
    lines = []
    while True:
        line, end, data = data.partition(b"\n")
        if not end:
            raise Cut("head")
        line = line.removesuffix(b"\r")
        if not line:
            break
        lines.append(line)
    if not lines:
        raise Malformed("no start line")
    fields = [FIELD.fullmatch(line) for line in lines[1:]]
    if not all(fields):
        raise Malformed("field")
    return lines[0], [(found[1].lower(), found[2]) for found in fields], data


def _closes(message, is_old):
    tokens = [token.lower() for token in message.values(b"connection")]
    return b"close" in tokens or (is_old and b"keep-alive" not in tokens)


def _codings(message):
    return [coding.lower() for coding in message.values(b"transfer-encoding")]


def _length(message):
    lengths = set(message.values(b"content-length"))
    if len(lengths) != 1 or not re.fullmatch(rb"[0-9]{1,18}", length := lengths.pop()):
        raise Malformed("length")
    return int(length)


def _exactly(data, length):
    if len(data) < length:
        raise Cut("body")
    return data[:length], data[length:]


def _chunks(data):
    body = b""
    while True:
        line, data = _line(data)
        size = CHUNK_LINE.fullmatch(line)
        if not size:
            raise Malformed("chunk size")
        if not int(size[1], 16):
            break
        chunk, data = _exactly(data, int(size[1], 16))
        if not b"\r\n".startswith(data[:2]):
            raise Malformed("chunk end")
        body, (_, data) = body + chunk, _exactly(data, 2)
    while True:
        line, end, data = data.partition(b"\n")
        if not end:
            raise Cut("trailers")
        line = line.removesuffix(b"\r")
        if not line:
            return body, data
        if not FIELD.fullmatch(line):
            raise Malformed("trailer")


def _line(data):
    line, end, rest = data.partition(b"\r\n")
    if b"\r" in line.removesuffix(b"" if end else b"\r") or b"\n" in line:
        raise Malformed("line")
    if not end:
        raise Cut("line")
    return line, rest
