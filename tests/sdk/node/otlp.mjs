// OpenTelemetry's exporters of JSON: traces, logs and metrics; `compression` is none or gzip.
import { SpanStatusCode } from "@opentelemetry/api";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { given, tell } from "./scenario.mjs";

const { url, key, compression, email, phone, prompt, attributes } = given;
const to = (signal) => ({ url: `${url}/v1/${signal}`, headers: { "api-key": key }, compression });
const resource = resourceFromAttributes({ "service.name": "agent", owner: email });

const tracing = new BasicTracerProvider({
  resource,
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter(to("traces")))],
});
const tracer = tracing.getTracer("agent", "1.2.3");
const ids = [];
for (let number = 0; number < 20; number += 1) {
  const span = tracer.startSpan(`chat with ${email}`, { attributes: { ...attributes, number } });
  span.addEvent(`asked ${phone}`, { "gen_ai.completion": prompt });
  span.recordException(new Error(`nobody is called ${email}`));
  span.setStatus({ code: SpanStatusCode.ERROR, message: `no such user: ${email}` });
  span.end();
  ids.push(span.spanContext());
}
await tracing.forceFlush();
await tracing.shutdown();

const logging = new LoggerProvider({
  resource,
  processors: [new BatchLogRecordProcessor({ exporter: new OTLPLogExporter(to("logs")) })],
});
const logger = logging.getLogger("agent");
for (const body of [prompt, { user: email, rows: [phone] }]) {
  logger.emit({ body, attributes, severityText: "INFO" });
}
await logging.forceFlush();
await logging.shutdown();

const reader = new PeriodicExportingMetricReader({
  exporter: new OTLPMetricExporter(to("metrics")),
  exportIntervalMillis: 600000,
});
const metering = new MeterProvider({ resource, readers: [reader] });
metering.getMeter("agent").createCounter("tokens", { description: `ask ${email}` }).add(7, { user: email });
// Which sends what there is.
await metering.shutdown();

tell(ids.map(({ traceId, spanId }) => ({ traceId, spanId })));
