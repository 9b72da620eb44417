"""Compares our service with other model servers, in turns in one run: `python -m benchmarks.serving`.

Each server runs alone: in each round it starts, answers 1, 4 and 16 clients, and is switched to another version while
clients ask. Other work on the machine slows all of them, so only the ratios are meaningful.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import httpx
from benchmarks.clients import Seen, ask
from benchmarks.machine import BenchmarkError, shared_memory
from benchmarks.material import jpegs
from benchmarks.publishing import publish_benchmark
from benchmarks.servers import Server
from benchmarks.serving import engines
from benchmarks.serving.answers import Answers, answers, require_equal
from benchmarks.serving.contestants import CONTESTANTS, OURS, Contestant, Starter
from benchmarks.serving.environments import environment
from benchmarks.serving.report import BEGIN, CLIENTS, END, Measured, results, table
from benchmarks.serving.stored import load_our_settings, our_environment, write_manifest
from benchmarks.serving.switching import switch

WARM_UP_SECONDS: Final = 2.0
BEFORE_SWITCH_SECONDS: Final = 2.0
"""And after it."""


def main() -> int:
    """Measure all servers and write the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.serving", description=__doc__)
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a turn (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each server (default: %(default)s)")
    parser.add_argument("--only", nargs="*", help="names of the servers beside ours (default: all)")
    parser.add_argument("--dry", action="store_true", help="print the results and write nothing")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the servers too
    begun, load_before = time.monotonic(), os.getloadavg()[0]
    try:
        found = _measure(options, begun=begun, load_before=load_before)
    except (BenchmarkError, RuntimeError, httpx.HTTPError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(table(found))
    _say(begun, "done")
    if not options.dry:
        publish_benchmark("serving", found, table(found), between=(BEGIN, END))
    return 0


def _measure(options: argparse.Namespace, *, begun: float, load_before: float) -> dict[str, Any]:
    contestants = [one for one in CONTESTANTS if options.only is None or one.name in (*options.only, OURS)]
    given = our_environment()
    os.environ.update(given)
    settings = load_our_settings()
    chosen = _engines(dry=options.dry)
    _say(begun, f"the peers compute with {chosen}")
    pictures = jpegs()
    starter = Starter(
        ours=given,
        manifest=write_manifest(settings, chosen),
        pythons={
            one.name: environment(one.requirements, say=lambda line: _say(begun, line))
            for one in contestants
            if one.requirements
        },
        picture=pictures[0],
    )
    measured = {one.name: Measured() for one in contestants}
    expected, used = _compare(contestants, starter, pictures)
    _say(begun, f"{len(contestants)} servers give the same answers to {len(expected)} pictures")
    for number in range(options.rounds):
        # Another order in each round: other work on the machine changes from minute to minute.
        first = number % len(contestants)
        for contestant in (*contestants[first:], *contestants[:first]):
            _take(contestant, starter, pictures, measured[contestant.name], seconds=options.seconds)
            rates = [round(one.throughput, 2) for one in measured[contestant.name].seen.values()]
            failed = [len(one.failed) for one in measured[contestant.name].switches]
            _say(begun, f"round {number + 1}, {contestant.name}: {rates} pictures/s, {failed} failed in switches")
    peers = ", ".join(f"{name}: {engine}" for name, engine in chosen.items())
    return results(measured, engines={"peers": peers, OURS: used}, rounds=options.rounds, load_before=load_before)


def _engines(*, dry: bool) -> Mapping[Any, str]:
    """Return the engine of each network; measures first if this machine's are not known."""
    if engines.known() is None:
        command = [sys.executable, "-m", "benchmarks.serving.engines", *(["--dry"] if dry else [])]
        if subprocess.run(command, check=False).returncode:
            raise BenchmarkError("expected benchmarks.serving.engines to succeed, see above")
    if (found := engines.known()) is None:
        raise BenchmarkError(f"expected the engines' times in {engines.KNOWN}, got none")
    return engines.choose(found)


def _compare(contestants: Sequence[Contestant], starter: Starter, pictures: Sequence[bytes]) -> tuple[Answers, str]:
    """Return our answers and engine; raises an error if another server answers differently."""
    ours = next(one for one in contestants if one.name == OURS)
    with starter.serving(ours) as server:
        expected = answers(ours, server, pictures)
        engine: str = httpx.get(f"{server.url}/v1/identity").json()["engine"]
    for contestant in contestants:
        if contestant is not ours:
            with starter.serving(contestant) as server:
                require_equal(contestant.name, answers(contestant, server, pictures), expected)
    return expected, engine


def _take(
    contestant: Contestant, starter: Starter, pictures: Sequence[bytes], measured: Measured, *, seconds: float
) -> None:
    """Start a server, measure it, and switch its version."""
    with starter.serving(contestant) as server:
        measured.ready_seconds.append(server.ready_seconds)
        _ask(contestant, server, pictures, clients=CLIENTS[1], seconds=WARM_UP_SECONDS, seen=Seen())
        for clients in CLIENTS:
            _ask(contestant, server, pictures, clients=clients, seconds=seconds, seen=measured.seen[clients])
            measured.memory_mb.append(shared_memory(server.pid))
        measured.switches.append(
            asyncio.run(
                switch(contestant, server, starter, pictures, clients=CLIENTS[-1], seconds=BEFORE_SWITCH_SECONDS)
            )
        )


def _ask(
    contestant: Contestant, server: Server, pictures: Sequence[bytes], *, clients: int, seconds: float, seen: Seen
) -> None:
    asyncio.run(ask(server.url, pictures, clients=clients, seconds=seconds, seen=seen, encode=contestant.encode))


def _say(begun: float, line: str) -> None:
    print(f"{time.monotonic() - begun:5.0f} s: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
