"""Ready pods that do not answer the operator: a figure that leaves them out names them."""

from __future__ import annotations

from collections.abc import Sequence

from cetacean_operator.api.observed import Pod

_NAMED = 3


def describe_silent(silent: Sequence[Pod], pods: int) -> str:
    """Return the end of a message about a number of pods, of which some gave no figures; empty if none is silent."""
    if not silent:
        return ""
    shown = ", ".join(f"{pod.name} ({pod.silent or 'no answer yet'})" for pod in silent[:_NAMED])
    more = f" and {len(silent) - _NAMED} more" if len(silent) > _NAMED else ""
    return f"; no figures from {len(silent)} of {pods} pods: {shown}{more}"
