"""Of several engines that agree, the one that is the fastest on this processor computes; its times are kept."""

from __future__ import annotations

import json
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from cetacean_inference.engines import selection
from cetacean_inference.engines.agreement import PICTURES
from cetacean_inference.engines.base import (
    CompiledNetwork,
    ConvertedNetwork,
    ConvertedNetworks,
    Engine,
    EngineAbsent,
    Outputs,
    Runner,
)
from cetacean_inference.engines.selection import Device, SelectedEngines, select_engines
from cetacean_inference.engines.timing import EngineTimes, picture_ms
from cetacean_inference.imaging.preprocessing import Pixels
from cetacean_inference.settings import EngineSettings
from cetacean_inference.types import NetworkName

AUTO = EngineSettings(name="auto", device="cpu", threads=2)
SIDE = 8
REFERENCE: Mapping[NetworkName, Outputs] = {
    "gate": np.linspace(0.1, 0.9, PICTURES, dtype=np.float32),
    "identification": np.tile(np.array([0.7, 0.2], np.float32), (PICTURES, 1)),
}


@dataclass
class Clock:
    """A clock that only engines move."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Timed:
    """Answers as eager torch does, and takes its time for each picture."""

    name: str
    clock: Clock
    seconds: Mapping[NetworkName, float]
    compiled: Counter[NetworkName] = field(default_factory=Counter)
    computed: Counter[NetworkName] = field(default_factory=Counter)
    """Pictures."""
    error: Exception | None = None
    deviation: float = 0.0

    def compile(self, network: ConvertedNetwork) -> Runner:
        if self.error is not None:
            raise self.error
        self.compiled[network.name] += 1
        outputs = iter(np.split(REFERENCE[network.name], [1, 4]))

        def run(images: Pixels) -> Outputs:
            self.computed[network.name] += len(images)
            self.clock.now += self.seconds[network.name] * len(images)
            return next(outputs, REFERENCE[network.name][: len(images)]) + np.float32(self.deviation)

        return run


def both(seconds: float) -> Mapping[NetworkName, float]:
    return {"gate": seconds, "identification": seconds}


Select = Callable[..., SelectedEngines]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def select(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clock: Clock) -> Select:
    """Selects among the given engines; the converted networks are in `tmp_path`."""

    def converted() -> ConvertedNetworks:
        return {
            name: ConvertedNetwork(name, tmp_path / f"{name}.xml", tmp_path / f"{name}-head.xml", SIDE, reference)
            for name, reference in REFERENCE.items()
        }

    def eager(name: NetworkName, _: Device) -> CompiledNetwork:
        return CompiledNetwork(lambda images: REFERENCE[name][: len(images)], SIDE)

    def choose(*engines: Timed) -> SelectedEngines:
        offered: Sequence[Engine] = engines
        monkeypatch.setattr(selection, "faster_than_eager", lambda *_: offered)
        return select_engines(AUTO, converted=converted, eager=eager, clock=clock)

    return choose


def test_the_engine_that_is_measured_to_be_the_fastest_computes_each_network(select: Select, clock: Clock) -> None:
    bf16 = Timed("bf16", clock, {"gate": 0.063, "identification": 0.120})
    fp32 = Timed("fp32", clock, {"gate": 0.045, "identification": 0.130})
    chosen = select(bf16, fp32)
    assert (chosen.name, chosen.rejected_engines) == ("bf16, gate fp32", ())
    assert chosen.times_ms["gate"] == pytest.approx({"bf16": 63.0, "fp32": 45.0})
    assert chosen.times_ms["identification"] == pytest.approx({"bf16": 120.0, "fp32": 130.0})


@pytest.mark.parametrize(("gain", "name"), [(1.04, "fp32"), (1.06, "bf16")])
def test_less_precision_must_gain_five_percent(select: Select, clock: Clock, gain: float, name: str) -> None:
    chosen = select(Timed("bf16", clock, both(0.1)), Timed("fp32", clock, both(0.1 * gain)))
    assert chosen.name == name


def test_the_next_start_compiles_the_fastest_only_and_measures_nothing(select: Select, clock: Clock) -> None:
    first = select(Timed("bf16", clock, both(0.2)), Timed("fp32", clock, both(0.1)))
    bf16, fp32 = Timed("bf16", clock, both(9.0)), Timed("fp32", clock, both(9.0))
    chosen = select(bf16, fp32)
    assert chosen.name == "fp32"
    assert chosen.times_ms == first.times_ms
    assert (bf16.compiled, fp32.compiled) == (Counter(), Counter(gate=1, identification=1))


def test_an_engine_that_has_agreed_on_this_processor_is_compared_on_the_first_pictures_later(
    select: Select, clock: Clock
) -> None:
    select(Timed("bf16", clock, both(0.2)), Timed("fp32", clock, both(0.1)))
    later = Timed("fp32", clock, both(0.1))
    select(Timed("bf16", clock, both(0.2)), later)
    assert later.computed == Counter(gate=4, identification=4)
    damaged = Timed("fp32", clock, both(0.1), deviation=0.2)
    chosen = select(Timed("bf16", clock, both(0.2)), damaged)
    assert [(one.engine, one.network) for one in chosen.rejected_engines] == [
        ("fp32", "gate"),
        ("fp32", "identification"),
    ]
    assert damaged.computed == Counter(gate=4, identification=4)


def test_an_engine_that_has_not_been_timed_is_compared_on_all_pictures(select: Select, clock: Clock) -> None:
    only = Timed("fp32", clock, both(0.2))
    for _ in range(2):
        select(Timed("bf16", clock, both(0.1), error=EngineAbsent("no bfloat16")), only)
    assert only.computed == Counter(gate=2 * PICTURES, identification=2 * PICTURES)


def test_an_engine_that_is_the_only_one_is_compiled_once_and_not_timed(
    select: Select, clock: Clock, tmp_path: Path
) -> None:
    bf16 = Timed("bf16", clock, both(0.1), error=EngineAbsent("no bfloat16"))
    fp32 = Timed("fp32", clock, both(0.2))
    chosen = select(bf16, fp32)
    assert chosen.name == "fp32"
    assert fp32.compiled == Counter(gate=1, identification=1)
    assert chosen.times_ms == {"gate": {}, "identification": {}}
    assert [(one.engine, one.network, one.reason) for one in chosen.rejected_engines] == [
        ("bf16", "gate", "absent"),
        ("bf16", "identification", "absent"),
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_faster_engine_that_disagrees_is_not_used_and_reported_at_each_start(select: Select, clock: Clock) -> None:
    for _ in range(2):
        chosen = select(Timed("bf16", clock, both(0.01), deviation=0.2), Timed("fp32", clock, both(0.2)))
        assert chosen.name == "fp32"
        assert [(one.engine, one.reason) for one in chosen.rejected_engines] == [("bf16", "disagrees")] * 2


def test_if_all_that_were_timed_fail_eager_torch_computes(select: Select, clock: Clock) -> None:
    select(Timed("bf16", clock, both(0.2)), Timed("fp32", clock, both(0.1)))
    broken = [Timed(name, clock, both(0.1), error=RuntimeError("no memory")) for name in ("bf16", "fp32")]
    chosen = select(*broken)
    assert chosen.name == "torch-eager"
    assert [(one.engine, one.reason) for one in chosen.rejected_engines[:2]] == [("fp32", "failed"), ("bf16", "failed")]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"x": {"gate": {"fp32": -1}}}', b"[" * 100_000])
def test_a_damaged_record_is_measured_again_and_replaced(
    select: Select, clock: Clock, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "engine-times.json").write_bytes(content)
    chosen = select(Timed("bf16", clock, both(0.2)), Timed("fp32", clock, both(0.1)))
    assert chosen.name == "fp32"
    assert EngineTimes(tmp_path, threads=2).read("gate") == pytest.approx({"bf16": 200.0, "fp32": 100.0})


def test_if_the_record_cannot_be_written_the_selection_goes_on(
    select: Select, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    with caplog.at_level(logging.INFO):
        chosen = select(Timed("bf16", clock, both(0.2)), Timed("fp32", clock, both(0.1)))
    assert chosen.name == "fp32"
    assert "the next start measures them again: [Errno 28] No space left on device" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_times_are_of_one_kind_of_processor_and_number_of_threads(tmp_path: Path) -> None:
    EngineTimes(tmp_path, threads=2, processor="Zen 4").add("gate", {"fp32": 45.0})
    EngineTimes(tmp_path, threads=2, processor="Xeon").add("gate", {"fp32": 60.0})
    assert EngineTimes(tmp_path, threads=2, processor="Zen 4").read("gate") == {"fp32": 45.0}
    assert EngineTimes(tmp_path, threads=2, processor="Xeon").read("gate") == {"fp32": 60.0}
    assert EngineTimes(tmp_path, threads=4, processor="Zen 4").read("gate") == {}
    assert [path.name for path in tmp_path.iterdir()] == ["engine-times.json"]
    assert len(json.loads((tmp_path / "engine-times.json").read_text())) == 2


def test_the_fastest_run_counts_because_other_work_only_makes_a_run_longer(clock: Clock) -> None:
    takes = iter((0.3, 0.1, 0.5, 0.2))

    def run(images: Pixels) -> Outputs:
        clock.now += next(takes)
        return np.zeros(len(images), np.float32)

    assert picture_ms(run, np.zeros((2, SIDE, SIDE, 3), np.uint8), clock=clock) == pytest.approx(50.0)
    assert list(takes) == [0.5, 0.2]
