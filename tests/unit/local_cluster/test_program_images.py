"""Images written without a builder: what is in them, and when they are written again."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from cetacean_tools.local_cluster import pins, program_images
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.pins import Module
from cetacean_tools.local_cluster.program_images import ensure_program_image, write_image
from cetacean_tools.local_cluster.protocol import ClusterError


def _member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        found = tar.extractfile(name)
        assert found is not None
        return found.read()


def _json(archive: Path, name: str) -> Any:
    return json.loads(_member(archive, name))


@pytest.fixture
def module(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    monkeypatch.setattr(pins, "MODULES", tmp_path / "modules")
    made = Module("tools", ("one", "two"))
    made.folder.mkdir(parents=True)
    (made.folder / "go.mod").write_text("module tools\n")
    monkeypatch.setattr(program_images, "TESTING", (made,))

    def build(modules: list[Module], where: Layout) -> None:
        assert modules == [made]
        where.bin.mkdir(parents=True, exist_ok=True)
        (where.bin / "one").write_bytes(made.digest.encode())

    monkeypatch.setattr(program_images, "ensure_built", build)
    return made


def test_the_archive_holds_the_program_and_says_how_to_run_it(tmp_path: Path) -> None:
    program = tmp_path / ".pause"
    program.write_bytes(b"\x7fELF")
    archive = tmp_path / "image.tar"
    write_image(archive, reference="localhost/pause:1", program=program, user="65535:65535")

    assert _json(archive, "manifest.json") == [
        {"Config": "config.json", "RepoTags": ["localhost/pause:1"], "Layers": ["layer.tar"]}
    ]
    config = _json(archive, "config.json")
    assert config["config"] == {"Entrypoint": ["/pause"], "User": "65535:65535"}
    layer = _member(archive, "layer.tar")
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    (tmp_path / "layer.tar").write_bytes(layer)
    with tarfile.open(tmp_path / "layer.tar") as tar:
        (entry,) = tar.getmembers()
    assert (entry.name, entry.mode, entry.size) == ("pause", 0o755, 4)
    assert list(tmp_path.glob("*.partial")) == []


def test_an_image_is_written_once_for_each_state_of_the_pins(layout: Layout, module: Module) -> None:
    first = ensure_program_image("one", layout)
    assert first.reference == f"localhost/one:{module.digest}"
    assert first.archive is not None
    written = first.archive.stat().st_mtime_ns
    assert ensure_program_image("one", layout) == first
    assert first.archive.stat().st_mtime_ns == written

    (module.folder / "go.mod").write_text("module tools\n\nrequire x v1.0.0\n")
    second = ensure_program_image("one", layout)
    assert second.archive is not None
    assert second.reference != first.reference
    assert not first.archive.exists()
    assert _json(second.archive, "manifest.json")[0]["RepoTags"] == [second.reference]


def test_an_image_is_named_for_the_registry_that_nodes_pull_from(
    layout: Layout, module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = ensure_program_image("one", layout)
    monkeypatch.setenv("IMAGE_REGISTRY", "registry.example.org/team")
    there = ensure_program_image("one", layout)
    assert there.reference == f"registry.example.org/team/one:{module.digest}"
    assert there.archive != here.archive


def test_an_unknown_program_is_named(layout: Layout, module: Module) -> None:
    with pytest.raises(ClusterError, match=r"three: expected one of one, two"):
        ensure_program_image("three", layout)
