"""Finds converted networks in the cache, or has another process convert them.

Converting needs torch, the weights as torch holds them, and gigabytes of working memory. All of it ends with that
process; the one that serves never loads it.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from cetacean_inference import errors
from cetacean_inference.engines import conversion_record
from cetacean_inference.engines.base import ConvertedNetworks
from cetacean_inference.settings import Settings
from cetacean_inference.weights.cache import WeightsCache
from cetacean_inference.weights.fetch import WeightFiles

logger = logging.getLogger(__name__)

MODULE: Final = f"{__package__}.conversion"


def converted_networks(
    settings: Settings, *, files: WeightFiles, cache: WeightsCache, until_compiled: ExitStack, while_serving: ExitStack
) -> ConvertedNetworks:
    """Return both networks in OpenVINO's format, with eager torch's outputs.

    Args:
        settings: all of them.
        files: the weights.
        cache: stores the converted networks, named by what they were made from.
        until_compiled: removes the files when it ends, if they could not be stored.
        while_serving: keeps stored files from being evicted as long as it lasts.

    Raises:
        errors.FatalError: the weights cannot be used by any engine.
        RuntimeError: only the conversion failed.
        OSError: there is no place to write to.
    """
    made_from = conversion_record.origin(settings, files)
    name = conversion_record.directory_name(made_from)
    if found := _find(cache, name, made_from, while_serving):
        return found
    try:
        with cache.lock(name, timeout_seconds=settings.fetch.lock_timeout_seconds):
            if found := _find(cache, name, made_from, while_serving):  # another pod converted them meanwhile
                return found
            with cache.staging_directory(name) as directory:
                cache.check_room(_size_bound(files), purpose=name)
                _convert(settings, directory)
        if found := _find(cache, name, made_from, while_serving):
            return found
        raise RuntimeError(f"expected intact converted networks in {cache.derived / name}, got none")
    except (OSError, errors.CacheFull) as error:
        # The volume is read-only or full: the next start converts again.
        logger.warning("the converted networks are not stored: %s", error)
    directory = Path(until_compiled.enter_context(tempfile.TemporaryDirectory(prefix="networks-")))
    _convert(settings, directory)
    if found := conversion_record.read(directory, made_from=made_from):
        return found
    raise RuntimeError(f"expected intact converted networks in {directory}, got none")


def make_room_for_conversion(settings: Settings, *, files: WeightFiles, cache: WeightsCache) -> None:
    """Evict files so that the converted networks will fit; does nothing if they are stored or will not be needed.

    `fetch` calls it, because a process that serves never evicts.
    """
    if settings.engine.name == "torch-eager":
        return
    name = conversion_record.directory_name(conversion_record.origin(settings, files))
    if (cache.derived / name).is_dir():
        return
    try:
        cache.make_room(_size_bound(files), purpose=name)
    except errors.CacheFull as error:
        logger.warning("the converted networks will not be stored: %s", error)


def _size_bound(files: WeightFiles) -> int:
    # Converted networks are smaller than their weights: names, optimiser states and the text tower are left out.
    return sum(blob.path.stat().st_size for blob in (files.checkpoint, files.gate_weights))


def _find(
    cache: WeightsCache, name: str, made_from: conversion_record.Origin, while_serving: ExitStack
) -> ConvertedNetworks | None:
    if (locked := cache.lock_derived(name)) is None:
        return None
    while_serving.enter_context(locked)
    return conversion_record.read(cache.derived / name, made_from=made_from)


def _convert(settings: Settings, directory: Path) -> None:
    begun = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own module
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
    line = (done.stdout.strip().splitlines() or ["no message"])[-1]
    reason, _, message = line.partition(": ")
    failure = getattr(errors, reason, None)
    if isinstance(failure, type) and issubclass(failure, errors.FatalError):
        raise failure(message)
    raise RuntimeError(f"converting ended with status {done.returncode}: {line}")
