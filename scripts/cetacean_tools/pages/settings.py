"""Print docs/settings.md: every setting with its variable, default and bounds, read from the classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from cetacean_inference.settings import SETTINGS_FILE, THRESHOLD_FILE
from cetacean_inference.settings import Settings as InferenceSettings
from cetacean_operator.settings import Settings as OperatorSettings
from cetacean_tools.pages.markdown import head, number, table

COLUMNS: Final = ("Variable", "Default", "Bounds", "Meaning")
SIGNS: Final = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def document() -> str:
    """Return the content of the page."""
    sections: list[tuple[str, type[BaseSettings]]] = [
        ("Inference service", InferenceSettings),
        ("Operator", OperatorSettings),
    ]
    intro = head("settings", threshold_file=THRESHOLD_FILE, settings_file=SETTINGS_FILE)
    return intro + "".join(f"\n## {title}\n\n{_table(settings)}" for title, settings in sections)


def _table(settings: type[BaseSettings]) -> str:
    return table(COLUMNS, _rows(settings, str(settings.model_config["env_prefix"])))


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        variable = f"{prefix}{name}".upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _rows(field.annotation, f"{variable}__")
        else:
            yield (f"`{variable}`", _default(field), _bounds(field), field.description or "")


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None or field.default is None:
        return ""
    if field.default is PydanticUndefined:
        return "required"
    if field.default == ():
        return ""
    return f"`{str(field.default).lower()}`" if isinstance(field.default, bool) else f"`{field.default}`"


def _bounds(field: FieldInfo) -> str:
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    bounds = [f"{SIGNS[key]} {number(value)}" for note in field.metadata for key, value in _limits(note)]
    return ", ".join([*(f"`{choice}`" for choice in choices), *bounds])


def _limits(note: object) -> Iterator[tuple[str, float]]:
    for key in SIGNS:
        if (value := getattr(note, key, None)) is not None:
            yield key, value


if __name__ == "__main__":
    print(document(), end="")
