"""The device: CUDA if there is one, and an error if the requested one does not exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from cetacean_inference.engines import selection
from cetacean_inference.engines.base import CompiledNetwork, ConvertedNetwork, Outputs
from cetacean_inference.engines.selection import Device, SelectedEngines, check_engine, select_engines
from cetacean_inference.errors import ConfigInvalid, GateUnavailable
from cetacean_inference.imaging.preprocessing import Pixels
from cetacean_inference.settings import EngineSettings
from cetacean_inference.types import NetworkName

Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Simulate a machine with or without a driver's device file and a device that torch can use."""

    def be(*, driver: bool, usable: bool | None) -> None:
        path = tmp_path / "nvidiactl"
        if driver:
            path.touch()

        def is_available() -> bool:
            assert usable is not None, "torch must not be called"
            return usable

        monkeypatch.setattr(selection, "ACCELERATORS", (path,))
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
def test_the_device_is_chosen_by_setting_driver_and_torch(
    machine: Machine,
    engine: Literal["auto", "torch-eager"],
    device: Literal["auto", "cpu", "cuda"],
    driver: bool,
    usable: bool | None,
    found: str,
) -> None:
    machine(driver=driver, usable=usable)
    assert check_engine(EngineSettings(name=engine, device=device)) == found


def test_a_requested_cuda_device_that_does_not_exist_is_an_error(machine: Machine) -> None:
    machine(driver=True, usable=False)
    with pytest.raises(ConfigInvalid, match=r"^engine\.device: expected a CUDA device, found none$"):
        check_engine(EngineSettings(device="cuda"))


def test_openvino_computes_on_the_processor_even_if_there_is_a_cuda_device(machine: Machine) -> None:
    machine(driver=True, usable=None)
    assert check_engine(EngineSettings(name="openvino")) == "cpu"


class Devices:
    """Eager torch on two devices; the scores of CUDA differ by `off_by`."""

    def __init__(self, *, off_by: float = 0.0, failure: Exception | None = None) -> None:
        self.asked: list[tuple[NetworkName, Device]] = []
        self._off_by = off_by
        self._failure = failure

    def eager(self, name: NetworkName, device: Device) -> CompiledNetwork:
        self.asked.append((name, device))
        if device == "cuda" and self._failure:
            raise self._failure

        def run(images: Pixels) -> Outputs:
            brightness = images.mean(axis=(1, 2, 3), dtype=np.float32) / 255
            if name == "identification":
                return np.stack([brightness, 1 - brightness], axis=1)
            scores: Outputs = brightness + np.float32(self._off_by if device == "cuda" else 0)
            return scores

        return CompiledNetwork(run, 32)

    def choose(self, settings: EngineSettings) -> SelectedEngines:
        return select_engines(settings, converted=self._never, eager=self.eager)

    @staticmethod
    def _never() -> Mapping[NetworkName, ConvertedNetwork]:
        raise AssertionError("nothing must be converted")


def test_cuda_is_used_if_it_agrees_with_the_processor(machine: Machine) -> None:
    machine(driver=True, usable=True)
    devices = Devices(off_by=0.004)
    chosen = devices.choose(EngineSettings())
    assert (chosen.name, chosen.rejected_engines, chosen.batches_at_once) == ("torch-eager-cuda", (), 1)
    assert devices.asked == [(name, device) for name in ("gate", "identification") for device in ("cpu", "cuda")]


@pytest.mark.parametrize(
    ("devices", "networks", "reason", "message"),
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
def test_cuda_that_fails_or_disagrees_is_rejected_and_an_error_if_requested(
    machine: Machine, devices: Devices, networks: list[str], reason: str, message: str
) -> None:
    machine(driver=True, usable=True)
    chosen = devices.choose(EngineSettings())
    assert chosen.name == ("torch-eager-cuda, gate torch-eager" if len(networks) == 1 else "torch-eager")
    assert [(one.engine, one.network, one.reason) for one in chosen.rejected_engines] == [
        ("torch-eager-cuda", network, reason) for network in networks
    ]
    assert message in chosen.rejected_engines[0].detail
    with pytest.raises(ConfigInvalid, match=rf"^engine\.device: expected cuda to .*{message}"):
        devices.choose(EngineSettings(device="cuda"))


def test_unusable_weights_are_a_fatal_error_on_cuda_too(machine: Machine) -> None:
    machine(driver=True, usable=True)
    with pytest.raises(GateUnavailable, match="no such"):
        Devices(failure=GateUnavailable("no such")).choose(EngineSettings())
