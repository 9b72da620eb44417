"""`python -m cetacean_tools.demo_models`: train the demo's models unless they are there, and show what they can do."""

from __future__ import annotations

import argparse
import sys

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from cetacean_inference.errors import FatalError
from cetacean_tools.demo_models import DemoModels, TrainingError, ensure_models


def main(arguments: list[str] | None = None) -> int:
    """Print where the models are and their figures; 1 when training went wrong."""
    parser = argparse.ArgumentParser(prog="demo_models", description="Train the demo's models unless they are cached.")
    parser.parse_args(arguments)
    try:
        models = ensure_models(lambda line: print(line, file=sys.stderr, flush=True))
    except (TrainingError, FatalError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; nothing is kept of what was begun", file=sys.stderr)
        return 130
    Console().print(_table(models))
    print(f"threshold {models.threshold:.2f}, {len(models.drifted)} drifted pictures, {models.folder}")
    return 0


def _table(models: DemoModels) -> Table:
    table = Table("model", "version", "TPR", "TNR", "ROC AUC", "top-1", "top-5", "score", "p50 ms", box=SIMPLE)
    snapshots = models.snapshots()
    for entry in models.registry("http://localhost").models:
        snapshot = snapshots[entry.name]
        figures, identified, speed = snapshot.metrics, snapshot.identification, snapshot.performance
        rates = (
            figures.tpr,
            figures.tnr,
            figures.roc_auc,
            identified and identified.top1_accuracy,
            identified and identified.top5_accuracy,
            figures.cetacean_score_mean,
        )
        table.add_row(
            entry.name,
            entry.version,
            *("-" if rate is None else f"{rate:.3f}" for rate in rates),
            "-" if speed is None or speed.latency_p50_ms is None else f"{speed.latency_p50_ms:.1f}",
        )
    return table


if __name__ == "__main__":
    raise SystemExit(main())
