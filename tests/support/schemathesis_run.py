"""Schemathesis against the running inference service: every check, with requests from the service's own OpenAPI."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from support.served import serving_process

CHECKS: Final = "all"
HOOKS: Final = "support.schemathesis_hooks"
"""The module that Schemathesis imports first."""


def run_schemathesis(*, seed: int, examples: int | None = None, seconds: int | None = None) -> tuple[bool, str]:
    """Start the service with the fake model and test it; return True if nothing was found, and the output.

    Args:
        seed: of the requests.
        examples: requests of each operation and phase.
        seconds: time for all; None: as long as the examples take.
    """
    with tempfile.TemporaryDirectory() as directory, serving_process(Path(directory)) as served:
        served.load()
        (Path(directory) / "compute").touch()
        served.wait_for_status("/v2/health/ready", 200)
        command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"]
        command += [f"{served.client.base_url}/openapi.json", f"--checks={CHECKS}", f"--seed={seed}"]
        command += ["--generation-database=none", "--request-timeout=20", "--no-color"]
        command += [f"--max-examples={examples}"] if examples else []
        command += [f"--max-time={seconds}"] if seconds else []
        given = {"SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            command,
            cwd=directory,
            env={**os.environ, **given},
            check=False,
            capture_output=True,
            text=True,
            timeout=3600,
        )
    return done.returncode == 0, done.stdout + done.stderr
