"""The regression gate of CI: the registry's metrics snapshots against a baseline, by the operator's own rule.

It compares the figures that the snapshots claim and computes none; `compute_metrics` computes them.

`python3 scripts/check_regression.py` judges each model of `models/registry.json` that is not deprecated, with
`--candidate` only the snapshots named. Exit status: 0 all may be promoted, 1 a regression or a missing figure,
2 bad input.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from cetacean_registry import (
    GatePolicy,
    GateVerdict,
    MetricsSnapshot,
    ModelMetrics,
    Registry,
    RegistryError,
    judge,
    load_snapshots,
)
from cetacean_registry.errors import describe


def main(
    arguments: Sequence[str] | None = None,
    environment: Mapping[str, str] = os.environ,
    *,
    root: Path = Path(),
) -> int:
    """Judge, print every figure with its bound, and return the exit status."""
    options = _parser(root).parse_args(arguments)
    try:
        policy = GatePolicy(min_tnr=options.min_tnr, min_tpr=options.min_tpr, max_regression=options.max_regression)
        verdicts = list(_judge(options, policy))
    except (RegistryError, ValidationError) as error:
        print(f"error: {describe(error) if isinstance(error, ValidationError) else error}", file=sys.stderr)
        return 2
    if not verdicts:
        print(f"error: {options.registry}: no model to judge, all of them are deprecated", file=sys.stderr)
        return 2
    for verdict in verdicts:
        print("\n".join(_lines(verdict)))
    if summary := environment.get("GITHUB_STEP_SUMMARY"):
        with Path(summary).open("a", encoding="utf-8") as stream:
            stream.write(markdown(verdicts))
    return 0 if all(verdict.passed for verdict in verdicts) else 1


def _parser(root: Path) -> argparse.ArgumentParser:
    policy = GatePolicy()
    parser = argparse.ArgumentParser(
        prog="check_regression", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidate", type=Path, action="append", metavar="FILE", help="snapshot to judge; repeatable")
    parser.add_argument(
        "--baseline",
        type=Path,
        default=root / "reports/metrics_baseline.json",
        metavar="FILE",
        help="snapshot to compare with (default: reports/metrics_baseline.json)",
    )
    parser.add_argument(
        "--registry",
        type=Path,
        default=root / "models/registry.json",
        metavar="FILE",
        help="names the models; its folder's parent is where snapshots' paths begin (default: models/registry.json)",
    )
    parser.add_argument("--min-tnr", type=float, default=policy.min_tnr, metavar="RATE", help="default: %(default)s")
    parser.add_argument("--min-tpr", type=float, default=policy.min_tpr, metavar="RATE", help="default: %(default)s")
    parser.add_argument(
        "--max-regression",
        type=float,
        default=policy.max_regression,
        metavar="DROP",
        help="how far TNR, TPR and ROC AUC may lie below the baseline's (default: %(default)s)",
    )
    return parser


def _judge(options: argparse.Namespace, policy: GatePolicy) -> Iterator[GateVerdict]:
    baseline = MetricsSnapshot.load(options.baseline)
    registry = Registry.load(options.registry)
    root = options.registry.resolve().parent.parent
    against = f"the baseline {baseline.model_version or options.baseline.name}"
    for name, metrics in _candidates(options.candidate, registry, root):
        yield judge(candidate=name, metrics=metrics, policy=policy, serving=against, serving_metrics=baseline.metrics)


def _candidates(
    files: Sequence[Path] | None, registry: Registry, root: Path
) -> Iterator[tuple[str, ModelMetrics | None]]:
    if files is None:
        # A model that names no snapshot has no figures, and so is refused, as the operator would.
        snapshots = load_snapshots(registry, root)
        for entry in registry.models:
            if not entry.deprecated:
                found = snapshots.get(entry.name)
                yield f"{entry.name} {entry.version}", found.metrics if found else None
        return
    names = {
        (root / entry.metrics_snapshot).resolve(): f"{entry.name} {entry.version}"
        for entry in registry.models
        if entry.metrics_snapshot
    }
    for file in files:
        yield names.get(file.resolve(), str(file)), MetricsSnapshot.load(file).metrics


def _lines(verdict: GateVerdict) -> Iterator[str]:
    yield f"{verdict.candidate} against {verdict.compared_with}: {'passes' if verdict.passed else 'REFUSED'}"
    for finding in verdict.findings:
        yield f"  {'ok  ' if finding.passed else 'FAIL'}  {finding.text}"


def markdown(verdicts: Sequence[GateVerdict]) -> str:
    """Return the findings as a Markdown section with one table."""
    passed = all(verdict.passed for verdict in verdicts)
    lines = [
        f"## Claimed figures: {'passed' if passed else 'refused'}",
        "",
        "As the registry's snapshots have them; nothing was computed here.",
        "",
        "| model | | figure and bound |",
        "|---|---|---|",
    ]
    lines += [
        f"| {_cell(verdict.candidate)} | {'✅' if finding.passed else '❌'} | {_cell(finding.text)} |"
        for verdict in verdicts
        for finding in verdict.findings
    ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    raise SystemExit(main())
