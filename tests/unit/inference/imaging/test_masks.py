"""Masks: off by default, from verified weights, and null rather than a late answer."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from support.file_server import FileServer, serving_links
from support.inference_world import FakePipeline, client_of, make_settings, start
from support.pictures import archive, encoded, picture
from support.tiny_weights import sections, sha256

from cetacean_inference.errors import CheckpointMismatch, ConfigInvalid, DigestMismatch, WeightsNotFound
from cetacean_inference.imaging.background_removal import load_background_remover
from cetacean_inference.imaging.masks import BASE64_CHUNK, RemoveBackground
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import Settings
from cetacean_inference.weights.fetch import fetch_all, open_cache

SIDE = 320
"""Of U2-Net's input, in pixels."""
with_rembg = pytest.mark.not_in_image(reason="rembg, which only the image with masks has, and onnx to make its network")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with U2-Net's input and output whose foreground is the bright pixels."""
    import onnx  # noqa: PLC0415 - the image does not have it

    tensor, floats = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    axes = onnx.helper.make_tensor("axes", onnx.TensorProto.INT64, [1], [1])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("ReduceMean", ["picture", "axes"], ["mask"], keepdims=1)],
        "brightness",
        [tensor("picture", floats, [1, 3, SIDE, SIDE])],
        [tensor("mask", floats, [1, 1, SIDE, SIDE])],
        initializer=[axes],
    )
    path = tmp_path_factory.mktemp("network") / "bright.onnx"
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return path


@pytest.fixture
def server(network: Path, weights: Path, tmp_path: Path) -> Iterator[FileServer]:
    with serving_links((network, *weights.iterdir()), tmp_path / "served") as server:
        yield server


@pytest.fixture
def settings_with(server: FileServer, network: Path, tmp_path: Path) -> Callable[..., Settings]:
    def make(**mask: Any) -> Settings:
        given = {"enabled": True, "weights_url": f"{server.url}/bright.onnx", "sha256": sha256(network), **mask}
        return make_settings(tmp_path, mask=given, **{**sections(server.url), "gate": {"threshold": 0.5}})

    return make


def fetched(settings: Settings, server: FileServer) -> Settings:
    """Fetch the files and return the same settings."""
    gate = sections(server.url)["gate"]
    fetch_all(settings.model_copy(update={"gate": settings.gate.model_copy(update=gate)}))
    return settings


def with_square() -> bytes:
    """Return a picture with a white square, which the fake pipeline identifies."""
    image = Image.new("RGB", (90, 60), (180, 120, 0))
    image.paste((255, 255, 255), (30, 15, 60, 45))
    return encoded(image, "PNG")


async def single(client: httpx.AsyncClient, data: bytes) -> dict[str, Any]:
    answer = await client.post("/v1/predict-single", files={"file": ("a.png", data, "image/png")})
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def counted(client: httpx.AsyncClient) -> dict[str, float]:
    prefix = 'cetacean_inference_masks_total{outcome="'
    lines = (await client.get("/metrics")).text.splitlines()
    return {
        line.removeprefix(prefix).partition('"')[0]: float(line.rpartition(" ")[2])
        for line in lines
        if line.startswith(prefix)
    }


# --- rembg -----------------------------------------------------------------------------------------------------------


@with_rembg
async def test_an_identified_single_picture_gets_a_mask_from_fetched_weights(
    settings_with: Callable[..., Settings], server: FileServer
) -> None:
    settings = fetched(settings_with(), server)
    asked = server.requests.total()
    service = Service(settings)
    with closing(load_background_remover(settings)) as remover:
        start(service, FakePipeline(), remove_background=remover)
        async with client_of(service) as client:
            found = await single(client, with_square())
            rejected = await single(client, picture(score=0.1))
            files = {"archive": ("a.zip", archive([("a.png", with_square())]), "application/zip")}
            together = (await client.post("/v1/predict-batch", files=files)).json()
            assert await counted(client) == {"made": 1}
        assert service.close(timeout_seconds=10)
    assert server.requests.total() == asked, "nothing is fetched while serving"
    cut = Image.open(io.BytesIO(base64.b64decode(found["mask"], validate=True)))
    assert (cut.format, cut.mode, cut.size) == ("PNG", "RGBA", (90, 60))
    alpha = np.asarray(cut)[:, :, 3]
    assert (alpha[25:35, 40:50] == 255).all()
    assert (alpha[:5] < 32).all()
    assert rejected["mask"] is None
    assert [one["mask"] for one in together] == [None]
    assert {**found, "mask": None} == together[0]


@with_rembg
def test_fetching_a_network_with_another_digest_fails(
    settings_with: Callable[..., Settings], server: FileServer
) -> None:
    with pytest.raises(DigestMismatch, match=r"bright\.onnx: expected sha256:abab"):
        fetched(settings_with(sha256="ab" * 32), server)


@with_rembg
def test_a_network_damaged_in_the_cache_is_not_loaded(
    settings_with: Callable[..., Settings], server: FileServer, network: Path
) -> None:
    settings = fetched(settings_with(), server)
    blob = open_cache(settings).find(sha256(network))
    assert blob is not None
    blob.chmod(0o644)
    blob.write_bytes(b"damaged")
    with pytest.raises(DigestMismatch, match=r"bright\.onnx: expected sha256:.* in the cache"):
        load_background_remover(settings)


@with_rembg
def test_a_network_that_was_not_fetched_is_an_error(settings_with: Callable[..., Settings]) -> None:
    with pytest.raises(WeightsNotFound, match=r"bright\.onnx: .*run fetch first"):
        load_background_remover(settings_with())


@with_rembg
def test_a_file_that_is_no_network_is_an_error(settings_with: Callable[..., Settings], server: FileServer) -> None:
    (server.directory / "other.onnx").write_bytes(b"words")
    digest = sha256(server.directory / "other.onnx")
    settings = fetched(settings_with(weights_url=f"{server.url}/other.onnx", sha256=digest), server)
    with pytest.raises(CheckpointMismatch, match=r"other\.onnx: expected a U2-Net in ONNX, got: ") as caught:
        load_background_remover(settings)
    assert "\n" not in str(caught.value)


@with_rembg
def test_without_the_extra_the_error_names_the_package_to_install(
    settings_with: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cetacean_inference.imaging.background_removal.PACKAGES", ("rembg", "no_such_package"))
    with pytest.raises(ConfigInvalid, match=r"package no_such_package \(pip install 'cetacean\[mask\]'\)"):
        load_background_remover(settings_with())


def test_masks_are_off_by_default_and_another_url_needs_its_digest(tmp_path: Path) -> None:
    assert not make_settings(tmp_path).mask.enabled
    with pytest.raises(ConfigInvalid, match=r"mask: .*expected the sha256 of https://mirror\.test/u2net\.onnx"):
        make_settings(tmp_path, mask={"weights_url": "https://mirror.test/u2net.onnx"})


# --- the bounds ------------------------------------------------------------------------------------------------------


def opaque(image: Image.Image) -> Image.Image:
    return image.convert("RGBA")


@pytest.fixture
def masking(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Makes services with a function that removes the background."""
    made: list[Service] = []

    def make(remove_background: RemoveBackground, **mask: Any) -> Service:
        service = Service(make_settings(tmp_path, mask=mask))
        start(service, FakePipeline(), remove_background=remove_background)
        made.append(service)
        return service

    yield make
    for service in made:
        assert service.close(timeout_seconds=10)


async def test_a_mask_that_fails_is_null(masking: Callable[..., Service], caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: Image.Image) -> Image.Image:
        raise RuntimeError("no\nmemory")

    with caplog.at_level("INFO"):
        async with client_of(masking(fails)) as client:
            found = await single(client, picture())
            assert await counted(client) == {"failed": 1}
    assert (found["mask"], found["rejected"], found["class_animal"]) == (None, False, "id1")
    assert "no mask: RuntimeError: no memory" in caplog.text


async def test_a_mask_of_too_many_pixels_is_null(masking: Callable[..., Service]) -> None:
    async with client_of(masking(opaque, max_pixels=99)) as client:
        assert (await single(client, picture(size=(10, 10))))["mask"] is None
        assert (await single(client, picture(size=(11, 9))))["mask"] is not None
        assert await counted(client) == {"large": 1, "made": 1}


async def test_a_mask_that_takes_too_long_is_null(masking: Callable[..., Service]) -> None:
    go_on = threading.Event()

    def waits(image: Image.Image) -> Image.Image:
        assert go_on.wait(30)
        return opaque(image)

    async with client_of(masking(waits, timeout_seconds=0.01)) as client:
        found = await single(client, picture())
        go_on.set()
        assert await counted(client) == {"late": 1}
    assert (found["mask"], found["rejected"]) == (None, False)


async def test_masks_beyond_the_queues_size_are_null_at_once(masking: Callable[..., Service]) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def waits(image: Image.Image) -> Image.Image:
        begun.set()
        assert go_on.wait(30)
        return opaque(image)

    async with client_of(masking(waits, queue_size=1, timeout_seconds=30)) as client:
        first = asyncio.create_task(single(client, picture()))
        await asyncio.to_thread(begun.wait, 30)
        assert (await single(client, picture()))["mask"] is None
        assert (await client.get("/health")).status_code == 200
        go_on.set()
        assert (await first)["mask"] is not None
        assert await counted(client) == {"full": 1, "made": 1}


async def test_a_mask_of_several_base64_chunks_is_complete(masking: Callable[..., Service]) -> None:
    noise = Image.effect_noise((900, 700), 90).convert("RGB")
    buffer = io.BytesIO()
    Image.merge("RGB", (Image.new("L", noise.size, 200), Image.new("L", noise.size, 200), noise.getchannel(2))).save(
        buffer, "PNG"
    )
    async with client_of(masking(opaque)) as client:
        mask = base64.b64decode((await single(client, buffer.getvalue()))["mask"], validate=True)
    assert len(mask) > BASE64_CHUNK
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(mask)).convert("RGB")), np.asarray(Image.open(buffer))
    )
