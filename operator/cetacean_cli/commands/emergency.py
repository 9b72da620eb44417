"""`emergency`: open the anti-fraud gate, and close it again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from cetacean_cli.asking import Change, Proposal
from cetacean_cli.calibration import Calibration
from cetacean_cli.changing import change_resource, operation
from cetacean_cli.cluster import Cluster
from cetacean_cli.errors import BadInputError
from cetacean_cli.options import (
    THRESHOLD_FILE,
    ChangeOptions,
    change_options,
    cluster_options,
    name_argument,
    wait_options,
)
from cetacean_cli.resource import CetaceanModel
from cetacean_operator.api.spec import AntiFraud
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.anti_fraud import OVERDUE_AFTER

_FIELD = "spec.antiFraud.threshold"
_DATE_FIELD = "spec.antiFraud.calibratedAt"


@click.group()
def emergency() -> None:
    """Open the anti-fraud gate where it rejects everything, and close it again."""


@emergency.command("disable-gate")
@name_argument
@wait_options
@change_options
@cluster_options
def disable_gate(*, name: str, wait: float | None, how: ChangeOptions, cluster: Cluster) -> None:
    """Accept every picture: threshold 0.0 for the CetaceanModel NAME.

    The pods are replaced. A fire drill: calibrate anew within 24 hours, after which the operator says
    RecalibrationOverdue until `emergency restore`.
    """
    resource = CetaceanModel.parse(cluster.get(name))
    now = resource.spec.anti_fraud
    until = timestamp(datetime.now(UTC) + timedelta(seconds=OVERDUE_AFTER))
    if now.threshold == 0.0:
        since = resource.status.anti_fraud.disabled_since if resource.status.anti_fraud else None
        proposal = Proposal(resource.subject, (), (f"the gate is already disabled, since {since or 'just now'}",))
    else:
        notes = (
            "every picture will be accepted, whatever it shows; the pods will be replaced step by step",
            f"calibrate anew within 24 hours, until {until}: scripts/calibrate_clip_threshold.py",
            f"afterwards: cetacean emergency restore {name} --threshold {now.threshold:g}, or the new threshold",
        )
        change = Change(_FIELD, now.threshold, 0.0)
        more = {"recalibrateBy": until}
        proposal = Proposal(resource.subject, (change,), notes, resource.warnings(_FIELD), more)
    wanted = AntiFraud(threshold=0.0, calibrated_at=now.calibrated_at)
    change_resource(
        proposal,
        _operations(now, wanted),
        resource=resource,
        cluster=cluster,
        how=how,
        done="the gate is disabled; the pods follow",
        wait=wait,
    )


@emergency.command()
@name_argument
@click.option(
    "--threshold",
    type=click.FloatRange(0.0, 1.0, min_open=True),
    metavar="T",
    help="Above 0.0, up to 1.0; else what --threshold-file says.",
)
@click.option("--calibrated-at", metavar="TIME", help="When it was calibrated, ISO 8601; else as it was.")
@click.option(
    "--threshold-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=THRESHOLD_FILE,
    show_default=True,
    help="What scripts/calibrate_clip_threshold.py writes; read where no --threshold is given.",
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
    how: ChangeOptions,
    cluster: Cluster,
) -> None:
    """Close the gate of the CetaceanModel NAME again, at a calibrated threshold. The pods are replaced."""
    note = f"from --threshold {threshold:g}" if threshold is not None else f"from {threshold_file}"
    if threshold is None:
        calibration = Calibration.load(threshold_file)
        if calibration.threshold == 0.0:
            raise BadInputError(f"{threshold_file}: expected a threshold above 0.0, which would leave the gate open")
        threshold, calibrated_at = calibration.threshold, calibrated_at or calibration.calibrated_at
    resource = CetaceanModel.parse(cluster.get(name))
    now = resource.spec.anti_fraud
    wanted = AntiFraud(threshold=threshold, calibrated_at=calibrated_at or now.calibrated_at)
    changes = tuple(
        Change(path, before, after)
        for path, before, after in (
            (_FIELD, now.threshold, wanted.threshold),
            (_DATE_FIELD, now.calibrated_at, wanted.calibrated_at),
        )
        if before != after
    )
    notes = (note, "the pods will be replaced step by step") if changes else ("this is what holds already",)
    proposal = Proposal(resource.subject, changes, notes, resource.warnings(_FIELD) if changes else ())
    change_resource(
        proposal,
        _operations(now, wanted),
        resource=resource,
        cluster=cluster,
        how=how,
        done=f"the threshold is {threshold:g}; the pods follow",
        wait=wait,
    )


def _operations(now: AntiFraud, wanted: AntiFraud) -> list[dict[str, Any]]:
    operations = [operation("replace", _FIELD, wanted.threshold)]
    if wanted.calibrated_at != now.calibrated_at:
        operations.append(operation("add", _DATE_FIELD, wanted.calibrated_at))
    return operations
