"""Log lines on standard error, as JSON objects or as text; used by the operator and by the inference service."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

Style = Literal["json", "text"]
Context = Callable[[], Mapping[str, str]]
"""Gives fields that are added to the record being logged."""
_TEXT: Final = "%(asctime)s %(levelname)-7s %(name)s %(message)s"


def configure_logging(
    level: str, style: Style, *, quiet_loggers: Iterable[str] = (), context: Context | None = None
) -> None:
    """Send every logger's records to standard error; replaces the root logger's handlers.

    Args:
        level: least severe level that is logged, such as `INFO`.
        style: `json` writes one object a line, with the record's extra attributes as fields; `text` is for people.
        quiet_loggers: names of loggers of which only warnings and errors are logged.
        context: fields to add to every record.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json_formatter() if style == "json" else logging.Formatter(_TEXT))
    if context is not None:
        handler.addFilter(_adder(context))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in quiet_loggers:
        logging.getLogger(name).setLevel(logging.WARNING)


def _json_formatter() -> JsonFormatter:
    return JsonFormatter(
        "{levelname}{name}{message}",
        style="{",
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp=True,
        reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # uvicorn's duplicate of the message, with terminal codes
    )


def _adder(context: Context) -> Callable[[logging.LogRecord], bool]:
    def add(record: logging.LogRecord) -> bool:
        for name, value in context().items():
            setattr(record, name, value)
        return True

    return add
