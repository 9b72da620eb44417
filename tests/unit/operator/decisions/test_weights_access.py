"""Credentials, certificates and volumes of weights: the init container `fetch` has them, `serve` does not."""

from __future__ import annotations

from typing import Any

import pytest
from support.operator_world import World, entry, manifest

from cetacean_inference.settings import FetchSettings
from cetacean_operator.api import names
from cetacean_operator.api.spec import InvalidResourceError, parse_spec

DIGEST = "a" * 64
IMAGE = f"registry.test/whales/demo@sha256:{DIGEST}"


def pod(weights_url: str = "https://x/w.safetensors", **spec: Any) -> dict[str, Any]:
    world = World(manifest(entry("first", weightsUrl=weights_url), **spec))
    world.settle()
    assert world.deployment is not None
    found: dict[str, Any] = world.deployment["spec"]["template"]["spec"]
    return found


def added(found: dict[str, Any]) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the volumes that a plain pod has not, and what `fetch` has beyond `serve`: mounts and variables."""
    (fetch,), (serve,) = found["initContainers"], found["containers"]
    plain = pod()["volumes"]
    return (
        [volume for volume in found["volumes"] if volume not in plain],
        [mount for mount in fetch["volumeMounts"] if mount not in serve["volumeMounts"]],
        [variable for variable in fetch["env"] if variable not in serve["env"]],
    )


def test_without_any_of_it_both_containers_have_the_same() -> None:
    assert added(pod()) == ([], [], [])


def test_credentials_are_files_of_the_init_container_only() -> None:
    volumes, mounts, env = added(pod(serving={"weightsCredentials": {"secretRef": {"name": "hub"}}}))
    assert volumes == [{"name": "weights-credentials", "secret": {"secretName": "hub", "optional": True}}]
    assert mounts == [{"name": "weights-credentials", "mountPath": names.CREDENTIALS_PATH, "readOnly": True}]
    assert env == [{"name": "CETACEAN_FETCH__CREDENTIALS", "value": names.CREDENTIALS_PATH}]


@pytest.mark.parametrize(
    ("bundle", "source"),
    [
        (
            {"configMapRef": {"name": "ca"}},
            {"configMap": {"name": "ca", "items": [{"key": "ca.crt", "path": "ca.crt"}], "optional": True}},
        ),
        (
            {"secretRef": {"name": "ca", "key": "root.pem"}},
            {"secret": {"secretName": "ca", "items": [{"key": "root.pem", "path": "ca.crt"}], "optional": True}},
        ),
    ],
    ids=["configmap", "secret"],
)
def test_certificates_are_a_file_of_the_init_container_only(bundle: Any, source: dict[str, Any]) -> None:
    volumes, mounts, env = added(pod(serving={"caBundle": bundle}))
    assert volumes == [{"name": "ca-bundle", **source}]
    assert mounts == [{"name": "ca-bundle", "mountPath": names.CA_PATH, "readOnly": True}]
    assert env == [{"name": "CETACEAN_FETCH__CA_BUNDLE", "value": f"{names.CA_PATH}/ca.crt"}]


@pytest.mark.parametrize("bundle", [{}, {"configMapRef": {"name": "a"}, "secretRef": {"name": "b"}}])
def test_certificates_have_one_source(bundle: dict[str, Any]) -> None:
    with pytest.raises(InvalidResourceError, match="expected either configMapRef or secretRef"):
        parse_spec(manifest(entry("first"), serving={"caBundle": bundle})["spec"])


@pytest.mark.parametrize("path", ["", "/m/a.safetensors"])
def test_an_image_is_a_volume_with_the_pull_policy_of_the_service(path: str) -> None:
    volumes, mounts, env = added(pod(f"oci://{IMAGE}{path}", serving={"imagePullPolicy": "Never"}))
    (volume,), (mount,) = volumes, mounts
    assert volume == {"name": volume["name"], "image": {"reference": IMAGE, "pullPolicy": "Never"}}
    assert mount == {"name": volume["name"], "mountPath": f"/mnt/weights/oci/{DIGEST}", "readOnly": True}
    assert env == []


def test_a_claim_is_a_volume_that_is_read_only() -> None:
    volumes, mounts, _ = added(pod("pvc://models/m/a.safetensors"))
    (volume,), (mount,) = volumes, mounts
    assert volume["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
    assert mount == {"name": volume["name"], "mountPath": "/mnt/weights/pvc/models", "readOnly": True}


@pytest.mark.parametrize(
    ("url", "name"),
    [("pvc://models/m/a.safetensors", "weights-2dac7b2e8f83"), (f"oci://{IMAGE}/a.ckpt", "weights-ee89e7572695")],
)
def test_the_name_of_a_volume_is_pinned_because_another_one_restarts_the_pods(url: str, name: str) -> None:
    (volume,), (mount,), _ = added(pod(url))
    assert (volume["name"], mount["name"]) == (name, name)


def test_the_claim_of_the_cache_is_one_volume_with_two_mounts() -> None:
    cached = {"weightsCache": {"persistentVolumeClaim": {"claimName": "models"}}}
    found = pod("pvc://models/m/a.safetensors", serving=cached)
    assert [volume["name"] for volume in found["volumes"]] == ["weights", "monitoring", "tmp"]
    (fetch,) = found["initContainers"]
    assert {"name": "weights", "mountPath": "/mnt/weights/pvc/models", "readOnly": True} in fetch["volumeMounts"]


def test_weights_and_gate_of_one_volume_share_it() -> None:
    gate = {"weightsURL": f"oci://{IMAGE}/gate.safetensors", "configURL": f"oci://{IMAGE}/gate.json"}
    volumes, mounts, _ = added(pod(f"oci://{IMAGE}/a.safetensors", antiFraud={"model": gate}))
    assert (len(volumes), len(mounts)) == (1, 1)
    gate["configURL"] = "pvc://models/gate.json"
    volumes, mounts, _ = added(pod(f"oci://{IMAGE}/a.safetensors", antiFraud={"model": gate}))
    assert (len(volumes), len(mounts)) == (2, 2)
    assert len({volume["name"] for volume in volumes}) == 2


def test_the_service_expects_volumes_where_the_operator_mounts_them() -> None:
    assert str(FetchSettings().volumes) == names.VOLUMES_PATH


@pytest.mark.parametrize("name", ["CREDENTIALS", "CA_BUNDLE", "VOLUMES"])
def test_the_variables_cannot_be_set_by_hand(name: str) -> None:
    env = [{"name": f"CETACEAN_FETCH__{name}", "value": "/elsewhere"}]
    found = pod(serving={"env": env})
    assert not any(variable["name"] == env[0]["name"] for variable in found["initContainers"][0]["env"])
