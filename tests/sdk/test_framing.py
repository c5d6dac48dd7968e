"""Requests and responses that two parsers may understand differently do not pass.

Each probe is raw bytes on a connection of its own. What is refused leaves nothing at the
sink; what passes arrives as one request for each that the bytes hold, in one framing that
nobody can take for another, and whoever gets an answer gets its own.
"""

import base64
import contextlib
import json
import queue
import re
import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

import captures
import framing
import probes
import wire
from proxy import Proxy
from sink import Answer, Raw, Sink
from test_stream import MEMORY_LIMIT

# Short, so that a connection on which nothing more is to come ends soon.
CONFIG = """
[limits]
max_head = "16KiB"

[timeouts]
head = "400ms"
keep_alive = "400ms"
body_idle = "400ms"
response_head = "1500ms"
response_idle = "1500ms"
"""
# Probes at a time, each with a proxy and a sink of its own.
LANES = 8
# Longer than anything takes that does not hang.
HANG_SECONDS = 60


@dataclass
class Lane:
    """A proxy, and the sink behind it that nobody else uses."""

    proxy: Proxy
    sink: Sink


@dataclass
class Outcome:
    """What came back on the client's connection until it ended, and what arrived."""

    received: bytes
    requests: list
    count: int


@pytest.fixture(scope="module")
def lanes(tmp_path_factory):
    with open_lanes(lambda: tmp_path_factory.mktemp("proxy")) as lanes:
        yield lanes


@contextlib.contextmanager
def open_lanes(new_folder):
    lanes = queue.Queue()
    with contextlib.ExitStack() as stack:
        for _ in range(LANES):
            sink = stack.enter_context(Sink())
            lanes.put(Lane(stack.enter_context(Proxy(sink.url, new_folder(), CONFIG)), sink))
        yield lanes


def exchange(address, data):
    """All that comes back until the proxy ends the connection."""
    with wire.connection(address) as sock:
        sock.settimeout(HANG_SECONDS)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            sock.sendall(data)
        return received(sock)


def received(sock):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            data += piece
    return data


def observe(lanes, data):
    lane = lanes.get()
    try:
        lane.sink.forget()
        before = lane.sink.received
        answered = exchange(lane.proxy.address, data)
        lane.sink.wait_until_settled()
        return Outcome(answered, list(lane.sink.requests), lane.sink.received - before)
    finally:
        lanes.put(lane)


def observe_all(lanes, probes):
    """The outcome of each, by name."""
    with ThreadPoolExecutor(LANES) as pool:
        return dict(zip(probes, pool.map(lambda data: observe(lanes, data), probes.values()), strict=True))


HOP_BY_HOP = {
    *(b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"http2-settings"),
    b"expect",
}
FRAMING = (b"content-length", b"transfer-encoding")


def assert_unambiguous(request):
    """The head of a request at the sink has one meaning, whoever reads it."""
    line, *fields = request.head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    start = framing.REQUEST_LINE.fullmatch(line)
    assert start and start[3] == b"1", line
    found = [framing.FIELD.fullmatch(each) for each in fields]
    assert all(found), request.head
    names = [each[1].lower() for each in found]
    assert names.count(b"host") == 1
    assert not HOP_BY_HOP & set(names), request.head
    # Those that a gateway to CGI takes for the same, too.
    lengths = [name for name in names if name.replace(b"_", b"-") in FRAMING]
    assert lengths in ([], [b"content-length"], [b"transfer-encoding"]), request.head
    for each in found:
        if each[1].lower() in lengths:
            assert re.fullmatch(rb"(?i)content-length: [0-9]+|transfer-encoding: chunked", each[0]), request.head


def is_unambiguous(request):
    try:
        assert_unambiguous(request)
    except AssertionError:
        return False
    return True


def arrived(outcome):
    """Method, target and body of each request that is whole."""
    for request in outcome.requests:
        assert_unambiguous(request)
    return [(each.method, each.target, bytes(each.body)) for each in outcome.requests if each.clean]


def answers(outcome, methods):
    """The answers as strict clients understand them. None is cut."""
    reading = framing.responses(outcome.received, methods)
    assert reading.end == framing.WHOLE, outcome.received
    return [message.start[0] for message in reading.messages]


REFUSED, FORWARDED, CUT = probes.refused(), probes.forwarded(), probes.cut()


@pytest.fixture(scope="module")
def refused(lanes):
    return observe_all(lanes, {name: data for name, (data, _) in REFUSED.items()})


@pytest.mark.parametrize("name", REFUSED)
def test_what_can_be_understood_in_two_ways_is_refused(name, refused):
    outcome = refused[name]
    assert arrived(outcome) == []
    assert outcome.count == 0
    assert answers(outcome, ["POST"]) == [REFUSED[name][1]]


@pytest.fixture(scope="module")
def forwarded(lanes):
    return observe_all(lanes, {name: data for name, (data, *_) in FORWARDED.items()})


@pytest.mark.parametrize("name", FORWARDED)
def test_what_is_odd_arrives_as_the_one_thing_that_it_means(name, forwarded):
    outcome, (_, expected, statuses) = forwarded[name], FORWARDED[name]
    assert arrived(outcome) == expected
    assert [request.clean for request in outcome.requests] == [True] * len(expected)
    assert answers(outcome, [method for method, *_ in expected]) == statuses


@pytest.fixture(scope="module")
def broken_off(lanes):
    return observe_all(lanes, CUT)


@pytest.mark.parametrize("name", CUT)
def test_what_is_cut_does_not_arrive(name, broken_off):
    outcome = broken_off[name]
    assert outcome.count == 0
    assert answers(outcome, ["POST"]) in ([], [400], [408])


BROKEN_CHUNKS = probes.broken_chunks()
# Above what is read before the upstream is called.
LONG_CHUNK = b"80000\r\n" + b"long text" * (0x80000 // 9) + b"s" * (0x80000 % 9) + b"\r\n"


@pytest.fixture(scope="module")
def broken_chunks(lanes):
    longer = {name: data.replace(b"\r\n\r\n", b"\r\n\r\n" + LONG_CHUNK, 1) for name, data in BROKEN_CHUNKS.items()}
    return observe_all(lanes, {name: data + probes.SMUGGLED for name, data in longer.items()})


@pytest.mark.parametrize("name", BROKEN_CHUNKS)
def test_what_breaks_when_much_of_it_has_left_does_not_arrive_whole(name, broken_chunks):
    outcome = broken_chunks[name]
    assert arrived(outcome) == []
    assert [len(request.body) > 100_000 for request in outcome.requests] == [True]
    assert answers(outcome, ["POST"]) == [400]


def test_what_those_were_made_of_arrives(lanes):
    outcome = observe(lanes, probes.chunks(LONG_CHUNK + probes.LAST))
    assert [len(body) for _, _, body in arrived(outcome)] == [0x80000]


def half_closed(address, data, ended=lambda: None):
    """What a client gets that says nothing more, and says so, before `ended` is called."""
    with wire.connection(address) as sock:
        sock.settimeout(HANG_SECONDS)
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        ended()
        return received(sock)


@pytest.mark.parametrize("name", ["a request alone", "chunks", "HTTP/1.0", "more bytes than the length"])
def test_a_client_that_ends_its_side_has_all_answers(name, sink, proxy):
    data, expected, statuses = FORWARDED[name]
    gate = threading.Event()
    sink.answer = lambda _: Answer() if gate.wait(HANG_SECONDS) else None
    reading = framing.responses(half_closed(proxy.address, data, gate.set), [method for method, *_ in expected])
    assert ([message.start[0] for message in reading.messages], reading.end) == (statuses, framing.WHOLE)


@pytest.mark.parametrize("name", [name for name in CUT if name != "nothing"])
def test_a_client_that_ends_its_side_in_the_middle_sends_nothing(name, sink, proxy):
    reading = framing.responses(half_closed(proxy.address, CUT[name]), ["POST"])
    assert [message.start[0] for message in reading.messages] in ([], [400])
    sink.wait_until_settled()
    assert sink.requests == []


def test_who_waits_to_be_told_to_go_on_is_told_when_the_body_is_wanted(sink, proxy):
    head = wire.head("POST", "/probe", Content_Type="text/plain", Expect="100-continue", Content_Length=5)
    with wire.connection(proxy.address) as sock:
        sock.sendall(head)
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"hello")
        assert wire.receive(sock).status == 200
    assert [bytes(request.body) for request in sink.requests] == [b"hello"]
    assert_unambiguous(sink.requests[0])


BROKEN, ODD = probes.broken_answers(), probes.odd_answers()


def ask(lanes, raw, close=True):
    """What a client gets of such an answer, and the next client of another one."""
    lane = lanes.get()
    try:
        lane.sink.answer = lambda request: Raw([raw], close) if request.target == "/first" else own_answer(request)
        first = exchange(lane.proxy.address, wire.head("GET", "/first", Connection="close"))
        second = exchange(lane.proxy.address, wire.head("GET", "/second", Connection="close"))
        if close and second.startswith(b"HTTP/1.1 502 "):
            # The upstream has ended its connection, and it was taken again before that
            # was seen: whoever asks just then is told so, and may ask again.
            second = exchange(lane.proxy.address, wire.head("GET", "/second", Connection="close"))
        return first, second
    finally:
        lane.sink.answer = own_answer
        lanes.put(lane)


def own_answer(request):
    return Answer(body=request.target.encode())


def assert_own(received, target):
    reading = framing.responses(received, ["GET"])
    assert [(message.start[0], message.body) for message in reading.messages] == [(200, target)], received
    assert reading.end == framing.WHOLE


def ask_all(lanes, answers):
    """For each answer what becomes of it, when the connection ends behind it and
    when it is kept."""
    cases = {(name, close): raw for name, raw in answers.items() for close in (True, False)}
    with ThreadPoolExecutor(LANES) as pool:
        found = pool.map(lambda case: ask(lanes, case[1], case[0][1]), cases.items())
        return dict(zip(cases, found, strict=True))


@pytest.fixture(scope="module")
def broken_answers(lanes):
    return ask_all(lanes, BROKEN)


@pytest.mark.parametrize("close", [True, False], ids=["closed", "kept"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_answer_is_none_or_is_broken_off(name, close, broken_answers):
    first, second = broken_answers[name, close]
    reading = framing.responses(first, ["GET"])
    statuses = [message.start[0] for message in reading.messages]
    # A connection that breaks may break before anything is written.
    assert statuses in ([502], [504], []) and (statuses or reading.end == framing.CUT or not first), first[:1000]
    assert_own(second, b"/second")


@pytest.fixture(scope="module")
def odd_answers(lanes):
    return ask_all(lanes, {name: raw for name, (raw, *_) in ODD.items()})


@pytest.mark.parametrize("close", [True, False], ids=["closed", "kept"])
@pytest.mark.parametrize("name", ODD)
def test_an_odd_answer_is_told_as_the_one_thing_that_it_means(name, close, odd_answers):
    (first, second), (raw, status, body) = odd_answers[name, close], ODD[name]
    reading = framing.responses(first, ["GET"])
    ends_with_connection = framing.responses(raw, ["GET"]).messages[0].closes and not close
    if ends_with_connection:
        # It has not ended, so it is broken off in time.
        assert (reading.messages, reading.end) == ([], framing.CUT)
    else:
        assert [(message.start[0], message.body) for message in reading.messages] == [(status, body)], first
        assert reading.end == framing.WHOLE
    assert_own(second, b"/second")


SPLIT = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsplit"
ENDS = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n/first",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n/first\r\n0\r\n\r\n",
    "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
    "a head alone": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n\r\n",
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize("name", ENDS)
def test_what_follows_an_answer_is_nobodys(name, later, method, sink, proxy):
    read, sent = threading.Event(), threading.Event()
    end = ENDS[name]
    if method == "HEAD":
        end = end.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    def pieces():
        if later:
            yield end
            assert read.wait(HANG_SECONDS)
            yield SPLIT
        else:
            yield end + SPLIT
        sent.set()

    sink.answer = lambda request: Raw(pieces()) if request.target == "/first" else own_answer(request)
    with wire.connection(proxy.address) as sock, wire.connection(proxy.address) as other:
        sock.sendall(wire.head(method, "/first"))
        first = wire.receive(sock, method)
        assert first.body == (b"/first" if method == "GET" and b"/first" in end else b"")
        read.set()
        assert sent.wait(HANG_SECONDS)
        for each in (sock, other, sock):
            each.sendall(wire.head("GET", "/second"))
            assert wire.receive(each, "GET").body == b"/second"


def test_hints_without_an_end_are_no_answer(sink, tmp_path):
    def hints():
        while True:
            yield b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100

    sink.answer = lambda request: Raw(hints()) if request.target == "/first" else own_answer(request)
    with Proxy(sink.url, tmp_path, CONFIG) as proxy:
        answered = exchange(proxy.address, wire.head("GET", "/first", Connection="close"))
        reading = framing.responses(answered, ["GET"])
        assert [message.start[0] for message in reading.messages] == [504]
        assert_own(exchange(proxy.address, wire.head("GET", "/second")), b"/second")
        assert proxy.peak_memory() < MEMORY_LIMIT


FOLDER = captures.SHARED / "data/7_http"
needs_corpora = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no {FOLDER}; set EXPURGATE_SHARED")


def records(file):
    """Of llhttp's tests (MIT) and of Http11Probe (MIT): raw messages, and what each is."""
    lines = (FOLDER / file).read_text().splitlines()
    found = [json.loads(line) for line in lines]
    return [(record, base64.b64decode(record["raw_b64"])) for record in found if record["raw_b64"]]


def corpus_requests():
    """Each as it is, and, where it can be, so that nothing but its own oddity is wrong
    with it: with a host, with the end of its head, and with a request behind it."""
    found = {}
    for record, raw in records("http11probe_cases.jsonl"):
        found[record["id"], "raw"] = raw
    for record, raw in records("llhttp_tests.jsonl"):
        if record["kind"] != "request":
            continue
        line, end, rest = raw.partition(b"\n")
        named = raw if b"\nhost:" in raw.lower() else line + end + b"Host: upstream.test\r\n" + rest
        name = f"{record['file']}: {record['name']}"
        found[name, "raw"] = raw + b"\r\n"
        found[name, "named"] = named + b"\r\n" + probes.SMUGGLED
    return found


@needs_corpora
def test_requests_of_public_corpora_arrive_as_they_are_meant_or_not_at_all(lanes, report):
    cases = corpus_requests()
    arrivals, statuses, wrong = judge(cases, observe_all(lanes, cases))
    assert not wrong, "\n".join(map(str, wrong))
    assert arrivals > 100
    lines = [f"{len(cases)}, of which {arrivals} requests arrived", f"answers: {dict(statuses)}"]
    report("Requests of llhttp and Http11Probe", lines)


def judge(cases, outcomes):
    """How many requests arrived, the answers, and the cases in which something else
    arrived than was meant, or what was answered is cut."""
    arrivals, statuses, wrong = 0, Counter(), []
    for case, outcome in outcomes.items():
        meant = list(meanings(cases[case]))
        # What breaks may have begun to leave, if nothing more of it came for a while.
        *_, last = outcome.requests or [None]
        is_broken = last and not last.clean and framing.requests(cases[case]).end != framing.WHOLE
        whole = outcome.requests[:-1] if is_broken else outcome.requests
        came = [(each.method, each.target, bytes(each.body)) for each in whole]
        arrivals += len(came)
        # A client that sent HEAD reads no body, not even of a refusal.
        answered = framing.responses(outcome.received, framing.methods(cases[case]))
        statuses.update(message.start[0] for message in answered.messages)
        is_clear = all(map(is_unambiguous, outcome.requests)) and all(each.clean for each in whole)
        if not is_clear or not is_subsequence(came, meant) or answered.end != framing.WHOLE:
            wrong.append((case, cases[case][:300], came, meant, outcome.received[:300]))
    return arrivals, statuses, wrong


def meanings(data):
    """Method, target and body of each request that may arrive. What is cut or
    malformed is at the end of those, and a fragment is the client's alone."""
    for message in framing.requests(data).messages:
        if message.has_host:
            method, target = message.start
            yield method, target.partition("#")[0], message.body


def is_subsequence(some, every):
    """Whether all of `some` are among `every`, in this order. Between them are those refused."""
    rest = iter(every)
    return all(each in rest for each in some)


@needs_corpora
def test_what_a_server_must_refuse_as_http11probe_has_it_is_refused(lanes):
    cases = {
        record["id"]: raw
        for record, raw in records("http11probe_cases.jsonl")
        if record["level"] == "Must" and record["expect_status"] == "Exact(400)"
    }
    assert len(cases) > 40
    found = observe_all(lanes, cases)
    statuses = {name: answers(outcome, ["POST"])[:1] for name, outcome in found.items()}
    assert [(name, statuses[name]) for name in cases if statuses[name] != [400]] == []


@needs_corpora
def test_answers_of_llhttp_are_told_as_they_are_meant_or_not_at_all(lanes, report):
    raws = {
        f"{record['file']}: {record['name']}": raw
        for record, raw in records("llhttp_tests.jsonl")
        if record["kind"] == "response"
    }
    assert len(raws) > 80
    cases = {(name, end): raw + end for name, raw in raws.items() for end in (b"", b"\r\n")}
    told, wrong = 0, []
    with ThreadPoolExecutor(LANES) as pool:
        found = list(pool.map(lambda raw: ask(lanes, raw), cases.values()))
    for (case, raw), (first, second) in zip(cases.items(), found, strict=True):
        assert_own(second, b"/second")
        meant, got = framing.responses(raw, ["GET"]), framing.responses(first, ["GET"])
        meant = [(message.start[0], message.body) for message in meant.messages[:1]]
        got_whole = [(message.start[0], message.body) for message in got.messages]
        told += got_whole == meant
        if got_whole and got_whole[0][0] != 502 and got_whole != meant:
            wrong.append((case, raw[:300], got_whole, meant))
    assert not wrong, "\n".join(map(str, wrong))
    assert told > 20
    report("Answers of llhttp", [f"{len(cases)}, of which {told} were told"])
