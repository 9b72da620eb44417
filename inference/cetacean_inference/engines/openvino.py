"""OpenVINO on the CPU: compiles a converted network for this processor.

The trunk is compiled for one picture: a fixed shape takes a fraction of the memory of a dynamic batch. Up to four
processors share a picture; more compute several pictures. The head computes the whole batch, always in float32:
bfloat16 has eight bits for a cosine that is scaled by a hundred.

The package is an optional extra: without it this module still imports, and the engine raises `EngineAbsent`.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, Final, Literal

import numpy as np

from cetacean_inference.engines.base import ConvertedNetwork, EngineAbsent, Outputs, Runner
from cetacean_inference.imaging.preprocessing import Pixels
from cetacean_inference.system.signal_stack import kept_signal_stack

Precision = Literal["bf16", "fp32"]
HINTS: Final = {"bf16": "bf16", "fp32": "f32"}
DEVICE: Final = "CPU"
THREADS_PER_PICTURE: Final = 4
"""With more threads on one picture, they wait for each other between layers."""
MAX_STREAMS: Final = 4
"""Pictures of one network that are computed at once; each needs its own memory."""


@cache
def openvino() -> Any:
    """Import the package without its telemetry, which would report usage over the network.

    Raises:
        EngineAbsent: it is not installed, or cannot be loaded.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] # makes its import fail
    try:
        return importlib.import_module("openvino")
    except (ImportError, OSError) as error:
        raise EngineAbsent(f"expected the package openvino (pip install 'cetacean[openvino]'), got: {error}") from error


class OpenVinoEngine:
    """Runs networks on the CPU.

    Args:
        precision: of the trunk.
        threads: number of threads that compute.
    """

    def __init__(self, precision: Precision, *, threads: int) -> None:
        self._precision: Final = precision
        self._threads = threads

    @property
    def name(self) -> str:
        """`openvino-bf16` or `openvino-fp32`."""
        return f"openvino-{self._precision}"

    def compile(self, network: ConvertedNetwork) -> Runner:
        """Read and compile; the files are memory-mapped and may be removed afterwards.

        Raises:
            EngineAbsent: OpenVINO is not available, or the processor does not support the precision.
        """
        with kept_signal_stack():
            return self._compile(network)

    def _compile(self, network: ConvertedNetwork) -> Runner:
        package = openvino()
        core = package.Core()
        # Without AVX512-BF16 or AMX, OpenVINO would emulate it, which is slower.
        if self._precision == "bf16" and "BF16" not in core.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"):
            raise EngineAbsent("expected a processor that computes in bfloat16, found none")
        streams = min(-(-self._threads // THREADS_PER_PICTURE), MAX_STREAMS)
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
    """Give each calling thread its own requests; all share the streams of the compiled network."""
    local = threading.local()

    def run(images: Pixels) -> Outputs:
        with kept_signal_stack():
            return compute(images)

    def compute(images: Pixels) -> Outputs:
        if not hasattr(local, "requests"):
            local.requests = requests()
        trunk, head = local.requests
        features: list[Outputs | None] = [None] * len(images)

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
        outputs: Outputs = head.get_output_tensor(0).data.copy()
        return outputs

    return run
