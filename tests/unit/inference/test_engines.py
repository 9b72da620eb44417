"""Which engine computes: OpenVINO where it agrees with eager torch on these weights, and nothing that does not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
import open_clip
import pytest
import torch
from tiny_weights import BACKBONE, CLASSES, EMBEDDING, GATE, KNOWN
from torch import nn
from torch.nn import functional

from cetacean_inference.engines import choice, openvino
from cetacean_inference.engines.agreement import PICTURES, draw, gate_disagreement, in_batches, prepared
from cetacean_inference.engines.base import Engine, EngineAbsent, Networks, Runner, Scored
from cetacean_inference.engines.choice import choose_engine, faster_than
from cetacean_inference.engines.eager import EagerEngine
from cetacean_inference.engines.openvino import OpenVinoEngine
from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.models.gate import GateNetwork
from cetacean_inference.models.identification import CetaceanIdentificationModel, IdentificationNetwork
from cetacean_inference.models.preprocessing import Pixels, crop_centre, squash
from cetacean_inference.settings import EngineSettings

EAGER = EagerEngine(torch.device("cpu"))
AUTO = EngineSettings(name="auto", device="cpu", threads=1)


@pytest.fixture(scope="module")
def networks() -> Networks:
    torch.manual_seed(0)
    trained = CetaceanIdentificationModel(backbone=BACKBONE, embedding_size=EMBEDDING, classes=CLASSES)
    visual = open_clip.CLIP(**GATE).visual
    gate = GateNetwork(visual.eval(), texts=torch.empty(0, 16), positive=1)
    # What the prompts stand for is on the pictures themselves, so that their scores lie between 0 and 1.
    with torch.inference_mode():
        pixels = torch.from_numpy(np.stack([crop_centre(picture, 32) for picture in draw()][:2]))
        gate.texts = functional.normalize(visual(gate.normalise(pixels)), dim=-1).clone()
    return Networks(
        gate=gate.eval(),
        gate_side=32,
        identification=IdentificationNetwork(trained, known=KNOWN).eval(),
        identification_side=64,
    )


class Altered:
    """Eager torch whose outputs are changed by `change`."""

    def __init__(self, name: str, change: Callable[[Scored], Scored]) -> None:
        self.name = name
        self._change = change

    def compile(self, network: nn.Module, *, side: int) -> Runner:
        run = EAGER.compile(network, side=side)

        def altered(images: Pixels) -> Scored:
            return self._change(run(images))

        return altered


class Broken:
    """Fails with what it is given."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self._error = error

    def compile(self, network: nn.Module, *, side: int) -> Runner:
        raise self._error


def gate_off_by(deviation: float) -> Callable[[Scored], Scored]:
    return lambda scores: scores + np.float32(deviation) if scores.ndim == 1 else scores


def swapped(scores: Scored) -> Scored:
    return scores if scores.ndim == 1 else scores[:, ::-1]


def not_numbers(scores: Scored) -> Scored:
    return np.full_like(scores, np.nan)


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts other engines before eager torch."""

    def offer(*engines: Engine) -> None:
        def only_these(eager: EagerEngine, settings: EngineSettings) -> Sequence[Engine]:
            return engines

        monkeypatch.setattr(choice, "faster_than", only_these)

    return offer


# --- the pictures ----------------------------------------------------------------------------------------------------


def test_the_pictures_are_the_same_each_time_and_different_from_each_other() -> None:
    once, again = ([picture.tobytes() for picture in draw()] for _ in range(2))
    assert once == again
    assert len(set(once)) == PICTURES


def test_eager_agrees_with_itself_alone_and_in_batches(networks: Networks) -> None:
    pictures = prepared(crop_centre, 32)
    run = EAGER.compile(networks.gate, side=32)
    reference = in_batches(run, pictures)
    alone = np.concatenate([run(one[None]) for one in pictures])
    np.testing.assert_allclose(alone, reference, atol=1e-5)
    assert reference.std() > 0.005, "pictures that all score the same would show no difference"
    assert gate_disagreement(alone, reference, allowed=0.005) is None


# --- OpenVINO --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gate", "identification"])
def test_openvino_computes_what_eager_computes(networks: Networks, name: str) -> None:
    network: nn.Module = getattr(networks, name)
    pictures = prepared(crop_centre, 32) if name == "gate" else prepared(squash, 64)
    expected, found = (
        in_batches(engine.compile(network, side=pictures.shape[1]), pictures)
        for engine in (EAGER, OpenVinoEngine("fp32", threads=1))
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_openvino_outlives_the_network_and_keeps_no_result(networks: Networks) -> None:
    network: nn.Module = nn.Sequential(nn.Flatten(), _Mean())
    run = OpenVinoEngine("fp32", threads=1).compile(network, side=8)
    del network
    dark, bright = (np.full((2, 8, 8, 3), value, dtype=np.uint8) for value in (10, 200))
    first = run(dark)
    run(bright)
    np.testing.assert_allclose(first, [10, 10])


class _Mean(nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.float().mean(dim=1)


def test_openvino_is_taken_when_asked_for(networks: Networks) -> None:
    chosen = choose_engine(EngineSettings(name="openvino", threads=1), networks)
    assert chosen.name.startswith("openvino-")
    assert "torch" not in chosen.name
    assert chosen.gate(prepared(crop_centre, 32)).shape == (PICTURES,)


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise EngineAbsent("expected the package openvino, got: none")

    monkeypatch.setattr(openvino, "_openvino", absent)


@pytest.mark.usefixtures("without_openvino")
def test_without_openvino_auto_is_eager_and_says_so(networks: Networks, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        chosen = choose_engine(AUTO, networks)
    assert chosen.name == "torch-eager"
    assert [(one.network, one.engine, one.reason) for one in chosen.passed_over] == [
        (network, engine, "absent")
        for network in ("gate", "identification")
        for engine in ("openvino-bf16", "openvino-fp32")
    ]
    assert "not computing the gate with openvino-fp32: expected the package openvino" in caplog.text


@pytest.mark.usefixtures("without_openvino")
def test_without_openvino_asking_for_it_is_refused_in_one_line(networks: Networks) -> None:
    with pytest.raises(ConfigInvalid, match="expected openvino to be there") as refusal:
        choose_engine(EngineSettings(name="openvino"), networks)
    assert "\n" not in str(refusal.value)


# --- the choice ------------------------------------------------------------------------------------------------------


def test_the_first_that_agrees_is_taken(networks: Networks, offered: Callable[..., None]) -> None:
    offered(Altered("fast", gate_off_by(0.004)), Altered("slower", gate_off_by(0)))
    chosen = choose_engine(AUTO, networks)
    assert (chosen.name, chosen.passed_over) == ("fast", ())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (gate_off_by(0.006), "cetacean_score: expected within 0.005"),
        (gate_off_by(-0.006), "cetacean_score: expected within 0.005"),
        (swapped, "likeliest individual"),
        (lambda scores: not_numbers(scores) if scores.ndim == 1 else scores, "got nan away"),
        (lambda scores: scores if scores.ndim == 1 else not_numbers(scores), "expected finite figures"),
    ],
)
def test_one_that_disagrees_is_passed_over(
    networks: Networks, offered: Callable[..., None], change: Callable[[Scored], Scored], told: str
) -> None:
    offered(Altered("wrong", change), Altered("right", gate_off_by(0.001)))
    chosen = choose_engine(AUTO, networks)
    (wrong,) = chosen.passed_over
    assert chosen.name == ("right, gate wrong" if wrong.network == "identification" else "wrong, gate right")
    assert (wrong.engine, wrong.reason) == ("wrong", "disagrees")
    assert told in wrong.detail


def test_one_that_fails_is_passed_over(networks: Networks, offered: Callable[..., None]) -> None:
    offered(Broken("a", RuntimeError("no such operation\nhere")), Broken("b", EngineAbsent("none here")))
    chosen = choose_engine(AUTO, networks)
    assert chosen.name == "torch-eager"
    assert [(one.engine, one.reason, one.detail) for one in chosen.passed_over if one.network == "gate"] == [
        ("a", "failed", "RuntimeError: no such operation here"),
        ("b", "absent", "none here"),
    ]


def test_one_that_is_asked_for_and_disagrees_is_refused(networks: Networks, offered: Callable[..., None]) -> None:
    offered(Altered("openvino-bf16", gate_off_by(0.6)), Altered("openvino-fp32", gate_off_by(0.5)))
    with pytest.raises(ConfigInvalid, match=r"the gate as.*openvino-bf16: cetacean_score.*; openvino-fp32: cetacean_"):
        choose_engine(EngineSettings(name="openvino"), networks)


def test_the_bound_is_a_setting(networks: Networks, offered: Callable[..., None]) -> None:
    offered(Altered("rough", gate_off_by(0.05)))
    assert choose_engine(AUTO.model_copy(update={"max_score_deviation": 0.06}), networks).name == "rough"


def test_asking_for_the_reference_tries_nothing_else() -> None:
    assert faster_than(EAGER, EngineSettings(name="torch-eager")) == ()
    assert faster_than(EagerEngine(torch.device("cuda")), AUTO) == ()
    assert [engine.name for engine in faster_than(EAGER, AUTO)] == ["openvino-bf16", "openvino-fp32"]


def test_openvino_on_cuda_is_refused(networks: Networks) -> None:
    with pytest.raises(ConfigInvalid, match="expected auto or cpu"):
        choose_engine(EngineSettings(name="openvino", device="cuda"), networks)
