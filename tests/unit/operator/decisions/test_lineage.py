"""Which models entries, promotions and pods name: by the weights' digest, or their address, and by the definition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.operator_world import BEGIN, model
from support.pods import DIGEST_IN_POD

from cetacean_operator.api.observed import Identity, Pod
from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import ModelRef, Rollback, ServedModel
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.identity import definition, reference
from cetacean_operator.decisions.lineage import (
    find_served,
    is_rejected,
    may_report,
    reported_model,
    same_model,
    was_served_as,
)
from cetacean_operator.decisions.serving_history import add_promotion

MOVED = "https://example.org/moved.ckpt"
FILES = {"species_map.csv": "1" * 64, "encoder_classes.npy": "2" * 64}
OTHER_DEFINITIONS: list[dict[str, Any]] = [
    {"files": FILES},
    {"files": {**FILES, "species_map.csv": "3" * 64}},
    {"files": {"species_map.csv": "1" * 64}},
    {"architecture": "AnotherModel"},
    {"backbone": "tf_efficientnet_b0_ns"},
    {"inputSize": 380},
    {"embeddingSize": 256},
    {"numClassesHead": 100},
    {"numClassesHead": 100, "numClassesActive": 90},
]
"""Fields that decide what pods answer with the same weights."""


def served(entry: Model, digest: str) -> ServedModel:
    return ServedModel(entry=entry, digest=digest, first_served_at=timestamp(BEGIN))


SAME = [
    (model(), model(), True),
    (model(), model(weightsUrl=MOVED), True),
    (model(), model(version="2.0.0"), True),
    (model(), model(digit="b"), False),
    (model(), model("second"), False),
    (model(), model(digit=None), False),
    (model(digit=None), model(digit=None), True),
    (model(digit=None), model(digit=None, weightsUrl=MOVED), False),
]
IDS = ["equal", "moved", "version", "digest", "name", "one digest", "no digest", "no digest, moved"]


@pytest.mark.parametrize(("one", "other", "same"), SAME, ids=IDS)
def test_a_digest_names_weights_wherever_they_lie_and_an_address_if_there_is_none(
    one: Model, other: Model, same: bool
) -> None:
    assert same_model(one, other) == same_model(other, one) == same
    (promotion,) = add_promotion((), one, reason="GatePassed", why="", at=timestamp(BEGIN))
    assert same_model(promotion, other) == same


@pytest.mark.parametrize(
    ("item", "declared", "same"),
    [
        (served(model(), "a" * 64), model(), True),
        (served(model(), "a" * 64), model(weightsUrl=MOVED), True),
        (served(model(), "a" * 64), model(digit="b"), False),
        (served(model(), "a" * 64), model(digit=None), True),
        (served(model(), "a" * 64), model(digit=None, weightsUrl=MOVED), False),
        (served(model(digit=None), DIGEST_IN_POD), model(digit="f"), True),
        (served(model(digit=None), DIGEST_IN_POD), model(digit=None), True),
        (served(model(digit=None), DIGEST_IN_POD), model(digit=None, weightsUrl=MOVED), False),
        (served(model(digit=None), DIGEST_IN_POD), model("second", None, weightsUrl=model().weights_url), False),
    ],
)
def test_served_weights_are_known_by_the_digest_found_and_by_their_address(
    item: ServedModel, declared: Model, same: bool
) -> None:
    assert was_served_as(item, declared) == same
    rejected = ModelRef(name=item.entry.name, digest=item.digest)
    restored = ModelRef(name="other")
    rollback = Rollback(
        rejected=rejected, rejected_url=item.entry.weights_url, restored=restored, at=timestamp(BEGIN), why=""
    )
    assert is_rejected(declared, rollback) == same


def test_a_rejected_model_without_a_known_digest_is_known_by_its_address_alone() -> None:
    rollback = Rollback(
        rejected=ModelRef(name="first"),
        rejected_url=model().weights_url,
        restored=ModelRef(name="other"),
        at=timestamp(BEGIN),
        why="",
    )
    assert is_rejected(model(digit=None), rollback)
    assert not is_rejected(model(), rollback)
    assert not is_rejected(model(digit=None, weightsUrl=MOVED), rollback)


@pytest.mark.parametrize("fields", OTHER_DEFINITIONS, ids=", ".join)
@pytest.mark.parametrize("digit", ["a", None], ids=["a digest", "no digest"])
def test_the_same_weights_used_otherwise_are_another_model(fields: dict[str, Any], digit: str | None) -> None:
    one, other = model(digit=digit), model(digit=digit, **fields)
    assert definition(one) != definition(other)
    assert not same_model(one, other)
    (promotion,) = add_promotion((), one, reason="GatePassed", why="", at=timestamp(BEGIN))
    assert not same_model(promotion, other)
    item = served(one, "a" * 64)
    assert not was_served_as(item, other)
    assert not was_served_as(item, add_promotion((), other, reason="x", why="", at=timestamp(BEGIN))[0])
    rollback = Rollback(
        rejected=reference(one, "a" * 64),
        rejected_url=one.weights_url,
        restored=ModelRef(name="other"),
        at=timestamp(BEGIN),
        why="",
    )
    assert is_rejected(one, rollback)
    assert not is_rejected(other, rollback)
    assert not may_report(other, reference(one, "a" * 64))
    assert find_served((item, served(other, "a" * 64)), reference(other, "a" * 64)) == served(other, "a" * 64)
    assert find_served((item,), reference(other, "a" * 64)) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"version": "2.0.0"},
        {"weightsUrl": MOVED},
        {"notes": "n"},
        {"metrics": {"tpr": 0.99}},
        {"deprecated": True},
        {"signatureUrl": "https://example.org/s"},
    ],
    ids=", ".join,
)
def test_what_decides_no_answer_is_no_part_of_the_definition(fields: dict[str, Any]) -> None:
    assert definition(model()) == definition(model(**fields))
    assert same_model(model(), model(**fields))


def test_pods_of_a_model_without_a_digest_may_report_any_digest() -> None:
    in_pod, listed = reference(model(digit=None), DIGEST_IN_POD), reference(model())
    assert may_report(model(digit=None), in_pod)
    assert may_report(model(), listed)
    assert not may_report(model(), in_pod)
    assert not may_report(model("second", None), in_pod)


def test_pods_that_name_no_definition_are_known_by_name_and_digest() -> None:
    unknown = ModelRef(name="first", digest="a" * 64)
    assert may_report(model(files=FILES), unknown)
    assert find_served((served(model(files=FILES), "a" * 64),), unknown)


def test_a_pod_names_its_model_by_its_report_and_its_template() -> None:
    report = Identity(name="first", version="1.0.0", digest="a" * 64)
    pod = Pod(uid="u", name="p", rollout_id=None, ready=True, terminating=False, identity=report, definition="d1")
    assert reported_model(pod) == ModelRef(name="first", version="1.0.0", digest="a" * 64, definition="d1")
    assert reported_model(replace(pod, definition=None)) == ModelRef(name="first", version="1.0.0", digest="a" * 64)
    for part in ({"name": None}, {"name": ""}, {"digest": None}, {"digest": ""}):
        assert reported_model(replace(pod, identity=replace(report, **part))) is None
    assert reported_model(replace(pod, identity=None)) is None


def test_a_served_model_is_found_by_what_pods_report() -> None:
    items = (served(model(), "a" * 64), served(model(digit=None), DIGEST_IN_POD))
    assert find_served(items, ModelRef(name="first", digest=DIGEST_IN_POD)) == items[1]
    assert find_served(items, ModelRef(name="first")) is None
    assert find_served(items, ModelRef(name="second", digest=DIGEST_IN_POD)) is None
