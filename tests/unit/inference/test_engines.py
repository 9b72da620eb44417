"""Which engine computes: OpenVINO where it agrees with eager torch on these weights, and nothing that does not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from support.tiny_weights import BACKBONE, CLASSES, EMBEDDING, GATE, KNOWN
from torch import nn
from torch.nn import functional

from cetacean_inference.engines import choice, openvino
from cetacean_inference.engines.agreement import PICTURES, draw, gate_disagreement, in_batches, pictures_of
from cetacean_inference.engines.base import Computed, Converted, Engine, EngineAbsent, NetworkName, Runner, Scored
from cetacean_inference.engines.choice import Chosen, Device, choose_engine, faster_than_eager
from cetacean_inference.engines.conversion import eager_answers, save
from cetacean_inference.engines.eager import EagerEngine
from cetacean_inference.engines.openvino import OpenVinoEngine
from cetacean_inference.engines.record import parts
from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.models.gate import CLIP_MEAN, CLIP_STD, gate_network
from cetacean_inference.models.identification import CetaceanIdentificationModel, identification_network
from cetacean_inference.models.network import Network, Normalise
from cetacean_inference.models.preprocessing import crop_centre
from cetacean_inference.settings import EngineSettings

EAGER = EagerEngine(torch.device("cpu"))
AUTO = EngineSettings(name="auto", device="cpu", threads=1)


Networks = dict[NetworkName, Network]
SIDES: dict[NetworkName, int] = {"gate": 32, "identification": 64}


@pytest.fixture(scope="module")
def networks() -> Networks:
    torch.manual_seed(0)
    trained = CetaceanIdentificationModel(backbone=BACKBONE, embedding_size=EMBEDDING, classes=CLASSES)
    visual = open_clip.CLIP(**GATE).visual
    # What the prompts stand for is on the pictures themselves, so that their scores lie between 0 and 1.
    with torch.no_grad():
        pixels = torch.from_numpy(np.stack([crop_centre(picture, 32) for picture in draw()][:2]))
        texts = functional.normalize(visual.eval()(Normalise(CLIP_MEAN, CLIP_STD)(pixels)), dim=-1)
    return {
        "gate": gate_network(visual, texts=texts, positive=1),
        "identification": identification_network(trained, known=KNOWN),
    }


@pytest.fixture(scope="module")
def converted(networks: Networks, tmp_path_factory: pytest.TempPathFactory) -> Mapping[NetworkName, Converted]:
    """Both networks as the converting process leaves them."""
    directory = tmp_path_factory.mktemp("converted")
    found: dict[NetworkName, Converted] = {}
    for name, network in networks.items():
        trunk, head = parts(directory, name)
        save(network, trunk, head, side=SIDES[name])
        answers = np.array(eager_answers(name, network, side=SIDES[name]), dtype=np.float32)
        found[name] = Converted(name, trunk, head, SIDES[name], answers)
    return found


Choose = Callable[[EngineSettings], Chosen]


@pytest.fixture
def choose(networks: Networks, converted: Mapping[NetworkName, Converted]) -> Choose:
    """Chooses for the networks at hand."""

    def eager(name: NetworkName, device: Device) -> Computed:
        assert device == "cpu"
        return Computed(EAGER.compile(networks[name]), SIDES[name])

    return lambda settings: choose_engine(settings, converted=lambda: converted, eager=eager)


class Altered:
    """Eager torch whose outputs are changed by `change`."""

    def __init__(self, name: str, networks: Networks, change: Callable[[Scored], Scored]) -> None:
        self.name = name
        self._networks = networks
        self._change = change

    def compile(self, network: Converted) -> Runner:
        run = EAGER.compile(self._networks[network.name])
        return lambda images: self._change(run(images))


class Broken:
    """Fails with what it is given."""

    def __init__(self, name: str, error: Exception) -> None:
        self.name = name
        self._error = error

    def compile(self, network: Converted) -> Runner:
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
        def only_these(settings: EngineSettings, device: Device) -> Sequence[Engine]:
            return engines

        monkeypatch.setattr(choice, "faster_than_eager", only_these)

    return offer


# --- the pictures ----------------------------------------------------------------------------------------------------


def test_the_pictures_are_the_same_each_time_and_different_from_each_other() -> None:
    once, again = ([picture.tobytes() for picture in draw()] for _ in range(2))
    assert once == again
    assert len(set(once)) == PICTURES


def test_eager_agrees_with_itself_alone_and_in_batches(networks: Networks) -> None:
    pictures = pictures_of("gate", 32)
    run = EAGER.compile(networks["gate"])
    reference = in_batches(run, pictures)
    alone = np.concatenate([run(one[None]) for one in pictures])
    np.testing.assert_allclose(alone, reference, atol=1e-5)
    assert reference.std() > 0.005, "pictures that all score the same would show no difference"
    assert gate_disagreement(alone, reference, allowed=0.005) is None


# --- OpenVINO --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["gate", "identification"])
def test_openvino_computes_what_eager_computes(
    networks: Networks, converted: Mapping[NetworkName, Converted], name: NetworkName, threads: int
) -> None:
    pictures = pictures_of(name, SIDES[name])
    expected = in_batches(EAGER.compile(networks[name]), pictures)
    found = in_batches(OpenVinoEngine("fp32", threads=threads).compile(converted[name]), pictures)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_openvino_outlives_its_files_keeps_the_order_and_no_result(tmp_path: Path) -> None:
    trunk, head = parts(tmp_path, "gate")
    save(Network(nn.Flatten(), _Mean()), trunk, head, side=8)
    run = OpenVinoEngine("fp32", threads=3).compile(Converted("gate", trunk, head, 8, np.zeros(1, dtype=np.float32)))
    for one in tmp_path.iterdir():
        one.unlink()
    rising, bright = (np.stack([np.full((8, 8, 3), v, dtype=np.uint8) for v in values]) for values in (range(9), [200]))
    first = run(rising)
    run(bright)
    np.testing.assert_allclose(first, range(9))


class _Mean(nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.float().mean(dim=1)


def test_the_head_is_computed_in_full_whatever_the_trunk_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Network(nn.Flatten(), _Weighing())
    trunk, head = parts(tmp_path, "gate")
    save(network, trunk, head, side=8)
    try:
        run = OpenVinoEngine("bf16", threads=1).compile(
            Converted("gate", trunk, head, 8, np.zeros(1, dtype=np.float32))
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


def test_openvino_is_taken_when_asked_for(choose: Choose) -> None:
    chosen = choose(EngineSettings(name="openvino", threads=1))
    assert chosen.name.startswith("openvino-")
    assert "torch" not in chosen.name
    assert chosen.by_many_threads
    assert chosen.gate.run(pictures_of("gate", chosen.gate.side)).shape == (PICTURES,)


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise EngineAbsent("expected the package openvino, got: none")

    for module in (openvino, choice):
        monkeypatch.setattr(module, "openvino", absent)


@pytest.mark.usefixtures("without_openvino")
def test_without_openvino_auto_is_eager_and_says_so(choose: Choose, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        chosen = choose(AUTO)
    assert chosen.name == "torch-eager"
    assert not chosen.by_many_threads
    assert [(one.network, one.engine, one.reason) for one in chosen.passed_over] == [
        (network, engine, "absent")
        for network in ("gate", "identification")
        for engine in ("openvino-bf16", "openvino-fp32")
    ]
    assert "not computing the gate with openvino-fp32: expected the package openvino" in caplog.text


@pytest.mark.usefixtures("without_openvino")
def test_without_openvino_asking_for_it_is_refused_in_one_line(choose: Choose) -> None:
    with pytest.raises(ConfigInvalid, match="expected openvino to be there") as refusal:
        choose(EngineSettings(name="openvino"))
    assert "\n" not in str(refusal.value)


# --- the choice ------------------------------------------------------------------------------------------------------


def test_the_first_that_agrees_is_taken(networks: Networks, choose: Choose, offered: Callable[..., None]) -> None:
    offered(Altered("fast", networks, gate_off_by(0.004)), Altered("slower", networks, gate_off_by(0)))
    chosen = choose(AUTO)
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
    networks: Networks, choose: Choose, offered: Callable[..., None], change: Callable[[Scored], Scored], told: str
) -> None:
    offered(Altered("wrong", networks, change), Altered("right", networks, gate_off_by(0.001)))
    chosen = choose(AUTO)
    (wrong,) = chosen.passed_over
    assert chosen.name == ("right, gate wrong" if wrong.network == "identification" else "wrong, gate right")
    assert (wrong.engine, wrong.reason) == ("wrong", "disagrees")
    assert told in wrong.detail


def test_one_that_fails_is_passed_over(choose: Choose, offered: Callable[..., None]) -> None:
    offered(Broken("a", RuntimeError("no such operation\nhere")), Broken("b", EngineAbsent("none here")))
    chosen = choose(AUTO)
    assert chosen.name == "torch-eager"
    assert [(one.engine, one.reason, one.detail) for one in chosen.passed_over if one.network == "gate"] == [
        ("a", "failed", "RuntimeError: no such operation here"),
        ("b", "absent", "none here"),
    ]


def test_one_that_is_asked_for_and_disagrees_is_refused(
    networks: Networks, choose: Choose, offered: Callable[..., None]
) -> None:
    offered(Altered("openvino-bf16", networks, gate_off_by(0.6)), Altered("openvino-fp32", networks, gate_off_by(0.5)))
    with pytest.raises(ConfigInvalid, match=r"the gate as.*openvino-bf16: cetacean_score.*; openvino-fp32: cetacean_"):
        choose(EngineSettings(name="openvino"))


def test_the_bound_is_a_setting(networks: Networks, choose: Choose, offered: Callable[..., None]) -> None:
    offered(Altered("rough", networks, gate_off_by(0.05)))
    assert choose(AUTO.model_copy(update={"max_score_deviation": 0.06})).name == "rough"


def test_asking_for_the_reference_tries_nothing_else(networks: Networks) -> None:
    assert faster_than_eager(EngineSettings(name="torch-eager"), "cpu") == ()
    assert faster_than_eager(AUTO, "cuda") == ()
    assert [engine.name for engine in faster_than_eager(AUTO, "cpu")] == ["openvino-bf16", "openvino-fp32"]

    def never() -> Mapping[NetworkName, Converted]:
        raise AssertionError("nothing was to be converted")

    def eager(name: NetworkName, device: Device) -> Computed:
        return Computed(EAGER.compile(networks[name]), SIDES[name])

    assert choose_engine(EngineSettings(name="torch-eager"), converted=never, eager=eager).name == "torch-eager"


def test_a_conversion_that_fails_leaves_eager(networks: Networks) -> None:
    def fails() -> Mapping[NetworkName, Converted]:
        raise RuntimeError("converting ended with status -9")

    def eager(name: NetworkName, device: Device) -> Computed:
        return Computed(EAGER.compile(networks[name]), SIDES[name])

    chosen = choose_engine(AUTO, converted=fails, eager=eager)
    assert chosen.name == "torch-eager"
    assert {(one.reason, one.detail) for one in chosen.passed_over} == {
        ("failed", "RuntimeError: converting ended with status -9")
    }


def test_openvino_on_cuda_is_refused(choose: Choose) -> None:
    with pytest.raises(ConfigInvalid, match="expected auto or cpu"):
        choose(EngineSettings(name="openvino", device="cuda"))
