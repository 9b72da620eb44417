"""The volume for pictures of disagreements: mounted by serving pods only if asked, bounded by the plan."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.operator_world import World, entry, manifest, model

from cetacean_inference.monitoring.monitoring_file import ShadowPlan
from cetacean_inference.settings import HttpSettings, ShadowSettings
from cetacean_operator.api import names
from cetacean_operator.api.keep_disagreements import KeepDisagreements, same_claim
from cetacean_operator.api.observed import CetaceanModel, Object
from cetacean_operator.api.serving import is_reserved
from cetacean_operator.api.spec import AntiFraud, InvalidResourceError, parse_spec
from cetacean_operator.decisions.candidate_children import Candidate
from cetacean_operator.decisions.children import children
from cetacean_operator.decisions.comparison import Comparison
from cetacean_operator.decisions.identity import rollout_of

KEEP = KeepDisagreements.model_validate({"persistentVolumeClaim": {"claimName": "pictures"}, "maxItems": 50})


def made(keep: KeepDisagreements | None) -> dict[tuple[str, str], Object]:
    shadow = {"keepDisagreements": keep.wire()} if keep else {}
    world = World(manifest(entry("first"), rollout={"stages": [{"shadow": shadow}]}))
    served, candidate = (rollout_of(model(name), AntiFraud()) for name in ("first", "second"))
    comparison = Comparison(
        candidate=candidate,
        candidate_digest="b" * 64,
        served=served,
        served_digest="a" * 64,
        share=0.5,
        several_pods=False,
        keep_disagreements=keep,
    )
    return children(
        CetaceanModel.of(world.obj),
        parse_spec(world.obj["spec"]),
        served,
        served_kinds=(),
        operator_namespace="operators",
        candidate=Candidate(comparison=comparison),
    )


def pod_of(found: dict[tuple[str, str], Object], name: str) -> dict[str, Any]:
    spec: dict[str, Any] = found["Deployment", name]["spec"]["template"]["spec"]
    return spec


def plan_of(found: dict[tuple[str, str], Object]) -> dict[str, Any]:
    plan: dict[str, Any] = json.loads(found["ConfigMap", "whales-monitoring"]["data"][names.MONITORING_FILE])["shadow"]
    return plan


def test_without_it_nothing_changes() -> None:
    plain = made(None)
    spec = pod_of(plain, "whales")
    assert [volume["name"] for volume in spec["volumes"]] == ["weights", "monitoring", "tmp"]
    assert "keep_disagreements" not in plan_of(plain)


def test_only_the_serving_container_mounts_the_claim() -> None:
    found = made(KEEP)
    spec = pod_of(found, "whales")
    (volume,) = (volume for volume in spec["volumes"] if "persistentVolumeClaim" in volume)
    assert volume["persistentVolumeClaim"] == {"claimName": "pictures"}
    (serve,), (fetch,) = spec["containers"], spec["initContainers"]
    (mount,) = (mount for mount in serve["volumeMounts"] if mount["name"] == volume["name"])
    env = {item["name"]: item["value"] for item in serve["env"]}
    folder = env["CETACEAN_SHADOW__KEEP_FOLDER"]
    assert folder == f"{mount['mountPath']}/disagreements/whales"
    assert volume["name"] not in {mount["name"] for mount in fetch["volumeMounts"]}
    assert volume["name"] not in {volume["name"] for volume in pod_of(found, "whales-candidate")["volumes"]}
    assert str(ShadowSettings.model_validate({"keep_folder": folder}).keep_folder) == folder


def test_the_number_of_pictures_restarts_no_pod() -> None:
    more = KEEP.model_copy(update={"max_items": 60})
    assert pod_of(made(KEEP), "whales") == pod_of(made(more), "whales")
    plans = [ShadowPlan.model_validate(plan_of(made(keep))) for keep in (None, KEEP, more)]
    assert [plan.keep_disagreements and plan.keep_disagreements.max_items for plan in plans] == [None, 50, 60]
    # The counts go on.
    assert len({plan.run for plan in plans}) == 1
    assert plans[2].counts_go_on(plans[0])


def test_all_shadows_name_the_same_claim() -> None:
    other = KeepDisagreements.model_validate({"persistentVolumeClaim": {"claimName": "others"}})
    assert same_claim([]) is None
    assert same_claim([KEEP, KEEP.model_copy(update={"max_items": 9})]) == KEEP
    with pytest.raises(
        ValueError, match="expected the same persistentVolumeClaim in all shadows, got others, pictures"
    ):
        same_claim([KEEP, other])


def test_the_folder_cannot_be_set_by_the_resource_and_the_internal_port_is_that_of_the_service() -> None:
    assert is_reserved("cetacean_shadow__keep_folder")
    assert HttpSettings().internal_port == names.INTERNAL_PORT


def staged(keep: dict[str, Any] | None) -> World:
    """A resource whose first model serves, and whose second one runs a shadow."""
    shadow = {"share": 1.0} | ({"keepDisagreements": keep} if keep else {})
    models = entry("first"), entry("second", "b", version="2.0.0")
    world = World(manifest(*models, rollout={"stages": [{"shadow": shadow}]}))
    world.settle()
    world.activate("second")
    world.settle()
    return world


def test_the_plan_of_a_shadow_asks_to_keep_and_the_pods_have_mounted_the_claim_before() -> None:
    plan = staged(KEEP.wire()).comparison_plan
    assert plan is not None
    assert plan["keep_disagreements"] == {"max_items": 50}
    plan = staged(None).comparison_plan
    assert plan is not None
    assert "keep_disagreements" not in plan


def test_setting_it_restarts_the_pods_that_serve_and_changing_the_number_does_not() -> None:
    world = staged(None)

    def templates() -> tuple[Any, Any]:
        assert world.deployment is not None
        assert world.candidate is not None
        return world.deployment["spec"]["template"], world.candidate["spec"]["template"]

    def keep(**fields: Any) -> None:
        world.edit(rollout={"stages": [{"shadow": {"share": 1.0, "keepDisagreements": KEEP.wire() | fields}}]})
        world.settle()

    before = templates()
    keep()
    after = templates()
    assert (before[0] != after[0], before[1] == after[1]) == (True, True)
    keep(maxItems=9)
    assert templates() == after


def test_two_claims_are_an_error_of_the_spec() -> None:
    stages = [{"shadow": {"keepDisagreements": {"persistentVolumeClaim": {"claimName": name}}}} for name in "ab"]
    with pytest.raises(InvalidResourceError, match="expected the same persistentVolumeClaim in all shadows, got a, b"):
        parse_spec(manifest(entry("first"), rollout={"stages": stages})["spec"])
