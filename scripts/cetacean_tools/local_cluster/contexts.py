"""A context of the user's kubeconfig: the file that holds it, and the version of its API server."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import ssl
import subprocess
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.protocol import ClusterError
from cetacean_tools.local_cluster.tools import KUBECTL, Version

ANSWER_WITHIN = 4.0
"""Seconds that an API server has to answer."""


@dataclass(frozen=True, slots=True)
class Context:
    """A context that exists."""

    name: str
    kubeconfig: Path

    @classmethod
    def find(cls, name: str) -> Context:
        """Return the context in the first kubeconfig that names it.

        Raises:
            ClusterError: none does.
        """
        files = kubeconfigs()
        for file in files:
            if _names_context(file, name):
                return cls(name, file)
        searched = ", ".join(map(str, files))
        raise ClusterError(
            f"context {name}: not found in {searched}; `kubectl config get-contexts` lists those there are, "
            "KUBECONFIG names other files"
        )

    def server_version(self, layout: Layout) -> Version | None:
        """Return the version of its API server; None if it answers, but there is no kubectl to learn the version with.

        Raises:
            ClusterError: it does not answer within `ANSWER_WITHIN` seconds, or refuses the user.
        """
        program = shutil.which("kubectl") or (str(layout.kubectl) if KUBECTL.is_built(layout) else None)
        if program is None:
            return self._version_without_kubectl()
        command = [program, "--kubeconfig", str(self.kubeconfig), "--context", self.name, "version", "-o", "json"]
        try:
            done = subprocess.run(
                [*command, f"--request-timeout={ANSWER_WITHIN - 1:.0f}s"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=ANSWER_WITHIN,
            )
        except subprocess.TimeoutExpired as error:
            raise self._silent(f"`kubectl version` did not end within {ANSWER_WITHIN:.0f} s") from error
        found = _version(done.stdout, "serverVersion")
        if done.returncode != 0 or found is None:
            raise self._silent((done.stderr.strip().splitlines() or ["it printed no version"])[-1])
        return found

    def _version_without_kubectl(self) -> Version | None:
        """Ask without credentials: any HTTP status is an answer."""
        content = _parsed(self.kubeconfig)
        if content is None:
            return None
        url = _server_url(content, self.name)
        if url is None:
            raise ClusterError(f"context {self.name}: {self.kubeconfig} names no server for it; repair the file")
        texts: list[str] = []
        problems: list[str] = []
        # Not a pool's thread: the resolution of a host name has no time-out, and the process must not wait for it.
        probe = threading.Thread(target=_get, args=(f"{url}/version", texts, problems), daemon=True)
        probe.start()
        probe.join(ANSWER_WITHIN)
        if not texts:
            raise self._silent(problems[0] if problems else f"nothing came within {ANSWER_WITHIN:.0f} s")
        return _version(texts[0])

    def _silent(self, reason: str) -> ClusterError:
        return ClusterError(
            f"context {self.name} of {self.kubeconfig}: its API server does not answer ({reason}); "
            f"check it with: kubectl --context {self.name} version"
        )


def kubeconfigs() -> list[Path]:
    """Return the files of KUBECONFIG, or the usual one."""
    named = [Path(part).expanduser() for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return named or [Path("~/.kube/config").expanduser()]


def _names_context(file: Path, name: str) -> bool:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    content = _parsed(file)
    if content is None:
        # Without PyYAML, some line with the name is all that can be known.
        return re.search(rf"""(?m)\bname["']?\s*:\s*["']?{re.escape(name)}["']?\s*[,}}]*\s*$""", text) is not None
    return any(item.get("name") == name for item in _items(content, "contexts"))


def _parsed(file: Path) -> Any:
    """Return the content of a YAML file; None if this Python has no PyYAML yet."""
    try:
        yaml = importlib.import_module("yaml")
    except ModuleNotFoundError:
        return None
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ClusterError(f"{file}: expected YAML, got: {problem}; repair the file, or set KUBECONFIG") from error


def _items(content: Any, key: str) -> list[dict[str, Any]]:
    found = content.get(key) if isinstance(content, dict) else None
    return [item for item in found or [] if isinstance(item, dict)]


def _server_url(content: Any, context: str) -> str | None:
    named = next((item.get("context") or {} for item in _items(content, "contexts") if item.get("name") == context), {})
    for item in _items(content, "clusters"):
        if item.get("name") == named.get("cluster"):
            url = (item.get("cluster") or {}).get("server")
            return url.rstrip("/") if isinstance(url, str) and url.startswith(("https://", "http://")) else None
    return None


def _get(url: str, texts: list[str], problems: list[str]) -> None:
    # Nothing secret is sent, and kubectl verifies the certificate later.
    unverified = ssl._create_unverified_context()  # noqa: S323, SLF001
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_WITHIN, context=unverified) as answer:  # noqa: S310
            texts.append(answer.read(65536).decode(errors="replace"))
    except urllib.error.HTTPError:
        texts.append("")
    except (OSError, ValueError) as error:
        problems.append(" ".join(str(error).split()))


def _version(text: str, *keys: str) -> Version | None:
    try:
        found = json.loads(text)
        for key in keys:
            found = found[key]
        # Some providers write the minor version as "35+".
        return int(found["major"]), int(re.sub(r"\D.*", "", found["minor"]))
    except (ValueError, KeyError, TypeError):
        return None
