"""The report and the pictures of an evaluation."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest
from PIL import Image
from support.scored import scored

from cetacean_evaluation.figures import Scored, compute_snapshot, per_species
from cetacean_evaluation.plots import plot_roc, plot_scores, plot_sweep
from cetacean_evaluation.report import to_markdown
from cetacean_evaluation.thresholds import calibrate, sweep
from cetacean_registry.gate import judge
from cetacean_registry.policy import GatePolicy

SPLIT = [scored(0.9, "orca", "a"), scored(0.4, "beluga", "b"), scored(0.2), scored(0.6)]


def report(split: list[Scored]) -> str:
    snapshot = compute_snapshot(
        split, threshold=0.5, model_version="1.0.0", manifest_path="m.csv", generated_at="2026-11-24T12:00:00+00:00"
    )
    verdict = judge(candidate="whales", metrics=snapshot.metrics, policy=GatePolicy())
    species = per_species(split, threshold=0.5)
    pictures = [PurePath("whales_roc.png")]
    return to_markdown(snapshot, species, verdict=verdict, model="whales", threshold=0.5, pictures=pictures)


def test_the_report_holds_verdict_figures_species_and_pictures() -> None:
    lines = report(SPLIT).splitlines()
    assert lines[0] == "# Metrics of whales 1.0.0"
    assert any(line.startswith("**whales is refused") for line in lines)
    assert "| TPR | 0.5000 | 0.0945 to 0.9055 | 1 of 2 |" in lines
    assert "| top-1 accuracy | 0.5000 | 0.0945 to 0.9055 | 1 of 2 |" in lines
    assert "| species accuracy | 0.5000 | 0.0945 to 0.9055 | 1 of 2 |" in lines
    assert "| mean top probability | 0.9000 |  |  |" in lines
    assert "| orca | 1 | 1.0000 | 1.0000 | 1.0000 | 0.9000 |" in lines
    assert lines.index("## By species") < lines.index("| orca | 1 | 1.0000 | 1.0000 | 1.0000 | 0.9000 |")
    assert lines[-1] == "![whales_roc](whales_roc.png)"


def test_names_of_files_are_no_markup_in_a_report() -> None:
    text = report([*SPLIT, scored(0.9, species="a|b\n# forged")])
    assert "| a\\|b # forged | 1 |" in text
    assert not [line for line in text.splitlines() if line.startswith("# forged")]


def test_a_report_of_one_label_shows_dashes_and_no_species() -> None:
    text = report([scored(0.1), scored(0.2)])
    assert "| TPR | - |  | 0 |" in text
    assert "## By species" not in text


def test_tables_have_as_many_columns_in_each_row() -> None:
    rows = [line.count("|") for line in report(SPLIT).splitlines() if line.startswith("|")]
    assert set(rows) == {5, 7}


@pytest.mark.parametrize("meets", [True, False])
def test_pictures_are_written(tmp_path: Path, meets: bool) -> None:
    positives, negatives = [0.9, 0.8, 0.7], [0.1, 0.2, 0.3 if meets else 0.95]
    calibration = calibrate(sweep(positives, negatives), min_tnr=0.9)
    assert calibration.meets == meets
    plot_roc(tmp_path / "roc.png", positives, negatives, at=calibration.chosen)
    plot_scores(tmp_path / "scores.png", positives, negatives, threshold=0.5)
    plot_sweep(tmp_path / "sweep.png", calibration)
    for name in ("roc", "scores", "sweep"):
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.size == (768, 504)
            assert len(set(image.convert("L").tobytes())) > 10
