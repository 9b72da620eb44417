"""Finds the engine that computes the networks fastest for the peers: `python -m benchmarks.serving.engines`.

Each engine computes one picture and a batch, in turns; the shortest time counts, because other work on the machine only
makes it longer. The peers use the fastest of those that agree with eager torch as our service requires.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
from benchmarks.converted import converted
from benchmarks.machine import BenchmarkError, processor
from benchmarks.publishing import publish_benchmark
from benchmarks.serving.peers.networks import MAX_BATCH, Run, compile_network
from benchmarks.serving.stored import FILES, NETWORKS, load_our_settings, our_environment, stored

from cetacean_inference.engines.agreement import comparison_inputs, run_in_batches
from cetacean_inference.engines.trial import disagreement
from cetacean_inference.settings import Settings
from cetacean_inference.types import NetworkName
from cetacean_inference.weights.fetch import locate_all, open_verified

BEGIN, END = "<!-- engines: written by make bench-serving -->", "<!-- engines: end -->"
KNOWN: Final = FILES / "engines.json"
"""The last results on this machine."""
SIZES: Final = (1, MAX_BATCH)
TITLES: Final = {
    "openvino-split": "OpenVINO, bfloat16, the head in float32",
    "openvino": "OpenVINO with its defaults",
    "openvino-fp32": "OpenVINO, float32",
    "onnxruntime": "ONNX Runtime",
    "torch-compile": "torch.compile",
    "torch-eager": "eager torch",
}
WITHOUT_TORCH: Final = frozenset(TITLES) - {"torch-compile", "torch-eager"}
"""The engines that the peers' environments have."""


def main() -> int:
    """Measure, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.serving.engines", description=__doc__)
    parser.add_argument("--rounds", type=int, default=6, help="turns of each engine (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="write nothing into the repository")
    options = parser.parse_args()
    os.environ.update(our_environment())
    settings = load_our_settings()
    found = {
        "cpu": processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "networks": {name: _measure(name, settings, rounds=options.rounds) for name in NETWORKS},
        "load_average_at_end": round(os.getloadavg()[0], 1),
    }
    print(table(found))
    KNOWN.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if not options.dry:
        publish_benchmark("engines", found, table(found), between=(BEGIN, END))
    return 0


def known() -> dict[str, Any] | None:
    """Return the last results on this machine; None if there are none of this processor."""
    try:
        found: dict[str, Any] = json.loads(KNOWN.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found["cpu"] == processor() else None


def choose(found: Mapping[str, Any]) -> dict[NetworkName, str]:
    """Return the engine of each network with the shortest time for a picture, alone or in a batch.

    Raises:
        BenchmarkError: it is one of torch, which the peers' environments do not have.
    """
    chosen = {name: _fastest(found["networks"][name]) for name in NETWORKS}
    if missing := set(chosen.values()) - WITHOUT_TORCH:
        raise BenchmarkError(
            f"expected the fastest engine to be one that the peers have, got {', '.join(sorted(missing))}; add torch "
            "to benchmarks/serving/requirements/networks.in and to benchmarks/serving/peers/networks.py"
        )
    return chosen


def _fastest(engines: Mapping[str, Mapping[str, Any]]) -> str:
    agreeing = {name: min(one["picture_ms"].values()) for name, one in engines.items() if one["disagrees"] is None}
    return min(agreeing, key=agreeing.__getitem__)


def table(found: Mapping[str, Any]) -> str:
    """Return the results as a Markdown table."""
    chosen = {name: _fastest(found["networks"][name]) for name in NETWORKS}
    columns = [f"{name}, {_pictures(size)}" for name in NETWORKS for size in SIZES]
    machine = (
        f"{found['cpus']} processors ({found['cpu']}); milliseconds for one picture; load average at the end "
        f"{found['load_average_at_end']:g}. Bold: chosen for the peers."
    )
    lines = [
        machine,
        "",
        f"| engine | {' | '.join(columns)} |",
        f"|---|{'---:|' * len(columns)}",
    ]
    reasons = []
    for engine, title in TITLES.items():
        cells: list[str] = []
        for name in NETWORKS:
            one = found["networks"][name].get(engine)
            cells += _cells(one, bold=chosen[name] == engine)
            if one and one["disagrees"]:
                reasons.append(f"{title}, {name}: {one['disagrees']}.")
        lines.append(f"| {title} | {' | '.join(cells)} |")
    if reasons:
        lines += ["", "\\* Not used, because it does not agree with eager torch:", "", *(f"- {one}" for one in reasons)]
    return "\n".join(lines)


def _cells(one: Mapping[str, Any] | None, *, bold: bool) -> Iterator[str]:
    for size in SIZES:
        if one is None:
            yield "-"
            continue
        text = f"{one['picture_ms'][str(size)]:g}"
        yield f"**{text}**" if bold else f"{text} \\*" if one["disagrees"] else text


def _pictures(size: int) -> str:
    return "one picture" if size == 1 else f"batches of {size}"


def _measure(name: NetworkName, settings: Settings, *, rounds: int) -> dict[str, dict[str, Any]]:
    """Compare and time every engine with one network."""
    side, reference = converted(settings)[name].side, converted(settings)[name].reference
    pictures = comparison_inputs(name, side)
    runs: dict[str, Run] = {}
    found: dict[str, dict[str, Any]] = {}
    for engine, make in _engines(name, settings).items():
        print(f"{name}: compiling with {TITLES[engine]}", file=sys.stderr, flush=True)
        run = make()
        outputs = run_in_batches(run, pictures)
        found[engine] = {
            "picture_ms": {},
            "deviation": round(float(np.abs(outputs - reference).max()), 6),
            "disagrees": disagreement(name, outputs, reference, settings.engine),
        }
        for size in SIZES:
            run(pictures[:size])  # compiles for this shape
        runs[engine] = run
    for number in range(rounds):
        print(f"{name}: round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for engine, run in runs.items():
            for size in SIZES:
                begun = time.perf_counter()
                run(pictures[:size])
                took = round((time.perf_counter() - begun) / size * 1000, 1)
                times = found[engine]["picture_ms"]
                times[str(size)] = min(took, times.get(str(size), took))
    return found


def _engines(name: NetworkName, settings: Settings) -> dict[str, Callable[[], Run]]:
    def of_files(engine: str) -> Run:
        return compile_network(name, files[engine])

    def of_torch(*, compiled: bool) -> Run:
        import torch  # noqa: PLC0415 - takes seconds and memory

        from cetacean_inference.engines.eager import EagerEngine  # noqa: PLC0415 - imports torch
        from cetacean_inference.models.loading import load_network  # noqa: PLC0415 - imports torch

        with open_verified(settings) as verified:
            network, _ = load_network(name, settings, files=locate_all(settings), verified=verified)
        runs: Any = torch.compile(network, dynamic=True) if compiled else network
        return EagerEngine(torch.device("cpu")).compile(runs)

    files = stored(settings)[name]
    return {
        **{engine: partial(of_files, engine) for engine in files},
        "torch-compile": lambda: of_torch(compiled=True),
        "torch-eager": lambda: of_torch(compiled=False),
    }


if __name__ == "__main__":
    raise SystemExit(main())
