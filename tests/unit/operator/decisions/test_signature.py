"""Signatures: the keys in the pod, and the condition from the reports of the pods."""

from __future__ import annotations

from typing import Any, Final

import pytest
from support.operator_world import World, entry, manifest
from support.pods import FakePod

from cetacean_operator.api.observed import ContainerFailure

REF: Final = {"name": "signers", "key": "release.pub"}
KEYS: Final = {"keys": [{"configMapKeyRef": REF}]}
LINE: Final = "https://example.org/first.ckpt.sig: signed by key sha256:aa (release.pub): first.ckpt"


def signed(line: str | None = f"SignatureVerified: {LINE}", *, spec: Any = KEYS, replicas: int = 1) -> World:
    """Return a settled resource whose pods report this line."""

    def behave(pod: FakePod) -> None:
        pod.ready, pod.signature = True, line

    world = World(manifest(entry("first"), serving={"signature": spec, "replicas": replicas}), behave=behave)
    world.settle()
    return world


def pod_spec(spec: Any) -> Any:
    deployment = signed(spec=spec).deployment
    assert deployment is not None
    return deployment["spec"]["template"]["spec"]


def test_without_signatures_there_is_no_condition() -> None:
    world = World()
    world.settle()
    assert world.status.condition("SignatureVerified") is None


def test_the_keys_are_mounted_into_the_container_that_fetches_only() -> None:
    spec = pod_spec({**KEYS, "certificates": [{"configMapKeyRef": {"name": "signers", "key": "root.pem"}}]})
    (fetch,), (serve,) = spec["initContainers"], spec["containers"]
    mount = {"name": "signature", "mountPath": "/etc/cetacean/signature", "readOnly": True}
    assert mount in fetch["volumeMounts"]
    assert fetch["env"][-2:] == [
        {"name": "CETACEAN_SIGNATURE__KEYS", "value": '["/etc/cetacean/signature/keys/signers/release.pub"]'},
        {
            "name": "CETACEAN_SIGNATURE__CERTIFICATES",
            "value": '["/etc/cetacean/signature/certificates/signers/root.pem"]',
        },
    ]
    assert mount not in serve["volumeMounts"]
    assert not [item for item in serve["env"] if "SIGNATURE" in item["name"]]
    (volume,) = (one for one in spec["volumes"] if one["name"] == "signature")
    assert volume["projected"]["sources"] == [
        {
            "configMap": {
                "name": "signers",
                "items": [{"key": key, "path": f"{kind}/signers/{key}"}],
                "optional": True,
            }
        }
        for kind, key in (("keys", "release.pub"), ("certificates", "root.pem"))
    ]


def test_a_key_that_is_named_twice_is_mounted_once() -> None:
    spec = pod_spec({"keys": KEYS["keys"] * 2})
    (volume,) = (one for one in spec["volumes"] if one["name"] == "signature")
    assert len(volume["projected"]["sources"]) == 1


def test_what_is_not_required_is_said_to_the_container() -> None:
    (fetch,) = pod_spec({**KEYS, "require": False})["initContainers"]
    assert {"name": "CETACEAN_SIGNATURE__REQUIRE", "value": "false"} in fetch["env"]


@pytest.mark.parametrize("name", ["CETACEAN_SIGNATURE__REQUIRE", "cetacean_signature__keys", "CETACEAN_SIGNATURE"])
def test_the_environment_cannot_change_whose_signature_counts(name: str) -> None:
    world = World(manifest(serving={"signature": KEYS, "env": [{"name": name, "value": "false"}]}))
    world.settle()
    assert world.deployment is not None
    (fetch,) = world.deployment["spec"]["template"]["spec"]["initContainers"]
    assert {"name": name, "value": "false"} not in fetch["env"]


def test_pods_that_verified_the_signature_make_the_condition_true() -> None:
    world = signed()
    assert world.is_("SignatureVerified") == ("True", "Verified")
    assert world.condition("SignatureVerified").message == LINE
    assert world.reasons[-1] == "Serving"


@pytest.mark.parametrize("reason", ["SignatureMissing", "SignatureMismatch", "SigningKeyUnreadable"])
def test_a_signature_that_ends_the_pod_is_the_reason_of_the_resource(reason: str) -> None:
    def behave(pod: FakePod) -> None:
        pod.failures = (ContainerFailure("fetch", "Error", f"{reason}: https://x/w.sig: expected a", exit_code=1),)

    world = World(manifest(serving={"signature": KEYS}), behave=behave)
    world.settle()
    assert world.is_("SignatureVerified") == ("False", reason)
    assert world.is_("Ready") == ("False", reason)
    assert world.is_("Stalled") == ("True", reason)
    assert "https://x/w.sig: expected a" in world.condition("SignatureVerified").message
    assert world.reasons.count(reason) == 1, "one Event"


def test_what_is_served_all_the_same_is_reported_with_an_event() -> None:
    world = signed("SignatureMissing: https://x/w.sig: expected 200, got 404", spec={**KEYS, "require": False})
    assert world.is_("SignatureVerified") == ("False", "SignatureMissing")
    assert world.condition("SignatureVerified").message == (
        "https://x/w.sig: expected 200, got 404; served all the same, as spec.serving.signature.require is false"
    )
    assert world.is_("Ready")[0] == "True"
    world.settle()
    assert world.reasons.count("SignatureMissing") == 1


def test_one_wrong_pod_of_several_makes_the_condition_false() -> None:
    world = signed(replicas=3)
    world.pods[1].signature = "SignatureMismatch: https://x/w.sig: changed"
    world.settle()
    assert world.is_("SignatureVerified") == ("False", "SignatureMismatch")


def test_a_pod_that_reports_nothing_leaves_it_unknown() -> None:
    world = signed(replicas=2)
    world.pods[1].signature = None
    world.settle()
    assert world.is_("SignatureVerified") == ("Unknown", "NotReported")
    assert "1 of 2 pods have not verified a signature" in world.condition("SignatureVerified").message


def test_it_is_unknown_until_a_pod_has_loaded_weights() -> None:
    def behave(pod: FakePod) -> None:
        pod.ready = False

    world = World(manifest(serving={"signature": KEYS}), behave=behave)
    world.settle()
    assert world.is_("SignatureVerified") == ("Unknown", "NotLoadedYet")


def test_it_is_unknown_if_no_model_may_be_served() -> None:
    world = World(manifest(entry("first", metrics={"tnr": 0.1}), serving={"signature": KEYS}))
    world.settle()
    assert world.is_("SignatureVerified") == ("Unknown", "NothingServes")
    assert world.condition("SignatureVerified").message == "no model may be served yet"
