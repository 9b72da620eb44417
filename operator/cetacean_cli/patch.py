"""Apply a confirmed change: as a JSON patch in a cluster, or as the new text of the registry's file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cetacean_cli.cluster import Cluster, Object
from cetacean_cli.confirm import Proposal, confirm_and_apply
from cetacean_cli.options import ChangeFlags
from cetacean_cli.registry_file import edit
from cetacean_cli.registry_file.checks import CheckedRegistry
from cetacean_cli.resource import CetaceanModel
from cetacean_cli.wait import wait_until_ready


def patch_operation(op: str, field: str, value: Any) -> Object:
    """Return one operation of a JSON patch; `field` has dots, e.g. `spec.registry.active`."""
    return {"op": op, "path": "/" + field.replace(".", "/"), "value": value}


def patch_resource(
    proposal: Proposal,
    operations: Sequence[Object],
    *,
    resource: CetaceanModel,
    cluster: Cluster,
    flags: ChangeFlags,
    done: str,
    wait: float | None,
) -> None:
    """Patch a CetaceanModel after the confirmation.

    Args:
        proposal: the change as it is shown.
        operations: of the JSON patch.
        resource: the CetaceanModel as it was read.
        cluster: the cluster that it is in.
        flags: of the command; in a dry run the API server checks the patch.
        done: the last line for people.
        wait: for how many seconds to wait until all pods serve the new spec; None: do not wait.
    """

    def apply() -> dict[str, Any]:
        changed = cluster.patch(resource.raw, operations, dry_run=flags.dry_run)
        return {"generation": changed["metadata"].get("generation")}

    result = confirm_and_apply(proposal, apply, flags=flags, done=done)
    if wait is not None and not flags.dry_run:
        generation = result.get("generation") or resource.generation
        wait_until_ready(cluster, resource.raw["metadata"]["name"], generation=generation, seconds=wait)


def write_registry(proposal: Proposal, text: str, *, checked: CheckedRegistry, flags: ChangeFlags, done: str) -> None:
    """Write a registry's file after the confirmation.

    Args:
        proposal: the change as it is shown.
        text: the file's new content.
        checked: the file as it was read.
        flags: of the command.
        done: the last line for people.
    """

    def apply() -> dict[str, Any]:
        if not flags.dry_run:
            edit.write(checked.path, text, before=checked.document.text)
        return {}

    confirm_and_apply(proposal, apply, flags=flags, done=done)
