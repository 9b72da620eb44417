"""The file of a signature: a Sigstore bundle v0.3 with one DSSE envelope. The parser trusts none of it."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError
from pydantic.alias_generators import to_camel

from cetacean_registry.errors import describe
from cetacean_signing.errors import SignatureError

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
LONGEST_CHAIN: Final = 8
"""Certificates in a bundle."""


def _decode(value: object) -> object:
    if isinstance(value, bytes):  # not from JSON
        return value
    try:
        return base64.b64decode(str(value), validate=True)
    except ValueError as error:
        raise ValueError("expected text in Base64") from error


Bytes = Annotated[bytes, BeforeValidator(_decode), PlainSerializer(lambda raw: base64.b64encode(raw).decode())]


class _Part(BaseModel):
    """A part of the bundle; fields that the format has beside these are ignored."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class KeyIdentifier(_Part):
    """The key method; `hint` is the fingerprint of the key, absent from files of older programs."""

    hint: Annotated[str, Field(max_length=256)] | None = None


class RawCertificate(_Part):
    """One X.509 certificate, DER."""

    raw_bytes: Bytes


class CertificateChain(_Part):
    """The certificate method: the certificate that signed, then those that issued it."""

    certificates: Annotated[tuple[RawCertificate, ...], Field(min_length=1, max_length=LONGEST_CHAIN)]


class VerificationMaterial(_Part):
    """The key or the certificate of the signature: one of the three."""

    public_key: KeyIdentifier | None = None
    x509_certificate_chain: CertificateChain | None = None
    certificate: dict[str, Any] | None = None
    """The Sigstore method, which needs a network."""


class EnvelopeSignature(_Part):
    """The signature's bytes. `keyid` is not used."""

    sig: Bytes


class Envelope(_Part):
    """A DSSE envelope."""

    payload: Bytes
    payload_type: Literal["application/vnd.in-toto+json"]
    signatures: Annotated[tuple[EnvelopeSignature, ...], Field(min_length=1, max_length=1)]

    @property
    def signed_bytes(self) -> bytes:
        """The bytes that are signed."""
        return pre_authentication_encoding(self.payload)


class Bundle(_Part):
    """The file."""

    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"]
    verification_material: VerificationMaterial
    dsse_envelope: Envelope

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read a bundle.

        Raises:
            SignatureError: it is none; the message names the faulty field.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise SignatureError(f"expected a bundle of OpenSSF Model Signing: {describe(error)}") from error

    def to_json(self) -> bytes:
        """Return the file's content."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()


def pre_authentication_encoding(payload: bytes) -> bytes:
    """Return the bytes that a DSSE envelope signs (https://github.com/secure-systems-lab/dsse, protocol.md)."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)
