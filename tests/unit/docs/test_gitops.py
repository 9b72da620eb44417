"""The health check for Argo CD and the expressions for Flux, as docs/gitops.md shows them, and its two commands."""

from __future__ import annotations

import copy
import itertools
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cel
import pytest
import yaml
from lupa.lua51 import LuaRuntime
from support.documented import Shell, blocks
from support.kstatus import kstatus
from support.operator_world import World, entry, manifest
from support.plugin import install

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = (REPOSITORY / "docs/gitops.md").read_text(encoding="utf-8")
HEALTH = {"Current": "Healthy", "InProgress": "Progressing", "Failed": "Degraded"}
UNSEEN = {"observedGeneration": -1}
"""The status of a resource that the operator has not seen: the CRD's default."""


def shown(wanted: str) -> Any:
    """The YAML block of the page that has this word."""
    (found,) = [text for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) if wanted in text]
    return yaml.safe_load(found)


def argo(obj: Mapping[str, Any]) -> tuple[str, str]:
    """Health and message, by the page's script."""
    script = shown("argocd-cm")["data"]["resource.customizations.health.ecomarineai.org_CetaceanModel"]
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.globals()["obj"] = lua.table_from(obj, recursive=True)
    health = lua.execute(script)
    return health["status"], health["message"]


def flux(obj: dict[str, Any]) -> str:
    """Status by the page's expressions, asked in Flux' order."""
    (check,) = shown("healthCheckExprs")["healthCheckExprs"]
    for status, field in (("InProgress", "inProgress"), ("Failed", "failed"), ("Current", "current")):
        if cel.evaluate(check[field], obj):
            return status
    return "InProgress"


def life() -> Iterator[dict[str, Any]]:
    """One resource as it is made, rolled out, refused a candidate, changed and rolled out again."""
    world = World(manifest(entry("first"), entry("second", "b"), entry("bad", "c", metrics={"tnr": 0.1})))
    yield copy.deepcopy(world.obj) | {"status": UNSEEN}
    world.reconcile()
    yield copy.deepcopy(world.obj)
    world.settle()
    yield copy.deepcopy(world.obj)
    for model in ("bad", "second"):
        world.activate(model)
        yield copy.deepcopy(world.obj)
        world.reconcile()
        yield copy.deepcopy(world.obj)
        world.settle()
        yield copy.deepcopy(world.obj)


def staged_life() -> Iterator[dict[str, Any]]:
    """One resource while candidates run its stages: one is removed, one is held, one is promoted."""
    models = entry("first"), entry("second", "b"), entry("third", "c")
    world = World(manifest(*models, rollout={"stages": [{"shadow": {}, "timeoutSeconds": 60}]}))
    world.settle()
    for name, wrong, decision in (("second", 1000, None), ("third", 0, None), ("third", 0, "Promote")):
        world.activate(name)
        yield copy.deepcopy(world.obj)
        world.settle()
        yield copy.deepcopy(world.obj)
        if wrong:
            world.shadow(1000, species=wrong, individual=wrong)
        world.wait(seconds=60)
        if decision:
            world.decide_by_person(decision)
        world.settle()
        yield copy.deepcopy(world.obj)


def test_argo_and_flux_wait_for_the_stages_and_report_a_candidate_that_needs_a_person() -> None:
    seen = [(kstatus(obj), argo(obj)[0], flux(obj)) for obj in staged_life()]
    assert seen == [(status, HEALTH[status], status) for status, _, _ in seen]
    running = ["InProgress", "InProgress", "Failed"]
    assert [status for status, _, _ in seen] == [*running, *running, "InProgress", "Failed", "Current"]
    messages = [argo(obj)[1] for obj in staged_life()]
    assert "stage 1 of 1 (Shadow)" in messages[1]
    assert "did not pass its stages" in messages[2]
    assert "waits for a person" in messages[5]


def test_argo_and_flux_agree_over_the_life_of_a_resource() -> None:
    seen = [(kstatus(obj), argo(obj)[0], flux(obj)) for obj in life()]
    assert {status for status, _, _ in seen} == set(HEALTH)
    assert seen == [(status, HEALTH[status], status) for status, _, _ in seen]


def test_the_message_is_that_of_ready() -> None:
    for obj in life():
        ready = next((c["message"] for c in obj["status"].get("conditions", ()) if c["type"] == "Ready"), None)
        if obj["status"]["observedGeneration"] == obj["metadata"]["generation"]:
            assert argo(obj)[1] == ready


@pytest.mark.parametrize(
    ("order", "observed"), list(itertools.product(itertools.permutations(["Ready", "Stalled", "Reconciling"]), (3, 4)))
)
def test_every_order_of_conditions(order: tuple[str, ...], observed: int) -> None:
    """Exactly one of the three is True."""
    for true in order:
        conditions = [{"type": kind, "status": str(kind == true), "message": kind} for kind in order]
        obj = {"metadata": {"generation": 4}, "status": {"observedGeneration": observed, "conditions": conditions}}
        assert argo(obj)[0] == HEALTH[kstatus(obj)]
        assert flux(obj) == kstatus(obj)


def test_a_resource_without_any_status_is_in_progress() -> None:
    assert argo({"metadata": {"generation": 1}})[0] == "Progressing"


@pytest.mark.parametrize("kind", ["Drifting", "AntiFraudDisabled"])
def test_flux_counts_these_conditions_as_failed(kind: str) -> None:
    *_, obj = life()
    for condition in obj["status"]["conditions"]:
        if condition["type"] == kind:
            condition["status"] = "True"
    assert (kstatus(obj), flux(obj)) == ("Current", "Failed")


def manifests() -> list[dict[str, Any]]:
    """Every YAML block of the page."""
    return [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]


def test_every_manifest_is_yaml() -> None:
    assert len(manifests()) == 8
    assert all(isinstance(found, dict) for found in manifests())


def of_kind(kind: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = [manifest for manifest in manifests() if manifest.get("kind") == kind]
    return {(one["metadata"]["namespace"], one["metadata"]["name"]): one["spec"] for one in found}


def test_a_kustomization_depends_on_kustomizations_and_waits_for_releases_that_the_page_shows() -> None:
    """A `dependsOn` of a Kustomization names Kustomizations only: the operator's, which is ready with its release."""
    known = of_kind("Kustomization")
    wanted = {key: [one["name"] for one in spec.get("dependsOn", ())] for key, spec in known.items()}
    assert any(wanted.values())
    for (namespace, _), others in wanted.items():
        for other in others:
            checks = known[namespace, other]["healthChecks"]
            assert checks
            assert {(one["namespace"], one["name"]) for one in checks} <= of_kind("HelmRelease").keys()
            assert {one["apiVersion"] for one in checks} == {"helm.toolkit.fluxcd.io/v2"}


def test_a_release_by_flux_has_the_name_that_the_other_pages_use() -> None:
    """Without `releaseName`, Flux puts the target namespace before the name, and the chart's objects follow it."""
    chart = (REPOSITORY / "docs/chart.md").read_text(encoding="utf-8")
    releases = of_kind("HelmRelease").values()
    assert [f"helm upgrade --install {spec.get('releaseName')} " in chart for spec in releases] == [True]


def test_the_commands_keep_a_manifest_equal_to_the_registry(tmp_path: Path) -> None:
    for part in ("models", "reports", "configs"):
        shutil.copytree(
            REPOSITORY / part, tmp_path / part, ignore=shutil.ignore_patterns("cetacean_registry", "weights")
        )
    (tmp_path / "deploy").mkdir()
    given = yaml.safe_load((REPOSITORY / "examples/autoscaling.yaml").read_text(encoding="utf-8"))
    given["metadata"]["name"] = "whales"
    (tmp_path / "deploy/whales.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
    programs = tmp_path / "programs"
    programs.mkdir()
    shell = Shell(tmp_path, install(programs))
    (block,) = blocks(PAGE)
    assert (done := shell.run(block.commands)).returncode == 0, done.stdout
    made = yaml.safe_load((tmp_path / "deploy/whales.yaml").read_text(encoding="utf-8"))
    assert made["spec"]["serving"] == given["spec"]["serving"]
    assert made["spec"]["registry"]["active"] == "effb4_15k"
    # The workflow's last step: made once, it is made the same again.
    steps = shown("to-manifest whales --base deploy/whales.yaml | diff")["jobs"]["mirror"]["steps"]
    assert (done := shell.run(steps[-1]["run"])).returncode == 0, done.stdout
