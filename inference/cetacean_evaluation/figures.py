"""From scores to a metrics snapshot: pure arithmetic, no model, no files.

A picture counts as positive if the service accepts it: the gate lets it pass and the likeliest individual is not
rejected as `low_confidence`. ROC AUC is over the gate's score alone, which has no threshold.

The figures of the identification are over all cetacean pictures whose truth is known, also those that the gate
rejects: they are about the identification model alone. Top probabilities are over the cetacean pictures that the gate
accepts, as pods report them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sklearn.metrics import roc_auc_score

from cetacean_evaluation.errors import EvaluationError
from cetacean_evaluation.manifest import Picture
from cetacean_inference.decision import accepts, decide
from cetacean_inference.monitoring.answer_window import bin_of
from cetacean_inference.types import Candidate, Scores
from cetacean_registry.figures import HISTOGRAM_BINS, MAX_SPECIES
from cetacean_registry.metrics import MetricsSnapshot

DIGITS: Final = 4
"""Rates are rounded as the contract's snapshots have them."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One picture and its scores."""

    picture: Picture
    scores: Scores
    latency_ms: float
    """From the file's bytes to the scores."""

    @property
    def cetacean_score(self) -> float:
        """The gate's, 0..1."""
        return self.scores.cetacean_score

    @property
    def best(self) -> Candidate:
        """The likeliest individual."""
        return self.scores.ranking[0]

    @property
    def names_species(self) -> bool:
        """True if the likeliest individual is of the right species."""
        return self.best.id_animal == self.picture.species

    def names(self, ranks: int) -> bool:
        """Return true if the right individual is among the first `ranks`."""
        return any(candidate.class_animal == self.picture.individual_id for candidate in self.scores.ranking[:ranks])


@dataclass(frozen=True, slots=True)
class SpeciesFigures:
    """Figures of the pictures of one species."""

    species: str
    n_samples: int
    tpr: float
    """Share that the service accepts."""
    top1_accuracy: float
    species_accuracy: float
    """Share whose likeliest individual is of the right species."""
    cetacean_score_mean: float


def accepted(one: Scored, threshold: float) -> bool:
    """Return true if the service would respond with an individual."""
    answer = decide(one.scores, threshold=threshold, image_ind=one.picture.path.name, size=(0, 0), model_version="")
    return not answer.rejected


def compute_snapshot(
    scored: Sequence[Scored],
    *,
    threshold: float,
    model_version: str,
    manifest_path: str,
    generated_at: str,
    evaluation_set: str | None = None,
    weights_sha256: str | None = None,
) -> MetricsSnapshot:
    """Compute a snapshot in the contract's keys.

    Args:
        scored: every picture of the split.
        threshold: the gate's.
        model_version: version of the registry entry that was evaluated.
        manifest_path: the split's manifest.
        generated_at: ISO 8601.
        evaluation_set: names the split, if the manifest's path is not enough.
        weights_sha256: digest of the checkpoint that was evaluated.

    Raises:
        EvaluationError: there is nothing to compute.
    """
    if not scored:
        raise EvaluationError(f"{manifest_path}: expected at least one picture, got none")
    positives = [one for one in scored if one.picture.cetacean]
    scores = np.array([one.cetacean_score for one in positives])
    content: dict[str, Any] = {
        "generated_at": generated_at,
        "manifest_path": manifest_path,
        "sample_size": len(scored),
        "model_version": model_version,
        "threshold": threshold,
        "cetacean_score_mean": _rounded(scores.mean()) if positives else None,
        "cetacean_score_std": _rounded(scores.std()) if positives else None,
        "anti_fraud": _anti_fraud(scored, threshold),
        "identification": _identification(positives, threshold),
        "by_species": _by_species(positives, threshold),
        "reference": _reference(positives, threshold),
        "clarity": None,
        "performance": _performance([one.latency_ms for one in scored]),
    }
    named = {"evaluation_set": evaluation_set, "weights_sha256": weights_sha256}
    content |= {key: value for key, value in named.items() if value is not None}
    return MetricsSnapshot.model_validate(content)


def per_species(scored: Sequence[Scored], *, threshold: float) -> tuple[SpeciesFigures, ...]:
    """Return the figures of each species among the cetacean pictures, by name; pictures without one are left out."""
    groups: defaultdict[str, list[Scored]] = defaultdict(list)
    for one in scored:
        if one.picture.cetacean and one.picture.species:
            groups[one.picture.species].append(one)
    return tuple(
        SpeciesFigures(
            species=species,
            n_samples=len(group),
            tpr=_rounded(np.mean([accepted(one, threshold) for one in group])),
            top1_accuracy=_rounded(np.mean([one.names(1) for one in group])),
            species_accuracy=_rounded(np.mean([one.names_species for one in group])),
            cetacean_score_mean=_rounded(np.mean([one.cetacean_score for one in group])),
        )
        for species, group in sorted(groups.items())
    )


def _anti_fraud(scored: Sequence[Scored], threshold: float) -> dict[str, Any]:
    truth = [one.picture.cetacean for one in scored]
    predicted = [accepted(one, threshold) for one in scored]
    pairs = list(zip(truth, predicted, strict=True))
    tp, fn, fp, tn = (pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False)))
    both = tp + fn > 0 and fp + tn > 0
    return {
        "n_positive": tp + fn,
        "n_negative": fp + tn,
        "tp": tp,
        "fp": fp,
        "tn": tn,
        "fn": fn,
        "tpr": _share(tp, tp + fn),
        "tnr": _share(tn, tn + fp),
        "precision": _share(tp, tp + fp),
        "f1": _share(2 * tp, 2 * tp + fp + fn),
        "roc_auc": _rounded(roc_auc_score(truth, [one.cetacean_score for one in scored])) if both else None,
    }


def _identification(positives: Sequence[Scored], threshold: float) -> dict[str, Any]:
    named = [one for one in positives if one.picture.individual_id]
    of_species = [one for one in positives if one.picture.species]
    sure = _top_probabilities(positives, threshold)
    return {
        "n_samples": len(named),
        "top1_accuracy": _share(sum(one.names(1) for one in named), len(named)),
        "top5_accuracy": _share(sum(one.names(5) for one in named), len(named)),
        "n_unique_individuals": len({one.picture.individual_id for one in named}),
        "n_species_samples": len(of_species),
        "species_accuracy": _share(sum(one.names_species for one in of_species), len(of_species)),
        "top_probability_mean": _rounded(np.mean(sure)) if sure else None,
    }


def _by_species(positives: Sequence[Scored], threshold: float) -> list[dict[str, Any]]:
    """Return the figures of the species with the most pictures, by name.

    Drift is judged by what the model names, so that is counted too, over all pictures that the gate accepts.
    """
    named: defaultdict[str, list[float]] = defaultdict(list)
    for one in positives:
        if accepts(one.cetacean_score, threshold):
            named[one.best.id_animal].append(one.best.probability)
    counts = Counter(one.picture.species for one in positives if one.picture.species)
    most = sorted(counts, key=lambda species: (-counts[species], species))[:MAX_SPECIES]
    return [
        {
            "species": species,
            "n_samples": counts[species],
            "species_accuracy": _share(
                sum(one.names_species for one in positives if one.picture.species == species), counts[species]
            ),
            "n_named": len(named[species]),
            "named_top_probability_mean": _rounded(np.mean(named[species])) if named[species] else None,
        }
        for species in sorted(most)
    ]


def _reference(positives: Sequence[Scored], threshold: float) -> dict[str, Any]:
    return {
        "cetacean_score": _histogram([one.cetacean_score for one in positives]),
        "top_probability": _histogram(_top_probabilities(positives, threshold)),
    }


def _top_probabilities(positives: Sequence[Scored], threshold: float) -> list[float]:
    return [one.best.probability for one in positives if accepts(one.cetacean_score, threshold)]


def _histogram(values: Sequence[float]) -> list[int]:
    """Return counts in the bins that pods report too, of equal width over 0..1."""
    counts = Counter(map(bin_of, values))
    return [counts[number] for number in range(HISTOGRAM_BINS)]


def _performance(latencies: Sequence[float]) -> dict[str, Any]:
    p50, p95, p99 = np.percentile(latencies, (50, 95, 99))
    return {
        "n_samples": len(latencies),
        "latency_p50_ms": round(float(p50), 2),
        "latency_p95_ms": round(float(p95), 2),
        "latency_p99_ms": round(float(p99), 2),
        "latency_mean_ms": round(float(np.mean(latencies)), 2),
    }


def _share(part: int, whole: int) -> float | None:
    return _rounded(part / whole) if whole else None


def _rounded(value: Any) -> float:
    return round(float(value), DIGITS)
