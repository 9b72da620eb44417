"""Fetches the files of one pod into the cache (`fetch_all`) and finds them there without a network (`locate_all`)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Final, Self, TypeVar

from cetacean_inference.errors import (
    CacheFull,
    CheckpointMismatch,
    DigestMismatch,
    FatalError,
    GateUnavailable,
    WeightsDenied,
    WeightsEvicted,
    WeightsNotFound,
    WeightsTooLarge,
    WeightsTruncated,
    WeightsUnreachable,
)
from cetacean_inference.messages import with_type
from cetacean_inference.settings import FetchSettings, GateSettings, Settings
from cetacean_inference.system.start_times import StartTimes
from cetacean_inference.types import NetworkName
from cetacean_inference.weights.blob import Blob, digest_of
from cetacean_inference.weights.cache import RecordedFile, Ref, WeightsCache
from cetacean_inference.weights.download import Download
from cetacean_inference.weights.file_sets import FileSet, WantedFile, gate_files, key_of, mask_files, model_files
from cetacean_inference.weights.sources import source_of
from cetacean_inference.weights.sources.source import NotModified, Present
from cetacean_inference.weights.unverified_pickles import require_digest_of_pickle
from cetacean_inference.weights.verified import VerifiedFiles
from cetacean_registry.urls import redacted

logger = logging.getLogger(__name__)

T = TypeVar("T")
REFRESHES: Final = 4
"""How often the time of use is set within `keep_unused_seconds`.

By default every 150 s, so the files of a container that has ended are protected for 450 s more. The kubelet waits for
300 s at most before it restarts the container.
"""


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files that one pod serves from."""

    checkpoint: Blob
    classes: Blob
    species: Blob
    gate_weights: Blob
    gate_config: Blob | None = None

    def all(self) -> tuple[Blob, ...]:
        """Return all of them."""
        config = () if self.gate_config is None else (self.gate_config,)
        return (self.checkpoint, self.classes, self.species, self.gate_weights, *config)

    def of(self, network: NetworkName) -> Blob:
        """Return the weights of a network."""
        return self.gate_weights if network == "gate" else self.checkpoint


def open_cache(settings: Settings) -> WeightsCache:
    """Return the cache of files whose digests the settings name; others may write to it if it is shared."""
    return _cache_in(settings.weights_cache, settings)


def open_own_cache(settings: Settings) -> WeightsCache:
    """Return the cache of everything that no digest protects: other files, refs to them, converted networks.

    It is the same unless the weights cache is shared with pods that are not trusted.
    """
    return _cache_in(settings.own_cache if settings.fetch.shared_cache else settings.weights_cache, settings)


def open_verified(settings: Settings) -> VerifiedFiles:
    """Return the verified files of both caches; a context manager."""
    keep = settings.fetch.keep_unused_seconds
    refresh = max(1.0, keep / REFRESHES) if keep else None
    return VerifiedFiles(open_cache(settings), own=open_own_cache(settings), refresh_seconds=refresh)


def _cache_in(root: Path, settings: Settings) -> WeightsCache:
    return WeightsCache(
        root,
        limit_bytes=settings.fetch.cache_limit_bytes,
        keep_unused_seconds=settings.fetch.keep_unused_seconds,
    )


@contextmanager
def fetching(
    settings: Settings, *, times: StartTimes | None = None, unread: Collection[str] = ()
) -> Iterator[WeightFiles]:
    """Download and verify the files that are not in the cache; evicts others if there is no room.

    No other process evicts them until the context ends. If it ends without an error, `locate_all` finds them from then
    on. So files that are refused within it, because of their signature for instance, are not served by a container that
    restarts.

    Args:
        settings: all of them.
        times: measures the download and the verification of files that were there.
        unread: digests of files that nobody will read if they are there, for instance because the networks that were
            converted from them are there too. These are not hashed: on a slow volume that takes most of a start.
            `VerifiedFiles` hashes them if they are read all the same.

    Raises:
        errors.FatalError: with the reason; no unverified file is left under a verified name.
    """
    caches, check = _Caches.of(settings), _Check(times or StartTimes(), unread)
    caches.prepare()
    with ExitStack() as held:
        sets: dict[FileSet, list[Blob]] = {}

        def fetched(files: FileSet) -> list[Blob]:
            sets[files] = _fetch_set(files, caches, settings.fetch, check, held)
            return sets[files]

        unverified = settings.fetch.allow_unverified_pickle
        checkpoint, classes, species = fetched(model_files(settings.model))
        require_digest_of_pickle(checkpoint, sha256=settings.model.sha256, allowed=unverified)
        try:
            *config, gate_weights = fetched(gate_files(settings.gate))
            require_digest_of_pickle(gate_weights, sha256=settings.gate.sha256, allowed=unverified)
        except (WeightsNotFound, WeightsDenied, WeightsUnreachable, CheckpointMismatch) as error:
            raise GateUnavailable(str(error)) from error
        if settings.mask.enabled:
            fetched(mask_files(settings.mask))
        yield WeightFiles(checkpoint, classes, species, gate_weights, *config)
        for files, blobs in sets.items():
            caches.record(files, blobs)
            caches.mark_used(files, blobs)


def fetch_all(settings: Settings, *, times: StartTimes | None = None) -> WeightFiles:
    """Fetch the files as `fetching` does, if there is nothing to check before they may be served."""
    with fetching(settings, times=times) as files:
        return files


def fetch_gate(gate: GateSettings, *, cache: WeightsCache, settings: FetchSettings) -> tuple[Blob | None, Blob]:
    """Fetch the gate alone; returns its configuration, if it has one, and its weights.

    Raises:
        errors.FatalError: with the reason.
    """
    caches, files = _Caches(cache, cache), gate_files(gate)
    with ExitStack() as held:
        *config, weights = blobs = _fetch_set(files, caches, settings, _Check(), held)
        caches.record(files, blobs)
    return (config[0] if config else None), weights


def locate_all(settings: Settings) -> WeightFiles:
    """Find the files of the last `fetching` that ended well; needs no network.

    Raises:
        WeightsNotFound, GateUnavailable: there was no such fetch.
        WeightsEvicted: a file was evicted since then.
    """
    caches = _Caches.of(settings)
    checkpoint, classes, species = caches.locate(model_files(settings.model))
    try:
        *config, gate_weights = caches.locate(gate_files(settings.gate))
    except WeightsNotFound as error:
        raise GateUnavailable(str(error)) from error
    return WeightFiles(checkpoint, classes, species, gate_weights, *config)


def restore_all(settings: Settings, *, verify: bool = False) -> None:
    """Fetch what was evicted since `fetching` ended well; needs no network if nothing was.

    The digests are those that `fetching` has found, so the files are the ones that were checked, by their signature for
    instance. `serve` needs it: Kubernetes does not run an init container again if only another container restarts.

    Args:
        settings: all of them.
        verify: hash the files that are there, and fetch damaged ones again too.

    Raises:
        WeightsUnreachable, WeightsTruncated: a later start may succeed.
        WeightsEvicted: a file cannot be fetched again; the message says why, and what to do.
    """
    caches = _Caches.of(settings)
    sets = [model_files(settings.model), gate_files(settings.gate)]
    if settings.mask.enabled:
        sets.append(mask_files(settings.mask))
    recorded = {file: digest for files in sets for file, digest in caches.recorded(files).items()}
    with ExitStack() as held:
        # All that is there is held first: the room for the rest must not be made from it.
        missing = [file for file, digest in recorded.items() if not _hold(digest, caches.holder(file), held)]
        for file in recorded if verify else missing:
            cache = caches.holder(file)
            if file in missing:
                logger.warning("%s: no longer in the cache %s, fetching it again", redacted(file.url), cache.root)
            try:
                _fetch(
                    file.url,
                    sha256=recorded[file],
                    cache=cache,
                    settings=_bounds(file, settings.fetch),
                    check=_Check(),
                )
            except (WeightsUnreachable, WeightsTruncated):
                raise
            except FatalError as error:
                raise WeightsEvicted(
                    f"{redacted(file.url)}: evicted from the cache {cache.root} since this pod has fetched it, or "
                    f"damaged there, and it cannot be fetched again ({error.line}) - delete the pod: its successor "
                    "fetches all files"
                ) from error
            _hold(recorded[file], cache, held)


def load_intact(load: Callable[[Settings], T], settings: Settings) -> T:
    """Load files of the cache; if one is damaged there, verify all, fetch the damaged ones again and load once more.

    Otherwise the container would end with the reason of a model whose digest is wrong, which is final.

    Args:
        load: opens the files with `open_verified`, which finds damage.
        settings: for `load`.
    """
    try:
        return load(settings)
    except (DigestMismatch, WeightsTooLarge) as error:
        damage = str(error)
    # Not above: there the error keeps what was loaded so far in memory, a compiled network for instance.
    logger.warning("%s; verifying all files, and fetching those again that are damaged", damage)
    restore_all(settings, verify=True)
    return load(settings)


def locate_mask(settings: Settings) -> Blob:
    """Find the network that makes masks in the cache.

    Raises:
        WeightsNotFound: it was not fetched.
        WeightsEvicted: it was evicted since then.
    """
    (blob,) = _Caches.of(settings).locate(mask_files(settings.mask))
    return blob


@dataclass(frozen=True, slots=True)
class _Caches:
    """The cache of files whose digests the settings name, and the one of all else, which has the records."""

    named: WeightsCache
    own: WeightsCache

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(open_cache(settings), open_own_cache(settings))

    def prepare(self) -> None:
        for cache in (self.named, self.own):
            cache.prepare()

    def holder(self, file: WantedFile) -> WeightsCache:
        return self.named if file.sha256 else self.own

    def record(self, files: FileSet, blobs: Sequence[Blob]) -> None:
        """Record that these blobs belong together."""
        try:
            self.own.write_set(key_of(files), (RecordedFile(blob.url, blob.sha256) for blob in blobs))
        except OSError as error:
            raise _unwritable(files[0].url, self.own, error) from error

    def mark_used(self, files: FileSet, blobs: Sequence[Blob]) -> None:
        """Set the times of use to now."""
        for file, blob in zip(files, blobs, strict=True):
            self.holder(file).mark_used(blob.sha256)

    def recorded(self, files: FileSet) -> dict[WantedFile, str]:
        """Return the digest of each file by the last record; empty if there is none, or one of other digests."""
        found = self.own.read_set(key_of(files)) or ()
        fits = len(found) == len(files) and all(
            file.sha256 in (None, one.sha256) for file, one in zip(files, found, strict=True)
        )
        return {file: one.sha256 for file, one in zip(files, found, strict=True)} if fits else {}

    def locate(self, files: FileSet) -> list[Blob]:
        """Find a set in the cache.

        Raises:
            WeightsNotFound: it has no record.
            WeightsEvicted: a file of it is not in the cache any more.
        """
        if not (recorded := self.recorded(files)):
            weights = next(file for file in files if not file.small)
            root = self.holder(weights).root
            raise WeightsNotFound(
                f"{redacted(weights.url)}: expected it in the cache {root} (run fetch first), got nothing"
            )
        blobs = []
        for file, digest in recorded.items():
            cache = self.holder(file)
            if (path := cache.find(digest)) is None:
                raise WeightsEvicted(
                    f"{redacted(file.url)}: evicted from the cache {cache.root} since it was fetched - run fetch again"
                )
            blobs.append(Blob(redacted(file.url), digest, path))
        return blobs


@dataclass(frozen=True, slots=True)
class _Check:
    """How files that are in the cache already are verified."""

    times: StartTimes = field(default_factory=StartTimes)
    unread: Collection[str] = ()
    """Digests of files that are not hashed."""

    def found(self, stream: BufferedReader, sha256: str) -> str:
        """Return the digest of an open file that is expected to have this one."""
        if sha256 in self.unread:
            return sha256
        with self.times.measure("verify"):
            return digest_of(stream)


def _fetch_set(files: FileSet, caches: _Caches, settings: FetchSettings, check: _Check, held: ExitStack) -> list[Blob]:
    """Fetch files that belong together: as they are now, or all of them as they were last fetched together.

    They are not evicted until `held` ends.
    """

    def fetched(file: WantedFile) -> Blob:
        cache, bounds = caches.holder(file), _bounds(file, settings)
        while True:
            with check.times.measure("fetch"):
                blob = _fetch(file.url, sha256=file.sha256, cache=cache, settings=bounds, check=check)
            if _hold(blob.sha256, cache, held):
                return blob
            logger.warning("%s: evicted at once (sha256:%s), fetching it again", blob.url, blob.sha256)

    try:
        return [fetched(file) for file in files]
    except WeightsUnreachable as error:
        earlier = [
            _find_intact(file.url, digest, caches.holder(file), held, check)
            for file, digest in caches.recorded(files).items()
        ]
        found = [blob for blob in earlier if blob]
        if len(found) < len(files):
            raise
        named = ", ".join(f"{blob.url} sha256:{blob.sha256}" for blob in found)
        logger.warning("%s; using the files that were last fetched together: %s", error, named)
        return found


def _bounds(file: WantedFile, settings: FetchSettings) -> FetchSettings:
    return settings.of_companions() if file.small else settings


def _hold(sha256: str, cache: WeightsCache, held: ExitStack) -> bool:
    """Lock a blob until `held` ends; false if it is not in the cache."""
    try:
        stream = held.enter_context(cache.open_locked(sha256))
    except FileNotFoundError:
        return False
    return cache.is_current(stream, sha256)


def fetch(
    url: str, *, sha256: str | None, cache: WeightsCache, settings: FetchSettings, times: StartTimes | None = None
) -> Blob:
    """Download one file into the cache, unless an intact copy is there; it must not belong to other files.

    Without a digest, a conditional request checks that the cached file is still current. If the server cannot be
    reached, the cached file is used.

    Args:
        url: of the file.
        sha256: its digest, None if nobody has given it.
        cache: holds the file.
        settings: bounds and retries.
        times: measures the verification of a file that was there.

    Raises:
        errors.FatalError: with the reason.
    """
    check = _Check(times or StartTimes())
    try:
        return _fetch(url, sha256=sha256, cache=cache, settings=settings, check=check)
    except WeightsUnreachable as error:
        with ExitStack() as opened:
            ref = None if sha256 else cache.read_ref(url)
            blob = _find_intact(url, ref.sha256, cache, opened, check) if ref else None
        if blob is None:
            raise
        logger.warning("%s; using the cached file, sha256:%s", error, blob.sha256)
        return blob


def _fetch(url: str, *, sha256: str | None, cache: WeightsCache, settings: FetchSettings, check: _Check) -> Blob:
    """Download one file as `fetch` does; a server that cannot be reached is an error.

    Raises:
        errors.FatalError: with the reason.
    """
    try:
        return _fetch_locked(url, sha256=sha256, cache=cache, settings=settings, check=check)
    except FatalError:
        raise
    except OSError as error:
        raise _unwritable(url, cache, error) from error
    except Exception as error:
        raise WeightsUnreachable(f"{redacted(url)}: {redacted(with_type(error))}") from error


def _unwritable(url: str, cache: WeightsCache, error: OSError) -> CacheFull:
    return CacheFull(f"{redacted(url)}: cannot write in {cache.root}: {error.strerror or error}")


def _fetch_locked(url: str, *, sha256: str | None, cache: WeightsCache, settings: FetchSettings, check: _Check) -> Blob:
    key = sha256 or url
    with cache.lock(key, timeout_seconds=settings.lock_timeout_seconds), ExitStack() as opened:
        if sha256 and (blob := _find_intact(url, sha256, cache, opened, check, remove_damaged=True)):
            cache.write_ref(Ref(url, sha256))
            return blob
        ref = None if sha256 else cache.read_ref(url)
        if ref and not _find_referenced(url, ref, cache, opened, check):
            ref = None
        try:
            return _download(url, sha256=sha256, ref=ref, key=key, cache=cache, settings=settings)
        except NotModified:
            assert ref is not None  # noqa: S101 - only a request with the ref has this answer
            logger.info("%s: not modified, sha256:%s", redacted(url), ref.sha256)
        return Blob(redacted(url), ref.sha256, cache.mark_used(ref.sha256))


def _download(
    url: str, *, sha256: str | None, ref: Ref | None, key: str, cache: WeightsCache, settings: FetchSettings
) -> Blob:
    partial, shown = cache.partial(key), redacted(url)
    download = Download(
        source_of(url, settings), partial=partial, reserve=lambda needed: cache.make_room(needed, purpose=shown)
    )
    done = download.run(present=_present(ref, cache) if ref else None)
    if sha256 and done.sha256 != sha256 and done.resumed:
        # The bytes of the interrupted download may be damaged: download once more from the first byte.
        logger.warning("%s: resumed, and got sha256:%s instead of sha256:%s; starting over", shown, done.sha256, sha256)
        download.remove_partial()
        done = download.run()
    if sha256 and done.sha256 != sha256:
        download.remove_partial()
        raise DigestMismatch(f"{shown}: expected sha256:{sha256}, got sha256:{done.sha256}")
    path = cache.commit(partial, done.sha256)
    cache.write_ref(Ref(url, done.sha256, done.etag, done.last_modified))
    logger.info("%s: sha256:%s%s", shown, done.sha256, "" if sha256 else " (no digest was expected)")
    return Blob(shown, done.sha256, path)


def _present(ref: Ref, cache: WeightsCache) -> Present | None:
    if (path := cache.find(ref.sha256)) is None:
        return None
    return Present(ref.sha256, path.stat().st_size, ref.etag, ref.last_modified)


def _find_referenced(url: str, ref: Ref, cache: WeightsCache, opened: ExitStack, check: _Check) -> Blob | None:
    """Return the blob of a ref as `_find_intact` does, and remove a damaged one so that its room is free."""
    if (blob := _find_intact(url, ref.sha256, cache, opened, check)) or not cache.find(ref.sha256):
        return blob
    try:
        with cache.lock(ref.sha256, timeout_seconds=0):
            return _find_intact(url, ref.sha256, cache, opened, check, remove_damaged=True)
    except WeightsUnreachable:
        return None  # a process that knows the digest fetches it at this moment, and replaces the damaged file


def _find_intact(
    url: str, sha256: str, cache: WeightsCache, opened: ExitStack, check: _Check, *, remove_damaged: bool = False
) -> Blob | None:
    """Return the cached blob if its bytes match its digest, or are not read.

    The blob is locked until `opened` ends, and marked as used.

    Args:
        url: for messages.
        sha256: the blob's digest.
        cache: where it is.
        opened: closes it.
        check: verifies it.
        remove_damaged: the caller holds the lock of the digest, so no other process repairs the blob meanwhile.
    """
    url = redacted(url)
    with ExitStack() as held:
        try:
            stream = held.enter_context(cache.open_locked(sha256))
        except FileNotFoundError:
            return None
        if (found := check.found(stream, sha256)) != sha256:
            logger.warning("%s: the cached file is damaged (sha256:%s), fetching it again", url, found)
            if remove_damaged:
                cache.remove(sha256, stream)
            return None  # closed, because a removed file takes room as long as it is open
        if not cache.is_current(stream, sha256):
            logger.warning("%s: evicted while it was verified (sha256:%s), fetching it again", url, sha256)
            return None
        opened.push(held.pop_all())
    logger.info("%s: in the cache, sha256:%s", url, sha256)
    return Blob(url, sha256, cache.mark_used(sha256))
