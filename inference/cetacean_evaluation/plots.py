"""Pictures of an evaluation: the ROC curve, the scores of both labels, the sweep of thresholds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from cetacean_evaluation.outputs import write_output
from cetacean_evaluation.thresholds import Calibration, Operating

# Colours that people with any colour vision can distinguish (Okabe and Ito).
_BLUE: Final = "#0072B2"
_ORANGE: Final = "#D55E00"
_GREY: Final = "#8A8A8A"
_SIZE: Final = (6.4, 4.2)


def plot_roc(path: Path, positives: Sequence[float], negatives: Sequence[float], *, at: Operating) -> None:
    """Write the ROC curve of the gate's score, with the threshold in use marked.

    Args:
        path: the file; its suffix selects the format.
        positives: scores of pictures of cetaceans.
        negatives: scores of the others.
        at: the gate's rates at the threshold in use.
    """
    truth = [1] * len(positives) + [0] * len(negatives)
    false_rates, true_rates, _ = roc_curve(truth, [*positives, *negatives])
    figure, axes = _axes("False positive rate", "True positive rate")
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=0.8, linestyle=":")
    axes.plot(false_rates, true_rates, color=_BLUE, linewidth=1.8)
    axes.plot(1 - at.tnr.value, at.tpr.value, "o", color=_ORANGE, label=f"threshold {at.threshold:.2f}")
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="lower right")
    _save(figure, path)


def plot_scores(path: Path, positives: Sequence[float], negatives: Sequence[float], *, threshold: float) -> None:
    """Write the distribution of the gate's score by label.

    Args:
        path: the file.
        positives: scores of pictures of cetaceans.
        negatives: scores of the others.
        threshold: the one in use.
    """
    figure, axes = _axes("cetacean_score", "Pictures")
    bins = np.linspace(0, 1, 41).tolist()
    axes.hist(positives, bins, color=_BLUE, alpha=0.75, label=f"cetacean ({len(positives)})")
    axes.hist(negatives, bins, color=_ORANGE, alpha=0.75, label=f"non_cetacean ({len(negatives)})")
    axes.axvline(threshold, color="black", linewidth=1, linestyle="--", label=f"threshold {threshold:.2f}")
    axes.legend(frameon=False, loc="upper center")
    _save(figure, path)


def plot_sweep(path: Path, calibration: Calibration) -> None:
    """Write TPR and TNR over the thresholds, each with its interval, the bounds, and the chosen threshold."""
    figure, axes = _axes("Threshold", "Rate")
    thresholds = [point.threshold for point in calibration.points]
    for label, colour, rates, bound in (
        ("TPR", _BLUE, [point.tpr for point in calibration.points], calibration.min_tpr),
        ("TNR", _ORANGE, [point.tnr for point in calibration.points], calibration.min_tnr),
    ):
        low, high = zip(*(rate.interval for rate in rates), strict=True)
        axes.fill_between(thresholds, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(thresholds, [rate.value for rate in rates], color=colour, linewidth=1.8, label=label)
        axes.axhline(bound, color=colour, linewidth=0.8, linestyle=":")
    chosen = calibration.chosen.threshold
    label = f"chosen {chosen:.2f}" if calibration.meets else f"best TNR {chosen:.2f}"
    axes.axvline(chosen, color="black", linewidth=1, linestyle="--", label=label)
    axes.legend(frameon=False, loc="lower center", ncols=3)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:].lower())
    write_output(path, content.getvalue())


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    # Figure without pyplot: no window system is asked for, nothing global is kept.
    figure = Figure(figsize=_SIZE, dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
