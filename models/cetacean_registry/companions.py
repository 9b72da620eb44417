"""The files beside each checkpoint, and digests of files."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from cetacean_registry.patterns import SHA256_PATTERN

Sha256 = Annotated[str, Field(pattern=SHA256_PATTERN), AfterValidator(str.lower)]
CLASSES_FILE: Final = "encoder_classes.npy"
SPECIES_FILE: Final = "species_map.csv"
COMPANION_FILES: Final = (CLASSES_FILE, SPECIES_FILE)
"""The files beside each checkpoint: which individual a row of the head stands for, and its species."""


def _check_files(files: dict[str, str]) -> dict[str, str]:
    # A digest under a misspelt name would verify nothing.
    if unknown := sorted(files.keys() - set(COMPANION_FILES)):
        raise ValueError(f"expected the names {' and '.join(COMPANION_FILES)}, got {', '.join(unknown)}")
    return files


FileDigests = Annotated[dict[str, Sha256], Field(max_length=len(COMPANION_FILES)), AfterValidator(_check_files)]
