"""Runs a script of node/ with an SDK for Node.js in it."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from planted import SETTINGS

FOLDER = Path(__file__).parent / "node"
NODE = shutil.which("node")

needs_node = pytest.mark.skipif(
    not NODE or not (FOLDER / "node_modules").is_dir(), reason="no packages for Node.js: scripts/node-env"
)


def run(script, **given):
    """What the script tells of itself. It has to end well, without a word on
    standard error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    done = subprocess.run(
        [NODE, script],
        cwd=FOLDER,
        env=environment,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)
