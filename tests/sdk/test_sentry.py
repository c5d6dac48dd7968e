"""Sentry's SDK, with the host of its DSN set to the proxy: events with exceptions,
breadcrumbs and attachments, transactions and logs, as envelopes in gzip and br."""

import json
import logging

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.logging import LoggingIntegration

from parts import envelope
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
    masked,
    redacted,
)
from sink import Answer

# It looks like a trace id, and stands in the head, the URL and the envelope.
PUBLIC_KEY = "9a1f0c5e7b3d4826a1f0c5e7b3d48260"
PROJECT = 4507
PATH = f"/api/{PROJECT}/envelope/"
NOTE = f"call {PHONE}\nor {EMAIL}\n".encode()


@pytest.fixture(params=["gzip", "br", "none"])
def coding(request, proxy, sink, unnoticed):
    proxy.planted.update(PLANTED)
    sink.answer = lambda _: Answer(body=b'{"id": "fc6d8c0c43fc4630ad850ee518f1b9d0"}')
    coding = request.param
    experiments = {"transport_compression_algo": coding} if coding != "none" else {"transport_compression_level": 0}
    sentry_sdk.init(
        dsn=f"http://{PUBLIC_KEY}@{proxy.address}/{PROJECT}",
        traces_sample_rate=1.0,
        enable_logs=True,
        server_name=f"host of {EMAIL}",
        release=f"agent@{ALIKE['commit']}",
        default_integrations=False,
        integrations=[LoggingIntegration()],
        _experiments=experiments,
    )
    with sentry_sdk.isolation_scope():
        yield coding
    sentry_sdk.get_client().close()
    sentry_sdk.init()


def received(sink, coding, count):
    """The items of the envelopes, by Sentry's own parser: [(type, headers, payload)]."""
    items = []
    for request in assert_sent_once(sink, *[("POST", PATH)] * count):
        assert request.header("Content-Encoding") == (None if coding == "none" else coding)
        assert request.header("Content-Type") == "application/x-sentry-envelope"
        assert f"sentry_key={PUBLIC_KEY}" in request.header("X-Sentry-Auth")
        body = entity(request)
        parsed = Envelope.deserialize(body)
        # Sentry's parser forgives a wrong length; ours does not.
        assert len(envelope(body)) == 1 + len(parsed.items)
        trace = parsed.headers.get("trace", {"public_key": PUBLIC_KEY})
        assert trace["public_key"] == PUBLIC_KEY
        items += [(item.type, item.headers, item.payload.get_bytes()) for item in parsed.items]
    assert "client_report" not in [kind for kind, _, _ in items], "the SDK tells of a loss"
    return items


def fail(argument):
    password = PASSWORD  # noqa: F841  Sentry sends local variables
    raise LookupError(f"nobody is called {argument}, call {PHONE}")


def test_an_exception_with_its_breadcrumbs_and_attachment_arrives_redacted(coding, sink):
    scope = sentry_sdk.get_isolation_scope()
    scope.set_user({"id": ALIKE["run"], "email": EMAIL, "username": EMAIL})
    scope.set_tag("owner", EMAIL)
    scope.set_context("agent", STRUCTURE)
    scope.add_attachment(bytes=NOTE, filename=f"{EMAIL} wrote.txt", content_type="text/plain")
    sentry_sdk.add_breadcrumb(category="tool", message=f"look up {EMAIL}", data={"arguments": ARGUMENTS})
    logging.getLogger("agent").info("asked %s", EMAIL)
    try:
        fail(EMAIL)
    except LookupError as error:
        event_id = sentry_sdk.capture_exception(error)
    sentry_sdk.flush()
    (kind, _, payload), (attachment, headers, note) = sorted(
        (item for item in received(sink, coding, 2) if item[0] != "log"), key=lambda item: item[0] == "attachment"
    )
    assert [kind, attachment] == ["event", "attachment"]
    event = json.loads(payload)
    assert event["event_id"] == event_id and event["release"] == f"agent@{ALIKE['commit']}"
    assert event["user"] == {"id": ALIKE["run"], "email": "[EMAIL_ADDRESS]", "username": "[EMAIL_ADDRESS]"}
    assert event["tags"]["owner"] == "[EMAIL_ADDRESS]"
    assert event["server_name"] == "host of [EMAIL_ADDRESS]"
    agent = event["contexts"]["agent"]
    # The SDK's own scrubber takes what is called a password.
    assert agent | {"db_password": "[PASSWORD]"} == redacted(STRUCTURE)
    crumbs = event["breadcrumbs"]["values"]
    assert [crumb["message"] for crumb in crumbs] == ["look up [EMAIL_ADDRESS]", "asked [EMAIL_ADDRESS]"]
    assert crumbs[0]["data"] == {"arguments": redacted(ARGUMENTS)}
    (exception,) = event["exception"]["values"]
    assert exception["value"] == "nobody is called [EMAIL_ADDRESS], call [PHONE_NUMBER]"
    assert exception["stacktrace"]["frames"][-1]["vars"]["argument"] == "'[EMAIL_ADDRESS]'"
    assert note == redacted(NOTE) and headers["length"] == len(note)
    assert headers["filename"] == "[EMAIL_ADDRESS] wrote.txt"


def test_an_attachment_beyond_what_is_buffered_keeps_its_length(coding, sink):
    note = NOTE * 16_000
    sentry_sdk.get_isolation_scope().add_attachment(bytes=note, filename="note.txt", content_type="text/plain")
    sentry_sdk.capture_message(f"asked {EMAIL}")
    sentry_sdk.flush()
    items = {kind: payload for kind, _, payload in received(sink, coding, 1)}
    assert json.loads(items["event"])["message"] == "asked [EMAIL_ADDRESS]"
    # Its length has gone before: masks keep it.
    assert items["attachment"] == masked(note)


def test_a_transaction_and_its_spans_arrive_redacted(coding, sink):
    with sentry_sdk.start_transaction(op="agent", name=f"answer {EMAIL}") as transaction:
        for number in range(30):
            with sentry_sdk.start_span(op="tool", name=f"mail to {EMAIL}") as span:
                span.set_data("gen_ai.prompt", PROMPT)
                span.set_data("arguments", ARGUMENTS)
                span.set_data("number", number)
        trace_id = transaction.trace_id
    sentry_sdk.flush()
    ((kind, headers, payload),) = received(sink, coding, 1)
    assert kind == "transaction" and headers["length"] == len(payload)
    event = json.loads(payload)
    assert event["transaction"] == "answer [EMAIL_ADDRESS]"
    assert event["contexts"]["trace"]["trace_id"] == trace_id
    assert len(event["spans"]) == 30
    for number, span in enumerate(event["spans"]):
        assert span["description"] == "mail to [EMAIL_ADDRESS]" and span["trace_id"] == trace_id
        assert span["data"]["gen_ai.prompt"] == redacted(PROMPT)
        assert [span["data"]["arguments"], span["data"]["number"]] == [redacted(ARGUMENTS), number]


def test_logs_arrive_redacted(coding, sink):
    for number in range(20):
        attributes = {"number": number, "arguments": ARGUMENTS, **ALIKE}
        sentry_sdk.logger.info("asked {who}", who=EMAIL, attributes=attributes)
    sentry_sdk.flush()
    ((kind, headers, payload),) = received(sink, coding, 1)
    assert kind == "log" and headers["item_count"] == 20
    logs = json.loads(payload)["items"]
    assert len(logs) == 20
    for number, log in enumerate(logs):
        assert log["body"] == "asked [EMAIL_ADDRESS]"
        attributes = {name: each["value"] for name, each in log["attributes"].items()}
        assert [attributes["number"], attributes["arguments"]] == [number, redacted(ARGUMENTS)]
        assert {name: attributes[name] for name in ALIKE} == ALIKE
