"""Short versions of what `make reliability` measures, so that it stays true."""

import os
import shutil
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# Behind what is here: no module of the tests is to be shadowed.
sys.path += [str(REPOSITORY / folder) for folder in ("reliability", "loadtest")]

import drains
import heads
import leaks
import network
import reloads
import resident
import slow
import soak


@pytest.fixture
def holds(report):
    """Reports the claims and fails unless all hold."""

    def judge(title, claims):
        claims = list(claims)
        report(title, [f"{each.what}: {each.measured}" for each in claims])
        broken = [f"{each.what}: {each.measured}" for each in claims if each.holds is False]
        assert broken == []
        assert claims

    return judge


def needs(*tools):
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [tool for tool in tools if not shutil.which(tool, path=path)]
    return pytest.mark.skipif(bool(missing), reason=f"without {', '.join(missing)}: scripts/setup reliability")


def test_no_canary_is_found_anywhere_whatever_goes_wrong(holds):
    holds("leaks", leaks.measure(cases=4000, kills=2, seed=6))


def test_mutated_heads_arrive_as_they_are_meant_or_not_at_all(holds):
    holds("heads", heads.measure(mutants=1200, seed=6, names=["mistakes"]))


def test_no_accepted_request_fails_when_told_to_end(holds):
    holds("drains", drains.measure(times=3, seed=6))


def test_nobody_notices_new_rules_and_certificates(holds):
    holds("reloads", reloads.measure(own=30, builtin=2, certificates=10, configurations=30))


def test_many_slow_uploads_take_little_memory(holds):
    holds("uploads", [resident.uploads(200, 4)])


def test_an_idle_connection_takes_little_memory(holds):
    holds("idle connections", [resident.idle(1000)])


@needs("slowhttptest")
def test_slow_clients_do_not_slow_others_down(holds):
    holds("slow clients", slow.measure(connections=300, rounds=2, seconds=0.7, attacks=["slow bodies", "slow readers"], share=0.5))


def test_slow_clients_keep_nobody_out(holds):
    holds("more slow clients than requests that may be in progress", [slow.crowded(1100, 4)])


def test_bad_networks_hang_and_double_nothing(holds):
    holds("networks", network.measure(seconds=1.5, scenes=["loss 5", "names 100"]))


@needs("wrk", "nginx")
def test_memory_and_files_stay_flat(holds):
    holds("soak", soak.measure(minutes=0.1, probe=1, reload_seconds=1.5, warming=6, slack=64 << 20, least=0.3))
