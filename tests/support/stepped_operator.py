"""The operator with a wall clock that a test changes: `python stepped_operator.py FILE`; the file holds seconds to add."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from cetacean_operator import runtime  # imports every module that reads the clock
from cetacean_operator.__main__ import main


class Stepped(datetime):
    """The machine's time plus the seconds in the file."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) + timedelta(seconds=float(Path(sys.argv[1]).read_text(encoding="utf-8")))


def step() -> list[str]:
    """Replace the clock in every module of the operator; return the names of these modules."""
    found = [
        name
        for name, module in sys.modules.items()
        if name.startswith(runtime.__name__.partition(".")[0]) and vars(module).get("datetime") is datetime
    ]
    for name in found:
        vars(sys.modules[name])["datetime"] = Stepped
    return found


if __name__ == "__main__":
    assert step(), "no module reads the clock"
    sys.exit(main(["run"]))
