"""Compute a metrics snapshot of a model on a labelled split, through the pipeline that serves.

It measures the registry's active model, or with `--weights` a checkpoint that is in no registry yet. It writes the
snapshot (JSON, for `metrics_snapshot` of a registry entry), the outcomes picture by picture, a report (Markdown) and
pictures; its exit code is the verdict of the gate before promotion. If the baseline has outcomes too, both models are
compared picture by picture.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath

from cetacean_evaluation import commandline as cli
from cetacean_evaluation.errors import EvaluationError
from cetacean_evaluation.figures import Scored, compute_snapshot, per_species
from cetacean_evaluation.job_summary import append_summary
from cetacean_evaluation.manifest import read_manifest
from cetacean_evaluation.markdown import code_block, plain
from cetacean_evaluation.outcomes import outcomes_of
from cetacean_evaluation.outputs import path_with_suffix, prepare_outputs, write_output
from cetacean_evaluation.policy_options import add_policy_options, policy_of, type_of
from cetacean_evaluation.printing import print_line
from cetacean_evaluation.report import to_markdown
from cetacean_evaluation.thresholds import sweep
from cetacean_registry.figures import LONGEST_SET_NAME, EvaluationSetName, Fraction
from cetacean_registry.gate import GateVerdict, judge
from cetacean_registry.metrics import MetricsSnapshot, snapshot_file
from cetacean_registry.outcomes import load_outcomes, outcomes_path, to_lines
from cetacean_registry.pairs import compare_pictures
from cetacean_registry.registry import Registry
from cetacean_registry.regular_files import resolve_path
from cetacean_registry.yaml_text import parse_yaml


def main(
    arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ, *, root: Path = Path()
) -> int:
    """Run the command in a checkout; the exit codes are in its help.

    In a workflow, the job's summary gets the verdict, or the reason why nothing was computed.
    """

    def summarise(text: str) -> None:
        append_summary(text, environment)

    options = _parser(root).parse_args(arguments)
    return cli.run(
        lambda given: _compute(given, summarise),
        options,
        on_error=lambda line: summarise(f"## Computed figures: not computed\n\n{plain(line)}\n"),
    )


def _parser(root: Path) -> argparse.ArgumentParser:
    parser = cli.parser("compute_metrics", str(__doc__).splitlines()[0], root)
    model = parser.add_argument_group("model")
    model.add_argument("--registry", type=Path, default=root / cli.REGISTRY, metavar="JSON")
    which = model.add_mutually_exclusive_group()
    which.add_argument("--model", metavar="NAME", help="entry of the registry; default: the active one")
    which.add_argument(
        "--newest", action="store_true", help="the last entry that is not deprecated: models are appended"
    )
    model.add_argument(
        "--weights", metavar="FILE", help="path or URL of another checkpoint of the entry's architecture"
    )
    model.add_argument("--model-version", metavar="VERSION", help="version of the checkpoint of --weights")
    threshold = parser.add_mutually_exclusive_group()
    threshold.add_argument("--threshold", type=type_of(Fraction), help="the gate's; default: that of --threshold-file")
    threshold.add_argument("--threshold-file", type=Path, default=root / cli.THRESHOLD_FILE, metavar="YAML")
    parser.add_argument(
        "--baseline",
        type=Path,
        metavar="JSON",
        help="snapshot that no figure may lie far below, e.g. the active model's",
    )
    add_policy_options(parser)
    parser.add_argument(
        "--evaluation-set",
        type=type_of(EvaluationSetName),
        metavar="NAME",
        help="names the split; default: the manifest's path",
    )
    parser.add_argument(
        "--out",
        type=path_with_suffix(".json"),
        default=Path("reports/metrics_latest.json"),
        metavar="JSON",
        help="the snapshot; outcomes, report and pictures are written beside it; default: %(default)s",
    )
    return parser


def _compute(options: argparse.Namespace, summarise: Callable[[str], None]) -> int:
    entry = (
        cli.newest_entry(options.registry) if options.newest else cli.registry_entry(options.registry, options.model)
    )
    threshold, policy = _threshold(options), policy_of(options)
    baseline = MetricsSnapshot.load(options.baseline) if options.baseline else None
    theirs = load_outcomes(options.baseline, baseline) if baseline else None
    pictures = read_manifest(options.manifest, split=None if options.split == "all" else options.split)
    manifest_path = _manifest_path(options)
    model, gate = cli.settings_of(options, entry, options.weights)
    name = PurePath(options.weights).stem if options.weights else entry.name
    version = options.model_version or entry.version
    inputs = [options.registry, options.threshold_file, *cli.files_read(options, pictures, model, gate)]
    kept = [*_other_snapshots(options.registry, entry.name, version), *([options.baseline] if baseline else [])]
    inputs += [file for snapshot in kept for file in (snapshot, outcomes_path(snapshot))]
    prepare_outputs([options.out, outcomes_path(options.out), *_beside(options.out)], inputs=inputs)
    from cetacean_evaluation.scoring import open_pipeline, score  # noqa: PLC0415 - torch takes seconds, errors above take none

    with open_pipeline(model=model, gate=gate, cache=options.cache) as pipeline:
        with cli.progress_bar(f"scoring with {name}") as progress:
            scored = score(pipeline, pictures, progress=progress)
        digest = pipeline.identity.weights_sha256
    snapshot = compute_snapshot(
        scored,
        threshold=threshold,
        model_version=version,
        manifest_path=manifest_path,
        generated_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        evaluation_set=options.evaluation_set,
        weights_sha256=digest,
    )
    own = outcomes_of(scored, options.manifest.parent)
    figures = judge(
        candidate=name,
        metrics=snapshot.metrics,
        policy=policy,
        serving=f"the baseline {baseline.model_version}" if baseline else None,
        serving_metrics=baseline.metrics if baseline else None,
    )
    compared = compare_pictures(figures, own, theirs, policy)
    verdict = compared.verdict
    beside = _write_beside(options.out, snapshot, scored, verdict, model=name, threshold=threshold)
    write_output(outcomes_path(options.out), to_lines(own))
    write_output(options.out, snapshot.to_json().encode("utf-8"))
    for path in (options.out, *beside, outcomes_path(options.out)):
        print_line(f"wrote {path}", err=True)
    listed = list(compared.lines())
    for line in (verdict.message, *listed):
        print_line(line)
    heading = f"## Computed figures: {'passed' if verdict.passed else 'refused'}\n\n{plain(verdict.message)}\n"
    summarise(heading + (f"\n{code_block(listed)}" if listed else ""))
    return cli.OK if verdict.passed else cli.BELOW


def _other_snapshots(registry: Path, name: str, version: str) -> list[Path]:
    """Return the snapshots that the registry names, but for that of the model that is measured again."""
    root = resolve_path(registry).parent.parent
    others = [one for one in Registry.load(registry).models if (one.name, one.version) != (name, version)]
    return [snapshot_file(one.metrics_snapshot, root) for one in others if one.metrics_snapshot]


def _beside(out: Path) -> tuple[Path, Path, Path]:
    """Return the files beside the snapshot: the report, the ROC curve, the distribution of the scores."""
    return out.with_suffix(".md"), out.with_name(f"{out.stem}_roc.png"), out.with_name(f"{out.stem}_scores.png")


def _write_beside(
    out: Path, snapshot: MetricsSnapshot, scored: list[Scored], verdict: GateVerdict, *, model: str, threshold: float
) -> list[Path]:
    positives = [one.cetacean_score for one in scored if one.picture.cetacean]
    negatives = [one.cetacean_score for one in scored if not one.picture.cetacean]
    report, roc, distribution = _beside(out)
    figures: list[Path] = []
    if positives and negatives:
        from cetacean_evaluation.plots import plot_roc, plot_scores  # noqa: PLC0415 - matplotlib, not needed for errors

        figures = [roc, distribution]
        (at,) = sweep(positives, negatives, [threshold])
        plot_roc(figures[0], positives, negatives, at=at)
        plot_scores(figures[1], positives, negatives, threshold=threshold)
    text = to_markdown(
        snapshot,
        per_species(scored, threshold=threshold),
        verdict=verdict,
        model=model,
        threshold=threshold,
        pictures=[Path(figure.name) for figure in figures],
    )
    write_output(report, text.encode("utf-8"))
    return [report, *figures]


def _threshold(options: argparse.Namespace) -> float:
    if options.threshold is not None:
        return float(options.threshold)
    path: Path = options.threshold_file
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EvaluationError(f"{path}: expected YAML, got: {' '.join(str(error).split())}") from error
    value = content.get("threshold") if isinstance(content, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise EvaluationError(f"{path}: threshold: expected a number from 0 to 1, got {value!r}")
    return float(value)


def _manifest_path(options: argparse.Namespace) -> str:
    """Return the manifest's path as the snapshot has it; one that it cannot hold is an error before the work."""
    path = cli.shown_path(options.manifest, options.root)
    if len(path) > LONGEST_SET_NAME:
        raise EvaluationError(f"{path}: expected a path of at most {LONGEST_SET_NAME} characters, got {len(path)}")
    return path
