"""Logging of the inference service: every record of a request carries the request's id."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Final

from cetacean_inference.settings import LogSettings
from cetacean_logging import configure_logging

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
QUIET_LOGGERS: Final = ("uvicorn.access", "asyncio", "httpx", "PIL")
"""Only their warnings are logged: metrics count requests."""


def configure(settings: LogSettings) -> None:
    """Send all records and Python warnings to standard error, with the request's id if there is one."""
    configure_logging(settings.level, settings.format, quiet_loggers=QUIET_LOGGERS, context=_request_fields)
    logging.captureWarnings(capture=True)


def _request_fields() -> Mapping[str, str]:
    identifier = request_id.get()
    return {} if identifier is None else {"request_id": identifier}
