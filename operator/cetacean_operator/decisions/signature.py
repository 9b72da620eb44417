"""The trusted keys in a pod: mounted into the container `fetch` only, which verifies before `serve` may start."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from cetacean_operator.api import names
from cetacean_operator.api.serving import Serving
from cetacean_operator.api.signature import Signature, Trusted

_VOLUME: Final = "signature"
_VARIABLE: Final = "CETACEAN_SIGNATURE__"


def check(container: dict[str, Any], serving: Serving) -> dict[str, Any]:
    """Return the container `fetch` with what makes it verify the signature; unchanged if nobody is trusted."""
    if (signature := serving.signature) is None:
        return container
    variables = {
        f"{_VARIABLE}{kind.upper()}": json.dumps([f"{names.SIGNATURE_PATH}/{_path(kind, one)}" for one in trusted])
        for kind, trusted in _kinds(signature)
        if trusted
    }
    if not signature.require:
        variables[f"{_VARIABLE}REQUIRE"] = "false"
    mount = {"name": _VOLUME, "mountPath": names.SIGNATURE_PATH, "readOnly": True}
    return container | {
        "env": [*container["env"], *({"name": name, "value": value} for name, value in variables.items())],
        "volumeMounts": [*container["volumeMounts"], mount],
    }


def volumes(serving: Serving) -> list[dict[str, Any]]:
    """Return the volume of the trusted keys, in a list; none if nobody is trusted.

    A ConfigMap that is missing stops no pod: `fetch` names the key instead, and the resource gets the reason.
    """
    if (signature := serving.signature) is None:
        return []
    sources = [
        {"configMap": {"name": ref.name, "items": [{"key": ref.key, "path": _path(kind, one)}], "optional": True}}
        for kind, trusted in _kinds(signature)
        for one in trusted
        if (ref := one.config_map_key_ref)
    ]
    return [{"name": _VOLUME, "projected": {"sources": sources}}]


def _kinds(signature: Signature) -> Iterable[tuple[str, tuple[Trusted, ...]]]:
    """Yield each kind of trust with its entries, each once: two files of a volume cannot have one path."""
    for kind, trusted in (("keys", signature.keys), ("certificates", signature.certificates)):
        yield kind, tuple(dict.fromkeys(trusted))


def _path(kind: str, trusted: Trusted) -> str:
    return f"{kind}/{trusted.config_map_key_ref.name}/{trusted.config_map_key_ref.key}"
