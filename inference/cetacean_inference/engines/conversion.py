"""Converts both networks for OpenVINO and notes what eager torch answers with them: the work of a process of its own.

`python -m cetacean_inference.engines.conversion DIRECTORY` reads the settings as JSON from standard input; the last
line that it prints says, as `Reason: message`, what it failed of.
"""

from __future__ import annotations

import ctypes
import json
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final, get_args

import numpy as np
import torch
from torch import nn

from cetacean_inference.engines.agreement import in_batches, pictures_of
from cetacean_inference.engines.base import NetworkName
from cetacean_inference.engines.eager import EagerEngine
from cetacean_inference.engines.memory import release_memory
from cetacean_inference.engines.openvino import openvino
from cetacean_inference.engines.record import Record, Recorded, origin, parts
from cetacean_inference.errors import CannotGoOn, CheckpointMismatch, GateUnavailable
from cetacean_inference.logs import configure
from cetacean_inference.models.loading import load_network
from cetacean_inference.models.network import Network
from cetacean_inference.settings import Settings, load_settings
from cetacean_inference.weights.fetch import locate_all, open_cache
from cetacean_inference.weights.verified import Verified

CANNOT_GO_ON: Final = 3
"""Exit status when the weights cannot be used at all, by whatever engine."""
DIE_WITH_PARENT: Final = 1
"""prctl's PR_SET_PDEATHSIG."""


def convert(settings: Settings, directory: Path) -> None:
    """Write both networks and their record into `directory`, one after the other: one at a time is in memory.

    Raises:
        errors.CannotGoOn: with the reason.
        EngineAbsent: when OpenVINO is not there.
    """
    files = locate_all(settings)
    recorded: dict[NetworkName, Recorded] = {}
    with Verified(open_cache(settings)) as verified:
        for name in get_args(NetworkName):
            network, side = load_network(name, settings, files=files, verified=verified)
            answers = eager_answers(name, network, side=side)
            save(network, *parts(directory, name), side=side)
            recorded[name] = Recorded.of(name, directory, side=side, answers=answers)
            del network
            release_memory()
    Record(made_from=origin(settings, files), networks=recorded).write(directory)


def eager_answers(name: NetworkName, network: nn.Module, *, side: int) -> list[float]:
    """What eager torch says of the pictures that engines are compared on, as `base.Converted.answers` has it.

    Raises:
        GateUnavailable, CheckpointMismatch: when it says no figures.
    """
    found = in_batches(EagerEngine(torch.device("cpu")).compile(network), pictures_of(name, side))
    if not np.isfinite(found).all():
        failure = GateUnavailable if name == "gate" else CheckpointMismatch
        raise failure(f"{name}: expected finite figures of drawn pictures, got others")
    answers: list[float] = (found if name == "gate" else found.argmax(axis=1)).tolist()
    return answers


def save(network: Network, trunk: Path, head: Path, *, side: int) -> None:
    """Trace both parts of a network and write them as OpenVINO reads them, in full precision.

    The trunk is written for one picture at a time, the head for any number.

    Raises:
        EngineAbsent: when OpenVINO is not there.
    """
    picture = torch.zeros((1, side, side, 3), dtype=torch.uint8)
    with torch.no_grad():
        features = network.trunk(picture)
    _save_part(network.trunk, trunk, example=picture, shape=picture.shape)
    _save_part(network.head, head, example=features, shape=(-1, *features.shape[1:]))


def _save_part(part: nn.Module, file: Path, *, example: torch.Tensor, shape: Sequence[int]) -> None:
    package = openvino()
    with warnings.catch_warnings(), torch.no_grad():
        # Newer torch would have us export, which takes several times as long; OpenVINO traces by itself.
        warnings.simplefilter("ignore")
        converted = package.convert_model(part, example_input=example, input=[package.PartialShape(list(shape))])
    package.save_model(converted, file, compress_to_fp16=False)


def main() -> int:
    """Settings on standard input, the directory as the argument."""
    settings = load_settings(**json.load(sys.stdin))
    configure(settings.log)
    try:
        convert(settings, Path(sys.argv[1]))
    except CannotGoOn as error:
        print(error.line)
        return CANNOT_GO_ON
    except Exception as error:  # noqa: BLE001 - told to the one who waits
        print(f"{type(error).__name__}: {' '.join(str(error).split())}")
        return 1
    return 0


if __name__ == "__main__":
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    sys.exit(main())
