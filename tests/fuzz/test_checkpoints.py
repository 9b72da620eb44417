"""Whatever a file of weights holds: parameters, or the documented error in one line; no code of the file runs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import pickletools
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from hypothesis import strategies as st
from safetensors.torch import save
from support.fuzzing import assert_message, bounded, fuzzed, kept
from support.mutations import as_hostile_text, mutated, with_hostile_values
from support.pickled_tensors import ELEMENTS, pickled_tensor
from support.tiny_weights import GATE

from cetacean_inference.errors import CheckpointMismatch, ClassesMismatch, FatalError, GateUnavailable
from cetacean_inference.models.classes import read_classes, read_species
from cetacean_inference.models.gate import load_gate
from cetacean_inference.models.pickled_state import PickleRefused, read_pickle
from cetacean_inference.models.prompts import default_prompts
from cetacean_inference.models.state_dict import load_strictly, read_state
from cetacean_inference.weights.blob import Blob

URL = "https://weights.test/a.ckpt"
MEMORY = 64 * 2**20
"""On top of what the process has; the files have kilobytes."""


@cache
def _directory() -> Path:
    return Path(kept(tempfile.TemporaryDirectory()))


@contextlib.contextmanager
def file_of(content: bytes) -> Iterator[tuple[IO[bytes], Blob]]:
    path = _directory() / "a.ckpt"
    path.write_bytes(content)
    with path.open("rb") as stream:
        yield stream, Blob(URL, "ab" * 32, path)


def refused(error: FatalError) -> None:
    assert_message(error.line)
    assert URL in str(error) or "gate." in str(error)


def linear() -> torch.nn.Module:
    return torch.nn.Linear(3, 2)


def load(content: bytes) -> None:
    """Read a checkpoint into a small network; every error is the documented one."""
    with file_of(content) as (stream, blob), bounded(cpu_seconds=3.0, memory=MEMORY):
        try:
            state = read_state(stream, blob, pickle_allowed=True)
            network = linear()
            load_strictly(network, state, url=URL)
        except CheckpointMismatch as error:
            refused(error)
            return
    assert all(bool(torch.isfinite(tensor).all()) for tensor in network.state_dict().values())
    network(torch.zeros(1, 3))


def saved(value: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


torch.manual_seed(0)
STATE = linear().state_dict()
SAFETENSORS = save(STATE)
ARCHIVES = (saved(STATE), saved({"state_dict": STATE, "epoch": 3}))


def header_of(content: bytes) -> Any:
    return json.loads(content[8 : 8 + struct.unpack_from("<Q", content)[0]])


@fuzzed(mutated((SAFETENSORS,)), examples=200)
def test_a_damaged_safetensors_file_is_refused_in_one_line(content: bytes) -> None:
    load(content)


@fuzzed(st.tuples(as_hostile_text(header_of(SAFETENSORS)), st.integers(-2, 2)), examples=200)
def test_a_safetensors_header_with_hostile_values_is_refused_in_one_line(case: tuple[bytes, int]) -> None:
    header, more = case
    body = SAFETENSORS[8 + struct.unpack_from("<Q", SAFETENSORS)[0] :]
    load(struct.pack("<Q", max(0, len(header) + more)) + header + body)


@fuzzed(mutated(ARCHIVES), examples=200)
def test_a_damaged_file_of_torch_save_is_refused_in_one_line(content: bytes) -> None:
    load(content)


def parts_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


PARTS = parts_of(ARCHIVES[0])
PICKLE = next(name for name in PARTS if name.endswith("data.pkl"))
PICKLES = tuple(
    next(part for name, part in parts_of(archive).items() if name.endswith("data.pkl")) for archive in ARCHIVES
)


def with_pickle(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, part in {**PARTS, PICKLE: content}.items():
            archive.writestr(name, part)
    return stream.getvalue()


@fuzzed(mutated(PICKLES), examples=300)
def test_a_damaged_pickle_in_a_whole_archive_is_refused_in_one_line(content: bytes) -> None:
    load(with_pickle(content))


SIZES = st.integers(0, 9) | st.sampled_from((-1, 2**31, 2**40, 2**62))


@fuzzed(st.tuples(st.lists(st.tuples(SIZES, SIZES), max_size=3), st.integers(-1, 9)), examples=200)
def test_no_tensor_has_more_elements_than_its_storage(case: tuple[list[tuple[int, int]], int]) -> None:
    """Strides of zero would make a large tensor of a small file."""
    sizes, offset = case
    shape, strides = tuple(size for size, _ in sizes), tuple(stride for _, stride in sizes)
    content = with_pickle(pickled_tensor(shape, strides, offset=offset))
    with file_of(content) as (stream, blob), bounded(cpu_seconds=3.0, memory=MEMORY):
        try:
            state = read_state(stream, blob, pickle_allowed=True)
        except CheckpointMismatch as error:
            refused(error)
            return
    assert state["a"].numel() <= ELEMENTS


class Mark:
    """An object whose unpickling would create a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(_directory() / "executed"),)


OPCODES = st.lists(
    st.sampled_from(
        [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
        + [
            b"\x80\x02",
            b"cos\nsystem\n",
            b"ctorch\nFloatStorage\n",
            b"ctorch._utils\n_rebuild_tensor_v2\n",
            b"ccollections\nOrderedDict\n",
        ]
        + [
            b"K\x01",
            b"X\x01\0\0\0a",
            b"q\0",
            b"h\0",
            b"(",
            b")",
            b"}",
            b"]",
            b"t",
            b"R",
            b"Q",
            b"e",
            b"u",
            b"s",
            b"b",
            b"\x85",
            b"\x86",
        ]
        + [b"h\0" * 50 + b"t", b"(" * 1000, b"]q\0" + b"h\0a" * 5, b"\x8a\xff" + b"9" * 255, b"I" + b"9" * 5000 + b"\n"]
    )
    | st.binary(max_size=6),
    max_size=40,
).map(b"".join)


@fuzzed(OPCODES, examples=400)
def test_no_sequence_of_opcodes_runs_code_or_takes_long(content: bytes) -> None:
    with bounded(memory=MEMORY):
        try:
            read_pickle(content + b".")
        except PickleRefused as error:
            assert_message(str(error))
    load(with_pickle(content + b"."))


@fuzzed(st.tuples(st.integers(0, 5), st.binary(max_size=20)), examples=30)
def test_an_object_with_code_is_never_called(case: tuple[int, bytes]) -> None:
    protocol, noise = case
    for content in (saved({"a": Mark()}), pickle.dumps({"a": Mark(), "b": noise}, protocol=protocol)):
        load(content)
        load(with_pickle(content))
    assert not (_directory() / "executed").exists()


NAMES = np.array(["id0", "id1", "кит"])


def npy(array: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


NPYS = (
    npy(NAMES),
    npy(NAMES.astype("S", copy=False) if NAMES.dtype.kind == "S" else np.array([b"a", b"b"])),
    npy(np.arange(3)),
    npy(NAMES, version=(2, 0)),
)
HEADERS = st.sampled_from(
    (
        "'<U3'",
        "'|S3'",
        "'<i8'",
        "'|O'",
        "'<U0'",
        "'|V3'",
        "[('a','<U3')]",
        "'<U99999999'",
        "(((((((((",
        "__import__('os')",
        "'<f8'",
        "'>U3'",
        "'m8[s]'",
    )
)
SHAPES = st.sampled_from(
    (
        "(3,)",
        "(99999999999999,)",
        "(-1,)",
        "(3,1)",
        "()",
        "(0,)",
        "3",
        "(1e9,)",
        "(True,)",
        "(2**70,)",
        "(3,)*9999",
        "9" * 6000,
    )
)


@fuzzed(mutated(NPYS) | st.tuples(HEADERS, SHAPES).map(lambda parts: _headed(*parts)), examples=300)
def test_no_file_of_classes_is_another_error_than_a_mismatch(content: bytes) -> None:
    with file_of(content) as (stream, blob), bounded(memory=MEMORY):
        try:
            ids = read_classes(stream, blob, known=2)
        except ClassesMismatch as error:
            refused(error)
            return
    assert len(set(ids)) == len(ids) == 2
    assert all(name.encode() is not None for name in ids)


def _headed(dtype: str, shape: str) -> bytes:
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + bytes(36)


CSV = b'individual_id,species\nid0,fin_whale\nid1,"blue, whale"\n'


@fuzzed(mutated((CSV, b"\xef\xbb\xbf" + CSV, CSV.replace(b"\n", b"\r\n"))), examples=200)
def test_no_map_of_species_is_another_error_than_a_mismatch(content: bytes) -> None:
    with file_of(content) as (stream, blob), bounded(memory=MEMORY):
        try:
            species = read_species(stream, blob, classes=("id0", "id1"))
        except ClassesMismatch as error:
            refused(error)
            return
    assert len(species) == 2
    assert all(species)


GATE_STATE = save({"a": torch.zeros(1)})


def gate_of(config: bytes) -> None:
    """Build a gate of a configuration; the weights never fit."""
    with file_of(GATE_STATE) as (stream, blob), bounded(cpu_seconds=20.0, memory=1024 * 2**20):
        try:
            load_gate(
                stream,
                blob,
                architecture="tiny-clip",
                config=config,
                prompts=default_prompts(),
                derived=_directory(),
                pickle_allowed=False,
            )
        except GateUnavailable as error:
            refused(error)
            return
    raise AssertionError("expected an error")


SMALL_NUMBERS: st.SearchStrategy[Any] = st.integers(-2, 64) | st.sampled_from(
    ("x", None, [], {}, 0.5, True, "ViT-B-32")
)


@fuzzed(with_hostile_values(GATE, SMALL_NUMBERS, most=2), examples=25)
def test_no_configuration_of_a_gate_is_another_error_than_its_own(config: Any) -> None:
    gate_of(json.dumps(config).encode())


@fuzzed(
    st.sampled_from(
        (
            b"[" * 100_000,
            b"null",
            b"[]",
            b'"model_cfg"',
            b"7",
            b"{}",
            b"\xff",
            b'{"model_cfg": 7}',
            b'{"model_cfg": {}}',
            b"9" * 5000,
        )
    ),
    examples=10,
)
def test_no_text_in_place_of_a_configuration_is_another_error_than_its_own(config: bytes) -> None:
    gate_of(config)
