"""Replay: which differences from a recorded answer count, and which do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.inference_world import FakePipeline, make_settings
from support.pictures import picture

from cetacean_inference import cli
from cetacean_inference.replay import replay

Captured = pytest.CaptureFixture[str]


class Recorded:
    """An answer, recorded with changes and computed again."""

    def __init__(self, directory: Path, captured: Captured) -> None:
        self._settings = make_settings(directory)
        self._picture = directory / "a.png"
        self._picture.write_bytes(picture(score=0.8, probability=0.6))
        self._file = directory / "recorded.json"
        self._captured = captured
        assert replay(self._settings, FakePipeline(), picture=self._picture, recorded=None) == 0
        self.answer: dict[str, Any] = json.loads(captured.readouterr().out)

    def replay(self, tolerance: float | None = None, **changes: Any) -> tuple[int, str]:
        """Record the answer with changes; returns the exit status and what is printed about differences."""
        self._file.write_text(json.dumps({**self.answer, **changes}), encoding="utf-8")
        pipeline = FakePipeline()
        status = replay(self._settings, pipeline, picture=self._picture, recorded=self._file, tolerance=tolerance)
        return status, self._captured.readouterr().err


@pytest.fixture
def recorded(tmp_path: Path, capsys: Captured) -> Recorded:
    return Recorded(tmp_path, capsys)


def candidates(answer: dict[str, Any], **probabilities: float) -> list[dict[str, Any]]:
    """Return the candidates of an answer, with other probabilities."""
    return [
        {**one, "probability": probabilities.get(one["class_animal"], one["probability"])}
        for one in answer["candidates"]
    ]


def test_the_same_answer_has_no_differences(recorded: Recorded) -> None:
    assert recorded.replay() == (0, "")
    assert recorded.replay(tolerance=0.0) == (0, "")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("tolerance", [None, 1.0, 1e308])
@pytest.mark.parametrize("name", ["probability", "cetacean_score"])
def test_a_number_that_is_not_finite_is_different(
    recorded: Recorded, name: str, tolerance: float | None, value: float
) -> None:
    status, printed = recorded.replay(tolerance, **{name: value})
    assert status == 1
    assert printed == f"{name}: recorded {value}, now {recorded.answer[name]}\n"


def test_a_candidate_that_is_not_finite_is_different(recorded: Recorded) -> None:
    status, printed = recorded.replay(candidates=candidates(recorded.answer, id2=float("nan")))
    assert status == 1
    assert "individuals[id2].probability: recorded nan" in printed


@pytest.mark.parametrize(("name", "allowed"), [("probability", 0.0041), ("cetacean_score", 0.0201)])
def test_engines_may_differ_within_their_tolerance_which_is_shown(
    recorded: Recorded, name: str, allowed: float
) -> None:
    now = recorded.answer[name]
    near = {name: now + allowed}
    assert recorded.replay(**near) == (0, f"within the tolerance: {name}: recorded {now + allowed}, now {now}\n")
    assert recorded.replay(1e-4, **near)[0] == 1
    assert recorded.replay(**{name: now + allowed + 0.0002})[0] == 1
    assert recorded.replay(**{name: now + 0.0001}) == (0, "")


def test_candidates_may_change_places_if_they_are_about_as_likely(recorded: Recorded) -> None:
    first, second, *rest = recorded.answer["candidates"]
    assert first["probability"] - second["probability"] > 0.006
    assert recorded.replay(candidates=[second, first, *rest]) == (0, ""), "the order is that of the probabilities"
    swapped = [{**second, "probability": first["probability"]}, {**first, "probability": second["probability"]}]
    status, printed = recorded.replay(candidates=[*swapped, *rest])
    assert status == 1
    assert "individuals[id2].probability" in printed
    assert "individuals[id3].probability" in printed


def test_the_likeliest_individual_may_change_places_only_with_one_that_is_about_as_likely(recorded: Recorded) -> None:
    best = {name: recorded.answer[name] for name in ("class_animal", "id_animal", "probability")}
    second, *rest = recorded.answer["candidates"]
    assert best["probability"] - second["probability"] > 0.5
    status, printed = recorded.replay(**second, candidates=[best, *rest])
    assert status == 0, "only the order is another one, and that is the order of the probabilities"
    exchanged = {**second, "probability": best["probability"]}
    others = [{**best, "probability": second["probability"]}, *rest]
    status, printed = recorded.replay(**exchanged, candidates=others)
    assert status == 1
    assert f"individuals[{best['class_animal']}].probability: recorded {second['probability']}" in printed


def test_a_candidate_may_be_missing_only_if_it_is_about_as_likely_as_the_last(recorded: Recorded) -> None:
    *rest, last = recorded.answer["candidates"]
    near = {"class_animal": "another", "id_animal": "species1", "probability": last["probability"] + 0.003}
    status, printed = recorded.replay(candidates=[*rest, near])
    assert status == 0
    assert "within the tolerance: individuals[another].probability" in printed
    status, printed = recorded.replay(candidates=[*rest, {**near, "probability": last["probability"] + 0.02}])
    assert status == 1
    assert f"individuals[another].probability: recorded {last['probability'] + 0.02}" in printed
    status, printed = recorded.replay(candidates=rest)
    assert status == 1
    assert "number of candidates: recorded 3, now 4" in printed


def test_a_reason_is_shown_as_in_the_answer(recorded: Recorded) -> None:
    expected = "rejection_reason: recorded 'low_confidence', now None\n"
    assert recorded.replay(rejection_reason="low_confidence") == (1, expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"id_animal": "another"},
        {"bbox": [0, 0, 40, 31]},
        {"is_cetacean": False},
        {"rejection_reason": "low_confidence"},
        {"model_version": "1.2.4"},
    ],
)
def test_values_other_than_numbers_must_be_equal(recorded: Recorded, changes: dict[str, Any]) -> None:
    status, printed = recorded.replay(1.0, **changes)
    assert status == 1
    assert printed.startswith(f"{next(iter(changes))}: recorded ")


@pytest.mark.parametrize("command", ["replay a.png --tolerance", "prune --unused-for"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "-1", "-0.1", "x", "1e999"])
def test_a_bound_that_is_no_finite_number_of_at_least_0_is_wrong_usage(
    command: str, value: str, capsys: Captured
) -> None:
    *words, option = command.split()
    with pytest.raises(SystemExit) as ended:
        cli.main([*words, f"{option}={value}"])
    assert ended.value.code == 2
    assert option in capsys.readouterr().err
