"""How much of the files that this process maps is in its memory."""

from __future__ import annotations

import re
from pathlib import Path

_MAPPING = re.compile(r"[0-9a-f]+-[0-9a-f]+ ")


def resident_kb(file: Path) -> int:
    """Return the resident kilobytes of a file's mappings, which must exist."""
    sizes: list[int] = []
    inside = False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
        if _MAPPING.match(line):
            inside = line.removesuffix(" (deleted)").endswith(f" {file.resolve()}")
        elif inside and line.startswith("Rss:"):
            sizes.append(int(line.split()[1]))
    assert sizes, f"{file} is not mapped"
    return sum(sizes)
