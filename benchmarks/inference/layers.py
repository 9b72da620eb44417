"""Measures how long each kind of layer takes on one processor: `python -m benchmarks.inference.layers`.

Beside each kind stands the processor's own peak, which is measured too: a product of large matrices for arithmetic, and
a copy of arrays that no cache holds for memory. What is near its peak cannot be made faster by another library.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from benchmarks.converted import converted
from benchmarks.machine import processor
from benchmarks.material import environment, write_weights
from benchmarks.publishing import publish_benchmark

from cetacean_inference.engines.openvino import DEVICE, HINTS, openvino
from cetacean_inference.settings import load_settings
from cetacean_inference.weights.fetch import fetch_all
from cetacean_tools.workspace import cache_root

BEGIN, END = "<!-- layers: written by make bench-layers -->", "<!-- layers: end -->"
MATRIX: Final = 2048
COPIED_BYTES: Final = 256 * 2**20
VALUE_BYTES: Final = {"bf16": 2, "fp32": 4}
PRODUCTS: Final = dict.fromkeys(("FullyConnected", "MatMul", "ScaledDotProductAttention"), "matrix products")
KINDS: Final = ("1x1 convolutions", "depthwise convolutions", "other convolutions", "matrix products", "the rest")


def main() -> int:
    """Measure, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.inference.layers", description=__doc__)
    parser.add_argument("--repeats", type=int, default=15, help="pictures for each network (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="print the results and write nothing")
    options = parser.parse_args()
    directory = cache_root() / "benchmarks" / "inference"
    write_weights(directory)
    os.environ.update(environment(directory))
    core = openvino().Core()
    found: dict[str, Any] = {"cpu": processor(), "copy_gb_s": _copy_speed(), "peak_gflop_s": {}, "networks": {}}
    capable = core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    precisions = [name for name in HINTS if name != "bf16" or "BF16" in capable]
    settings = load_settings()
    fetch_all(settings)
    networks = converted(settings)
    for precision in precisions:
        found["peak_gflop_s"][precision] = _peak(core, precision)
        for name, network in networks.items():
            model = core.read_model(network.trunk)
            kinds = _profile(core, model, precision, side=network.side, repeats=options.repeats)
            found["networks"][f"{name}, {precision}"] = kinds
            print(name, precision, kinds, flush=True)
    found["load_average_at_end"] = round(os.getloadavg()[0], 1)
    print(table(found))
    if not options.dry:
        publish_benchmark("layers", found, table(found), between=(BEGIN, END))
    return 0


def _profile(core: Any, model: Any, precision: str, *, side: int, repeats: int) -> dict[str, dict[str, float]]:
    """Return milliseconds and, where there is arithmetic, 10⁹ operations by kind of layer; medians of all pictures."""
    work = {
        node.get_friendly_name(): least_work(node, value_bytes=VALUE_BYTES[precision])
        for node in model.get_ordered_ops()
    }
    compiled = core.compile_model(model, DEVICE, {**_options(precision), "PERF_COUNT": True})
    request = compiled.create_infer_request()
    picture = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    turns: list[dict[str, float]] = []
    for _ in range(repeats + 2):
        request.infer([picture], share_inputs=True)
        times: dict[str, float] = dict.fromkeys(KINDS, 0.0)
        for layer in request.get_profiling_info():
            # A product that OpenVINO has merged with what follows may have the name of that.
            by_name = work[layer.node_name].kind if layer.node_name in work else "the rest"
            kind = PRODUCTS.get(layer.node_type, by_name)
            times[kind] += layer.real_time.total_seconds() * 1e3
        turns.append(times)
    return {
        kind: {
            "ms": round(float(np.median([times[kind] for times in turns[2:]])), 2),
            "gflop": round(sum(one.operations for one in work.values() if one.kind == kind) / 1e9, 3),
            "gb": round(sum(one.bytes for one in work.values() if one.kind == kind) / 1e9, 4),
        }
        for kind in KINDS
    }


@dataclass(frozen=True, slots=True)
class Work:
    """The least that one layer has to do."""

    kind: str
    operations: float = 0.0
    """A multiplication with its addition counts as two."""
    bytes: float = 0.0
    """Its inputs, weights and outputs; 0 for the rest, whose layers are merged into others."""


def least_work(node: Any, *, value_bytes: int) -> Work:
    """Return the work of a layer of OpenVINO whose values take so many bytes."""
    kind = node.get_type_name()
    if kind not in ("Convolution", "GroupConvolution", "MatMul"):
        return Work("the rest")
    outputs = float(np.prod(list(node.output(0).get_shape())))
    inputs = [list(one.get_shape()) for one in node.inputs()]
    moved = value_bytes * (outputs + sum(float(np.prod(one)) for one in inputs))
    if kind == "MatMul":
        summed = inputs[0][-2] if node.get_attributes()["transpose_a"] else inputs[0][-1]
        return Work("matrix products", 2.0 * outputs * summed, moved)
    # Weights are (outputs, inputs, height, width), or (groups, outputs, inputs, height, width).
    kernel = inputs[1]
    if kind == "GroupConvolution":
        return Work("depthwise convolutions", 2.0 * outputs * float(np.prod(kernel[2:])), moved)
    name = "1x1 convolutions" if kernel[2:] == [1, 1] else "other convolutions"
    return Work(name, 2.0 * outputs * float(np.prod(kernel[1:])), moved)


def _options(precision: str) -> dict[str, Any]:
    return {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": HINTS[precision]}


def _peak(core: Any, precision: str) -> float:
    """Return 10⁹ operations a second of a product of large matrices, the best of ten."""
    package = openvino()
    opset = package.opset13
    random = np.random.default_rng(0)
    left = opset.parameter([MATRIX, MATRIX], np.float32)
    product = opset.matmul(left, random.standard_normal((MATRIX, MATRIX), dtype=np.float32), False, True)
    compiled = core.compile_model(package.Model([product], [left]), DEVICE, _options(precision))
    request, given = compiled.create_infer_request(), random.standard_normal((MATRIX, MATRIX), dtype=np.float32)
    seconds = _best(lambda: request.infer([given], share_inputs=True))
    return round(2 * MATRIX**3 / seconds / 1e9, 1)


def _copy_speed() -> float:
    """Return 10⁹ bytes read and written a second, the best of ten."""
    source = np.ones(COPIED_BYTES, np.uint8)
    target = np.empty_like(source)
    return round(2 * COPIED_BYTES / _best(lambda: np.copyto(target, source)) / 1e9, 1)


def _best(run: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(10):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


def table(found: Mapping[str, Any]) -> str:
    """Return the tables for the documentation."""
    peaks = ", ".join(f"{precision} {peak:g}" for precision, peak in found["peak_gflop_s"].items())
    copies = f"Copies read and write {found['copy_gb_s']:g} GB a second."
    lines = [
        f"One processor ({found['cpu']}); load average at the end {found['load_average_at_end']:g}.",
        "",
        f"Peak of a product of matrices of {MATRIX} x {MATRIX}, 10⁹ operations a second: {peaks}. {copies}",
        "",
        "| network, precision | layers | ms | share | 10⁹ operations | share of the peak | GB | share of the copies |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    copy = found["copy_gb_s"]
    for name, kinds in found["networks"].items():
        total = sum(one["ms"] for one in kinds.values())
        peak = found["peak_gflop_s"][name.rpartition(" ")[2]]
        for kind, one in kinds.items():
            if one["ms"]:
                lines.append(
                    f"| {name} | {kind} | {one['ms']:g} | {one['ms'] / total:.2f} | {_shares(one, peak, copy)} |"
                )
        lines.append(f"| {name} | all | {total:.1f} | 1 | | | | |")
    return "\n".join(lines)


def _shares(one: Mapping[str, float], peak: float, copy: float) -> str:
    if not one["gflop"]:
        return " | | | "
    seconds = one["ms"] / 1e3
    return (
        f"{one['gflop']:.2f} | {one['gflop'] / seconds / peak:.2f} | {one['gb']:.2f} | {one['gb'] / seconds / copy:.2f}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
