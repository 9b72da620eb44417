"""Waits until the API server serves a kind."""

from __future__ import annotations

from cetacean_tools.demo.kubectl import Kubectl, has_condition
from cetacean_tools.demo.waiting import until


def wait_until_served(kubectl: Kubectl, definition: str) -> None:
    """Wait until a CustomResourceDefinition is established, such as `crontabs.stable.example.com`.

    `kubectl wait` fails at once if the definition was created with `conditions: null` and has none yet.
    """
    until(f"{definition} to be served", lambda: has_condition(kubectl.get("crd", definition), "Established"), within=30)
