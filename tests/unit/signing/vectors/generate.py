"""Writes this folder's files with the command line of model_signing: `python generate.py <its model_signing program>`.

The private keys are not kept. README.md says which file shows what.
"""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import tempfile
from pathlib import Path

from support.signing import YEAR, Authority, new_key, pem_of, private_pem, public_pem, write

FOLDER = Path(__file__).resolve().parent
MODEL = FOLDER / "model"
FILES = {
    "encoder_classes.npy": b"classes of the vectors\n",
    "species_map.csv": b"species of the vectors\n",
    "whales.safetensors": b"weights of the vectors\n",
}
FAR = dt.datetime(2125, 1, 1, tzinfo=dt.UTC)


def main(program: str) -> None:
    """Write all files."""
    for name, content in FILES.items():
        write(MODEL, name, content)
    with tempfile.TemporaryDirectory() as name:
        secret = Path(name) / "key.pem"

        def run(method: str, signature: str, *arguments: str | Path, model: Path = MODEL) -> None:
            command = [program, "sign", method, "--private_key", secret, *arguments]
            subprocess.run([*command, "--signature", FOLDER / signature, model], check=True)

        for curve in ("P-256", "P-384", "P-521"):
            key = new_key(curve)
            write(secret.parent, secret.name, private_pem(key))
            write(FOLDER, f"{curve.lower()}.pub.pem", public_pem(key))
            run("key", f"{curve.lower()}.sig")
        run("key", "single-file.sig", model=MODEL / "whales.safetensors")

        root = Authority.root("Vectors root", end=FAR)
        middle = root.issue("Vectors releases", ca=True, end=FAR)
        write(FOLDER, "root.pem", pem_of(root.certificate))
        chain = write(secret.parent, "middle.pem", pem_of(middle.certificate))
        expired = dt.datetime.now(dt.UTC) - YEAR / 2
        for signature, end in (("certificate.sig", FAR), ("expired.sig", expired)):
            leaf = middle.issue("Vectors signer", end=end)
            write(secret.parent, secret.name, private_pem(leaf.key))
            certificate = write(secret.parent, "leaf.pem", pem_of(leaf.certificate))
            run("certificate", signature, "--signing_certificate", certificate, "--certificate_chain", chain)


if __name__ == "__main__":
    main(sys.argv[1])
