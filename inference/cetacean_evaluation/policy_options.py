"""The options for the bounds of the gate; their names and defaults are those of `spec.gates`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from cetacean_registry.errors import describe
from cetacean_registry.figures import Fraction
from cetacean_registry.messages import one_line
from cetacean_registry.policy import BySpeciesPolicy, Evidence, GatePolicy, MinSamples


def add_policy_options(parser: argparse.ArgumentParser) -> None:
    """Add an option for each bound."""
    policy, species = GatePolicy(), BySpeciesPolicy()
    group = parser.add_argument_group("bounds", "those of the gate before promotion, spec.gates of the resource")
    for name, default, text in (
        ("--min-tnr", policy.min_tnr, "default: %(default)s"),
        ("--min-tpr", policy.min_tpr, "default: %(default)s"),
        ("--min-top1", None, "lowest share of pictures whose individual is named right"),
        ("--min-species-accuracy", None, "lowest share of pictures whose species is named right"),
        (
            "--max-regression",
            policy.max_regression,
            "how far a figure may lie below the baseline's (default: %(default)s)",
        ),
        (
            "--species-max-regression",
            None,
            (
                "how far the accuracy of one species may lie below the baseline's "
                f"({species.max_regression} with --species-min-samples)"
            ),
        ),
    ):
        metavar = "DROP" if "regression" in name else "RATE"
        group.add_argument(name, type=type_of(Fraction), default=default, metavar=metavar, help=text)
    group.add_argument(
        "--species-min-samples",
        type=type_of(MinSamples),
        metavar="N",
        help=f"judge species with so many pictures ({species.min_samples} with --species-max-regression)",
    )
    group.add_argument(
        "--evidence",
        choices=get_args(Evidence),
        default=policy.evidence,
        help="judge by the figure, or refuse only what its 95 %% interval excludes (default: %(default)s)",
    )


def type_of(annotation: Any) -> Callable[[str], Any]:
    """Return a type for argparse: the values that a field with this annotation may have."""
    adapter = TypeAdapter(annotation)

    def convert(text: str) -> Any:
        try:
            return adapter.validate_strings(text)
        except ValidationError as error:
            raise argparse.ArgumentTypeError(one_line(describe(error))) from error

    return convert


def policy_of(options: argparse.Namespace) -> GatePolicy:
    """Return the bounds that were given."""
    species = {"min_samples": options.species_min_samples, "max_regression": options.species_max_regression}
    given = {name: value for name, value in species.items() if value is not None}
    return GatePolicy(
        min_tnr=options.min_tnr,
        min_tpr=options.min_tpr,
        max_regression=options.max_regression,
        min_top1=options.min_top1,
        min_species_accuracy=options.min_species_accuracy,
        by_species=BySpeciesPolicy.model_validate(given) if given else None,
        evidence=options.evidence,
    )
