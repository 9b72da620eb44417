"""The volume that weights are cached in, and how much may lie there.

The kubelet evicts a pod whose emptyDir outgrows its sizeLimit. What serves is told to keep below it: then weights that
do not fit are a reason in the status, and networks that are converted for a faster engine are not kept.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from cetacean_operator.api.serving import Serving
from cetacean_operator.decisions.compare import quantity

LIMIT_VARIABLE: Final = "CETACEAN_FETCH__CACHE_LIMIT_BYTES"
USABLE: Final = Decimal("0.95")
"""Of the emptyDir: directories and locks take room as well, and the kubelet counts whole blocks."""


def volume(serving: Serving) -> dict[str, Any]:
    """Return where the weights lie, as a volume has it."""
    cache = serving.weights_cache
    if cache and cache.persistent_volume_claim:
        return {"persistentVolumeClaim": {"claimName": cache.persistent_volume_claim.claim_name}}
    return {"emptyDir": {"sizeLimit": cache.size_limit} if cache and cache.size_limit is not None else {}}


def limit(serving: Serving) -> dict[str, str]:
    """Return the variable that bounds the cache: none where nothing bounds its volume."""
    cache = serving.weights_cache
    size = quantity(cache.size_limit) if cache and cache.size_limit is not None else None
    return {} if size is None else {LIMIT_VARIABLE: str(max(1, int(size * USABLE)))}
