"""A context of the user's kubeconfig: its file, and the version of its API server, both as kubectl finds them."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from cetacean_tools.local_cluster.protocol import ClusterError, output
from cetacean_tools.local_cluster.tools import Version
from cetacean_tools.workspace import MissingError

FOUND_WITHIN = 1.5
"""Seconds that kubectl has to find a context in a file."""
ANSWER_WITHIN = 3.0
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
            MissingError: there is no kubectl on the PATH.
        """
        if shutil.which("kubectl") is None:
            raise MissingError(f"missing: kubectl, with which the context {name} is used; install it")
        problems = []
        for file in kubeconfigs():
            try:
                output(
                    "kubectl", "--kubeconfig", file, "config", "get-contexts", name, "-o", "name", within=FOUND_WITHIN
                )
            except ClusterError as error:
                problems.append(str(error))
            else:
                return cls(name, file)
        raise ClusterError(
            f"context {name}: not found: {'; '.join(problems)}; `kubectl config get-contexts` lists those there are, "
            "KUBECONFIG names other files"
        )

    def server_version(self) -> Version:
        """Return the version of its API server.

        Raises:
            ClusterError: it does not answer within `ANSWER_WITHIN` seconds, or refuses the user.
        """
        command = ("kubectl", "--kubeconfig", self.kubeconfig, "--context", self.name, "version", "-o", "json")
        printed = output(*command, within=ANSWER_WITHIN)
        try:
            server = json.loads(printed)["serverVersion"]
            # Some providers write the minor version as "35+".
            return int(server["major"]), int(re.sub(r"\D.*", "", server["minor"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ClusterError(
                f"context {self.name}: expected kubectl to print the server's version, got {printed!r}"
            ) from error


def kubeconfigs() -> list[Path]:
    """Return the files of KUBECONFIG, or the usual one."""
    named = [Path(part).expanduser() for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    return named or [Path("~/.kube/config").expanduser()]
