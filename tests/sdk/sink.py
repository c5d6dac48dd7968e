"""An upstream on loopback that records what it receives, byte by byte.

It speaks HTTP/1.1 with keep-alive, reads a body by its own framing and keeps
the head as it came. One thread serves one connection. What it answers is
decided by `answer`, a function from the request to an `Answer`.
"""

import select
import socket
import threading
import time
import zlib
from dataclasses import dataclass

BLOCK = 1 << 20
HEAD_LIMIT = 1 << 20


class Broken(Exception):
    """The peer stopped in the middle of a request, or framed it wrongly."""


@dataclass
class Answer:
    """What to send back. `body` is bytes, or an iterable of bytes which is
    sent chunked, one chunk per item. `None` instead of an `Answer` closes the
    connection without a word; a `Raw` is sent as it is."""

    status: int = 200
    body: object = b"{}"
    headers: tuple = (("Content-Type", "application/json"),)


@dataclass
class Raw:
    """What to send back instead of an `Answer`, as it is, in these writes, and
    whether the connection ends behind it."""

    pieces: object
    close: bool = False


@dataclass
class Request:
    """One request as it arrived. `clean` says that the body was read to the
    end that its framing announced; a cut one stays `False`. `over` says that
    its connection has ended."""

    head: bytes
    method: str
    target: str
    headers: list
    body: object
    connection: int
    clean: bool = False
    over: bool = False
    first_byte: float = 0.0
    last_byte: float = 0.0

    def values(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name, default=None):
        return next(iter(self.values(name)), default)


class Collected(bytearray):
    """The default body: all of it in memory."""

    def feed(self, view):
        self += view


class Sink:
    """Use as a context manager; `address` is `127.0.0.1:port`."""

    def __init__(self, answer=None, new_body=Collected, port=0):
        self.answer = answer or (lambda request: Answer())
        self.new_body = new_body
        self.requests = []
        # Bytes read from sockets, whatever became of them.
        self.received = 0
        # Set when the first byte of any body has arrived.
        self.body_began = threading.Event()
        self.changed = threading.Condition()
        self._connections = set()
        # Connections whose threads wait for the first byte of a request.
        self._idle = set()
        # Where accepted connections came from.
        self._peers = set()
        self._connection_count = 0
        self._listener = socket.create_server(("127.0.0.1", port), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        # Without the shutdown a thread blocked in accept() keeps the port open.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self.changed:
            connections = list(self._connections)
        for connection in connections:
            _shut(connection)

    def wait_for(self, holds, timeout=10):
        """Waits until `holds(self)`; fails after `timeout` seconds."""
        with self.changed:
            assert self.changed.wait_for(lambda: holds(self), timeout), "the sink waited in vain"

    def wait_until_settled(self, timeout=10):
        """Waits until all that was sent here is recorded: what a request leaves
        behind that was broken off before anybody looked, above all."""
        with socket.create_connection(("127.0.0.1", self.port)) as marker:
            # Connections are accepted in the order in which they were made.
            peer = marker.getsockname()
            self.wait_for(lambda sink: peer in sink._peers and sink._all_idle(), timeout)

    def _all_idle(self):
        # An idle thread leaves the set before it reads, so a byte, or an end,
        # is seen either on the socket or by the thread's absence.
        return all(each in self._idle and not _readable(each, 0) for each in self._connections)

    def forget(self):
        with self.changed:
            self.requests.clear()

    def everything(self):
        """Heads and bodies of all requests, to search for what must not be there:
        as they came, and decompressed as far as they go."""
        with self.changed:
            requests = [(request.head, bytes(request.body)) for request in self.requests]
        return b"\0".join(head + body + b"\0" + gunzip(body) for head, body in requests)

    def _accept(self):
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            with self.changed:
                self._connection_count += 1
                number = self._connection_count
                self._connections.add(connection)
                self._peers.add(peer)
                self.changed.notify_all()
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection, number):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            reader = Reader(connection, self)
            while self._serve_one(connection, reader, number):
                pass
        except (Broken, OSError):
            pass
        finally:
            with self.changed:
                self._connections.discard(connection)
                self._idle.discard(connection)
                for request in self.requests:
                    request.over |= request.connection == number
                self.changed.notify_all()
            _shut(connection)
            connection.close()

    def _serve_one(self, connection, reader, number):
        if reader.is_empty():
            self._wait_for_bytes(connection)
        head = reader.head()
        if not head:
            return False
        request = _parse(head, number)
        request.body = self.new_body()
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()
        if (request.header("Expect") or "").lower() == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        for view in reader.body(request):
            if not request.first_byte:
                request.first_byte = time.monotonic()
                self.body_began.set()
            request.body.feed(view)
        request.last_byte = time.monotonic()
        with self.changed:
            request.clean = True
            self.changed.notify_all()
        answer = self.answer(request)
        if answer is None:
            return False
        if isinstance(answer, Raw):
            for piece in answer.pieces:
                connection.sendall(piece)
            return not answer.close
        _send(connection, answer)
        return (request.header("Connection") or "").lower() != "close"

    def _wait_for_bytes(self, connection):
        with self.changed:
            self._idle.add(connection)
            self.changed.notify_all()
        _readable(connection, None)
        with self.changed:
            self._idle.discard(connection)


class Reader:
    """Reads a connection into one reused block and hands out views of it."""

    def __init__(self, connection, sink):
        self._connection = connection
        self._sink = sink
        self._block = bytearray(BLOCK)
        self._view = memoryview(self._block)
        # The unread bytes are block[start:end].
        self._start = 0
        self._end = 0

    def is_empty(self):
        return self._start == self._end

    def _fill(self):
        """Reads more; False at the end of the connection."""
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == BLOCK:
            rest = bytes(self._view[self._start : self._end])
            self._block[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        count = self._connection.recv_into(self._view[self._end :])
        self._end += count
        self._sink.received += count
        return count > 0

    def _until(self, mark, limit):
        """The bytes up to and with `mark`; None when the peer is done."""
        while True:
            at = self._block.find(mark, self._start, self._end)
            if at >= 0:
                line = bytes(self._view[self._start : at + len(mark)])
                self._start = at + len(mark)
                return line
            if self._end - self._start >= limit:
                raise Broken("a head or a chunk line without an end")
            if not self._fill():
                if self._start == self._end:
                    return None
                raise Broken("cut")

    def head(self):
        return self._until(b"\r\n\r\n", HEAD_LIMIT - 1)

    def _exactly(self, length):
        while length:
            if self._start == self._end and not self._fill():
                raise Broken("the body was cut")
            take = min(length, self._end - self._start)
            yield self._view[self._start : self._start + take]
            self._start += take
            length -= take

    def body(self, request):
        """Views of the de-chunked body; each is valid until the next."""
        lengths = request.values("Content-Length")
        codings = request.values("Transfer-Encoding")
        if codings:
            # Both at once is how requests are smuggled.
            if lengths or [coding.lower() for coding in codings] != ["chunked"]:
                raise Broken("ambiguous framing")
            yield from self._chunks()
        elif lengths:
            if len(lengths) != 1 or not lengths[0].isdigit():
                raise Broken("ambiguous framing")
            yield from self._exactly(int(lengths[0]))

    def _chunks(self):
        while True:
            line = self._line()
            size = int(line.split(b";")[0], 16)
            if size == 0:
                while self._line():
                    pass  # trailers
                return
            yield from self._exactly(size)
            if self._line():
                raise Broken("a chunk is longer than it says")

    def _line(self):
        line = self._until(b"\r\n", 4096)
        if line is None:
            raise Broken("the body was cut")
        return line[:-2]


def _parse(head, connection):
    start, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, target, version = start.split(" ")
    if version != "HTTP/1.1":
        raise Broken(version)
    headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines]
    return Request(head, method, target, headers, None, connection)


def _send(connection, answer):
    head = f"HTTP/1.1 {answer.status} Status\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    if isinstance(answer.body, bytes):
        head += f"Content-Length: {len(answer.body)}\r\n\r\n"
        connection.sendall(head.encode() + answer.body)
        return
    connection.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
    for piece in answer.body:
        connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
    connection.sendall(b"0\r\n\r\n")


def gunzip(body):
    """What a gzip body of one or several members holds, up to where it is cut
    or broken; nothing for other bodies."""
    plain = b""
    while body:
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            plain += member.decompress(body)
        except zlib.error:
            break
        body = member.unused_data
    return plain


def _readable(connection, milliseconds):
    """Whether there are bytes, an end or an error to be read."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(milliseconds))


def _shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
