"""Which weights entries, promotions and pods name: by digest, or by address if there is no digest."""

from __future__ import annotations

import pytest
from support.operator_world import BEGIN, model
from support.pods import DIGEST_IN_POD

from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import ModelRef, Rollback, ServedModel
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.lineage import find_served, is_rejected, may_report, same_weights, was_served_as
from cetacean_operator.decisions.serving_history import add_promotion

MOVED = "https://example.org/moved.ckpt"


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
    assert same_weights(one, other) == same_weights(other, one) == same
    (promotion,) = add_promotion((), one, reason="GatePassed", why="", at=timestamp(BEGIN))
    assert same_weights(promotion, other) == same


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


def test_pods_of_a_model_without_a_digest_may_report_any_digest() -> None:
    assert may_report(model(digit=None), "first", DIGEST_IN_POD)
    assert may_report(model(), "first", "a" * 64)
    assert not may_report(model(), "first", DIGEST_IN_POD)
    assert not may_report(model(digit=None), "second", DIGEST_IN_POD)


def test_a_served_model_is_found_by_what_pods_report() -> None:
    items = (served(model(), "a" * 64), served(model(digit=None), DIGEST_IN_POD))
    assert find_served(items, "first", DIGEST_IN_POD) == items[1]
    assert find_served(items, "first", None) is None
    assert find_served(items, "second", DIGEST_IN_POD) is None
