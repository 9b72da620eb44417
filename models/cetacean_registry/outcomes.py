"""Outcomes: the animal that a model named in each picture, one line of JSON for each, in a file beside its snapshot.

Two models that were scored on the same pictures are compared picture by picture with it (`pairs`), which shows more
than the difference of two shares.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cetacean_registry.atomic_files import replace_file
from cetacean_registry.companions import Sha256
from cetacean_registry.errors import RegistryError, describe
from cetacean_registry.figures import Fraction, SpeciesName
from cetacean_registry.metrics import MetricsSnapshot
from cetacean_registry.regular_files import open_regular_file

MAX_PICTURES: Final = 100_000
_ROUNDING: Final = 0.0006
MAX_NAME: Final = 253
_LONGEST_LINE: Final = 65536
"""Bytes."""
Name = Annotated[str, Field(max_length=MAX_NAME)]


class Outcome(BaseModel):
    """One cetacean picture: what it shows, and what the model named, whatever the gate says of it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    picture: Annotated[str, Field(min_length=1, max_length=1024)]
    """The path in the manifest."""
    sha256: Sha256
    """Of the picture's bytes."""
    individual: Name | None
    """The right one; null: not known."""
    species: SpeciesName | None
    named_individual: Name
    """The likeliest one."""
    named_species: Name
    probability: Fraction
    """Of the likeliest individual."""
    top5: bool
    """True if the right individual is among the five likeliest."""

    @property
    def top1(self) -> bool | None:
        """True if the right individual is named; None: it is not known."""
        return None if self.individual is None else self.named_individual == self.individual

    @property
    def species_right(self) -> bool | None:
        """True if the right species is named; None: it is not known."""
        return None if self.species is None else self.named_species == self.species


def outcomes_path(snapshot: Path) -> Path:
    """Return the path of the outcomes that belong to a snapshot: `new.json` has `new.outcomes.jsonl`."""
    return snapshot.with_suffix(".outcomes.jsonl")


def to_lines(outcomes: Iterable[Outcome]) -> bytes:
    """Return the content of the file of outcomes, one line for each picture."""
    return "".join(f"{outcome.model_dump_json()}\n" for outcome in outcomes).encode()


def write_outcomes(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Write one line for each picture.

    Raises:
        OSError: the file cannot be written.
    """
    replace_file(path, to_lines(outcomes))


def load_outcomes(snapshot_path: Path, snapshot: MetricsSnapshot) -> tuple[Outcome, ...] | None:
    """Read the outcomes beside a snapshot; None if there is no such file.

    Raises:
        RegistryError: the file cannot be read, a line is invalid, too long or there twice, there are too many lines, or
            the snapshot has other figures.
    """
    path = outcomes_path(snapshot_path)
    outcomes: dict[str, Outcome] = {}
    try:
        with open_regular_file(path) as stream:
            for number, line in enumerate(iter(lambda: stream.readline(_LONGEST_LINE + 1), b""), start=1):
                if number > MAX_PICTURES:
                    raise RegistryError(f"{path}: expected at most {MAX_PICTURES} lines, got more")
                outcome = _parse(line, f"{path}:{number}")
                if outcome.picture in outcomes:
                    raise RegistryError(f"{path}:{number}: expected each picture once, got {outcome.picture!r} again")
                outcomes[outcome.picture] = outcome
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RegistryError(f"{path}: cannot be read: {error}") from error
    _check_agreement(tuple(outcomes.values()), snapshot, path=path, snapshot_path=snapshot_path)
    return tuple(outcomes.values())


def _parse(line: bytes, source: str) -> Outcome:
    if len(line) > _LONGEST_LINE:
        raise RegistryError(f"{source}: expected at most {_LONGEST_LINE} bytes, got more")
    try:
        return Outcome.model_validate_json(line)
    except ValidationError as error:
        raise RegistryError(f"{source}: {describe(error)}") from error


def _check_agreement(
    outcomes: Sequence[Outcome], snapshot: MetricsSnapshot, *, path: Path, snapshot_path: Path
) -> None:
    """Raise if the outcomes are of another run than the snapshot, or of a part of it."""
    begin, end = f"{path}: expected the outcomes of {snapshot_path.name}", "run scripts/compute_metrics.py again"
    if snapshot.identification is None:
        raise RegistryError(f"{begin}, which has no figures of the identification; {end}")
    for claim in _claims(outcomes, snapshot):
        if not claim.holds:
            raise RegistryError(f"{begin}, {claim}; {end}")


@dataclass(frozen=True, slots=True)
class _Claim:
    """One figure of a snapshot, and the outcomes that show it."""

    figure: str
    share: float | None
    pictures: int | None
    right: tuple[bool, ...]
    """One for each outcome whose truth is known."""

    @property
    def holds(self) -> bool:
        """True if the outcomes have this figure; one that the snapshot does not have is not compared."""
        if self.pictures is not None and self.pictures != len(self.right):
            return False
        return self.share is None or abs((self._shown_share or 0.0) - self.share) <= _ROUNDING

    @property
    def _shown_share(self) -> float | None:
        return sum(self.right) / len(self.right) if self.right else None

    def __str__(self) -> str:
        """Return both, for a message."""
        share = "" if self.share is None else f" {self.share}"
        pictures = "" if self.pictures is None else f" of {self.pictures} pictures"
        shown = "none" if self._shown_share is None else f"{self._shown_share:.4f}"
        return f"{self.figure}{share}{pictures}, got {shown} of {len(self.right)}"


def _claims(outcomes: Sequence[Outcome], snapshot: MetricsSnapshot) -> Iterator[_Claim]:
    """Yield each figure that outcomes can show: those of the gate and of the accepted pictures are not among them."""
    if found := snapshot.identification:
        top1 = tuple(one.top1 for one in outcomes if one.top1 is not None)
        top5 = tuple(one.top5 for one in outcomes if one.top1 is not None)
        yield _Claim("top-1", found.top1_accuracy, found.n_samples, top1)
        yield _Claim("top-5", found.top5_accuracy, found.n_samples, top5)
        named = tuple(one.species_right for one in outcomes if one.species_right is not None)
        yield _Claim("species accuracy", found.species_accuracy, found.n_species_samples, named)
    by_species: defaultdict[str | None, list[bool]] = defaultdict(list)
    for one in outcomes:
        by_species[one.species].append(bool(one.species_right))
    for figures in snapshot.by_species or ():
        figure, right = f"species accuracy of {figures.species}", tuple(by_species[figures.species])
        yield _Claim(figure, figures.species_accuracy, figures.n_samples, right)
