"""Decoding in processes that can be killed."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.pictures import announced_png, encoded, picture
from support.waiting import until
from support.worst_pictures import WORST, progressive_jpeg

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.imaging import decoder_pool
from cetacean_inference.imaging.decoder_pool import LAST_TRY, DecoderPool
from cetacean_inference.imaging.decoding import decode
from cetacean_inference.imaging.resizing import resize
from cetacean_inference.rejected_requests import RequestRejected, UnusableImage
from cetacean_inference.settings import ImageSettings
from cetacean_inference.system.priority import MAX_NICENESS
from cetacean_inference.types import Resize

RESIZES = (Resize("crop_centre", 24), Resize("squash", 32), Resize("original"))
ONE = (Resize("squash", 1),)


@pytest.fixture
def pool_of() -> Iterator[Callable[..., DecoderPool]]:
    """Makes pools; a picture may take little processor time by default."""
    pools: list[DecoderPool] = []

    def make(*, processes: int = 2, decode_cpu_seconds: float = 1.0, **bounds: Any) -> DecoderPool:
        images = ImageSettings(decode_cpu_seconds=decode_cpu_seconds, **bounds)
        pools.append(DecoderPool(images, processes=processes, retry_after=3))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()
        assert pool.processes == {}


def _processor_ticks(process: int) -> int:
    """Return the processor time of a process, in hundredths of a second."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _niceness(process: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, process)


def _added_to_own(added: int) -> int:
    return min(MAX_NICENESS, _niceness(0) + added)


def _page_faults(process: int) -> int:
    """Return the page faults of a process that read nothing from a disk."""
    return int(Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[7])


def _processor_seconds_of_ended_processes() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _mapped_files(process: int) -> str:
    return Path(f"/proc/{process}/maps").read_text(encoding="utf-8")


def _shared_memory() -> list[int]:
    """Return the sizes of what this process shares with decoders."""
    sizes = []
    for one in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the folder's own descriptor
            if "memfd:pictures" in str(one.readlink()):
                sizes.append(one.stat().st_size)
    return sizes


def returning(data: bytes) -> Callable[[], bytes]:
    return lambda: data


async def test_a_picture_is_decoded_and_resized_as_in_this_process(pool_of: Callable[..., DecoderPool]) -> None:
    values = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(values), "JPEG")
    found = await pool_of().decode(returning(data), RESIZES)
    expected = decode(data, ImageSettings())
    assert found.size == (120, 80)
    for pixels, how in zip(found.pixels, RESIZES, strict=True):
        assert np.array_equal(pixels, np.asarray(resize(expected, how)))


async def test_a_rejection_keeps_its_status_message_and_size(pool_of: Callable[..., DecoderPool]) -> None:
    pool = pool_of(max_pixels=1_000_000)
    with pytest.raises(UnusableImage, match="50000x50000") as caught:
        await pool.decode(returning(announced_png(50_000, 50_000)), ONE)
    assert (caught.value.status, caught.value.size) == (413, (50_000, 50_000))
    ids = pool.processes
    assert (await pool.decode(returning(picture()), ONE)).size == (40, 30)
    assert pool.processes == ids, "the process is used again"


async def test_an_error_of_the_reader_is_raised(pool_of: Callable[..., DecoderPool]) -> None:
    def read() -> bytes:
        raise UnusableImage(415, "a damaged entry")

    with pytest.raises(UnusableImage, match="a damaged entry"):
        await pool_of().decode(read, ONE)


@pytest.mark.parametrize("kind", WORST)
async def test_the_worst_file_of_each_format_ends_in_time_while_others_are_decoded(
    pool_of: Callable[..., DecoderPool], kind: str
) -> None:
    pool, worst = pool_of(decode_cpu_seconds=0.4), WORST[kind]()
    before = _processor_seconds_of_ended_processes()
    bad = [asyncio.create_task(pool.decode(returning(worst), ONE)) for _ in range(4)]
    good = await asyncio.gather(*(pool.decode(returning(picture()), ONE) for _ in range(20)))
    assert {one.size for one in good} == {(40, 30)}
    for one in await asyncio.gather(*bad, return_exceptions=True):
        assert not isinstance(one, BaseException) or (isinstance(one, UnusableImage) and one.status in (413, 415)), one
    assert pool.healthy
    pool.close()
    # Four pictures may take 0.4 s each; the rest is the start of processes.
    assert _processor_seconds_of_ended_processes() - before < 20


async def test_a_picture_that_takes_too_long_is_rejected_and_its_process_replaced(
    pool_of: Callable[..., DecoderPool],
) -> None:
    pool = pool_of(decode_cpu_seconds=0.4)
    pool.start()
    before = set(pool.processes)
    with pytest.raises(UnusableImage, match=r"within 0\.4 s of processor time") as caught:
        await pool.decode(returning(progressive_jpeg()), ONE)
    assert caught.value.status == 413
    assert len(pool.processes) == 2
    assert not before & set(pool.processes), "both tries were killed"
    assert (await pool.decode(returning(picture()), ONE)).size == (40, 30)


async def test_a_picture_that_takes_longer_than_most_is_decoded(
    pool_of: Callable[..., DecoderPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = replace(decoder_pool.FIRST_TRIES[0], cpu_share=0.0001)
    monkeypatch.setattr(decoder_pool, "FIRST_TRIES", (first,))
    data = encoded(Image.new("RGB", (2000, 1500)), "PNG")
    assert (await pool_of(decode_cpu_seconds=20).decode(returning(data), ONE)).size == (2000, 1500)


@pytest.fixture
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes pictures of more than 100 pixels medium ones, and those of more than 1000 large ones."""
    small, medium, large = decoder_pool.FIRST_TRIES
    steps = (replace(small, max_pixels=100), replace(medium, max_pixels=1000), large)
    monkeypatch.setattr(decoder_pool, "FIRST_TRIES", steps)


@pytest.mark.usefixtures("_small_steps")
async def test_pictures_of_every_size_are_decoded(pool_of: Callable[..., DecoderPool]) -> None:
    pool = pool_of()
    for size in ((10, 10), (20, 20), (40, 30)):
        assert (await pool.decode(returning(picture(size=size)), ONE)).size == size


@pytest.mark.usefixtures("_small_steps")
async def test_large_pictures_are_decoded_one_at_a_time(pool_of: Callable[..., DecoderPool]) -> None:
    pool, reads = pool_of(processes=2, decode_cpu_seconds=600), 0
    pool.start()
    at_start = {process: _processor_ticks(process) for process in pool.processes}

    def read() -> bytes:
        nonlocal reads
        reads += 1
        return picture()

    first = asyncio.create_task(pool.decode(returning(progressive_jpeg()), ONE))
    await until(lambda: any(_processor_ticks(process) > before + 20 for process, before in at_start.items()))
    second = asyncio.create_task(pool.decode(read, ONE))
    await until(lambda: reads == 1)
    assert (await pool.decode(returning(picture(size=(10, 10))), ONE)).size == (10, 10)
    assert (await pool.decode(returning(picture(size=(10, 10))), ONE)).size == (10, 10)
    assert not second.done()
    first.cancel()
    assert (await second).size == (40, 30)
    assert reads == 2, "its file took no memory while it waited"


@pytest.mark.usefixtures("_small_steps")
async def test_while_a_picture_is_tried_for_the_last_time_those_of_many_pixels_are_decoded_one_at_a_time(
    pool_of: Callable[..., DecoderPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    small, medium, large = decoder_pool.FIRST_TRIES
    monkeypatch.setattr(decoder_pool, "FIRST_TRIES", (small, replace(medium, max_pixels=10_000_000), large))
    pool, reads = pool_of(processes=2, decode_cpu_seconds=600), 0
    last = asyncio.create_task(pool.decode(returning(progressive_jpeg(side=300, scans=160_000)), ONE))
    await until(lambda: LAST_TRY.niceness in pool.processes.values())

    def reading(data: bytes) -> Callable[[], bytes]:
        def read() -> bytes:
            nonlocal reads
            reads += 1
            return data

        return read

    first = asyncio.create_task(pool.decode(reading(progressive_jpeg()), ONE))
    await until(lambda: reads == 1)
    second = asyncio.create_task(pool.decode(reading(picture()), ONE))
    await until(lambda: reads == 2)
    for _ in range(10):
        assert (await pool.decode(returning(picture(size=(10, 10))), ONE)).size == (10, 10)
    assert not second.done()
    first.cancel()
    assert (await second).size == (40, 30)
    last.cancel()
    await asyncio.wait([first, last])


async def test_the_memory_of_a_picture_is_kept_for_the_next_one(pool_of: Callable[..., DecoderPool]) -> None:
    pool = pool_of(processes=1, decode_cpu_seconds=20)
    data = encoded(Image.new("RGB", (4000, 3000)), "JPEG")
    for _ in range(2):
        await pool.decode(returning(data), ONE)
    (process,) = [one for one, added in pool.processes.items() if added]
    before = _page_faults(process)
    await pool.decode(returning(data), ONE)
    # 36 MB in pages of 4 KiB are 8,800 faults.
    assert _page_faults(process) - before < 1000


async def test_pictures_of_many_pixels_have_processes_of_a_lower_priority(pool_of: Callable[..., DecoderPool]) -> None:
    pool = pool_of(processes=1, decode_cpu_seconds=20)
    large = encoded(Image.new("L", (2400, 2000)), "JPEG")
    for data in (picture(), large, picture(), large):
        await pool.decode(returning(data), ONE)
    assert sorted(map(_niceness, pool.processes)) == [_added_to_own(5), _added_to_own(10)]
    await pool.decode(returning(encoded(Image.new("L", (4200, 4000)), "JPEG")), ONE)
    assert sorted(map(_niceness, pool.processes)) == [_added_to_own(5), _added_to_own(10)], (
        "those of the most pixels have the same ones"
    )


def padded_webp(size: int) -> bytes:
    return encoded(Image.new("RGB", (8, 8), (9, 9, 9)), "WEBP", exif=b"Exif\0\0II*\0" + bytes(size))


async def test_a_file_of_far_more_bytes_than_its_pixels_need_is_decoded_by_a_slow_process_that_is_kept(
    pool_of: Callable[..., DecoderPool],
) -> None:
    pool = pool_of(processes=1)
    pool.start()
    (usual,) = pool.processes
    own = os.getpriority(os.PRIO_PROCESS, 0)
    await pool.decode(returning(padded_webp(1000)), ONE)
    assert list(pool.processes) == [usual]
    for _ in range(2):
        await pool.decode(returning(padded_webp(1_200_000)), ONE)
    assert len(pool.processes) == 2
    await pool.decode(returning(picture()), ONE)  # by the one that was started in place of the slow one
    assert len(pool.processes) == 2
    assert sorted(os.getpriority(os.PRIO_PROCESS, one) for one in pool.processes) == [min(19, own + 5), 19]


async def test_a_slow_process_that_ended_is_replaced(pool_of: Callable[..., DecoderPool]) -> None:
    pool = pool_of(processes=1)
    await pool.decode(returning(padded_webp(1_200_000)), ONE)
    (slow,) = [one for one, added in pool.processes.items() if added]
    os.kill(slow, signal.SIGKILL)
    await until(lambda: os.waitid(os.P_PID, slow, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None)
    assert (await pool.decode(returning(padded_webp(1_200_000)), ONE)).size == (8, 8)
    assert slow not in pool.processes


async def test_large_files_and_large_answers_leave_no_memory_behind(pool_of: Callable[..., DecoderPool]) -> None:
    pool = pool_of(processes=1, decode_cpu_seconds=20)
    noise = Image.effect_noise((1500, 1200), 90)
    data = encoded(noise, "BMP")
    found = await pool.decode(returning(data), (Resize("original"),))
    assert np.array_equal(found.pixels[0], np.asarray(noise.convert("RGB")))
    assert _shared_memory() == [0]
    pool.close()
    assert _shared_memory() == []


async def test_a_cancelled_decode_is_killed_and_frees_its_place(pool_of: Callable[..., DecoderPool]) -> None:
    pool = pool_of(processes=1, decode_cpu_seconds=600)
    pool.start()
    (busy,) = pool.processes
    at_start = _processor_ticks(busy)
    waiting = asyncio.create_task(pool.decode(returning(progressive_jpeg()), ONE))
    await until(lambda: _processor_ticks(busy) > at_start + 20)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert busy not in pool.processes
    assert (await pool.decode(returning(picture()), ONE)).size == (40, 30)


async def test_a_process_that_ended_while_idle_is_replaced(pool_of: Callable[..., DecoderPool]) -> None:
    pool = pool_of(processes=1)
    pool.start()
    (idle,) = pool.processes
    os.kill(idle, signal.SIGKILL)
    # Leaves the exit status to the pool.
    await until(lambda: os.waitid(os.P_PID, idle, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None)
    assert (await pool.decode(returning(picture()), ONE)).size == (40, 30)
    assert pool.healthy


async def test_a_picture_that_ends_its_process_is_rejected(pool_of: Callable[..., DecoderPool]) -> None:
    pool = pool_of(processes=1, decode_cpu_seconds=600)
    pool.start()
    (only,) = pool.processes
    at_start = _processor_ticks(only)
    waiting = asyncio.create_task(pool.decode(returning(progressive_jpeg()), ONE))
    await until(lambda: _processor_ticks(only) > at_start + 20)
    os.kill(only, signal.SIGSEGV)
    with pytest.raises(UnusableImage, match="ends its decoder") as caught:
        await waiting
    assert caught.value.status == 415


async def test_closing_kills_a_decode_under_way(pool_of: Callable[..., DecoderPool]) -> None:
    pool = pool_of(processes=1, decode_cpu_seconds=600)
    waiting = asyncio.create_task(pool.decode(returning(progressive_jpeg()), ONE))
    await until(lambda: len(pool.processes) == 1)
    (only,) = pool.processes
    pool.close()
    with pytest.raises(ProcessLookupError):
        os.kill(only, 0)
    waiting.cancel()
    await asyncio.wait([waiting])


def test_a_process_that_cannot_start_is_an_error(
    pool_of: Callable[..., DecoderPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_pool, "MODULE", "no_such_module")
    with pytest.raises(ConfigInvalid, match=r"expected a decoder's process that starts, got: .*status 1"):
        pool_of().start()


async def test_the_pool_is_unhealthy_until_a_process_starts(
    pool_of: Callable[..., DecoderPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_pool, "RETRY_SECONDS", 0.01)
    pool = pool_of()
    with monkeypatch.context() as context:
        context.setattr(sys, "executable", "/no/such/python")
        with pytest.raises(RequestRejected) as caught:
            await pool.decode(returning(picture()), ONE)
        assert (caught.value.status, caught.value.retry_after) == (503, 3)
        assert not pool.healthy
    await until(lambda: pool.healthy)
    assert (await pool.decode(returning(picture()), ONE)).size == (40, 30)


async def test_a_decoders_process_imports_no_network_library(pool_of: Callable[..., DecoderPool]) -> None:
    pool = pool_of(processes=1)
    await pool.decode(returning(picture()), ONE)
    mapped = _mapped_files(next(iter(pool.processes)))
    assert "torch" not in mapped
    assert "numpy" not in mapped
