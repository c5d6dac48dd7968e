"""Recorded requests of real SDKs go through the proxy with their protocol pack.

Asserted per capture, beside what holds without a pack (no e-mail, international phone or
self-evident credential is left, no look-alike is damaged): the upstream's own key arrives,
and nothing leaks that was caught without the pack.
"""

import json
from collections import Counter

import pytest

import captures
import wire
from proxy import Proxy

PACKS = {
    "amplitude-py": "amplitude",
    "anthropic-py": "anthropic",
    "ddtrace-py": "datadog",
    "elastic-apm-py": "elastic-apm",
    "gemini-py": "gemini",
    "langfuse2-py": "langfuse",
    "langfuse3-py": "langfuse",
    "langsmith-node": "langsmith",
    "langsmith-py": "langsmith",
    "mistral-py": "mistral",
    "mixpanel-py": "mixpanel",
    "mlflow-py": "mlflow",
    "openai-py": "openai",
    "opik-py": "opik",
    "otlp-http-node": "otlp",
    "otlp-http-py": "otlp",
    "posthog-py": "posthog",
    "segment-py": "segment",
    "sentry-py": "sentry",
}
NEVER_LEAKED = ("email", "phone", "credential")
ALL = [capture for capture in captures.load() if capture.is_understood]

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not ALL, reason=f"no captures in {captures.FOLDER}; set EXPURGATE_SHARED"),
]

# Keys as the vendors make them, in place of those that were recorded.
OWN_KEYS = {
    "amplitude": (b"amp_test_key", b"c2709e095337d4835e731f3e91ce980e"),
    "mixpanel": (b"mp_token_test", b"9a0364b9e99bb480dd25e1f0284c8555"),
    "posthog": (b"phc_testkey", b"phc_q8f1o2m3n4b5v6c7x8z9Tk3Lw5Rn7YhKq3Zb81TxWv5"),
    "segment": (b"wk_test", b"Kq3Zb81TxWv5Rn7YhLd0aZ3kQ9vT6xR1"),
}


def sdk(capture):
    return capture.name.split("/")[0]


@pytest.fixture(scope="module", params=sorted(set(PACKS.values())))
def pack(request, sink, tmp_path_factory):
    config = f'[[route]]\nprotocol = "{request.param}"\n'
    with Proxy(sink.url, tmp_path_factory.mktemp("protocol"), config) as proxy:
        yield request.param, proxy


def send(capture, proxy, sink, head, body, segments=wire.whole):
    sink.forget()
    response = wire.exchange(proxy.address, head + body, segments, capture.request["method"])
    assert response.status == 200, response.body
    assert len(sink.requests) == 1
    return sink.requests[0]


def test_recorded_requests_arrive_redacted_and_undamaged(pack, sink):
    name, proxy = pack
    own = [capture for capture in ALL if PACKS.get(sdk(capture)) == name]
    assert own
    for capture in own:
        request = send(capture, proxy, sink, capture.head, capture.wire)
        redacted = captures.decode(bytes(request.body), request.header("Content-Encoding", ""))
        score = captures.score(capture, redacted)
        leaked = {kind: Counter(item["kind"] for item in score.leaked.get(kind, [])) for kind in NEVER_LEAKED}
        assert not any(leaked.values()), (capture.name, leaked)
        assert Counter(item["kind"] for item in score.damaged) == {}, capture.name
        if capture.is_clean:
            assert redacted == capture.plain


@pytest.mark.parametrize("segments", [wire.whole, wire.bytewise], ids=["whole", "bytewise"])
def test_the_key_of_the_upstream_arrives(pack, sink, segments):
    name, proxy = pack
    if name not in OWN_KEYS:
        pytest.skip("its bodies hold no key")
    recorded, key = OWN_KEYS[name]
    seen = 0
    for capture in (capture for capture in ALL if PACKS.get(sdk(capture)) == name):
        if recorded not in capture.wire or capture.header("transfer-encoding"):
            continue
        body = capture.wire.replace(recorded, key)
        head = capture.head.replace(b": %d\r\n" % len(capture.wire), b": %d\r\n" % len(body))
        request = send(capture, proxy, sink, head, body, segments)
        assert bytes(request.body).count(key) == body.count(key), capture.name
        seen += 1
    assert seen > 0


def test_media_and_signatures_arrive(pack, sink):
    """What chance makes look like a credential stays in a signature, and goes in text."""
    name, proxy = pack
    if name not in ("anthropic", "gemini", "openai"):
        pytest.skip("no signatures")
    random = "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds"
    chance = f"{random}/AKIAZ3KQ7VT6XR2MB5NW+{random}=="
    body = {
        "anthropic": {"messages": [{"content": [{"type": "thinking", "thinking": chance, "signature": chance}]}]},
        "gemini": {"contents": [{"parts": [{"text": chance, "thoughtSignature": chance}]}]},
        "openai": {"input": [{"type": "reasoning", "summary": chance, "encrypted_content": chance}]},
    }[name]
    sink.forget()
    wire.post(proxy.address, json.dumps(body).encode())
    arrived = bytes(sink.requests[0].body).decode()
    assert arrived.count(chance) == 1
    assert arrived.count("[AWS_ACCESS_KEY_ID]") == 1
