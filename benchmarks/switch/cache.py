"""The folder of the shared cache, as the node sees it: hidden for a cold start, and put back afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

KEPT: Final = ("blobs/sha256", "refs", "derived")


@contextmanager
def hidden(cache: Path) -> Iterator[None]:
    """Empty the cache; at the end add what was there to what has come. Files that a process has open stay open."""
    aside = cache.with_name(f"{cache.name}-aside")
    for name in KEPT:
        if (folder := cache / name).is_dir():
            (aside / name).mkdir(parents=True)
            for path in folder.iterdir():
                path.rename(aside / name / path.name)
    try:
        yield
    finally:
        for name in KEPT:
            for path in (aside / name).iterdir() if (aside / name).is_dir() else ():
                if not (target := cache / name / path.name).exists():
                    path.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
