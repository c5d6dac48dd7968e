"""Langfuse's SDK, with its base URL set to the proxy: spans as gzip'd OTLP, scores
as JSON, and what goes before the upload of an image."""

import base64
import hashlib
import json
import uuid

import pytest
from langfuse import Langfuse, propagate_attributes
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from planted import (
    ALIKE,
    ARGUMENTS,
    EMAIL,
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

SECRET_KEY = "sk-lf-8c2f7b1d-6e0a-4c39-a1b4-2d9c3e8f7a60"
TRACES, SCORES = ("POST", "/api/public/otel/v1/traces"), ("POST", "/api/public/scores")
MESSAGES = [
    {"role": "user", "content": PROMPT},
    {"role": "assistant", "tool_calls": [{"id": "call_1", "function": {"name": "mail", "arguments": ARGUMENTS}}]},
]
# The smallest image there is.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def public_key(request):
    """One for each test: the SDK keeps one client for each key."""
    return f"pk-lf-{uuid.uuid5(uuid.NAMESPACE_OID, request.node.name)}"


@pytest.fixture(params=["gzip", "none"])
def client(request, public_key, proxy, sink, unnoticed):
    proxy.planted.update((*PLANTED, SECRET_KEY))
    sink.answer = lambda _: Answer(body=b'{"successes": [], "errors": []}')
    client = Langfuse(
        public_key=public_key,
        secret_key=SECRET_KEY,
        base_url=proxy.url,
        tracer_provider=TracerProvider(resource=Resource({"service.name": "agent", "owner": EMAIL})),
        otel_compression=request.param,
    )
    yield client
    client.shutdown()


def spans(request, public_key):
    """By name: (span, its attributes)."""
    basic = base64.b64encode(f"{public_key}:{SECRET_KEY}".encode()).decode()
    assert request.header("Authorization") == f"Basic {basic}"
    message = ExportTraceServiceRequest.FromString(entity(request))
    (resource,) = message.resource_spans
    owner = {each.key: each.value.string_value for each in resource.resource.attributes}["owner"]
    assert owner == "[EMAIL_ADDRESS]"
    (scope,) = resource.scope_spans
    # Langfuse tells projects apart by it.
    assert [(each.key, each.value.string_value) for each in scope.scope.attributes] == [("public_key", public_key)]
    return {
        span.name: (span, {each.key: each.value.string_value for each in span.attributes}) for span in scope.spans
    }


def test_observations_and_scores_arrive_redacted(client, public_key, sink):
    with client.start_as_current_observation(
        name=f"answer {EMAIL}", as_type="agent", input=STRUCTURE, metadata={"db_password": PASSWORD, **ALIKE}
    ) as agent, propagate_attributes(user_id=EMAIL, session_id=ALIKE["run"], tags=["prod", f"by {EMAIL}"]):
        trace_id, agent_id = agent.trace_id, agent.id
        with client.start_as_current_observation(
            name="ask", as_type="generation", model="gpt-4o-2024-08-06", input=MESSAGES
        ) as generation:
            generation.update(output=PROMPT, usage_details={"input": 12}, level="ERROR", status_message=f"lost {PHONE}")
        agent.score_trace(name="helpful", value=0.75, comment=PROMPT)
    client.flush()
    by_path = {request.target: request for request in assert_sent_once(sink, TRACES, SCORES)}
    found = spans(by_path[TRACES[1]], public_key)
    assert sorted(found) == ["answer [EMAIL_ADDRESS]", "ask"]
    span, attributes = found["answer [EMAIL_ADDRESS]"]
    assert [span.trace_id.hex(), span.span_id.hex()] == [trace_id, agent_id]
    # The SDK writes what JavaScript could not hold as a string.
    expected = redacted(STRUCTURE) | {"nanos": ALIKE["nanos_text"]}
    assert json.loads(attributes["langfuse.observation.input"]) == expected
    # Each member is written as JSON, if it is no number.
    assert attributes["langfuse.observation.metadata.db_password"].strip('"') == "[PASSWORD]"
    for name in ("trace", "run", "commit", "nanos_text", "time"):
        assert attributes[f"langfuse.observation.metadata.{name}"].strip('"') == ALIKE[name]
    span, attributes = found["ask"]
    assert span.parent_span_id.hex() == agent_id
    assert json.loads(attributes["langfuse.observation.input"]) == redacted(MESSAGES)
    assert attributes["langfuse.observation.output"] == redacted(PROMPT)
    assert attributes["langfuse.observation.status_message"] == "lost [PHONE_NUMBER]"
    assert attributes["langfuse.observation.model.name"] == "gpt-4o-2024-08-06"
    assert [attributes["user.id"], attributes["session.id"]] == ["[EMAIL_ADDRESS]", ALIKE["run"]]
    (score,) = json.loads(entity(by_path[SCORES[1]]))
    assert [score["traceId"], score["value"], score["comment"]] == [trace_id, 0.75, redacted(PROMPT)]


def test_an_image_in_a_prompt_is_announced_by_its_true_hash(client, public_key, sink):
    sink.answer = lambda _: Answer(body=b'{"mediaId": "fhJmMYlcFVSw0dGMV2Ftbn", "uploadUrl": null}')
    image = "data:image/png;base64," + base64.b64encode(PNG).decode()
    with client.start_as_current_observation(name="look", input={"from": EMAIL, "image": image}):
        pass
    client.flush()
    media, traces = sorted(assert_sent_once(sink, ("POST", "/api/public/media"), TRACES), key=lambda each: each.target)
    announced = json.loads(entity(media))
    assert announced["sha256Hash"] == base64.b64encode(hashlib.sha256(PNG).digest()).decode()
    assert announced["contentLength"] == len(PNG)
    told = json.loads(spans(traces, public_key)["look"][1]["langfuse.observation.input"])
    assert told["from"] == "[EMAIL_ADDRESS]" and told["image"].startswith("@@@langfuseMedia:type=image/png|id=")
