"""The gate's prompts, positive ones first; the gate's threshold was calibrated with their exact wording."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class Prompts:
    """The texts that a picture is compared with."""

    positive: tuple[str, ...]
    negative: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Positive ones first."""
        return self.positive + self.negative

    @property
    def sha256(self) -> str:
        """Digest of the wording, the order, and the position of the first negative prompt."""
        return hashlib.sha256("\n".join((*self.positive, "", *self.negative)).encode()).hexdigest()


@cache
def default_prompts() -> Prompts:
    """Read the prompts that the threshold was calibrated with: 10 positive, 14 negative."""
    text = files("cetacean_inference.models").joinpath("prompts.txt").read_text(encoding="utf-8")
    head, _, tail = text.partition("# negative")
    return Prompts(_lines(head), _lines(tail))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line for line in text.splitlines() if line and not line.startswith("#"))
