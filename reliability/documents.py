"""Bodies of every format that is redacted, with a canary in each of its places."""

import gzip
import json
import urllib.parse
import uuid
import zlib

import brotli
import canary
import msgpack
import zstandard
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def noise(rng, size):
    """Words that no rule finds anything in, hard to compress."""
    syllables = ["ba", "do", "fe", "gi", "lu", "mo", "ne", "pa", "ri", "so", "ta", "wu"]
    words = []
    while size > 0:
        words.append("".join(rng.choices(syllables, k=rng.randrange(2, 5))))
        size -= len(words[-1]) + 1
    return " ".join(words)


def trace(canaries, rng, size, keyed=True):
    """What an agent's trace holds, as a structure. Without `keyed` nothing is
    planted that only its name gives away."""
    inner = {"to": canaries.email("nested value"), "note": "\n" + canaries.key("nested value, behind a line feed")}
    if keyed:
        inner["db_password"] = canaries.password("nested key rule")
    nested = {"arguments": json.dumps(inner), canaries.email("nested key"): [canaries.phone("nested list")]}
    document = {
        "id": str(uuid.UUID(bytes=rng.randbytes(16), version=4)),
        "user": canaries.email("value"),
        canaries.email("key"): {canaries.key("key"): True},
        "text": f"Write to {canaries.email('prose')} or call {canaries.phone('prose')}.\n{canaries.key('prose')}",
        "first": noise(rng, size // 2),
        "link": "https://app.test/?to=" + urllib.parse.quote(canaries.email("URL in a value")),
        "dsn": f"postgres://app:{canaries.password('DSN')}@db.test:5432/traces" if keyed else "",
        "arguments": json.dumps(nested),
        "second": noise(rng, size // 2),
        "rows": [[canaries.phone("list"), 17], {"contact": canaries.email("object in a list")}],
    }
    if keyed:
        document["api_key"] = canaries.password("key rule")
    return document


def escaped(text, rng):
    r"""The JSON with some letters of strings as `\u00XX`."""
    pieces = []
    for letter in text:
        turned = letter == "@" or (letter in "xqzjvk" and rng.random() < 0.1)
        pieces.append(f"\\u{ord(letter):04x}" if turned else letter)
    return "".join(pieces)


def as_json(canaries, rng, size, keyed):
    text = json.dumps(trace(canaries, rng, size, keyed))
    if keyed and rng.random() < 0.3:
        text = escaped(text, rng)
    return "application/json", text.encode()


def untyped(canaries, rng, size, keyed):
    return None, json.dumps(trace(canaries, rng, size, keyed)).encode()


def ndjson(canaries, rng, size, keyed):
    lines = [json.dumps(trace(canaries, rng, size // 2, keyed)) for _ in range(2)]
    return "application/x-ndjson", "\n".join(lines).encode() + b"\n"


def text(canaries, rng, size, keyed):
    lines = [noise(rng, size // 2)]
    lines += [f"mail {canaries.email('line')}, call {canaries.phone('line')} with {canaries.key('line')}"]
    if keyed:
        lines += [f"DB_PASSWORD={canaries.password('assignment')}", noise(rng, size // 2)]
        lines += [f"see https://app:{canaries.password('URL')}@host.test/"]
    return "text/plain", "\n".join([*lines, canaries.email("last line"), ""]).encode()


def form(canaries, rng, size, keyed):
    pairs = [("user", canaries.email("form value")), (canaries.email("form name"), "1"), ("first", noise(rng, size))]
    pairs += [("phone", canaries.phone("form value")), ("key", canaries.key("form value"))]
    if keyed:
        pairs.append(("password", canaries.password("form key rule")))
    pairs.append(("payload", json.dumps({"to": canaries.email("JSON in a form")})))
    return "application/x-www-form-urlencoded", urllib.parse.urlencode(pairs).encode()


def multipart(canaries, rng, size, keyed):
    boundary = f"b{rng.randrange(10**9)}"
    document = json.dumps(trace(canaries, rng, size, keyed))
    parts = [
        (f'form-data; name="{canaries.email("part name")}"', "text/plain", canaries.phone("part")),
        (f'form-data; name="file"; filename="{canaries.email("part filename")}.txt"', "text/plain", noise(rng, 80)),
        ('form-data; name="event"', f"application/json\r\nX-Note: {canaries.email('part header')}", document),
        ('form-data; name="key"', "text/plain", canaries.key("part")),
    ]
    if keyed:
        parts.append(('form-data; name="password"', "text/plain", canaries.password("part under its name")))
    pieces = [f"preamble {canaries.email('preamble')}\r\n"] if rng.random() < 0.3 else []
    for disposition, media, content in parts:
        pieces.append(f"--{boundary}\r\nContent-Disposition: {disposition}\r\nContent-Type: {media}\r\n\r\n{content}\r\n")
    pieces.append(f"--{boundary}--\r\n")
    return f"multipart/form-data; boundary={boundary}", "".join(pieces).encode()


def envelope(canaries, rng, size, keyed):
    event = json.dumps(trace(canaries, rng, size, keyed)).encode()
    note = f"log of {canaries.email('attachment')}\n{canaries.key('attachment')}".encode()
    lines = [
        json.dumps({"event_id": rng.randbytes(16).hex(), "trace": {"user": canaries.email("envelope header")}}).encode(),
        json.dumps({"type": "event", "length": len(event)}).encode(),
        event,
        json.dumps({"type": "attachment", "length": len(note), "filename": canaries.email("item header")}).encode(),
        note,
    ]
    return "application/x-sentry-envelope", b"\n".join(lines) + b"\n"


def events(canaries, rng, size, keyed):
    lines = [f": comment of {canaries.email('comment')}", f"id: {canaries.email('event id')}", "event: message"]
    lines += ["data: " + json.dumps(trace(canaries, rng, size, keyed)), ""]
    mail = canaries.email("text in pieces")
    pieces = [mail[at : at + 7] for at in range(0, len(mail), 7)]
    for piece in ["to ", *pieces, ", "]:
        lines += ["data: " + json.dumps({"type": "content.delta", "delta": piece}), ""]
    return "text/event-stream", "\n".join([*lines, f"data: call {canaries.phone('event data')}", "", ""]).encode()


def _attributes(span, canaries, keyed):
    span.attributes.add(key="user.email").value.string_value = canaries.email("attribute")
    span.attributes.add(key=canaries.email("attribute name")).value.bool_value = True
    if keyed:
        span.attributes.add(key="db.password").value.string_value = canaries.password("attribute under its name")
    values = span.attributes.add(key="list").value.array_value.values
    values.add().string_value = canaries.phone("attribute list")
    pair = span.attributes.add(key="map").value.kvlist_value.values.add(key="credential")
    pair.value.string_value = canaries.key("attribute map")


def otlp(canaries, rng, size, keyed):
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    span = scope.spans.add(trace_id=rng.randbytes(16), span_id=rng.randbytes(8), name=f"to {canaries.email('span name')}")
    _attributes(span, canaries, keyed)
    span.events.add(name=f"call {canaries.phone('event name')}").attributes.add(key="text").value.string_value = noise(rng, size)
    span.status.message = f"denied for {canaries.email('status')}"
    return "application/x-protobuf", request.SerializeToString()


def otlp_logs(canaries, rng, size, keyed):
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.body.string_value = f"{noise(rng, size)}\nmail {canaries.email('log body')}, key {canaries.key('log body')}"
    _attributes(record, canaries, keyed)
    return "application/x-protobuf", request.SerializeToString()


def calls(canaries, rng, size, keyed):
    """Messages of a gRPC call, some of them compressed."""
    messages = [make(canaries, rng, size // 2, keyed)[1] for make in (otlp, otlp_logs)]
    pieces = []
    for message in messages:
        packed = rng.random() < 0.5
        message = gzip.compress(message, 6, mtime=0) if packed else message
        pieces.append(bytes([packed]) + len(message).to_bytes(4, "big") + message)
    return GRPC, b"".join(pieces)


def messages(body):
    """The messages of a call, decompressed, as far as they can be read."""
    while len(body) > 5:
        packed, size = body[0], int.from_bytes(body[1:5], "big")
        message, body = body[5 : 5 + size], body[5 + size :]
        yield canary.decompressed(message, b"gzip") if packed else message


def message_pack(canaries, rng, size, keyed):
    return "application/msgpack", msgpack.packb(trace(canaries, rng, size, keyed))


FORMATS = {
    "JSON": as_json,
    "JSON without a type": untyped,
    "NDJSON": ndjson,
    "text": text,
    "form": form,
    "multipart": multipart,
    "envelope": envelope,
    "events": events,
    "OTLP traces": otlp,
    "OTLP logs": otlp_logs,
    "MessagePack": message_pack,
}
# What is sent over HTTP/2 only, and has a coding of its own.
GRPC = "application/grpc"
# Those in which a byte that is put somewhere leaves the other strings what they are.
LENIENT = ("JSON", "NDJSON", "text", "events")


def _deflate(data, bits):
    encoder = zlib.compressobj(6, zlib.DEFLATED, bits)
    return encoder.compress(data) + encoder.flush()


# By name: what `Content-Encoding` says, and the encoder.
CODINGS = {
    "plain": (None, bytes),
    "gzip": ("gzip", lambda data: gzip.compress(data, 6, mtime=0)),
    "gzip of two members": ("gzip", lambda data: gzip.compress(data[:300]) + gzip.compress(data[300:])),
    "deflate": ("deflate", lambda data: _deflate(data, 15)),
    "raw deflate": ("deflate", lambda data: _deflate(data, -15)),
    "zstd": ("zstd", lambda data: zstandard.ZstdCompressor(level=3).compress(data)),
    "br": ("br", lambda data: brotli.compress(data, quality=3)),
}


def chunks(data, rng, split):
    """The body in chunks; what is between two of them are segments of their own
    but for `whole`."""
    if split == "whole":
        sizes = [len(data)]
    elif split == "bytes":
        # All of a body's bytes would be a write each: its first 200, its last 200.
        sizes = [1] * 200 + [max(0, len(data) - 400)] + [1] * 200
    else:
        sizes = []
        while sum(sizes) < len(data):
            sizes.append(int(2 ** rng.uniform(0, 11)))
    at = 0
    for size in sizes:
        piece = data[at : at + size]
        at += size
        if piece:
            yield piece
    if at < len(data):
        yield data[at:]


def framed(piece):
    return b"%x\r\n%b\r\n" % (len(piece), piece)
