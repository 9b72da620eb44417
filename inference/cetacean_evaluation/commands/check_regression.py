"""The regression gate of CI: the registry's metrics snapshots against a baseline, by the operator's own rule.

It compares the figures that the snapshots claim and computes none; `compute_metrics` computes them. If both models have
their outcomes beside the snapshot, it compares them picture by picture too and lists what turned from right to wrong.

`python3 scripts/check_regression.py` judges each model of `models/registry.json` that is not deprecated, with
`--candidate` only the snapshots named. Exit status: 0 all may be promoted, 1 a regression or a missing figure,
2 bad input.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cetacean_evaluation.job_summary import append_summary
from cetacean_evaluation.markdown import code_block, plain
from cetacean_evaluation.policy_options import add_policy_options, policy_of
from cetacean_evaluation.printing import print_line
from cetacean_registry.errors import RegistryError
from cetacean_registry.gate import judge
from cetacean_registry.metrics import MetricsSnapshot, snapshot_file
from cetacean_registry.outcomes import load_outcomes
from cetacean_registry.pairs import PictureComparison, compare_pictures
from cetacean_registry.policy import GatePolicy
from cetacean_registry.registry import Registry
from cetacean_registry.regular_files import resolve_path


def main(
    arguments: Sequence[str] | None = None,
    environment: Mapping[str, str] = os.environ,
    *,
    root: Path = Path(),
) -> int:
    """Judge, print every figure with its bound, and return the exit status."""
    options = _parser(root).parse_args(arguments)
    try:
        comparisons = list(_judge(options, policy_of(options)))
    except RegistryError as error:
        print_line(f"error: {error}", err=True)
        return 2
    if not comparisons:
        print_line(f"error: {options.registry}: no model to judge, all of them are deprecated", err=True)
        return 2
    for comparison in comparisons:
        for line in _lines(comparison):
            print_line(line)
    append_summary(markdown(comparisons), environment)
    return 0 if all(comparison.verdict.passed for comparison in comparisons) else 1


def _parser(root: Path) -> argparse.ArgumentParser:
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
    add_policy_options(parser)
    return parser


def _judge(options: argparse.Namespace, policy: GatePolicy) -> Iterator[PictureComparison]:
    baseline = MetricsSnapshot.load(options.baseline)
    theirs = load_outcomes(options.baseline, baseline)
    registry = Registry.load(options.registry)
    root = resolve_path(options.registry).parent.parent
    against = f"the baseline {baseline.model_version or options.baseline.name}"
    for name, file in _candidates(options.candidate, registry, root):
        snapshot = MetricsSnapshot.load(file) if file else None
        verdict = judge(
            candidate=name,
            metrics=snapshot.metrics if snapshot else None,
            policy=policy,
            serving=against,
            serving_metrics=baseline.metrics,
        )
        yield compare_pictures(verdict, load_outcomes(file, snapshot) if file and snapshot else None, theirs, policy)


def _candidates(files: Sequence[Path] | None, registry: Registry, root: Path) -> Iterator[tuple[str, Path | None]]:
    """Yield name and snapshot; None: a model that names none is refused for its missing figures, as by the operator."""
    entries = [entry for entry in registry.models if not entry.deprecated or files is not None]
    named = {f"{entry.name} {entry.version}": entry.metrics_snapshot for entry in entries}
    if files is None:
        yield from ((name, snapshot_file(path, root) if path else None) for name, path in named.items())
        return
    names = {resolve_path(snapshot_file(path, root)): name for name, path in named.items() if path}
    yield from ((names.get(resolve_path(file), str(file)), file) for file in files)


def _lines(comparison: PictureComparison) -> Iterator[str]:
    verdict = comparison.verdict
    yield f"{verdict.candidate} against {verdict.compared_with}: {'passes' if verdict.passed else 'REFUSED'}"
    for finding in verdict.findings:
        yield f"  {'ok  ' if finding.passed else 'FAIL'}  {finding.text}"
    for line in comparison.lines():
        yield f"  {line}"


def markdown(comparisons: Sequence[PictureComparison]) -> str:
    """Return the findings as a Markdown section with one table, and the pictures that turned from right to wrong."""
    verdicts = [comparison.verdict for comparison in comparisons]
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
        f"| {plain(verdict.candidate)} | {'✅' if finding.passed else '❌'} | {plain(finding.text)} |"
        for verdict in verdicts
        for finding in verdict.findings
    ]
    for comparison in comparisons:
        if listed := list(comparison.lines()):
            lines += ["", f"{plain(comparison.verdict.candidate)}:", "", code_block(listed).removesuffix("\n")]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
