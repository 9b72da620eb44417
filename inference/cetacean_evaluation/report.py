"""A metrics snapshot for people, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePath

from cetacean_evaluation.figures import SpeciesFigures
from cetacean_evaluation.markdown import plain
from cetacean_evaluation.thresholds import Rate
from cetacean_registry.gate import GateVerdict
from cetacean_registry.metrics import MetricsSnapshot


def to_markdown(
    snapshot: MetricsSnapshot,
    species: Sequence[SpeciesFigures],
    *,
    verdict: GateVerdict,
    model: str,
    threshold: float,
    pictures: Sequence[PurePath] = (),
) -> str:
    """Write a report.

    Args:
        snapshot: from `compute_snapshot`.
        species: figures of each species.
        verdict: of the gate before promotion.
        model: its name.
        threshold: the gate's.
        pictures: paths of the figures' pictures, relative to the report.
    """
    parts = [
        f"# Metrics of {plain(f'{model} {snapshot.model_version}')}\n",
        f"Gate's threshold {threshold:.2f}; {snapshot.sample_size} pictures of {plain(str(snapshot.manifest_path))}.\n",
        f"**{plain(verdict.message)}**\n",
        _table(("figure", "value", "95 % interval", "of"), _figures(snapshot)),
    ]
    if species:
        parts += ["## By species\n", _table(_SPECIES_HEAD, map(_species_row, species))]
    parts += [f"![{path.stem}]({path.as_posix()})\n" for path in pictures]
    return "\n".join(parts)


_SPECIES_HEAD = ("species", "pictures", "accepted", "top-1", "right species", "mean cetacean_score")


def _figures(snapshot: MetricsSnapshot) -> Iterable[tuple[str, str, str, str]]:
    if gate := snapshot.anti_fraud:
        yield _rate("TPR", gate.tp, gate.n_positive)
        yield _rate("TNR", gate.tn, gate.n_negative)
        yield _rate("precision", gate.tp, gate.tp + gate.fp)
        yield "F1", _show(gate.f1), "", ""
        yield "ROC AUC", _show(gate.roc_auc), "", ""
    if found := snapshot.identification:
        for name, accuracy in (("top-1", found.top1_accuracy), ("top-5", found.top5_accuracy)):
            hits = round((accuracy or 0.0) * found.n_samples)
            yield _rate(f"{name} accuracy", hits, found.n_samples)
        if found.species_accuracy is not None and found.n_species_samples:
            right = round(found.species_accuracy * found.n_species_samples)
            yield _rate("species accuracy", right, found.n_species_samples)
        yield "individuals", str(found.n_unique_individuals), "", ""
        yield "mean top probability", _show(found.top_probability_mean), "", ""
    spread = f"± {_show(snapshot.cetacean_score_std)}"
    yield "cetacean_score of cetaceans", _show(snapshot.cetacean_score_mean), spread, ""
    if speed := snapshot.performance:
        for name, value in (
            ("p50", speed.latency_p50_ms),
            ("p95", speed.latency_p95_ms),
            ("p99", speed.latency_p99_ms),
            ("mean", speed.latency_mean_ms),
        ):
            yield f"latency, {name}", "-" if value is None else f"{value:.1f} ms", "", ""


def _rate(name: str, hits: int, total: int) -> tuple[str, str, str, str]:
    if not total:
        return name, "-", "", "0"
    rate = Rate(hits, total)
    low, high = rate.interval
    return name, _show(rate.value), f"{low:.4f} to {high:.4f}", f"{hits} of {total}"


def _species_row(one: SpeciesFigures) -> tuple[str, ...]:
    rates = (one.tpr, one.top1_accuracy, one.species_accuracy, one.cetacean_score_mean)
    return (one.species, str(one.n_samples), *map(_show, rates))


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(plain, line))} |\n" for line in lines)
