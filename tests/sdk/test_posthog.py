"""The PostHog SDK, unchanged but for its host, works through the proxy."""

import json

import pytest
from posthog import Posthog

from planted import ALIKE, ARGUMENTS, EMAIL, NESTED, PHONE, PLANTED, PROMPT, STRUCTURE, entity, redacted
from sink import Answer

# The project's own key stands in the body: without it PostHog drops the batch.
PROJECT_KEY = "phc_CanaryProjectKey0123456789abcdefghijklmnopq"


@pytest.fixture(params=[False, True], ids=["plain", "gzip"])
def client(request, proxy, sink, unnoticed):
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


def events(sink):
    assert {(request.method, request.target) for request in sink.requests} == {("POST", "/batch/")}
    found = []
    for request in sink.requests:
        sent = json.loads(entity(request))
        assert sent["api_key"] == PROJECT_KEY, "PostHog would drop this batch"
        found += sent["batch"]
    return found


def test_events_arrive_redacted_once_with_the_project_key_intact(client, sink):
    ids = {
        client.capture("signed up", distinct_id=EMAIL, properties={"note": f"call {PHONE}", "plan": "pro"}),
        client.capture("key seen", distinct_id="user-1", properties={"prompt": PROMPT, "$ai_input": STRUCTURE}),
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
    assert by_name["key seen"]["properties"]["prompt"] == redacted(PROMPT)
    assert by_name["key seen"]["properties"]["$ai_input"] == redacted(STRUCTURE)
    assert by_name["$set"]["$set"] == {"email": "[EMAIL_ADDRESS]", "age": 42}


def test_many_events_on_kept_connections_arrive_each_once(client, sink):
    ids = [client.capture("step", distinct_id=f"user-{n}", properties={"n": n, "to": EMAIL}) for n in range(250)]
    client.flush()
    received = events(sink)
    assert sorted(event["uuid"] for event in received) == sorted(str(each) for each in ids)
    assert {event["properties"]["to"] for event in received} == {"[EMAIL_ADDRESS]"}


def test_an_exception_arrives_redacted(client, sink):
    try:
        raise LookupError(f"nobody is called {EMAIL}, call {PHONE}")
    except LookupError as error:
        event_id = client.capture_exception(error, distinct_id=ALIKE["run"], properties={"arguments": ARGUMENTS})
    client.flush()
    (event,) = events(sink)
    assert [event["event"], event["uuid"], event["distinct_id"]] == ["$exception", str(event_id), ALIKE["run"]]
    (exception,) = event["properties"]["$exception_list"]
    assert exception["value"] == "nobody is called [EMAIL_ADDRESS], call [PHONE_NUMBER]"
    assert event["properties"]["arguments"] == redacted(ARGUMENTS)


def test_a_question_for_flags_arrives_redacted(client, sink):
    flag = {"key": "beta", "enabled": True, "variant": None, "metadata": {"id": 1, "version": 1, "payload": None}}
    flags = {"flags": {"beta": flag}, "errorsWhileComputingFlags": False, "requestId": ALIKE["run"]}
    sink.answer = lambda _: Answer(body=json.dumps(flags).encode())
    asked = {"email": EMAIL, "note": NESTED, "plan": "pro"}
    assert client.get_all_flags(ALIKE["run"], person_properties=asked) == {"beta": True}
    (request,) = sink.requests
    assert request.target.startswith("/flags/?v=")
    sent = json.loads(entity(request))
    assert [sent["distinct_id"], sent.get("api_key") or sent["token"]] == [ALIKE["run"], PROJECT_KEY]
    assert {name: sent["person_properties"][name] for name in asked} == redacted(asked)
