"""Command line: what to do, and how a failure leaves the container.

Heavy modules are imported by the command that needs them, so that `fetch` starts without torch and `--help` at once.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cetacean_inference.errors import CannotGoOn
from cetacean_inference.settings import Settings, load_settings

logger = logging.getLogger(__name__)

TERMINATION_MESSAGE_LIMIT: Final = 4096
"""Kubernetes keeps no more bytes than this."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it went well, 1 when the container cannot go on. `replay` says what else it returns."""
    options = _parser().parse_args(arguments)
    with _ended_by_sigterm():
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    termination_message_file = Path(Settings.model_fields["termination_message_file"].default)
    try:
        settings = load_settings()
        termination_message_file = settings.termination_message_file
        result: int = options.run(settings, options)
    except CannotGoOn as error:
        print(error.line, file=sys.stderr, flush=True)
        report(error, termination_message_file)
        return 1
    return result


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Have SIGTERM end us at once until a command knows better: as a container's first process it would be ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def report(error: CannotGoOn, path: Path) -> None:
    """Write `Reason: message` where the kubelet reads it; outside a container there is no such file."""
    if not path.exists():
        return
    line = error.line.encode()[:TERMINATION_MESSAGE_LIMIT].decode(errors="ignore")
    try:
        path.write_text(line, encoding="utf-8")
    except OSError as failure:
        logger.warning("%s: %s", path, failure)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cetacean-inference", description=__doc__.splitlines()[0] if __doc__ else None
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    fetch = commands.add_parser("fetch", help="download and verify the weights into the cache, then exit")
    fetch.set_defaults(run=_fetch)
    serve = commands.add_parser("serve", help="serve from the cache; needs no network")
    serve.set_defaults(run=_serve)
    replay = commands.add_parser("replay", help="compute the answer for a picture again, from the cache")
    replay.add_argument("picture", type=Path, help="the picture's file")
    replay.add_argument(
        "--recorded", type=Path, metavar="FILE", help="Detection in JSON to compare with; 1 when it differs"
    )
    replay.add_argument(
        "--tolerance", type=float, default=1e-4, metavar="X", help="difference of figures that is none (%(default)s)"
    )
    replay.set_defaults(run=_replay)
    return parser


def _fetch(settings: Settings, _: argparse.Namespace) -> int:
    from cetacean_inference.weights.fetch import fetch_all  # noqa: PLC0415 - see above

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    fetch_all(settings)
    return 0


def _replay(settings: Settings, options: argparse.Namespace) -> int:
    from cetacean_inference.replay import run  # noqa: PLC0415 - see above

    return run(settings, picture=options.picture, recorded=options.recorded, tolerance=options.tolerance)


def _serve(settings: Settings, _: argparse.Namespace) -> int:
    from cetacean_inference.http.serve import run  # noqa: PLC0415 - see above

    return run(settings)
