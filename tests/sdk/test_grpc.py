"""OTLP over gRPC: OpenTelemetry's own exporters, a real server, and recorded
calls go through the proxy."""

import logging
import queue

import grpc
import pytest
from google.protobuf.message import Message
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import calls
import captures
from calls import CallSink
from proxy import Proxy, free_ports

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
CHAT = "/acme.agents.v1.Chat/Talk"

EMAIL = "canary.user@corp-mail.example"
PHONE = "+49 30 901820"
AWS = "AKIAIOSFODNN7CANARY7"
PLANTED = (EMAIL, PHONE, AWS)

RECORDED = captures.load(("otlp-grpc-py",))


@pytest.fixture(scope="module")
def calls_sink():
    with CallSink() as sink:
        yield sink


@pytest.fixture(scope="module")
def call_proxy(calls_sink, tmp_path_factory):
    with Proxy(calls_sink.url, tmp_path_factory.mktemp("proxy")) as proxy:
        proxy.planted.update(PLANTED)
        yield proxy


@pytest.fixture(autouse=True)
def nothing_recorded(calls_sink):
    calls_sink.calls.clear()
    calls_sink.answer = calls.echo_nothing


@pytest.fixture
def no_warnings(caplog):
    """Exporters tell of retries and of failures by warnings."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.fixture(params=[grpc.Compression.NoCompression, grpc.Compression.Gzip], ids=["plain", "gzip"])
def options(request, call_proxy):
    """What an exporter is told."""
    return {"endpoint": call_proxy.url, "insecure": True, "compression": request.param}


def only(sink, method, kind):
    """The only message of the only call, parsed."""
    call = sink.only()
    assert call.method == method
    (raw,) = call.messages
    for text in PLANTED:
        assert text.encode() not in raw
    return kind.FromString(raw)


def values(pairs):
    return {pair.key: pair.value.string_value for pair in pairs}


def test_spans_arrive_redacted_once_with_their_ids(options, calls_sink, no_warnings):
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(**options)))
    with provider.get_tracer("test").start_as_current_span(f"mail {EMAIL}") as span:
        span.set_attribute("db.password", "correct horse battery")
        span.set_attribute("note", f"call {PHONE}")
        span.add_event("key", {"seen": AWS})
        ids = span.get_span_context()
    assert provider.force_flush()
    provider.shutdown()
    request = only(calls_sink, TRACES, ExportTraceServiceRequest)
    (sent,) = request.resource_spans[0].scope_spans[0].spans
    assert sent.trace_id == ids.trace_id.to_bytes(16)
    assert sent.span_id == ids.span_id.to_bytes(8)
    assert sent.name == "mail [EMAIL_ADDRESS]"
    assert values(sent.attributes) == {"db.password": "[PASSWORD]", "note": "call [PHONE_NUMBER]"}
    assert values(sent.events[0].attributes) == {"seen": "[AWS_ACCESS_KEY_ID]"}


def test_logs_arrive_redacted_once(options, calls_sink, no_warnings):
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(**options)))
    provider.get_logger("test").emit(body=f"{EMAIL} signed up", attributes={"phone": PHONE})
    provider.shutdown()
    request = only(calls_sink, LOGS, ExportLogsServiceRequest)
    (sent,) = request.resource_logs[0].scope_logs[0].log_records
    assert sent.body.string_value == "[EMAIL_ADDRESS] signed up"
    assert values(sent.attributes) == {"phone": "[PHONE_NUMBER]"}


def test_metrics_arrive_redacted_once(options, calls_sink, no_warnings):
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(**options))
    provider = MeterProvider([reader])
    provider.get_meter("test").create_counter("requests").add(3, {"user": EMAIL, "plan": "pro"})
    provider.shutdown()
    request = only(calls_sink, METRICS, ExportMetricsServiceRequest)
    (metric,) = request.resource_metrics[0].scope_metrics[0].metrics
    (point,) = metric.sum.data_points
    assert (metric.name, point.as_int) == ("requests", 3)
    assert values(point.attributes) == {"user": "[EMAIL_ADDRESS]", "plan": "pro"}


def test_a_message_above_four_megabytes_keeps_its_lengths(options, calls_sink, no_warnings):
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(**options)))
    text = "some words, not all the same: " + "".join(f"{n} fine days; " for n in range(500_000))
    with provider.get_tracer("test").start_as_current_span("long") as span:
        span.set_attribute("text", text)
        span.set_attribute("mail", f"to {EMAIL}")
    assert provider.force_flush()
    provider.shutdown()
    request = only(calls_sink, TRACES, ExportTraceServiceRequest)
    (sent,) = request.resource_spans[0].scope_spans[0].spans
    assert len(text) > 4 << 20
    assert values(sent.attributes) == {"text": text, "mail": "to " + "*" * len(EMAIL)}


def test_a_status_and_trailers_of_the_server_arrive(calls_sink, call_proxy):
    def refuse(messages, context):
        for _ in messages:
            pass
        context.set_trailing_metadata([("x-why", "quota"), ("x-why-bin", b"\0\xff")])
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today: 100 %")
        yield b""

    calls_sink.answer = refuse
    with pytest.raises(grpc.RpcError) as caught:
        calls.unary(call_proxy.address, CHAT, b"")
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert caught.value.details() == "not today: 100 %"
    trailers = dict(caught.value.trailing_metadata())
    assert (trailers["x-why"], trailers["x-why-bin"]) == ("quota", b"\0\xff")


def test_metadata_and_the_deadline_reach_the_server(calls_sink, call_proxy):
    _, call = calls.unary(call_proxy.address, CHAT, b"", metadata=[("x-api-key", "k1"), ("x-raw-bin", b"\1\2")])
    assert call.code() == grpc.StatusCode.OK
    seen = calls_sink.only()
    assert (seen.header("x-api-key"), seen.header("x-raw-bin")) == ("k1", b"\1\2")
    assert seen.header("user-agent").startswith("grpc-python/")


def test_messages_go_back_and_forth_before_the_call_ends(calls_sink, call_proxy):
    calls_sink.answer = lambda messages, _: messages
    to_send = queue.SimpleQueue()
    with grpc.insecure_channel(call_proxy.address) as channel:
        talk = channel.stream_stream(CHAT, request_serializer=None, response_deserializer=None)
        answers = talk(iter(to_send.get, None), timeout=calls.TIMEOUT)
        for number in range(3):
            # A field with a length: a text.
            text = f"{number} {EMAIL}".encode()
            to_send.put(b"\x0a" + bytes([len(text)]) + text)
            label = f"{number} [EMAIL_ADDRESS]".encode()
            assert next(answers) == b"\x0a" + bytes([len(label)]) + label
        to_send.put(None)
        assert list(answers) == []
        assert answers.code() == grpc.StatusCode.OK


def test_many_calls_at_once_share_connections(calls_sink, call_proxy):
    with grpc.insecure_channel(call_proxy.address) as channel:
        send = channel.unary_unary(CHAT, request_serializer=None, response_deserializer=None)
        sent = [send.future(b"\x0a\x05hello", timeout=calls.TIMEOUT) for _ in range(300)]
        assert {each.code() for each in sent} == {grpc.StatusCode.OK}
    assert len(calls_sink.calls) == 300
    assert call_proxy.metric("expurgate_upstream_connections", state="open") <= 4


def test_an_upstream_that_is_down_is_unavailable(tmp_path):
    (port,) = free_ports(1)
    with Proxy(f"http://127.0.0.1:{port}", tmp_path) as proxy:
        with pytest.raises(grpc.RpcError) as caught:
            calls.unary(proxy.address, TRACES, b"")
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert "could not be reached (upstream_unreachable, request " in caught.value.details()
        proxy.assert_metric("expurgate_requests_total", 1, code="502", outcome="failed")


def test_what_the_policy_blocks_is_refused_for_good(calls_sink, tmp_path, caplog):
    config = '[[route]]\n[route.policy]\nEMAIL_ADDRESS = "block"\n'
    with Proxy(calls_sink.url, tmp_path, config) as proxy:
        proxy.planted.update(PLANTED)
        provider = TracerProvider()
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=proxy.url, insecure=True)))
        provider.get_tracer("test").start_span(f"mail {EMAIL}").end()
        provider.force_flush()
        provider.shutdown()
        proxy.assert_metric("expurgate_refused_requests_total", 1, reason="blocked")
        proxy.assert_metric("expurgate_requests_total", 1, code="422")
    assert calls_sink.calls == []
    told = [record.getMessage() for record in caplog.records]
    assert any("PERMISSION_DENIED" in message for message in told), told


def test_a_broken_message_is_refused(calls_sink, call_proxy):
    with pytest.raises(grpc.RpcError) as caught:
        calls.unary(call_proxy.address, TRACES, b"\xff\xff")
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert calls_sink.calls == []


@pytest.mark.skipif(not RECORDED, reason=f"no captures in {captures.FOLDER}; set EXPURGATE_SHARED")
@pytest.mark.parametrize("capture", RECORDED, ids=lambda capture: capture.name)
def test_a_recorded_call_arrives_redacted_however_it_is_cut(capture, calls_sink, call_proxy):
    call_proxy.planted.update(item["value"] for item in capture.planted if len(item["value"]) >= 8)
    coding = [(name, value) for name, value in capture.request["headers"] if name == "grpc-encoding"]
    entities = {}
    for name, size in (("whole", len(capture.wire)), ("blocks", 1000), ("small", 7)):
        calls_sink.calls.clear()
        pieces = [capture.wire[at : at + min(size, 16_000)] for at in range(0, len(capture.wire), min(size, 16_000))]
        ended = calls.raw(call_proxy.address, capture.request["target"], pieces, coding)
        assert (ended.headers[":status"], ended.status, ended.reset) == ("200", "0", None)
        entities[name] = b"".join(calls_sink.only().messages)
    redacted = entities["whole"]
    assert [name for name, entity in entities.items() if entity != redacted] == []
    assert isinstance(parsed(capture, redacted), Message)
    score = captures.score(capture, redacted)
    leaked = {kind: len(items) for kind, items in score.leaked.items()}
    assert {kind: leaked.get(kind, 0) for kind in ("email", "phone", "credential", "credential_ctx")} == dict.fromkeys(
        ("email", "phone", "credential", "credential_ctx"), 0
    )
    assert score.damaged == []
    if capture.is_clean:
        assert redacted == capture.plain


def parsed(capture, raw):
    kinds = {TRACES: ExportTraceServiceRequest, LOGS: ExportLogsServiceRequest, METRICS: ExportMetricsServiceRequest}
    return kinds[capture.request["target"]].FromString(raw)
