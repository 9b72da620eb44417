"""Measures the time of a promotion with and without prefetch: `python -m benchmarks.prefetch`, on a cluster that is up.

A store sends 10 MB a second. A model of 500 MB is made active, in turns without prefetch and after a Job has fetched
its weights into the claim that the pods share. Each turn has weights of its own, so that no cache has them.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.machine import BenchmarkError, processor
from benchmarks.prefetch.weights import enlarge
from benchmarks.publishing import publish_benchmark
from benchmarks.store import STORE, deploy_store
from support.shared_cache import shared_cache

from cetacean_registry.companions import COMPANION_FILES
from cetacean_registry.registry import ModelEntry
from cetacean_tools.demo import installation
from cetacean_tools.demo.environment import Environment, installed
from cetacean_tools.demo_models import ensure_models
from cetacean_tools.local_cluster.use import choose
from cetacean_tools.workspace import ToolError

NAME: Final = "benchmarked"
FIRST, SECOND = "demo_v1", "demo_v2"
MEGABYTE: Final = 1_000_000
BEGIN, END = "<!-- prefetch: written by make bench-prefetch -->", "<!-- prefetch: end -->"
RESOURCES: Final = {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"memory": "4Gi"}}
LONG: Final = 600.0


@dataclass(frozen=True, slots=True)
class Turn:
    """Seconds of one promotion."""

    ready: float
    """From `active` to Ready."""
    fetched: float | None = None
    """From the entry in the registry to WeightsPrefetched; None without prefetch."""


def main() -> int:
    """Measure, print the table and write the results; returns 1 if a promotion failed."""
    parser = argparse.ArgumentParser(prog="benchmarks.prefetch", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=500, help="size of the weights (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=10.0, help="MB a second of the store (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=2, help="promotions of each kind (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="print the results and write nothing")
    options = parser.parse_args()
    try:
        without, fetched_before = _measure(options.megabytes * MEGABYTE, options.rate * MEGABYTE, options.rounds)
    except (BenchmarkError, ToolError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    found = results(without, fetched_before, megabytes=options.megabytes, rate=options.rate)
    print(table(found))
    if not options.dry:
        publish_benchmark("prefetch", found, table(found), between=(BEGIN, END))
    return 0


def results(without: Sequence[Turn], prefetched: Sequence[Turn], *, megabytes: int, rate: float) -> dict[str, Any]:
    """Return the medians of all turns."""
    return {
        "processor": processor(),
        "megabytes": megabytes,
        "store_megabytes_a_second": rate,
        "rounds": len(without),
        "without_s": round(statistics.median(turn.ready for turn in without), 1),
        "prefetched_s": round(statistics.median(turn.ready for turn in prefetched), 1),
        "fetch_s": round(statistics.median(turn.fetched or 0.0 for turn in prefetched), 1),
    }


def table(found: Mapping[str, Any]) -> str:
    """Return the results as a Markdown table."""
    weights = (
        f"weights of {found['megabytes']} MB, a store that sends {found['store_megabytes_a_second']:g} MB a second"
    )
    number = "One promotion" if found["rounds"] == 1 else f"Medians of {found['rounds']} promotions"
    lines = [
        f"{number} of each kind ({found['processor']}), {weights}.",
        "",
        "| | without prefetch | with prefetch |",
        "|---|---:|---:|",
        f"| from `active` to Ready, s | {found['without_s']:.1f} | {found['prefetched_s']:.1f} |",
        f"| before that: from the entry in the registry to WeightsPrefetched, s | | {found['fetch_s']:.1f} |",
    ]
    return "\n".join(lines)


def _measure(size: int, rate: float, rounds: int) -> tuple[list[Turn], list[Turn]]:
    cluster = choose()
    models = ensure_models(_show)
    images = installation.load_images(cluster, installation.build_images(models))
    namespace = f"prefetch-{uuid.uuid4().hex[:8]}"
    with installed(cluster, models, images) as there:
        environment = there.environment(namespace)
        try:
            with (
                shared_cache(environment.kubectl, cluster) as claim,
                tempfile.TemporaryDirectory(prefix="cetacean-prefetch-") as folder,
            ):
                if not claim:
                    raise BenchmarkError(
                        f"expected the local cluster, whose pods can share a volume, got {cluster.kind}"
                    )
                bench = _Bench(environment, claim, Path(folder), size=size, rate=rate)
                turns = [(bench.turn(prefetch=False), bench.turn(prefetch=True)) for _ in range(rounds)]
                bench.remove_weights()
                return [one for one, _ in turns], [other for _, other in turns]
        finally:
            installation.remove(environment.kubectl, namespace, wait=False)


class _Bench:
    """A resource whose model is switched, and the store of large weights."""

    def __init__(self, environment: Environment, claim: str, folder: Path, *, size: int, rate: float) -> None:
        self._there, self._claim, self._folder, self._size = environment, claim, folder, size
        self._seed = int(time.time())
        self._promoted: list[ModelEntry] = []
        self._store = deploy_store(environment, {"emptyDir": {}}, rate)
        self._apply(FIRST)
        self._wait("Ready", FIRST)

    def turn(self, *, prefetch: bool) -> Turn:
        """Promote a model that no cache holds."""
        entry = self._upload(marked=prefetch)
        fetched = None
        begun = time.monotonic()
        if prefetch:
            self._apply(self._active, entry)
            self._there.wait_for_condition(NAME, "WeightsPrefetched", "True", mentions="1 of 1", within=LONG)
            fetched = time.monotonic() - begun
            begun = time.monotonic()
        self._apply(entry.name, entry)
        self._wait("Ready", entry.name)
        turn = Turn(time.monotonic() - begun, fetched)
        _show(f"{entry.name}: {turn}")
        self._promoted.append(entry.model_copy(update={"prefetch": None}))
        return turn

    def remove_weights(self) -> None:
        """Delete the large files of the claim, which outlives the namespace on the local cluster."""
        (pod, *_) = self._there.pods(NAME)
        command = ("find", "/var/cache/cetacean/blobs", "-size", f"+{self._size // 2}c", "-delete")
        self._there.kubectl("exec", pod["metadata"]["name"], "-c", "serve", "--", *command)

    def _wait(self, kind: str, model: str) -> None:
        self._there.wait_for_condition(NAME, kind, "True", mentions=model, within=LONG)

    @property
    def _active(self) -> str:
        return self._promoted[-1].name if self._promoted else FIRST

    def _apply(self, active: str, *added: ModelEntry) -> None:
        serving = {
            "resources": RESOURCES,
            "prefetch": "Candidate",
            "weightsCache": {"persistentVolumeClaim": {"claimName": self._claim}},
            "env": [{"name": "CETACEAN_ENGINE__NAME", "value": "torch-eager"}],
        }
        self._there.kubectl.apply(
            self._there.manifest(NAME, active=active, added=(*self._promoted, *added), replicas=1, serving=serving)
        )

    def _upload(self, *, marked: bool) -> ModelEntry:
        """Write a large model into the store; return its entry."""
        self._seed += 1
        version = f"2.0.{self._seed % 1_000_000}"
        base = self._there.copy_of(SECOND, name=f"large-{self._seed}", version=version, prefetch=marked or None)
        source = self._there.models.folder / str(base.weights_path)
        target = self._folder / "large.safetensors"
        entry = enlarge(source, target, base, size=self._size, seed=self._seed)
        for path, name in ((target, target.name), *((source.parent / name, name) for name in COMPANION_FILES)):
            with path.open("rb") as content:
                command = ("exec", "-i", f"deployment/{STORE}", "--", "sh", "-c", f"cat > /srv/{name}")
                subprocess.run(self._there.kubectl.command(*command), stdin=content, check=True)
        return entry.model_copy(update={"weights_url": f"{self._store}/{target.name}"})


def _show(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
