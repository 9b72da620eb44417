"""`candidate disagreements`: lists of pods are merged, bounded and shown; nothing that a pod sends is trusted."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.full_disk import full_disk
from support.kube_server import KubeServer
from support.operator_world import World, entry, manifest
from support.pictures import picture
from support.pods import pod_manifest

from cetacean_cli.disagreements import PodList, merge, parse_list
from cetacean_inference.http.schemas import DisagreementsReport

from .conftest import Run

Object = dict[str, Any]
ORCA = {"accepted": True, "species": "orca", "individual": "a1", "score": 0.9, "probability": 0.9}
BELUGA = {"accepted": True, "species": "beluga", "individual": "b1", "score": 0.9, "probability": 0.8}
OTHER_ORCA = {"accepted": True, "species": "orca", "individual": "a2", "score": 0.9, "probability": 0.4}
REJECTED = {"accepted": False, "species": "unknown", "individual": "", "score": 0.05, "probability": 0.0}
MODELS = {
    "served": {"name": "first", "version": "1.0.0", "sha256": "a" * 64},
    "candidate": {"name": "next", "version": "2.0.0", "sha256": "b" * 64},
}


def listed(*items: tuple[str, Object, Object], run: str | None = "one", keeps: bool = False) -> Object:
    """The answer of a pod: digests, and the answers of the model that serves and of the candidate."""
    found = [{"image_sha256": digest, "served": served, "candidate": other} for digest, served, other in items]
    return {"run": run, **MODELS, "keeps_pictures": keeps, "disagreements": found}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def whales(server: KubeServer) -> Object:
    """A resource with three pods, of which two are ready."""
    world = World(manifest(entry("first"), serving={"replicas": 3}))
    world.settle()
    for name, ready in (("w-1", "True"), ("w-2", "True"), ("w-3", "False")):
        server.pods.append(pod_manifest(name, status={"conditions": [{"type": "Ready", "status": ready}]}))
    return server.add(world.obj)


def answer(server: KubeServer, pod: str, content: Object | str | int) -> None:
    server.pod_responses[f"{pod}:8081/v1/shadow-disagreements"] = content


def test_the_lists_of_all_ready_pods_are_merged_by_digest_most_certain_first(server: KubeServer, kubectl: Run) -> None:
    answer(server, "w-1", listed(("1" * 64, ORCA, OTHER_ORCA), ("2" * 64, ORCA, BELUGA)))
    answer(server, "w-2", listed(("2" * 64, ORCA, BELUGA), ("3" * 64, ORCA, REJECTED)))
    done = kubectl("candidate", "disagreements", "whales")
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["PICTURE", "DIFFERS", "SERVED", "PROBABILITY", "CANDIDATE", "PROBABILITY", "CERTAINTY"]
    assert rows[1][:2] == ["3" * 12, "acceptance"]
    assert rows[1][-5:] == ["rejected", "(score", "0.0500)", "-", "0.9000"]
    assert rows[2] == ["2" * 12, "species", *["orca", "/", "a1", "0.9000", "beluga", "/", "b1", "0.8000", "0.8000"]]
    assert rows[3] == ["1" * 12, "individual", *["orca", "/", "a1", "0.9000", "orca", "/", "a2", "0.4000", "0.4000"]]
    found = json.loads(kubectl("candidate", "disagreements", "whales", "-o", "json").stdout)
    assert [one["image_sha256"][0] for one in found["disagreements"]] == ["3", "2", "1"]
    assert found["disagreements"][1]["pods"] == ["w-1", "w-2"]
    assert found["disagreements"][1]["candidate"] == BELUGA
    assert (found["run"], found["candidate"]["name"], found["errors"]) == ("one", "next", {})


def test_a_pod_that_does_not_answer_is_named_and_the_others_are_shown(server: KubeServer, kubectl: Run) -> None:
    answer(server, "w-1", listed(("1" * 64, ORCA, BELUGA)))
    done = kubectl("candidate", "disagreements", "whales")
    assert done.exit_code == 0
    assert "1" * 12 in done.stdout
    assert "pod w-2: " in done.stderr
    assert "503: pod is gone" in done.stderr


def test_it_is_an_error_if_no_pod_answers(kubectl: Run) -> None:
    done = kubectl("candidate", "disagreements", "whales")
    assert done.exit_code == 3
    assert "none of 2 pods has answered; w-1: " in done.stderr


def test_without_a_comparison_or_without_a_disagreement_it_says_so(server: KubeServer, kubectl: Run) -> None:
    nothing: Object = {"run": None, "served": None, "candidate": None, "keeps_pictures": False, "disagreements": []}
    for pod in ("w-1", "w-2"):
        answer(server, pod, nothing)
    assert "no pod has compared a candidate" in kubectl("candidate", "disagreements", "whales").stdout
    answer(server, "w-2", listed())
    assert "the models agree about all pictures so far" in kubectl("candidate", "disagreements", "whales").stdout


def test_a_pod_with_another_comparison_is_left_out(server: KubeServer, kubectl: Run) -> None:
    server.pods.append(pod_manifest("w-4", status={"conditions": [{"type": "Ready", "status": "True"}]}))
    for pod, run in (("w-1", "old"), ("w-2", "new"), ("w-4", "new")):
        answer(server, pod, listed((("1" if run == "old" else "2") * 64, ORCA, BELUGA), run=run))
    done = kubectl("candidate", "disagreements", "whales")
    assert ("2" * 12 in done.stdout, "1" * 12 in done.stdout) == (True, False)
    assert "pod w-1: lists another comparison, which is left out" in done.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "/v1/shadow-disagreements: "),
        (listed(("1" * 64, ORCA | {"probability": 1.5}, BELUGA)), "probability"),
        (listed(("1" * 64, ORCA | {"species": "x" * 300}, BELUGA)), "species"),
        (listed(("../secret", ORCA, BELUGA)), "image_sha256"),
        (listed(*(("1" * 64, ORCA, BELUGA) for _ in range(201))), "disagreements"),
        ("x" * (2**20 + 1), "expected at most 1048576 bytes"),
        ("[" * 5000, "expected a JSON object"),
    ],
    ids=["empty", "probability", "long-name", "digest", "too-many", "too-long", "deep"],
)
def test_a_list_that_is_not_as_expected_is_an_error_of_that_pod(
    server: KubeServer, kubectl: Run, content: Object | str, message: str
) -> None:
    answer(server, "w-1", content)
    answer(server, "w-2", listed(("1" * 64, ORCA, BELUGA)))
    done = kubectl("candidate", "disagreements", "whales")
    assert done.exit_code == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("pod w-1: ")
    assert message in line
    assert len(line) < 700


def test_control_characters_reach_neither_the_terminal_nor_a_page(server: KubeServer, kubectl: Run) -> None:
    name = "\x1b[2Jorca\u202egpj.exe"
    answer(server, "w-1", listed(("1" * 64, ORCA | {"species": name}, BELUGA)))
    done = kubectl("candidate", "disagreements", "whales")
    assert "\N{REPLACEMENT CHARACTER}[2Jorca\N{REPLACEMENT CHARACTER}gpj.exe / a1" in done.stdout


def test_a_page_has_the_pictures_that_are_kept_and_only_its_owner_may_read_it(
    server: KubeServer, kubectl: Run, tmp_path: Path
) -> None:
    kept, forged = picture(), picture(size=(9, 9))
    items = [(digest(kept), ORCA, BELUGA), (digest(forged), ORCA, OTHER_ORCA), ("3" * 64, ORCA, REJECTED)]
    answer(server, "w-1", listed(*items, keeps=True))
    answer(server, "w-2", listed())
    server.pod_files[f"w-1:8081/v1/shadow-pictures/{digest(kept)}"] = kept
    server.pod_files[f"w-1:8081/v1/shadow-pictures/{digest(forged)}"] = kept
    file = tmp_path / "out.html"
    done = kubectl("candidate", "disagreements", "whales", "--html", str(file))
    assert done.exit_code == 0, done.output
    assert "3 disagreements were written" in done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert text.count("data:image/png;base64,") == 1
    assert text.count("The picture is not kept") == 2
    assert digest(forged) in text


def test_no_pod_is_asked_for_pictures_if_none_are_kept(server: KubeServer, kubectl: Run, tmp_path: Path) -> None:
    answer(server, "w-1", listed(("1" * 64, ORCA, BELUGA)))
    kubectl("candidate", "disagreements", "whales", "--html", str(tmp_path / "out.html"))
    assert not [path for path in server.requests if "pictures" in path]


def test_a_file_that_cannot_be_written_is_one_line(server: KubeServer, kubectl: Run, tmp_path: Path) -> None:
    answer(server, "w-1", listed(("1" * 64, ORCA, BELUGA)))
    done = kubectl("candidate", "disagreements", "whales", "--html", str(tmp_path / "missing" / "out.html"))
    assert done.exit_code == 2
    assert "the page cannot be written: No such file or directory" in done.stderr


def test_without_room_an_earlier_page_stays(server: KubeServer, kubectl: Run, tmp_path: Path) -> None:
    answer(server, "w-1", listed(("1" * 64, ORCA, BELUGA)))
    file = tmp_path / "out.html"
    file.write_text("earlier")
    with full_disk(100):
        done = kubectl("candidate", "disagreements", "whales", "--html", str(file))
    assert (done.exit_code, "the page cannot be written: File too large" in done.stderr) == (2, True)
    assert file.read_text() == "earlier"


def test_the_answers_are_those_that_the_service_describes() -> None:
    content = listed(("1" * 64, ORCA, BELUGA))
    assert parse_list(DisagreementsReport.model_validate(content).model_dump()) == parse_list(content)


def parsed(content: Object) -> PodList | str:
    """The list, or the message of the error."""
    try:
        return parse_list(content)
    except ValueError as error:
        return str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*listed(), "other"]), JSON))
def test_no_answer_of_a_pod_is_another_error_than_one_line(content: Object) -> None:
    found = parsed(listed() | content)
    if isinstance(found, PodList):
        merge({"w-1": found})
    else:
        assert len(found.splitlines()) == 1


def test_if_pods_have_answered_differently_the_most_certain_answers_count() -> None:
    unsure = parse_list(listed(("1" * 64, ORCA, OTHER_ORCA)))
    sure = parse_list(listed(("1" * 64, ORCA, BELUGA)))
    (merged,) = merge({"w-1": unsure, "w-2": sure}).disagreements
    assert (merged.kind, merged.certainty, merged.pods) == ("species", 0.8, ("w-1", "w-2"))
