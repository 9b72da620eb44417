"""How many mutants of each module survive, as a table and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutation.results import Mutant

BOUND = 10.0
"""Per cent of a module's mutants that may survive."""
FILE = Path(__file__).with_name("figures.json")


@dataclass(frozen=True)
class Score:
    """Counts of mutants of one module."""

    mutants: int
    types: int
    """The type checker rejects them; no test runs."""
    killed: int
    timeout: int
    survived: int
    """Tests run or not, none failed."""
    unfinished: int

    @property
    def percent(self) -> float:
        """Share of survivors among those that tests have to notice."""
        tried = self.killed + self.timeout + self.survived
        return 100 * self.survived / tried if tried else 0.0


def count(mutants: Iterable[Mutant]) -> Score:
    """Count the mutants by their verdict."""
    found = Counter(mutant.status for mutant in mutants)
    types, killed, timeout = (found.pop(name, 0) for name in ("caught by type check", "killed", "timeout"))
    survived = found.pop("survived", 0) + found.pop("no tests", 0)
    unfinished = sum(found.values())
    return Score(types + killed + timeout + survived + unfinished, types, killed, timeout, survived, unfinished)


_HEADER = ("module", "mutants", "types", "killed", "timeout", "survived", "explained", "to do", "percent")


def table(figures: Mapping[str, Score], explained: Mapping[str, int]) -> str:
    """Return one line a module."""
    rows = [
        [
            name,
            *(str(n) for n in (one.mutants, one.types, one.killed, one.timeout, one.survived)),
            str(explained.get(name, 0)),
            str(one.unfinished),
            f"{one.percent:.1f}",
        ]
        for name, one in figures.items()
    ]
    widths = [max(len(row[column]) for row in [_HEADER, *rows]) for column in range(len(_HEADER))]
    return "\n".join(_line(row, widths) for row in [_HEADER, *rows])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *others])


def publish(figures: Mapping[str, Score], explained: Mapping[str, int], path: Path = FILE) -> None:
    """Write the figures of the modules that were run to the end; those of others stay."""
    written: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name, one in figures.items():
        if one.mutants and not one.unfinished:
            written[name] = {
                "mutants": one.mutants,
                "rejected_by_types": one.types,
                "killed": one.killed,
                "timeout": one.timeout,
                "survived": one.survived,
                "explained": explained.get(name, 0),
                "percent": round(one.percent, 1),
            }
    path.write_text(json.dumps(dict(sorted(written.items())), indent=2) + "\n", encoding="utf-8")
