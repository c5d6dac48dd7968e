"""The OpenAI SDK, unchanged but for its base URL, works through the proxy."""

import json
import threading

import openai
import pytest

from sink import Answer

KEY = "sk-sdk-own-key-000000000000000000000000"
EMAIL = "canary.person@corp-mail.example"
PHONE = "+44 20 7946 0958"
AWS = "AKIAIOSFODNN7CANARY7"
PLANTED = (EMAIL, PHONE, AWS)

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
    {"role": "user", "content": f"I am {EMAIL}, call {PHONE}.\nMy key is {AWS}\n"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "lookup", "arguments": json.dumps({"mail": EMAIL, "note": f"\n{AWS}"})},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": json.dumps({"rows": [{"contact": PHONE}]})},
]


@pytest.fixture
def client(proxy):
    proxy.planted.update((*PLANTED, KEY))
    with openai.OpenAI(api_key=KEY, base_url=f"{proxy.url}/v1", max_retries=2, timeout=30) as client:
        yield client


def assert_redacted_once(sink, path):
    """One request, so no retry; nothing planted in it; the SDK's own key kept."""
    assert [(request.method, request.target) for request in sink.requests] == [("POST", path)]
    request = sink.requests[0]
    assert request.header("Authorization") == f"Bearer {KEY}"
    for text in PLANTED:
        assert text.encode() not in sink.everything()
    return json.loads(request.body)


def test_a_chat_completion_arrives_redacted_and_its_answer_untouched(client, sink):
    sink.answer = lambda _: Answer(body=json.dumps(COMPLETION).encode())
    completion = client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert completion.choices[0].message.content == f"Write to {EMAIL}."
    sent = assert_redacted_once(sink, "/v1/chat/completions")
    assert sent["model"] == "gpt-4o"
    user, call, tool = sent["messages"][1], sent["messages"][2], sent["messages"][3]
    assert "[EMAIL_ADDRESS]" in user["content"] and user["content"].endswith("\n")
    # JSON in a string is still JSON, and its members are still there.
    assert json.loads(call["tool_calls"][0]["function"]["arguments"])["mail"] == "[EMAIL_ADDRESS]"
    assert json.loads(tool["content"])["rows"][0]["contact"] == "[PHONE_NUMBER]"
    assert call["tool_calls"][0]["id"] == "call_1"


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
    assert assert_redacted_once(sink, "/v1/chat/completions")["stream"] is True


def test_embeddings_arrive_redacted(client, sink):
    sink.answer = lambda _: Answer(body=json.dumps(EMBEDDING).encode())
    texts = ["nothing to see", f"mail {EMAIL}", f"{PHONE} and {AWS}"]
    answer = client.embeddings.create(model="text-embedding-3-small", input=texts, encoding_format="float")
    assert answer.data[0].embedding == [0.25, -0.5]
    sent = assert_redacted_once(sink, "/v1/embeddings")
    assert sent["input"][:2] == ["nothing to see", "mail [EMAIL_ADDRESS]"]


def test_an_error_of_the_upstream_reaches_the_client_unchanged(client, sink):
    error = {"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}}
    sink.answer = lambda _: Answer(status=404, body=json.dumps(error).encode())
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="none", messages=MESSAGES)
    assert caught.value.code == "model_not_found"
    assert_redacted_once(sink, "/v1/chat/completions")
