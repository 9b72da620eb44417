"""No process of a server that was measured runs on."""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path

from benchmarks.servers import serving
from support.waiting import wait_until

PROGRAM = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open(sys.argv[1], "w").write(str(child.pid))
time.sleep(600)
"""


def test_the_child_of_a_server_that_has_ended_before_is_ended_too(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(PROGRAM, encoding="utf-8")
    written = tmp_path / "child"
    with serving(
        ["parent", str(written)],
        {"PYTHONPATH": str(tmp_path)},
        port=1,
        log=tmp_path / "log",
        python=Path(sys.executable),
        ready=lambda _: written.exists() and bool(written.read_text()),
    ) as server:
        child = os.pidfd_open(int(written.read_text()))
        os.kill(server.pid, signal.SIGTERM)  # as a switch ends the version before
        wait_until(lambda: _state(server.pid) == "Z")
    try:
        assert select.select([child], [], [], 30)[0], "it has ended"
    finally:
        os.close(child)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
