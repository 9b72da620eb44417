"""The parts of one switch, from the times of a pod's events, of containers' logs and of a client's answers; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

PARTS: Final[Mapping[str, str]] = {
    "operator": "from `active` to the pod",
    "pull": "schedule, pull, start of both containers",
    "process": "Python and its imports, both",
    "fetch": "fetch",
    "verify": "verify",
    "convert": "convert",
    "load": "load",
    "warm_up": "warm-up",
    "readiness": "readiness",
    "endpoints": "endpoints, first answer",
}
"""Key and name of each part, in their order."""
OF_WEIGHTS: Final = frozenset({"fetch", "load"})
"""Parts that the size of the weights decides."""
FETCHED: Final = "fetched everything"
READY: Final = "ready to compute"
_PART: Final = re.compile(r"(\w+) ([0-9.]+) s(?:,|\"|$)")
_LINE: Final = re.compile(r"^(\S+Z) .*? after ([0-9.]+) s: (.*)$")


@dataclass(frozen=True, slots=True)
class Started:
    """The start of one container, by the line that its log ends it with."""

    end: float
    """Unix time."""
    parts: Mapping[str, float]

    @property
    def begin(self) -> float:
        """Unix time at which the process began."""
        return self.end - sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the client, or its failure."""

    at: float
    """Unix time at which it was complete."""
    version: str | None
    """None if it failed."""


@dataclass(frozen=True, slots=True)
class Pod:
    """The Unix times of a pod's events."""

    created: float
    ready: float


def started(log: str, text: str) -> Started:
    """Read a container's log with timestamps.

    Args:
        log: its lines.
        text: how the message of the wanted line begins.

    Raises:
        ValueError: no line has it.
    """
    for line in reversed(log.splitlines()):
        if text in line and (found := _LINE.match(line)):
            parts = {name: float(seconds) for name, seconds in _PART.findall(found[3])}
            return Started(unix_time(found[1]), parts)
    raise ValueError(f"expected a line with {text!r} and its parts in the log, got none")


def unix_time(text: str) -> float:
    """Return the Unix time of a timestamp of RFC 3339 in UTC, with up to nanoseconds."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")


def answers(log: str) -> list[Answer]:
    """Read the client's log."""
    lines = (json.loads(line) for line in log.splitlines() if line.startswith("{") and line.endswith("}"))
    return [Answer(line["at"], line.get("version")) for line in lines]


def switch(
    begun: float, pod: Pod, fetch: Started, serve: Started, seen: Iterable[Answer], *, new: str
) -> dict[str, Any]:
    """Return the figures of one switch, in seconds.

    Args:
        begun: Unix time of the change of `active`.
        pod: the first pod of the new version.
        fetch: its init container.
        serve: its container.
        seen: the client's answers.
        new: the new version.

    Raises:
        ValueError: the new version gave no answer.
    """
    after = [answer for answer in seen if answer.at >= begun]
    of_new = [answer.at for answer in after if answer.version == new]
    if not of_new:
        raise ValueError(f"expected an answer of version {new}, got none")
    of_old = [answer.at for answer in after if answer.version not in (None, new)]
    first = min(of_new)
    both = {name: fetch.parts.get(name, 0.0) + serve.parts.get(name, 0.0) for name in PARTS}
    parts = both | {
        "operator": pod.created - begun,
        "pull": (fetch.begin - pod.created) + (serve.begin - fetch.end),
        "readiness": pod.ready - serve.end,
        "endpoints": first - pod.ready,
    }
    parts = {name: max(0.0, parts[name]) for name in PARTS}
    return {
        "parts_s": {name: round(seconds, 2) for name, seconds in parts.items()},
        "first_answer_s": round(first - begun, 2),
        "last_answer_of_old_s": round(max([first, *of_old]) - begun, 2),
        "rest_s": round(first - begun - sum(parts[name] for name in OF_WEIGHTS), 2),
        "answers": len(after),
        "failed": sum(answer.version is None for answer in after),
    }
