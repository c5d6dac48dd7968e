"""Bodies that are broken on purpose: the answer is the one of the table of failures,
the upstream gets nothing unredacted and no request that ends as if it were whole, and
neither memory nor time grow.

Each is sent small, when all of it is read before the upstream is called, and long,
when it streams and has to be broken off.
"""

import json
import random
import struct
import time
import zlib

import brotli
import pytest
import zstandard

import bodies
import wire
from proxy import Proxy
from test_stream import MEMORY_LIMIT

EMAIL = "canary.victim@corp-mail.example"
AWS = "AKIAIOSFODNN7CANARY7"
CANARIES = (EMAIL, AWS)
TEXT = f"mail {EMAIL}, key {AWS}"
SECONDS = 5
# Above what is read before the upstream is called.
LONG = 2 << 20
DEEP = 100_000


@pytest.fixture(scope="module")
def proxy(sink, tmp_path_factory):
    with Proxy(sink.url, tmp_path_factory.mktemp("proxy")) as proxy:
        proxy.planted.update(CANARIES)
        yield proxy
        assert proxy.peak_memory() < MEMORY_LIMIT


@pytest.fixture(autouse=True)
def no_canary_reaches_the_sink(sink):
    yield
    sink.wait_until_settled()
    for request in sink.requests:
        data = request.head + decoded(request)
        assert [len(text) for text in CANARIES if text.encode() in data] == []


def decoded(request):
    """The body as it came, and as far as it can be decoded."""
    body = bytes(request.body)
    found = bytearray(body)
    for name, _, new_decode in bodies.CODINGS.values():
        if name != request.header("Content-Encoding"):
            continue
        decode = new_decode()
        # In pieces: what stands before the break counts.
        for at in range(0, len(body), 512):
            try:
                found += decode(body[at : at + 512])
            except (zlib.error, zstandard.ZstdError, brotli.error, EOFError):
                break
    return found


def document(size, seed=3):
    """JSON that does not compress much, with the canaries at both ends."""
    noise = random.Random(seed).randbytes(size // 2).hex()
    return json.dumps({"first": TEXT, "noise": noise, "last": TEXT}).encode()


def send(proxy, body, **headers):
    """The status and the code of our answer, if it is one. In time."""
    started = time.monotonic()
    response = wire.post(proxy.address, body, **headers)
    assert time.monotonic() - started < SECONDS
    assert [len(text) for text in CANARIES if text.encode() in response.body] == []
    return response.status, response.error()["code"] if response.status != 200 else None


def assert_refused(proxy, sink, size, expected, body, **headers):
    assert send(proxy, body, **headers) == expected
    if size == "small":
        assert sink.requests == []
        return
    sink.wait_until_settled()
    sink.wait_for(lambda sink: all(request.over for request in sink.requests))
    assert [request.clean for request in sink.requests if request.clean] == []




SIZES = pytest.mark.parametrize("size", ["small", "long"])
LENGTHS = {"small": 4096, "long": LONG}
OTHER_CODING = {"gzip": "br", "zlib": "gzip", "raw deflate": "zstd", "zstd": "gzip", "br": "zstd"}


def broken_codings(whole):
    half = len(whole) // 2
    return {
        "cut in the middle": whole[:half],
        "cut before its last byte": whole[:-1],
        "cut after its first byte": whole[:1],
        "without its beginning": whole[half:],
        "begun again in the middle": whole[:half] * 2,
        "with something behind": whole + TEXT.encode(),
        "not encoded": document(len(whole)),
    }


@SIZES
@pytest.mark.parametrize("case", broken_codings(b""))
@pytest.mark.parametrize("kind", bodies.CODINGS)
def test_a_broken_coding_is_refused(kind, case, size, proxy, sink):
    name, encode, _ = bodies.CODINGS[kind]
    body = broken_codings(b"".join(encode([document(LENGTHS[size])])))[case]
    assert_refused(proxy, sink, size, (400, "corrupt_content_encoding"), body, Content_Encoding=name)


@SIZES
@pytest.mark.parametrize("kind", ["gzip", "zlib", "zstd"])
def test_a_wrong_checksum_is_refused(kind, size, proxy, sink):
    name, encode, _ = bodies.CODINGS[kind]
    body = bytearray(b"".join(encode([document(LENGTHS[size])])))
    body[-8 if kind == "gzip" else -4] ^= 1
    assert_refused(proxy, sink, size, (400, "corrupt_content_encoding"), bytes(body), Content_Encoding=name)


@SIZES
@pytest.mark.parametrize("kind", bodies.CODINGS)
def test_a_coding_that_is_not_the_declared_one_is_refused(kind, size, proxy, sink):
    _, encode, _ = bodies.CODINGS[kind]
    name, _, _ = bodies.CODINGS[OTHER_CODING[kind]]
    body = b"".join(encode([document(LENGTHS[size])]))
    assert_refused(proxy, sink, size, (400, "corrupt_content_encoding"), body, Content_Encoding=name)


@pytest.mark.parametrize("window_log", [24, 27])
def test_a_window_of_zstd_that_is_too_large_is_refused(window_log, proxy, sink):
    parameters = zstandard.ZstdCompressionParameters.from_level(1, window_log=window_log)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    body = compressor.compress(document(LONG)) + compressor.flush()
    assert_refused(proxy, sink, "small", (413, "window_too_large"), body, Content_Encoding="zstd")


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_bomb_in_many_small_pieces_is_refused(kind, proxy, sink):
    name, encode, _ = bodies.CODINGS[kind]
    # Members, or frames: each of them alone would do.
    body = b"".join(encode([b" " * (1 << 20)])) * 600
    assert_refused(proxy, sink, "long", (413, "decoded_body_too_large"), body, Content_Encoding=name)


def multipart(content):
    head = b'--x\r\nContent-Disposition: form-data; name="a"\r\nContent-Type: application/json\r\n\r\n'
    return head + content + b"\r\n--x--\r\n"


def broken_multiparts(content):
    media, whole = "multipart/form-data; boundary=x", multipart(content)
    long_head = b"--x\r\nX-Note: " + b"a" * 65536 + b"\r\n\r\n"
    return {
        "cut in the middle": (media, whole[: len(whole) // 2]),
        "without its last boundary": (media, whole.removesuffix(b"\r\n--x--\r\n")),
        "cut in a part's head": (media, whole[:-4] + b"\r\nContent-Disposition: form-da"),
        "another boundary": ("multipart/form-data; boundary=other", whole),
        "no boundary": ("multipart/form-data", whole),
        "a boundary that is too long": (f"multipart/form-data; boundary={'x' * 1000}", whole),
        "a head that is too long": (media, long_head + content + b"\r\n--x--\r\n"),
    }


def envelope(content):
    return b'{"event_id":"%b"}\n{"type":"event","length":%d}\n%b\n' % (b"9e" * 16, len(content), content)


def broken_envelopes(content):
    whole, length = envelope(content), b'"length":%d' % len(content)
    broken = {
        "cut in the middle": whole[: len(whole) // 2],
        "a length that is too large": whole.replace(length, b'"length":%d' % (len(content) + 100)),
        "a length that is too small": whole.replace(length, b'"length":%d' % (len(content) - 10)),
        "a negative length": whole.replace(length, b'"length":-1'),
        "a length beyond all bounds": whole.replace(length, b'"length":%d' % 10**30),
        "a length that is no number": whole.replace(length, b'"length":"all"'),
        "a head that is no JSON": TEXT.encode() + whole,
        "an item's head that is no JSON": whole.replace(b'{"type"', b'"type"'),
    }
    return {case: ("application/x-sentry-envelope", body) for case, body in broken.items()}


def varint(value):
    digits = []
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def otlp(content):
    """One span of traces, with the content as an attribute."""
    attribute = field(1, b"note") + field(2, field(1, content))
    span = field(1, b"\1" * 16) + field(2, b"\2" * 8) + field(5, TEXT.encode()) + field(9, attribute)
    return field(1, field(2, field(2, span)))


def broken_messages(content):
    whole = otlp(content)
    broken = {
        "cut in the middle": whole[: len(whole) // 2],
        "cut before its last byte": whole[:-1],
        "a length beyond the end": whole + b"\x0a\x7f" + TEXT.encode(),
        "a length beyond all bounds": b"\x0a" + varint(1 << 40) + whole,
        "a number without an end": b"\x0a" + b"\xff" * 11 + whole,
        "a field 0": b"\x02\x01a" + whole,
        "a group without an end": whole + b"\x0b",
        "a wire type that there is not": whole + b"\x0f",
    }
    return {case: ("application/x-protobuf", body) for case, body in broken.items()}


def msgpack(content):
    return b"\x91\x82\xa4note\xdb" + struct.pack(">I", len(content)) + content + b"\xa1n\x01"


def broken_msgpacks(content):
    whole = msgpack(content)
    broken = {
        "cut in the middle": whole[: len(whole) // 2],
        "more members than there are": b"\xdd\xff\xff\xff\xff" + whole,
        "a type that there is not": b"\x92\xc1" + whole,
        "something behind": whole + TEXT.encode(),
        "deeper than it may be": b"\x91" * DEEP + whole,
    }
    return {case: ("application/msgpack", body) for case, body in broken.items()}


FRAMINGS = {
    "multipart": broken_multiparts,
    "envelope": broken_envelopes,
    "protobuf": broken_messages,
    "MessagePack": broken_msgpacks,
}


@SIZES
@pytest.mark.parametrize("framing, case", [(name, case) for name, of in FRAMINGS.items() for case in of(b"")])
def test_broken_framing_is_refused(framing, case, size, proxy, sink):
    media, body = FRAMINGS[framing](document(LENGTHS[size]))[case]
    assert_refused(proxy, sink, size, (400, "corrupt_framing"), body, Content_Type=media)


@pytest.mark.parametrize("new", [otlp, msgpack, envelope, multipart], ids=lambda new: new.__name__)
@SIZES
def test_what_the_broken_ones_were_made_of_passes(new, size, proxy, sink):
    media = {
        otlp: "application/x-protobuf",
        msgpack: "application/msgpack",
        envelope: "application/x-sentry-envelope",
        multipart: "multipart/form-data; boundary=x",
    }[new]
    assert send(proxy, new(document(LENGTHS[size])), Content_Type=media) == (200, None)
    assert [request.clean for request in sink.requests] == [True]


def test_parts_within_parts_are_refused_beyond_a_depth(proxy, sink):
    body, boundary = b"--x\r\n\r\n" + TEXT.encode() + b"\r\n--x--", "x"
    for level in range(40):
        head = f"--b{level}\r\nContent-Type: multipart/mixed; boundary={boundary}\r\n\r\n"
        body, boundary = head.encode() + body + f"\r\n--b{level}--".encode(), f"b{level}"
    media = f"multipart/mixed; boundary={boundary}"
    assert_refused(proxy, sink, "small", (415, "unsupported_media_type"), body, Content_Type=media)


def test_many_empty_parts_take_no_memory(proxy, sink):
    body = (b"--x\r\n\r\n" + TEXT.encode() + b"\r\n") * 40_000 + b"--x--\r\n"
    assert send(proxy, body, Content_Type="multipart/form-data; boundary=x") == (200, None)
    (request,) = sink.requests
    assert request.body.count(b"mail [EMAIL_ADDRESS]") == 40_000


TEXT_IN_JSON = json.dumps(TEXT).encode()
DEEP_JSON = {
    "arrays": b"[" * DEEP + TEXT_IN_JSON + b"]" * DEEP,
    "objects": b'{"a":' * DEEP + TEXT_IN_JSON + b"}" * DEEP,
    "both, and by key": b'[{"password":' * DEEP + TEXT_IN_JSON + b"}]" * DEEP,
    "arrays without an end": b"[" * DEEP + TEXT_IN_JSON,
    "ends without a beginning": b"]" * DEEP + TEXT_IN_JSON,
    "a million": b'[{"a":' * (5 * DEEP) + TEXT_IN_JSON + b"}]" * (5 * DEEP),
}


@pytest.mark.parametrize("case", DEEP_JSON)
def test_deep_json_arrives_redacted(case, proxy, sink):
    assert send(proxy, DEEP_JSON[case]) == (200, None)
    (request,) = sink.requests
    expected = DEEP_JSON[case].replace(TEXT_IN_JSON, b'"mail [EMAIL_ADDRESS], key [AWS_ACCESS_KEY_ID]"')
    if b"password" in expected:
        # What is called a password goes whole.
        expected = DEEP_JSON[case].replace(TEXT_IN_JSON, b'"[PASSWORD]"')
    assert bytes(request.body) == expected


def test_json_within_strings_of_json_does_not_leak_at_any_level(proxy, sink):
    text = TEXT
    for _ in range(14):
        text = json.dumps({"a": text})
    assert send(proxy, text.encode()) == (200, None)
    (request,) = sink.requests
    assert request.body.count(b"[EMAIL_ADDRESS]") == 1
