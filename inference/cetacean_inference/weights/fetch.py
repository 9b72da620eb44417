"""Fetches the files of one pod into the cache (`fetch_all`) and finds them there without a network (`locate_all`)."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cetacean_inference.errors import (
    CacheFull,
    CheckpointMismatch,
    DigestMismatch,
    FatalError,
    GateUnavailable,
    WeightsDenied,
    WeightsNotFound,
    WeightsUnreachable,
)
from cetacean_inference.messages import with_type
from cetacean_inference.settings import FetchSettings, GateSettings, Settings
from cetacean_inference.system.start_times import StartTimes
from cetacean_inference.types import NetworkName
from cetacean_inference.weights.blob import Blob, digest_of
from cetacean_inference.weights.cache import Ref, WeightsCache
from cetacean_inference.weights.download import Download
from cetacean_inference.weights.sources import sibling, source_of
from cetacean_inference.weights.sources.source import NotModified
from cetacean_inference.weights.unverified_pickles import require_digest_of_pickle
from cetacean_inference.weights.verified import VerifiedFiles
from cetacean_registry.companions import COMPANION_FILES
from cetacean_registry.urls import redacted

logger = logging.getLogger(__name__)

DEFAULT_GATE = ("ViT-B-32", "laion2b_s34b_b79k")
DEFAULT_GATE_URL = "hf://laion/CLIP-ViT-B-32-laion2B-s34B-b79K/open_clip_model.safetensors"
"""open_clip's URL of that gate, repeated here so that a process that serves it never imports open_clip."""


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files that one pod serves from."""

    checkpoint: Blob
    classes: Blob
    species: Blob
    gate_weights: Blob
    gate_config: Blob | None

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
    return VerifiedFiles(open_cache(settings), own=open_own_cache(settings))


def _cache_in(root: Path, settings: Settings) -> WeightsCache:
    return WeightsCache(
        root,
        limit_bytes=settings.fetch.cache_limit_bytes,
        keep_unused_seconds=settings.fetch.keep_unused_seconds,
    )


def fetch_all(settings: Settings, *, times: StartTimes | None = None) -> WeightFiles:
    """Download and verify the files that are not in the cache; evicts others if there is no room.

    Args:
        settings: all of them.
        times: measures the download and the verification of files that were there.

    Raises:
        errors.FatalError: with the reason; no unverified file is left under a verified name.
    """
    cache, own, times = open_cache(settings), open_own_cache(settings), times or StartTimes()
    for one in (cache, own):
        one.prepare()

    def fetched(url: str, sha256: str | None, bounds: FetchSettings = settings.fetch) -> Blob:
        with times.measure("fetch"):
            return fetch(url, sha256=sha256, cache=cache if sha256 else own, settings=bounds, times=times)

    small = settings.fetch.of_companions()
    model = settings.model
    checkpoint = fetched(model.weights_url, model.sha256)
    classes, species = (
        fetched(sibling(model.weights_url, name), model.files.get(name), small) for name in COMPANION_FILES
    )
    unverified = settings.fetch.allow_unverified_pickle
    require_digest_of_pickle(checkpoint, sha256=model.sha256, allowed=unverified)
    try:
        gate = settings.gate
        gate_config = fetched(gate.config_url, gate.config_sha256, small) if gate.config_url else None
        gate_weights = fetched(gate_url(gate), gate.sha256)
        require_digest_of_pickle(gate_weights, sha256=gate.sha256, allowed=unverified)
    except (WeightsNotFound, WeightsDenied, WeightsUnreachable, CheckpointMismatch) as error:
        raise GateUnavailable(str(error)) from error
    if settings.mask.enabled:
        fetched(settings.mask.weights_url, settings.mask.sha256)
    return WeightFiles(checkpoint, classes, species, gate_weights, gate_config)


def locate_all(settings: Settings) -> WeightFiles:
    """Find the files of `fetch_all` in the cache; needs no network.

    Raises:
        WeightsNotFound, GateUnavailable: a file is not in the cache.
    """
    cache, own = open_cache(settings), open_own_cache(settings)
    model, gate = settings.model, settings.gate

    def located(url: str, sha256: str | None) -> Blob:
        return _locate(url, sha256, cache if sha256 else own)

    checkpoint = located(model.weights_url, model.sha256)
    classes, species = (located(sibling(model.weights_url, name), model.files.get(name)) for name in COMPANION_FILES)
    try:
        gate_config = located(gate.config_url, gate.config_sha256) if gate.config_url else None
        gate_weights = located(gate_url(gate), gate.sha256)
    except WeightsNotFound as error:
        raise GateUnavailable(str(error)) from error
    return WeightFiles(checkpoint, classes, species, gate_weights, gate_config)


def locate_mask(settings: Settings) -> Blob:
    """Find the network that makes masks in the cache.

    Raises:
        WeightsNotFound: it is not in the cache.
    """
    return _locate(settings.mask.weights_url, settings.mask.sha256, open_cache(settings))


def fetch(
    url: str, *, sha256: str | None, cache: WeightsCache, settings: FetchSettings, times: StartTimes | None = None
) -> Blob:
    """Download one file into the cache, unless an intact copy is there.

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
    try:
        return _fetch(url, sha256=sha256, cache=cache, settings=settings, times=times or StartTimes())
    except FatalError:
        raise
    except OSError as error:
        raise CacheFull(f"{redacted(url)}: cannot write in {cache.root}: {error.strerror or error}") from error
    except Exception as error:
        raise WeightsUnreachable(f"{redacted(url)}: {redacted(with_type(error))}") from error


def _fetch(url: str, *, sha256: str | None, cache: WeightsCache, settings: FetchSettings, times: StartTimes) -> Blob:
    key = sha256 or url
    with cache.lock(key, timeout_seconds=settings.lock_timeout_seconds), ExitStack() as opened:
        if sha256 and (blob := _find_intact(url, sha256, cache, opened, times)):
            cache.write_ref(Ref(url, sha256))
            return blob
        ref = None if sha256 else cache.read_ref(url)
        if ref and not _find_intact(url, ref.sha256, cache, opened, times):
            ref = None
        try:
            return _download(url, sha256=sha256, ref=ref, key=key, cache=cache, settings=settings)
        except NotModified:
            assert ref is not None  # noqa: S101 - only a request with the ref's ETag has this answer
            logger.info("%s: not modified, sha256:%s", redacted(url), ref.sha256)
        except WeightsUnreachable as error:
            if ref is None:
                raise
            logger.warning("%s; using the cached file, sha256:%s", error, ref.sha256)
        return Blob(redacted(url), ref.sha256, cache.mark_used(ref.sha256))


def gate_url(gate: GateSettings) -> str:
    """Return the URL of the gate's weights; open_clip has those of its own pretrained tags.

    Raises:
        GateUnavailable: open_clip has no such tag, no single file for it, or no repository with revisions.
    """
    if gate.weights_url:
        return gate.weights_url
    revision = f"@{gate.revision}" if gate.revision else ""
    if (gate.architecture, gate.pretrained) == DEFAULT_GATE:
        return DEFAULT_GATE_URL + revision
    from open_clip import pretrained  # noqa: PLC0415 - imports torch, which takes seconds and memory

    known = pretrained.get_pretrained_cfg(gate.architecture, gate.pretrained or "")
    if repository := known.get("hf_hub", "").rstrip("/"):
        return f"hf://{repository}/{pretrained.HF_SAFE_WEIGHTS_NAME}{revision}"
    if (url := known.get("url")) and revision:
        raise GateUnavailable(f"gate.revision: expected a pretrained tag of the Hub, got {gate.pretrained!r} at {url}")
    if url:
        return str(url)
    raise GateUnavailable(f"open_clip: expected a pretrained tag of {gate.architecture}, got {gate.pretrained!r}")


def _download(
    url: str, *, sha256: str | None, ref: Ref | None, key: str, cache: WeightsCache, settings: FetchSettings
) -> Blob:
    partial, shown = cache.partial(key), redacted(url)
    download = Download(
        source_of(url, settings), partial=partial, reserve=lambda needed: cache.make_room(needed, purpose=shown)
    )
    done = download.run(if_none_match=ref.etag if ref else None)
    if sha256 and done.sha256 != sha256 and done.resumed:
        # The bytes of the interrupted download may be damaged: download once more from the first byte.
        logger.warning("%s: resumed, and got sha256:%s instead of sha256:%s; starting over", shown, done.sha256, sha256)
        download.remove_partial()
        done = download.run()
    if sha256 and done.sha256 != sha256:
        download.remove_partial()
        raise DigestMismatch(f"{shown}: expected sha256:{sha256}, got sha256:{done.sha256}")
    path = cache.commit(partial, done.sha256)
    cache.write_ref(Ref(url, done.sha256, done.etag))
    logger.info("%s: sha256:%s%s", shown, done.sha256, "" if sha256 else " (no digest was expected)")
    return Blob(shown, done.sha256, path)


def _find_intact(url: str, sha256: str, cache: WeightsCache, opened: ExitStack, times: StartTimes) -> Blob | None:
    """Return the cached blob if its bytes match its digest; removes a damaged one.

    The blob is locked until `opened` ends, and marked as used.
    """
    url = redacted(url)
    try:
        stream = opened.enter_context(cache.open_locked(sha256))
    except FileNotFoundError:
        return None
    with times.measure("verify"):
        found = digest_of(stream)
    if found != sha256:
        logger.warning("%s: the cached file is damaged (sha256:%s), fetching it again", url, found)
        cache.remove(sha256)
        return None
    if not cache.is_current(stream, sha256):
        logger.warning("%s: evicted while it was verified (sha256:%s), fetching it again", url, sha256)
        return None
    logger.info("%s: in the cache, sha256:%s", url, sha256)
    return Blob(url, sha256, cache.mark_used(sha256))


def _locate(url: str, sha256: str | None, cache: WeightsCache) -> Blob:
    ref = None if sha256 else cache.read_ref(url)
    digest = sha256 or (ref.sha256 if ref else None)
    path = cache.find(digest) if digest else None
    if digest is None or path is None:
        raise WeightsNotFound(f"{redacted(url)}: expected it in the cache {cache.root} (run fetch first), got nothing")
    return Blob(redacted(url), digest, path)
