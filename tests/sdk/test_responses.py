"""Answers on a route with `responses = true`: the SDKs of OpenAI and Anthropic get them
redacted, whole and streamed in pieces, and notice nothing else."""

import gzip
import itertools
import json

import anthropic
import openai
import pytest

from planted import ALIKE, ARGUMENTS, EMAIL, NESTED, PHONE, PLANTED, PROMPT, assert_absent, redacted
from proxy import Proxy
from sink import Answer
from test_anthropic import MESSAGE
from test_openai import COMPLETION, RESPONSE

QUESTION = [{"role": "user", "content": "What do you know?"}]
TEXT = f"Ask {EMAIL}, or call {PHONE}.\n{PROMPT} Done."
CALL = {"id": "call_1", "type": "function", "function": {"name": "mail", "arguments": ARGUMENTS}}
EVENTS = (("Content-Type", "text/event-stream"),)


@pytest.fixture(scope="module")
def proxy(sink, tmp_path_factory):
    config = f'[[route]]\nupstream = "{sink.url}"\nresponses = true\n'
    with Proxy(sink.url, tmp_path_factory.mktemp("proxy"), config=config) as proxy:
        proxy.planted.update(PLANTED)
        yield proxy


@pytest.fixture
def chat(proxy, unnoticed):
    with openai.OpenAI(api_key="own", base_url=f"{proxy.url}/v1", max_retries=2, timeout=30) as client:
        yield client


@pytest.fixture
def claude(proxy, unnoticed):
    with anthropic.Anthropic(api_key="own", base_url=proxy.url, max_retries=2, timeout=30) as client:
        yield client


def pieces(text, size):
    """As models write: a finding is in several pieces."""
    return [text[at : at + size] for at in range(0, len(text), size)]


def event(data, kind=None):
    name = f"event: {kind}\n" if kind else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_a_completion_is_redacted(coding, chat, sink):
    message = {"role": "assistant", "content": TEXT, "tool_calls": [CALL]}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps(COMPLETION | {"choices": [choice], "system_fingerprint": ALIKE["commit"]}).encode()
    headers = (("Content-Type", "application/json"), *((("Content-Encoding", coding),) if coding else ()))
    sink.answer = lambda _: Answer(body=gzip.compress(body) if coding else body, headers=headers)
    answer = chat.chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert len(sink.requests) == 1
    message = answer.choices[0].message
    assert [message.content, message.tool_calls[0].function.arguments] == [redacted(TEXT), redacted(ARGUMENTS)]
    assert [answer.system_fingerprint, answer.created] == [ALIKE["commit"], COMPLETION["created"]]


@pytest.mark.parametrize("size", [1, 3, 16])
def test_a_streamed_completion_is_redacted_over_its_pieces(size, chat, sink):
    def chunk(delta, finish_reason=None):
        choices = [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
        return event(COMPLETION | {"object": "chat.completion.chunk", "choices": choices})

    def events():
        yield chunk({"role": "assistant", "content": ""})
        for piece in pieces(TEXT, size):
            yield chunk({"content": piece})
        yield chunk({"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "mail", "arguments": ""}}]})
        for piece in pieces(ARGUMENTS, size):
            yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        yield chunk({}, "tool_calls")
        yield b"data: [DONE]\n\n"

    sink.answer = lambda _: Answer(body=events(), headers=EVENTS)
    content = arguments = ""
    count = 0
    for each in chat.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True):
        count += 1
        delta = each.choices[0].delta
        content += delta.content or ""
        arguments += delta.tool_calls[0].function.arguments if delta.tool_calls else ""
    assert len(sink.requests) == 1
    assert content == redacted(TEXT)
    assert json.loads(arguments) == json.loads(redacted(ARGUMENTS))
    # No event is lost, also if nothing is left of its text.
    assert count == len(pieces(TEXT, size)) + len(pieces(ARGUMENTS, size)) + 3


@pytest.mark.parametrize("size", [3, 16])
def test_a_streamed_response_is_redacted_over_its_pieces(size, chat, sink):
    content = [{"type": "output_text", "text": TEXT, "annotations": []}]
    final = RESPONSE | {"output": [RESPONSE["output"][0] | {"content": content}]}
    place = dict(item_id="msg_1", output_index=0, content_index=0, logprobs=[])

    def events():
        numbers = itertools.count()

        def told(kind, **members):
            return event({"type": kind, "sequence_number": next(numbers), **members}, kind)

        yield told("response.created", response=RESPONSE | {"output": []})
        for piece in pieces(TEXT, size):
            yield told("response.output_text.delta", delta=piece, **place)
        yield told("response.output_text.done", text=TEXT, **place)
        yield told("response.completed", response=final)

    sink.answer = lambda _: Answer(body=events(), headers=EVENTS)
    got = list(chat.responses.create(model="gpt-4o", input=QUESTION, stream=True))
    assert "".join(each.delta for each in got if each.type.endswith("delta")) == redacted(TEXT)
    assert got[-2].text == got[-1].response.output_text == redacted(TEXT)
    assert [each.sequence_number for each in got] == list(range(len(got)))


@pytest.mark.parametrize("size", [1, 3, 16])
def test_a_streamed_message_is_redacted_over_its_pieces(size, claude, sink):
    def events():
        def told(kind, **members):
            return event({"type": kind, **members}, kind)

        yield told("message_start", message=MESSAGE | {"content": [], "stop_reason": None})
        yield told("content_block_start", index=0, content_block={"type": "text", "text": ""})
        for piece in pieces(TEXT, size):
            yield told("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        yield told("content_block_stop", index=0)
        tool = {"type": "tool_use", "id": "toolu_01A09q90qw90lq917835lq9", "name": "mail", "input": {}}
        yield told("content_block_start", index=1, content_block=tool)
        for piece in pieces(NESTED, size):
            yield told("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": piece})
        yield told("content_block_stop", index=1)
        yield told("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 4})
        yield told("message_stop")

    sink.answer = lambda _: Answer(body=events(), headers=EVENTS)
    with claude.messages.stream(model="claude-of-a-test", max_tokens=9, messages=QUESTION) as stream:
        message = stream.get_final_message()
    text, tool = message.content
    assert text.text == redacted(TEXT)
    assert tool.input == json.loads(redacted(NESTED)) and tool.id == "toolu_01A09q90qw90lq917835lq9"
    assert_absent(message.model_dump_json().encode())


def test_an_error_is_redacted_and_stays_one(claude, sink):
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": f"no such user: {EMAIL}"}}
    sink.answer = lambda _: Answer(status=400, body=json.dumps(error).encode())
    with pytest.raises(anthropic.BadRequestError) as caught:
        claude.messages.create(model="claude-of-a-test", max_tokens=9, messages=QUESTION)
    assert caught.value.body == redacted(error)
    assert len(sink.requests) == 1
