"""Ready pods that do not answer the operator: named wherever a figure leaves them out."""

from __future__ import annotations

from collections.abc import Sequence

from cetacean_operator.api.observed import Pod

_NAMED = 3


def told_of(silent: Sequence[Pod], pods: int) -> str:
    """Return the words that follow a judgement on pods of which `silent` took no part; empty where none was silent."""
    if not silent:
        return ""
    shown = ", ".join(f"{pod.name} ({pod.silent or 'no answer yet'})" for pod in silent[:_NAMED])
    more = f" and {len(silent) - _NAMED} more" if len(silent) > _NAMED else ""
    return f"; nothing is known of {len(silent)} of {pods} pods: {shown}{more}"
