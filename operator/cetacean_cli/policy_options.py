"""The options for the bounds of the gate; their names and defaults are those of `spec.gates`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, get_args

import click

from cetacean_cli.finite_range import FiniteRange
from cetacean_registry.policy import MAX_MIN_SAMPLES, BySpeciesPolicy, Evidence, GatePolicy

_DEFAULTS = GatePolicy()
_SPECIES = BySpeciesPolicy()


def policy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each bound of the gate; the command gets `policy`."""

    @functools.wraps(command)
    def with_policy(
        *arguments: Any, species_min_samples: int | None, species_max_regression: float | None, **options: Any
    ) -> Any:
        bounds = {name: options.pop(name) for name in GatePolicy.model_fields if name in options}
        species = {"min_samples": species_min_samples, "max_regression": species_max_regression}
        given = {name: value for name, value in species.items() if value is not None}
        if given:
            bounds["by_species"] = BySpeciesPolicy.model_validate(given)
        return command(*arguments, policy=GatePolicy.model_validate(bounds), **options)

    decorated: Callable[..., Any] = with_policy
    for option in reversed(_options()):
        decorated = option(decorated)
    return decorated


def _options() -> list[Callable[..., Any]]:
    rates = (
        ("--min-tnr", _DEFAULTS.min_tnr, "Lowest true negative rate."),
        ("--min-tpr", _DEFAULTS.min_tpr, "Lowest true positive rate."),
        ("--min-top1", None, "Lowest share of pictures whose individual is named right."),
        ("--min-species-accuracy", None, "Lowest share of pictures whose species is named right."),
        ("--max-regression", _DEFAULTS.max_regression, "Largest drop of a figure below the other model's."),
        (
            "--species-max-regression",
            None,
            f"Largest drop of the accuracy of one species; {_SPECIES.max_regression} with --species-min-samples.",
        ),
    )
    return [
        *(
            click.option(
                name,
                type=FiniteRange(0.0, 1.0),
                default=default,
                show_default=default is not None,
                metavar="RATE",
                help=text,
            )
            for name, default, text in rates
        ),
        click.option(
            "--species-min-samples",
            type=click.IntRange(min=1, max=MAX_MIN_SAMPLES),
            metavar="N",
            help=f"Judge species with so many pictures; {_SPECIES.min_samples} with --species-max-regression.",
        ),
        click.option(
            "--evidence",
            type=click.Choice(get_args(Evidence)),
            default=_DEFAULTS.evidence,
            show_default=True,
            help="Judge by the figure, or refuse only what its 95 % interval excludes.",
        ),
    ]
