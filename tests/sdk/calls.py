"""gRPC on loopback: a server that records what it receives, and a client that
cuts a call into DATA frames as it likes."""

import socket
import threading
import time
from concurrent import futures
from dataclasses import dataclass, field

import grpc
import h2.config
import h2.connection
import h2.events

TIMEOUT = 30
# grpcio's own limit for what it receives is 4 MB.
NO_LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@dataclass
class Call:
    """One call as it arrived: its messages are decompressed."""

    method: str
    metadata: list
    messages: list = field(default_factory=list)
    complete: bool = False

    def header(self, name):
        return next((value for key, value in self.metadata if key == name), None)


class CallSink:
    """A server that takes every method. `answer` gets the call's context and
    its messages as they come, and yields what is sent back. Behind TLS with
    `credentials`."""

    def __init__(self, credentials=None):
        self._credentials = credentials
        self.calls = []
        self.answer = echo_nothing

    def __enter__(self):
        self._server = grpc.server(futures.ThreadPoolExecutor(8), options=NO_LIMIT)
        self._server.add_generic_rpc_handlers([self])
        if self._credentials:
            self.port = self._server.add_secure_port("127.0.0.1:0", self._credentials)
        else:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        self.url = f"{'https' if self._credentials else 'http'}://127.0.0.1:{self.port}"
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(None).wait()

    def service(self, details):
        """The handler of a method, as grpcio asks for it."""
        call = Call(details.method, list(details.invocation_metadata))
        self.calls.append(call)

        def serve(messages, context):
            return self.answer(self._record(call, messages), context)

        return grpc.stream_stream_rpc_method_handler(serve)

    def _record(self, call, messages):
        for message in messages:
            call.messages.append(message)
            yield message
        call.complete = True

    def only(self):
        """The only call, once all of it is there."""
        end = time.monotonic() + TIMEOUT
        while not (self.calls and self.calls[0].complete) and time.monotonic() < end:
            time.sleep(0.01)  # the interval of a poll with a deadline
        (call,) = self.calls
        assert call.complete
        return call


def echo_nothing(messages, _):
    """Reads all of a call and answers with an empty message."""
    for _ in messages:
        pass
    yield b""


def unary(address, method, message, **options):
    """The answer to one message, the call that brought it, with its status."""
    with grpc.insecure_channel(address, options=NO_LIMIT) as channel:
        send = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
        return send.with_call(message, timeout=TIMEOUT, **options)


@dataclass
class Ended:
    """How a raw call ended."""

    headers: dict
    body: bytes
    reset: int | None = None

    @property
    def status(self):
        return self.headers.get("grpc-status")


def raw(address, method, pieces, headers=()):
    """Sends a call whose body is cut into these DATA frames."""
    host, port = address.split(":")
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    head = [(":method", "POST"), (":scheme", "http"), (":authority", address), (":path", method)]
    head += [("content-type", "application/grpc"), ("te", "trailers"), *headers]
    with socket.create_connection((host, int(port)), TIMEOUT) as stream:
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.initiate_connection()
        connection.send_headers(1, head)
        stream.sendall(connection.data_to_send())
        ended, over = Ended({}, b""), threading.Event()
        for piece in pieces:
            while not over.is_set() and len(piece) > connection.local_flow_control_window(1):
                _receive(stream, connection, ended, over)
            if over.is_set():
                break
            connection.send_data(1, piece)
            stream.sendall(connection.data_to_send())
        if not over.is_set():
            connection.end_stream(1)
            stream.sendall(connection.data_to_send())
        while not over.is_set():
            _receive(stream, connection, ended, over)
    return ended


def _receive(stream, connection, ended, over):
    data = stream.recv(1 << 16)
    if not data:
        raise ConnectionError("the connection ended before the call")
    for event in connection.receive_data(data):
        match event:
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                ended.headers.update(event.headers)
            case h2.events.DataReceived():
                ended.body += event.data
                connection.acknowledge_received_data(event.flow_controlled_length, 1)
            case h2.events.StreamEnded():
                over.set()
            case h2.events.StreamReset():
                ended.reset = event.error_code
                over.set()
    stream.sendall(connection.data_to_send())
