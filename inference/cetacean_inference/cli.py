"""Command line of the inference service: fetch, serve, replay and prune.

Heavy modules are imported by the command that needs them: `fetch` starts without torch, and `--help` is immediate.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import math
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cetacean_inference.errors import FatalError
from cetacean_inference.settings import MIB, Settings, load_settings
from cetacean_inference.system.start_times import StartTimes

logger = logging.getLogger(__name__)

TERMINATION_MESSAGE_LIMIT: Final = 4096
"""Bytes that Kubernetes keeps."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 on success, 1 after a fatal error. `replay` has more statuses."""
    options = _parser().parse_args(arguments)
    with _exit_on_sigterm():
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    termination_message_file = Path(
        os.environ.get("CETACEAN_TERMINATION_MESSAGE_FILE") or Settings.model_fields["termination_message_file"].default
    )
    try:
        settings = load_settings()
        termination_message_file = settings.termination_message_file
        result: int = options.run(settings, options)
    except FatalError as error:
        print(error.line, file=sys.stderr, flush=True)
        write_termination_message(error.line, termination_message_file)
        return 1
    return result


@contextlib.contextmanager
def _exit_on_sigterm() -> Iterator[None]:
    """Exit on SIGTERM unless a command handles it: the kernel ignores it for a container's first process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def write_termination_message(line: str, path: Path) -> None:
    """Write `Reason: message` to the file that the kubelet reads; does nothing if there is no such file."""
    if not path.exists():
        return
    line = line.encode()[:TERMINATION_MESSAGE_LIMIT].decode(errors="ignore")
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
    fetch.add_argument(
        "--prepare",
        action="store_true",
        help="then load them once: the cache keeps the converted networks, and the engines' times on this processor",
    )
    fetch.set_defaults(run=_fetch)
    serve = commands.add_parser(
        "serve", help="serve from the cache; needs no network, unless a file was evicted or damaged since fetch"
    )
    serve.set_defaults(run=_serve)
    replay = commands.add_parser("replay", help="compute the answer for a picture again, from the cache")
    replay.add_argument("picture", type=Path, help="the picture's file")
    replay.add_argument(
        "--recorded", type=Path, metavar="FILE", help="compare with this Detection in JSON; exit with 1 if it differs"
    )
    replay.add_argument(
        "--tolerance",
        type=_at_least_0,
        metavar="X",
        help="largest difference of numbers that counts as equal (default: by how much an engine may differ from "
        "eager torch, see CETACEAN_ENGINE__MAX_SCORE_DEVIATION and CETACEAN_ENGINE__MAX_PROBABILITY_DEVIATION)",
    )
    replay.set_defaults(run=_replay)
    prune = commands.add_parser("prune", help="remove files from the cache that no pod uses")
    prune.add_argument(
        "--unused-for",
        type=_at_least_0,
        metavar="SECONDS",
        help="only files that were not used for so long (default: CETACEAN_FETCH__KEEP_UNUSED_SECONDS)",
    )
    prune.set_defaults(run=_prune)
    return parser


def _at_least_0(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:  # so that NaN, with which no difference is larger, is rejected
        raise argparse.ArgumentTypeError(f"expected a number of at least 0, got {text}")
    return value


def _fetch(settings: Settings, options: argparse.Namespace) -> int:
    from cetacean_inference.engines.conversion_cache import (  # noqa: PLC0415 - see above
        make_room_for_conversion,
        weights_to_leave_unread,
    )
    from cetacean_inference.weights.fetch import fetching, open_own_cache  # noqa: PLC0415
    from cetacean_inference.weights.signature import check_signature  # noqa: PLC0415

    _log_to_stderr()
    times, own = StartTimes.of_process(), open_own_cache(settings)
    with fetching(settings, times=times, unread=weights_to_leave_unread(settings, own)) as files:
        if report := check_signature(settings, files):
            write_termination_message(report, settings.termination_message_file)
        make_room_for_conversion(settings, files=files, cache=own)
    logger.info("fetched everything after %s", times)
    if options.prepare:
        _prepare(settings)
    return 0


def _prepare(settings: Settings) -> None:
    """Load the weights as `serve` does, so that a later start finds all that is computed from them.

    Raises:
        FatalError: no pod could serve them; the reason is the one that `serve` would give.
    """
    from cetacean_inference.pipeline import load_pipeline  # noqa: PLC0415 - see above
    from cetacean_inference.weights.fetch import load_intact  # noqa: PLC0415

    load_intact(load_pipeline, settings).close()


def _prune(settings: Settings, options: argparse.Namespace) -> int:
    from cetacean_inference.weights.fetch import open_cache  # noqa: PLC0415 - see above

    _log_to_stderr()
    unused_for = settings.fetch.keep_unused_seconds if options.unused_for is None else options.unused_for
    cache = open_cache(settings)
    cache.prepare()
    pruned = cache.prune(unused_seconds=unused_for)
    print(f"removed {pruned.files} files or directories, {pruned.bytes / MIB:.1f} MiB, from {cache.root}")
    return 0


def _replay(settings: Settings, options: argparse.Namespace) -> int:
    from cetacean_inference.replay import run  # noqa: PLC0415 - see above

    return run(settings, picture=options.picture, recorded=options.recorded, tolerance=options.tolerance)


def _serve(settings: Settings, _: argparse.Namespace) -> int:
    from cetacean_inference.http.serve import run  # noqa: PLC0415 - see above

    return run(settings)


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
