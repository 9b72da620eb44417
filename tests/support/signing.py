"""Keys, certificates and signed weights for tests; nothing here is kept."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from cetacean_signing import Signer, sign

CURVES: Final = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
YEAR: Final = dt.timedelta(days=365)
NO_USAGE: Final = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


def new_key(curve: str = "P-256") -> ec.EllipticCurvePrivateKey:
    """Return a new private key."""
    return ec.generate_private_key(CURVES[curve])


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return its public half, PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None = None) -> bytes:
    """Return it, PEM, encrypted if there is a passphrase."""
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def pem_of(*certificates: x509.Certificate) -> bytes:
    """Return certificates, PEM."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


@dataclass(frozen=True)
class Authority:
    """A certificate and its key, which can issue others."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def root(cls, name: str = "root", **options: Any) -> Authority:
        """Return a self-signed authority."""
        return _issue(None, name, ca=True, **options)

    @property
    def pair(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        """The key, and its certificate."""
        return self.key, self.certificate

    def issue(self, name: str | None, **options: Any) -> Authority:
        """Issue a certificate; the options are those of `_issue`."""
        return _issue(self, name, **options)


def _issue(
    issuer: Authority | None,
    name: str | None,
    *,
    ca: bool = False,
    path_length: int | None = None,
    begin: dt.datetime | None = None,
    end: dt.datetime | None = None,
    usage: str | None = "",
    purposes: tuple[x509.ObjectIdentifier, ...] | None = None,
    other_names: bytes | None = None,
) -> Authority:
    """Issue a certificate.

    Args:
        issuer: None: it is self-signed.
        name: its common name; None: its subject is empty.
        ca: whether it is an authority.
        path_length: most authorities below it.
        begin: a year ago by default.
        end: in a year by default.
        usage: its one key usage; digital_signature, for an authority key_cert_sign by default; None: no such extension.
        purposes: code signing by default, for an authority none.
        other_names: the content of the extension subjectAltName, DER; None: no such extension.
    """
    now = dt.datetime.now(dt.UTC)
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    if purposes is None:
        purposes = () if ca else (ExtendedKeyUsageOID.CODE_SIGNING,)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin or now - YEAR)
        .not_valid_after(end or now + YEAR)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    )
    if usage is not None:
        named = usage or ("key_cert_sign" if ca else "digital_signature")
        builder = builder.add_extension(x509.KeyUsage(**NO_USAGE | {named: True}), critical=True)
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if other_names is not None:
        extension = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, other_names)
        builder = builder.add_extension(extension, critical=False)
    return Authority(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def digests(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of each file."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}


def sign_files(files: Mapping[str, bytes], key: ec.EllipticCurvePrivateKey, *chain: x509.Certificate) -> bytes:
    """Return a signature of files, by the key or by its certificate."""
    return sign(digests(files), Signer(key, chain), subject="whales")


def changed_bundle(bundle: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a signature's file after a change of its JSON."""
    content = json.loads(bundle)
    change(content)
    return json.dumps(content).encode()


def changed_statement(
    bundle: bytes, change: Callable[[dict[str, Any]], object], key: ec.EllipticCurvePrivateKey
) -> bytes:
    """Return a signature's file after a change of its statement, which `key` signs again."""
    content = json.loads(bundle)
    statement = json.loads(base64.b64decode(content["dsseEnvelope"]["payload"]))
    change(statement)
    return signed_payload(bundle, json.dumps(statement).encode(), key)


def signed_payload(bundle: bytes, payload: bytes, key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a signature's file with another payload, which `key` (P-256) signs."""
    kind = b"application/vnd.in-toto+json"
    raw = key.sign(b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload), ec.ECDSA(hashes.SHA256()))
    envelope = {"payload": base64.b64encode(payload).decode(), "signatures": [{"sig": base64.b64encode(raw).decode()}]}
    return changed_bundle(bundle, lambda content: content["dsseEnvelope"].update(envelope))


def write(folder: Path, name: str, content: bytes) -> Path:
    """Write a file, and return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
