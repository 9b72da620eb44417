"""A PATH with nothing on it but programs that stand in for docker, kind, helm, kubectl and Go."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

HELM_4 = 'case "$1" in version) echo v4.3.1+g123 ;; esac'
KIND_033 = (
    'case "$1 $2" in "version ") echo "kind v0.33.0 go1.26.8 linux/amd64" ;; "get clusters") echo "$CLUSTERS" ;; esac'
)


def kubectl(client: str, *, server: tuple[str, str] | None = None) -> str:
    """Return the script of a kubectl that finds the context `sea` in existing files.

    Its server does not answer if it has no version.
    """
    versions: dict[str, object] = {"clientVersion": {"gitVersion": client}}
    if server is not None:
        versions["serverVersion"] = dict(zip(("major", "minor"), server, strict=True))
    failure = "" if server else 'echo "Unable to connect to the server: no route to host" >&2; exit 1'
    return f"""case "$*" in
      "version --client") echo "Client Version: {client}" ;;
      *"config get-contexts sea -o name") test -f "$2" || {{ echo "error: context sea not found" >&2; exit 1; }} ;;
      *"config get-contexts"*) echo "error: context $5 not found" >&2; exit 1 ;;
      *"version -o json"*) echo '{json.dumps(versions)}'; {failure} ;;
    esac"""


@dataclass(frozen=True, slots=True)
class StandIns:
    """The folder of the programs, and the record of their calls."""

    folder: Path

    def add(self, name: str, script: str) -> Path:
        """Add a program that records its call and runs `script`, which has only the shell's own commands."""
        path = self.folder / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self._record}"\n{script}\n')
        path.chmod(0o755)
        return path

    def calls(self, *names: str) -> list[str]:
        """Return the calls, in their order; those of some programs if they are named."""
        lines = self._record.read_text().splitlines() if self._record.exists() else []
        return [line for line in lines if not names or line.split()[0] in names]

    @property
    def _record(self) -> Path:
        return self.folder / ".calls"
