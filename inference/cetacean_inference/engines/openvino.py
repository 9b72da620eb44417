"""OpenVINO on the CPU: the network is traced once, compiled for this very processor, and the torch weights let go.

It is compiled for one picture at a time: with every thread on one picture the processor is busy already, its caches
hold the layers between, and a fixed shape takes a fraction of the memory that batches of any size do.

An optional extra: where the package is missing the module still imports, and the engine says that it is absent.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from functools import cache
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import nn

from cetacean_inference.engines.base import EngineAbsent, Runner, Scored
from cetacean_inference.models.preprocessing import Pixels

Precision = Literal["bf16", "fp32"]
HINTS: Final = {"bf16": "bf16", "fp32": "f32"}
DEVICE: Final = "CPU"


@cache
def _openvino() -> Any:
    """The package, without the one that reports over the network that it is used.

    Raises:
        EngineAbsent: when it is not installed, or does not load here.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # what makes importing it fail
    try:
        return importlib.import_module("openvino")
    except (ImportError, OSError) as error:
        raise EngineAbsent(f"expected the package openvino (pip install 'cetacean[openvino]'), got: {error}") from error


class OpenVinoEngine:
    """Runs networks on the CPU in one stream, with every thread on one picture.

    Args:
        precision: of what is computed between the layers; inputs and outputs stay as they are.
        threads: how many compute.
    """

    def __init__(self, precision: Precision, *, threads: int) -> None:
        self._precision: Final = precision
        self._threads = threads

    @property
    def name(self) -> str:
        """`openvino-bf16` or `openvino-fp32`."""
        return f"openvino-{self._precision}"

    def compile(self, network: nn.Module, *, side: int) -> Runner:
        """Trace and compile; a batch is computed picture by picture.

        Raises:
            EngineAbsent: when OpenVINO is not there, or the processor does not compute in this precision.
        """
        openvino = _openvino()
        core = openvino.Core()
        # OpenVINO would emulate it, at a loss, where the processor has neither AVX512-BF16 nor AMX.
        if self._precision == "bf16" and "BF16" not in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"):
            raise EngineAbsent("expected a processor that computes in bfloat16, found none")
        compiled = core.compile_model(
            _converted(openvino, network, side=side),
            DEVICE,
            {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": HINTS[self._precision],
                "INFERENCE_NUM_THREADS": self._threads,
                # A container shares its processors: threads bound to one wait for whoever else is there.
                "ENABLE_CPU_PINNING": False,
            },
        )
        request = compiled.create_infer_request()

        def run(images: Pixels) -> Scored:
            results: list[Scored] = []
            for start in range(len(images)):
                request.infer([images[start : start + 1]], share_inputs=True)
                results.append(request.get_output_tensor(0).data.copy())
            return np.concatenate(results)

        return run


def _converted(openvino: Any, network: nn.Module, *, side: int) -> Any:
    example = torch.zeros((1, side, side, 3), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.no_grad():
        # Newer torch would have us export, which takes several times as long; OpenVINO traces by itself.
        warnings.simplefilter("ignore")
        shape = openvino.PartialShape([1, side, side, 3])
        return openvino.convert_model(network, example_input=example, input=[shape])
