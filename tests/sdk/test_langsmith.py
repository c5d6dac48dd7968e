"""LangSmith's SDK, with the endpoint set to the proxy: in each of the four ways in
which it sends runs, by what the server's `/info` says and how it is set up."""

import json
import time
import uuid

import pytest
from langsmith import Client, traceable, tracing_context
from langsmith.schemas import Attachment
from langsmith.utils import get_env_var
from requests_toolbelt.multipart.decoder import MultipartDecoder

from planted import (
    ALIKE,
    ARGUMENTS,
    EMAIL,
    PASSWORD,
    PHONE,
    PLANTED,
    PROMPT,
    STRUCTURE,
    entity,
    masked,
    redacted,
)
from sink import Answer

KEY = "lsv2_pt_0123456789abcdef0123456789abcdef_0123456789"
INFO = {
    "version": "0.13.0",
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "size_limit": 100,
        "size_limit_bytes": 20971520,
        "scale_up_nthreads_limit": 16,
        "scale_up_qsize_trigger": 1000,
        "scale_down_nempty_trigger": 4,
    },
    "instance_flags": {"zstd_compression_enabled": True},
}
NOTE = f"call {PHONE} or {EMAIL}\n"
WAYS = ["zstd", "multipart", "batch", "one by one"]


@pytest.fixture(params=WAYS)
def way(request, unnoticed, monkeypatch):
    if request.param != "zstd":
        monkeypatch.setenv("LANGSMITH_DISABLE_RUN_COMPRESSION", "true")
    # The SDK remembers what it found in the environment.
    get_env_var.cache_clear()
    yield request.param
    get_env_var.cache_clear()


@pytest.fixture
def client(way, proxy, sink):
    proxy.planted.update((*PLANTED, KEY))
    info = INFO | {"batch_ingest_config": INFO["batch_ingest_config"] | {"use_multipart_endpoint": way != "batch"}}

    def answer(request):
        if request.target == "/info":
            return Answer(body=json.dumps(info).encode())
        return Answer(status=202, body=b'{"message": "Runs batch ingested"}')

    sink.answer = answer
    errors = []
    client = Client(
        api_url=proxy.url,
        api_key=KEY,
        auto_batch_tracing=way != "one by one",
        tracing_error_callback=errors.append,
    )
    end = time.monotonic() + 10
    # Runs are compressed once the answer to /info is there.
    while way == "zstd" and client.compressed_traces is None and time.monotonic() < end:
        time.sleep(0.01)  # the interval of a poll with a deadline
    yield client
    client.cleanup()
    assert errors == []


@traceable(run_type="tool", name=f"look up {EMAIL}")
def look_up(arguments):
    raise LookupError(f"nobody is called {EMAIL} at {PHONE}")


@traceable(run_type="llm", tags=["prod", f"user:{EMAIL}"], metadata={"db_password": PASSWORD, **ALIKE})
def ask(prompt, structure):
    try:
        look_up(ARGUMENTS)
    except LookupError:
        pass
    return {"role": "assistant", "content": prompt, "tool_calls": [{"function": {"arguments": ARGUMENTS}}]}


@traceable(run_type="retriever")
def fetch(note: Attachment):
    return []


def runs(sink, way):
    """What was said of each run, by its id, and the attachments. Nothing was said
    twice: no request was tried again."""
    said, attachments, seen = {}, {}, []

    def say(name, value):
        seen.append(name)
        kind, run, *member = name.split(".", 2)
        if kind == "attachment":
            attachments[member[0]] = value
        else:
            said.setdefault(run, {}).update({member[0]: json.loads(value)} if member else json.loads(value))

    for request in sink.requests:
        assert request.clean and request.header("x-api-key") == KEY
        if request.target == "/info":
            seen.append("info")
            continue
        assert request.header("Content-Encoding") == ("zstd" if way == "zstd" else None)
        body = entity(request)
        if request.target == "/runs/multipart":
            for name, value in parts(body, request.header("Content-Type")):
                say(name, value)
        elif request.target == "/runs/batch":
            for kind, of_kind in json.loads(body).items():
                for run in of_kind:
                    say(f"{kind}.{run['id']}", json.dumps(run))
        else:
            run = json.loads(body)
            assert (request.method, request.target) in (("POST", "/runs"), ("PATCH", f"/runs/{run['id']}"))
            say(f"{request.method}.{run['id']}", body)
    assert len(seen) == len(set(seen)), seen
    return said, attachments


def parts(body, content_type):
    """(name, content) of each part, whose length is the one that it declares."""
    for part in MultipartDecoder(body, content_type).parts:
        assert int(part.headers[b"Content-Length"]) == len(part.content)
        yield part.headers[b"Content-Disposition"].decode().split('name="')[1].rstrip('"'), part.content


def test_runs_arrive_redacted(client, way, sink):
    ids = [uuid.uuid4() for _ in range(6)]
    with tracing_context(enabled=True, client=client, project_name=f"mail of {EMAIL}"):
        for run_id in ids:
            ask(PROMPT, STRUCTURE, langsmith_extra={"run_id": run_id})
    client.flush()
    said, _ = runs(sink, way)
    tools = [run for run in said.values() if run["run_type"] == "tool"]
    assert len(said) == 12 and len(tools) == 6
    for run_id in map(str, ids):
        run = said[run_id]
        # Neither ids nor times may change: LangSmith builds its tree of them.
        assert [run["id"], run["trace_id"], run["dotted_order"][-36:]] == [run_id] * 3
        assert uuid.UUID(run["dotted_order"][-36:]).version == 4
        assert run["session_name"] == "mail of [EMAIL_ADDRESS]"
        assert run["tags"] == ["prod", "user:[EMAIL_ADDRESS]"]
        assert run["inputs"]["prompt"] == redacted(PROMPT)
        assert run["inputs"]["structure"] == redacted(STRUCTURE)
        assert run["outputs"]["content"] == redacted(PROMPT)
        assert run["outputs"]["tool_calls"][0]["function"]["arguments"] == redacted(ARGUMENTS)
        metadata = run["extra"]["metadata"]
        assert {name: metadata[name] for name in ("db_password", *ALIKE)} == {"db_password": "[PASSWORD]", **ALIKE}
    for run in tools:
        assert run["name"] == "look up [EMAIL_ADDRESS]" and run["trace_id"] in map(str, ids)
        assert run["inputs"] == {"arguments": redacted(ARGUMENTS)}
        assert "nobody is called [EMAIL_ADDRESS] at [PHONE_NUMBER]" in run["error"]


@pytest.mark.parametrize("way", ["zstd", "multipart"], indirect=True)
def test_a_part_beyond_what_is_buffered_keeps_its_length(client, way, sink):
    run_id = uuid.uuid4()
    # Without the numbers it would compress as a bomb does.
    prompt = "".join(f"{number * 7919 % 10007} {PROMPT}" for number in range(4000))
    with tracing_context(enabled=True, client=client):
        ask(prompt, [], langsmith_extra={"run_id": run_id})
    client.flush()
    said, _ = runs(sink, way)
    # Its length has gone before: masks keep it.
    assert said[str(run_id)]["inputs"]["prompt"] == masked(prompt)
    assert said[str(run_id)]["trace_id"] == str(run_id)


@pytest.mark.parametrize("way", ["zstd", "multipart"], indirect=True)
def test_an_attached_text_arrives_redacted(client, way, sink):
    with tracing_context(enabled=True, client=client):
        fetch(Attachment(mime_type="text/plain", data=NOTE.encode()))
    client.flush()
    said, attachments = runs(sink, way)
    assert len(said) == 1 and attachments == {"note": redacted(NOTE).encode()}


@pytest.mark.parametrize("way", ["zstd"], indirect=True)
def test_feedback_arrives_redacted(client, sink):
    run_id, session_id = uuid.uuid4(), uuid.uuid4()
    client.create_feedback(run_id, "helpful", session_id=session_id, score=0.75, comment=PROMPT, value=STRUCTURE)
    client.flush()
    sent = [request for request in sink.requests if request.target != "/info"]
    assert [(request.method, request.target) for request in sent] == [("POST", "/feedback")]
    feedback = json.loads(entity(sent[0]))
    assert [feedback["run_id"], feedback["session_id"], feedback["score"]] == [str(run_id), str(session_id), 0.75]
    assert [feedback["comment"], feedback["value"]] == [redacted(PROMPT), redacted(STRUCTURE)]
