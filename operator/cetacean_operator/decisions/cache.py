"""The volume of the weights cache, and how much the service may keep there.

The kubelet evicts a pod whose emptyDir outgrows its sizeLimit. So the service gets a lower limit: weights that do not
fit become a reason in the status, and networks that were converted for a faster engine are not kept.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from cetacean_operator.api.serving import Serving
from cetacean_operator.decisions.compare import quantity

LIMIT_VARIABLE: Final = "CETACEAN_FETCH__CACHE_LIMIT_BYTES"
SHARED_VARIABLE: Final = "CETACEAN_FETCH__SHARED_CACHE"
USABLE: Final = Decimal("0.95")
"""Share of the emptyDir for the cache. Directories and locks need space too, and the kubelet counts whole blocks."""


def volume(serving: Serving) -> dict[str, Any]:
    """Return the volume of the weights cache, without its name."""
    cache = serving.weights_cache
    if cache and cache.persistent_volume_claim:
        return {"persistentVolumeClaim": {"claimName": cache.persistent_volume_claim.claim_name}}
    return {"emptyDir": {"sizeLimit": cache.size_limit} if cache and cache.size_limit is not None else {}}


def is_trusted(serving: Serving) -> bool:
    """Return true if pods use files of the cache that no digest protects: each has its own, or the spec trusts it."""
    cache = serving.weights_cache
    return not (cache and cache.persistent_volume_claim) or bool(cache.trusted)


def sharing(serving: Serving) -> dict[str, str]:
    """Return the variable because of which pods do not trust the cache; empty if they do."""
    return {} if is_trusted(serving) else {SHARED_VARIABLE: "true"}


def limit(serving: Serving) -> dict[str, str]:
    """Return the variable that limits the cache; empty if its volume has no limit."""
    cache = serving.weights_cache
    size = quantity(cache.size_limit) if cache and cache.size_limit is not None else None
    return {} if size is None else {LIMIT_VARIABLE: str(max(1, int(size * USABLE)))}
