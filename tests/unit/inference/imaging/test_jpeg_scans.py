"""Sequential JPEG files of several scans: whole ones are decoded, and a scan that is not whole is noticed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.jpeg_scans import END, ScansJpeg, scans_jpeg

from cetacean_inference.imaging.decoding import decode
from cetacean_inference.rejected_requests import UnusableImage
from cetacean_inference.settings import ImageSettings

BOUNDS = ImageSettings()
SUBSAMPLED = ((2, 2), (1, 1), (1, 1))
FOUR = ((1, 1),) * 4
KINDS: dict[str, dict[str, Any]] = {
    "one by one": {"script": [[0], [1], [2]]},
    "another order": {"script": [[2], [0], [1]]},
    "subsampled": {"script": [[0], [1], [2]], "sampling": SUBSAMPLED},
    "odd size": {"script": [[0], [1], [2]], "sampling": SUBSAMPLED, "size": (211, 163)},
    "restarts": {"script": [[0], [1], [2]], "interval": 7, "sampling": SUBSAMPLED},
    "colours together": {"script": [[0], [1, 2]], "sampling": SUBSAMPLED, "size": (211, 163)},
    "colours together with restarts": {"script": [[0], [1, 2]], "sampling": SUBSAMPLED, "interval": 5},
    "other tables": {"script": [[0], [1, 2]], "tables": [0, 1, 1]},
    "first ones together": {"script": [[0, 1], [2]], "sampling": ((2, 1), (1, 1), (1, 1))},
    "four colours": {"script": [[0], [1], [2], [3]], "sampling": FOUR},
    "three of four": {"script": [[3], [0, 1, 2]], "sampling": (*SUBSAMPLED, (2, 2)), "size": (211, 163)},
}


def refusal(data: bytes) -> str:
    with pytest.raises(UnusableImage) as caught:
        decode(data, BOUNDS)
    assert caught.value.status == 415
    return caught.value.detail


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_is_decoded_as_by_pillow(kind: str) -> None:
    made = scans_jpeg(**KINDS[kind])
    expected = Image.open(io.BytesIO(made.whole)).convert("RGB")
    assert np.asarray(expected).std() > 10
    assert np.array_equal(np.asarray(decode(made.whole, BOUNDS)), np.asarray(expected))


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (9, 17), (65, 1)])
@pytest.mark.parametrize("script", [[[0], [1], [2]], [[0], [1, 2]], [[0, 1], [2]]])
def test_a_small_file_is_decoded(script: Sequence[Sequence[int]], size: tuple[int, int]) -> None:
    made = scans_jpeg(script, sampling=SUBSAMPLED, size=size)
    assert decode(made.whole, BOUNDS).size == size


@pytest.mark.parametrize("kept", [0.3, 0.7])
@pytest.mark.parametrize("kind", KINDS)
def test_a_scan_that_ends_early_is_noticed(kind: str, kept: float) -> None:
    made = scans_jpeg(**KINDS[kind])
    for number, scan in enumerate(made.scans):
        cut = scan[: int(len(scan) * kept)]
        assert "damaged" in refusal(made.with_scan(number, cut))
        assert "damaged" in refusal(made.head + b"".join(made.scans[:number]) + cut + END)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_scan_is_noticed(kind: str) -> None:
    made = scans_jpeg(**KINDS[kind])
    for number in range(len(made.scans)):
        assert "damaged" in refusal(made.with_scan(number, b""))


def test_a_scan_that_comes_twice_is_rejected() -> None:
    made = scans_jpeg([[0], [1], [2]])
    assert "in two scans" in refusal(made.head + b"".join((*made.scans, made.scans[2])) + END)


def test_two_colours_of_different_tables_cannot_be_checked() -> None:
    assert "cannot be checked" in refusal(scans_jpeg([[0, 1], [2]], tables=[0, 1, 1]).whole)


@pytest.mark.parametrize(
    "head",
    [
        lambda made: made.head.replace(b"\xff\xc0\x00\x11", b"\xff\xc0\x00\x0b"),
        lambda made: made.head.replace(b"\x03\x01\x11", b"\x03\x01\x00"),
        lambda made: made.head.replace(b"\xff\xc0\x00\x11", b"\xff\xc0\x00\x02"),
    ],
)
def test_a_damaged_head_is_rejected(head: Any) -> None:
    made: ScansJpeg = scans_jpeg([[0], [1], [2]])
    assert refusal(head(made) + b"".join(made.scans) + END)
