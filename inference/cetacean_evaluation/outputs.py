"""Files that a command writes: checked before the work, which takes minutes, and never one of those that it reads."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from cetacean_evaluation.errors import EvaluationError
from cetacean_registry.atomic_files import replace_file
from cetacean_registry.regular_files import resolve_path


def path_with_suffix(*suffixes: str) -> Callable[[str], Path]:
    """Return a type for argparse: a path with one of the suffixes, in any case."""

    def convert(text: str) -> Path:
        path = Path(text)
        if path.suffix.lower() not in suffixes:
            raise argparse.ArgumentTypeError(f"expected a file that ends with {' or '.join(suffixes)}, got {text}")
        return path

    return convert


def prepare_outputs(outputs: Sequence[Path], *, inputs: Sequence[Path] = ()) -> None:
    """Make the folders of the files that will be written, after checking that they can be.

    Args:
        outputs: the files to write.
        inputs: files that must not be overwritten.

    Raises:
        EvaluationError: one of the outputs is an input, another output, a folder, or cannot be written.
        RegistryError: the path of one leads in a circle.
    """
    read = {resolve_path(path) for path in inputs}
    written: set[Path] = set()
    for path in outputs:
        resolved = resolve_path(path)
        if resolved in read:
            raise EvaluationError(
                f"{path}: expected another file for the output, got one that the command reads or the registry names"
            )
        if resolved in written:
            raise EvaluationError(f"{path}: expected a file of its own for each output, got the same for two")
        written.add(resolved)
        if path.is_dir():
            raise EvaluationError(f"{path}: expected a file for the output, got a folder")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EvaluationError(f"{path}: cannot be written: {error.strerror or error}") from error
        # A file is replaced by a new one beside it.
        if not os.access(resolved.parent, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
            raise EvaluationError(f"{path}: cannot be written: Permission denied")


def write_output(path: Path, content: bytes) -> None:
    """Write a file as a whole, and leave an earlier one as it is if that fails.

    Raises:
        EvaluationError: it cannot be written.
    """
    try:
        replace_file(path, content)
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be written: {error.strerror}") from error
