"""The compose file: no compose here, so what it names must be there, and what
its parts read must be what they understand."""

import re
import shutil
import subprocess

import pytest
import yaml

from manifests import IMAGE
from proxy import BINARY, REPOSITORY

FOLDER = REPOSITORY / "deploy/compose"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def mounts(service):
    """Where a service's files come from, by where it sees them."""
    for volume in SERVICES[service]["volumes"]:
        source, target, *mode = volume.split(":")
        if source in COMPOSE["volumes"]:
            continue
        assert mode == ["ro"], volume
        yield target, (FOLDER / source).resolve()


@pytest.mark.parametrize("service", SERVICES)
def test_what_a_service_mounts_is_there(service):
    for _, source in mounts(service):
        assert source.exists() and REPOSITORY in source.parents, source


def test_ports_are_for_this_machine_only():
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_proxy_is_as_restricted_as_in_kubernetes():
    own = SERVICES["expurgate"]
    assert own["image"] == IMAGE and (FOLDER / own["build"] / "Dockerfile").exists()
    assert (own["user"], own["read_only"], own["cap_drop"]) == ("65532:65532", True, ["ALL"])
    assert own["security_opt"] == ["no-new-privileges:true"]


def test_the_proxy_understands_its_settings(tmp_path):
    given = {"EXPURGATE_UPSTREAM": "https://api.example.com", "EXPURGATE_PROTOCOL": "auto"}
    settings = {}
    for name, value in SERVICES["expurgate"]["environment"].items():
        settings[name] = given[name] if name in given else value
        assert name not in given or re.fullmatch(r"\$\{" + name + r":[?-].+\}", value)
    (rules,) = [source for target, source in mounts("expurgate") if target == settings["EXPURGATE_RULES"]]
    settings["EXPURGATE_RULES"] = str(rules)
    check = subprocess.run([BINARY, "check"], env=settings, capture_output=True, timeout=60)
    assert (check.returncode, check.stderr) == (0, b"")


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed: scripts/setup test")
def test_prometheus_understands_its_configuration_and_its_rules(tmp_path):
    for target, source in mounts("prometheus"):
        place = tmp_path / target.removeprefix("/etc/prometheus/")
        (shutil.copytree if source.is_dir() else shutil.copy)(source, place)
    check = subprocess.run(
        ["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True, timeout=60
    )
    assert check.returncode == 0, check.stderr
    assert "10 rules found" in check.stdout and "17 rules found" in check.stdout
    target = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"][0]["static_configs"][0]
    assert target["targets"] == ["expurgate:9090"]


def test_grafana_finds_the_dashboard_and_its_data():
    own = dict(mounts("grafana"))
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    folder, _, name = home.rpartition("/")
    assert (own[folder] / name).exists()
    provider = yaml.safe_load((own["/etc/grafana/provisioning/dashboards"] / "expurgate.yaml").read_text())
    assert provider["providers"][0]["options"]["path"] == folder
    source = yaml.safe_load((own["/etc/grafana/provisioning/datasources"] / "prometheus.yaml").read_text())
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
