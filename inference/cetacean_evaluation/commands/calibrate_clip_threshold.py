"""Find the anti-fraud gate's threshold on a labelled split.

Sweeps 0.30 to 0.80 by 0.01 and takes the smallest threshold with TNR ≥ 0.90 and TPR ≥ 0.85. If there is none, it
names the one of the best TNR, writes no threshold file and ends with code 3.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from cetacean_evaluation import commandline as cli
from cetacean_evaluation.manifest import read_manifest
from cetacean_evaluation.outputs import path_with_suffix, prepare_outputs, write_output
from cetacean_evaluation.printing import print_line
from cetacean_evaluation.thresholds import Calibration, Rate, calibrate, sweep, threshold_file
from cetacean_inference.settings import load_settings


def main(arguments: Sequence[str] | None = None, *, root: Path = Path()) -> int:
    """Run the command in a checkout; the exit codes are in its help."""
    return cli.run(_calibrate, _parser(root).parse_args(arguments))


def _parser(root: Path) -> argparse.ArgumentParser:
    parser = cli.parser("calibrate_clip_threshold", str(__doc__).splitlines()[0], root)
    parser.add_argument(
        "--out",
        type=path_with_suffix(".yaml", ".yml"),
        metavar="YAML",
        help=f"threshold file to write, e.g. {cli.THRESHOLD_FILE}",
    )
    parser.add_argument(
        "--figure",
        type=path_with_suffix(".png", ".svg", ".pdf"),
        metavar="PNG",
        help="picture of the sweep to write: .png, .svg or .pdf",
    )
    return parser


def _calibrate(options: argparse.Namespace) -> int:
    pictures = read_manifest(options.manifest, split=None if options.split == "all" else options.split)
    entry = cli.registry_entry(options.root / cli.REGISTRY, None)
    model, gate = cli.settings_of(options, entry, None)
    fetch = load_settings(model=model, config_dir=options.root / "configs").fetch
    outputs = [path for path in (options.out, options.figure) if path]
    prepare_outputs(outputs, inputs=cli.files_read(options, pictures, model, gate))
    from cetacean_evaluation.scoring import score_gate  # noqa: PLC0415 - torch takes seconds, errors above take none

    with cli.progress_bar("scoring with the gate") as progress:
        scores = score_gate(gate, pictures, cache=options.cache, options=fetch, progress=progress)
    pairs = list(zip(pictures, scores, strict=True))
    calibration = calibrate(
        sweep(
            [score for picture, score in pairs if picture.cetacean],
            [score for picture, score in pairs if not picture.cetacean],
        )
    )
    content = threshold_file(calibration, calibrated_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))
    print(content, end="")
    if options.figure:
        from cetacean_evaluation.plots import plot_sweep  # noqa: PLC0415 - matplotlib, not needed for errors

        plot_sweep(options.figure, calibration)
        print_line(f"wrote {options.figure}", err=True)
    if not calibration.meets:
        print_line(f"error: {_shortfall(calibration)}", err=True)
        return cli.BELOW
    if options.out:
        write_output(options.out, content.encode("utf-8"))
        print_line(f"wrote {options.out}", err=True)
    return cli.OK


def _shortfall(calibration: Calibration) -> str:
    chosen = calibration.chosen
    return (
        f"no threshold from {calibration.points[0].threshold:.2f} to {calibration.points[-1].threshold:.2f} keeps "
        f"TNR ≥ {calibration.min_tnr:.2f} and TPR ≥ {calibration.min_tpr:.2f}; best TNR at {chosen.threshold:.2f}: "
        f"TNR {_show(chosen.tnr)}, TPR {_show(chosen.tpr)}; no threshold file is written"
    )


def _show(rate: Rate) -> str:
    low, high = rate.interval
    return f"{rate.value:.4f} ({low:.4f} to {high:.4f})"
