"""The package's public names, and the paths of fields in messages."""

from __future__ import annotations

import cetacean_registry
from cetacean_registry.errors import field_path


def test_all_public_names_exist_and_are_sorted() -> None:
    names = cetacean_registry.__all__
    assert list(names) == sorted(names)
    assert all(hasattr(cetacean_registry, name) for name in names)


def test_a_field_path_has_dots_and_indices() -> None:
    assert field_path(("models", 1, "sha256")) == "models[1].sha256"
    assert field_path((0, "a", "b")) == "[0].a.b"
    assert field_path(()) == ""
