"""Holds what arrived against what was sent: all but the findings is as it was.

What stands between the labels has to stand in the original too, byte for byte and
in the same order, and a label in the place of something. What has lengths is taken
apart first, by the parsers of the vendors' own packages where there are any.
"""

import base64
import json
import re
from urllib.parse import parse_qsl

import msgpack
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import parts

LABEL = re.compile(rb"\[[A-Z][A-Z0-9_]*\]")
OTLP = {"traces": ExportTraceServiceRequest, "logs": ExportLogsServiceRequest, "metrics": ExportMetricsServiceRequest}


def assert_only_findings_differ(capture, after):
    before, media = capture.plain, capture.media
    if media == "multipart/form-data":
        pairs = zip(*(parts.multipart(body, capture.header("content-type")) for body in (before, after)))
        for (old_head, old), (new_head, new) in pairs:
            assert_text(without_length(old_head), without_length(new_head))
            assert_text(old, new)
    elif media == "application/x-sentry-envelope":
        for (old_head, old), (new_head, new) in zip(parts.envelope(before), parts.envelope(after)):
            assert_tree({**old_head, "length": None}, {**new_head, "length": None})
            assert_text(old, new)
    elif media == "application/x-protobuf":
        message = OTLP[capture.request["target"].split("?")[0].rsplit("/", 1)[1]]
        old, new = (message.FromString(body) for body in (before, after))
        assert_tree(*(MessageToDict(each) for each in (old, new)))
    elif media == "application/msgpack":
        assert_tree(*(msgpack.unpackb(body, strict_map_key=False) for body in (before, after)))
    elif media == "application/x-www-form-urlencoded":
        old, new = (parse_qsl(body.decode(), keep_blank_values=True) for body in (before, after))
        assert len(old) == len(new)
        for (old_name, old_value), (new_name, new_value) in zip(old, new):
            assert old_name == new_name
            assert_text(inner(old_value), inner(new_value))
    else:
        assert_text(before, after)


def assert_text(before, after):
    if is_masked(before, after):
        return
    first, *between = LABEL.split(after)
    assert before.startswith(first), f"changed within the first {len(first)} bytes"
    if not between:
        assert before == after
        return
    at, last = len(first), between.pop()
    for stretch in between:
        # Where nothing is between two labels, something was.
        found = before.find(stretch, at + 1)
        assert found > 0, f"{len(stretch)} bytes behind byte {at} are not as they were"
        at = found + len(stretch)
    assert before.endswith(last) and len(before) - len(last) > at, "changed behind the last finding"


def is_masked(before, after):
    """Whether both differ in asterisks alone, as what is too long to be held does."""
    return len(before) == len(after) and all(old == new or new == ord("*") for old, new in zip(before, after))


def assert_tree(before, after):
    if isinstance(before, dict) and isinstance(after, dict):
        assert len(before) == len(after)
        for (old_name, old), (new_name, new) in zip(before.items(), after.items()):
            assert_tree(old_name, new_name)
            assert_tree(old, new)
    elif isinstance(before, list) and isinstance(after, list):
        assert len(before) == len(after)
        for old, new in zip(before, after):
            assert_tree(old, new)
    elif isinstance(before, str) and isinstance(after, str):
        assert_text(before.encode(), after.encode())
    elif isinstance(before, bytes) and isinstance(after, bytes):
        # Datadog packs what its spans hold once more.
        assert_tree(*(msgpack.unpackb(each, strict_map_key=False) for each in (before, after)))
    elif before != after:
        told = f"a value of {type(before).__name__} became one of {type(after).__name__}"
        assert isinstance(after, str) and LABEL.fullmatch(after.encode()), told


def without_length(head):
    return re.sub(rb"(?i)(content-length: |length=)\d+", rb"\1", head)


def inner(value):
    """The JSON that a field holds in base64, or the field."""
    try:
        text = base64.b64decode(value, validate=True)
        json.loads(text)
    except ValueError:
        return value.encode()
    return text
