"""The list of mutants that no test needs to notice, each with the reason."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

LIST = Path(__file__).with_name("survivors.toml")


@dataclass(frozen=True)
class Survivor:
    """A mutant by its place and its change, as its number moves with each edit of the function."""

    module: str
    function: str
    change: str

    def entry(self, reason: str = "") -> str:
        """Return what the list says of it."""
        return (
            f'[[survivor]]\nmodule = "{self.module}"\nfunction = "{self.function}"\n'
            f"change = '''\n{self.change}\n'''\nreason = \"{reason}\"\n"
        )


def read(path: Path = LIST) -> dict[Survivor, str]:
    """Return the reason for each listed mutant.

    Raises:
        ValueError: an entry has no reason, or is listed twice.
    """
    found: dict[Survivor, str] = {}
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", []):
        survivor = Survivor(entry["module"], entry["function"], entry["change"].strip())
        if not entry.get("reason"):
            raise ValueError(f"{path}: expected a reason for {survivor.module}.{survivor.function}: {survivor.change}")
        if survivor in found:
            raise ValueError(f"{path}: {survivor.module}.{survivor.function} is listed twice: {survivor.change}")
        found[survivor] = entry["reason"]
    return found
