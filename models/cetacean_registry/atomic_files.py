"""Files that are written as a whole or not at all: other programs read the old content or the new one."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_ANYONE: Final = 0o666


def replace_file(path: Path, content: bytes, *, mode: int = _ANYONE) -> None:
    """Write a file, and leave the one that is there as it is if that fails.

    A symbolic link stays one, and so does a device or a pipe.

    Args:
        path: the file.
        content: all of it.
        mode: rights of a new file, less the umask; one that is there keeps its own.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
    with _naming(path):
        try:
            path.stat()  # since Python 3.13 `resolve` leaves links in a circle as they are
            exists = True
        except FileNotFoundError:
            exists = False
        target = path.resolve()
        if exists and not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if exists and not target.is_file():
            with target.open("wb") as stream:
                stream.write(content)
            return
        new = target.with_name(f".new-{secrets.token_hex(8)}")
        try:
            _write(new, content, mode)
            if exists:
                new.chmod(target.stat().st_mode & 0o777)
            new.replace(target)
        except BaseException:
            new.unlink(missing_ok=True)
            raise


def create_file(path: Path, content: bytes) -> None:
    """Write a file that does not exist, and leave none if that fails.

    Raises:
        FileExistsError: it exists.
        OSError: it cannot be written; the error names `path`.
    """
    with _naming(path):
        try:
            _write(path, content, _ANYONE)
        except FileExistsError:
            raise
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _write(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as stream:
        stream.write(content)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let each error name the file that was asked for: some have no name, and others that of the new file."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror or str(error), str(path)) from error
    except (RuntimeError, ValueError) as error:  # links in a circle, a null character
        raise OSError(errno.EINVAL, str(error), str(path)) from error
