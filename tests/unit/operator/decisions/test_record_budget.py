"""The record of a promotion is never larger than its bound, whatever people have written."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import pytest
from support.approvals import approval_object
from support.operator_world import World, entry, manifest

from cetacean_operator.api import names
from cetacean_operator.api.base import ApiModel
from cetacean_operator.api.candidate import (
    MOST_RETURNED,
    CanaryFigures,
    PassedStage,
    PersonDecision,
    ReturnedCandidate,
    ShadowFigures,
)
from cetacean_operator.api.stages import MOST_STAGES
from cetacean_operator.api.status import (
    HISTORY_LENGTH,
    LONGEST_MESSAGE,
    GivenApproval,
    HistoryEntry,
    ModelRef,
    Release,
    Rollback,
    Status,
)
from cetacean_operator.decisions.promotion_record import write_promotion_record
from cetacean_operator.decisions.record_budget import LARGEST_RECORD, Recorded, reductions

WHALE, CONTROL = "\N{SPOUTING WHALE}", "\x01"
"""Four bytes, and six as JSON."""
NAME = 253


def largest(model: type[ApiModel]) -> dict[str, int]:
    """Return a large number for each field."""
    return dict.fromkeys(model.model_fields, 2**53)


def largest_promotion(number: int, sign: str, *, approvals: int = 32) -> HistoryEntry:
    name = sign * NAME
    given = GivenApproval(name=name, kind=name, approver=name, at=sign * 64, evidence=sign * 2048, reason=sign * 1024)
    release = Release(
        type=name,
        change=name,
        approvals=(given,) * approvals,
        figures={f"{number:02}{name}": 0.123456789012345 for number in range(64)},
        evaluation_set=sign * 1024,
        metrics_snapshot=sign * 1024,
    )
    passed = PassedStage(
        kind="Canary",
        digest=name,
        at=sign * 64,
        message=sign * 1024,
        shadow=ShadowFigures(**largest(ShadowFigures)),
        canary=CanaryFigures(**largest(CanaryFigures)),
    )
    return HistoryEntry(
        model=f"{number}{sign * (NAME - 2)}",
        version=name,
        digest=name,
        definition=name,
        weights_url=sign * 2048,
        at=sign * 64,
        reason=name,
        why=sign * LONGEST_MESSAGE,
        release=release,
        stages=(passed,) * MOST_STAGES,
        decision=PersonDecision(decision="Promote", model=name, rollout=name, by=name, at=sign * 64, why=sign * 1024),
    )


def largest_status(sign: str) -> Status:
    name = sign * NAME
    ref = ModelRef(name=name, version=name, digest=name, definition=name)
    return Status(
        history=tuple(largest_promotion(number, sign) for number in range(HISTORY_LENGTH)),
        rollback=Rollback(
            rejected=ref, rejected_url=sign * 2048, restored=ref, at=sign * 64, why=sign * LONGEST_MESSAGE
        ),
        returned_candidates=tuple(
            ReturnedCandidate(
                model=name,
                version=name,
                digest=name,
                entry="e" * 10,
                rollout=f"{number}{sign * (NAME - 1)}",
                reason=name,
                why=sign * 4096,
                at=sign * 64,
                by=name,
            )
            for number in range(MOST_RETURNED)
        ),
    )


@pytest.mark.parametrize("sign", [WHALE, CONTROL, '"'], ids=["whale", "control", "quote"])
@pytest.mark.parametrize("is_written", [True, False], ids=["one promotion", "ten that no status has"])
def test_the_largest_record_is_within_the_bound(sign: str, is_written: bool) -> None:
    status = largest_status(sign)
    last = Status(history=status.history[1:]) if is_written else Status()
    text = write_promotion_record(status, last, None)
    assert text is not None
    assert len(text.encode()) <= LARGEST_RECORD
    record = json.loads(text)
    assert record["promotions"][0]["model"] == status.history[0].model
    assert record["rollback"]["restored"]["name"] == sign * NAME
    live = {"metadata": {"annotations": {names.ANNOTATION_PROMOTION: text}}}
    assert write_promotion_record(status, last, live) == text, "once it is written, nothing changes"


def test_texts_go_first_and_then_the_oldest_candidates() -> None:
    status = largest_status("é")
    one = status.model_copy(update={"history": (largest_promotion(0, "é", approvals=8),), "rollback": None})
    record = json.loads(write_promotion_record(one, Status(), None) or "")
    (promotion,) = record["promotions"]
    assert [given["approver"] for given in promotion["release"]["approvals"]] == ["é" * NAME] * 8
    assert promotion["release"]["approvals"][0]["reason"] == "é" * 127 + "…"
    assert promotion["why"] == promotion["decision"]["why"] == promotion["stages"][0]["message"] == "é" * 127 + "…"
    assert len(record["returned"]) == MOST_RETURNED
    more = one.model_copy(update={"history": (largest_promotion(0, "é"),)})
    record = json.loads(write_promotion_record(more, Status(), None) or "")
    (promotion,) = record["promotions"]
    assert "reason" not in promotion["release"]["approvals"][0]
    assert len(promotion["release"]["approvals"]) == 32
    assert 0 < len(record["returned"]) < MOST_RETURNED
    assert record["returned"][0]["rollout"][0] == "0", "the newest stays"


def test_the_oldest_parts_go_one_by_one_and_the_newest_promotion_stays() -> None:
    history = [largest_promotion(number, "n", approvals=1) for number in range(3)]
    whole = Recorded(tuple(history), largest_status("n").returned[:3], None)
    *steps, last = islice(reductions(whole), 20)
    assert [
        ([one.model[0] for one in step.promotions], [one.rollout[0] for one in step.returned]) for step in steps
    ] == [
        *[(["0", "1", "2"], ["0", "1", "2"])] * 4,  # the texts are cut
        (["0", "1", "2"], ["0", "1"]),
        (["0", "1", "2"], ["0"]),
        (["0", "1", "2"], []),
        (["0", "1"], []),
        (["0"], []),
    ]
    newest = history[0]
    assert last == Recorded(
        promotions=(
            HistoryEntry(
                model=newest.model,
                version=newest.version,
                digest=newest.digest,
                definition=newest.definition,
                weights_url=newest.weights_url,
                at=newest.at,
                reason=newest.reason,
                why="",
                release=None,
                stages=None,
                decision=None,
            ),
        ),
        returned=(),
        rollback=None,
    )


def status_with(letters: int) -> Status:
    """Return a status that records one promotion, with so many letters of people, each text as long as it may be."""
    newest, returned = largest_promotion(0, "n"), largest_status("n").returned
    lengths = [1024] * 32 + [2048] * 32 + [4096] * MOST_RETURNED
    texts = []
    for longest in lengths:
        texts.append("x" * min(longest, letters))
        letters -= len(texts[-1])
    assert letters == 0, "the texts take no more"
    approvals = tuple(
        GivenApproval(name="a", kind="User", approver="a", at="now", reason=reason, evidence=evidence)
        for reason, evidence in zip(texts[:32], texts[32:64], strict=True)
    )
    bare = {"why": "", "stages": None, "decision": None, "release": Release(type="", change="", approvals=approvals)}
    whys = zip(returned, texts[64:], strict=True)
    return Status(
        history=(newest.model_copy(update=bare),),
        returned_candidates=tuple(one.model_copy(update={"why": why}) for one, why in whys),
    )


def lengths_of_texts(record: dict[str, Any]) -> tuple[set[int], set[int], list[int]]:
    """Return the lengths of the reasons, of the evidence and of why candidates were returned."""
    approvals = record["promotions"][0]["release"]["approvals"]
    reasons, evidence = ({len(one[name]) for one in approvals} for name in ("reason", "evidence"))
    return reasons, evidence, [len(one["why"]) for one in record["returned"]]


def test_nothing_is_cut_up_to_the_bound_and_from_there_only_what_is_too_long() -> None:
    written = 100_000
    free = LARGEST_RECORD - len((write_promotion_record(status_with(written), Status(), None) or "").encode())
    text = write_promotion_record(status_with(written + free), Status(), None) or ""
    assert len(text.encode()) == LARGEST_RECORD
    reasons, evidence, whys = lengths_of_texts(json.loads(text))
    assert (reasons, evidence, 32 * 1024 + 32 * 2048 + sum(whys)) == ({1024}, {2048}, written + free)
    longer = write_promotion_record(status_with(written + free + 1), Status(), None) or ""
    reasons, evidence, cut = lengths_of_texts(json.loads(longer))
    assert (reasons, evidence, max(cut)) == ({1024}, {1024}, 1024)
    assert json.loads(longer)["promotions"][0]["release"]["approvals"][0]["reason"] == "x" * 1024


def promoted_with(*approvals: dict[str, Any]) -> World:
    """Return a world in which a model serves that these approvals let through."""
    world = World(manifest(entry("first"), entry("second", "b")))
    world.settle()
    world.approvals = [*approvals]
    world.edit(approval={"patch": {"approvals": 1}, "excludeAuthor": False})
    world.activate("second")
    world.settle()
    assert world.deployed == "second"
    return world


def written_record(world: World) -> str:
    assert world.deployment is not None
    return str(world.deployment["metadata"]["annotations"][names.ANNOTATION_PROMOTION])


def test_short_texts_are_recorded_as_they_are() -> None:
    text = f"read it twice {WHALE} " + "x" * 900
    written = written_record(promoted_with(approval_object(reason=text, evidence="https://example.org/1")))
    assert WHALE in written
    (given,) = json.loads(written)["promotions"][0]["release"]["approvals"]
    assert (given["reason"], given["evidence"]) == (text, "https://example.org/1")


def test_after_the_status_was_lost_the_texts_that_were_cut_lead_to_no_other_write() -> None:
    world = promoted_with(
        *(
            approval_object(f"user{number}", reason=WHALE * 1024, evidence=f"https://example.org/{WHALE * 2000}")
            for number in range(32)
        )
    )
    before = written_record(world)
    assert len(before.encode()) <= LARGEST_RECORD
    history = world.status.history
    world.obj.pop("status")
    world.settle()
    assert written_record(world) == before
    assert world.status.history == history[:1]
    assert history[0].release is not None
    assert {given.reason for given in history[0].release.approvals} == {WHALE * 127 + "…"}
