"""Call kubectl and helm as a person would, and show each call."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import yaml

from cetacean_tools.workspace import ToolError


class CommandError(ToolError):
    """A command failed; the message holds the command and what it printed."""


def _silent(_line: str) -> None:
    """Show nothing."""


def manifests(file: str, **variables: object) -> list[dict[str, Any]]:
    """Return the objects of `manifests/<file>.yaml`, with values in the places of its variables."""
    text = Path(__file__).with_name("manifests").joinpath(f"{file}.yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load_all(Template(text).substitute(variables)))


def has_condition(item: Mapping[str, Any], kind: str) -> bool:
    """Return true if the status of an object has a condition, such as Ready, that is True."""
    conditions = (item.get("status") or {}).get("conditions") or ()
    return any((one["type"], one["status"]) == (kind, "True") for one in conditions)


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl and Helm bound to one kubeconfig, context and namespace."""

    kubectl: Path
    helm: Path
    kubeconfig: Path
    context: str | None = None
    namespace: str = "default"
    show: Callable[[str], None] = _silent

    def __call__(self, *arguments: str, stdin: str | None = None, timeout: float = 180) -> str:
        """Run kubectl and return its standard output.

        Raises:
            CommandError: it exited non-zero or outlasted `timeout` seconds.
        """
        return self._run("kubectl", [str(self.kubectl), *self._flags("--context")], arguments, stdin, timeout)

    def run_helm(self, *arguments: str, timeout: float = 300) -> str:
        """Run helm and return its standard output; raises as `__call__` does."""
        return self._run("helm", [str(self.helm), *self._flags("--kube-context")], arguments, None, timeout)

    def run_cetacean(self, *arguments: str, timeout: float = 60) -> str:
        """Run the project's command line with the flags at the end; raises as `__call__` does."""
        program = [sys.executable, "-m", "cetacean_cli"]
        return self._run("cetacean", program, (*arguments, *self._flags("--context")), None, timeout)

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return the parsed output of `kubectl get -o json`; the call is not shown."""
        quiet = Kubectl(self.kubectl, self.helm, self.kubeconfig, self.context, self.namespace)
        return dict(json.loads(quiet("get", *arguments, "-o", "json")))

    def apply(self, manifest: Mapping[str, Any]) -> str:
        """Apply one object with `kubectl apply`."""
        return self("apply", "-f", "-", stdin=json.dumps(manifest))

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of a kubectl call, for a caller that starts the process itself."""
        return [str(self.kubectl), *self._flags("--context"), *arguments]

    def _flags(self, context_flag: str) -> list[str]:
        context = [context_flag, self.context] if self.context else []
        return ["--kubeconfig", str(self.kubeconfig), "--namespace", self.namespace, *context]

    def _run(self, name: str, prefix: list[str], arguments: Sequence[str], stdin: str | None, timeout: float) -> str:
        shown = " ".join([name, "-n", self.namespace, *arguments])
        self.show(f"$ {shown}")
        try:
            done = subprocess.run(
                [*prefix, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=timeout
            )
        except subprocess.TimeoutExpired as error:
            raise CommandError(f"`{shown}` did not end within {timeout:.0f} s") from error
        if done.returncode != 0:
            raise CommandError(f"`{shown}` exited {done.returncode}: {(done.stderr or done.stdout).strip()}")
        for line in done.stdout.rstrip().splitlines() if arguments[0] != "get" or "-o" not in arguments else []:
            self.show(f"  {line}")
        return done.stdout
