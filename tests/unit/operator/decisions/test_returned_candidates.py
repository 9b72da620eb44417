"""Which removed candidates are remembered, in which order, and what becomes of them in a status and in a Deployment."""

from __future__ import annotations

import json

import pytest
from support.operator_world import World, entry, manifest
from support.pods import FakePod

from cetacean_operator.api.candidate import MOST_RETURNED, ReturnedCandidate
from cetacean_operator.decisions.returned_candidates import add_returned, merge_returned

STAGES = {"stages": [{"shadow": {"share": 1.0, "require": {"pictures": 300}}}]}
MODELS = [entry(f"m{number}", f"{number:x}") for number in range(MOST_RETURNED + 2)]
NINTH = f"m{MOST_RETURNED + 1}"


def candidates(
    names: str, *, at: str = "2026-01-01T00:00:00Z", reason: str = "Failing"
) -> tuple[ReturnedCandidate, ...]:
    return tuple(
        ReturnedCandidate(model=name, version="1.0.0", entry="e", rollout="r", reason=reason, why="", at=at)
        for name in names
    )


def names_of(found: tuple[ReturnedCandidate, ...]) -> str:
    return "".join(one.model for one in found)


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "", "x"])
def test_the_newest_is_first_and_kept_whatever_the_times_say(at: str) -> None:
    known = candidates("abcdefgh", at=at)
    (new,) = candidates("z")
    found = add_returned(known, new)
    assert names_of(found) == "zabcdefg"
    assert add_returned(found, new) == found


def test_one_that_is_known_keeps_its_place() -> None:
    known = candidates("abc")
    assert add_returned(known, known[2]) == known


def test_a_later_removal_replaces_the_earlier_one() -> None:
    known = candidates("abc")
    (again,) = candidates("c", at="2027-01-01T00:00:00Z")
    assert add_returned(known, again) == (again, *known[:2])


@pytest.mark.parametrize("is_recorded", [True, False], ids=["in the record", "in the status"])
def test_the_later_of_two_removals_counts_if_the_record_and_the_status_differ(*, is_recorded: bool) -> None:
    earlier, (again,) = candidates("abc"), candidates("c", at="2027-01-01T00:00:00Z")
    later = add_returned(earlier, again)
    recorded, known = (later, earlier) if is_recorded else (earlier, later)
    assert again in merge_returned(recorded, known)
    assert merge_returned(merge_returned(recorded, known), known) == merge_returned(recorded, known)


def test_the_same_rollout_is_remembered_for_each_reason() -> None:
    known = candidates("ab")
    (overdue,) = candidates("b", reason="ProgressDeadlineExceeded")
    assert add_returned(known, overdue) == (overdue, *known)


@pytest.mark.parametrize(
    ("recorded", "known", "found"),
    [
        ("", "", ""),
        ("ab", "", "ab"),
        ("", "ab", "ab"),
        ("zab", "abc", "zabc"),
        ("cd", "abc", "abcd"),
        ("ab", "xyz", "axbyz"),
        ("abcdefgh", "stuvwxyz", "asbtcudv"),
        ("zabcdefg", "abcdefgh", "zabcdefg"),
        ("aab", "bb", "ab"),
    ],
)
def test_the_record_and_the_status_are_merged_by_their_order(recorded: str, known: str, found: str) -> None:
    # Whoever edits an annotation can write any time: it pushes nothing out.
    merged = merge_returned(candidates(recorded, at="9999-12-31T23:59:59Z"), candidates(known))
    assert names_of(merged) == found
    assert merge_returned(merged, candidates(known)) == merged, "once it is written, nothing changes"


def test_after_the_clock_was_set_back_a_candidate_that_failed_is_not_tried_again() -> None:
    world = World(manifest(*MODELS, rollout=STAGES))
    world.settle()
    world.wait(days=1)
    for model in MODELS[1:-1]:
        world.activate(model["name"])
        world.settle()
        world.shadow(2000, species=1500, individual=1500)
        world.settle()
    assert len(world.status.returned) == MOST_RETURNED
    world.wait(days=-1)
    world.activate(NINTH)
    world.settle()
    world.shadow(2000, species=1500, individual=1500)
    world.settle()
    assert world.status.returned[0].model == NINTH
    assert (world.candidate, world.is_("CandidatePassed")) == (None, ("False", "Disagrees"))


def test_times_that_somebody_wrote_into_the_deployment_push_no_candidate_out() -> None:
    world = World(manifest(*MODELS, rollout=STAGES))
    world.settle()
    world.activate("m1")
    world.settle()
    world.decide_by_person("Abort")
    world.settle()
    assert world.deployment is not None
    annotations = world.deployment["metadata"]["annotations"]
    record = json.loads(annotations["ecomarineai.org/promotion"])
    forged = [one.wire() for one in candidates("stuvwxyz", at="9999-12-31T23:59:59Z")]
    annotations["ecomarineai.org/promotion"] = json.dumps(record | {"returned": forged})
    world.settle()
    assert "m1" in [one.model for one in world.status.returned]
    assert world.candidate is None


def test_a_rollout_that_failed_without_stages_is_remembered_although_its_stages_had_failed() -> None:
    def behave(pod: FakePod) -> None:
        pod.ready = pod.model != "m1"

    world = World(manifest(*MODELS, rollout=STAGES))
    world.settle()
    world.activate("m1")
    world.settle()
    world.shadow(2000, species=1500, individual=1500)
    world.settle()
    world.behave = behave
    world.edit(rollout={"stages": [], "onFailure": "Return"})
    world.settle()
    assert world.deployed == "m1", "without stages it is tried"
    world.pass_deadline()
    world.settle()
    assert world.deployed == "m0"
    assert [one.reason for one in world.status.returned] == ["ProgressDeadlineExceeded", "Disagrees"]
