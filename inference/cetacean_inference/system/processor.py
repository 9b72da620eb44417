"""The processor's model, by which measured times are kept."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Final

CPUINFO: Final = Path("/proc/cpuinfo")
_FIELDS: Final = ("model name", "cpu family", "model", "CPU implementer", "CPU part")
"""A virtual machine may hide the name's number; family and model distinguish the generations. Arm has the last two."""


def processor_fields(cpuinfo: Path = CPUINFO) -> dict[str, str]:
    """Return what the kernel reports of the first processor; empty if it reports nothing."""
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    return dict(re.findall(r"^([^\t:]+?)\s*:[ \t]*(.+)$", text, re.MULTILINE))


def processor_model(cpuinfo: Path = CPUINFO) -> str:
    """Return the model of the first processor in one line, or the architecture if the kernel does not name it."""
    found = processor_fields(cpuinfo)
    return ", ".join(f"{name} {found[name]}" for name in _FIELDS if name in found) or platform.machine()
