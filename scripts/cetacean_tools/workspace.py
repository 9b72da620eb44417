"""Shared by all tools: the repository, the cache's folder, Debian packages, Docker, errors and exit codes.

It needs the standard library only: prerequisites are checked before the Python environment exists.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
REGISTRY_VARIABLE = "IMAGE_REGISTRY"
BUILDER_PACKAGES = {"buildah": "buildah", "unshare": "util-linux"}
"""What builds and pushes images on a machine without Docker: see `ensure_commands`."""


class ToolError(RuntimeError):
    """A tool cannot go on; the message is printed without a traceback."""


class MissingError(ToolError):
    """Something the machine lacks; the message is one line that says what, and how to get it."""


def run_tool(work: Callable[[], int | None]) -> int:
    """Run a tool and return its exit code: 1 after a ToolError or a failed command, 130 after an interruption.

    SIGTERM and SIGHUP end it as Ctrl-C does, so that it removes what it has set up.
    """
    end_like_ctrl_c()
    try:
        return work() or 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (ToolError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def end_like_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP raise KeyboardInterrupt."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def cache_root() -> Path:
    """Return the folder of everything built: `$CETACEAN_CACHE`, else `cetacean` in the user's cache folder."""
    if named := os.environ.get("CETACEAN_CACHE"):
        return Path(named).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().resolve() / "cetacean"


def registry() -> str | None:
    """Return the registry (and path in it) that images are pushed to; None: they exist on this machine only."""
    return os.environ.get(REGISTRY_VARIABLE, "").rstrip("/") or None


def docker_answers(timeout: float = 30.0) -> bool:
    """Return true if a Docker daemon is there: a client alone builds nothing.

    Args:
        timeout: seconds to wait for it.

    Raises:
        MissingError: there is one, but it does not answer in time.
    """
    if shutil.which("docker") is None:
        return False
    try:
        done = subprocess.run(
            ["docker", "info"], stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise MissingError(
            f"Docker: `docker info` did not end within {timeout:.0f} s; restart the daemon, or stop it to go on without"
        ) from error
    return done.returncode == 0


def check_commands(packages: Mapping[str, str]) -> list[str]:
    """Return the Debian packages that `ensure_commands` has to install.

    Raises:
        MissingError: they cannot be installed.
    """
    # A user's PATH often leaves out the folders of administration commands, where nft and conntrack live.
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
    there = [
        name for name in packages if (Path(name).is_absolute() and Path(name).exists()) or shutil.which(name, path=path)
    ]
    missing = sorted({package for name, package in packages.items() if name not in there})
    if missing and (os.geteuid() != 0 or shutil.which("apt-get") is None):
        wanted = " ".join(missing)
        raise MissingError(f"missing Debian packages: {wanted} (install them with: apt-get install {wanted})")
    return missing


def ensure_commands(packages: Mapping[str, str]) -> None:
    """Install the Debian packages of the commands or files that are missing.

    Args:
        packages: the Debian package by the command's name, or by the absolute path of a file.

    Raises:
        MissingError: they cannot be installed.
    """
    missing = check_commands(packages)
    if not missing:
        return
    wanted = " ".join(missing)
    print(f"installing Debian packages: {wanted}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        done = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise MissingError(f"apt-get {command[0]} failed while installing {wanted}: {' '.join(last)}")
