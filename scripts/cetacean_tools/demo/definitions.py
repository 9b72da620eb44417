"""Waits until the API server serves a kind."""

from __future__ import annotations

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until


def wait_until_served(kubectl: Kubectl, definition: str) -> None:
    """Wait until a CustomResourceDefinition is established, such as `crontabs.stable.example.com`.

    `kubectl wait` fails at once if the definition was created with `conditions: null` and has none yet.
    """

    def is_established() -> bool:
        conditions = (kubectl.get("crd", definition).get("status") or {}).get("conditions") or ()
        return any((one["type"], one["status"]) == ("Established", "True") for one in conditions)

    until(f"{definition} to be served", is_established, within=30)
