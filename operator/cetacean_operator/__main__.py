"""Command line: `python -m cetacean_operator run`. All settings come from the environment (CETACEAN_OPERATOR_…)."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import Final

import uvloop
from kubernetes.aio.config import ConfigException
from pydantic import ValidationError

from cetacean_logging import configure_logging
from cetacean_operator.settings import Settings

_LOG = logging.getLogger(__name__)
QUIET_LOGGERS: Final = ("aiohttp.access", "asyncio", "kopf.objects")
"""Only their warnings are logged: metrics count requests, and kopf repeats every event."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 after a signal, 1 after a fault that it cannot repair, 2 for wrong arguments or settings."""
    parser = argparse.ArgumentParser(prog="cetacean-operator", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    commands.add_parser("run", help="watch CetaceanModels and reconcile them until SIGTERM")
    parser.parse_args(arguments)
    try:
        settings = Settings()
    except ValidationError as error:
        for fault in error.errors(include_url=False):
            name = "".join(f"CETACEAN_OPERATOR_{str(part).upper()}: " for part in fault["loc"])
            print(f"cetacean-operator: {name}{fault['msg']}", file=sys.stderr)
        return 2
    configure_logging(settings.log_level, settings.log_format, quiet_loggers=QUIET_LOGGERS)
    return _run(settings)


def _run(settings: Settings) -> int:
    from cetacean_operator.runtime import run  # noqa: PLC0415 -- `--help` needs no kopf

    try:
        return uvloop.run(run(settings))
    except ConfigException as error:
        _LOG.critical("no connection to a cluster: %s", error, extra={"reason": "NoConfiguration"})
    except OSError as error:
        _LOG.critical("cannot start: %s", error, extra={"reason": "CannotStart"})
    return 1


if __name__ == "__main__":
    sys.exit(main())
