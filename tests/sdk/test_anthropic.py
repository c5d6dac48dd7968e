"""Anthropic's SDK, unchanged but for its base URL, works through the proxy."""

import base64
import json
import threading

import anthropic
import pytest
from requests_toolbelt.multipart.decoder import MultipartDecoder

from planted import (
    ALIKE,
    ARGUMENTS,
    EMAIL,
    PHONE,
    PLANTED,
    PROMPT,
    STRUCTURE,
    assert_sent_once,
    entity,
    redacted,
)
from sink import Answer

KEY = "sk-ant-api03-own-key-000000000000000000000000"
MODEL = "claude-of-a-test"
SIGNATURE = base64.b64encode(bytes(range(256))).decode()
IMAGE = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4).decode()
TOOLS = [
    {
        "name": "send_mail",
        "description": f"Sends mail as {EMAIL}",
        "input_schema": {"type": "object", "properties": {"to": {"type": "string"}, "db_password": {"type": "string"}}},
    }
]
MESSAGES = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": PROMPT},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": IMAGE}},
        ],
    },
    {
        "role": "assistant",
        "content": [
            # The server checks the signature: neither may change.
            {"type": "thinking", "thinking": "The user wants mail.", "signature": SIGNATURE},
            {"type": "tool_use", "id": "toolu_01A09q90qw90lq917835lq9", "name": "send_mail", "input": STRUCTURE},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "toolu_01A09q90qw90lq917835lq9", "content": ARGUMENTS},
        ],
    },
]
MESSAGE = {
    "id": "msg_01XFDUDYJgAACzvnptvVoYEL",
    "type": "message",
    "role": "assistant",
    "model": MODEL,
    # The proxy redacts requests: an answer keeps what it holds.
    "content": [{"type": "text", "text": f"Write to {EMAIL}."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 2},
}


@pytest.fixture
def client(proxy, sink, unnoticed):
    proxy.planted.update((*PLANTED, KEY))
    with anthropic.Anthropic(api_key=KEY, base_url=proxy.url, max_retries=2, timeout=30) as client:
        yield client


def sent_once(sink, path):
    (request,) = assert_sent_once(sink, ("POST", path))
    assert KEY in (request.header("X-Api-Key"), request.header("Authorization", "").removeprefix("Bearer "))
    assert request.header("anthropic-version")
    return request


def question():
    return dict(
        model=MODEL,
        max_tokens=1024,
        system=[{"type": "text", "text": f"You write for {EMAIL}.", "cache_control": {"type": "ephemeral"}}],
        messages=MESSAGES,
        tools=TOOLS,
        metadata={"user_id": ALIKE["run"]},
    )


def test_a_message_arrives_redacted_and_its_answer_untouched(client, sink):
    sink.answer = lambda _: Answer(body=json.dumps(MESSAGE).encode())
    answer = client.messages.create(**question())
    assert answer.content[0].text == f"Write to {EMAIL}."
    # All of it, images, signatures and ids too, but for what was planted.
    assert json.loads(entity(sent_once(sink, "/v1/messages"))) == redacted(question())


def test_a_streamed_answer_passes_event_by_event(client, sink):
    words = ["Write ", "to ", EMAIL, "."]
    seen = threading.Semaphore(0)

    def event(kind, **members):
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()

    def events():
        yield event("message_start", message=MESSAGE | {"content": [], "stop_reason": None})
        yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for word in words:
            yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
            # The next event is held until the client has this one.
            assert seen.acquire(timeout=20), "an event did not reach the client"
        yield event("content_block_stop", index=0)
        yield event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 4})
        yield event("message_stop")

    sink.answer = lambda _: Answer(body=events(), headers=(("Content-Type", "text/event-stream"),))
    received = []
    with client.messages.stream(**question()) as stream:
        for text in stream.text_stream:
            received.append(text)
            seen.release()
        assert stream.get_final_message().content[0].text == "".join(words)
    assert received == words
    assert json.loads(entity(sent_once(sink, "/v1/messages"))) == redacted(question() | {"stream": True})


def test_a_batch_and_a_count_of_tokens_arrive_redacted(client, sink):
    sink.answer = lambda _: Answer(body=b'{"input_tokens": 2095}')
    counted = {name: value for name, value in question().items() if name not in ("max_tokens", "metadata")}
    assert client.messages.count_tokens(**counted).input_tokens == 2095
    assert json.loads(entity(sent_once(sink, "/v1/messages/count_tokens"))) == redacted(counted)
    sink.forget()
    requests = [{"custom_id": f"{ALIKE['run']}-{number}", "params": question()} for number in range(20)]
    sink.answer = lambda _: Answer(body=b'{"id": "msgbatch_1", "type": "message_batch"}')
    client.messages.batches.create(requests=requests)
    assert json.loads(entity(sent_once(sink, "/v1/messages/batches"))) == redacted({"requests": requests})


@pytest.mark.parametrize("file", [("note.txt", "text/plain"), ("rows.jsonl", None)], ids=["text", "without a type"])
def test_an_uploaded_file_arrives_redacted(file, client, sink):
    sink.answer = lambda _: Answer(body=b'{"id": "file_1", "type": "file"}')
    name, media = file
    content = "".join(f"{json.dumps({'line': n, 'text': PROMPT})}\ncall {PHONE}\n" for n in range(50)).encode()
    client.beta.files.upload(file=(name, content, media) if media else (name, content))
    request = sent_once(sink, "/v1/files")
    (part,) = MultipartDecoder(entity(request), request.header("Content-Type")).parts
    assert part.content == redacted(content)
    assert f'filename="{name}"'.encode() in part.headers[b"Content-Disposition"]


def test_an_error_of_the_upstream_reaches_the_client_unchanged(client, sink):
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "max_tokens: too many"}}
    sink.answer = lambda _: Answer(status=400, body=json.dumps(error).encode())
    with pytest.raises(anthropic.BadRequestError) as caught:
        client.messages.create(**question())
    assert caught.value.body == error
    sent_once(sink, "/v1/messages")
