"""Times engines on this processor, and keeps the times beside the converted networks.

Which precision is the fastest depends on the processor: one that has bfloat16 may compute float32 faster. So the
engines that agree are timed once for each kind of processor, and later starts compile only the fastest.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, TypeAdapter, ValidationError

from cetacean_inference.engines.base import Runner
from cetacean_inference.imaging.preprocessing import Pixels
from cetacean_inference.system.processor import processor_model
from cetacean_inference.types import NetworkName

logger = logging.getLogger(__name__)

Clock = Callable[[], float]
"""Returns seconds; only differences count."""

PICTURES: Final = 4
SECONDS: Final = 0.2
"""For one engine and one network, or as long as two runs take."""
_FILE: Final = "engine-times.json"
_MAX_BYTES: Final = 64 * 1024
_Milliseconds = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
_TIMES: Final = TypeAdapter(dict[str, dict[NetworkName, dict[str, _Milliseconds]]])


def picture_ms(run: Runner, pictures: Pixels, *, clock: Clock = time.perf_counter) -> float:
    """Return the milliseconds for one picture, in the fastest of several runs: other work only makes a run longer."""
    ends, runs = clock() + SECONDS, list[float]()
    while len(runs) < 2 or clock() < ends:
        begun = clock()
        run(pictures)
        runs.append(clock() - begun)
    return min(runs) / len(pictures) * 1e3


class EngineTimes:
    """Milliseconds for one picture, by network and engine, for one kind of processor and number of threads.

    Args:
        directory: of the converted networks. If its file cannot be read or written, the times are measured again at
            the next start.
        threads: number of threads that compute.
        processor: the processor's model.
    """

    def __init__(self, directory: Path, *, threads: int, processor: str | None = None) -> None:
        self._file: Final = directory / _FILE
        self._key: Final = f"{processor or processor_model()}; {threads} threads"

    def read(self, network: NetworkName) -> Mapping[str, float]:
        """Return the times of engines measured before."""
        return self._read().get(self._key, {}).get(network, {})

    def add(self, network: NetworkName, times: Mapping[str, float]) -> None:
        """Add times of one network; processes that add at the same time may lose each other's."""
        every = self._read()
        every.setdefault(self._key, {}).setdefault(network, {}).update(times)
        try:
            with tempfile.NamedTemporaryFile(
                "w", dir=self._file.parent, prefix=f".{_FILE}-", encoding="utf-8", delete=False
            ) as file:
                json.dump(every, file, indent=2)
            Path(file.name).replace(self._file)
        except OSError as error:
            logger.info("the times of the engines are not stored, the next start measures them again: %s", error)

    def _read(self) -> dict[str, dict[NetworkName, dict[str, float]]]:
        try:
            with self._file.open("rb") as file:
                return _TIMES.validate_json(file.read(_MAX_BYTES))
        except (OSError, ValidationError):
            return {}
