"""The script of `helm test`, against an API server and pods that are faked."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.error import HTTPError

import pytest
from kubernetes.aio.client import ApiException
from pydantic import ValidationError
from support.loopback import Quiet, listening
from support.operator_world import World, manifest

from cetacean_operator.api.spec import Spec

KIND = ("ecomarineai.org", "v1alpha1")
SERVED = ("cetaceanmodels", "cetaceanmodels/status", "cetaceanmodels/scale")


@pytest.fixture(scope="module")
def check(chart: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("chart_check", chart / "files/check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Objects:
    """CustomObjectsApi that refuses what the CRD would, and an operator that decides as the real one, where there is one."""

    def __init__(self, *, served: tuple[str, ...] = SERVED, refusal: int | None = 422, operator: bool = True) -> None:
        self.served, self.refusal, self.operator = served, refusal, operator
        self.worlds: dict[str, World] = {}
        self.deleted: list[str] = []

    async def get_api_resources(self, group: str, version: str) -> Any:
        assert (group, version) == KIND
        return SimpleNamespace(resources=[SimpleNamespace(name=name) for name in self.served])

    async def create_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, body: dict[str, Any], *, dry_run: str = ""
    ) -> dict[str, Any]:
        assert (group, version, namespace, plural) == (*KIND, "served", "cetaceanmodels")
        try:
            Spec.model_validate(body["spec"])
        except ValidationError as error:
            if self.refusal is not None:
                raised = ApiException(status=self.refusal, reason="Invalid")
                raised.body = str(error)
                raise raised from error
        made = manifest() | body
        made["metadata"] = manifest()["metadata"] | {"name": f"{body['metadata']['generateName']}x"}
        if not dry_run:
            self.worlds[made["metadata"]["name"]] = World(made)
        return made

    async def get_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, name: str
    ) -> dict[str, Any]:
        assert (group, version, namespace, plural) == (*KIND, "served", "cetaceanmodels")
        world = self.worlds[name]
        before = copy.deepcopy(world.obj)
        if self.operator:
            world.reconcile()
            world.settle()
        return before

    async def delete_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, name: str
    ) -> None:
        assert (group, version, namespace, plural) == (*KIND, "served", "cetaceanmodels")
        assert name in self.worlds
        self.deleted.append(name)


async def test_an_api_that_rejects_invalid_objects_passes(check: ModuleType) -> None:
    objects = Objects()
    assert await check.served(objects) == "ecomarineai.org/v1alpha1 is served"
    assert await check.validated(objects, "served") == "a wrong resource is refused"
    assert objects.worlds == {}


async def test_an_operator_that_acts_passes_and_nothing_is_left(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "INTERVAL", 0.0)
    objects = Objects()
    said = await check.reconciled(objects, "served")
    assert said == "the operator has reconciled served/helm-test-x: ScaledToZero"
    assert objects.worlds["helm-test-x"].started == []
    assert objects.deleted == ["helm-test-x"]


async def test_an_operator_that_does_nothing_fails_and_nothing_is_left(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "PATIENCE", 0.0)
    objects = Objects(operator=False)
    with pytest.raises(
        SystemExit, match="expected served/helm-test-x to be Ready within 0 s, its operator said: nothing"
    ):
        await check.reconciled(objects, "served")
    assert objects.deleted == ["helm-test-x"]


async def test_a_crd_without_its_subresources_fails(check: ModuleType) -> None:
    with pytest.raises(SystemExit, match="expected cetaceanmodels with status and scale"):
        await check.served(Objects(served=("cetaceanmodels",)))


async def test_an_api_that_rejects_nothing_fails(check: ModuleType) -> None:
    with pytest.raises(SystemExit, match="expected the API server to refuse"):
        await check.validated(Objects(refusal=None), "served")


async def test_a_rejection_for_another_reason_fails(check: ModuleType) -> None:
    with pytest.raises(ApiException, match="403"):
        await check.validated(Objects(refusal=403), "served")


@contextmanager
def probes(status: int) -> Iterator[int]:
    """A server that answers every GET with `status`; yields its port."""

    class Answering(Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

    with listening(Answering) as port:
        yield port


def core(*pods: tuple[str, str | None]) -> Any:
    """CoreV1Api with pods (name, time of deletion) on loopback."""
    items = [
        SimpleNamespace(
            metadata=SimpleNamespace(name=name, deletion_timestamp=gone), status=SimpleNamespace(pod_ip="127.0.0.1")
        )
        for name, gone in pods
    ]

    async def pods_of(namespace: str, *, label_selector: str, field_selector: str) -> Any:
        assert (namespace, label_selector, field_selector) == ("system", "app=x", "status.phase=Running")
        return SimpleNamespace(items=items)

    return SimpleNamespace(list_namespaced_pod=pods_of)


async def test_every_pod_that_is_not_being_deleted_is_probed(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    with probes(200) as port:
        monkeypatch.setattr(check, "PROBES_PORT", port)
        lines = await check.ready(core(("a", None), ("b", None), ("old", "now")), "system", "app=x")
    assert lines == ["a is ready: 200", "b is ready: 200"]


async def test_a_pod_that_is_not_ready_fails(check: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    with probes(503) as port:
        monkeypatch.setattr(check, "PROBES_PORT", port)
        with pytest.raises(HTTPError, match="503") as raised:
            await check.ready(core(("a", None)), "system", "app=x")
        raised.value.close()


async def test_no_pod_at_all_fails(check: ModuleType) -> None:
    with pytest.raises(SystemExit, match="expected running pods labelled app=x in system"):
        await check.ready(core(), "system", "app=x")
