"""Signatures of weights in the format of OpenSSF Model Signing 1.0: keys and certificates, without a network.

The inference service verifies, the command line signs and verifies; both need the extra `cetacean[signing]`. The
format is https://github.com/ossf/model-signing-spec: a Sigstore bundle with a DSSE envelope, whose payload is an
in-toto statement that names each file with its digest. docs/decisions/0017-signatures.md says why the code is here.
"""

from __future__ import annotations

from cetacean_signing.errors import KeyUnreadableError, SignatureError
from cetacean_signing.sign import Signer, load_signer, sign
from cetacean_signing.trust import Trust, load_trust
from cetacean_signing.verify import LARGEST_BUNDLE, Verified, verify

__all__ = [
    "LARGEST_BUNDLE",
    "KeyUnreadableError",
    "SignatureError",
    "Signer",
    "Trust",
    "Verified",
    "load_signer",
    "load_trust",
    "sign",
    "verify",
]
