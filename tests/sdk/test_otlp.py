"""OpenTelemetry's own exporters over HTTP, with the endpoint set to the proxy.

Each export is made twice from the same objects, to the sink itself and by way of
the proxy. OpenTelemetry's own classes parse both, and they have to be equal but
for what was planted.
"""

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags, TraceState

from captures import decode
from planted import (
    ALIKE,
    AWS,
    EMAIL,
    PASSWORD,
    PHONE,
    PLANTED,
    PROMPT,
    STRUCTURE,
    entity,
    masked,
    redact_message,
    redacted,
)
from sink import Answer

KEY = "Own-key-of-the-collector-0123456789"
HEADERS = {"api-key": KEY}
ATTRIBUTES = {
    "gen_ai.prompt": PROMPT,
    "gen_ai.tool.call.arguments": STRUCTURE["arguments"],
    "nested": STRUCTURE["nested"],
    # What it is, only the name tells: the two stand apart in a message.
    "db.password": PASSWORD,
    "tags": ["prod", f"user:{EMAIL}"],
    "raw": f"bytes of {EMAIL}".encode(),
    f"seen by {EMAIL}": True,
    **ALIKE,
}
RESOURCE = Resource({"service.name": "agent", "owner": EMAIL, "service.instance.id": ALIKE["run"]})


@pytest.fixture(params=Compression, ids=lambda compression: compression.value)
def compression(request):
    return request.param


@pytest.fixture
def exporters(compression, proxy, sink, unnoticed):
    """Given an exporter's class and a signal: one straight to the sink, and one
    by way of the proxy."""
    proxy.planted.update((*PLANTED, KEY))
    sink.answer = lambda _: Answer(body=b"", headers=(("Content-Type", "application/x-protobuf"),))

    def pair(exporter, signal):
        return [
            exporter(endpoint=f"{base}/v1/{signal}", headers=HEADERS, compression=compression, timeout=10)
            for base in (f"{sink.url}/direct", proxy.url)
        ]

    return pair


def assert_equal_but_for_what_was_planted(sink, signal, message, compression, change=redacted):
    """Each was sent once, with the SDK's own key and coding."""
    requests = {request.target: request for request in sink.requests}
    assert sorted(requests) == [f"/direct/v1/{signal}", f"/v1/{signal}"] and len(sink.requests) == 2
    straight, through = requests[f"/direct/v1/{signal}"], requests[f"/v1/{signal}"]
    assert through.clean
    coding = None if compression is Compression.NoCompression else compression.value
    for name, value in (("api-key", KEY), ("Content-Encoding", coding), ("Content-Type", "application/x-protobuf")):
        assert through.header(name) == straight.header(name) == value
    expected, got = message(), message()
    expected.ParseFromString(decode(bytes(straight.body), straight.header("Content-Encoding", "")))
    got.ParseFromString(entity(through))
    redact_message(expected, change)
    # By lines: pytest shows the first that differs.
    assert str(got).splitlines() == str(expected).splitlines()
    # In the order of their fields and without one that is not known.
    assert got.SerializeToString() == entity(through)
    return got


def test_spans_arrive_redacted(exporters, compression, sink):
    provider = TracerProvider(resource=RESOURCE)
    for exporter in exporters(OTLPSpanExporter, "traces"):
        provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("agent", "1.2.3", "https://example.test/schema", {"scope.owner": EMAIL})
    context = SpanContext(
        int(ALIKE["trace"], 16), 0x00F067AA0BA902B7, True, TraceFlags(1), TraceState([("vendor", "opaque")])
    )
    with tracer.start_as_current_span(
        f"chat with {EMAIL}", attributes=ATTRIBUTES, links=[Link(context, {"from": PHONE})]
    ) as span:
        span.add_event(f"asked {PHONE}", {"gen_ai.completion": PROMPT})
        for number in range(40):
            with tracer.start_as_current_span("tool.call", attributes=ATTRIBUTES | {"number": number}) as inner:
                inner.set_status(Status(StatusCode.ERROR, f"no such user: {EMAIL}"))
        try:
            raise ValueError(f"the key {AWS} is not valid")
        except ValueError as error:
            span.record_exception(error)
    assert provider.force_flush()
    got = assert_equal_but_for_what_was_planted(sink, "traces", ExportTraceServiceRequest, compression)
    spans = got.resource_spans[0].scope_spans[0].spans
    assert [len(spans), spans[-1].name] == [41, "chat with [EMAIL_ADDRESS]"]
    assert spans[-1].trace_id == span.get_span_context().trace_id.to_bytes(16, "big")
    provider.shutdown()


def test_a_long_export_arrives_in_time_with_masks_that_change_no_length(exporters, compression, sink):
    provider = TracerProvider(resource=RESOURCE)
    finished = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(finished))
    tracer = provider.get_tracer("agent")
    for number in range(600):
        with tracer.start_as_current_span(f"chat with {EMAIL}", attributes=ATTRIBUTES | {"number": number}):
            pass
    for exporter in exporters(OTLPSpanExporter, "traces"):
        assert exporter.export(finished.get_finished_spans()) is SpanExportResult.SUCCESS
        exporter.shutdown()
    got = assert_equal_but_for_what_was_planted(sink, "traces", ExportTraceServiceRequest, compression, masked)
    assert len(got.resource_spans[0].scope_spans[0].spans) == 600
    provider.shutdown()


def test_log_records_arrive_redacted(exporters, compression, sink):
    provider = LoggerProvider(resource=RESOURCE)
    for exporter in exporters(OTLPLogExporter, "logs"):
        provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = provider.get_logger("agent", attributes={"scope.owner": EMAIL})
    for body in (PROMPT, STRUCTURE, ["one", {"two": EMAIL}], f"bytes of {EMAIL}".encode(), 42):
        logger.emit(timestamp=ALIKE["nanos"], body=body, attributes=ATTRIBUTES, event_name=f"asked {EMAIL}")
    assert provider.force_flush()
    got = assert_equal_but_for_what_was_planted(sink, "logs", ExportLogsServiceRequest, compression)
    records = got.resource_logs[0].scope_logs[0].log_records
    assert len(records) == 5 and {record.time_unix_nano for record in records} == {ALIKE["nanos"]}
    provider.shutdown()


def test_metrics_arrive_redacted(exporters, compression, sink):
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=RESOURCE)
    meter = provider.get_meter("agent", attributes={"scope.owner": EMAIL})
    counter = meter.create_counter("tokens", unit="1", description=f"ask {EMAIL} or {PHONE}")
    histogram = meter.create_histogram("seconds", unit="s")
    gauge = meter.create_gauge("temperature")
    attributes = {name: value for name, value in ATTRIBUTES.items() if name != "raw"}
    for number in range(20):
        counter.add(number, {"user": EMAIL, "number": number})
        histogram.record(number / 7, attributes)
        gauge.set(number / 3, attributes)
    metrics = reader.get_metrics_data()
    for exporter in exporters(OTLPMetricExporter, "metrics"):
        assert exporter.export(metrics) is MetricExportResult.SUCCESS
        exporter.shutdown()
    got = assert_equal_but_for_what_was_planted(sink, "metrics", ExportMetricsServiceRequest, compression)
    assert [metric.name for metric in got.resource_metrics[0].scope_metrics[0].metrics] == [
        "tokens",
        "seconds",
        "temperature",
    ]
    provider.shutdown()
