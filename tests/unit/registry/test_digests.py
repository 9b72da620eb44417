"""Digests of files, and of data independent of the order of keys."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cetacean_registry.digests import canonical_digest, file_sha256

json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def test_the_digest_of_a_file_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    content = random.Random(0).randbytes(3_000_000)
    (tmp_path / "a.ckpt").write_bytes(content)
    assert file_sha256(tmp_path / "a.ckpt") == hashlib.sha256(content).hexdigest()
    with pytest.raises(FileNotFoundError):
        file_sha256(tmp_path / "absent")


def test_the_digest_of_data_is_pinned() -> None:
    # Pod templates contain it: another value would replace every pod.
    pinned = "5cffe7b2256261270211e66d136e0fc423a603024179f1fb99fe31e771368b2f"
    assert canonical_digest({"b": [1, 2.5, None, True], "a": "ü"}) == pinned


@given(st.dictionaries(st.text(max_size=4), json_data, min_size=2, max_size=6), st.randoms())
def test_the_order_of_keys_does_not_matter(data: dict[str, object], shuffler: random.Random) -> None:
    keys = list(data)
    shuffler.shuffle(keys)
    assert canonical_digest({key: data[key] for key in keys}) == canonical_digest(data)


@given(st.lists(st.integers(), min_size=2, max_size=5, unique=True))
def test_the_order_of_a_list_matters(items: list[int]) -> None:
    assert canonical_digest(items) != canonical_digest(items[::-1])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_a_value_that_json_does_not_know_has_no_digest(value: object) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_digest(value)
    with pytest.raises(TypeError):
        canonical_digest({1, 2})
