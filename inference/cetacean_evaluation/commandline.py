"""Shared by the commands: selection of model and pictures, progress, exit codes."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cetacean_evaluation.errors import EvaluationError
from cetacean_evaluation.manifest import Picture
from cetacean_evaluation.printing import print_line
from cetacean_evaluation.settings import model_settings
from cetacean_inference.errors import ConfigInvalid, FatalError
from cetacean_inference.settings import SETTINGS_FILE, GateSettings, ModelSettings, load_settings
from cetacean_registry.errors import RegistryError
from cetacean_registry.messages import printable
from cetacean_registry.registry import ModelEntry, Registry
from cetacean_registry.regular_files import resolve_path

OK, FAILED, BELOW = 0, 1, 3
"""Exit codes; argparse itself ends with 2."""
EXIT_CODES: Final = (
    "exit codes: 0 the bounds are kept, 1 nothing could be computed, 2 wrong usage, 3 a bound is not kept"
)
MANIFEST: Final = Path("data/test_split/manifest.csv")
THRESHOLD_FILE: Final = Path("configs/anti_fraud_threshold.yaml")
"""Within a checkout."""
REGISTRY: Final = Path("models/registry.json")
"""Within a checkout."""


def parser(program: str, description: str, root: Path) -> argparse.ArgumentParser:
    """Return a parser with the options that all commands have.

    Args:
        program: its name.
        description: the first line of its help.
        root: the checkout, which holds `configs` and `models`; `options.root` afterwards.
    """
    made = argparse.ArgumentParser(program, description=description, epilog=EXIT_CODES)
    made.set_defaults(root=root)
    pictures = made.add_argument_group("pictures")
    pictures.add_argument("--manifest", type=Path, default=MANIFEST, metavar="CSV", help="default: %(default)s")
    pictures.add_argument(
        "--split", default="test", help="which rows of the manifest; `all` for all; default: %(default)s"
    )
    gate = made.add_argument_group("gate", "The service's own settings (configs/, CETACEAN_GATE__…) unless given here.")
    gate.add_argument("--gate-architecture", metavar="NAME", help="open_clip model name")
    gate.add_argument("--gate-config", metavar="JSON", help="path or URL of a custom gate's open_clip configuration")
    gate.add_argument("--gate-weights", metavar="FILE", help="path or URL of a custom gate's state dict")
    made.add_argument(
        "--cache", type=Path, default=_cache() / "weights", metavar="DIR", help="where downloaded weights are kept"
    )
    return made


def _cache() -> Path:
    """Return `$CETACEAN_CACHE`, else `cetacean` in the user's cache folder, as for all that the project keeps there."""
    if named := os.environ.get("CETACEAN_CACHE"):
        return Path(named).expanduser().resolve()
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().resolve() / "cetacean"
    except RuntimeError:  # a user without a home, as in a container
        return Path(tempfile.gettempdir()) / "cetacean"


def registry_entry(path: Path, name: str | None) -> ModelEntry:
    """Return the entry of that name, the active one if None.

    Raises:
        EvaluationError: there is none.
        RegistryError: the file is no registry.
    """
    registry = Registry.load(path)
    try:
        return registry.model(name or registry.active)
    except KeyError:
        names = ", ".join(entry.name for entry in registry.models)
        raise EvaluationError(f"{path}: expected one of the models {names}, got {name!r}") from None


def newest_entry(path: Path) -> ModelEntry:
    """Return the last entry that is not deprecated.

    Raises:
        EvaluationError: all are.
        RegistryError: the file is no registry.
    """
    for entry in reversed(Registry.load(path).models):
        if not entry.deprecated:
            return entry
    raise EvaluationError(f"{path}: expected a model that is not deprecated, got none")


def settings_of(
    options: argparse.Namespace, entry: ModelEntry, weights: str | None
) -> tuple[ModelSettings, GateSettings]:
    """Return the settings with which the service would run.

    Args:
        options: of `parser`.
        entry: the registry's.
        weights: path or URL of other weights than the entry's; the entry's digests are then ignored.

    Raises:
        ConfigInvalid: a setting is wrong.
    """
    try:
        known = entry.model_copy(update={"sha256": None, "files": None}) if weights else entry
        model = model_settings(known, weights_url=as_url(weights) if weights else None)
        gate = load_settings(model=model, config_dir=options.root / "configs").gate
        given = {
            "architecture": options.gate_architecture,
            "config_url": as_url(options.gate_config) if options.gate_config else None,
            "weights_url": as_url(options.gate_weights) if options.gate_weights else None,
        }
        changed = {key: value for key, value in given.items() if value is not None}
        if "weights_url" in changed:
            changed |= {"sha256": None, "revision": None}
        if "config_url" in changed:
            changed["config_sha256"] = None
        return model, GateSettings.model_validate({**gate.model_dump(), **changed})
    except ValidationError as error:
        raise ConfigInvalid("; ".join(item["msg"] for item in error.errors(include_url=False))) from error


def files_read(
    options: argparse.Namespace, pictures: Iterable[Picture], model: ModelSettings, gate: GateSettings
) -> list[Path]:
    """Return the files that every command reads and must not overwrite: pictures, settings, weights on this disk."""
    urls = [url for url in (model.weights_url, gate.config_url, gate.weights_url) if url and url.startswith("file:")]
    local = [Path(unquote(urlsplit(url).path)) for url in urls]
    settings = options.root / "configs" / SETTINGS_FILE
    return [options.manifest, *(picture.path for picture in pictures), settings, *local]


def as_url(text: str) -> str:
    """Return a path as a file:// URL; URLs stay as they are.

    Raises:
        RegistryError: the path leads in a circle.
        EvaluationError: the user whose home it begins with is not known.
    """
    if "://" in text:
        return text
    try:
        path = Path(text).expanduser()
    except RuntimeError as error:
        raise EvaluationError(f"{text}: cannot be found: {error}") from error
    return resolve_path(path).as_uri()


def shown_path(path: Path, root: Path) -> str:
    """Return the path relative to the checkout if it lies in it: reports of two machines then name the same split."""
    resolved, root = resolve_path(path), root.resolve()
    return resolved.relative_to(root).as_posix() if resolved.is_relative_to(root) else path.as_posix()


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on standard error; yield the function that takes the numbers of done and of all pictures.

    Args:
        label: any text, shown as it is.
    """
    description = TextColumn("{task.description}", markup=False)
    columns = (description, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(printable(label), total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def run(
    command: Callable[[argparse.Namespace], int],
    options: argparse.Namespace,
    *,
    on_error: Callable[[str], None] | None = None,
) -> int:
    """Run a command; print an error that it foresees as one line on standard error.

    Args:
        command: returns the exit code.
        options: its argument.
        on_error: called with that line too.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        # Results and messages keep their order in one pipe: otherwise Python writes all results at the end.
        sys.stdout.reconfigure(line_buffering=True)
    try:
        return command(options)
    except FatalError as error:
        line = f"error: {error.line}"
    except (EvaluationError, RegistryError) as error:
        line = f"error: {error}"
    except OSError as error:
        line = f"error: {error.filename}: {error.strerror}" if error.filename else f"error: {error}"
    except KeyboardInterrupt:
        line = "error: interrupted"
    print_line(line, err=True)
    if on_error:
        on_error(line)
    return FAILED
