"""Finds converted networks in the cache, or has another process convert those that are missing.

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
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Final, get_args

from cetacean_inference import errors
from cetacean_inference.engines import conversion_record
from cetacean_inference.engines.base import ConvertedNetwork, ConvertedNetworks
from cetacean_inference.engines.converted_size import largest_converted_size
from cetacean_inference.settings import Settings
from cetacean_inference.system.start_times import StartTimes
from cetacean_inference.types import NetworkName
from cetacean_inference.weights.cache import WeightsCache
from cetacean_inference.weights.fetch import WeightFiles

logger = logging.getLogger(__name__)

MODULE: Final = f"{__package__}.conversion"


def converted_networks(
    settings: Settings,
    *,
    files: WeightFiles,
    cache: WeightsCache,
    times: StartTimes,
    until_compiled: ExitStack,
    hold: Callable[[BufferedReader], object],
) -> ConvertedNetworks:
    """Return both networks in OpenVINO's format, with eager torch's outputs.

    Args:
        settings: all of them.
        files: the weights.
        cache: stores the converted networks, named by what they were made from.
        times: measures the conversion, and the verification of stored networks.
        until_compiled: removes the files when it ends, if they could not be stored.
        hold: gets an open file for each stored network, which is not evicted until that file is closed.

    Raises:
        errors.FatalError: the weights cannot be used by any engine.
        RuntimeError: only the conversion failed.
        OSError: there is no place to write to.
    """
    stored = _StoredNetworks(_origins(settings, files), cache, hold, times)
    with times.measure("convert"):
        if not (missing := stored.missing()):
            return stored.found
        try:
            with ExitStack() as locks:
                for name in missing:
                    timeout = settings.fetch.lock_timeout_seconds
                    locks.enter_context(cache.lock(stored.directory_name(name), timeout_seconds=timeout))
                if missing := stored.missing():  # those that no other pod converted meanwhile
                    _convert_into_cache(settings, files, stored, missing)
            if missing := stored.missing():
                raise RuntimeError(f"expected intact converted networks in {cache.derived}, got none of {missing}")
        except (OSError, errors.CacheFull) as error:
            # The volume is read-only or full: the next start converts again.
            logger.warning("the converted networks are not stored: %s", error)
            return stored.found | _convert_for_this_start(settings, stored, until_compiled)
        return stored.found


def weights_to_leave_unread(settings: Settings, cache: WeightsCache) -> frozenset[str]:
    """Return the digests of weights that `serve` does not read as a rule: the networks converted from them are stored.

    It reads them all the same if a converted network is damaged, or no engine agrees but eager torch.
    """
    if not _networks_are_converted(settings):
        return frozenset()
    return conversion_record.converted_weights(settings, cache.derived)


def make_room_for_conversion(settings: Settings, *, files: WeightFiles, cache: WeightsCache) -> None:
    """Evict files so that the converted networks will fit; does nothing if they are stored or will not be needed.

    `fetch` calls it, because a process that serves never evicts.
    """
    if not _networks_are_converted(settings):
        return
    directories = {name: conversion_record.directory_name(one) for name, one in _origins(settings, files).items()}
    missing = [name for name, directory in directories.items() if not (cache.derived / directory).is_dir()]
    if not missing:
        return
    try:
        cache.make_room(_size_bound(files, missing), purpose=_purpose(missing))
    except errors.CacheFull as error:
        logger.warning("the converted networks will not be stored: %s", error)


@dataclass(slots=True)
class _StoredNetworks:
    """The networks that are in the cache; `found` has those that were read so far."""

    origins: Mapping[NetworkName, conversion_record.Origin]
    cache: WeightsCache
    hold: Callable[[BufferedReader], object]
    times: StartTimes
    found: dict[NetworkName, ConvertedNetwork] = field(default_factory=dict)

    def directory_name(self, name: NetworkName) -> str:
        """Return the name of a network's directory."""
        return conversion_record.directory_name(self.origins[name])

    def missing(self) -> tuple[NetworkName, ...]:
        """Read the networks that were not found yet; return those that are not in the cache."""
        with self.times.measure("verify"):
            for name in self.origins:
                if name not in self.found and (network := self._read(name)) is not None:
                    self.found[name] = network
        return tuple(name for name in self.origins if name not in self.found)

    def _read(self, name: NetworkName) -> ConvertedNetwork | None:
        directory = self.directory_name(name)
        if (locked := self.cache.lock_derived(directory)) is None:
            return None
        self.hold(locked)
        return conversion_record.read(name, self.cache.derived / directory, made_from=self.origins[name])


def _networks_are_converted(settings: Settings) -> bool:
    return settings.engine.name != "torch-eager" and settings.engine.device != "cuda"


def _origins(settings: Settings, files: WeightFiles) -> dict[NetworkName, conversion_record.Origin]:
    names: tuple[NetworkName, ...] = get_args(NetworkName)
    return {name: conversion_record.origin(name, settings, files) for name in names}


def _convert_into_cache(
    settings: Settings, files: WeightFiles, stored: _StoredNetworks, missing: Collection[NetworkName]
) -> None:
    with ExitStack() as staging:
        directories = {
            name: staging.enter_context(stored.cache.staging_directory(stored.directory_name(name))) for name in missing
        }
        stored.cache.check_room(_size_bound(files, missing), purpose=_purpose(missing))
        _convert(settings, directories)


def _convert_for_this_start(
    settings: Settings, stored: _StoredNetworks, until_compiled: ExitStack
) -> dict[NetworkName, ConvertedNetwork]:
    directory = Path(until_compiled.enter_context(tempfile.TemporaryDirectory(prefix="networks-")))
    directories = {name: directory / name for name in stored.missing()}
    for one in directories.values():
        one.mkdir()
    try:
        _convert(settings, directories)
    except errors.CacheFull as error:
        raise RuntimeError(str(error)) from error  # an engine that needs no converted networks may still serve
    found: dict[NetworkName, ConvertedNetwork] = {}
    for name, one in directories.items():
        if (network := conversion_record.read(name, one, made_from=stored.origins[name])) is None:
            raise RuntimeError(f"expected an intact converted network in {one}, got none")
        found[name] = network
    return found


def _size_bound(files: WeightFiles, names: Collection[NetworkName]) -> int:
    return sum(largest_converted_size(files.of(name).path) for name in names)


def _purpose(names: Collection[NetworkName]) -> str:
    return f"converted {' and '.join(names)}"


def _convert(settings: Settings, directories: Mapping[NetworkName, Path]) -> None:
    begun = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", MODULE, *(f"{name}={directory}" for name, directory in directories.items())],
        input=settings.model_dump_json(),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        logger.info("converted the %s in %.1f s", " and the ".join(directories), time.monotonic() - begun)
        return
    line = (done.stdout.strip().splitlines() or ["no message"])[-1]
    reason, _, message = line.partition(": ")
    failure = getattr(errors, reason, None)
    if isinstance(failure, type) and issubclass(failure, errors.FatalError):
        raise failure(message)
    raise RuntimeError(f"converting ended with status {done.returncode}: {line}")
