"""The PostHog SDK, unchanged but for its host, works through the proxy."""

import gzip
import json

import pytest
from posthog import Posthog

from sink import Answer

# The project's own key stands in the body: without it PostHog drops the batch.
PROJECT_KEY = "phc_CanaryProjectKey0123456789abcdefghijklmnopq"
EMAIL = "canary.user@corp-mail.example"
PHONE = "+49 30 901820"
AWS = "AKIAIOSFODNN7CANARY7"
PLANTED = (EMAIL, PHONE, AWS)


@pytest.fixture(params=[False, True], ids=["plain", "gzip"])
def client(request, proxy, sink):
    proxy.planted.update(PLANTED)
    sink.answer = lambda _: Answer(body=b'{"status": 1}')
    errors = []
    client = Posthog(
        PROJECT_KEY,
        host=proxy.url,
        gzip=request.param,
        max_retries=2,
        flush_interval=0.05,
        on_error=lambda error, _: errors.append(error),
    )
    yield client
    client.shutdown()
    assert errors == []


def batch(request):
    """What the sink got, decoded by its own header."""
    body = bytes(request.body)
    if request.header("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    for text in PLANTED:
        assert text.encode() not in body
    return json.loads(body)


def events(sink):
    assert {(request.method, request.target) for request in sink.requests} == {("POST", "/batch/")}
    found = []
    for request in sink.requests:
        sent = batch(request)
        assert sent["api_key"] == PROJECT_KEY, "PostHog would drop this batch"
        found += sent["batch"]
    return found


def test_events_arrive_redacted_once_with_the_project_key_intact(client, sink):
    ids = {
        client.capture("signed up", distinct_id=EMAIL, properties={"note": f"call {PHONE}", "plan": "pro"}),
        client.capture("key seen", distinct_id="user-1", properties={"detail": {"text": f"it is {AWS}\n"}}),
        client.set(distinct_id="user-1", properties={"email": EMAIL, "age": 42}),
    }
    client.flush()
    received = events(sink)
    # Each event once: no retry. Their ids are look-alikes that must survive.
    assert sorted(event["uuid"] for event in received) == sorted(str(each) for each in ids)
    by_name = {event["event"]: event for event in received}
    assert by_name["signed up"]["distinct_id"] == "[EMAIL_ADDRESS]"
    assert by_name["signed up"]["properties"]["note"] == "call [PHONE_NUMBER]"
    assert by_name["signed up"]["properties"]["plan"] == "pro"
    assert by_name["$set"]["$set"] == {"email": "[EMAIL_ADDRESS]", "age": 42}


def test_many_events_on_kept_connections_arrive_each_once(client, sink):
    ids = [client.capture("step", distinct_id=f"user-{n}", properties={"n": n, "to": EMAIL}) for n in range(250)]
    client.flush()
    received = events(sink)
    assert sorted(event["uuid"] for event in received) == sorted(str(each) for each in ids)
    assert {event["properties"]["to"] for event in received} == {"[EMAIL_ADDRESS]"}
