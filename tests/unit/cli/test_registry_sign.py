"""`registry sign` and `registry verify`: weights on this disk, and the messages if something is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from click.testing import CliRunner, Result
from support.documented import blocks, missing
from support.full_disk import full_disk
from support.signing import Authority, new_key, pem_of, private_pem, public_pem, write

from cetacean_cli.main import cli

FILES: Final = {"whales.safetensors": b"weights", "encoder_classes.npy": b"classes", "species_map.csv": b"species"}
KEY: Final = new_key()
REPOSITORY: Final = Path(__file__).resolve().parents[3]
Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model and a pair of keys."""
    for name, content in FILES.items():
        write(tmp_path, name, content)
    write(tmp_path, "key.pem", private_pem(KEY))
    write(tmp_path, "key.pub", public_pem(KEY))
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(folder)

    def called(*arguments: str, input: str | None = None) -> Result:  # noqa: A002 -- click's name
        return CliRunner().invoke(cli, ("registry", *arguments), input=input)

    return called


def test_what_is_signed_is_verified(run: Run) -> None:
    done = run("sign", "whales.safetensors", "--key", "key.pem")
    assert (done.exit_code, done.stdout) == (
        0,
        "whales.safetensors.sig: signature of whales.safetensors, encoder_classes.npy, species_map.csv\n",
    )
    done = run("verify", "whales.safetensors", "--key", "key.pub")
    assert done.exit_code == 0
    assert done.stdout.startswith("whales.safetensors.sig: signed by key sha256:")


def test_without_room_an_earlier_signature_stays(run: Run, folder: Path) -> None:
    signature = write(folder, "whales.safetensors.sig", b"earlier")
    with full_disk(100):
        done = run("sign", "whales.safetensors", "--key", "key.pem")
    assert (done.exit_code, done.stderr) == (2, "Error: whales.safetensors.sig: cannot be written: File too large\n")
    assert signature.read_bytes() == b"earlier"


def test_the_commands_of_the_page_sign_and_verify(folder: Path) -> None:
    for name in FILES:
        write(folder / "weights", name, FILES[name])
    page = (REPOSITORY / "docs/signatures.md").read_text(encoding="utf-8")
    (block,) = (one for one in blocks(page) if one.section == "Sign")
    program = f'cetacean() {{ "{sys.executable}" -m cetacean_cli "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-euc", program + block.commands], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert missing(block.expected, done.stdout) is None, done.stdout


def test_a_certificate_signs_too(run: Run, folder: Path) -> None:
    root = Authority.root()
    leaf = root.issue("releases")
    write(folder, "leaf.pem", private_pem(leaf.key))
    write(folder, "chain.pem", pem_of(leaf.certificate))
    write(folder, "root.pem", pem_of(root.certificate))
    assert run("sign", "whales.safetensors", "--key", "leaf.pem", "--certificate", "chain.pem").exit_code == 0
    done = run("verify", "whales.safetensors", "--certificate", "root.pem", "-o", "json")
    found = json.loads(done.stdout)
    assert found["signer"].startswith("certificate CN=releases")
    assert set(found["files"]) == set(FILES)


def test_an_encrypted_key_asks_for_its_passphrase(run: Run, folder: Path) -> None:
    write(folder, "key.pem", private_pem(KEY, b"secret"))
    done = run("sign", "whales.safetensors", "--key", "key.pem", "-o", "json", input="secret\n")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["signature"] == "whales.safetensors.sig"
    done = run("sign", "whales.safetensors", "--key", "key.pem", input="other\n")
    assert (done.exit_code, "expected a private key in PEM" in done.stderr) == (2, True)


@pytest.mark.parametrize("changed", FILES)
def test_other_bytes_are_refused(changed: str, run: Run, folder: Path) -> None:
    run("sign", "whales.safetensors", "--key", "key.pem")
    write(folder, changed, b"others")
    done = run("verify", "whales.safetensors", "--key", "key.pub")
    assert done.exit_code == 1
    assert f"whales.safetensors.sig: {changed}: expected sha256:" in done.stderr


def test_another_key_is_refused(run: Run, folder: Path) -> None:
    run("sign", "whales.safetensors", "--key", "key.pem")
    write(folder, "key.pub", public_pem(new_key()))
    done = run("verify", "whales.safetensors", "--key", "key.pub")
    assert (done.exit_code, "expected a signature by the key sha256:" in done.stderr) == (1, True)


def test_a_missing_companion_is_named(run: Run, folder: Path) -> None:
    (folder / "species_map.csv").unlink()
    done = run("sign", "whales.safetensors", "--key", "key.pem")
    assert (done.exit_code, done.stderr) == (2, "Error: species_map.csv: expected a file, got none\n")


def test_a_symbolic_link_is_refused(run: Run, folder: Path) -> None:
    (folder / "whales.safetensors").rename(folder / "target")
    (folder / "whales.safetensors").symlink_to(folder / "target")
    done = run("sign", "whales.safetensors", "--key", "key.pem")
    assert (done.exit_code, "expected a file, got a symbolic link" in done.stderr) == (2, True)


@pytest.mark.parametrize("name", ["key.pem", "issued.pem", "whales.safetensors", "species_map.csv", "./linked"])
def test_a_signature_overwrites_none_of_the_files_that_are_read(name: str, run: Run, folder: Path) -> None:
    write(folder, "issued.pem", b"certificate")
    (folder / "linked").symlink_to("key.pem")
    before = (folder / name).read_bytes()
    done = run("sign", "whales.safetensors", "--key", "key.pem", "--certificate", "issued.pem", "--signature", name)
    expected = f"Error: {name}: expected another file for the signature, got one that the command reads\n"
    assert (done.exit_code, done.stderr) == (2, expected.replace("./", ""))
    assert (folder / name).read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sign", "whales.safetensors", "--key", "none.pem"), "none.pem: expected a private key in PEM"),
        (("sign", "whales.safetensors", "--key", "key.pub"), "key.pub: expected a private key in PEM"),
        (("sign", "whales.safetensors", "--key", "key.pem", "--signature", "no/x.sig"), "no/x.sig: cannot be written"),
        (("verify", "whales.safetensors", "--key", "key.pub"), "whales.safetensors.sig: expected a signature, got"),
        (("verify", "whales.safetensors", "--key", "none.pub"), "none.pub: expected a public key in PEM"),
        (("verify", "whales.safetensors"), "Missing option '--key' or '--certificate'."),
    ],
)
def test_what_is_missing_is_named(arguments: tuple[str, ...], message: str, run: Run) -> None:
    done = run(*arguments)
    assert (done.exit_code, message in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("command", [("sign", "--key", "key.pem"), ("verify", "--key", "key.pub")])
def test_without_the_extra_one_line_says_how_to_install_it(
    command: tuple[str, ...], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cetacean_signing", None)
    done = run(*command, "whales.safetensors")
    assert done.exit_code == 2
    assert done.stderr.startswith("Error: signatures need cryptography: pip install 'cetacean[signing]'")
    assert done.stderr.count("\n") == 1
