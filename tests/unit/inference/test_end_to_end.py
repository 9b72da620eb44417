"""Tiny networks from a server through the cache to the answers of a process, and every failure on the way."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from support.file_server import FileServer, serving_links
from support.inference_world import client_of, make_settings, start
from support.pictures import archive
from support.tiny_weights import KNOWN, sections, sha256
from support.weights_cache import record_hashes

from cetacean_inference import cli
from cetacean_inference import pipeline as pipelines
from cetacean_inference.engines import ranking, selection
from cetacean_inference.engines.base import CompiledNetwork, EngineAbsent, Outputs
from cetacean_inference.engines.selection import SelectedEngines
from cetacean_inference.errors import ConfigInvalid, DigestMismatch, GateUnavailable, WeightsNotFound
from cetacean_inference.imaging.preprocessing import Pixels
from cetacean_inference.pipeline import NetworksPipeline, load_pipeline
from cetacean_inference.replay import replay
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import Settings
from cetacean_inference.weights.fetch import fetch_all, open_cache

SettingsOf = Callable[..., Settings]


@pytest.fixture
def server(weights: Path, tmp_path: Path) -> Iterator[FileServer]:
    with serving_links(weights.iterdir(), tmp_path / "served") as server:
        yield server


@pytest.fixture
def settings_of(server: FileServer, tmp_path: Path) -> SettingsOf:
    def make(*, model: dict[str, Any] | None = None, **others: Any) -> Settings:
        given = {"engine": {"name": "torch-eager"}, **sections(server.url, **(model or {}))}
        return make_settings(tmp_path, **{**given, **others})

    return make


def replace(server: FileServer, name: str, content: bytes) -> None:
    (server.directory / name).unlink()
    (server.directory / name).write_bytes(content)


def photograph(path: Path, *, seed: int = 0) -> Path:
    values = np.random.default_rng(seed).integers(0, 256, (90, 140, 3), dtype=np.uint8)
    Image.fromarray(values).save(path)
    return path


def loaded(settings: Settings) -> NetworksPipeline:
    fetch_all(settings)
    return load_pipeline(settings)


async def test_fetched_weights_answer_an_archive(settings_of: SettingsOf, weights: Path, tmp_path: Path) -> None:
    settings = settings_of(model={"sha256": sha256(weights / "tiny.safetensors")})
    pipeline = loaded(settings)
    service = Service(settings)
    start(service, pipeline)
    pictures = [photograph(tmp_path / f"{seed}.png", seed=seed) for seed in range(3)]
    async with client_of(service) as client:
        files = {"archive": ("a.zip", archive([(p.name, p.read_bytes()) for p in pictures]), "application/zip")}
        answer = await client.post("/v1/predict-batch", files=files)
        identity = (await client.get("/v1/identity")).json()
    assert service.close(timeout_seconds=10)
    pipeline.close()
    assert answer.status_code == 200
    for found in answer.json():
        assert found["bbox"] == [0, 0, 140, 90]
        assert found["class_animal"] in {f"id{number}" for number in range(KNOWN)}
        assert found["id_animal"] == f"species{int(found['class_animal'][2:]) % 2}"
        assert found["is_cetacean"]
        total = found["probability"] + sum(one["probability"] for one in found["candidates"])
        assert total == pytest.approx(1.0, abs=5e-4)
    assert answer.headers["X-Weights-SHA256"] == sha256(weights / "tiny.safetensors")
    assert identity["weights"] == {
        "sha256": sha256(weights / "tiny.safetensors"),
        "expected_sha256": sha256(weights / "tiny.safetensors"),
        "files": {name: sha256(weights / name) for name in ("encoder_classes.npy", "species_map.csv")},
        "unverified": ["encoder_classes.npy", "species_map.csv", "gate weights", "gate config"],
        "verified": False,
    }
    assert identity["gate"]["sha256"] == sha256(weights / "gate.safetensors")
    assert (identity["gate"]["architecture"], identity["gate"]["pretrained"]) == ("tiny-clip", None)
    assert identity["engine"] == "torch-eager"


def test_a_picture_has_the_same_score_alone_and_in_a_batch(settings_of: SettingsOf, tmp_path: Path) -> None:
    pipeline = loaded(settings_of())
    images = [Image.open(photograph(tmp_path / f"{seed}.png", seed=seed)) for seed in range(4)]
    prepared = [pipeline.prepare(image) for image in images]
    together = pipeline.predict(prepared)
    for one, in_batch in zip(prepared, together, strict=True):
        (alone,) = pipeline.predict([one])
        assert alone.cetacean_score == pytest.approx(in_batch.cetacean_score, abs=1e-5)
        assert alone.ranking[0].class_animal == in_batch.ranking[0].class_animal
    assert pipeline.predict([]) == []
    pipeline.close()


def test_only_pictures_that_the_gate_accepts_are_identified(
    settings_of: SettingsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    identified: list[int] = []

    def select_counting(*given: Any, **named: Any) -> SelectedEngines:
        engines = selection.select_engines(*given, **named)
        network = engines.identification

        def run(pixels: Pixels) -> Outputs:
            identified.append(len(pixels))
            return network.run(pixels)

        return dataclasses.replace(engines, identification=CompiledNetwork(run, network.side))

    monkeypatch.setattr(pipelines, "select_engines", select_counting)
    pipeline = loaded(settings_of())
    prepared = [
        pipeline.prepare(Image.open(photograph(tmp_path / f"{seed}.png", seed=seed))) for seed in (3, 1, 4, 2, 0)
    ]
    everything = pipeline.predict(prepared)
    threshold = sorted(one.cetacean_score for one in everything)[2]
    identified.clear()
    found = pipeline.predict(prepared, threshold=threshold)
    assert [one.cetacean_score for one in found] == [one.cetacean_score for one in everything]
    for one, whole in zip(found, everything, strict=True):
        assert [candidate.class_animal for candidate in one.ranking] == (
            [candidate.class_animal for candidate in whole.ranking] if whole.cetacean_score >= threshold else []
        )
    pipeline.predict(prepared, threshold=1.1)
    assert identified == [3]
    pipeline.close()


def test_loading_needs_no_network(settings_of: SettingsOf, server: FileServer) -> None:
    settings = settings_of()
    fetch_all(settings)
    asked = server.requests.total()
    load_pipeline(settings).close()
    assert server.requests.total() == asked


def test_each_file_is_hashed_once_when_it_is_loaded(
    settings_of: SettingsOf, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of()
    fetch_all(settings)
    hashed = record_hashes(monkeypatch)
    load_pipeline(settings).close()
    assert sorted(hashed) == sorted(sha256(path) for path in weights.iterdir())


@pytest.mark.parametrize(
    "name", ["tiny.safetensors", "encoder_classes.npy", "species_map.csv", "gate.safetensors", "gate.json"]
)
def test_a_file_damaged_in_the_cache_is_not_served(settings_of: SettingsOf, weights: Path, name: str) -> None:
    settings = settings_of()
    fetch_all(settings)
    blob = open_cache(settings).find(sha256(weights / name))
    assert blob is not None
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes() + b"\0")
    with pytest.raises(DigestMismatch, match=rf"{name}: expected sha256:{blob.name}, got sha256:"):
        load_pipeline(settings)


def test_weights_that_were_not_fetched_are_an_error(settings_of: SettingsOf) -> None:
    with pytest.raises(WeightsNotFound, match="run fetch first"):
        load_pipeline(settings_of())


def test_a_gate_that_was_not_fetched_is_an_error(settings_of: SettingsOf) -> None:
    fetch_all(settings_of())
    gate = {"weights_url": "https://weights.test/other.pt", "threshold": 0.0}
    with pytest.raises(GateUnavailable, match=r"other\.pt"):
        load_pipeline(settings_of(gate=gate))


def test_an_unknown_engine_is_an_error(settings_of: SettingsOf) -> None:
    with pytest.raises(
        ConfigInvalid,
        match=r"^engine\.name: Input should be 'auto', 'torch-eager' or 'openvino', got 'torch-inductor'$",
    ):
        settings_of(engine={"name": "torch-inductor"})


def test_the_fastest_engine_agrees_with_eager_torch(settings_of: SettingsOf, tmp_path: Path) -> None:
    reference = loaded(settings_of())
    fastest = loaded(settings_of(engine={"name": "openvino"}))
    assert fastest.identity.engine.startswith("openvino-")
    for seed in range(3):
        image = Image.open(photograph(tmp_path / f"{seed}.png", seed=seed))
        (expected,) = reference.predict([reference.prepare(image)])
        (found,) = fastest.predict([fastest.prepare(image)])
        assert found.cetacean_score == pytest.approx(expected.cetacean_score, abs=0.005)
    reference.close()
    fastest.close()


async def test_metrics_show_the_engine_and_the_rejected_ones(
    settings_of: SettingsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent() -> None:
        raise EngineAbsent("expected the package openvino")

    monkeypatch.setattr(selection, "openvino", absent)
    settings = settings_of(engine={"name": "auto", "device": "cpu"})
    pipeline = loaded(settings)
    service = Service(settings)
    start(service, pipeline)
    async with client_of(service) as client:
        exposed = (await client.get("/metrics")).text
    assert service.close(timeout_seconds=10)
    pipeline.close()
    assert 'engine="torch-eager"' in exposed
    for network in ("gate", "identification"):
        labels = f'engine="openvino-fp32",network="{network}",reason="absent"'
        assert f"cetacean_inference_engine_passed_over{{{labels}}} 1.0" in exposed


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a CUDA device")
def test_a_requested_device_that_does_not_exist_is_an_error(settings_of: SettingsOf) -> None:
    with pytest.raises(ConfigInvalid, match="expected a CUDA device"):
        load_pipeline(settings_of(engine={"device": "cuda"}))


# --- the commands ----------------------------------------------------------------------------------------------------


@pytest.fixture
def command(settings_of: SettingsOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Runs a command with a settings file; returns its exit status and its termination message."""
    message = tmp_path / "termination-log"

    def run(*arguments: str, **sections: Any) -> tuple[int, str]:
        settings = settings_of(**sections)
        content = settings.model_dump(mode="json", exclude_none=True, exclude={"config_dir"})
        (tmp_path / "inference.yaml").write_text(json.dumps(content), encoding="utf-8")
        monkeypatch.setenv("CETACEAN_CONFIG_DIR", str(tmp_path))
        message.write_text("", encoding="utf-8")
        return cli.main(arguments), message.read_text(encoding="utf-8")

    return run


Command = Callable[..., tuple[int, str]]


@pytest.mark.usefixtures("_restored_logging")
class TestCommands:
    def test_prune_removes_files_that_were_not_used_for_the_given_time(
        self, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert command("fetch")[0] == 0
        blobs = tmp_path / "cache" / "blobs" / "sha256"
        assert command("prune") == (0, "")
        assert len(list(blobs.iterdir())) == 5, "used a moment ago"
        capsys.readouterr()
        assert command("prune", "--unused-for", "0") == (0, "")
        assert list(blobs.iterdir()) == []
        assert capsys.readouterr().out.startswith("removed 5 files or directories, ")

    def test_fetch_prepares_the_networks_for_those_that_start_later(
        self, command: Command, settings_of: SettingsOf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        engine = {"name": "openvino", "threads": 1}
        assert command("fetch", "--prepare", engine=engine) == (0, "")

        def fail(*_: object, **__: object) -> None:
            raise AssertionError("converted or timed again")

        monkeypatch.setattr(subprocess, "run", fail)
        monkeypatch.setattr(ranking, "picture_ms", fail)
        pipeline = loaded(settings_of(engine=engine))
        assert pipeline.identity.engine.startswith("openvino-")
        assert set(pipeline.identity.start_seconds) == {"verify", "convert", "load", "warm_up"}
        pipeline.close()

    def test_weights_that_no_engine_can_load_end_the_preparation(self, command: Command, server: FileServer) -> None:
        status, message = command("fetch", "--prepare", model={"embedding_size": 9})
        assert status == 1
        assert message.startswith(f"CheckpointMismatch: {server.url}/tiny.safetensors: ")

    def test_weights_with_another_digest_end_fetch(self, command: Command, server: FileServer, weights: Path) -> None:
        status, message = command("fetch", model={"sha256": "ab" * 32})
        assert status == 1
        came = sha256(weights / "tiny.safetensors")
        assert message == (
            f"DigestMismatch: {server.url}/tiny.safetensors: expected sha256:{'ab' * 32}, got sha256:{came}"
        )

    def test_missing_weights_end_fetch(self, command: Command, server: FileServer) -> None:
        (server.directory / "tiny.safetensors").unlink()
        status, message = command("fetch")
        assert status == 1
        assert message == f"WeightsNotFound: {server.url}/tiny.safetensors: expected 200, got 404 Not Found"

    def test_a_missing_gate_ends_fetch(self, command: Command, server: FileServer) -> None:
        (server.directory / "gate.safetensors").unlink()
        status, message = command("fetch")
        assert status == 1
        assert message.startswith(f"GateUnavailable: {server.url}/gate.safetensors")

    def test_a_checkpoint_of_another_architecture_ends_serve(self, command: Command, server: FileServer) -> None:
        status, message = command("fetch", model={"embedding_size": 9})
        assert (status, message) == (0, "")
        status, message = command("serve", model={"embedding_size": 9})
        assert status == 1
        assert message.startswith(f"CheckpointMismatch: {server.url}/tiny.safetensors: ")
        assert "expected 9" in message

    def test_a_checkpoint_that_would_run_code_ends_serve(
        self, command: Command, server: FileServer, tmp_path: Path
    ) -> None:
        torch.save({"state_dict": {"a": tmp_path}}, tmp_path / "bad.ckpt")
        replace(server, "tiny.safetensors", (tmp_path / "bad.ckpt").read_bytes())
        pinned = {"sha256": sha256(tmp_path / "bad.ckpt")}
        assert command("fetch", model=pinned)[0] == 0
        status, message = command("serve", model=pinned)
        assert status == 1
        assert message.startswith("CheckpointMismatch")
        assert "got a pickle with the global 'pathlib." in message

    @pytest.mark.parametrize(("name", "reason"), [("tiny", "CheckpointMismatch"), ("gate", "GateUnavailable")])
    def test_a_pickled_file_without_a_digest_ends_fetch(
        self, command: Command, server: FileServer, weights: Path, tmp_path: Path, name: str, reason: str
    ) -> None:
        torch.save({"state_dict": load_file(weights / f"{name}.safetensors")}, tmp_path / "pickled.ckpt")
        replace(server, f"{name}.safetensors", (tmp_path / "pickled.ckpt").read_bytes())
        status, message = command("fetch")
        assert status == 1
        assert message.startswith(
            f"{reason}: {server.url}/{name}.safetensors: expected a .safetensors file, or a sha256"
        )
        assert "CETACEAN_FETCH__ALLOW_UNVERIFIED_PICKLE=true" in message

    def test_too_few_classes_end_serve(self, command: Command, server: FileServer, tmp_path: Path) -> None:
        np.save(tmp_path / "few.npy", np.array(["id0", "id1"]))
        replace(server, "encoder_classes.npy", (tmp_path / "few.npy").read_bytes())
        assert command("fetch")[0] == 0
        status, message = command("serve")
        assert status == 1
        assert message.startswith("ClassesMismatch")
        assert "at least 5 classes, got 2" in message

    def test_a_wrong_setting_ends_the_command(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        message = tmp_path / "termination-log"
        message.touch()
        monkeypatch.setattr(Settings.model_fields["termination_message_file"], "default", message)
        monkeypatch.setenv("CETACEAN_CONFIG_DIR", str(tmp_path))
        monkeypatch.setenv("CETACEAN_GATE__THRESHOLD", "2")
        assert cli.main(["serve"]) == 1
        assert message.read_text(encoding="utf-8").startswith("ConfigInvalid: ")
        assert "gate.threshold" in message.read_text(encoding="utf-8")

    def test_replay_compares_with_a_recorded_answer(
        self, command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert command("fetch")[0] == 0
        picture = photograph(tmp_path / "whale.png")
        assert command("replay", str(picture))[0] == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["image_ind"] == "whale.png"
        recorded = tmp_path / "recorded.json"
        recorded.write_text(json.dumps({**answer, "image_ind": "original name.png"}), encoding="utf-8")
        assert command("replay", str(picture), "--recorded", str(recorded))[0] == 0
        capsys.readouterr()
        recorded.write_text(json.dumps({**answer, "class_animal": "another", "cetacean_score": 2.0}), encoding="utf-8")
        assert command("replay", str(picture), "--recorded", str(recorded))[0] == 1
        differences = capsys.readouterr().err
        assert "individuals[another].probability: recorded " in differences
        assert "cetacean_score: recorded 2.0" in differences


async def test_replay_reproduces_an_answer_of_the_service(
    settings_of: SettingsOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of()
    pipeline = loaded(settings)
    service = Service(settings)
    start(service, pipeline, remove_background=lambda image: image.convert("RGBA"))
    shown, recorded = photograph(tmp_path / "whale.png"), tmp_path / "recorded.json"
    async with client_of(service) as client:
        answer = await client.post("/v1/predict-single", files={"file": ("a.png", shown.read_bytes(), "image/png")})
    assert service.close(timeout_seconds=10)
    recorded.write_bytes(answer.content)
    assert answer.json()["mask"] is not None
    assert replay(settings, pipeline, picture=shown, recorded=recorded) == 0
    other = settings.model_copy(update={"gate": settings.gate.model_copy(update={"threshold": 1.0})})
    assert replay(other, pipeline, picture=shown, recorded=recorded) == 1
    assert "rejection_reason: recorded None, now 'not_a_marine_mammal'" in capsys.readouterr().err
    pipeline.close()


async def test_replay_reproduces_the_answer_for_a_corrupted_entry(
    settings_of: SettingsOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = settings_of()
    pipeline = loaded(settings)
    service = Service(settings)
    start(service, pipeline)
    shown, recorded = photograph(tmp_path / "whale.png"), tmp_path / "recorded.json"
    whole = shown.read_bytes()
    shown.write_bytes(whole[:-40])
    async with client_of(service) as client:
        files = {"archive": ("a.zip", archive([("whale.png", shown.read_bytes())]), "application/zip")}
        (answer,) = (await client.post("/v1/predict-batch", files=files)).json()
    assert service.close(timeout_seconds=10)
    recorded.write_text(json.dumps(answer), encoding="utf-8")
    assert replay(settings, pipeline, picture=shown, recorded=recorded) == 0
    assert replay(settings, pipeline, picture=shown, recorded=None) == 2, "a single corrupted picture has no answer"
    capsys.readouterr()
    shown.write_bytes(whole)
    assert replay(settings, pipeline, picture=shown, recorded=recorded) == 1
    assert "rejection_reason: recorded 'corrupted_image', now " in capsys.readouterr().err
    pipeline.close()


def test_a_long_termination_message_is_cut_to_the_kubelets_limit(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    path.touch()
    cli.write_termination_message(f"FatalError: {'é' * 5000}", path)
    assert len(path.read_bytes()) <= 4096
    assert path.read_text(encoding="utf-8").startswith("FatalError: éé")


def test_a_missing_termination_file_is_not_created(tmp_path: Path) -> None:
    cli.write_termination_message("FatalError: reason", tmp_path / "termination-log")
    assert list(tmp_path.iterdir()) == []
