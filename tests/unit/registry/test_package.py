"""The package's face."""

from __future__ import annotations

import cetacean_registry
from cetacean_registry.errors import field_path


def test_all_that_is_public_is_there_and_sorted() -> None:
    names = cetacean_registry.__all__
    assert list(names) == sorted(names)
    assert all(hasattr(cetacean_registry, name) for name in names)


def test_a_fields_path_is_written_as_a_person_would() -> None:
    assert field_path(("models", 1, "sha256")) == "models[1].sha256"
    assert field_path((0, "a", "b")) == "[0].a.b"
    assert field_path(()) == ""
