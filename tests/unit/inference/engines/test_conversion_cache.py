"""Converted networks: made once by another process, and verified against their record."""

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
from support.mapped import resident_kb
from support.tiny_weights import sections
from support.weights_cache import add_blob, record_hashes

from cetacean_inference import cli
from cetacean_inference.engines import conversion, conversion_cache, conversion_record
from cetacean_inference.engines.base import ConvertedNetwork
from cetacean_inference.engines.conversion_cache import weights_to_leave_unread
from cetacean_inference.errors import CheckpointMismatch
from cetacean_inference.pipeline import load_pipeline
from cetacean_inference.settings import Settings
from cetacean_inference.system.start_times import StartTimes
from cetacean_inference.types import NetworkName
from cetacean_inference.weights.cache import RECORD_FILE, WeightsCache
from cetacean_inference.weights.fetch import fetch_all, locate_all, open_cache


def of_weights(weights: Path, directory: Path) -> Settings:
    settings = make_settings(directory, engine={"name": "openvino", "threads": 1}, **sections(weights.as_uri()))
    fetch_all(settings)
    return settings


@pytest.fixture
def settings(weights: Path, tmp_path: Path) -> Settings:
    """Settings whose weights are in the cache."""
    return of_weights(weights, tmp_path)


@pytest.fixture(scope="module")
def converted_before(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with the converted networks, for tests to copy."""
    settings = of_weights(weights, tmp_path_factory.mktemp("before"))
    with pytest.MonkeyPatch.context() as patch:
        convert_here(patch)
        with prepared(settings):
            return settings.weights_cache


@pytest.fixture
def converted(settings: Settings, converted_before: Path) -> Settings:
    """The same settings, with converted networks in the cache."""
    shutil.copytree(converted_before, settings.weights_cache, dirs_exist_ok=True)
    return settings


Runs = list[list[str]]
"""The networks of each conversion."""
BOTH = ["gate", "identification"]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    return convert_here(monkeypatch)


def convert_here(monkeypatch: pytest.MonkeyPatch) -> Runs:
    """Convert in this process instead of another one; returns the networks of all conversions."""
    into: Runs = []

    def run(command: list[str], *, input: str, **_: Any) -> subprocess.CompletedProcess[str]:  # noqa: A002
        arguments = command[3:]
        into.append([argument.partition("=")[0] for argument in arguments])
        monkeypatch.setattr(sys, "argv", ["conversion", *arguments])
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
def prepared(settings: Settings) -> Iterator[Mapping[NetworkName, ConvertedNetwork]]:
    with ExitStack() as until_compiled, ExitStack() as while_serving:
        yield conversion_cache.converted_networks(
            settings,
            files=locate_all(settings),
            cache=open_cache(settings),
            times=StartTimes(),
            until_compiled=until_compiled,
            hold=while_serving.enter_context,
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


def test_networks_are_converted_once(settings: Settings, runs: Runs) -> None:
    with prepared(settings) as first:
        assert {file.exists() for one in first.values() for file in (one.trunk, one.head)} == {True}
    with prepared(settings) as again:
        assert again["gate"].trunk == first["gate"].trunk
        np.testing.assert_array_equal(again["gate"].reference, first["gate"].reference)
        assert (again["gate"].side, again["identification"].side) == (32, 64)
    assert runs == [BOTH]
    written = json.loads(first["gate"].trunk.with_name(RECORD_FILE).read_text(encoding="utf-8"))
    assert written["made_from"]["weights"] == locate_all(settings).gate_weights.sha256
    assert set(written["sha256"]) == {
        "gate-reference.npy",
        *(f"gate{part}.{kind}" for part in ("", "-head") for kind in ("xml", "bin")),
    }


def test_networks_are_converted_again_if_and_only_if_their_origin_changes(
    converted: Settings, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = converted.model_copy(update={"gate": converted.gate.model_copy(update={"threshold": 0.7})})
    with prepared(others):
        pass
    assert runs == [], "networks do not depend on the threshold"
    monkeypatch.setattr(conversion_record, "PACKAGES", dict.fromkeys(BOTH, ("openvino",)))
    with prepared(converted):
        pass
    assert runs == [BOTH]


def test_the_gate_that_models_share_is_converted_once(converted: Settings, runs: Runs) -> None:
    other = converted.model_copy(update={"model": converted.model.model_copy(update={"num_classes_active": 4})})
    with prepared(converted) as first, prepared(other) as second:
        assert second["gate"].trunk == first["gate"].trunk
        assert second["identification"].trunk != first["identification"].trunk
    assert runs == [["identification"]]


@pytest.mark.parametrize(
    ("network", "name"),
    [
        ("gate", "gate.bin"),
        ("identification", "identification-head.xml"),
        ("gate", "gate-reference.npy"),
        ("identification", RECORD_FILE),
    ],
)
def test_a_damaged_network_is_converted_again(converted: Settings, runs: Runs, network: NetworkName, name: str) -> None:
    with prepared(converted) as networks:
        damaged = networks[network].trunk.with_name(name)
    assert runs == []
    content = damaged.read_bytes()
    bad = content[:-1] + bytes([content[-1] ^ 1])
    damaged.write_bytes(bad)
    with prepared(converted):
        assert damaged.read_bytes() != bad
    with prepared(converted):
        pass
    assert runs == [[network]]


# --- weights that nobody reads any more ------------------------------------------------------------------------------


def both_weights(settings: Settings) -> set[str]:
    files = locate_all(settings)
    return {files.checkpoint.sha256, files.gate_weights.sha256}


def test_weights_of_stored_networks_are_left_unread(converted: Settings) -> None:
    assert weights_to_leave_unread(converted, open_cache(converted)) == both_weights(converted)


def test_weights_without_stored_networks_are_read(settings: Settings) -> None:
    assert weights_to_leave_unread(settings, open_cache(settings)) == set()


def test_eager_torch_reads_the_weights(converted: Settings) -> None:
    eager = converted.model_copy(update={"engine": converted.engine.model_copy(update={"name": "torch-eager"})})
    assert weights_to_leave_unread(eager, open_cache(eager)) == set()


def test_cuda_reads_the_weights(converted: Settings) -> None:
    cuda = converted.model_copy(update={"engine": converted.engine.model_copy(update={"device": "cuda"})})
    assert weights_to_leave_unread(cuda, open_cache(cuda)) == set()


@pytest.mark.parametrize(("digest", "unread"), [(None, True), ("its own", True), ("ab" * 32, False)])
def test_a_gate_with_another_configuration_is_read(converted: Settings, digest: str | None, *, unread: bool) -> None:
    files = locate_all(converted)
    assert files.gate_config is not None
    named = files.gate_config.sha256 if digest == "its own" else digest
    settings = converted.model_copy(update={"gate": converted.gate.model_copy(update={"config_sha256": named})})
    found = weights_to_leave_unread(settings, open_cache(settings))
    assert found == {files.checkpoint.sha256} | ({files.gate_weights.sha256} if unread else set())


def test_a_record_that_names_no_weights_leaves_nothing_unread(converted: Settings) -> None:
    for record in converted.weights_cache.glob(f"derived/network-gate-*/{RECORD_FILE}"):
        content = json.loads(record.read_text(encoding="utf-8"))
        del content["made_from"]["weights"]
        record.write_text(json.dumps(content), encoding="utf-8")
    assert weights_to_leave_unread(converted, open_cache(converted)) == {locate_all(converted).checkpoint.sha256}


def test_weights_are_read_if_their_networks_were_converted_for_other_settings_or_packages(
    converted: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = converted.model_copy(update={"model": converted.model.model_copy(update={"num_classes_active": 4})})
    gate = {locate_all(converted).gate_weights.sha256}
    assert weights_to_leave_unread(other, open_cache(other)) == gate
    monkeypatch.setattr(conversion_record, "_version", lambda name: "0" if name == "timm" else "1")
    assert weights_to_leave_unread(converted, open_cache(converted)) == set()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"made_from": 1}', b"\xff", b"[" * 10000])
def test_weights_whose_record_cannot_be_read_are_read(converted: Settings, content: bytes) -> None:
    for record in converted.weights_cache.glob(f"derived/network-gate-*/{RECORD_FILE}"):
        record.write_bytes(content)
    assert weights_to_leave_unread(converted, open_cache(converted)) == {locate_all(converted).checkpoint.sha256}


@pytest.fixture
def named(converted: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The same settings, with digests of the weights, for the commands."""
    files = locate_all(converted)
    settings = converted.model_copy(
        update={
            "model": converted.model.model_copy(update={"sha256": files.checkpoint.sha256}),
            "gate": converted.gate.model_copy(update={"sha256": files.gate_weights.sha256}),
        }
    )
    monkeypatch.setattr(cli, "load_settings", lambda: settings)
    return settings


def cached_checkpoint(named: Settings) -> Path:
    path = open_cache(named).find(str(named.model.sha256))
    assert path is not None
    return path


def test_fetch_leaves_weights_unread_only_while_their_networks_are_stored(named: Settings) -> None:
    checkpoint = cached_checkpoint(named)
    intact = checkpoint.read_bytes()
    checkpoint.write_bytes(b"damaged")
    assert cli.main(["fetch"]) == 0
    assert checkpoint.read_bytes() == b"damaged"
    shutil.rmtree(named.weights_cache / "derived")
    (named.weights_cache / "derived").mkdir()
    assert cli.main(["fetch"]) == 0
    assert checkpoint.read_bytes() == intact


def test_a_preparation_that_finds_network_and_weights_damaged_fetches_and_converts_them_again(
    named: Settings, runs: Runs
) -> None:
    checkpoint = cached_checkpoint(named)
    intact = checkpoint.read_bytes()
    checkpoint.write_bytes(b"damaged")
    for network in named.weights_cache.glob("derived/network-identification-*/identification.bin"):
        network.write_bytes(b"damaged")
    assert cli.main(["fetch", "--prepare"]) == 0
    assert checkpoint.read_bytes() == intact
    assert runs == [["identification"], ["identification"]], "with the damaged file, and with the one fetched again"


def test_with_a_read_only_cache_networks_are_converted_for_this_start_only(
    settings: Settings, runs: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    @contextmanager
    def read_only(_: WeightsCache, name: str) -> Iterator[Path]:
        raise OSError(30, "Read-only file system")
        yield

    monkeypatch.setattr(WeightsCache, "staging_directory", read_only)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with prepared(settings) as networks:
        assert networks["gate"].trunk.exists()
        assert networks["gate"].trunk.is_relative_to(tmp_path)
    assert not networks["gate"].trunk.exists(), "files that cannot be stored are removed"
    assert "are not stored: [Errno 30] Read-only file system" in caplog.text


def test_with_a_full_cache_networks_are_converted_for_this_start_only(
    settings: Settings, runs: Runs, caplog: pytest.LogCaptureFixture
) -> None:
    full = settings.model_copy(update={"fetch": settings.fetch.model_copy(update={"cache_limit_bytes": 1})})
    with prepared(full) as networks:
        assert networks["gate"].trunk.exists()
    assert "are not stored" in caplog.text


class FullVolume:
    """Writing networks into the cache, or anywhere, fails as OpenVINO fails on a full volume."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, everywhere: bool) -> None:
        save = conversion.save

        def is_full(directory: Path) -> bool:
            return everywhere or "incomplete" in directory.parts

        def failing(network: Any, trunk: Path, head: Path, *, side: int) -> None:
            if is_full(trunk.parent):
                raise RuntimeError("basic_ios::clear: iostream error")
            save(network, trunk, head, side=side)

        monkeypatch.setattr(conversion, "save", failing)
        monkeypatch.setattr(conversion, "has_room", lambda directory, _: not is_full(directory))


def test_if_the_volume_fills_up_networks_are_converted_for_this_start_only(
    settings: Settings, runs: Runs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    FullVolume(monkeypatch, everywhere=False)
    with prepared(settings) as networks:
        assert all(one.trunk.exists() for one in networks.values())
    assert runs == [BOTH, BOTH]
    assert "are not stored: converted gate: needs " in caplog.text
    assert not list(open_cache(settings).derived.glob("network-*"))
    assert not [path for path in (settings.weights_cache / "incomplete").iterdir() if path.is_dir()]


def test_if_there_is_room_nowhere_eager_torch_computes(
    settings: Settings, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    FullVolume(monkeypatch, everywhere=True)
    with pytest.raises(RuntimeError, match="converted gate: needs "), prepared(settings):
        pass
    auto = settings.model_copy(update={"engine": settings.engine.model_copy(update={"name": "auto"})})
    pipeline = load_pipeline(auto)
    assert pipeline.identity.engine == "torch-eager"
    pipeline.close()


def test_an_error_of_a_conversion_with_room_is_not_about_room(
    settings: Settings, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    FullVolume(monkeypatch, everywhere=True)
    monkeypatch.setattr(conversion, "has_room", lambda *_: True)
    with pytest.raises(RuntimeError, match="status 1: RuntimeError: basic_ios"), prepared(settings):
        pass
    assert runs == [BOTH]


def test_unusable_weights_are_a_fatal_error(settings: Settings, runs: Runs) -> None:
    other = settings.model_copy(update={"model": settings.model.model_copy(update={"embedding_size": 9})})
    with pytest.raises(CheckpointMismatch, match=r"tiny\.safetensors: expected the .*expected 9"), prepared(other):
        pass
    assert list(open_cache(settings).derived.glob("network-*")) == []


def test_weights_that_are_converted_are_kept_without_being_hashed(
    converted: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = locate_all(converted)
    served = {blob.sha256 for blob in files.all()}
    hashed = record_hashes(monkeypatch)
    pipeline = load_pipeline(converted)
    assert sorted(hashed) == sorted((files.classes.sha256, files.species.sha256))
    assert pipeline.identity.weights_sha256 == files.checkpoint.sha256
    mapped = list(open_cache(converted).derived.glob("network-*/*.bin"))
    assert {file.name: resident_kb(file) for file in mapped} == dict.fromkeys(
        ("gate.bin", "gate-head.bin", "identification.bin", "identification-head.bin"), 0
    )
    cache = open_cache(converted)
    cache.prune(unused_seconds=0)
    assert {digest for digest in served if cache.find(digest)} == served
    pipeline.close()
    cache.prune(unused_seconds=0)
    assert not any(cache.find(digest) for digest in served)


@pytest.mark.parametrize(
    ("status", "printed", "message"),
    [
        (-9, "", "status -9: no message"),
        (1, "noise\nOSError: No space left\n", "status 1: OSError: No space left"),
    ],
)
def test_an_error_names_the_status_and_the_last_line_of_a_failed_conversion(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, status: int, printed: str, message: str
) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, status, printed)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(RuntimeError, match=message), prepared(settings):
        pass


def test_fetch_makes_room_for_the_conversion_and_serving_evicts_nothing(settings: Settings, runs: Runs) -> None:
    files, unused = locate_all(settings), b"x" * 100_000
    needed = sum(blob.path.stat().st_size for blob in (files.checkpoint, files.gate_weights))
    used = sum(path.stat().st_size for path in settings.weights_cache.glob("blobs/sha256/*"))
    limit = used + needed + len(unused) // 2
    digest = add_blob(open_cache(settings), unused)
    small = settings.model_copy(
        update={"fetch": settings.fetch.model_copy(update={"cache_limit_bytes": limit, "keep_unused_seconds": 600.0})}
    )
    with prepared(small):
        assert list(open_cache(small).derived.glob("network-*")) == []
    assert open_cache(small).find(digest) is not None
    conversion_cache.make_room_for_conversion(small, files=files, cache=open_cache(small))
    assert open_cache(small).find(digest) is None
    with prepared(small):
        assert len(list(open_cache(small).derived.glob("network-*"))) == 2
    assert len(runs) == 2


def test_no_room_is_made_for_networks_that_are_already_converted(converted: Settings) -> None:
    digest = add_blob(open_cache(converted), b"x" * 300)
    full = converted.model_copy(update={"fetch": converted.fetch.model_copy(update={"cache_limit_bytes": 1})})
    conversion_cache.make_room_for_conversion(full, files=locate_all(full), cache=open_cache(full))
    assert open_cache(full).find(digest) is not None


@pytest.mark.parametrize("engine", [{"name": "torch-eager"}, {"name": "auto", "device": "cuda"}])
def test_no_room_is_made_if_nothing_will_be_converted(settings: Settings, engine: dict[str, str]) -> None:
    digest = add_blob(open_cache(settings), b"x" * 300)
    changes = {
        "fetch": settings.fetch.model_copy(update={"cache_limit_bytes": 1}),
        "engine": settings.engine.model_copy(update=engine),
    }
    full = settings.model_copy(update=changes)
    conversion_cache.make_room_for_conversion(full, files=locate_all(full), cache=open_cache(full))
    assert open_cache(full).find(digest) is not None
