"""Measures the cost of decoding in separate processes: `python -m benchmarks.inference.decoding`.

In turns, the same pictures are decoded in a thread of this process and in a decoder's process. Then good pictures are
decoded, in turns alone and while four clients send the worst file of each format again and again. The exit status is 1
if a bound is not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any, Final

import numpy as np
from benchmarks.machine import processor
from benchmarks.material import jpegs
from benchmarks.publishing import publish_benchmark
from PIL import Image
from support.worst_pictures import WORST

from cetacean_inference.imaging.decoder_pool import DecoderPool
from cetacean_inference.imaging.decoding import decode
from cetacean_inference.imaging.resizing import resize
from cetacean_inference.rejected_requests import RequestRejected
from cetacean_inference.settings import BatchingSettings, ImageSettings
from cetacean_inference.system.priority import lower_thread_priority
from cetacean_inference.types import Resize

BEGIN, END = "<!-- decoding: written by make bench-decoding -->", "<!-- decoding: end -->"
RESIZES: Final = (Resize("crop_centre", 224), Resize("squash", 512))
"""As the networks of full size take pictures."""
IMAGES: Final = ImageSettings()
ATTACKERS: Final = 4
CLIENTS: Final = 2
SIZES: Final = ((320, 240), (1600, 1200), (4000, 3000))
TURN_SECONDS: Final = 2.5
"""Short turns: other work on the machine changes from minute to minute."""
MAX_DIFFERENCE_MS: Final = 3.0
MIN_RATIO: Final = 0.5


def main() -> int:
    """Measure, print the table and write the results."""
    parser = argparse.ArgumentParser(prog="benchmarks.inference.decoding", description=__doc__)
    parser.add_argument("--pictures", type=int, default=60, help="pictures of each size (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each attack (default: %(default)s)")
    parser.add_argument("--dry", action="store_true", help="print the results and write nothing")
    options = parser.parse_args()
    found = asyncio.run(_measure(pictures=options.pictures, seconds=options.seconds))
    print(table(found))
    for miss in missed(found):
        print(f"error: {miss}", file=sys.stderr)
    if not options.dry:
        publish_benchmark("decoding", found, table(found), between=(BEGIN, END))
    return int(bool(missed(found)))


def missed(found: Mapping[str, Any]) -> list[str]:
    """Return a line for each bound that is not kept."""
    slow = [
        f"{name}: expected less than {MAX_DIFFERENCE_MS:g} ms more in a decoder, got {cost['difference_ms']:g} ms"
        for name, cost in found["cost"].items()
        if cost["difference_ms"] >= MAX_DIFFERENCE_MS
    ]
    starved = [
        f"{name}: expected good pictures at {MIN_RATIO:g} of the usual rate or more, got {attack['ratio']:g}"
        for name, attack in found["attacked"].items()
        if attack["ratio"] < MIN_RATIO
    ]
    return slow + starved


async def _measure(*, pictures: int, seconds: float) -> dict[str, Any]:
    source = Image.open(io.BytesIO(jpegs()[0]))
    files = {f"JPEG {wide}x{high}": _jpeg(source, (wide, high)) for wide, high in SIZES}
    with closing(DecoderPool(IMAGES, processes=BatchingSettings().prepare_threads, retry_after=1)) as pool:
        pool.start()
        cost = {name: await _cost(pool, data, pictures) for name, data in files.items()}
        good = files["JPEG 1600x1200"]
        attacked, alone = {}, []
        for name, make in WORST.items():
            worst = make()
            usual, rates, ended = [], [], 0
            for _ in range(max(1, round(seconds / TURN_SECONDS))):
                usual.append((await _rate(pool, good, worst=None, seconds=TURN_SECONDS))[0])
                rate, bad = await _rate(pool, good, worst=worst, seconds=TURN_SECONDS)
                rates.append(rate)
                ended += bad
                # Killed decoders are replaced before the next turn.
                await asyncio.gather(*(pool.decode(lambda: good, RESIZES) for _ in range(2 * CLIENTS)))
            alone += usual
            attacked[name] = {
                "pictures_s": round(float(np.mean(rates)), 1),
                "ratio": round(sum(rates) / sum(usual), 2),
                "bad_ended": ended,
            }
            print(name, attacked[name], flush=True)
    return {
        "cpu": processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "load_average_at_end": round(os.getloadavg()[0], 1),
        "cost": cost,
        "alone_pictures_s": round(float(np.mean(alone)), 1),
        "attacked": attacked,
    }


def _jpeg(source: Image.Image, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    source.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


async def _cost(pool: DecoderPool, data: bytes, pictures: int) -> dict[str, float]:
    """Return medians in milliseconds: here and in a decoder's process, and what it takes more there.

    Both have the same priority, that of the service's computing threads.
    """

    def here() -> Sequence[Any]:
        image = decode(data, IMAGES)
        return [np.asarray(resize(image, how)) for how in RESIZES]

    seen: list[tuple[float, ...]] = []
    loop, thread = asyncio.get_running_loop(), ThreadPoolExecutor(1, initializer=lower_thread_priority)
    for _ in range(pictures + 3):
        begun, cpu_begun = time.perf_counter(), time.process_time()
        await loop.run_in_executor(thread, here)
        between, cpu_between, decoders = time.perf_counter(), time.process_time(), _decoders_cpu_seconds(pool)
        await pool.decode(lambda: data, RESIZES)
        seen.append(
            (
                between - begun,
                time.perf_counter() - between,
                cpu_between - cpu_begun,
                time.process_time() - cpu_between + _decoders_cpu_seconds(pool) - decoders,
            )
        )
    here_ms, worker_ms, here_cpu_ms, worker_cpu_ms = np.array(seen[3:]).T * 1e3  # the first ones warm up
    figures = {
        "in_process_ms": np.median(here_ms),
        "in_worker_ms": np.median(worker_ms),
        "difference_ms": np.median(worker_ms - here_ms),
        "cpu_difference_ms": np.median(worker_cpu_ms - here_cpu_ms),
    }
    return {name: round(float(value), 2) for name, value in figures.items()}


def _decoders_cpu_seconds(pool: DecoderPool) -> float:
    """Return the processor time of the decoders' processes, with that of threads that have ended."""
    # The number of the clock that clock_getcpuclockid(3) returns.
    return sum(time.clock_gettime(~one << 3 | 2) for one in pool.processes)


async def _rate(pool: DecoderPool, good: bytes, *, worst: bytes | None, seconds: float) -> tuple[float, int]:
    """Return the good pictures decoded in each second, and how many of the worst ones ended meanwhile."""
    ends = time.perf_counter() + seconds
    done = {"good": 0, "bad": 0}

    async def ask(kind: str, read: Callable[[], bytes]) -> None:
        while time.perf_counter() < ends:
            with suppress(RequestRejected):
                await pool.decode(read, RESIZES)
            done[kind] += 1

    attackers = [] if worst is None else [asyncio.create_task(ask("bad", lambda: worst)) for _ in range(ATTACKERS)]
    await asyncio.gather(*(ask("good", lambda: good) for _ in range(CLIENTS)))
    for attacker in attackers:
        attacker.cancel()
    await asyncio.gather(*attackers, return_exceptions=True)
    return done["good"] / seconds, done["bad"]


def table(found: Mapping[str, Any]) -> str:
    """Return the tables for the documentation."""
    lines = [
        f"{found['cpus']} processors ({found['cpu']}); load average at the end {found['load_average_at_end']:g}.",
        "",
        "| one picture, decoded and resized | in the service, ms | in a decoder, ms | more, ms | more CPU time, ms |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, cost in found["cost"].items():
        values = (cost["in_process_ms"], cost["in_worker_ms"], cost["difference_ms"], cost["cpu_difference_ms"])
        lines.append(f"| {name} | {' | '.join(f'{value:g}' for value in values)} |")
    lines += [
        "",
        f"| {ATTACKERS} clients send without pause | good pictures/s | share of {found['alone_pictures_s']:g}, alone |",
        "|---|---:|---:|",
    ]
    lines += [
        f"| {name} | {attack['pictures_s']:g} | {attack['ratio']:.2f} |" for name, attack in found["attacked"].items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
