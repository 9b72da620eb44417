"""Keys on the curves P-256, P-384 and P-521, which the format asks for."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, TypeGuard

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from cetacean_signing.errors import KeyUnreadableError

LARGEST_FILE: Final = 2**20
"""Bytes of a file with keys or certificates; a ConfigMap has no more."""
HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
"""The hash that belongs to each curve."""
CURVES: Final = "P-256, P-384 or P-521"


def load_public_key(path: Path) -> ec.EllipticCurvePublicKey:
    """Read a public key, PEM.

    Raises:
        KeyUnreadableError: with the file and what it holds instead.
    """
    content = read_small_file(path, "a public key in PEM")
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnreadableError(f"{path}: expected a public key in PEM (BEGIN PUBLIC KEY), got: {error}") from error
    if not is_supported(key):
        raise KeyUnreadableError(f"{path}: expected a key on {CURVES}, got {describe_key(key)}")
    return key


def load_private_key(path: Path, *, passphrase: bytes | None) -> ec.EllipticCurvePrivateKey:
    """Read a private key, PEM.

    Raises:
        KeyUnreadableError: with the file and what it holds instead.
        TypeError: the key is encrypted and `passphrase` is None, or the reverse.
    """
    content = read_small_file(path, "a private key in PEM")
    try:
        key = load_pem_private_key(content, passphrase)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyUnreadableError(
            f"{path}: expected a private key in PEM (BEGIN PRIVATE KEY) and its passphrase, got: {error}"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not is_supported(key.public_key()):
        raise KeyUnreadableError(f"{path}: expected a key on {CURVES}, got {describe_key(key)}")
    return key


def fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """Return the SHA-256 of the key's PEM, 64 hex digits: the `hint` of a bundle."""
    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def is_supported(key: object) -> TypeGuard[ec.EllipticCurvePublicKey]:
    """Return true for a public key on one of the curves."""
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in HASHES


def describe_key(key: object) -> str:
    """Return the kind of a key for people."""
    curve = getattr(key, "curve", None)
    return f"one on {curve.name}" if curve is not None else type(key).__name__


def is_signed_by(key: ec.EllipticCurvePublicKey, signature: bytes, content: bytes) -> bool:
    """Return true if the signature of `content` was made with the key's private half."""
    try:
        key.verify(signature, content, ec.ECDSA(HASHES[key.curve.name]))
    except InvalidSignature:
        return False
    return True


def read_small_file(path: Path, expected: str) -> bytes:
    """Return a file's bytes.

    Raises:
        KeyUnreadableError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise KeyUnreadableError(f"{path}: expected {expected}, got: {error.strerror or error}") from error
    except ValueError as error:  # the path has a null character
        raise KeyUnreadableError(f"{path}: expected {expected}, got: {error}") from error
    if len(content) > LARGEST_FILE:
        raise KeyUnreadableError(f"{path}: expected at most {LARGEST_FILE} bytes, got more")
    return content
