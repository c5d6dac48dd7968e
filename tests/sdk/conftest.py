"""What all tests share: a sink, the proxy before it, and tables at the end."""

import logging
import os

import pytest

# Else their assertions would fail without a word.
pytest.register_assert_rewrite("javascript", "parts", "planted")

import proxy as proxy_module
from certificates import Authority
from planted import SETTINGS
from proxy import Proxy
from sink import Sink

REPORTS = []


def pytest_configure(config):
    if not os.access(proxy_module.BINARY, os.X_OK):
        raise pytest.UsageError(
            f"{proxy_module.BINARY} is not there: `make build`, or set EXPURGATE_BIN"
        )


def pytest_terminal_summary(terminalreporter):
    for title, lines in REPORTS:
        terminalreporter.section(title)
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def report():
    """Call with a title and lines: they are printed after the tests."""
    return lambda title, lines: REPORTS.append((title, list(lines)))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """Signs the certificates of a module's tests."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def sink():
    with Sink() as sink:
        yield sink


@pytest.fixture(scope="module")
def proxy(sink, tmp_path_factory):
    """The proxy as a newcomer runs it: no configuration but the upstream."""
    with Proxy(sink.url, tmp_path_factory.mktemp("proxy")) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def nothing_recorded(request):
    """A module's sink starts each test empty, answering the default."""
    if "sink" in request.fixturenames:
        from sink import Answer

        sink = request.getfixturevalue("sink")
        sink.forget()
        sink.answer = lambda _: Answer()
        sink.body_began.clear()


@pytest.fixture
def unnoticed(caplog, capfd, recwarn, monkeypatch):
    """The SDK logs, prints and warns of nothing, and has no settings but a test's."""
    for name in filter(lambda name: name.startswith(SETTINGS), list(os.environ)):
        monkeypatch.delenv(name)
    with caplog.at_level(logging.INFO):
        yield
    said = [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.WARNING]
    assert said == []
    assert capfd.readouterr() == ("", "")
    assert [str(each.message) for each in recwarn] == []
