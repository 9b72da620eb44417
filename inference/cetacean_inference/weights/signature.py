"""Verifies who has signed the weights, after their digests and before the service may start.

A signature is one more file: at the URL that the registry names, else `<weights>.sig`, else `model.sig`, beside the
weights. It must cover the checkpoint and both files beside it. It may cover more files, which no pod loads.
"""

from __future__ import annotations

import logging

from cetacean_inference.errors import (
    LONGEST_LINE,
    ConfigInvalid,
    FatalError,
    SignatureMismatch,
    SignatureMissing,
    SigningKeyUnreadable,
    WeightsNotFound,
    WeightsTooLarge,
)
from cetacean_inference.messages import printable
from cetacean_inference.settings import ModelSettings, Settings
from cetacean_inference.weights.blob import Blob
from cetacean_inference.weights.fetch import WeightFiles, fetch, open_own_cache
from cetacean_inference.weights.sources import file_name, sibling
from cetacean_registry.companions import CLASSES_FILE, SPECIES_FILE

logger = logging.getLogger(__name__)

FOLDER_SIGNATURE = "model.sig"
"""The name that model_signing gives to the signature of a folder."""
REPORT = "SignatureVerified"
"""Begins the line about a signature that holds."""
UNVERIFIED = (SignatureMissing, SignatureMismatch, SigningKeyUnreadable)


def check_signature(settings: Settings, files: WeightFiles) -> str | None:
    """Verify the signature if the settings trust a key or a certificate.

    Returns:
        One line for the termination message, from which the operator learns the result; None if nothing is trusted.

    Raises:
        SignatureMissing, SignatureMismatch, SigningKeyUnreadable: it does not hold, and `signature.require` is true.
        errors.FatalError: it cannot be downloaded, and `signature.require` is true.
    """
    wanted = settings.signature
    if not (wanted.keys or wanted.certificates):
        return None
    try:
        line = printable(f"{REPORT}: {_verify(settings, files)}")[:LONGEST_LINE]
    except FatalError as error:
        if wanted.require:
            raise
        failure = error if isinstance(error, UNVERIFIED) else SignatureMissing(str(error))
        logger.warning("%s; served all the same, as signature.require is false", failure.line)
        return failure.line
    logger.info("%s", line)
    return line


def _verify(settings: Settings, files: WeightFiles) -> str:
    try:
        from cetacean_signing import KeyUnreadableError, SignatureError, load_trust, verify  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigInvalid(f"signature: expected the packages of cetacean[signing], got: {error}") from error
    try:
        trust = load_trust(keys=settings.signature.keys, certificates=settings.signature.certificates)
    except KeyUnreadableError as error:
        raise SigningKeyUnreadable(f"{error} - mount a readable key, as spec.serving.signature names it") from error
    signature = _fetch_signature(settings)
    signed = {
        file_name(settings.model.weights_url): files.checkpoint.sha256,
        CLASSES_FILE: files.classes.sha256,
        SPECIES_FILE: files.species.sha256,
    }
    try:
        verified = verify(signature.path.read_bytes(), trust, signed)
    except SignatureError as error:
        raise SignatureMismatch(
            f"{signature.url}: {error} - sign these weights with a trusted key, or restore those that were signed"
        ) from error
    return f"{signature.url}: signed by {verified.signer}: {', '.join(signed)}"


def _fetch_signature(settings: Settings) -> Blob:
    from cetacean_signing import LARGEST_BUNDLE  # noqa: PLC0415 - an extra

    bounded = settings.fetch.model_copy(update={"max_bytes": LARGEST_BUNDLE})
    cache, failures = open_own_cache(settings), []
    for url in _urls(settings.model):
        try:
            return fetch(url, sha256=None, cache=cache, settings=bounded)
        except WeightsNotFound as error:
            failures.append(str(error))
        except WeightsTooLarge as error:
            raise SignatureMismatch(f"{error} - expected a signature of OpenSSF Model Signing") from error
    raise SignatureMissing(
        f"{', and '.join(failures)} - sign the weights (cetacean registry sign) and upload the signature there, or "
        "name its URL in the registry (signature_url)"
    )


def _urls(model: ModelSettings) -> tuple[str, ...]:
    if model.signature_url:
        return (model.signature_url,)
    beside = f"{file_name(model.weights_url)}.sig"
    return sibling(model.weights_url, beside), sibling(model.weights_url, FOLDER_SIGNATURE)
