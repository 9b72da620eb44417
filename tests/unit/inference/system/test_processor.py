"""The processor's model in one line."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from cetacean_inference.system.processor import processor_model

X86 = "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nmodel name\t: AMD EPYC\nflags\t\t: fpu\n"
ARM = "processor\t: 0\nBogoMIPS\t: 2100.00\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n"


@pytest.mark.parametrize(
    ("text", "model"),
    [
        (f"{X86}\n{X86.replace('17', '1')}", "model name AMD EPYC, cpu family 25, model 17"),
        (ARM, "CPU implementer 0x41, CPU part 0xd40"),
        ("", platform.machine()),
    ],
)
def test_the_first_processor_is_named_with_its_generation(tmp_path: Path, text: str, model: str) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert processor_model(tmp_path / "cpuinfo") == model


def test_a_kernel_that_names_none_gives_the_architecture(tmp_path: Path) -> None:
    assert processor_model(tmp_path / "missing") == platform.machine()
