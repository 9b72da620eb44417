"""The components: their command lines, the order in which they start, and the sign that one is ready."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from cetacean_tools.local_cluster.configs import filled
from cetacean_tools.local_cluster.layout import Layout, Link


@dataclass(frozen=True, slots=True)
class Component:
    """One process of the cluster."""

    name: str
    command: tuple[str, ...]
    ready: str
    """A URL that answers 200 when it is ready, or the path of a socket that is there then."""
    after: tuple[str, ...] = ()
    """Components that must be ready before this one is started."""


def components(layout: Layout, link: Link) -> tuple[Component, ...]:
    """Read them from `files/components.yaml`, in the order of their starting."""
    # BaseLoader leaves every scalar as the text that a flag takes.
    described = yaml.load(filled("components.yaml", layout, link), Loader=yaml.BaseLoader)  # noqa: S506 -- it makes text only
    return tuple(
        Component(
            part["name"],
            (str(layout.bin / part["name"]), *(f"--{flag}={value}" for flag, value in part["flags"].items())),
            part["ready"],
            tuple(part.get("after", ())),
        )
        for part in described
    )
