"""The OpenAI SDK, unchanged but for its base URL, works through the proxy."""

import json
import threading

import openai
import pytest
from requests_toolbelt.multipart.decoder import MultipartDecoder

from planted import ALIKE, ARGUMENTS, EMAIL, NESTED, PHONE, PLANTED, PROMPT, assert_sent_once, entity, redacted
from sink import Answer

KEY = "sk-sdk-own-key-000000000000000000000000"

COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "gpt-4o",
    "choices": [
        # The proxy redacts requests: an answer keeps what it holds.
        {"index": 0, "message": {"role": "assistant", "content": f"Write to {EMAIL}."}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}
EMBEDDING = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}
MESSAGES = [
    {"role": "system", "content": "You answer support mail."},
    {"role": "user", "content": [{"type": "text", "text": PROMPT}], "name": "someone"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "lookup", "arguments": ARGUMENTS}}
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": NESTED},
]
RESPONSE = {
    "id": "resp_67cb71b351908190a308f3859487620d06981a8637e6bc44",
    "object": "response",
    "created_at": 1741386163,
    "status": "completed",
    "model": "gpt-4o",
    "output": [
        {
            "type": "message",
            "id": "msg_67cb71b3c2b0819084d481baaaf148f206981a8637e6bc44",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": f"Write to {EMAIL}.", "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
INPUT = [
    {"role": "user", "content": [{"type": "input_text", "text": PROMPT}]},
    {"type": "function_call", "call_id": "call_1", "name": "lookup", "arguments": ARGUMENTS},
    {"type": "function_call_output", "call_id": "call_1", "output": NESTED},
]


@pytest.fixture
def client(proxy, unnoticed):
    proxy.planted.update((*PLANTED, KEY))
    with openai.OpenAI(api_key=KEY, base_url=f"{proxy.url}/v1", max_retries=2, timeout=30) as client:
        yield client


def sent_once(sink, path):
    """The only request, so that there was no retry, with the SDK's own key."""
    (request,) = assert_sent_once(sink, ("POST", path))
    assert request.header("Authorization") == f"Bearer {KEY}"
    return request


def assert_redacted_once(sink, path, expected):
    """All that was said is there, in one request, but for what was planted."""
    assert json.loads(entity(sent_once(sink, path))) == redacted(expected)


def test_a_chat_completion_arrives_redacted_and_its_answer_untouched(client, sink):
    sink.answer = lambda _: Answer(body=json.dumps(COMPLETION).encode())
    question = dict(model="gpt-4o", messages=MESSAGES, user=ALIKE["run"], metadata={"owner": EMAIL, **ALIKE})
    completion = client.chat.completions.create(**question)
    assert completion.choices[0].message.content == f"Write to {EMAIL}."
    assert_redacted_once(sink, "/v1/chat/completions", question)


def test_a_streamed_completion_passes_event_by_event(client, sink):
    words = ["Write ", "to ", EMAIL, "."]

    def events():
        for number, word in enumerate(words):
            delta = {"index": 0, "delta": {"content": word}, "finish_reason": None}
            chunk = {
                "id": "chatcmpl-1",
                "object": "chat.completion.chunk",
                "created": 1700000000,
                "model": "gpt-4o",
                "choices": [delta],
            }
            yield f"data: {json.dumps(chunk)}\n\n".encode()
            # The next event is held until the client has this one: a proxy
            # that collects the answer would stand still here.
            assert seen.acquire(timeout=20), f"event {number} did not reach the client"
        yield b"data: [DONE]\n\n"

    seen = threading.Semaphore(0)
    sink.answer = lambda _: Answer(body=events(), headers=(("Content-Type", "text/event-stream"),))
    received = []
    for chunk in client.chat.completions.create(model="gpt-4o", messages=MESSAGES, stream=True):
        received.append(chunk.choices[0].delta.content)
        seen.release()
    assert received == words
    expected = {"model": "gpt-4o", "messages": MESSAGES, "stream": True}
    assert_redacted_once(sink, "/v1/chat/completions", expected)


def test_a_response_arrives_redacted_and_its_answer_untouched(client, sink):
    sink.answer = lambda _: Answer(body=json.dumps(RESPONSE).encode())
    question = dict(model="gpt-4o", input=INPUT, instructions=f"You write for {EMAIL}.", metadata={"owner": PHONE})
    assert client.responses.create(**question).output_text == f"Write to {EMAIL}."
    assert_redacted_once(sink, "/v1/responses", question)


def test_a_streamed_response_passes_event_by_event(client, sink):
    seen = threading.Semaphore(0)

    def event(number, kind, **members):
        data = {"type": kind, "sequence_number": number, **members}
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()

    def events():
        yield event(0, "response.created", response=RESPONSE | {"status": "in_progress", "output": []})
        item = dict(item_id="msg_1", output_index=0, content_index=0, logprobs=[])
        for number, word in enumerate(("Write ", "to ", EMAIL, "."), 1):
            yield event(number, "response.output_text.delta", delta=word, **item)
            assert seen.acquire(timeout=20), f"event {number} did not reach the client"
        yield event(5, "response.completed", response=RESPONSE)

    sink.answer = lambda _: Answer(body=events(), headers=(("Content-Type", "text/event-stream"),))
    text = ""
    for each in client.responses.create(model="gpt-4o", input=INPUT, stream=True):
        if each.type == "response.output_text.delta":
            text += each.delta
            seen.release()
    assert text == f"Write to {EMAIL}." and each.response.output_text == text
    assert_redacted_once(sink, "/v1/responses", {"model": "gpt-4o", "input": INPUT, "stream": True})


def test_embeddings_arrive_redacted(client, sink):
    sink.answer = lambda _: Answer(body=json.dumps(EMBEDDING).encode())
    question = dict(model="text-embedding-3-small", input=["nothing to see", f"mail {EMAIL}", PROMPT, NESTED])
    answer = client.embeddings.create(**question, encoding_format="float")
    assert answer.data[0].embedding == [0.25, -0.5]
    assert_redacted_once(sink, "/v1/embeddings", question | {"encoding_format": "float"})


# The type of the part is guessed from the name: JSONL has none.
@pytest.mark.parametrize("name", ["batch.jsonl", "notes.md", "rows.csv", "agent.py"])
def test_an_uploaded_file_arrives_redacted(name, client, sink):
    sink.answer = lambda _: Answer(body=b'{"id": "file-1", "object": "file", "purpose": "batch"}')
    line = {"custom_id": ALIKE["run"], "method": "POST", "url": "/v1/responses", "body": {"input": INPUT}}
    content = "".join(json.dumps(line | {"number": number}) + "\n" for number in range(200)).encode()
    assert client.files.create(file=(name, content), purpose="batch").id == "file-1"
    request = sent_once(sink, "/v1/files")
    purpose, file = MultipartDecoder(entity(request), request.header("Content-Type")).parts
    assert purpose.content == b"batch"
    assert file.content == redacted(content)
    assert f'filename="{name}"'.encode() in file.headers[b"Content-Disposition"]


def test_an_error_of_the_upstream_reaches_the_client_unchanged(client, sink):
    error = {"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}}
    sink.answer = lambda _: Answer(status=404, body=json.dumps(error).encode())
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="none", messages=MESSAGES)
    assert caught.value.code == "model_not_found"
    assert_redacted_once(sink, "/v1/chat/completions", {"model": "none", "messages": MESSAGES})
