"""OpenSSL, and SDKs that use it or BoringSSL, reach the proxy behind TLS."""

import json
import logging
import socket
import ssl
import subprocess

import grpc
import openai
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import captures
from calls import CallSink
from certificates import Authority
from proxy import Proxy
from sink import Answer

EMAIL = "canary.user@corp-mail.example"
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Done."}, "finish_reason": "stop"}],
}


@pytest.fixture(scope="module")
def listener(authority):
    cert, key = authority.issue("proxy")
    return f'[listener.tls]\ncert = "{cert}"\nkey = "{key}"\n'


@pytest.fixture(scope="module")
def tls_proxy(sink, listener, tmp_path_factory):
    with Proxy(sink.url, tmp_path_factory.mktemp("proxy"), listener) as proxy:
        proxy.planted.add(EMAIL)
        yield proxy


def plain(request):
    return captures.decode(bytes(request.body), request.header("Content-Encoding", ""))


def url(proxy):
    return f"https://{proxy.address}"


def context(authority, version):
    """A client of exactly this version, whatever OpenSSL thinks of it."""
    context = ssl.create_default_context(cafile=authority.cert)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


def ask(proxy, context):
    """The version and the answer to a request."""
    with socket.create_connection((proxy.host, proxy.port)) as plain:
        with context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as stream:
            stream.sendall(b"GET /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            received = b""
            while piece := stream.recv(65536):
                received += piece
            return stream.version(), received


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_openssl_speaks_1_2_and_1_3_and_nothing_older(authority, tls_proxy):
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        # An end that nobody tells of would be an error here.
        spoken, received = ask(tls_proxy, context(authority, version))
        assert spoken == name
        assert received.startswith(b"HTTP/1.1 200 ")
    # An alert of the proxy, not OpenSSL's own opinion.
    with pytest.raises(ssl.SSLError, match="ALERT"):
        ask(tls_proxy, context(authority, ssl.TLSVersion.TLSv1_1))
    tls_proxy.assert_metric("expurgate_tls_handshakes_total", 1, outcome="incompatible")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_s_client_agrees_on_the_protocol(authority, tls_proxy, version, protocol):
    command = ["openssl", "s_client", "-connect", tls_proxy.address, version, "-alpn", protocol]
    command += ["-CAfile", authority.cert, "-verify_return_error", "-verify_hostname", "localhost"]
    told = subprocess.run(command, input=b"", capture_output=True, timeout=30)
    assert f"ALPN protocol: {protocol}".encode() in told.stdout
    assert b"Verify return code: 0 (ok)" in told.stdout


def test_otlp_over_https_arrives_redacted_once(authority, sink, tls_proxy, unnoticed, monkeypatch):
    # They win over what an exporter is told.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    provider = TracerProvider()
    exporter = HttpSpanExporter(endpoint=f"{url(tls_proxy)}/v1/traces", certificate_file=str(authority.cert))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    provider.get_tracer("test").start_span(f"mail {EMAIL}").end()
    assert provider.force_flush()
    provider.shutdown()
    (sent,) = sink.requests
    request = ExportTraceServiceRequest.FromString(plain(sent))
    assert request.resource_spans[0].scope_spans[0].spans[0].name == "mail [EMAIL_ADDRESS]"


def test_openai_over_https_notices_nothing(authority, sink, tls_proxy, unnoticed):
    sink.answer = lambda _: Answer(body=json.dumps(ANSWER).encode())
    trusting = openai.DefaultHttpxClient(verify=ssl.create_default_context(cafile=authority.cert))
    with openai.OpenAI(api_key="sk-own", base_url=f"{url(tls_proxy)}/v1", http_client=trusting) as client:
        answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": EMAIL}])
    assert answer.choices[0].message.content == "Done."
    (sent,) = sink.requests
    assert json.loads(plain(sent))["messages"] == [{"role": "user", "content": "[EMAIL_ADDRESS]"}]


def test_otlp_over_grpc_needs_a_certificate_and_arrives_redacted_once(authority, listener, tmp_path, caplog):
    """TLS on both sides, with a client's certificate on both."""
    clients = Authority(tmp_path, "clients")
    (cert, key), (own_cert, own_key) = clients.issue("sdk"), clients.issue("expurgate")
    read = lambda path: path.read_bytes()
    server_cert, server_key = map(read, authority.issue("collector"))
    asks = grpc.ssl_server_credentials([(server_key, server_cert)], read(clients.cert), True)
    with CallSink(asks) as upstream:
        config = f'{listener}client_ca = "{clients.cert}"\n[[route]]\ntls.ca = "{authority.cert}"\n'
        config += f'tls.cert = "{own_cert}"\ntls.key = "{own_key}"\n'
        with Proxy(upstream.url, tmp_path, config) as proxy:
            proxy.planted.add(EMAIL)
            for pair in ((read(key), read(cert)), (None, None)):
                credentials = grpc.ssl_channel_credentials(read(authority.cert), *pair)
                exporter = GrpcSpanExporter(endpoint=url(proxy), credentials=credentials, timeout=2)
                provider = TracerProvider()
                provider.add_span_processor(BatchSpanProcessor(exporter))
                provider.get_tracer("test").start_span(f"mail {EMAIL}").end()
                with caplog.at_level(logging.WARNING):
                    provider.force_flush()
                    provider.shutdown()
                # Nothing to tell, but for the one without a certificate.
                assert bool(caplog.records) == (pair == (None, None))
            assert proxy.metric("expurgate_tls_handshakes_total", outcome="client_certificate") >= 1
        (raw,) = upstream.only().messages
        request = ExportTraceServiceRequest.FromString(raw)
        assert request.resource_spans[0].scope_spans[0].spans[0].name == "mail [EMAIL_ADDRESS]"
