"""Recorded requests of real SDKs go through the proxy, cut in four ways.

Asserted per capture: no e-mail, international phone or self-evident
credential is left in any encoding, no look-alike is damaged, clean variants
stay as they were, JSON stays JSON, parts keep their framing and have their true
lengths, the upstream's own key arrives, all between the findings is as it was,
as the vendors' own parsers read it, and the cuts make no difference. Asserted over
all: at most 2 % of the credentials that only their context gives away are left.
National phones and other personal data are reported.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import captures
import captures_table
import parts
import sameness
import wire

ALL = captures.load()
UNDERSTOOD = [capture for capture in ALL if capture.is_understood]
# A PNG, a coding that is not understood: they must be refused.
OTHER = [capture for capture in ALL if not capture.is_understood]

CATEGORIES = ("email", "phone", "credential", "credential_ctx", "phone_national", "other_pii")
NEVER_LEAKED = ("email", "phone", "credential")
CONTEXT_LEAK_LIMIT = 0.02

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not ALL, reason=f"no captures in {captures.FOLDER}; set EXPURGATE_SHARED"),
]


class Board:
    """What the tests of this module saw, for the totals and the table."""

    def __init__(self):
        self.scores = {}
        self.sent = 0
        self.received = 0


@pytest.fixture(scope="module")
def board(report):
    board = Board()
    yield board
    if board.scores:
        report("captures: caught of planted, by category", table(board.scores))


@pytest.fixture(scope="module", autouse=True)
def planted(proxy):
    """Held against the proxy's log when it ends."""
    for capture in ALL:
        # Short ones would be found in a log by chance.
        proxy.planted.update(item["value"] for item in capture.planted if len(item["value"]) >= 8)


def table(scores):
    yield f"{'capture':18}{'variant':26}" + "".join(f"{name:>16}" for name in CATEGORIES) + f"{'damaged':>9}"
    totals = Counter(), Counter()
    for capture, score in scores.values():
        leaked = {name: len(items) for name, items in score.leaked.items()}
        totals[0].update(score.planted)
        totals[1].update(leaked)
        yield row(capture.name, capture.manifest["variant"], score.planted, leaked, len(score.damaged))
    damaged = sum(len(score.damaged) for _, score in scores.values())
    yield row("total", f"{len(scores)} captures", *totals, damaged)


def row(name, variant, planted, leaked, damaged):
    def cell(kind):
        count = planted.get(kind, 0)
        return f"{count - leaked.get(kind, 0)}/{count}" if count else "-"

    return f"{name:18}{variant:26}" + "".join(f"{cell(kind):>16}" for kind in CATEGORIES) + f"{damaged:>9}"


def describe(items):
    """Kinds and counts: the values themselves stay out of test logs."""
    return dict(Counter(item["kind"] for item in items))


def cuts(capture):
    yield "whole", wire.whole
    yield "scattered", wire.scattered
    yield "blocks", wire.blocks
    yield "bytewise", wire.bytewise


def send(capture, proxy, sink, segments):
    """Sends the request as recorded; returns what the sink got."""
    sink.forget()
    response = wire.exchange(proxy.address, capture.head + capture.wire, segments, capture.request["method"])
    assert response.status == 200, response.body
    assert len(sink.requests) == 1
    request = sink.requests[0]
    assert request.clean
    return request


@pytest.mark.parametrize("capture", UNDERSTOOD, ids=lambda capture: capture.name)
def test_a_recorded_request_arrives_redacted_however_it_is_cut(capture, proxy, sink, board):
    entities = {}
    for name, segments in cuts(capture):
        request = send(capture, proxy, sink, segments)
        board.sent += 1
        board.received += len(sink.requests)
        entities[name] = captures.decode(bytes(request.body), request.header("Content-Encoding", ""))
        assert_head_is_sound(capture, request)
    redacted = entities["whole"]
    score = captures.score(capture, redacted)
    board.scores[capture.name] = (capture, score)
    assert [name for name, entity in entities.items() if entity != redacted] == []
    assert_structure_stays(capture, redacted)
    sameness.assert_only_findings_differ(capture, redacted)
    for kind in NEVER_LEAKED:
        assert describe(score.leaked.get(kind, [])) == {}, f"{kind} leaked"
    assert describe(score.damaged) == {}, "look-alikes damaged"
    if capture.is_clean:
        assert redacted == capture.plain


def assert_structure_stays(capture, redacted):
    if capture.media == captures.JSON:
        assert_public_keys_arrive(capture.plain, redacted)
    if capture.media == captures.MULTIPART:
        before, after = (
            parts.multipart(body, capture.header("content-type")) for body in (capture.plain, redacted)
        )
        assert len(before) == len(after)
        for old, new in zip(before, after):
            length = parts.declared(new[0])
            # LangSmith's older SDK for JavaScript counts characters.
            assert length in (None, len(new[1])) or old == new
            if b"application/json" in new[0]:
                json.loads(new[1])
    if capture.media == captures.ENVELOPE:
        before, after = parts.envelope(capture.plain), parts.envelope(redacted)
        assert [header.get("type") for header, _ in before] == [header.get("type") for header, _ in after]
        for old, new in zip(before, after):
            for name in ("dsn", "event_id"):
                assert new[0].get(name) == old[0].get(name)
            trace, old_trace = new[0].get("trace", {}), old[0].get("trace", {})
            assert trace.get("public_key") == old_trace.get("public_key")
            assert trace.get("trace_id") == old_trace.get("trace_id")


def assert_public_keys_arrive(before, after):
    """Without the project's own key the upstream drops the batch. PostHog's is
    known by its shape; Amplitude's (`api_key`, plain hex) is not: see the
    README's limits."""
    before, after = json.loads(before), json.loads(after)
    if isinstance(before, dict):
        assert after.get("writeKey") == before.get("writeKey")
        if str(before.get("api_key")).startswith("phc_"):
            assert after["api_key"] == before["api_key"]


def assert_head_is_sound(capture, request):
    """The head is forwarded: the request line, the upstream's credentials,
    the type; and its framing is the body's."""
    assert request.method == capture.request["method"]
    path = capture.request["target"].split("?")[0]
    assert request.target.split("?")[0] == path
    for name in ("authorization", "x-api-key", "x-goog-api-key", "content-type", "user-agent"):
        assert request.header(name, "") == capture.header(name), name
    for name in ("upgrade", "http2-settings", "expect"):
        assert request.header(name) is None, name
    length = request.header("content-length")
    assert length is None or int(length) == len(request.body)
    assert request.header("host") != "127.0.0.1:9100", "the recorded host is not the upstream's"


def test_context_credentials_leak_at_most_two_percent(board):
    if len(board.scores) < len(UNDERSTOOD):
        pytest.skip("needs all captures")
    planted = sum(score.planted.get("credential_ctx", 0) for _, score in board.scores.values())
    leaked = [item for _, score in board.scores.values() for item in score.leaked.get("credential_ctx", [])]
    assert planted > 0
    assert len(leaked) <= CONTEXT_LEAK_LIMIT * planted, (planted, describe(leaked))


def test_the_proxy_counts_the_requests_that_the_sink_got(board, proxy):
    if not board.sent:
        pytest.skip("needs captures")
    assert board.received == board.sent
    proxy.assert_metric("expurgate_requests_total", board.sent)


def test_the_metrics_hold_nothing_that_was_planted(proxy):
    metrics = proxy.metrics()
    assert [len(text) for text in proxy.planted if text in metrics] == []


@pytest.mark.parametrize("capture", captures.load(captures.SIGNED), ids=lambda capture: capture.name)
def test_a_recorded_request_whose_signature_would_break_is_refused(capture, proxy, sink):
    response = wire.exchange(proxy.address, capture.head + capture.wire, method=capture.request["method"])
    assert (response.status, response.error()["code"]) == (422, "signed_body")
    assert sink.requests == []


def test_the_table_of_docs_is_made_by_its_script():
    script = Path(__file__).parent / "captures_table.py"
    command = [sys.executable, script, "--rounds", "1", "curl-cli", "boto3-py"]
    made = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100).stdout
    *_, curl, boto3, total = made.splitlines()
    assert re.match(r"\| curl-cli \| 4 \| - \| 109 \| 183 / 183 \|", curl)
    assert re.match(r"\| boto3-py \| 9 \| 9 \|", boto3)
    assert re.match(r"\| all \| 13 \| 9 \|", total)


def page():
    """The rows of docs/captures.md, by SDK: their cells, under their titles."""
    _, _, rest = captures_table.PAGE.read_text().partition(captures_table.BEGIN)
    lines = [line for line in rest.partition(captures_table.END)[0].splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert rows[0] == captures_table.TITLES
    return {row[0]: dict(zip(rows[0], row)) for row in rows[2:]}


def test_the_page_has_every_capture():
    rows = page()
    assert set(rows) == {*(folder.parent.name for folder in captures.FOLDER.glob("*/manifest.json")), "all"}
    total = Counter()
    for sdk in captures.ALL:
        recorded = captures.load([sdk])
        read = [] if sdk in captures.SIGNED else recorded
        if sdk not in captures.CALLS:
            read = [capture for capture in read if capture.is_understood]
        planted = Counter(captures.category(item) for capture in read for item in capture.planted)
        counts = {"requests": len(recorded), "refused": len(recorded) - len(read), **planted}
        total.update(counts)
        assert_row(rows[sdk], counts)
    assert_row(rows["all"], total)


def assert_row(row, counts):
    """The row has these numbers of requests and of planted values."""
    number = lambda cell: 0 if cell == "-" else int(cell)
    assert number(row["requests"]) == counts["requests"], row
    assert number(row["refused"]) == counts["refused"], row
    for kind, title in captures_table.KINDS.items():
        assert number(row[title].split("/")[-1].strip()) == counts.get(kind, 0), (row, title)


def test_the_page_says_what_was_caught(board):
    if len(board.scores) < len(UNDERSTOOD):
        pytest.skip("needs all captures")
    caught = {}
    for capture, score in board.scores.values():
        of_sdk = caught.setdefault(capture.sdk, Counter())
        of_sdk.update(score.planted)
        of_sdk.subtract({kind: len(items) for kind, items in score.leaked.items()})
    rows = page()
    for sdk, counts in caught.items():
        for kind, title in captures_table.KINDS.items():
            cell = rows[sdk][title].split("/")[0].strip()
            assert cell == (str(counts[kind]) if kind in counts else "-"), (sdk, title)


@pytest.mark.parametrize("capture", OTHER, ids=lambda capture: capture.name)
def test_a_recorded_request_of_another_type_is_refused(capture, proxy, sink):
    response = wire.exchange(proxy.address, capture.head + capture.wire, method=capture.request["method"])
    assert response.status == 415
    assert sink.requests == []
