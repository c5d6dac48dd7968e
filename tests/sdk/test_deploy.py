"""The systemd unit, by systemd's own word."""

import os
import re
import subprocess
from pathlib import Path

import wire
from proxy import Proxy
from sink import Sink

UNIT = Path(__file__).resolve().parents[2] / "deploy/systemd/expurgate.service"


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60)


def unit_of_this_binary(tmp_path):
    text = UNIT.read_text().replace("/usr/bin/expurgate", os.environ["EXPURGATE_BIN"])
    unit = tmp_path / UNIT.name
    unit.write_text(text)
    return unit


def test_the_unit_is_understood_to_the_last_line(tmp_path):
    result = analyze("verify", "--man=no", str(unit_of_this_binary(tmp_path)))
    assert (result.returncode, result.stderr) == (0, "")


def test_the_unit_may_do_little(tmp_path):
    result = analyze("security", "--offline=true", str(unit_of_this_binary(tmp_path)))
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", result.stdout)
    assert exposure, result.stdout + result.stderr
    assert float(exposure[1]) <= 1.5


def test_what_the_unit_does_to_reload_takes_new_rules(tmp_path):
    reload = re.search(r"^ExecReload=(.*)$", UNIT.read_text(), re.MULTILINE)[1]
    rules = tmp_path / "rules"
    rules.mkdir()
    own = rules / "own.toml"
    own.write_text('[[override]]\nid = "email.address"\nenabled = false\n')
    body = b'{"to": "someone@corp-mail.example"}'
    with Sink() as sink:
        with Proxy(None, tmp_path, f'[rules]\npaths = ["{rules}"]\n[[route]]\nupstream = "{sink.url}"\n') as proxy:
            assert wire.post(proxy.address, body).status == 200
            # That a file is gone counts with this signal alone.
            own.unlink()
            subprocess.run(["sh", "-c", reload], env={"MAINPID": str(proxy.pid)}, check=True, timeout=60)
            proxy.assert_metric("expurgate_ruleset_reloads_total", 1, outcome="success")
            assert wire.post(proxy.address, body).status == 200
        assert [bytes(request.body) for request in sink.requests] == [body, b'{"to": "[EMAIL_ADDRESS]"}']


def test_what_the_unit_starts_is_a_command_with_its_flags(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('[[route]]\nupstream = "https://api.example.com"\n')
    command = re.search(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)[1].split()
    assert command[:4] == ["/usr/bin/expurgate", "run", "--config", "/etc/expurgate/config.toml"]
    check = [os.environ["EXPURGATE_BIN"], "check", "--config", str(config)]
    assert subprocess.run(check, capture_output=True, timeout=60).returncode == 0
