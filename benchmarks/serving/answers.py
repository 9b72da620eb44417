"""Compares the servers' answers: only servers that answer alike are measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx
from benchmarks.machine import BenchmarkError
from benchmarks.servers import Server
from benchmarks.serving.contestants import Contestant

EQUAL: Final = ("bbox", "class_animal", "id_animal", "is_cetacean", "rejected", "rejection_reason", "model_version")
CLOSE: Final[Mapping[str, float]] = {"cetacean_score": 0.005, "probability": 0.0005}
"""Largest deviations, as our service allows between engines."""

Answers = Sequence[Mapping[str, Any]]


def answers(contestant: Contestant, server: Server, pictures: Sequence[bytes]) -> Answers:
    """Ask for every picture.

    Raises:
        httpx.HTTPStatusError: a picture is not answered.
    """
    found = []
    with httpx.Client(base_url=server.url, timeout=120) as client:
        for form in map(contestant.encode, pictures):
            answer = client.post(form.path, content=form.body, headers=dict(form.headers)).raise_for_status()
            found.append(contestant.decode(answer.json()))
    return found


def require_equal(name: str, found: Answers, expected: Answers) -> None:
    """Compare a server's answers with those of ours.

    Raises:
        BenchmarkError: names the first difference.
    """
    for number, (one, other) in enumerate(zip(found, expected, strict=True), start=1):
        different = [field for field in EQUAL if one[field] != other[field]]
        different += [field for field, bound in CLOSE.items() if not abs(one[field] - other[field]) <= bound]
        if different:
            field = different[0]
            raise BenchmarkError(
                f"{name}: expected the answers of our service, got another {field} for picture {number}: "
                f"{one[field]!r} instead of {other[field]!r}"
            )
