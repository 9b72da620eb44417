"""Write every dashboard as JSON into a folder, by default that of the operator's chart: `make dashboards`."""

from __future__ import annotations

import argparse
from pathlib import Path

from cetacean_tools.dashboards.boards import BOARDS, FOLDER, written


def main() -> None:
    """Write all of them, and remove what is no longer one."""
    parser = argparse.ArgumentParser(prog="dashboards", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.json"):
        if old.stem not in BOARDS:
            old.unlink()
    for name in BOARDS:
        (folder / f"{name}.json").write_text(written(name), encoding="utf-8")


if __name__ == "__main__":
    main()
