"""An environment of Python for each peer, in the cache: nothing of a peer is a dependency of the project."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.machine import BenchmarkError

from cetacean_tools.workspace import cache_root

REQUIREMENTS: Final = Path(__file__).with_name("requirements")


def environment(peer: str, *, say: Callable[[str], None]) -> Path:
    """Return the interpreter of a peer's environment; makes it first if its requirements have changed.

    Args:
        peer: name of its file in `requirements`.
        say: prints a line.

    Raises:
        BenchmarkError: the packages cannot be installed.
    """
    requirements = REQUIREMENTS / f"{peer}.lock"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    directory = cache_root() / "benchmarks" / "serving" / "environments" / peer
    python, stamp = directory / "bin" / "python", directory / f"installed-{digest}"
    if not stamp.exists():
        say(f"installing {peer} into {directory}")
        uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or "uv"
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(directory))
        _run(uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(requirements))
        stamp.touch()
    return python


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(
            f"expected `{' '.join(command)}` to succeed, got: {done.stderr.strip()}; run the benchmark again with a "
            "network"
        )
