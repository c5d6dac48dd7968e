"""What the tests of live SDKs plant, what has to come of it, and where they look
for it: in what was sent as it came, and in all that it decodes to.

An SDK must notice nothing: `assert_sent_once` counts what the sink got, and the
fixture `unnoticed` of conftest.py holds logs and standard error.
"""

import base64
import binascii
import json
import re
import urllib.parse

import captures

EMAIL = "canary.person@corp-mail.example"
# Many SDKs write it as "zo\\u00eb".
UMLAUT = "zoë.canary@corp-mail.example"
PHONE = "+44 20 7946 0958"
AWS = "AKIAIOSFODNN7CANARY7"
# Nothing but its name tells what it is: it is planted beside one.
PASSWORD = "Canary-Pa55w0rd-9241"
LABELS = {
    EMAIL: "[EMAIL_ADDRESS]",
    UMLAUT: "[EMAIL_ADDRESS]",
    PHONE: "[PHONE_NUMBER]",
    AWS: "[AWS_ACCESS_KEY_ID]",
    PASSWORD: "[PASSWORD]",
}
PLANTED = tuple(LABELS)

# Look-alikes, which must arrive.
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
RUN = "0192ead0-66b4-77b2-8f3e-5d0c7a9b1e24"
SHA = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
NANOS = 1763708400123456789
TIME = "2026-11-21T07:00:00.123456Z"
ALIKE = {"trace": TRACE, "run": RUN, "commit": SHA, "nanos": NANOS, "nanos_text": str(NANOS), "time": TIME}

PROMPT = f"I am {EMAIL} or {UMLAUT}, call {PHONE}.\nMy key is {AWS}\n"
# As models write them: JSON in a string, and in that again.
ARGUMENTS = json.dumps({"to": EMAIL, "db_password": PASSWORD, "note": f"\n{AWS}", **ALIKE})
NESTED = json.dumps({"arguments": ARGUMENTS, "rows": [{"contact": PHONE, "id": RUN}]})
# What an application hands to an SDK as a structure.
STRUCTURE = {"user": EMAIL, "db_password": PASSWORD, "arguments": ARGUMENTS, "nested": NESTED, **ALIKE}


# How the names of variables begin that SDKs take settings from. None of the developer's
# own may reach one.
SETTINGS = tuple(
    "ANTHROPIC_ LANGCHAIN_ LANGFUSE_ LANGSMITH_ NODE_ OPENAI_ OTEL_ POSTHOG_ SENTRY_ http HTTP".split()
)


def redacted(value):
    """The value with a label in place of all that was planted."""
    if isinstance(value, str):
        for text, label in LABELS.items():
            # Within JSON in a string a character outside of ASCII is escaped.
            for written in {text, json.dumps(text)[1:-1]}:
                value = value.replace(written, label)
        return value
    if isinstance(value, bytes):
        return redacted(value.decode()).encode()
    if isinstance(value, dict):
        return {redacted(name): redacted(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(member) for member in value]
    return value


def masked(value):
    """The value with as many asterisks in place of what was planted as it had bytes."""
    if isinstance(value, bytes):
        for text in PLANTED:
            value = value.replace(text.encode(), b"*" * len(text.encode()))
        return value
    return masked(value.encode()).decode()


def redact_message(message, change=redacted):
    """A protobuf message, in place: every string and every bytes but the ids."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for each in value if field.is_repeated else [value]:
                redact_message(each, change)
        elif field.type == field.TYPE_STRING or field.name == "bytes_value":
            if field.is_repeated:
                value[:] = [change(each) for each in value]
            else:
                setattr(message, field.name, change(value))


def entity(request):
    """A request's body by its Content-Encoding, after a look for what was planted."""
    body = captures.decode(bytes(request.body), request.header("Content-Encoding", ""))
    assert_absent(request.head + body)
    return body


def assert_absent(data):
    """Nothing planted in any layer of the data. A failure names no value."""
    for layer, text in layers(data):
        found = [number for number, value in enumerate(PLANTED) if value in text]
        assert found == [], f"planted values of these numbers are left, {layer}"


def layers(data, layer="as it came", depth=4):
    """All texts that the data may be read as: without escapes of JSON, without
    those of URLs, and what is in base64."""
    text = data.decode("utf-8", "replace")
    yield layer, text
    if depth == 0:
        return
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda escape: chr(int(escape[1], 16)), text)
    plain = re.sub(r'\\(["\\/])', r"\1", plain)
    readings = {"unescaped": plain, "from a URL": urllib.parse.unquote_plus(text)}
    for name, reading in readings.items():
        if reading != text:
            yield from layers(reading.encode("utf-8", "replace"), f"{layer}, {name}", depth - 1)
    for run in re.findall(r"[A-Za-z0-9+/_-]{24,}", text):
        try:
            inner = base64.b64decode(run.replace("-", "+").replace("_", "/") + "=" * (-len(run) % 4))
        except binascii.Error:
            continue
        yield f"{layer}, from base64", inner.decode("utf-8", "replace")


def assert_sent_once(sink, *expected):
    """The sink got these requests, as (method, path), each whole and no other:
    nothing was tried again. In the order of their coming."""
    got = [(request.method, request.target.split("?")[0]) for request in sink.requests]
    assert sorted(got) == sorted(expected)
    assert all(request.clean for request in sink.requests)
    return list(sink.requests)
