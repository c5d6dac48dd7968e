"""SDKs for Node.js through the proxy: each script of node/ is given the proxy's URL
and what to plant, and has to end well without a word on standard error."""

import base64
import json
import uuid

import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

import javascript
import parts
from planted import (
    ALIKE,
    ARGUMENTS,
    EMAIL,
    NESTED,
    PASSWORD,
    PHONE,
    PLANTED,
    PROMPT,
    STRUCTURE,
    assert_sent_once,
    entity,
    redacted,
)
from sink import Answer
from test_openai import COMPLETION, EMBEDDING, MESSAGES

KEY = "Own-key-of-the-upstream-0123456789"
# Nanoseconds are beyond what JavaScript holds as a number.
EXACT = {name: value for name, value in ALIKE.items() if name != "nanos"}
FOR_NODE = {name: value for name, value in STRUCTURE.items() if name != "nanos"}
IDS = [str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))) for number in range(8)]

pytestmark = javascript.needs_node


@pytest.fixture
def run(proxy):
    """Runs a script against the proxy; what it tells."""
    proxy.planted.update((*PLANTED, KEY))
    common = {"url": proxy.url, "key": KEY, "email": EMAIL, "phone": PHONE, "prompt": PROMPT}
    return lambda script, **given: javascript.run(script, **(common | given))


def with_bytes(value):
    """OTLP writes ids in hexadecimal, where protobuf's JSON has base64."""
    if isinstance(value, dict):
        return {
            name: base64.b64encode(bytes.fromhex(member)).decode()
            if name in ("traceId", "spanId", "parentSpanId")
            else with_bytes(member)
            for name, member in value.items()
        }
    return [with_bytes(each) for each in value] if isinstance(value, list) else value


def attributes_of(holder):
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in holder.attributes}


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_opentelemetry_arrives_redacted(compression, run, sink):
    planted = {"gen_ai.prompt": PROMPT, "arguments": ARGUMENTS, "nested": NESTED, "db.password": PASSWORD, **EXACT}
    ids = run("otlp.mjs", compression=compression, attributes=planted)
    messages = {
        "/v1/traces": ExportTraceServiceRequest,
        "/v1/logs": ExportLogsServiceRequest,
        "/v1/metrics": ExportMetricsServiceRequest,
    }
    got = {}
    for request in assert_sent_once(sink, *[("POST", path) for path in messages]):
        assert request.header("api-key") == KEY
        assert request.header("Content-Encoding") == (None if compression == "none" else compression)
        message = ParseDict(with_bytes(json.loads(entity(request))), messages[request.target]())
        (got[request.target],) = message.ListFields()[0][1]
        assert attributes_of(got[request.target].resource)["owner"] == "[EMAIL_ADDRESS]"
    spans = got["/v1/traces"].scope_spans[0].spans
    assert [(span.trace_id.hex(), span.span_id.hex()) for span in spans] == [
        (each["traceId"], each["spanId"]) for each in ids
    ]
    for number, span in enumerate(spans):
        assert attributes_of(span) == redacted(planted) | {"number": number}
        assert [span.name, span.status.message] == ["chat with [EMAIL_ADDRESS]", "no such user: [EMAIL_ADDRESS]"]
        asked, failed = span.events
        assert [asked.name, attributes_of(asked)["gen_ai.completion"]] == ["asked [PHONE_NUMBER]", redacted(PROMPT)]
        assert attributes_of(failed)["exception.message"] == "nobody is called [EMAIL_ADDRESS]"
    text, structured = got["/v1/logs"].scope_logs[0].log_records
    assert text.body.string_value == redacted(PROMPT) and attributes_of(text) == redacted(planted)
    assert structured.body.kvlist_value.values[0].value.string_value == "[EMAIL_ADDRESS]"
    (metric,) = got["/v1/metrics"].scope_metrics[0].metrics
    assert [metric.name, metric.description] == ["tokens", "ask [EMAIL_ADDRESS]"]
    assert attributes_of(metric.sum.data_points[0]) == {"user": "[EMAIL_ADDRESS]"}


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_langsmiths_runs_arrive_redacted(coding, run, sink):
    info = {
        "version": "0.13.0",
        "batch_ingest_config": {"use_multipart_endpoint": True, "size_limit": 100, "size_limit_bytes": 20971520},
        "instance_flags": {"gzip_body_enabled": coding == "gzip"},
    }
    sink.answer = lambda request: (
        Answer(body=json.dumps(info).encode()) if request.target == "/info" else Answer(status=202)
    )
    run("langsmith.mjs", structure=FOR_NODE, ids=IDS)
    said = {}
    for request in sink.requests:
        assert request.clean and request.header("x-api-key") == KEY
        if request.target == "/info":
            continue
        assert (request.method, request.target) == ("POST", "/runs/multipart")
        assert request.header("Content-Encoding") == coding
        for head, content in parts.multipart(entity(request), request.header("Content-Type")):
            assert parts.declared(head) == len(content)
            name = head.decode().split('name="')[1].split('"')[0]
            assert name not in said, "a run was sent again"
            said[name] = json.loads(content)
    for run_id in IDS:
        start = said[f"post.{run_id}"]
        assert [start["id"], start["trace_id"], start["dotted_order"][-36:]] == [run_id] * 3
        assert [start["session_name"], start["tags"]] == ["mail of [EMAIL_ADDRESS]", ["prod", "user:[EMAIL_ADDRESS]"]]
        assert said[f"post.{run_id}.inputs"] == redacted({"prompt": PROMPT, "structure": FOR_NODE})
        # The end may be told with the beginning.
        outputs = said.get(f"patch.{run_id}.outputs") or said[f"post.{run_id}.outputs"]
        assert outputs == redacted({"content": PROMPT, "arguments": ARGUMENTS})
        metadata = said[f"post.{run_id}.extra"]["metadata"]
        assert {name: metadata[name] for name in FOR_NODE} == redacted(FOR_NODE)
    named = [run["name"] for run in said.values() if isinstance(run, dict) and "name" in run]
    assert named.count("look up [EMAIL_ADDRESS]") == len(IDS)
    errors = [error for name, error in said.items() if name.endswith(".error")]
    assert len(errors) == len(IDS)
    assert all("nobody is called [EMAIL_ADDRESS] at [PHONE_NUMBER]" in error for error in errors)


def test_posthogs_events_arrive_redacted_once(run, sink):
    project = "phc_CanaryProjectKey0123456789abcdefghijklmnopq"
    sink.answer = lambda _: Answer(body=b'{"status": 1}')
    assert run("posthog.mjs", key=project, structure=FOR_NODE, ids=IDS) == {"errors": []}
    (request,) = assert_sent_once(sink, ("POST", "/batch/"))
    sent = json.loads(entity(request))
    assert sent["api_key"] == project, "PostHog would drop this batch"
    *events, identified = sorted(sent["batch"], key=lambda event: event["event"] == "$identify")
    assert sorted(event["uuid"] for event in events) == sorted(IDS)
    for event in events:
        assert event["distinct_id"] == event["properties"]["email"] == "[EMAIL_ADDRESS]"
        assert event["properties"]["prompt"] == redacted(PROMPT)
        assert event["properties"]["$ai_input"] == redacted(FOR_NODE)
    assert identified["distinct_id"] == IDS[0]
    assert identified["properties"]["$set"] == {"email": "[EMAIL_ADDRESS]", "plan": "pro"}


def answer(request):
    """What OpenAI would say."""
    if request.target == "/v1/embeddings":
        return Answer(body=json.dumps(EMBEDDING).encode())
    if request.target == "/v1/files":
        return Answer(body=b'{"id": "file-1", "object": "file"}')
    if json.loads(bytes(request.body)).get("stream"):
        chunk = COMPLETION | {"object": "chat.completion.chunk"}
        deltas = ({"index": 0, "delta": {"content": word}} for word in ("Write ", "to ", EMAIL, "."))
        events = [f"data: {json.dumps(chunk | {'choices': [delta]})}\n\n".encode() for delta in deltas]
        return Answer(body=[*events, b"data: [DONE]\n\n"], headers=(("Content-Type", "text/event-stream"),))
    return Answer(body=json.dumps(COMPLETION).encode())


def test_openais_requests_arrive_redacted_and_their_answers_untouched(run, sink):
    sink.answer = answer
    texts = ["nothing to see", PROMPT, NESTED]
    file = "".join(json.dumps({"custom_id": each, "body": {"messages": MESSAGES}}) + "\n" for each in IDS * 60)
    assert run("openai.mjs", messages=MESSAGES, texts=texts, file=file) == {
        "answer": f"Write to {EMAIL}.",
        "words": ["Write ", "to ", EMAIL, "."],
        "file": "file-1",
    }
    paths = ["chat/completions", "chat/completions", "embeddings", "files"]
    chat, streamed, embeddings, files = assert_sent_once(sink, *[("POST", f"/v1/{path}") for path in paths])
    assert {request.header("Authorization") for request in sink.requests} == {f"Bearer {KEY}"}
    question = {"model": "gpt-4o", "messages": MESSAGES}
    assert json.loads(entity(chat)) == redacted(question)
    assert json.loads(entity(streamed)) == redacted(question | {"stream": True})
    assert json.loads(entity(embeddings))["input"] == redacted(texts)
    sent = parts.multipart(entity(files), files.header("Content-Type"))
    assert sorted(content for _, content in sent) == sorted([b"batch", redacted(file).encode()])
