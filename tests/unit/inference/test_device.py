"""Which device computes: CUDA where it is there, and never what is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from cetacean_inference.engines import choice
from cetacean_inference.engines.base import Computed, Converted, NetworkName, Scored
from cetacean_inference.engines.choice import Chosen, Device, check_engine, choose_engine
from cetacean_inference.errors import ConfigInvalid, GateUnavailable
from cetacean_inference.models.preprocessing import Pixels
from cetacean_inference.settings import EngineSettings

Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """A machine with or without a driver's device file, of which torch says that it can or cannot use it."""

    def be(*, driver: bool, usable: bool | None) -> None:
        path = tmp_path / "nvidiactl"
        if driver:
            path.touch()

        def is_available() -> bool:
            assert usable is not None, "torch was not to be asked"
            return usable

        monkeypatch.setattr(choice, "ACCELERATORS", (path,))
        monkeypatch.setattr(torch.cuda, "is_available", is_available)

    return be


@pytest.mark.parametrize(
    ("device", "driver", "usable", "found"),
    [
        ("auto", True, True, "cuda"),
        ("auto", True, False, "cpu"),
        ("auto", False, None, "cpu"),
        ("cpu", True, None, "cpu"),
        ("cuda", True, True, "cuda"),
        ("cuda", False, True, "cuda"),
    ],
)
@pytest.mark.parametrize("engine", ["auto", "torch-eager"])
def test_the_device(
    machine: Machine,
    engine: Literal["auto", "torch-eager"],
    device: Literal["auto", "cpu", "cuda"],
    driver: bool,
    usable: bool | None,
    found: str,
) -> None:
    machine(driver=driver, usable=usable)
    assert check_engine(EngineSettings(name=engine, device=device)) == found


def test_cuda_that_is_asked_for_and_is_not_there_is_refused(machine: Machine) -> None:
    machine(driver=True, usable=False)
    with pytest.raises(ConfigInvalid, match=r"^engine\.device: expected a CUDA device, found none$"):
        check_engine(EngineSettings(device="cuda"))


def test_openvino_that_is_asked_for_computes_on_the_processor_all_the_same(machine: Machine) -> None:
    machine(driver=True, usable=None)
    assert check_engine(EngineSettings(name="openvino")) == "cpu"


class Devices:
    """Eager torch on two devices; what CUDA says is `off_by` away from what the processor says."""

    def __init__(self, *, off_by: float = 0.0, failure: Exception | None = None) -> None:
        self.asked: list[tuple[NetworkName, Device]] = []
        self._off_by = off_by
        self._failure = failure

    def eager(self, name: NetworkName, device: Device) -> Computed:
        self.asked.append((name, device))
        if device == "cuda" and self._failure:
            raise self._failure

        def run(images: Pixels) -> Scored:
            brightness = images.mean(axis=(1, 2, 3), dtype=np.float32) / 255
            if name == "identification":
                return np.stack([brightness, 1 - brightness], axis=1)
            scores: Scored = brightness + np.float32(self._off_by if device == "cuda" else 0)
            return scores

        return Computed(run, 32)

    def choose(self, settings: EngineSettings) -> Chosen:
        return choose_engine(settings, converted=self._never, eager=self.eager)

    @staticmethod
    def _never() -> Mapping[NetworkName, Converted]:
        raise AssertionError("nothing was to be converted")


def test_on_cuda_torch_computes_what_the_processor_does(machine: Machine) -> None:
    machine(driver=True, usable=True)
    devices = Devices(off_by=0.004)
    chosen = devices.choose(EngineSettings())
    assert (chosen.name, chosen.passed_over, chosen.by_many_threads) == ("torch-eager-cuda", (), False)
    assert devices.asked == [(name, device) for name in ("gate", "identification") for device in ("cpu", "cuda")]


@pytest.mark.parametrize(
    ("devices", "networks", "reason", "told"),
    [
        (Devices(off_by=0.006), ["gate"], "disagrees", "cetacean_score: expected within 0.005"),
        (
            Devices(failure=RuntimeError("CUDA out of\nmemory")),
            ["gate", "identification"],
            "failed",
            "RuntimeError: CUDA out of memory",
        ),
    ],
    ids=["disagrees", "fails"],
)
def test_cuda_that_cannot_is_passed_over_and_refused_where_it_is_asked_for(
    machine: Machine, devices: Devices, networks: list[str], reason: str, told: str
) -> None:
    machine(driver=True, usable=True)
    chosen = devices.choose(EngineSettings())
    assert chosen.name == ("torch-eager-cuda, gate torch-eager" if len(networks) == 1 else "torch-eager")
    assert [(one.engine, one.network, one.reason) for one in chosen.passed_over] == [
        ("torch-eager-cuda", network, reason) for network in networks
    ]
    assert told in chosen.passed_over[0].detail
    with pytest.raises(ConfigInvalid, match=rf"^engine\.device: expected cuda to .*{told}"):
        devices.choose(EngineSettings(device="cuda"))


def test_weights_that_cannot_be_used_are_not_cudas_fault(machine: Machine) -> None:
    machine(driver=True, usable=True)
    with pytest.raises(GateUnavailable, match="no such"):
        Devices(failure=GateUnavailable("no such")).choose(EngineSettings())
