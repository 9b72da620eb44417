"""Compares our service with a plain server, in turns in one run: `python -m benchmarks.inference`.

Other work on the machine slows both, so only the ratios are meaningful.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from benchmarks.clients import Seen, Turns, ask, median_score
from benchmarks.inference.report import CLIENTS, Measured, Probed, results, table, write
from benchmarks.machine import free_port
from benchmarks.material import environment, jpegs, write_weights
from benchmarks.servers import Server, serving

from cetacean_inference.settings import load_settings
from cetacean_inference.weights.fetch import fetch_all
from cetacean_tools.workspace import REPOSITORY, cache_root


def main() -> int:
    """Measure both servers and write the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.inference", description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a turn (default: %(default)s)")
    parser.add_argument(
        "--rounds", type=int, default=3, help="turns of each server for each number of clients (default: %(default)s)"
    )
    parser.add_argument("--engine", default="auto", help="engine of our service (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="print the results and write nothing")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the servers too
    directory = cache_root() / "benchmarks" / "inference"
    write_weights(directory)
    given = environment(directory)
    os.environ.update(given)
    # Measures the start of the first pod with these weights; later pods find the converted networks.
    shutil.rmtree(directory / "cache" / "derived", ignore_errors=True)
    fetch_all(load_settings())
    pictures = jpegs()
    with _ours(directory, given, options.engine, log="first.log") as first:
        print(f"the first start takes {first.ready_seconds:.1f} s", flush=True)
        median = asyncio.run(median_score(first.url, pictures))
    with _both(directory, given, options.engine) as servers:
        engine = httpx.get(f"{servers[1].url}/v1/identity").json()["engine"]
        ready = [server.ready_seconds for server in servers]
        print(f"plain is ready after {ready[0]:.1f} s, {engine} after {ready[1]:.1f} s", flush=True)
        turns = Turns(servers, pictures, seconds=options.seconds, rounds=options.rounds)
        seen = {clients: asyncio.run(turns.take(clients)) for clients in CLIENTS}
        memory = [server.memory() for server in servers]
        probed = asyncio.run(_probed(servers[1], pictures, seconds=options.rounds * options.seconds))
    # Rejected pictures are not identified, so this is measured separately.
    with _both(directory, {**given, "CETACEAN_GATE__THRESHOLD": str(median)}, options.engine) as servers:
        turns = Turns(servers, pictures, seconds=options.seconds, rounds=options.rounds)
        half_rejected = asyncio.run(turns.take(CLIENTS[-1]))
    measured = [
        Measured({clients: both[i] for clients, both in seen.items()}, half_rejected[i], ready[i], *memory[i])
        for i in range(2)
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


@contextmanager
def _both(directory: Path, given: Mapping[str, str], engine: str) -> Iterator[tuple[Server, Server]]:
    """Start both servers one after the other, so that neither slows the other's start."""
    port = free_port()
    with (
        serving(
            ("benchmarks.inference.plain", "--port", str(port)), given, port=port, log=directory / "plain.log"
        ) as plain,
        _ours(directory, given, engine, log="ours.log") as ours,
    ):
        yield plain, ours


@contextmanager
def _ours(directory: Path, given: Mapping[str, str], engine: str, *, log: str) -> Iterator[Server]:
    port = free_port()
    environment = {**given, "CETACEAN_HTTP__PORT": str(port), "CETACEAN_ENGINE__NAME": engine}
    with serving(("cetacean_inference", "serve"), environment, port=port, log=directory / log) as server:
        yield server


async def _probed(server: Server, pictures: Sequence[bytes], *, seconds: float) -> Probed:
    """Request health and metrics from a separate process while the largest number of clients keeps the server busy.

    Not while throughput is measured: the probes share the processors, and the plain server gets none.
    """
    busy = asyncio.create_task(ask(server.url, pictures, clients=CLIENTS[-1], seconds=seconds, seen=Seen()))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.inference.probes", server.url, str(seconds), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    await busy
    return {path.strip("/"): latencies for path, latencies in json.loads(printed).items()}


if __name__ == "__main__":
    raise SystemExit(main())
