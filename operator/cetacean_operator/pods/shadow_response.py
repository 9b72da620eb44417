"""Parse `/v1/shadow-stats`: counts that contradict each other are an error, so that no verdict rests on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cetacean_operator.api.shadow import COUNTS, PairCounts, ShadowReport, SpeciesPairs
from cetacean_operator.pods.counts import whole
from cetacean_operator.pods.pod_responses import LARGEST_COUNT, BadAnswerError, parse_json, text
from cetacean_registry.figures import LONGEST_SPECIES_NAME, MAX_SPECIES

PATH: Final = "/v1/shadow-stats"


def parse_shadow_stats(body: bytes) -> ShadowReport:
    """Read the counts of a pod.

    Raises:
        BadAnswerError: it is no JSON object, or its counts are impossible.
    """
    answer = parse_json(PATH, body)
    failed = _mapping(answer, "failed")
    return ShadowReport(
        run=text(answer.get("run")) or "",
        sampled=_count(answer, "sampled"),
        dropped=_count(answer, "dropped"),
        busy=_count(answer, "busy"),
        failed=sum(_count(failed, reason) for reason in list(failed)[:16]),
        candidate=_pairs(_mapping(answer, "candidate")),
        noise=_pairs(_mapping(answer, "noise")),
    )


def _pairs(found: Mapping[str, Any]) -> PairCounts:
    counts = {name: _count(found, name, negative=name == "score_difference") for name in COUNTS}
    pairs = PairCounts(**counts, by_species=_species(found))
    fits = (
        pairs.both_accepted <= pairs.accepted <= pairs.pairs
        and max(pairs.species, pairs.individual, pairs.higher + pairs.lower) <= pairs.both_accepted
        and pairs.slower <= pairs.pairs
        and sum(one.pairs for one in pairs.by_species.values()) <= pairs.both_accepted
    )
    if not fits:
        raise BadAnswerError(f"{PATH}: expected counts that fit each other, got {pairs.pairs} pairs and parts of more")
    return pairs


def _species(found: Mapping[str, Any]) -> dict[str, SpeciesPairs]:
    listed = found.get("by_species")
    if not isinstance(listed, list) or len(listed) > MAX_SPECIES:
        raise BadAnswerError(f"{PATH}: expected a list of at most {MAX_SPECIES} species")
    result: dict[str, SpeciesPairs] = {}
    for one in listed:
        name = text(one.get("name")) if isinstance(one, Mapping) else None
        if name is None or name in result or len(name) > LONGEST_SPECIES_NAME:
            raise BadAnswerError(
                f"{PATH}: expected the names of species, each once and of at most {LONGEST_SPECIES_NAME} letters"
            )
        counts = SpeciesPairs(*(_count(one, key) for key in ("pairs", "species", "individual")))
        if max(counts.species, counts.individual) > counts.pairs:
            raise BadAnswerError(f"{PATH}: expected no more agreeing pairs of a species than pairs")
        result[name] = counts
    return result


def _mapping(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    if not isinstance(value, Mapping):
        raise BadAnswerError(f"{PATH}: expected an object {name}")
    return value


def _count(found: Mapping[str, Any], name: str, *, negative: bool = False) -> int:
    value = whole(found.get(name), smallest=-LARGEST_COUNT, largest=LARGEST_COUNT)
    if value is None:
        raise BadAnswerError(f"{PATH}: expected a count {name}")
    if value < 0 and not negative:
        raise BadAnswerError(f"{PATH}: expected a count {name} of 0 or more, got {value}")
    return value
