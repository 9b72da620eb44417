"""The outcomes beside a snapshot: one line for each picture, and only those of the snapshot's own run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cetacean_registry.errors import RegistryError
from cetacean_registry.metrics import MetricsSnapshot
from cetacean_registry.outcomes import Outcome, load_outcomes, outcomes_path, write_outcomes


def outcome(picture: str, *, named: str = "a", individual: str | None = "a") -> Outcome:
    return Outcome(
        picture=picture,
        sha256="a" * 64,
        individual=individual,
        species="orca",
        named_individual=named,
        named_species="orca",
        probability=0.5,
        top5=True,
    )


def snapshot(*, top1: float | None = 0.5, samples: int = 2) -> MetricsSnapshot:
    return MetricsSnapshot.model_validate({"identification": {"n_samples": samples, "top1_accuracy": top1}})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new.json"


TWO = (outcome("a.jpg"), outcome("b.jpg", named="b"))


def test_outcomes_are_read_as_they_were_written(file: Path) -> None:
    assert outcomes_path(file) == file.with_name("new.outcomes.jsonl")
    write_outcomes(outcomes_path(file), TWO)
    assert len(outcomes_path(file).read_text().splitlines()) == 2
    assert load_outcomes(file, snapshot()) == TWO


def test_names_of_any_letters_are_kept(file: Path) -> None:
    foreign = outcome("hylje-\N{LATIN SMALL LETTER A WITH DIAERESIS}.jpg")
    write_outcomes(outcomes_path(file), [foreign])
    assert load_outcomes(file, snapshot(top1=1.0, samples=1)) == (foreign,)


def test_a_snapshot_without_outcomes_has_none(file: Path) -> None:
    assert load_outcomes(file, snapshot()) is None


def test_what_is_right_follows_from_the_names_and_is_unknown_without_the_truth() -> None:
    right, wrong = TWO
    unknown = outcome("c.jpg", individual=None)
    assert [one.top1 for one in (right, wrong, unknown)] == [True, False, None]
    assert [one.species_right for one in (right, wrong, unknown)] == [True, True, True]
    assert right.model_copy(update={"species": None}).species_right is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", ":1: Invalid JSON: EOF while parsing an object at line 1 column 1"),
        (TWO[0].model_dump_json().replace("aaaa", "!", 1), ":1: sha256: expected 64 hex digits"),
        (f"{TWO[0].model_dump_json()}\n\n", ":2: Invalid JSON"),
        (f"{TWO[0].model_dump_json()}\n" * 2, ":2: expected each picture once, got 'a.jpg' again"),
        ("\xff", ":1: Invalid JSON: expected value at line 1 column 1"),
        (TWO[0].model_dump_json().replace('"orca"', '"\xff"'), ":1: Invalid JSON: invalid unicode code point"),
    ],
    ids=["no JSON", "digest", "empty line", "twice", "no text", "no Unicode"],
)
def test_an_invalid_line_is_named(file: Path, text: str, message: str) -> None:
    path = outcomes_path(file)
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RegistryError) as refused:
        load_outcomes(file, snapshot())
    assert str(refused.value).startswith(f"{path}{message}")
    assert "\n" not in str(refused.value)


def test_more_lines_than_allowed_are_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cetacean_registry.outcomes.MAX_PICTURES", 1)
    write_outcomes(outcomes_path(file), TWO[:1])
    assert load_outcomes(file, snapshot(top1=1.0, samples=1)) == TWO[:1]
    write_outcomes(outcomes_path(file), TWO)
    with pytest.raises(RegistryError, match="expected at most 1 lines, got more"):
        load_outcomes(file, snapshot())


def test_a_share_that_differs_by_rounding_is_the_same(file: Path) -> None:
    write_outcomes(outcomes_path(file), TWO[1:])
    assert load_outcomes(file, snapshot(top1=0.0006, samples=1)) == TWO[1:]
    unknown = (outcome("a.jpg", individual=None),)
    write_outcomes(outcomes_path(file), unknown)
    assert load_outcomes(file, snapshot(top1=None, samples=0)) == unknown


@pytest.mark.parametrize("figures", [{"top1": 0.6}, {"samples": 3}], ids=["share", "number"])
def test_outcomes_of_another_run_are_refused(file: Path, figures: dict[str, float]) -> None:
    write_outcomes(outcomes_path(file), TWO)
    with pytest.raises(RegistryError, match=r"got 0\.5000 of 2; run scripts/compute_metrics\.py again"):
        load_outcomes(file, snapshot(**figures))  # type: ignore[arg-type]


SPECIES = {"n_species_samples": 2, "species_accuracy": 1.0}
BELUGA = {"species": "beluga", "n_samples": 1, "species_accuracy": 1.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"identification": {"n_samples": 2, "top5_accuracy": 0.5}}, "top-5 0.5 of 2 pictures, got 1.0000 of 2"),
        ({"identification": {"n_samples": 3}}, "top-1 of 3 pictures, got 0.5000 of 2"),
        (
            {"identification": {"n_samples": 2} | SPECIES | {"species_accuracy": 0.9}},
            "species accuracy 0.9 of 2 pictures, got 1.0000 of 2",
        ),
        (
            {"identification": {"n_samples": 2} | SPECIES | {"n_species_samples": 3}},
            "species accuracy 1.0 of 3 pictures, got 1.0000 of 2",
        ),
        ({"identification": {"n_samples": 2, "species_accuracy": 0.9}}, "species accuracy 0.9, got 1.0000 of 2"),
        (
            {"identification": {"n_samples": 2}, "by_species": [BELUGA]},
            "species accuracy of beluga 1.0 of 1 pictures, got none of 0",
        ),
        (
            {"identification": {"n_samples": 2}, "by_species": [BELUGA | {"species": "orca", "n_samples": 2}]},
            None,
        ),
        (
            {
                "identification": {"n_samples": 2},
                "by_species": [BELUGA | {"species": "orca", "n_samples": 2, "species_accuracy": 0.5}],
            },
            "species accuracy of orca 0.5 of 2 pictures, got 1.0000 of 2",
        ),
        ({}, "which has no figures of the identification"),
    ],
)
def test_each_figure_that_outcomes_can_show_must_be_the_snapshots(
    file: Path, content: dict[str, Any], message: str | None
) -> None:
    write_outcomes(outcomes_path(file), TWO)
    found = MetricsSnapshot.model_validate(content)
    if message is None:
        assert load_outcomes(file, found) == TWO
        return
    with pytest.raises(RegistryError) as refused:
        load_outcomes(file, found)
    assert str(refused.value) == (
        f"{outcomes_path(file)}: expected the outcomes of new.json, {message}; run scripts/compute_metrics.py again"
    )


def test_a_figure_that_the_snapshot_does_not_claim_is_not_compared(file: Path) -> None:
    write_outcomes(outcomes_path(file), TWO)
    assert load_outcomes(file, snapshot(top1=None)) == TWO
