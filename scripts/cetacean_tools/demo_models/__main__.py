"""`python -m cetacean_tools.demo_models`: train the demo's models unless they are cached, and print their figures."""

from __future__ import annotations

import argparse
import sys

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from cetacean_registry.figures import IdentificationMetrics
from cetacean_tools.demo_models import DemoModels, ensure_models
from cetacean_tools.workspace import run_tool


def main(arguments: list[str] | None = None) -> int:
    """Print the models' folder and figures; return 1 if training failed."""
    parser = argparse.ArgumentParser(prog="demo_models", description="Train the demo's models unless they are cached.")
    parser.parse_args(arguments)
    return run_tool(_train)


def _train() -> None:
    models = ensure_models(lambda line: print(line, file=sys.stderr, flush=True))
    Console().print(_table(models))
    print(f"threshold {models.threshold:.2f}, {len(models.drifted)} drifted pictures, {models.folder}")


def _table(models: DemoModels) -> Table:
    heads = ("model", "version", "TPR", "TNR", "AUC", "top-1", "top-5", "species", "sure", "score")
    table = Table(*heads, box=SIMPLE, padding=0)
    for name, snapshot in models.snapshots().items():
        figures, named = snapshot.metrics, snapshot.metrics.identification or IdentificationMetrics(samples=0)
        shown = (
            *(figures.tpr, figures.tnr, figures.roc_auc, named.top1, named.top5, named.species_accuracy),
            *(named.top_probability_mean, figures.cetacean_score_mean),
        )
        table.add_row(name, snapshot.model_version, *("-" if one is None else f"{one:.3f}" for one in shown))
    return table


if __name__ == "__main__":
    raise SystemExit(main())
