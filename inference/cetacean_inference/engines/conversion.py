"""Converts networks for OpenVINO and records eager torch's outputs; runs as a process of its own.

`python -m cetacean_inference.engines.conversion gate=DIRECTORY identification=DIRECTORY` converts one or both. It reads
the settings as JSON from standard input. If it fails, the last line on standard output is `Reason: message`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, get_args

import numpy as np
import torch
from torch import nn

from cetacean_inference.engines.agreement import comparison_inputs, run_in_batches
from cetacean_inference.engines.base import Outputs
from cetacean_inference.engines.conversion_record import (
    ConversionRecord,
    origin,
    parts,
    reference_file,
)
from cetacean_inference.engines.eager import EagerEngine
from cetacean_inference.engines.openvino import openvino
from cetacean_inference.errors import CacheFull, CheckpointMismatch, FatalError, GateUnavailable
from cetacean_inference.log_setup import configure
from cetacean_inference.messages import with_type
from cetacean_inference.models.loading import load_network
from cetacean_inference.models.network import Network
from cetacean_inference.settings import Settings, load_settings
from cetacean_inference.system.memory import release_memory
from cetacean_inference.system.volumes import has_room
from cetacean_inference.types import NetworkName
from cetacean_inference.weights.fetch import locate_all, open_verified

EXIT_FATAL: Final = 3
"""Exit status if no engine can use the weights."""
FLOAT32_BYTES: Final = 4
ROOM_FOR_THE_REST: Final = 2**20
"""Bytes of the network's structure, and of eager torch's outputs."""
PR_SET_PDEATHSIG: Final = 1
"""prctl's option for the signal that a process gets when its parent ends."""


def convert(settings: Settings, directories: Mapping[NetworkName, Path]) -> None:
    """Write networks and their records into a directory each; only one network at a time is in memory.

    Raises:
        errors.FatalError: with the reason; CacheFull if a directory's volume has no room.
        EngineAbsent: OpenVINO is not available.
    """
    files = locate_all(settings)
    with open_verified(settings) as verified:
        for name, directory in directories.items():
            network, side = load_network(name, settings, files=files, verified=verified)
            reference = reference_outputs(name, network, side=side)
            with _reporting_a_full_volume(name, network, directory):
                np.save(reference_file(directory, name), reference)
                save(network, *parts(directory, name), side=side)
                made_from = origin(name, settings, files)
                ConversionRecord.of(name, directory, side=side, made_from=made_from).write(directory)
            del network
            release_memory()


@contextlib.contextmanager
def _reporting_a_full_volume(name: NetworkName, network: nn.Module, directory: Path) -> Iterator[None]:
    """Raise CacheFull for any error if the network does not fit: OpenVINO and NumPy do not say why a write failed."""
    try:
        yield
    except Exception as error:
        needed = sum(one.numel() * FLOAT32_BYTES for one in network.parameters()) + ROOM_FOR_THE_REST
        if has_room(directory, needed):
            raise
        raise CacheFull(f"converted {name}: needs {needed} bytes in {directory.parent}, got less ({error})") from error


def reference_outputs(name: NetworkName, network: nn.Module, *, side: int) -> Outputs:
    """Compute the comparison pictures with eager torch, as in `base.ConvertedNetwork.reference`.

    Raises:
        GateUnavailable, CheckpointMismatch: an output is not finite.
    """
    found = run_in_batches(EagerEngine(torch.device("cpu")).compile(network), comparison_inputs(name, side))
    if not np.isfinite(found).all():
        failure = GateUnavailable if name == "gate" else CheckpointMismatch
        raise failure(f"{name}: expected finite outputs for generated pictures, got others")
    return found


def save(network: Network, trunk: Path, head: Path, *, side: int) -> None:
    """Trace both parts of a network and write them in OpenVINO's format, in full precision.

    The trunk is written for one picture at a time, the head for any number.

    Raises:
        EngineAbsent: OpenVINO is not available.
    """
    picture = torch.zeros((1, side, side, 3), dtype=torch.uint8)
    with torch.no_grad():
        features = network.trunk(picture)
    _save_part(network.trunk, trunk, example=picture, shape=picture.shape)
    _save_part(network.head, head, example=features, shape=(-1, *features.shape[1:]))


def _save_part(part: nn.Module, file: Path, *, example: torch.Tensor, shape: Sequence[int]) -> None:
    package = openvino()
    with warnings.catch_warnings(), torch.no_grad():
        # torch recommends exporting, which takes several times as long; OpenVINO traces the module itself.
        warnings.simplefilter("ignore")
        converted = package.convert_model(part, example_input=example, input=[package.PartialShape(list(shape))])
    package.save_model(converted, file, compress_to_fp16=False)


def _directories(arguments: Sequence[str]) -> dict[NetworkName, Path]:
    given = dict(argument.split("=", 1) for argument in arguments)
    return {name: Path(given[name]) for name in get_args(NetworkName) if name in given}


def main() -> int:
    """Convert the networks of the arguments; the settings come from standard input."""
    settings = load_settings(**json.load(sys.stdin))
    configure(settings.log)
    try:
        convert(settings, _directories(sys.argv[1:]))
    except FatalError as error:
        print(error.line)
        return EXIT_FATAL
    except Exception as error:  # noqa: BLE001 - reported to the parent process
        print(with_type(error))
        return 1
    return 0


if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    sys.exit(main())
