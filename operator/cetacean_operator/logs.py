"""Log lines as JSON, one object a line, with the resource and the reason as fields of their own."""

from __future__ import annotations

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

_TEXT = "%(asctime)s %(levelname)-7s %(name)s %(message)s"


def configure(level: str, style: str) -> None:
    """Send every logger's records to standard error.

    Args:
        level: a level's name, such as `INFO`.
        style: `json` or `text`.
    """
    handler = logging.StreamHandler(sys.stderr)
    if style == "json":
        handler.setFormatter(
            JsonFormatter(
                "{levelname}{name}{message}",
                style="{",
                rename_fields={"levelname": "level", "name": "logger"},
                timestamp=True,
            )
        )
    else:
        handler.setFormatter(logging.Formatter(_TEXT))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # One line for each request is the metrics' business; kopf repeats every event it hands on.
    for noisy in ("aiohttp.access", "asyncio", "kopf.objects"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
