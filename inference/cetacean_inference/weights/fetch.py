"""Get everything a pod needs into the cache (`fetch_all`), and find it there again without a network (`locate_all`)."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass

from huggingface_hub import get_token

from cetacean_inference.errors import CacheFull, DigestMismatch, GateUnavailable, WeightsNotFound, WeightsUnreachable
from cetacean_inference.settings import FetchSettings, GateSettings, Settings
from cetacean_inference.weights.cache import Blob, Ref, WeightsCache, digest_of
from cetacean_inference.weights.download import Download, NotModified
from cetacean_inference.weights.urls import resolve, sibling

logger = logging.getLogger(__name__)

CLASSES_FILE = "encoder_classes.npy"
SPECIES_FILE = "species_map.csv"
USUAL_GATE = ("ViT-B-32", "laion2b_s34b_b79k")
USUAL_GATE_URL = "hf://laion/CLIP-ViT-B-32-laion2B-s34B-b79K/open_clip_model.safetensors"
"""What open_clip says of it, known here so that a process that serves it never imports open_clip."""


@dataclass(frozen=True, slots=True)
class Files:
    """What one pod serves from."""

    checkpoint: Blob
    classes: Blob
    species: Blob
    gate_weights: Blob
    gate_config: Blob | None


def open_cache(settings: Settings) -> WeightsCache:
    """The cache that the settings name."""
    return WeightsCache(
        settings.weights_cache,
        limit_bytes=settings.fetch.cache_limit_bytes,
        keep_seconds=settings.fetch.keep_unused_seconds,
    )


def fetch_all(settings: Settings) -> Files:
    """Download and verify what is not in the cache yet.

    Raises:
        errors.CannotGoOn: with the reason; nothing unverified is left under a verified name.
    """
    cache = open_cache(settings)
    cache.prepare()
    model, options = settings.model, settings.fetch
    checkpoint = fetch(model.weights_url, sha256=model.sha256, cache=cache, settings=options)
    classes = fetch(sibling(model.weights_url, CLASSES_FILE), sha256=None, cache=cache, settings=options)
    species = fetch(sibling(model.weights_url, SPECIES_FILE), sha256=None, cache=cache, settings=options)
    try:
        gate_config = (
            fetch(settings.gate.config_url, sha256=None, cache=cache, settings=options)
            if settings.gate.config_url
            else None
        )
        gate_weights = fetch(gate_url(settings.gate), sha256=settings.gate.sha256, cache=cache, settings=options)
    except (WeightsNotFound, WeightsUnreachable) as error:
        raise GateUnavailable(str(error)) from error
    if settings.mask.enabled:
        fetch(settings.mask.weights_url, sha256=settings.mask.sha256, cache=cache, settings=options)
    return Files(checkpoint, classes, species, gate_weights, gate_config)


def locate_all(settings: Settings) -> Files:
    """Find in the cache what `fetch_all` put there; needs no network.

    Raises:
        WeightsNotFound, GateUnavailable: when it is not there.
    """
    cache, model, gate = open_cache(settings), settings.model, settings.gate
    checkpoint = _locate(model.weights_url, model.sha256, cache)
    classes = _locate(sibling(model.weights_url, CLASSES_FILE), None, cache)
    species = _locate(sibling(model.weights_url, SPECIES_FILE), None, cache)
    try:
        gate_config = _locate(gate.config_url, None, cache) if gate.config_url else None
        gate_weights = _locate(gate_url(gate), gate.sha256, cache)
    except WeightsNotFound as error:
        raise GateUnavailable(str(error)) from error
    return Files(checkpoint, classes, species, gate_weights, gate_config)


def locate_mask(settings: Settings) -> Blob:
    """The same for what makes masks.

    Raises:
        WeightsNotFound: when it is not there.
    """
    return _locate(settings.mask.weights_url, settings.mask.sha256, open_cache(settings))


def fetch(url: str, *, sha256: str | None, cache: WeightsCache, settings: FetchSettings) -> Blob:
    """Bring one file into the cache, unless it is there and whole.

    Without a digest the server is asked whether what the cache holds is still current; what it cannot be asked about is
    used as it is.

    Raises:
        errors.CannotGoOn: with the reason.
    """
    try:
        return _fetch(url, sha256=sha256, cache=cache, settings=settings)
    except OSError as error:
        raise CacheFull(f"{url}: cannot write in {cache.root}: {error.strerror or error}") from error


def _fetch(url: str, *, sha256: str | None, cache: WeightsCache, settings: FetchSettings) -> Blob:
    key = sha256 or url
    with cache.lock(key, timeout_seconds=settings.lock_timeout_seconds), ExitStack() as held:
        if sha256 and (blob := _whole(url, sha256, cache, held)):
            cache.remember(Ref(url, sha256))
            return blob
        ref = None if sha256 else cache.ref(url)
        if ref and not _whole(url, ref.sha256, cache, held):
            ref = None
        try:
            return _download(url, sha256=sha256, ref=ref, key=key, cache=cache, settings=settings)
        except NotModified:
            assert ref is not None  # noqa: S101 - only a request that named its ETag is answered so
            logger.info("%s: not modified, sha256:%s", url, ref.sha256)
        except WeightsUnreachable as error:
            if ref is None:
                raise
            logger.warning("%s; going on with what was fetched before, sha256:%s", error, ref.sha256)
        return Blob(url, ref.sha256, cache.use(ref.sha256))


def gate_url(gate: GateSettings) -> str:
    """Where the gate's weights come from; open_clip knows it for its own pretrained tags.

    Raises:
        GateUnavailable: when open_clip knows no such tag, or no single file for it.
    """
    if gate.weights_url:
        return gate.weights_url
    if (gate.architecture, gate.pretrained) == USUAL_GATE:
        return USUAL_GATE_URL
    from open_clip import pretrained  # noqa: PLC0415 - imports torch, which takes seconds and memory

    known = pretrained.get_pretrained_cfg(gate.architecture, gate.pretrained or "")
    if repository := known.get("hf_hub", "").rstrip("/"):
        return f"hf://{repository}/{pretrained.HF_SAFE_WEIGHTS_NAME}"
    if url := known.get("url"):
        return str(url)
    raise GateUnavailable(f"open_clip: expected a pretrained tag of {gate.architecture}, got {gate.pretrained!r}")


def _download(
    url: str, *, sha256: str | None, ref: Ref | None, key: str, cache: WeightsCache, settings: FetchSettings
) -> Blob:
    partial = cache.partial(key)
    download = Download(
        name=url,
        url=resolve(url, hf_endpoint=settings.hf_endpoint),
        partial=partial,
        settings=settings,
        headers=_authorisation(url),
        reserve=lambda needed: cache.make_room(needed, what=url),
    )
    done = download.run(if_none_match=ref.etag if ref else None)
    if sha256 and done.sha256 != sha256 and done.resumed:
        # The part that was there before may be what is wrong: once more, from the first byte.
        logger.warning("%s: resumed, but sha256:%s came instead of sha256:%s; beginning anew", url, done.sha256, sha256)
        download.drop()
        done = download.run()
    if sha256 and done.sha256 != sha256:
        download.drop()
        raise DigestMismatch(f"{url}: expected sha256:{sha256}, got sha256:{done.sha256}")
    path = cache.adopt(partial, done.sha256)
    cache.remember(Ref(url, done.sha256, done.etag))
    logger.info("%s: sha256:%s%s", url, done.sha256, "" if sha256 else " (no digest was expected)")
    return Blob(url, done.sha256, path)


def _whole(url: str, sha256: str, cache: WeightsCache, held: ExitStack) -> Blob | None:
    """The cached blob if its bytes are still what its name says; a damaged one is removed.

    It is not evicted as long as `held` lasts, nor for a while after.
    """
    try:
        stream = held.enter_context(cache.hold(sha256))
    except FileNotFoundError:
        return None
    if (found := digest_of(stream)) != sha256:
        logger.warning("%s: the cached file is damaged (sha256:%s), fetching it again", url, found)
        cache.discard(sha256)
        return None
    if not cache.keeps(stream, sha256):
        logger.warning("%s: evicted while it was verified (sha256:%s), fetching it again", url, sha256)
        return None
    logger.info("%s: in the cache, sha256:%s", url, sha256)
    return Blob(url, sha256, cache.use(sha256))


def _locate(url: str, sha256: str | None, cache: WeightsCache) -> Blob:
    ref = None if sha256 else cache.ref(url)
    digest = sha256 or (ref.sha256 if ref else None)
    path = cache.find(digest) if digest else None
    if digest is None or path is None:
        raise WeightsNotFound(f"{url}: expected it in the cache {cache.root} (run fetch first), got nothing")
    return Blob(url, digest, path)


def _authorisation(url: str) -> dict[str, str]:
    # A token is the Hub's; no other server gets to see it.
    token = get_token() if url.startswith("hf://") else None
    return {"Authorization": f"Bearer {token}"} if token else {}
