"""The paths of fields in messages."""

from __future__ import annotations

from cetacean_registry.errors import field_path


def test_a_field_path_has_dots_and_indices() -> None:
    assert field_path(("models", 1, "sha256")) == "models[1].sha256"
    assert field_path((0, "a", "b")) == "[0].a.b"
    assert field_path(()) == ""
