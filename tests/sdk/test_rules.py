"""What a rules repository's CI reads: JSON Schema, JUnit XML and SARIF, each by
a reader that is not ours."""

import json
import os
import subprocess
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).resolve().parents[2]
CASES = tomllib.loads((ROOT / "tests/corpus/rule-mistakes.toml").read_text())["case"]
# Mistakes that only the loader sees: what a schema of one file cannot say.
BEYOND = [
    "same id twice", "regular expression", "look-around", "backreference", "Unicode",
    "without limit", "too wide", "matches nothing", "never match", "group with a name",
    "secret that can be empty", "without a fixed text", "empty keyword",
    "allows everything", "path", "star", "tilde", "URL", "not in it", "finds something",
    "not found", "is found", "many places", "finds labels", "member name that",
    "two member", "middle of a member", "keywords for", "an example of a member",
    "not there", "there is none", "what one rule has", "own example", "empty text",
]


def run(*arguments, cwd=None):
    command = [os.environ["EXPURGATE_BIN"], *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=cwd, env={})


@pytest.fixture(scope="module")
def schema():
    schema = json.loads(run("schema", "rules").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_every_built_in_pack_is_valid_by_the_schema(schema):
    packs = sorted((ROOT / "rules").glob("*.toml"))
    assert len(packs) > 10
    for pack in packs:
        errors = [error.message for error in schema.iter_errors(tomllib.loads(pack.read_text()))]
        assert errors == [], pack.name


def test_the_schema_refuses_what_the_loader_refuses_by_shape(schema):
    refused = 0
    for case in CASES:
        try:
            parsed = tomllib.loads(case["file"])
        except tomllib.TOMLDecodeError:
            continue
        if any(part in case["note"] for part in BEYOND):
            continue
        assert not schema.is_valid(parsed), case["note"]
        refused += 1
    assert refused >= 20


def test_junit_xml_says_what_passes_and_what_fails(tmp_path):
    rule = CASES[[case["note"] for case in CASES].index("an example that is not found")]["file"]
    (tmp_path / "rules.toml").write_text(rule)
    for command in (["rules", "test", "rules.toml"], ["check", "--rules", "rules.toml"]):
        result = run(*command, "--output", "junit", cwd=tmp_path)
        assert result.returncode == 2
        suites = ElementTree.fromstring(result.stdout)
        cases = list(suites.iter("testcase"))
        failed = [case for case in cases if case.find("failure") is not None]
        assert (suites.tag, len(cases)) == ("testsuites", int(suites.get("tests")))
        assert len(failed) == int(suites.get("failures")) == 1
        assert failed[0].get("classname") == "rules.toml"
        assert "expected `acme_a1b2c3`" in failed[0].find("failure").get("message")


def test_sarif_has_what_the_standard_requires(tmp_path):
    (tmp_path / "a b.json").write_text('{"x": "bob@example.com",\n"password": "hunter2!"}')
    result = run("scan", "--output", "sarif", "a b.json", cwd=tmp_path)
    log = json.loads(result.stdout)
    assert log["version"] == "2.1.0" and len(log["runs"]) == 1
    run_of_tool = log["runs"][0]
    driver = run_of_tool["tool"]["driver"]
    ids = [rule["id"] for rule in driver["rules"]]
    assert driver["name"] == "expurgate" and len(ids) == len(set(ids))
    assert [one["ruleId"] for one in run_of_tool["results"]] == ["email.address", "key.password"]
    for one, line in zip(run_of_tool["results"], (1, 2)):
        assert one["message"]["text"] and one["level"] in ("error", "warning", "note", "none")
        assert one["ruleId"] in ids
        place = one["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "a%20b.json"
        assert place["region"]["startLine"] == line
    assert "bob@" not in result.stdout and "hunter2" not in result.stdout
