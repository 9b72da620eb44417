"""What is converted for OpenVINO: by another process, once, and never trusted further than its record goes."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.inference_world import make_settings
from support.tiny_weights import sections

from cetacean_inference.engines import conversion, preparation, record
from cetacean_inference.engines.base import Converted, NetworkName
from cetacean_inference.errors import CheckpointMismatch
from cetacean_inference.settings import Settings
from cetacean_inference.weights.cache import RECORD_FILE, WeightsCache
from cetacean_inference.weights.fetch import fetch_all, locate_all, open_cache


def of_weights(weights: Path, directory: Path) -> Settings:
    settings = make_settings(directory, engine={"name": "openvino", "threads": 1}, **sections(weights.as_uri()))
    fetch_all(settings)
    return settings


@pytest.fixture
def settings(weights: Path, tmp_path: Path) -> Settings:
    """Of weights that are in the cache."""
    return of_weights(weights, tmp_path)


@pytest.fixture(scope="module")
def converted_before(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the converted networks; to be copied."""
    settings = of_weights(weights, tmp_path_factory.mktemp("before"))
    with pytest.MonkeyPatch.context() as patch:
        convert_here(patch)
        with prepared(settings):
            return settings.weights_cache


@pytest.fixture
def kept(settings: Settings, converted_before: Path) -> Settings:
    """The same settings, of networks that are converted already."""
    shutil.copytree(converted_before, settings.weights_cache, dirs_exist_ok=True)
    return settings


Runs = list[Path]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """The directories that were converted into."""
    return convert_here(monkeypatch)


def convert_here(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Convert in this process, not in another one; gives the directories that were converted into."""
    into: Runs = []

    def run(command: list[str], *, input: str, **_: Any) -> subprocess.CompletedProcess[str]:  # noqa: A002
        into.append(Path(command[-1]))
        monkeypatch.setattr(sys, "argv", command[-2:])
        monkeypatch.setattr(sys, "stdin", io.StringIO(input))
        printed = io.StringIO()
        with monkeypatch.context() as inside:
            inside.setattr(sys, "stdout", printed)
            inside.setattr(conversion, "configure", lambda _: None)
            status = conversion.main()
        return subprocess.CompletedProcess(command, status, printed.getvalue())

    monkeypatch.setattr(subprocess, "run", run)
    return into


@contextmanager
def prepared(settings: Settings) -> Iterator[Mapping[NetworkName, Converted]]:
    with ExitStack() as until_compiled, ExitStack() as while_serving:
        yield preparation.converted_networks(
            settings,
            files=locate_all(settings),
            cache=open_cache(settings),
            until_compiled=until_compiled,
            while_serving=while_serving,
        )


def test_the_process_that_serves_loads_no_torch(settings: Settings, tmp_path: Path) -> None:
    program = (
        "import json, sys\n"
        "from cetacean_inference.pipeline import load_pipeline\n"
        "from cetacean_inference.settings import load_settings\n"
        "pipeline = load_pipeline(load_settings(**json.load(sys.stdin)))\n"
        "print(pipeline.identity.engine, 'torch' in sys.modules)\n"
        "pipeline.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=settings.model_dump_json(),
        env={"PYTHONPATH": ":".join(sys.path), "TMPDIR": str(tmp_path)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    engine, with_torch = done.stdout.rsplit(maxsplit=1)
    assert engine.startswith("openvino-")
    assert with_torch == "False"


def test_it_is_converted_once(settings: Settings, runs: Runs) -> None:
    with prepared(settings) as first:
        assert {file.exists() for one in first.values() for file in (one.trunk, one.head)} == {True}
    with prepared(settings) as again:
        assert again["gate"].trunk == first["gate"].trunk
        np.testing.assert_array_equal(again["gate"].answers, first["gate"].answers)
        assert (again["gate"].side, again["identification"].side) == (32, 64)
    assert len(runs) == 1
    written = json.loads(first["gate"].trunk.with_name(RECORD_FILE).read_text(encoding="utf-8"))
    assert written["made_from"]["checkpoint"] == locate_all(settings).checkpoint.sha256
    assert set(written["networks"]["gate"]["sha256"]) == {
        f"gate{part}.{kind}" for part in ("", "-head") for kind in ("xml", "bin")
    }


def test_what_it_depends_on_is_not_mistaken(kept: Settings, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    others = kept.model_copy(update={"gate": kept.gate.model_copy(update={"threshold": 0.7})})
    with prepared(others):
        pass
    assert runs == [], "the threshold is not what networks are made from"
    monkeypatch.setattr(record, "PACKAGES", ("openvino",))
    with prepared(kept):
        pass
    assert len(runs) == 1


@pytest.mark.parametrize("name", ["gate.bin", "identification-head.xml", RECORD_FILE])
def test_what_is_damaged_is_converted_again(kept: Settings, runs: Runs, name: str) -> None:
    with prepared(kept) as networks:
        damaged = networks["gate"].trunk.with_name(name)
    assert runs == []
    content = damaged.read_bytes()
    bad = content[:-1] + bytes([content[-1] ^ 1])
    damaged.write_bytes(bad)
    with prepared(kept):
        assert damaged.read_bytes() != bad
    with prepared(kept):
        pass
    assert len(runs) == 1


def test_a_cache_that_cannot_be_written_is_done_without(
    settings: Settings, runs: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    @contextmanager
    def refuses(_: WeightsCache, name: str) -> Iterator[Path]:
        raise OSError(30, "Read-only file system")
        yield

    monkeypatch.setattr(WeightsCache, "staged", refuses)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with prepared(settings) as networks:
        assert networks["gate"].trunk.exists()
        assert networks["gate"].trunk.is_relative_to(tmp_path)
    assert not networks["gate"].trunk.exists(), "what cannot be kept is removed"
    assert "is not kept: [Errno 30] Read-only file system" in caplog.text


def test_a_full_cache_is_done_without(settings: Settings, runs: Runs, caplog: pytest.LogCaptureFixture) -> None:
    full = settings.model_copy(update={"fetch": settings.fetch.model_copy(update={"cache_limit_bytes": 1})})
    with prepared(full) as networks:
        assert networks["gate"].trunk.exists()
    assert "is not kept" in caplog.text


def test_weights_that_cannot_be_used_are_told_as_such(settings: Settings, runs: Runs) -> None:
    other = settings.model_copy(update={"model": settings.model.model_copy(update={"embedding_size": 9})})
    with pytest.raises(CheckpointMismatch, match=r"tiny\.ckpt: expected the .*expected 9"), prepared(other):
        pass
    assert list(open_cache(settings).derived.glob("networks-*")) == []


@pytest.mark.parametrize(
    ("status", "printed", "told"),
    [
        (-9, "", "status -9: it said nothing"),
        (1, "noise\nOSError: No space left\n", "status 1: OSError: No space left"),
    ],
)
def test_a_process_that_fails_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, status: int, printed: str, told: str
) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, status, printed)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(RuntimeError, match=told), prepared(settings):
        pass
