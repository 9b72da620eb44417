"""The Gateway that tests run in the cluster is pinned: the Gateway API's definitions, Contour, Envoy."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from support import gateway

from cetacean_tools.local_cluster.pins import CONTOUR, MODULES, TESTING

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("pins", "module"), [("gateway-api", "sigs.k8s.io/gateway-api"), ("contour", "github.com/projectcontour/contour")]
)
def test_a_module_of_the_gateway_is_pinned_with_its_checksum(pins: str, module: str) -> None:
    found = re.search(rf"{re.escape(module)} (v[0-9.]+)", (MODULES / pins / "go.mod").read_text(encoding="utf-8"))
    assert found is not None
    assert f"{module} {found[1]} h1:" in (MODULES / pins / "go.sum").read_text(encoding="utf-8")


def test_contour_is_built_with_the_programs_of_the_tests() -> None:
    assert CONTOUR in TESTING
    assert CONTOUR.binaries == ("contour",)


def test_envoy_is_the_program_of_the_wheel() -> None:
    image = gateway.envoy_image()
    (program,) = image.sources
    assert program.name == "envoy"
    assert program.parent == image.context
    assert "COPY envoy " in image.dockerfile.read_text(encoding="utf-8")


def test_the_manifest_has_a_restricted_pod_and_no_provisioner() -> None:
    text = (REPOSITORY / "tests/support/gateway.yaml").read_text(encoding="utf-8")
    objects = {item["kind"]: item for item in yaml.safe_load_all(text)}
    containers = objects["Deployment"]["spec"]["template"]["spec"]
    for container in (*containers["initContainers"], *containers["containers"]):
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["imagePullPolicy"] == "IfNotPresent"
    assert "gatewayRef" in objects["ConfigMap"]["data"]["contour.yaml"], "it takes this Gateway and makes no Envoys"
