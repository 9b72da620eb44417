"""Finds what was converted for OpenVINO in the cache, or has it converted by another process.

torch, the weights as it holds them and what converting leaves behind take gigabytes: they go with that process, and the
one that serves never loads them.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from cetacean_inference import errors
from cetacean_inference.engines import record
from cetacean_inference.engines.base import Converted, NetworkName
from cetacean_inference.settings import Settings
from cetacean_inference.weights.cache import WeightsCache
from cetacean_inference.weights.fetch import Files

logger = logging.getLogger(__name__)

MODULE: Final = f"{__package__}.conversion"

ConvertedNetworks = Mapping[NetworkName, Converted]


def converted_networks(
    settings: Settings, *, files: Files, cache: WeightsCache, until_compiled: ExitStack, while_serving: ExitStack
) -> ConvertedNetworks:
    """Both networks in OpenVINO's form, with eager torch's answers.

    Args:
        settings: all of them.
        files: the weights.
        cache: where what was converted is kept, by what it was made from.
        until_compiled: when it ends, files that cannot be kept are removed.
        while_serving: as long as it lasts, what is kept is not evicted.

    Raises:
        errors.CannotGoOn: when the weights cannot be used at all.
        RuntimeError: when only the conversion failed.
        OSError: when there is no place to write to.
    """
    made_from = record.origin(settings, files)
    name = record.name_of(made_from)
    if found := _kept(cache, name, made_from, while_serving):
        return found
    try:
        with cache.lock(name, timeout_seconds=settings.fetch.lock_timeout_seconds):
            if found := _kept(cache, name, made_from, while_serving):  # by another pod, meanwhile
                return found
            # What is read is smaller than what it is read from: names, optimiser states, the text tower are left out.
            needed = sum(blob.path.stat().st_size for blob in (files.checkpoint, files.gate_weights))
            with cache.staged(name) as directory:
                cache.make_room(needed, what=name)
                _convert(settings, directory)
        if found := _kept(cache, name, made_from, while_serving):
            return found
        raise RuntimeError(f"expected converted networks in {cache.derived / name}, got none that are whole")
    except (OSError, errors.CacheFull) as error:
        # A read-only mount, or a full one: they are converted again at the next start.
        logger.warning("what is converted is not kept: %s", error)
    directory = Path(until_compiled.enter_context(tempfile.TemporaryDirectory(prefix="networks-")))
    _convert(settings, directory)
    if found := record.read(directory, made_from=made_from):
        return found
    raise RuntimeError(f"expected converted networks in {directory}, got none that are whole")


def _kept(
    cache: WeightsCache, name: str, made_from: Mapping[str, str | int | None], while_serving: ExitStack
) -> ConvertedNetworks | None:
    if (held := cache.hold_derived(name)) is None:
        return None
    while_serving.enter_context(held)
    return record.read(cache.derived / name, made_from=made_from)


def _convert(settings: Settings, directory: Path) -> None:
    begun = time.monotonic()
    done = subprocess.run(  # noqa: S603 - ourselves
        [sys.executable, "-m", MODULE, str(directory)],
        input=settings.model_dump_json(),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        logger.info("converted both networks in %.1f s", time.monotonic() - begun)
        return
    line = (done.stdout.strip().splitlines() or ["it said nothing"])[-1]
    reason, _, message = line.partition(": ")
    failure = getattr(errors, reason, None)
    if isinstance(failure, type) and issubclass(failure, errors.CannotGoOn):
        raise failure(message)
    raise RuntimeError(f"converting ended with status {done.returncode}: {line}")
