"""Fields of other managers that make an apply invalid are adopted, so that the next apply removes them."""

from __future__ import annotations

from typing import Any

import pytest
from support.fake_api import no_refusal
from support.reconciler_bench import Bench

from cetacean_operator.api.kinds import ResourceType
from cetacean_operator.kube.client import ApiError
from cetacean_operator.kube.managed_fields import adopted

KEY_80, KEY_81 = 'k:{"port":80,"protocol":"TCP"}', 'k:{"port":81,"protocol":"TCP"}'


def entry(manager: str, fields: dict[str, Any], operation: str = "Apply", **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": fields, **more}


OURS = entry("cetacean-operator", {"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:ports": {KEY_80: {".": {}}}}})
EDIT = entry(
    "kubectl-patch", {"f:metadata": {"f:labels": {"f:team": {}}}, "f:spec": {"f:ports": {KEY_81: {".": {}}}}}, "Update"
)
STATUS = entry("kube-controller-manager", {"f:status": {}}, "Update", subresource="status")
HANDOVER = entry("cetacean-operator-handover", {"f:spec": {"f:replicas": {}}})


def test_the_fields_of_the_spec_are_adopted_and_labels_keep_their_manager() -> None:
    taken = adopted([EDIT, STATUS, OURS, HANDOVER])
    assert taken == [
        {
            **OURS,
            "fieldsV1": {**OURS["fieldsV1"], "f:spec": {"f:ports": {KEY_80: {".": {}}, KEY_81: {".": {}}}}},
        },
        {**EDIT, "fieldsV1": {"f:metadata": {"f:labels": {"f:team": {}}}}},
        STATUS,
        HANDOVER,
    ]
    assert KEY_81 not in OURS["fieldsV1"]["f:spec"]["f:ports"], "the argument is not changed"
    assert adopted(taken) is None, "a second call adopts nothing"


@pytest.mark.parametrize("managed", [[], [EDIT], [OURS], [OURS, STATUS, HANDOVER]])
def test_nothing_is_adopted_from_other_managers_without_fields_of_ours(managed: list[dict[str, Any]]) -> None:
    assert adopted(managed) is None


@pytest.mark.parametrize(("code", "repaired"), [(422, True), (403, False)])
async def test_an_invalid_apply_is_tried_again_after_fields_were_adopted(
    serving: Bench, code: int, repaired: bool
) -> None:
    service = serving.find("Service")
    service["spec"]["ports"] = [{**service["spec"]["ports"][0], "port": 81}]
    service["metadata"]["managedFields"] = [OURS, EDIT]
    serving.put(service)

    def refuse(verb: str, resource: ResourceType, _name: str) -> ApiError | None:
        if (verb, resource.kind) == ("patch", "Service"):
            serving.api.refuse = no_refusal
        if (verb, resource.kind) == ("apply", "Service"):
            return ApiError("apply", "/x", code, "Invalid", 'spec.ports[1].name: Duplicate value: "http"')
        return None

    serving.api.refuse = refuse
    if repaired:
        await serving.reconcile()
        assert [call for call in serving.api.calls if call[1] == "Service/whales"] == [
            ("apply", "Service/whales"),
            ("get", "Service/whales"),
            ("patch", "Service/whales"),
            ("apply", "Service/whales"),
        ]
        assert serving.condition("Ready")["status"] == "True"
    else:
        with pytest.raises(ApiError):
            await serving.reconcile()
        assert ("patch", "Service/whales") not in serving.api.calls
