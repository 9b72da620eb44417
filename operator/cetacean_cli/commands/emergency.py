"""`emergency`: disable the anti-fraud gate, and enable it again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from cetacean_cli.calibration import Calibration
from cetacean_cli.cluster import Cluster
from cetacean_cli.confirm import Change, Proposal
from cetacean_cli.errors import BadInputError
from cetacean_cli.finite_range import FiniteRange
from cetacean_cli.options import (
    THRESHOLD_FILE,
    ChangeFlags,
    change_options,
    cluster_options,
    name_argument,
    wait_options,
)
from cetacean_cli.patch import patch_operation, patch_resource
from cetacean_cli.resource import CetaceanModel
from cetacean_operator.api.spec import AntiFraud
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.anti_fraud import OVERDUE_AFTER

_FIELD = "spec.antiFraud.threshold"
_DATE_FIELD = "spec.antiFraud.calibratedAt"


@click.group()
def emergency() -> None:
    """Disable the anti-fraud gate if it rejects every picture, and enable it again."""


@emergency.command("disable-gate")
@name_argument
@wait_options
@change_options
@cluster_options
def disable_gate(*, name: str, wait: float | None, flags: ChangeFlags, cluster: Cluster) -> None:
    """Accept every picture: set the threshold of the CetaceanModel NAME to 0.0.

    The pods are replaced. This is a measure for an emergency: calibrate again within 24 hours. The condition
    AntiFraudDisabled is True until `emergency restore`; after 24 hours its reason is RecalibrationOverdue.
    """
    resource = CetaceanModel.parse(cluster.get(name))
    current = resource.spec.anti_fraud
    until = timestamp(datetime.now(UTC) + timedelta(seconds=OVERDUE_AFTER))
    if current.threshold == 0.0:
        since = resource.status.anti_fraud.disabled_since if resource.status.anti_fraud else None
        proposal = Proposal(resource.subject, (), (f"the gate is already disabled, since {since or 'just now'}",))
    else:
        notes = (
            "every picture will be accepted; the pods will be replaced step by step",
            f"calibrate again within 24 hours, by {until}: scripts/calibrate_clip_threshold.py",
            f"then run: cetacean emergency restore {name} --threshold {current.threshold:g}, or with the new threshold",
        )
        change = Change(_FIELD, current.threshold, 0.0)
        extra = {"recalibrateBy": until}
        proposal = Proposal(resource.subject, (change,), notes, resource.warnings(_FIELD), extra)
    desired = AntiFraud(threshold=0.0, calibrated_at=current.calibrated_at)
    patch_resource(
        proposal,
        _operations(current, desired),
        resource=resource,
        cluster=cluster,
        flags=flags,
        done="the gate is disabled; the operator replaces the pods",
        wait=wait,
    )


@emergency.command()
@name_argument
@click.option(
    "--threshold",
    type=FiniteRange(0.0, 1.0, min_open=True),
    metavar="T",
    help="Above 0.0, up to 1.0; default: the threshold of --threshold-file.",
)
@click.option("--calibrated-at", metavar="TIME", help="Time of the calibration, ISO 8601; default: unchanged.")
@click.option(
    "--threshold-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=THRESHOLD_FILE,
    show_default=True,
    help="File that scripts/calibrate_clip_threshold.py writes; read if no --threshold is given.",
)
@wait_options
@change_options
@cluster_options
def restore(
    *,
    name: str,
    threshold: float | None,
    calibrated_at: str | None,
    threshold_file: Path,
    wait: float | None,
    flags: ChangeFlags,
    cluster: Cluster,
) -> None:
    """Set a calibrated threshold for the CetaceanModel NAME, which enables its gate again. The pods are replaced."""
    note = f"from --threshold {threshold:g}" if threshold is not None else f"from {threshold_file}"
    if threshold is None:
        calibration = Calibration.load(threshold_file)
        if calibration.threshold == 0.0:
            raise BadInputError(
                f"{threshold_file}: expected a threshold above 0.0, got 0.0, which leaves the gate disabled"
            )
        threshold, calibrated_at = calibration.threshold, calibrated_at or calibration.calibrated_at
    resource = CetaceanModel.parse(cluster.get(name))
    current = resource.spec.anti_fraud
    desired = AntiFraud(threshold=threshold, calibrated_at=calibrated_at or current.calibrated_at)
    changes = tuple(
        Change(path, before, after)
        for path, before, after in (
            (_FIELD, current.threshold, desired.threshold),
            (_DATE_FIELD, current.calibrated_at, desired.calibrated_at),
        )
        if before != after
    )
    notes = (note, "the pods will be replaced step by step") if changes else ("the threshold has this value already",)
    proposal = Proposal(resource.subject, changes, notes, resource.warnings(_FIELD) if changes else ())
    patch_resource(
        proposal,
        _operations(current, desired),
        resource=resource,
        cluster=cluster,
        flags=flags,
        done=f"the threshold is {threshold:g}; the operator replaces the pods",
        wait=wait,
    )


def _operations(current: AntiFraud, desired: AntiFraud) -> list[dict[str, Any]]:
    operations = [patch_operation("replace", _FIELD, desired.threshold)]
    if desired.calibrated_at != current.calibrated_at:
        operations.append(patch_operation("add", _DATE_FIELD, desired.calibrated_at))
    return operations
