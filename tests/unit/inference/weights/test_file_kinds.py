"""The kind of a file by its first bytes, as messages name it."""

from __future__ import annotations

import io
import pickle
import tarfile

import pytest

from cetacean_inference.weights.file_kinds import describe_content, is_pickle, is_safetensors

SAFETENSORS = (2).to_bytes(8, "little") + b"{}"
PICKLE = pickle.dumps({})
ZIP = b"PK\x03\x04rest"
LARGEST = 100_000_000


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("weights.ckpt"))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", "an empty file"),
        (SAFETENSORS, "a safetensors file"),
        (tar(), "a tar archive"),
        (b"version https://git-lfs.github.com/spec/v1", "a git-lfs pointer; the file itself was not downloaded (run git lfs pull)"),
        (b"\x93NUMPY\x01", "a .npy array"),
        (ZIP, "a zip archive"),
        (b"PK\x05\x06", "an empty zip archive"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (b"BZh9", "a bzip2 archive"),
        (b"\xfd7zXZ\x00", "an xz archive"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"Rar!", "a rar archive"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"GGUF", "a GGUF file"),
        (PICKLE, "a pickle without a zip archive around it, as torch wrote it before version 1.6"),
        (b"<!DOCTYPE html><html>", "an HTML page"),
        (b"\xef\xbb\xbf\n <HTML>", "an HTML page"),
        (b"<?xml version='1.0'?>", "an XML document"),
        (b"<error/>", "a page in HTML or XML"),
        (b' {"error": 1}', "JSON text"),
        (b"[1]", "JSON text"),
        (b"plain text", "a file that begins with the bytes 70 6c 61 69 6e 20 74 65"),
    ],
)  # fmt: skip
def test_the_kind_is_named(head: bytes, kind: str) -> None:
    assert describe_content(head) == kind


@pytest.mark.parametrize(
    ("length", "begin", "expected"),
    [
        (1, b"{", True),
        (LARGEST, b"{", True),
        (0x80, b"{", True),
        (0, b"{", False),
        (LARGEST + 1, b"{", False),
        (2, b"[", False),
        (2, b"", False),
        (2, b" {", False),
    ],
)
def test_a_safetensors_file_begins_with_a_length_and_an_object(length: int, begin: bytes, *, expected: bool) -> None:
    assert is_safetensors(length.to_bytes(8, "little") + begin) is expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (PICKLE, True),
        (ZIP, True),
        (SAFETENSORS, False),
        ((0x80).to_bytes(8, "little") + b"{", False),
        (b"PK\x05\x06", False),
        (b"text", False),
        (b"", False),
    ],
)
def test_a_pickle_is_found_also_inside_of_a_zip_archive(head: bytes, *, expected: bool) -> None:
    assert is_pickle(head) is expected
