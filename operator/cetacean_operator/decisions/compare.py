"""Compare a manifest with the live object, field by field, to apply it only if something differs.

Only fields of the manifest count, not defaults, other managers' fields and status. Quantities are compared by value:
the API server writes `1000m` as `1`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

_NUMBER = re.compile(r"^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?[0-9]+))?$")
_BINARY = {suffix: Decimal(1024) ** (power + 1) for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))}
_DECIMAL = {suffix: Decimal(10) ** (3 * power) for power, suffix in enumerate("num", start=-3)}
_DECIMAL |= {suffix: Decimal(10) ** (3 * power) for power, suffix in enumerate("kMGTPE", start=1)}
_QUANTITIES = frozenset({"limits", "requests", "sizeLimit", "tolerance"})
_LONGEST = 64
"""Limit of a quantity's characters and of its exponent: larger numbers make arithmetic slow or fail."""
# An empty object has a meaning here: the type of a volume, or a selector that matches everything.
_MEANINGFUL_IF_EMPTY = frozenset({"emptyDir", "podSelector", "namespaceSelector"})
# The API server omits False and 0 here. Elsewhere an absent field is a difference: it has another meaning.
_OMITTED = frozenset(
    {
        *("paused", "readOnly", "stdin", "stdinOnce", "tty", "hostNetwork", "hostPID", "hostIPC"),
        *("hostPort", "initialDelaySeconds", "nodePort"),
    }
)
# Keys by which the API server merges lists instead of replacing them: others may have added entries.
_KEYS: tuple[tuple[str, ...], ...] = (
    ("mountPath",),
    ("name",),
    ("containerPort",),
    ("uid",),
    ("type",),
    ("topologyKey", "whenUnsatisfiable"),
    ("ip",),
)
# It replaces these as a whole, although their items have such a key.
_ATOMIC = frozenset({"parentRefs", "backendRefs", "metrics"})


def quantity(value: object) -> Decimal | None:
    """Return the number that a Kubernetes quantity stands for, None if it is no quantity or too large."""
    # Not `kubernetes.utils.parse_quantity`: import-linter keeps Kubernetes' clients out of decisions, and that function
    # also accepts `inf`, `1K`, `1_000` and exponents without a limit. A test compares the two for valid quantities.
    match = _NUMBER.match(text) if len(text := str(value)) <= _LONGEST else None
    if match is None:
        return None
    number, binary, decimal, exponent = match.groups()
    if exponent and abs(int(exponent)) > _LONGEST:
        return None
    factor = _BINARY[binary] if binary else _DECIMAL[decimal] if decimal else Decimal(10) ** int(exponent or 0)
    return Decimal(number) * factor


def differences(wanted: Any, live: Any) -> Iterator[str]:
    """Yield the paths at which `live` is not as `wanted` says."""
    # Most often nothing differs: that takes a fifth of the time of a comparison that knows its path.
    if not _contains(live, wanted):
        yield from _differences(wanted, live, "")


def _contains(live: Any, wanted: Any) -> bool:
    """Return true if `live` has every value of `wanted`, in the same place; false may also mean an equal quantity."""
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            return False
        return all(
            _contains(live[key], value) if key in live else key in _OMITTED and value in (False, 0)
            for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        if not isinstance(live, list) or len(live) != len(wanted):
            return False
        return all(map(_contains, live, wanted))
    return bool(wanted == live) and isinstance(wanted, bool) == isinstance(live, bool)


def _differences(wanted: Any, live: Any, path: str, *, quantities: bool = False) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(live, dict):
        for key, value in wanted.items():
            inner = quantities or key in _QUANTITIES
            where = f"{path}.{key}" if path else key
            if key in _MEANINGFUL_IF_EMPTY and isinstance(value, dict) and live.get(key) is None:
                yield where
            elif key in _OMITTED and value in (False, 0) and live.get(key) is None:
                continue
            else:
                yield from _differences(value, live.get(key), where, quantities=inner)
    elif isinstance(wanted, list) and isinstance(live, list):
        yield from _lists(wanted, live, path)
    elif not _same(wanted, live, quantities=quantities):
        yield path


def _lists(wanted: list[Any], live: list[Any], path: str) -> Iterator[str]:
    keys = None if path.rpartition(".")[2] in _ATOMIC else _keys(wanted)
    if keys is None:
        if len(wanted) != len(live):
            yield path
            return
        for index, (one, other) in enumerate(zip(wanted, live, strict=True)):
            yield from _differences(one, other, f"{path}[{index}]")
        return
    there = {_identity(item, keys): item for item in live if isinstance(item, dict)}
    for item in wanted:
        label = ",".join(str(item[key]) for key in keys)
        yield from _differences(item, there.get(_identity(item, keys)), f"{path}[{label}]")


def _identity(item: dict[str, Any], keys: tuple[str, ...]) -> str:
    return str([item.get(key) for key in keys])  # a value that is no text cannot be the key of a dictionary


def _keys(items: list[Any]) -> tuple[str, ...] | None:
    """Return the keys whose values identify each of the items, None if there are none."""
    for keys in _KEYS:
        found = [_identity(item, keys) for item in items if isinstance(item, dict) and None not in map(item.get, keys)]
        if len(found) == len(items) > 0 and len(set(found)) == len(found):
            return keys
    return None


def _same(wanted: Any, live: Any, *, quantities: bool) -> bool:
    if wanted == live and isinstance(wanted, bool) == isinstance(live, bool):
        return True
    if wanted in ({}, [], None, "") and live in ({}, [], None, ""):
        return True
    if not quantities:
        return False
    one = quantity(wanted)
    return one is not None and one == quantity(live)
