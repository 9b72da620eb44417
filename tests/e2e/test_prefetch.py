"""Weights are in the claim that the pods mount before their model is active, and a failure is named with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from cetacean_registry.registry import ModelEntry
from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.waiting import until

NAME: Final = "prefetching"
ACTIVE: Final = "demo_v1"
LABEL: Final = "ecomarineai.org/cetaceanmodel=prefetching"


@pytest.fixture(scope="module")
def prefetching(environment: Environment) -> Iterator[Environment]:
    """A resource that fetches the weights of all entries."""
    if not environment.cache:
        pytest.skip("needs the local cluster, which has a volume that pods share")
    environment.kubectl.apply(manifest(environment))
    yield environment
    environment.kubectl("delete", "cetaceanmodel", NAME, "--wait=false", "--ignore-not-found")
    until("the pods to go", lambda: not environment.pods(NAME))


def manifest(environment: Environment, *added: ModelEntry) -> dict[str, Any]:
    return environment.manifest(NAME, active=ACTIVE, added=added, replicas=1, serving={"prefetch": "All"})


def jobs(environment: Environment) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = environment.kubectl.get("jobs", "-l", LABEL)["items"]
    return found


def test_the_weights_of_all_entries_come_into_the_claim_of_the_pods(prefetching: Environment) -> None:
    condition = prefetching.wait_for_condition(NAME, "WeightsPrefetched", "True")
    assert condition["reason"] == "Prefetched"
    expected = {
        model.name: model.sha256
        for model in prefetching.registry.models
        if model.name != ACTIVE and model.sha256 and not model.deprecated
    }
    found = prefetching.resource(NAME)["status"]["prefetched"]
    assert {item["model"]: item["digest"] for item in found} == expected
    assert {item["claim"] for item in found} == {prefetching.cache}
    until("the Jobs to be gone", lambda: not jobs(prefetching))
    prefetching.wait_for_condition(NAME, "Ready", "True")
    (pod,) = prefetching.pods(NAME)
    listed = prefetching.kubectl(
        *("exec", pod["metadata"]["name"], "-c", "serve", "--", "python", "-c"),
        "import os; print(*os.listdir('/var/cache/cetacean/blobs/sha256'))",
    )
    assert set(expected.values()) <= set(listed.split())


def test_the_pods_of_jobs_get_no_request(prefetching: Environment) -> None:
    absent = prefetching.copy_of(
        ACTIVE,
        name="absent",
        version="9.1.0",
        weights_url=f"{prefetching.store}/weights/absent.ckpt",
        sha256="0" * 64,
    )
    prefetching.kubectl.apply(manifest(prefetching, absent))
    until("a Job", lambda: jobs(prefetching))
    slices = prefetching.kubectl.get("endpointslices", "-l", f"kubernetes.io/service-name={NAME}")["items"]
    names = {end["targetRef"]["name"] for found in slices for end in found["endpoints"]}
    assert names == {pod["metadata"]["name"] for pod in prefetching.pods(NAME)}


def test_a_failed_fetch_is_named_with_its_reason_and_the_model_goes_on(prefetching: Environment) -> None:
    condition = prefetching.wait_for_condition(NAME, "WeightsPrefetched", "False", mentions="/weights/absent.ckpt")
    assert condition["reason"] == "WeightsNotFound"
    assert "#weights-not-prefetched" in condition["message"]
    assert prefetching.condition(NAME, "Ready")["status"] == "True"


def test_a_resource_that_is_deleted_leaves_no_job(prefetching: Environment) -> None:
    prefetching.kubectl("delete", "cetaceanmodel", NAME, "--wait=true")
    until("the Jobs to be gone", lambda: not jobs(prefetching))
