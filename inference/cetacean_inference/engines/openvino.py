"""OpenVINO on the CPU: a converted network, compiled for this very processor.

The trunk is compiled for one picture at a time: a fixed shape takes a fraction of the memory that batches of any size
do. Up to four processors share a picture; more compute several. The head is computed for the whole batch and always in
float32: bfloat16 has eight bits for a cosine that is scaled by a hundred.

An optional extra: where the package is missing the module still imports, and the engine says that it is absent.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, Final, Literal

import numpy as np

from cetacean_inference.engines.base import Converted, EngineAbsent, Runner, Scored
from cetacean_inference.models.preprocessing import Pixels

Precision = Literal["bf16", "fp32"]
HINTS: Final = {"bf16": "bf16", "fp32": "f32"}
DEVICE: Final = "CPU"
SHARING: Final = 4
"""Processors that compute one picture: with more of them, more and more wait for each other between two layers."""
MOST_STREAMS: Final = 4
"""Pictures of one network that are computed at once; each has memory of its own."""


@cache
def openvino() -> Any:
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
    """Runs networks on the CPU.

    Args:
        precision: of what is computed in the trunk.
        threads: how many compute.
    """

    def __init__(self, precision: Precision, *, threads: int) -> None:
        self._precision: Final = precision
        self._threads = threads

    @property
    def name(self) -> str:
        """`openvino-bf16` or `openvino-fp32`."""
        return f"openvino-{self._precision}"

    def compile(self, network: Converted) -> Runner:
        """Read and compile; the weights' files are mapped and may be removed afterwards.

        Raises:
            EngineAbsent: when OpenVINO is not there, or the processor does not compute in this precision.
        """
        package = openvino()
        core = package.Core()
        # OpenVINO would emulate it, at a loss, where the processor has neither AVX512-BF16 nor AMX.
        if self._precision == "bf16" and "BF16" not in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"):
            raise EngineAbsent("expected a processor that computes in bfloat16, found none")
        streams = min(-(-self._threads // SHARING), MOST_STREAMS)
        shared = {"INFERENCE_NUM_THREADS": self._threads, "ENABLE_CPU_PINNING": False}
        trunk = core.compile_model(
            core.read_model(network.trunk),
            DEVICE,
            {**shared, "INFERENCE_PRECISION_HINT": HINTS[self._precision], "NUM_STREAMS": streams},
        )
        head = core.compile_model(
            core.read_model(network.head), DEVICE, {**shared, "INFERENCE_PRECISION_HINT": HINTS["fp32"]}
        )
        return _runner(lambda: (package.AsyncInferQueue(trunk, streams), head.create_infer_request()))


def _runner(requests: Callable[[], tuple[Any, Any]]) -> Runner:
    """Each thread that computes has requests of its own; the streams that serve them are the compiled network's."""
    own = threading.local()

    def run(images: Pixels) -> Scored:
        if not hasattr(own, "requests"):
            own.requests = requests()
        trunk, head = own.requests
        features: list[Scored | None] = [None] * len(images)

        def keep(request: Any, number: int) -> None:
            features[number] = request.get_output_tensor(0).data.copy()

        trunk.set_callback(keep)
        for number in range(len(images)):
            trunk.start_async([images[number : number + 1]], userdata=number, share_inputs=True)
        trunk.wait_all()
        found = [one for one in features if one is not None]
        if len(found) != len(images):
            raise RuntimeError(f"OpenVINO: expected {len(images)} results, got {len(found)}")
        head.infer([np.concatenate(found)], share_inputs=True)
        told: Scored = head.get_output_tensor(0).data.copy()
        return told

    return run
