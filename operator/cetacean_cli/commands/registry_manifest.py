"""`registry to-manifest`: the CetaceanModel that mirrors the registry's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click
import yaml

from cetacean_cli.calibration import Calibration
from cetacean_cli.errors import BadInputError
from cetacean_cli.options import THRESHOLD_FILE, file_option
from cetacean_cli.reading import read_yaml
from cetacean_cli.registry_file.checks import root_of
from cetacean_cli.registry_file.opening import open_registry
from cetacean_cli.showing import print_json
from cetacean_operator.api.names import API_VERSION, KIND
from cetacean_operator.api.spec import InvalidResourceError, parse_spec
from cetacean_registry import load_snapshots
from cetacean_registry import to_manifest as mirror


@click.command("to-manifest")
@click.argument("name", required=False)
@click.option("--image", metavar="IMAGE", help="Of the inference service.")
@click.option("--replicas", type=click.IntRange(min=0), metavar="N", help="Wanted pods.")
@click.option("-n", "--namespace", metavar="NAME", help="Of the resource; else kubectl's.")
@click.option(
    "--base",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A CetaceanModel manifest whose spec.registry is replaced and whose all else is kept.",
)
@click.option(
    "--threshold-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"The gate's threshold; else {THRESHOLD_FILE} beside the registry where it is there and --base says none.",
)
@file_option
@click.option(
    "-o",
    "--output",
    type=click.Choice(["yaml", "json", "values"]),
    default="yaml",
    show_default=True,
    help="How to print; `values` is for the chart cetacean-model.",
)
def to_manifest(
    *,
    name: str | None,
    image: str | None,
    replicas: int | None,
    namespace: str | None,
    base: Path | None,
    threshold_file: Path | None,
    file: Path,
    output: Literal["yaml", "json", "values"],
) -> None:
    """Print the CetaceanModel NAME that mirrors the registry's file, with the figures of the metrics snapshots.

    For `kubectl apply -f -`, or a folder that Argo CD or Flux reads.
    """
    _, registry = open_registry(file)
    given = _load(base) if base else {}
    meta, spec = given.get("metadata") or {}, given.get("spec") or {}
    serving = {**(spec.get("serving") or {})}
    serving |= {key: value for key, value in (("image", image), ("replicas", replicas)) if value is not None}
    named = name or meta.get("name")
    if not named or not serving.get("image"):
        raise click.UsageError("Missing NAME and '--image', or '--base' with a manifest that has them.")
    made = mirror(
        registry,
        load_snapshots(registry, root_of(file)),
        name=named,
        serving=serving,
        namespace=namespace or meta.get("namespace"),
        anti_fraud=_anti_fraud(spec, threshold_file, file),
    )
    made["metadata"] = {**meta, **made["metadata"]}
    made["spec"] = {**spec, **made["spec"]}
    try:
        parse_spec(made["spec"])
    except InvalidResourceError as error:
        raise BadInputError(f"the manifest would not be valid: spec.{error}") from error
    if output == "json":
        print_json(made)
        return
    shown = _values(made) if output == "values" else made
    click.echo(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=120), nl=False)


def _values(made: dict[str, Any]) -> dict[str, Any]:
    """What the chart makes the same resource of; its namespace is the release's."""
    kept = {key: made["metadata"][key] for key in ("name", "labels", "annotations") if made["metadata"].get(key)}
    return {**kept, "spec": made["spec"]}


def _load(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if not isinstance(content, dict) or (content.get("apiVersion"), content.get("kind")) != (API_VERSION, KIND):
        raise BadInputError(f"{path}: expected one manifest of a {KIND} ({API_VERSION})")
    return content


def _anti_fraud(spec: dict[str, Any], threshold_file: Path | None, file: Path) -> dict[str, Any] | None:
    """What the threshold file says over what the base says; None leaves it to the resource's defaults."""
    own = spec.get("antiFraud")
    if threshold_file is None:
        threshold_file = root_of(file) / THRESHOLD_FILE
        if own or not threshold_file.is_file():
            return own
    calibration = Calibration.load(threshold_file)
    found = {"threshold": calibration.threshold, "calibratedAt": calibration.calibrated_at}
    return {**(own or {}), **{key: value for key, value in found.items() if value is not None}}
