"""The room of a volume."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cetacean_inference.system.volumes import has_room


def test_a_file_that_fits_leaves_nothing_behind(tmp_path: Path) -> None:
    assert has_room(tmp_path, 1000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "room"), [(errno.ENOSPC, False), (errno.EDQUOT, False), (errno.EROFS, True)])
def test_only_errors_about_room_say_that_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, room: bool
) -> None:
    def fail(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", fail)
    assert has_room(tmp_path, 1000) == room
    assert list(tmp_path.iterdir()) == []


def test_a_file_larger_than_the_volume_does_not_fit(tmp_path: Path) -> None:
    assert not has_room(tmp_path, os.statvfs(tmp_path).f_frsize * os.statvfs(tmp_path).f_blocks + 2**20)
