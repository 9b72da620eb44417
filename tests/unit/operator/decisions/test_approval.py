"""The requirements of each type of release, and which approvals count."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.approvals import approval, approval_object
from support.operator_world import model

from cetacean_operator.api.approval_policy import ApprovalPolicy
from cetacean_operator.api.model_approval import Approval, Approvals, parse_approvals
from cetacean_operator.api.spec import Model
from cetacean_operator.decisions.approval import ApprovalVerdict, judge_approval
from cetacean_operator.decisions.identity import definition
from cetacean_operator.decisions.release_type import release_type, version_change

SERVING = model("first", "a", version="1.4.2")
SNAPSHOT = {"metricsSnapshot": "reports/second.json"}


def candidate(version: str = "1.4.3", digit: str | None = "b", **changes: Any) -> Model:
    return model("second", digit, version=version, **SNAPSHOT | changes)


def judged(one: Model, *given_: Approval, serving: Model | None = SERVING, **policy: Any) -> ApprovalVerdict:
    return judge_approval(
        one, serving=serving, policy=ApprovalPolicy.model_validate(policy), approvals=Approvals(tuple(given_))
    )


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.4.3", "Patch"),
        ("1.4.2", "Patch"),
        ("1.4.2-rc.1", "Patch"),
        ("1.4.2+build", "Patch"),
        ("1.5.0", "Minor"),
        ("1.5.0-rc.1", "Minor"),
        ("1.3.9", "Minor"),
        ("1.40.2", "Minor"),
        ("2.0.0", "Major"),
        ("2.4.2", "Major"),
        ("0.4.2", "Major"),
        ("11.4.2", "Major"),
    ],
)
def test_the_type_follows_from_the_first_number_that_differs(version: str, expected: str) -> None:
    assert release_type(candidate(version), SERVING) == expected


def test_a_first_model_and_one_of_another_architecture_are_major() -> None:
    assert release_type(candidate(), None) == "Major"
    assert release_type(candidate(architecture="Other"), SERVING) == "Major"


def test_a_hotfix_is_declared_and_keeps_the_change_of_its_version() -> None:
    one = candidate("2.0.0", hotfix=True)
    assert release_type(one, SERVING) == "Hotfix"
    assert version_change(one, SERVING) == "Major"
    assert release_type(one, None) == "Major", "nothing serves that it could fix"
    assert release_type(candidate(hotfix=False), SERVING) == "Patch"


NUMBERS = st.tuples(*[st.integers(0, 12)] * 3)


@given(NUMBERS, NUMBERS)
def test_the_change_is_the_same_in_both_directions(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    first, second = (candidate(".".join(map(str, numbers))) for numbers in (one, other))
    assert version_change(first, second) == version_change(second, first)
    expected = "Major" if one[0] != other[0] else "Minor" if one[1] != other[1] else "Patch"
    assert version_change(first, second) == expected


def test_a_patch_needs_one_review() -> None:
    waiting = judged(candidate())
    assert (waiting.release, waiting.missing) == ("Patch", ("1 of 1 reviews",))
    approved = judged(candidate(), approval("alice"))
    assert approved.approved
    assert approved.message == (
        "second 1.4.3 is a patch release (before it: first 1.4.2); nothing is missing; given: Review by alice"
    )


def test_a_minor_release_needs_figures_that_can_be_traced() -> None:
    assert judged(candidate("1.5.0"), approval()).approved
    bare = candidate("1.5.0", metricsSnapshot=None, metrics={"sampleSize": None, "evaluationSet": None})
    assert judged(bare, approval()).missing == (
        "metricsSnapshot in the registry entry",
        "metrics.sampleSize in the registry entry",
        "metrics.evaluationSet in the registry entry",
    )
    assert len(judged(candidate("1.5.0", metrics=None), approval()).missing) == 2
    assert judged(bare, approval(), minor={"metrics": "Optional"}).approved


def test_a_major_release_needs_two_persons_and_qa() -> None:
    one = candidate("2.0.0")
    assert judged(one).missing == ("2 of 2 reviews", "QA by hand")
    assert judged(one, approval("alice")).missing == ("1 of 2 reviews", "QA by hand")
    assert judged(one, approval("alice"), approval("bob")).missing == ("QA by hand",)
    qa = approval("alice", kind="QA")
    assert judged(one, approval("alice"), qa).missing == ("1 of 2 reviews",), "QA is no review"
    assert judged(one, approval("alice"), approval("bob"), qa).approved


def test_a_part_of_the_policy_keeps_the_other_defaults() -> None:
    policy = ApprovalPolicy.model_validate({"major": {"approvals": 3}})
    assert (policy.major.approvals, policy.major.qa, policy.minor.metrics) == (3, True, "Required")


def test_one_person_counts_once_for_each_kind() -> None:
    again = approval("alice", reason="twice")
    assert judged(candidate("2.0.0"), approval("alice"), again).missing[0] == "1 of 2 reviews"


def test_an_approval_of_other_bytes_or_of_another_model_does_not_count() -> None:
    other = judged(candidate(), approval(digit="c"))
    assert not other.approved
    assert "not counted, because they are about other weights or another definition: 1" in other.message
    assert not judged(candidate(), approval(candidate="third")).approved


def test_an_approval_that_names_a_definition_is_for_that_one_only() -> None:
    one, other = candidate(), candidate(inputSize=380)
    exact = approval(definition=definition(one))
    assert judged(one, exact).approved
    assert not judged(other, exact).approved
    assert "about other weights or another definition: 1" in judged(other, exact).message
    assert judged(other, approval()).approved, "it names none"
    assert judged(other, exact, approval("bob", definition=definition(other))).approved


def test_a_model_without_a_digest_cannot_be_approved() -> None:
    one = judged(candidate(digit=None), approval())
    assert one.missing[0] == "a sha256 in the registry entry, because approvals are bound to it"


class TestAuthor:
    """With excludeAuthor nobody approves an own entry."""

    def test_the_authors_approval_does_not_count(self) -> None:
        mine = judged(candidate(author="alice"), approval("alice"), excludeAuthor=True)
        assert mine.missing == ("1 of 1 reviews",)
        assert "alice wrote the entry and cannot approve it" in mine.message
        assert judged(candidate(author="alice"), approval("bob"), excludeAuthor=True).approved
        assert judged(candidate(author="alice"), approval("alice")).approved, "nothing asks for it"

    def test_an_entry_without_an_author_waits(self) -> None:
        override = approval("alice", kind="Override", reason="it is urgent")
        for given_ in (approval("bob"), override):
            verdict = judged(candidate(), given_, excludeAuthor=True)
            assert verdict.missing[0] == "an author in the registry entry, because spec.approval.excludeAuthor is true"

    def test_nothing_is_said_about_an_author_who_has_not_approved_the_entry(self) -> None:
        elsewhere = approval("alice", candidate="third")
        verdict = judged(candidate(author="alice"), approval("bob"), elsewhere, excludeAuthor=True)
        assert verdict.message == (
            "second 1.4.3 is a patch release (before it: first 1.4.2); nothing is missing; given: Review by bob"
        )


def test_an_override_replaces_all_that_is_missing() -> None:
    override = approval("carol", kind="Override", reason="the reviewers are at sea")
    assert judged(candidate("2.0.0", metricsSnapshot=None), override).approved
    assert not judged(candidate("2.0.0", "c"), override).approved, "bound to the digest too"


def test_approvals_that_cannot_be_read_are_missing() -> None:
    unreadable = Approvals((approval(),), unreadable="their CRD is not installed")
    verdict = judge_approval(candidate(), serving=SERVING, policy=ApprovalPolicy(), approvals=unreadable)
    assert "the right to read ModelApprovals (their CRD is not installed)" in verdict.missing
    assert not verdict.given
    free = ApprovalPolicy.model_validate({"patch": {"approvals": 0}})
    assert judge_approval(candidate(), serving=SERVING, policy=free, approvals=unreadable).approved


def test_a_hotfix_needs_what_its_own_part_says() -> None:
    one = candidate("2.0.0", hotfix=True, metricsSnapshot=None)
    assert judged(one).missing == ("1 of 1 reviews",)
    assert not judged(one, approval()).skips_gate
    skipping = judged(one, approval(), hotfix={"skip": ["Gate"]})
    assert skipping.approved
    assert skipping.skips_gate
    assert not judged(candidate(), approval(), hotfix={"skip": ["Gate"]}).skips_gate


@pytest.mark.parametrize(("number", "more"), [(8, ""), (9, " and 1 more"), (40, " and 32 more")])
def test_a_message_names_a_bounded_number_of_persons(number: int, more: str) -> None:
    many = tuple(approval(f"person-{one:02}") for one in range(number))
    shown = ", ".join(f"Review by person-{one:02}" for one in range(8))
    assert judged(candidate(), *many).message == (
        f"second 1.4.3 is a patch release (before it: first 1.4.2); nothing is missing; given: {shown}{more}"
    )


def test_the_verdict_on_a_hotfix_says_all_that_is_missing_and_given() -> None:
    one, alice = candidate("1.5.0", digit="b", hotfix=True), approval("alice")
    policy: dict[str, Any] = {"hotfix": {"approvals": 3, "qa": True, "skip": ["Stages"]}}
    assert judged(one, alice, **policy) == ApprovalVerdict(
        release="Hotfix",
        change="Minor",
        given=(alice,),
        missing=("2 of 3 reviews", "QA by hand"),
        message="second 1.5.0 is a hotfix release (before it: first 1.4.2); missing: 2 of 3 reviews, QA by hand; "
        "given: Review by alice",
        skips_stages=True,
    )


def test_the_verdict_on_a_first_model_says_that_none_has_served() -> None:
    assert judged(candidate(), serving=None) == ApprovalVerdict(
        release="Major",
        change="Major",
        given=(),
        missing=("2 of 2 reviews", "QA by hand"),
        message="second 1.4.3 is a major release (no model has served before it); missing: 2 of 2 reviews, QA by hand",
    )


def test_an_approval_of_another_model_is_not_called_one_of_other_weights() -> None:
    found = judged(candidate(), approval("bob", candidate="third"), approval("carol", digit="c"))
    assert found.message == (
        "second 1.4.3 is a patch release (before it: first 1.4.2); missing: 1 of 1 reviews; "
        "not counted, because they are about other weights or another definition: 1"
    )


@pytest.mark.parametrize(
    "broken",
    [{"digest": "b" * 63}, {"kind": "Guess"}, {"approver": ""}, {"kind": "Override"}, {"evidence": "ftp://x"}],
    ids=str,
)
def test_an_approval_that_cannot_be_read_does_not_count(broken: dict[str, Any]) -> None:
    assert parse_approvals([{**approval_object(), "spec": approval_object()["spec"] | broken}]) == ()
    assert parse_approvals([{**approval_object(), "spec": None}]) == ()


PEOPLE = st.sampled_from(["alice", "bob", "carol", "dave"])
GIVEN = st.lists(
    st.builds(
        lambda who, kind, digit: approval(who, kind=kind, digit=digit, reason="because"),
        PEOPLE,
        st.sampled_from(["Review", "QA", "Override"]),
        st.sampled_from(["b", "c"]),
    ),
    max_size=8,
)
VERSIONS = st.sampled_from(["1.4.3", "1.5.0", "2.0.0"])


@given(GIVEN, VERSIONS, st.booleans(), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(all_: list[Approval], version: str, hotfix: bool, random: Any) -> None:
    one = candidate(version, hotfix=hotfix)
    shuffled = [*all_, *all_]
    random.shuffle(shuffled)
    assert judged(one, *shuffled) == judged(one, *all_)


@given(GIVEN, GIVEN, VERSIONS)
def test_a_further_approval_never_takes_one_away(some: list[Approval], more: list[Approval], version: str) -> None:
    before, after = judged(candidate(version), *some), judged(candidate(version), *some, *more)
    assert not (before.approved and not after.approved)


@given(GIVEN, VERSIONS)
def test_as_many_persons_are_needed_as_the_policy_asks_for(all_: list[Approval], version: str) -> None:
    own = [one.spec for one in all_ if one.spec.digest == "b" * 64]
    reviewers = {spec.approver for spec in own if spec.kind == "Review"}
    needed = 2 if version == "2.0.0" else 1
    enough = len(reviewers) >= needed and (version != "2.0.0" or any(spec.kind == "QA" for spec in own))
    overridden = any(spec.kind == "Override" for spec in own)
    assert judged(candidate(version), *all_).approved == (enough or overridden)
