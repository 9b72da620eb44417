"""Signatures on a real node: signed weights serve, and weights that nobody trusted has signed start no pod."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from support.signing import new_key, public_pem

from cetacean_registry.companions import COMPANION_FILES
from cetacean_registry.digests import file_sha256
from cetacean_signing import Signer, sign
from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.waiting import until

GOOD: Final = "demo_v1"
SIGNERS: Final = "signature-signers"
STORE: Final = "signature-store"
PORT: Final = 8000
TRUSTED: Final = new_key()
CASES: Final = {"other-key": "SignatureMismatch", "other-bytes": "SignatureMismatch", "unsigned": "SignatureMissing"}
NO_KEY: Final = "no-key"


def signed(environment: Environment, key: EllipticCurvePrivateKey, **changed: str) -> bytes:
    """Return the signature of the good model's files; `changed` are digests of other bytes."""
    weights = environment.models.folder / str(environment.registry.model(GOOD).weights_path)
    files = {path.name: file_sha256(path) for path in (weights, *map(weights.with_name, COMPANION_FILES))}
    return sign(files | changed, Signer(key), subject=GOOD)


def store(environment: Environment, signatures: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return a server of signatures, and the ConfigMap of the trusted key."""
    labels = {"app": STORE}
    container = {
        "name": "store",
        "image": environment.images.inference,
        "command": ["python", "-m", "http.server", str(PORT), "--directory", "/signatures"],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "signatures", "mountPath": "/signatures"}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "containers": [container],
        "volumes": [{"name": "signatures", "configMap": {"name": STORE}}],
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    encoded = {f"{name}.sig": base64.b64encode(content).decode() for name, content in signatures.items()}
    key = {"release.pub": public_pem(TRUSTED).decode()}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": SIGNERS}, "data": key},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": STORE}, "binaryData": encoded},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": STORE, "labels": labels}, "spec": pod},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": STORE},
            "spec": {"selector": labels, "ports": [{"port": PORT}]},
        },
    ]


def resource(environment: Environment, name: str, *, signers: str = SIGNERS) -> dict[str, Any]:
    """Return a resource whose model has the signature of that name."""
    url = f"http://{STORE}.{environment.kubectl.namespace}.svc:{PORT}/{name}.sig"
    entry = environment.copy_of(GOOD, name=name, version="9.0.0", signature_url=url)
    trust = {"keys": [{"configMapKeyRef": {"name": signers, "key": "release.pub"}}]}
    return environment.manifest(
        f"signature-{name}", active=name, added=[entry], replicas=1, serving={"signature": trust}
    )


@pytest.fixture(scope="module", autouse=True)
def applied(environment: Environment) -> Iterator[None]:
    """Apply all of them at once, with a server of signatures beside the store."""
    signatures = {
        "good": signed(environment, TRUSTED),
        "other-key": signed(environment, new_key()),
        "other-bytes": signed(environment, TRUSTED, **{COMPANION_FILES[1]: "0" * 64}),
        NO_KEY: signed(environment, TRUSTED),
    }
    objects = store(environment, signatures)
    environment.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
    environment.kubectl("wait", "--for=condition=Ready", f"pod/{STORE}", "--timeout=60s")
    models = [resource(environment, name) for name in ("good", *CASES)]
    models.append(resource(environment, NO_KEY, signers="signature-nobody"))
    environment.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(models))
    yield
    names = [model["metadata"]["name"] for model in models]
    environment.kubectl("delete", "cetaceanmodel", *names, "--wait=false")
    environment.kubectl("delete", f"pod/{STORE}", f"service/{STORE}", f"configmap/{STORE}", f"configmap/{SIGNERS}")
    for name in names:  # the next tests need the whole node
        until(f"the pods of {name} to go", lambda name=name: not environment.pods(name))  # type: ignore[misc]


def test_signed_weights_serve_and_the_status_names_the_signer(environment: Environment) -> None:
    name = "signature-good"
    verified = environment.wait_for_condition(name, "SignatureVerified", "True", within=240)
    assert "/good.sig: signed by key sha256:" in verified["message"]
    assert f"{GOOD}.safetensors, encoder_classes.npy, species_map.csv" in verified["message"]
    environment.wait_for_condition(name, "Ready", "True")


@pytest.mark.parametrize("name", CASES)
def test_weights_that_nobody_trusted_has_signed_start_no_pod(environment: Environment, name: str) -> None:
    stalled = environment.wait_for_condition(f"signature-{name}", "Stalled", "True", mentions=f"/{name}.sig: ")
    found = environment.condition(f"signature-{name}", "SignatureVerified")
    assert (stalled["reason"], found["reason"], found["status"]) == (CASES[name], CASES[name], "False")
    assert "serving" not in environment.resource(f"signature-{name}")["status"]


def test_a_config_map_that_is_missing_is_named(environment: Environment) -> None:
    found = environment.wait_for_condition(
        f"signature-{NO_KEY}", "SignatureVerified", "False", mentions="/keys/signature-nobody/release.pub: expected a"
    )
    assert found["reason"] == "SigningKeyUnreadable"
