"""Selection of engines: OpenVINO if it agrees with eager torch on the given weights, else eager torch."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import open_clip
import pytest
import torch
from support.tiny_weights import BACKBONE, CLASSES, EMBEDDING, GATE, KNOWN
from torch import nn
from torch.nn import functional

from cetacean_inference.engines import openvino, selection
from cetacean_inference.engines.agreement import (
    PICTURES,
    comparison_inputs,
    draw_pictures,
    gate_disagreement,
    run_in_batches,
)
from cetacean_inference.engines.base import (
    CompiledNetwork,
    ConvertedNetwork,
    Engine,
    EngineAbsent,
    Outputs,
    Runner,
)
from cetacean_inference.engines.conversion import reference_outputs, save
from cetacean_inference.engines.conversion_record import parts
from cetacean_inference.engines.eager import EagerEngine
from cetacean_inference.engines.openvino import OpenVinoEngine
from cetacean_inference.engines.selection import Device, SelectedEngines, faster_than_eager, select_engines
from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.imaging.preprocessing import crop_centre
from cetacean_inference.models.gate import CLIP_MEAN, CLIP_STD, gate_network
from cetacean_inference.models.identification import CetaceanIdentificationModel, identification_network
from cetacean_inference.models.network import Network, Normalise
from cetacean_inference.settings import EngineSettings
from cetacean_inference.types import NetworkName

EAGER = EagerEngine(torch.device("cpu"))
AUTO = EngineSettings(name="auto", device="cpu", threads=1)


Networks = dict[NetworkName, Network]
SIDES: dict[NetworkName, int] = {"gate": 32, "identification": 64}


@pytest.fixture(scope="module")
def networks() -> Networks:
    torch.manual_seed(0)
    trained = CetaceanIdentificationModel(backbone=BACKBONE, embedding_size=EMBEDDING, classes=CLASSES)
    visual = open_clip.CLIP(**GATE).visual
    # The prompts are the embeddings of two pictures, so that scores differ and lie between 0 and 1.
    with torch.no_grad():
        pixels = torch.from_numpy(np.stack([crop_centre(picture, 32) for picture in draw_pictures()][:2]))
        texts = functional.normalize(visual.eval()(Normalise(CLIP_MEAN, CLIP_STD)(pixels)), dim=-1)
    return {
        "gate": gate_network(visual, texts=texts, positive=1),
        "identification": identification_network(trained, known=KNOWN),
    }


@pytest.fixture(scope="module")
def converted(networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> Mapping[NetworkName, ConvertedNetwork]:
    """Both networks as the conversion process writes them."""
    directory = tmp_path_factory.mktemp("converted")
    found: dict[NetworkName, ConvertedNetwork] = {}
    for name, network in networks.items():
        trunk, head = parts(directory, name)
        save(network, trunk, head, side=SIDES[name])
        outputs = reference_outputs(name, network, side=SIDES[name])
        found[name] = ConvertedNetwork(name, trunk, head, SIDES[name], outputs)
    return found


Choose = Callable[[EngineSettings], SelectedEngines]


@pytest.fixture
def choose(networks: Networks, converted: Mapping[NetworkName, ConvertedNetwork]) -> Choose:
    """Selects engines for the networks above; all take the same time, and none has been timed before."""
    (converted["gate"].trunk.parent / "engine-times.json").unlink(missing_ok=True)

    def eager(name: NetworkName, device: Device) -> CompiledNetwork:
        assert device == "cpu"
        return CompiledNetwork(EAGER.compile(networks[name]), SIDES[name])

    ticks = itertools.count()
    return lambda settings: select_engines(
        settings, converted=lambda: converted, eager=eager, clock=lambda: float(next(ticks))
    )


class Altered:
    """Eager torch with outputs modified by `change`."""

    def __init__(self, name: str, networks: Networks, change: Callable[[Outputs], Outputs]) -> None:
        self.name = name
        self._networks = networks
        self._change = change

    def compile(self, network: ConvertedNetwork) -> Runner:
        run = EAGER.compile(self._networks[network.name])
        return lambda images: self._change(run(images))


class Broken:
    """Fails with a given error."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self._error = error

    def compile(self, network: ConvertedNetwork) -> Runner:
        raise self._error


def gate_off_by(deviation: float) -> Callable[[Outputs], Outputs]:
    return lambda scores: scores + np.float32(deviation) if scores.ndim == 1 else scores


def likeliest_off_by(deviation: float) -> Callable[[Outputs], Outputs]:
    """Move probability to the likeliest individual, whose rank stays."""

    def change(scores: Outputs) -> Outputs:
        if scores.ndim == 1:
            return scores
        changed = scores.copy()
        changed[range(len(scores)), scores.argmax(axis=1)] += np.float32(deviation)
        return changed

    return change


def swapped(scores: Outputs) -> Outputs:
    return scores if scores.ndim == 1 else scores[:, ::-1]


def not_numbers(scores: Outputs) -> Outputs:
    return np.full_like(scores, np.nan)


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Offers other engines instead of OpenVINO."""

    def offer(*engines: Engine) -> None:
        def only_these(settings: EngineSettings, device: Device) -> Sequence[Engine]:
            return engines

        monkeypatch.setattr(selection, "faster_than_eager", only_these)

    return offer


# --- the pictures ----------------------------------------------------------------------------------------------------


def test_the_comparison_pictures_are_reproducible_and_all_different() -> None:
    once, again = ([picture.tobytes() for picture in draw_pictures()] for _ in range(2))
    assert once == again
    assert len(set(once)) == PICTURES


def test_eager_torch_agrees_with_itself_for_one_picture_and_for_batches(networks: Networks) -> None:
    pictures = comparison_inputs("gate", 32)
    run = EAGER.compile(networks["gate"])
    reference = run_in_batches(run, pictures)
    alone = np.concatenate([run(one[None]) for one in pictures])
    np.testing.assert_allclose(alone, reference, atol=1e-5)
    assert reference.std() > 0.005, "equal scores would hide a difference"
    assert gate_disagreement(alone, reference, allowed=0.005) is None


# --- OpenVINO --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["gate", "identification"])
def test_openvino_agrees_with_eager_torch(
    networks: Networks, converted: Mapping[NetworkName, ConvertedNetwork], name: NetworkName, threads: int
) -> None:
    pictures = comparison_inputs(name, SIDES[name])
    expected = run_in_batches(EAGER.compile(networks[name]), pictures)
    found = run_in_batches(OpenVinoEngine("fp32", threads=threads).compile(converted[name]), pictures)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_openvino_needs_no_files_after_compiling_and_keeps_the_order_of_pictures(tmp_path: Path) -> None:
    trunk, head = parts(tmp_path, "gate")
    save(Network(nn.Flatten(), _Mean()), trunk, head, side=8)
    run = OpenVinoEngine("fp32", threads=3).compile(
        ConvertedNetwork("gate", trunk, head, 8, np.zeros(1, dtype=np.float32))
    )
    for one in tmp_path.iterdir():
        one.unlink()
    rising, bright = (np.stack([np.full((8, 8, 3), v, dtype=np.uint8) for v in values]) for values in (range(9), [200]))
    first = run(rising)
    run(bright)
    np.testing.assert_allclose(first, range(9))


class _Mean(nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.float().mean(dim=1)


def test_the_head_is_computed_in_float32_if_the_trunk_is_bfloat16(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Network(nn.Flatten(), _Weighing())
    trunk, head = parts(tmp_path, "gate")
    save(network, trunk, head, side=8)
    try:
        run = OpenVinoEngine("bf16", threads=1).compile(
            ConvertedNetwork("gate", trunk, head, 8, np.zeros(1, dtype=np.float32))
        )
    except EngineAbsent as absent:
        pytest.skip(str(absent))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    # bfloat16 is off by about 0.3 here.
    np.testing.assert_allclose(run(pixels), EAGER.compile(network)(pixels), atol=1e-3)


class _Weighing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Linear(8 * 8 * 3, 5)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        weighed: torch.Tensor = self.weights(pixels.float())
        return weighed


def test_openvino_is_used_if_requested(choose: Choose) -> None:
    chosen = choose(EngineSettings(name="openvino", threads=1))
    assert chosen.name.startswith("openvino-")
    assert "torch" not in chosen.name
    assert chosen.gate.run(comparison_inputs("gate", chosen.gate.side)).shape == (PICTURES,)


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise EngineAbsent("expected the package openvino, got: none")

    for module in (openvino, selection):
        monkeypatch.setattr(module, "openvino", absent)


@pytest.mark.usefixtures("without_openvino")
def test_without_openvino_auto_is_eager_torch_and_a_warning_is_logged(
    choose: Choose, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        chosen = choose(AUTO)
    assert chosen.name == "torch-eager"
    assert [(one.network, one.engine, one.reason) for one in chosen.rejected_engines] == [
        (network, engine, "absent")
        for network in ("gate", "identification")
        for engine in ("openvino-bf16", "openvino-fp32")
    ]
    assert "not computing the gate with openvino-fp32: expected the package openvino" in caplog.text


@pytest.mark.usefixtures("without_openvino")
def test_a_requested_openvino_that_is_not_installed_is_an_error_in_one_line(choose: Choose) -> None:
    with pytest.raises(ConfigInvalid, match="expected openvino to be there") as caught:
        choose(EngineSettings(name="openvino"))
    assert "\n" not in str(caught.value)


# --- selection -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [gate_off_by(0.004), likeliest_off_by(0.0004)])
def test_an_engine_that_agrees_is_used(
    networks: Networks, choose: Choose, offered: Callable[..., None], change: Callable[[Outputs], Outputs]
) -> None:
    offered(Altered("near", networks, change))
    chosen = choose(AUTO)
    assert (chosen.name, chosen.rejected_engines) == ("near", ())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (gate_off_by(0.006), "cetacean_score: expected within 0.005"),
        (gate_off_by(-0.006), "cetacean_score: expected within 0.005"),
        (likeliest_off_by(0.0006), "probability: expected within 0.0005 of torch-eager's, got 0.0006 away"),
        (swapped, "likeliest individual"),
        (lambda scores: not_numbers(scores) if scores.ndim == 1 else scores, "got nan away"),
        (lambda scores: scores if scores.ndim == 1 else not_numbers(scores), "expected finite values"),
    ],
)
def test_an_engine_that_disagrees_is_rejected(
    networks: Networks, choose: Choose, offered: Callable[..., None], change: Callable[[Outputs], Outputs], message: str
) -> None:
    offered(Altered("wrong", networks, change), Altered("right", networks, gate_off_by(0.001)))
    chosen = choose(AUTO)
    (wrong,) = chosen.rejected_engines
    assert chosen.name == "right"
    assert (wrong.engine, wrong.reason) == ("wrong", "disagrees")
    assert message in wrong.detail


def test_an_engine_that_fails_is_rejected(choose: Choose, offered: Callable[..., None]) -> None:
    offered(Broken("a", RuntimeError("no such operation\nhere")), Broken("b", EngineAbsent("none here")))
    chosen = choose(AUTO)
    assert chosen.name == "torch-eager"
    assert [(one.engine, one.reason, one.detail) for one in chosen.rejected_engines if one.network == "gate"] == [
        ("a", "failed", "RuntimeError: no such operation here"),
        ("b", "absent", "none here"),
    ]


def test_a_requested_engine_that_disagrees_is_an_error(
    networks: Networks, choose: Choose, offered: Callable[..., None]
) -> None:
    offered(Altered("openvino-bf16", networks, gate_off_by(0.6)), Altered("openvino-fp32", networks, gate_off_by(0.5)))
    with pytest.raises(ConfigInvalid, match=r"the gate as.*openvino-bf16: cetacean_score.*; openvino-fp32: cetacean_"):
        choose(EngineSettings(name="openvino"))


def test_the_allowed_deviation_is_a_setting(networks: Networks, choose: Choose, offered: Callable[..., None]) -> None:
    offered(Altered("rough", networks, gate_off_by(0.05)))
    assert choose(AUTO.model_copy(update={"max_score_deviation": 0.06})).name == "rough"
    offered(Altered("rough", networks, likeliest_off_by(0.05)))
    assert choose(AUTO.model_copy(update={"max_probability_deviation": 0.06})).name == "rough"
    assert choose(AUTO).name == "torch-eager, gate rough"


def test_requesting_eager_torch_tries_no_other_engine(networks: Networks) -> None:
    assert faster_than_eager(EngineSettings(name="torch-eager"), "cpu") == ()
    assert faster_than_eager(AUTO, "cuda") == ()
    assert [engine.name for engine in faster_than_eager(AUTO, "cpu")] == ["openvino-bf16", "openvino-fp32"]

    def never() -> Mapping[NetworkName, ConvertedNetwork]:
        raise AssertionError("nothing must be converted")

    def eager(name: NetworkName, device: Device) -> CompiledNetwork:
        return CompiledNetwork(EAGER.compile(networks[name]), SIDES[name])

    assert select_engines(EngineSettings(name="torch-eager"), converted=never, eager=eager).name == "torch-eager"


def test_if_the_conversion_fails_eager_torch_is_used(networks: Networks) -> None:
    def fails() -> Mapping[NetworkName, ConvertedNetwork]:
        raise RuntimeError("converting ended with status -9")

    def eager(name: NetworkName, device: Device) -> CompiledNetwork:
        return CompiledNetwork(EAGER.compile(networks[name]), SIDES[name])

    chosen = select_engines(AUTO, converted=fails, eager=eager)
    assert chosen.name == "torch-eager"
    assert {(one.reason, one.detail) for one in chosen.rejected_engines} == {
        ("failed", "RuntimeError: converting ended with status -9")
    }


def test_openvino_on_cuda_is_an_error(choose: Choose) -> None:
    with pytest.raises(ConfigInvalid, match="expected auto or cpu"):
        choose(EngineSettings(name="openvino", device="cuda"))


@pytest.mark.parametrize(("name", "threads", "batches"), [("auto", 2, 1), ("auto", 3, 2), ("torch-eager", 3, 1)])
def test_two_batches_are_computed_at_once_if_there_are_processors_for_both(
    choose: Choose, name: Literal["auto", "torch-eager"], threads: int, batches: int
) -> None:
    assert choose(EngineSettings(name=name, device="cpu", threads=threads)).batches_at_once == batches
