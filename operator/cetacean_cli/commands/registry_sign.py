"""`registry sign` and `registry verify`: the signature of weights on this disk (OpenSSF Model Signing).

cryptography is an optional package, so the module that needs it is imported by the command that runs.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, Final

import click

from cetacean_cli.errors import BadInputError, RefusedError
from cetacean_cli.options import Output, output_option
from cetacean_cli.output import echo, print_json
from cetacean_registry.atomic_files import replace_file
from cetacean_registry.companions import COMPANION_FILES
from cetacean_registry.digests import file_sha256
from cetacean_registry.messages import printable
from cetacean_registry.regular_files import resolve_path

_FILE: Final = click.Path(path_type=Path, dir_okay=False)
_SIGNATURE_HELP: Final = "The signature's file; default: WEIGHTS with .sig, where pods expect it."


@click.command()
@click.argument("weights", type=_FILE)
@click.option("--key", type=_FILE, required=True, metavar="FILE", help="Private key on P-256, P-384 or P-521, PEM.")
@click.option(
    "--certificate",
    type=_FILE,
    metavar="FILE",
    help="Certificate of the key, followed by those that issued it, PEM: the method certificate instead of key.",
)
@click.option("--signature", type=_FILE, metavar="FILE", help=_SIGNATURE_HELP)
@output_option
def sign(*, weights: Path, key: Path, certificate: Path | None, signature: Path | None, output: Output) -> None:
    """Sign the file WEIGHTS, and encoder_classes.npy and species_map.csv beside it.

    All three must be there, as they decide the answers together. Upload the signature beside the weights, and name the
    public key in spec.serving.signature. An encrypted key asks for its passphrase. The program model_signing verifies
    the signature too, with --ignore_unsigned_files if the folder has more files.
    """
    signing = _load_signing()
    files, target = _digests(weights), signature or _beside(weights)
    read = [key, certificate or key, *(weights.with_name(name) for name in files)]
    if resolve_path(target) in map(resolve_path, read):
        raise BadInputError(f"{target}: expected another file for the signature, got one that the command reads")
    try:
        signer = _load_signer(signing, key, certificate)
    except signing.KeyUnreadableError as error:
        raise BadInputError(str(error)) from error
    try:
        replace_file(target, signing.sign(files, signer, subject=resolve_path(weights).parent.name or "model"))
    except OSError as error:
        raise BadInputError(f"{target}: cannot be written: {error.strerror or error}") from error
    if output == "json":
        print_json({"signature": str(target), "files": files})
    else:
        echo(f"{target}: signature of {', '.join(files)}")


@click.command()
@click.argument("weights", type=_FILE)
@click.option("--key", "keys", type=_FILE, multiple=True, metavar="FILE", help="Trusted public key, PEM; repeatable.")
@click.option(
    "--certificate",
    "certificates",
    type=_FILE,
    multiple=True,
    metavar="FILE",
    help="Trusted certificates, which have issued the one that signed, PEM; repeatable.",
)
@click.option("--signature", type=_FILE, metavar="FILE", help=_SIGNATURE_HELP)
@output_option
def verify(
    *, weights: Path, keys: tuple[Path, ...], certificates: tuple[Path, ...], signature: Path | None, output: Output
) -> None:
    """Verify the signature of the file WEIGHTS, and of both files beside it, as a pod does; exit code 1 if it fails."""
    if not (keys or certificates):
        raise click.UsageError("Missing option '--key' or '--certificate'.")
    signing = _load_signing()
    files, source = _digests(weights), signature or _beside(weights)
    try:
        trust = signing.load_trust(keys=keys, certificates=certificates)
        with source.open("rb") as stream:
            verified = signing.verify(stream.read(signing.LARGEST_BUNDLE + 1), trust, files)
    except signing.KeyUnreadableError as error:
        raise BadInputError(str(error)) from error
    except signing.SignatureError as error:
        raise RefusedError(f"{source}: {error}") from error
    except OSError as error:
        raise BadInputError(f"{source}: expected a signature, got: {error.strerror or error}") from error
    if output == "json":
        print_json({"signature": str(source), "signer": verified.signer, "files": files})
    else:
        echo(f"{source}: signed by {verified.signer}: {', '.join(files)}")


def _load_signing() -> ModuleType:
    try:
        import cetacean_signing  # noqa: PLC0415 -- see above
    except ImportError as error:
        raise BadInputError(f"signatures need cryptography: pip install 'cetacean[signing]' ({error})") from error
    return cetacean_signing


def _load_signer(signing: ModuleType, key: Path, certificate: Path | None) -> Any:
    try:
        return signing.load_signer(key, chain=certificate)
    except TypeError:  # the key is encrypted
        passphrase = click.prompt(printable(f"Passphrase of {key}"), hide_input=True, err=True)
        return signing.load_signer(key, chain=certificate, passphrase=passphrase.encode())


def _beside(weights: Path) -> Path:
    return weights.with_name(f"{weights.name}.sig")


def _digests(weights: Path) -> dict[str, str]:
    files = [weights, *(weights.with_name(name) for name in COMPANION_FILES)]
    for path in files:
        # As model_signing: a link may lead to other bytes tomorrow.
        if path.is_symlink() or not path.is_file():
            raise BadInputError(f"{path}: expected a file, got {'a symbolic link' if path.is_symlink() else 'none'}")
    try:
        return {path.name: file_sha256(path) for path in files}
    except OSError as error:
        raise BadInputError(f"{error.filename}: cannot be read: {error.strerror or error}") from error
