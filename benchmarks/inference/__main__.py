"""`python -m benchmarks.inference`: our service beside the old way, in one run and in turns.

Other work on the machine slows both alike, so it is the ratios that count.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import httpx
from benchmarks.inference.clients import Seen, ask
from benchmarks.inference.material import environment, jpegs, write_weights
from benchmarks.inference.report import CLIENTS, Measured, Probed, results, table, write
from benchmarks.inference.servers import Server, serving
from benchmarks.machine import free_port

from cetacean_inference.settings import load_settings
from cetacean_inference.weights.fetch import fetch_all
from workspace import REPOSITORY, cache_root


def main() -> int:
    """Measure, and write the figures down."""
    parser = argparse.ArgumentParser(prog="benchmarks.inference", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each server's turn (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each at each number (default: %(default)s)")
    parser.add_argument("--engine", default="auto", help="ours (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="print the figures and write nothing")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended too
    directory = cache_root() / "benchmarks" / "inference"
    write_weights(directory)
    given = environment(directory)
    os.environ.update(given)
    # As the first pod with these weights starts; the next ones find what it converted.
    shutil.rmtree(directory / "cache" / "derived", ignore_errors=True)
    fetch_all(load_settings())
    log, ports = directory / "ours.log", (free_port(), free_port())
    ours_environment = {**given, "CETACEAN_HTTP__PORT": str(ports[1]), "CETACEAN_ENGINE__NAME": options.engine}
    plain_command = ("benchmarks.inference.plain", "--port", str(ports[0]))
    ours_command = ("cetacean_inference", "serve")
    with serving(ours_command, ours_environment, port=ports[1], log=directory / "first.log") as first:
        print(f"the first start takes {first.ready_seconds:.1f} s", flush=True)
    # One after the other, so that neither slows the other's start.
    with (
        serving(plain_command, given, port=ports[0], log=directory / "plain.log") as plain,
        serving(ours_command, ours_environment, port=ports[1], log=log) as ours,
    ):
        engine = httpx.get(f"{ours.url}/v1/identity").json()["engine"]
        print(
            f"plain is ready after {plain.ready_seconds:.1f} s, {engine} after {ours.ready_seconds:.1f} s", flush=True
        )
        seen, probed = asyncio.run(_in_turns(plain, ours, seconds=options.seconds, rounds=options.rounds))
        measured = [
            Measured(by_clients, server.ready_seconds, *server.memory())
            for server, by_clients in zip((plain, ours), seen, strict=True)
        ]
    found = results(plain=measured[0], ours=measured[1], probed=probed, first=first, engine=engine)
    print(table(found))
    if not options.dry:
        write(
            found,
            json_file=REPOSITORY / "benchmarks" / "results" / "inference.json",
            document=Path(REPOSITORY / "docs" / "benchmarks.md"),
        )
    return 0


async def _in_turns(
    plain: Server, ours: Server, *, seconds: float, rounds: int
) -> tuple[tuple[dict[int, Seen], dict[int, Seen]], Probed]:
    pictures = jpegs()
    seen: tuple[dict[int, Seen], dict[int, Seen]] = ({}, {})
    probed: Probed = {}
    for clients in CLIENTS:
        for by_clients in seen:
            by_clients[clients] = Seen()
        for _ in range(rounds):
            for server, by_clients in zip((plain, ours), seen, strict=True):
                asked = ask(server.url, pictures, clients=clients, seconds=seconds, seen=by_clients[clients])
                if server is ours and clients == CLIENTS[-1]:
                    await asyncio.gather(asked, _probe(server.url, seconds, probed))
                else:
                    await asked
        print(f"{clients} clients: {[round(one[clients].throughput, 2) for one in seen]} pictures/s", flush=True)
    return seen, probed


async def _probe(url: str, seconds: float, probed: Probed) -> None:
    """Ask for health and metrics meanwhile, by a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.inference.probes", url, str(seconds), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    for path, latencies in json.loads(printed).items():
        probed.setdefault(path.strip("/"), []).extend(latencies)


if __name__ == "__main__":
    raise SystemExit(main())
