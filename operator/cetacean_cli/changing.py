"""Carries out what was proposed: in a cluster, or in the registry's file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cetacean_cli.asking import Proposal, carry_out
from cetacean_cli.cluster import Cluster, Object
from cetacean_cli.options import ChangeOptions
from cetacean_cli.registry_file import edit
from cetacean_cli.registry_file.checks import Checked
from cetacean_cli.resource import CetaceanModel
from cetacean_cli.waiting import wait_until_ready


def operation(op: str, field: str, value: Any) -> Object:
    """Return a step of a JSON patch; `field` is written as people do, `spec.registry.active`."""
    return {"op": op, "path": "/" + field.replace(".", "/"), "value": value}


def change_resource(
    proposal: Proposal,
    operations: Sequence[Object],
    *,
    resource: CetaceanModel,
    cluster: Cluster,
    how: ChangeOptions,
    done: str,
    wait: float | None,
) -> None:
    """Patch a CetaceanModel once a person has agreed.

    Args:
        proposal: what is shown.
        operations: of a JSON patch.
        resource: as it was read.
        cluster: where it is.
        how: what was asked for; a dry run lets the API server check it.
        done: the last line for people.
        wait: for how many seconds to wait afterwards until all pods serve it; None: not at all.
    """

    def make() -> dict[str, Any]:
        changed = cluster.change(resource.raw, operations, dry_run=how.dry_run)
        return {"generation": changed["metadata"].get("generation")}

    made = carry_out(proposal, make, how=how, done=done)
    if wait is not None and not how.dry_run:
        generation = made.get("generation") or resource.generation
        wait_until_ready(cluster, resource.raw["metadata"]["name"], generation=generation, seconds=wait)


def change_file(proposal: Proposal, text: str, *, checked: Checked, how: ChangeOptions, done: str) -> None:
    """Write a registry's file once a person has agreed.

    Args:
        proposal: what is shown.
        text: the file's new content.
        checked: the file as it was read.
        how: what was asked for.
        done: the last line for people.
    """

    def make() -> dict[str, Any]:
        if not how.dry_run:
            edit.write(checked.path, text, before=checked.document.text)
        return {}

    carry_out(proposal, make, how=how, done=done)
