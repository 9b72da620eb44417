"""Outcomes of a model beside its snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cetacean_registry.outcomes import Outcome, outcomes_path, write_outcomes


def outcome(number: int, *, right: bool) -> Outcome:
    """Return the outcome of picture `number`, which shows the orca `a`; a wrong one names the minke whale `z`."""
    return Outcome(
        picture=f"test/{number}.jpg",
        sha256=f"{number:064x}",
        individual="a",
        species="orca",
        named_individual="a" if right else "z",
        named_species="orca" if right else "minke",
        probability=0.9,
        top5=right,
    )


def write(snapshot: Path, right: Sequence[bool]) -> dict[str, Any]:
    """Write the outcomes beside a snapshot; return the `identification` that the snapshot must have."""
    write_outcomes(outcomes_path(snapshot), (outcome(number, right=one) for number, one in enumerate(right)))
    share = round(sum(right) / len(right), 4)
    return {
        "n_samples": len(right),
        "top1_accuracy": share,
        "top5_accuracy": share,
        "n_species_samples": len(right),
        "species_accuracy": share,
        "top_probability_mean": 0.9,
    }
