"""The largest resource with all figures fits etcd with room: spec, status and what the operator adds."""

from __future__ import annotations

import json
from typing import Any

from support.operator_world import World, entry, manifest

from cetacean_operator.api.spec import MAX_MODELS

LARGEST_OBJECT = 1_572_864
"""Bytes that etcd takes in one request by default (`--max-request-bytes`)."""
SPECIES = [f"species_with_a_long_name_of_a_registry_{number:02}" for number in range(64)]


def figures() -> dict[str, Any]:
    counts = {"samples": 123_456, "speciesAccuracy": 0.9876, "named": 123_456, "namedTopProbabilityMean": 0.9876}
    return {
        "rocAuc": 0.98765,
        "identification": {
            "samples": 123_456,
            "top1": 0.98765,
            "top5": 0.98765,
            "speciesAccuracy": 0.98765,
            "topProbabilityMean": 0.98765,
        },
        "bySpecies": [{"species": name, **counts} for name in SPECIES],
        "reference": {"cetaceanScore": [123_456] * 20, "topProbability": [123_456] * 20},
    }


def test_64_models_with_64_species_each_that_have_all_served_fit_etcd_with_room() -> None:
    digits = "0123456789abcdef"
    models = [entry(f"model-{number:02}", metrics=figures()) for number in range(MAX_MODELS)]
    for number, model in enumerate(models):
        model["sha256"] = (digits[number % 16] + digits[number // 16]) * 32
        model["notes"] = "n" * 500
    world = World(manifest(*models))
    for model in models:
        world.activate(model["name"])
        world.settle()
    assert len(world.status.served) == MAX_MODELS
    size = len(json.dumps(world.obj).encode())
    # The rest is for managedFields, and for what people add. The lists of figures are atomic: they have one owner each.
    assert size < LARGEST_OBJECT * 2 / 3, f"{size} bytes"
    assert size > LARGEST_OBJECT / 3, "the figures are in it"
