"""`registry to-manifest`: print the CetaceanModel that mirrors the registry's file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import click

from cetacean_cli.calibration import Calibration
from cetacean_cli.errors import BadInputError
from cetacean_cli.options import THRESHOLD_FILE, file_option
from cetacean_cli.output import echo, print_json, print_yaml
from cetacean_cli.registry_file.checks import root_of
from cetacean_cli.registry_file.load import load_registry
from cetacean_cli.registry_file.selection import select, served_models
from cetacean_cli.yaml_file import read_yaml
from cetacean_operator.api.names import API_VERSION, KIND
from cetacean_operator.api.spec import MAX_MODELS, InvalidResourceError, parse_spec
from cetacean_registry.manifest import to_manifest as mirror
from cetacean_registry.metrics import load_snapshots


@click.command("to-manifest")
@click.argument("name", required=False)
@click.option("--image", metavar="IMAGE", help="Image of the inference service.")
@click.option("--replicas", type=click.IntRange(min=0), metavar="N", help="Number of pods.")
@click.option("-n", "--namespace", metavar="NAME", help="Namespace of the resource; default: kubectl's.")
@click.option(
    "--base",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A CetaceanModel manifest; its spec.registry is replaced, the rest is kept.",
)
@click.option(
    "--threshold-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"File with the gate's threshold; default: {THRESHOLD_FILE} beside the registry, if --base has no threshold.",
)
@file_option
@click.option(
    "-o",
    "--output",
    type=click.Choice(["yaml", "json", "values"]),
    default="yaml",
    show_default=True,
    help="Output format; `values` is for the chart cetacean-model.",
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

    The resource holds at most 64 models. Of a larger registry it gets the active model, those that have served by the
    status or the active model of --base, and the newest; the command names those that are left out.

    Pipe it to `kubectl apply -f -`, or write it to a folder that Argo CD or Flux reads.
    """
    _, registry = load_registry(file)
    given = _load_base(base) if base else {}
    meta, spec = given.get("metadata") or {}, given.get("spec") or {}
    serving = {**(spec.get("serving") or {})}
    serving |= {key: value for key, value in (("image", image), ("replicas", replicas)) if value is not None}
    resource_name = name or meta.get("name")
    if not resource_name or not serving.get("image"):
        raise click.UsageError("Missing NAME and '--image', or '--base' with a manifest that has them.")
    registry, left_out = select(registry, served=served_models(given), most=MAX_MODELS)
    if left_out:
        echo(_left_out(left_out, file), err=True)
    manifest = mirror(
        registry,
        load_snapshots(registry, root_of(file)),
        name=resource_name,
        serving=serving,
        namespace=namespace or meta.get("namespace"),
        anti_fraud=_anti_fraud(spec, threshold_file, file),
    )
    manifest["metadata"] = {**meta, **manifest["metadata"]}
    manifest["spec"] = {**spec, **manifest["spec"]}
    try:
        parse_spec(manifest["spec"])
    except InvalidResourceError as error:
        raise BadInputError(f"the manifest would be invalid: spec.{error}") from error
    if output == "json":
        print_json(manifest)
        return
    content = _values(manifest) if output == "values" else manifest
    print_yaml(content)


def _left_out(names: Sequence[str], file: Path) -> str:
    return (
        f"warning: {file}: the resource holds {MAX_MODELS} models, {len(names)} are left out: {', '.join(names)}. "
        "Remove old entries, or give --base with the status to keep those that have served"
    )


def _values(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the values from which the chart renders the same resource, in the release's namespace."""
    kept = {
        key: manifest["metadata"][key] for key in ("name", "labels", "annotations") if manifest["metadata"].get(key)
    }
    return {**kept, "spec": manifest["spec"]}


def _load_base(path: Path) -> dict[str, Any]:
    content = read_yaml(path)
    if not isinstance(content, dict) or (content.get("apiVersion"), content.get("kind")) != (API_VERSION, KIND):
        raise BadInputError(f"{path}: expected one manifest of a {KIND} ({API_VERSION})")
    return content


def _anti_fraud(spec: dict[str, Any], threshold_file: Path | None, file: Path) -> dict[str, Any] | None:
    """Return `spec.antiFraud`: the threshold file's values before the base's; None: the resource's defaults."""
    own = spec.get("antiFraud")
    if threshold_file is None:
        threshold_file = root_of(file) / THRESHOLD_FILE
        if own or not threshold_file.is_file():
            return own
    calibration = Calibration.load(threshold_file)
    found = {"threshold": calibration.threshold, "calibratedAt": calibration.calibrated_at}
    return {**(own or {}), **{key: value for key, value in found.items() if value is not None}}
