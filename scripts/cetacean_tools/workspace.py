"""What every script of the project needs of the machine: the cache's place and Debian packages."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def end_like_ctrl_c() -> None:
    """Let SIGTERM and SIGHUP end the program as Ctrl-C does, so that what it has set up is removed."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


class MissingError(RuntimeError):
    """Something the machine lacks; the message is one line that says what, and how to get it."""


def cache_root() -> Path:
    """The folder that keeps what the project built: `$CETACEAN_CACHE`, else `cetacean` in the user's cache folder."""
    if named := os.environ.get("CETACEAN_CACHE"):
        return Path(named).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().resolve() / "cetacean"


def ensure_commands(packages: Mapping[str, str]) -> None:
    """Install the Debian packages of the commands or files that are missing.

    Args:
        packages: the Debian package by the command's name, or by the absolute path of a file.

    Raises:
        MissingError: where they cannot be installed.
    """
    missing = sorted({package for name, package in packages.items() if not _is_there(name)})
    if not missing:
        return
    wanted = " ".join(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise MissingError(f"missing Debian packages: {wanted} (install them with: apt-get install {wanted})")
    print(f"installing Debian packages: {wanted}", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        done = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise MissingError(f"apt-get {command[0]} failed while installing {wanted}: {' '.join(last)}")


def _is_there(name: str) -> bool:
    return Path(name).exists() if name.startswith("/") else shutil.which(name, path=_search_path()) is not None


def _search_path() -> str:
    # A user's PATH often leaves out the folders of administration commands, where nft and conntrack live.
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
