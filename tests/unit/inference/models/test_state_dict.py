"""Reading checkpoints: .safetensors and files of torch.save, and a one-line error for everything else."""

from __future__ import annotations

import collections
import contextlib
import gzip
import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from support.pickled_tensors import pickled_tensor
from torch import Tensor, nn

import cetacean_inference
from cetacean_inference.errors import CheckpointMismatch
from cetacean_inference.models.pickled_state import read_pickle
from cetacean_inference.models.state_dict import load_strictly, read_state
from cetacean_inference.weights.blob import Blob

URL = "https://weights.test/a.ckpt"


def reads(content: bytes, directory: Path, *, pickle_allowed: bool = True) -> Any:
    path = directory / "a.ckpt"
    path.write_bytes(content)
    with path.open("rb") as stream:
        return read_state(stream, Blob(URL, "ab" * 32, path), pickle_allowed=pickle_allowed)


def refusal(content: bytes, directory: Path, *, pickle_allowed: bool = True) -> str:
    """Return the message after `URL: `; checks that it is one line without control characters."""
    with pytest.raises(CheckpointMismatch) as caught:
        reads(content, directory, pickle_allowed=pickle_allowed)
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith(f"{URL}: expected ")
    assert len(message) < 500
    return message.removeprefix(f"{URL}: ")


def saved(value: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, **options)
    return stream.getvalue()


def rezipped(change: Callable[[dict[str, bytes]], object], value: Any = None) -> bytes:
    """Return a file of torch.save after `change` modified its entries."""
    value = {"a": torch.arange(6.0)} if value is None else value
    with zipfile.ZipFile(io.BytesIO(saved(value))) as archive:
        entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    change(entries)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def with_pickle(content: bytes) -> bytes:
    """Return a file of torch.save with another pickle."""
    return rezipped(lambda entries: entries.update({"archive/data.pkl": content}))


STATE: dict[str, Tensor] = {
    "float": torch.arange(6.0).reshape(2, 3),
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "part": torch.arange(10.0)[3:7],
    "half": torch.arange(4).half(),
    "brain": torch.arange(4).bfloat16(),
    "double": torch.arange(4).double(),
    "count": torch.tensor(7),
    "flags": torch.tensor([True, False]),
    "bytes": torch.arange(5, dtype=torch.uint8),
    "empty": torch.zeros(0, 3),
    "parameter": nn.Parameter(torch.ones(2)),
}


@pytest.mark.parametrize(
    "content",
    [
        saved(STATE),
        saved({"state_dict": STATE, "epoch": 3, "loss": 0.5, "callbacks": {"a": [1, None, True]}}),
        saved(collections.OrderedDict(STATE), pickle_protocol=4),
        save({key: tensor.contiguous() for key, tensor in STATE.items()}),
    ],
    ids=["torch.save", "Lightning", "protocol 4", "safetensors"],
)
def test_the_tensors_are_those_that_were_saved(content: bytes, tmp_path: Path) -> None:
    found = reads(content, tmp_path)
    assert found.keys() == STATE.keys()
    for key, tensor in STATE.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)


def test_the_state_of_a_module_is_read_with_its_shared_parameters(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    module.append(module[0])
    found = reads(saved(module.state_dict()), tmp_path)
    other = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3))
    load_strictly(other, found, url=URL)
    for key, tensor in module.state_dict().items():
        assert torch.equal(other.state_dict()[key], tensor)


def test_a_pickled_checkpoint_without_a_digest_is_refused(tmp_path: Path) -> None:
    message = refusal(saved(STATE), tmp_path, pickle_allowed=False)
    assert message == (
        "expected a .safetensors file, or a sha256 for a pickled checkpoint (.ckpt, .pt), got neither "
        "- save it as .safetensors, set its sha256, or set CETACEAN_FETCH__ALLOW_UNVERIFIED_PICKLE=true"
    )


def test_a_safetensors_file_needs_no_digest(tmp_path: Path) -> None:
    assert torch.equal(reads(save({"a": torch.ones(2)}), tmp_path, pickle_allowed=False)["a"], torch.ones(2))


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 3\n", "a git-lfs pointer"),
        (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "an HTML page"),
        (b"\n <HTML>", "an HTML page"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML document"),
        (b'{"error": "gated"}', "JSON text"),
        (gzip.compress(b"weights", mtime=0), "a gzip archive"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"\x93NUMPY\x01\x00", "a .npy array"),
        (b"a" * 300, "a file that begins with the bytes 61 61 61 61 61 61 61 61"),
        (b"\x1b[31mred", "a file that begins with the bytes 1b 5b 33 31"),
        (saved(STATE, _use_new_zipfile_serialization=False), "a pickle without a zip archive around it"),
        (pickle.dumps({"a": 1}), "a pickle without a zip archive around it"),
        (b"PK\x03\x04garbage", "a damaged zip archive"),
        (saved(STATE)[:-40], "a damaged zip archive"),
        (saved(torch.ones(2)), "a pickle of a tensor instead of a state dict"),
        (saved([1, 2]), "a pickle of list instead of a state dict"),
    ],
)
def test_the_error_names_the_kind_of_the_file(content: bytes, kind: str, tmp_path: Path) -> None:
    message = refusal(content, tmp_path)
    assert message.startswith(
        f"expected a .safetensors file, or a zip archive of torch.save with a state dict, got {kind}"
    )


def quantised() -> Tensor:
    with warnings.catch_warnings():  # torch deprecates these tensors; files of them exist
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)


class Runs:
    """Calls `print` if it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("ran",)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"a": Runs()}, "builtins.print"),
        ({"a": Path("x")}, "pathlib"),
        ({"a": torch.float32}, "torch.float32"),
        ({"a": torch.ones(3).to_sparse()}, "torch._utils._rebuild_sparse_tensor"),
        ({"a": quantised()}, "torch._utils._rebuild_qtensor"),
        ({"a": torch.ones(3, device="meta")}, "torch._utils._rebuild_meta_tensor_no_storage"),
        ({"a": nn.Linear(2, 2)}, "torch.nn.modules.linear.Linear"),
        ({"a": collections.Counter()}, "collections.Counter"),
        ({"state_dict": {}, "hyper_parameters": Runs()}, "builtins.print"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_the_error_names_the_global_that_no_state_dict_needs(
    value: Any, name: str, protocol: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refusal(saved(value, pickle_protocol=protocol), tmp_path)
    assert f"got a pickle with the global '{name}".replace("builtins", "") in message.replace(
        "__builtin__", ""
    ).replace("builtins", "")
    assert capsys.readouterr().out == ""


def sized(shape: tuple[int, ...], strides: tuple[int, ...], *, offset: int = 0, key: str = "0") -> bytes:
    """Return a file of torch.save with one tensor of these sizes on a storage of 6 floats."""
    return with_pickle(pickled_tensor(shape, strides, offset=offset, key=key))


def test_a_tensor_written_by_hand_is_read(tmp_path: Path) -> None:
    assert torch.equal(reads(sized((2, 2), (3, 1), offset=1), tmp_path)["a"], torch.tensor([[1.0, 2.0], [4.0, 5.0]]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (sized((2, 3), (3, 1), offset=1), "larger than its storage"),
        (sized((10**6, 10**6), (0, 0)), "larger than its storage"),
        (sized((2**62, 2**62), (1, 1)), "impossible sizes"),
        (sized((-1,), (1,)), "impossible sizes"),
        (sized((2,), (1,), offset=-1), "impossible sizes"),
        (sized((1,) * 17, (1,) * 17), "impossible sizes"),
        (sized((2,), (1, 1)), "impossible sizes"),
        (sized((2,), (1,), key="9"), "a storage of another size than its pickle says"),
        (rezipped(lambda entries: entries.update({"archive/data/0": b"short"})), "a storage of another size"),
        (rezipped(lambda entries: entries.pop("archive/data/0")), "a storage of another size"),
        (rezipped(lambda entries: entries.pop("archive/data.pkl")), "with 0 files data.pkl"),
        (rezipped(lambda entries: entries.update({"other/data.pkl": b""})), "with 2 files data.pkl"),
        (rezipped(lambda entries: entries.update({"archive/constants.pkl": b""})), "a TorchScript archive"),
        (rezipped(lambda entries: entries.update({"archive/byteorder": b"big"})), "another byte order"),
        (with_pickle(b""), "a damaged pickle"),
        (with_pickle(b"\x80\x02}q\x00"), "a damaged pickle"),
        (with_pickle(b"\x80\x02."), "a damaged pickle"),
        (with_pickle(b"\x80\x02h\x07."), "a damaged pickle"),
        (with_pickle(b"\x80\x02(."), "a damaged pickle"),
        (with_pickle(pickle.dumps({}, 2) + b"more"), "bytes after its end"),
        (with_pickle(b"\x80\x02K\x01K\x01K\x01s."), "sets items of something else"),
        (with_pickle(b"\x80\x02})K\x01s."), "a dictionary with plain keys"),
        (with_pickle(b"\x80\x02}K\x01a."), "appends to something else than a list"),
        (with_pickle(b"\x80\x02K\x01}b."), "the state of something else than a dictionary"),
        (with_pickle(b"\x80\x02K\x01)R."), "calls something else than a global"),
        (with_pickle(b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R."), "calls collections.OrderedDict with other"),
        (with_pickle(b"\x80\x02)Q."), "something else than a tensor's storage"),
        (with_pickle(b"I01\n."), "the opcode INT"),
        (with_pickle(b"(cos\nsystem\no."), "the global 'os.system'"),
        (with_pickle(b"(ios\nsystem\n."), "the opcode INST"),
        (with_pickle(b"co\\c\nsystem\n."), "the global"),
        (with_pickle(b"\x82\x01."), "the opcode EXT1"),
    ],
)
def test_a_damaged_or_hostile_archive_is_an_error(content: bytes, message: str, tmp_path: Path) -> None:
    assert message in refusal(content, tmp_path)


def test_a_compressed_archive_is_an_error(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10_000_000)
    assert "overlap" in refusal(stream.getvalue(), tmp_path)


@pytest.mark.parametrize(
    "key",
    [
        b"J\xff\xff\xff\xff",  # -1
        b"\x8a\x05\0\0\0\0\1",  # 2**32
        b"\x8a\x08" + (2**61 - 1).to_bytes(8, "little"),  # has the hash of 0
        b"G" + bytes(8),
        b"\x88",
        b"C\x01x",
    ],
)
def test_keys_whose_hashes_can_be_made_equal_are_refused(key: bytes, tmp_path: Path) -> None:
    assert "a dictionary with plain keys" in refusal(with_pickle(b"\x80\x02}" + key + b"Ns."), tmp_path)


@pytest.mark.parametrize("key", [0, 7, 2**31, 2**32 - 1, "state"])
def test_the_keys_of_an_optimiser_are_taken(key: int | str) -> None:
    assert read_pickle(pickle.dumps({key: 1}, 2)) == {key: 1}


def test_deep_nesting_does_not_overflow_the_stack(tmp_path: Path) -> None:
    nested = b"\x80\x02}" + b")" + b"\x85" * 500_000
    assert "plain keys" in refusal(with_pickle(nested + b"K\x01s."), tmp_path)
    assert "a pickle of tuple" in refusal(with_pickle(b"\x80\x02)" + b"\x85" * 500_000 + b"."), tmp_path)


def test_any_damaged_byte_is_an_error_or_another_state(tmp_path: Path) -> None:
    whole = saved({"a": torch.arange(6.0)})
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        with contextlib.suppress(CheckpointMismatch):
            assert isinstance(reads(bytes(damaged), tmp_path), dict)


@pytest.mark.parametrize(
    "content",
    [
        (8).to_bytes(8, "little") + b"{garbage",
        (10**6).to_bytes(8, "little") + b"{}",
        save({"a": torch.ones(4)})[:-3],
        save({"a": torch.ones(4)}).replace(b"F32", b"F99"),
        (55).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}'.ljust(55),
    ],
)
def test_a_damaged_safetensors_file_is_an_error(content: bytes, tmp_path: Path) -> None:
    assert refusal(content, tmp_path).startswith("expected a safetensors file, got: ")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (torch.ones(2, dtype=torch.int64), r"weight \(expected float32, got int64\)"),
        (torch.ones(2, dtype=torch.bool), r"weight \(expected float32, got bool\)"),
        (torch.ones(2, dtype=torch.complex64), r"weight \(expected float32, got complex64\)"),
        (torch.ones(2).to(torch.float8_e4m3fn), r"weight \(expected float32, got float8_e4m3fn\)"),
        (torch.ones(2).to_sparse(), r"weight \(expected float32, got float32 sparse_coo\)"),
        (quantised(), r"weight \(expected float32, got qint8\)"),
        (torch.ones(2, device="meta"), r"weight \(expected float32, got float32 on meta\)"),
    ],
)
def test_a_parameter_of_another_type_is_an_error(given: Tensor, message: str) -> None:
    model = nn.BatchNorm1d(2)
    with pytest.raises(CheckpointMismatch, match=f"1 of another type: {message}$"):
        load_strictly(model, {**model.state_dict(), "weight": given}, url=URL)


def test_a_counter_of_another_type_is_an_error() -> None:
    model = nn.BatchNorm1d(2)
    state = {**model.state_dict(), "num_batches_tracked": torch.tensor(1.5)}
    with pytest.raises(CheckpointMismatch, match=re.escape("num_batches_tracked (expected int64, got float32)")):
        load_strictly(model, state, url=URL)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_parameters_become_float32(dtype: torch.dtype) -> None:
    model = nn.Linear(2, 2)
    load_strictly(model, {key: tensor.to(dtype) for key, tensor in model.state_dict().items()}, url=URL)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float32}


@pytest.mark.parametrize("call", ["torch.load(", "pickle.load", "Unpickler(", "allow_pickle=True", "torch.jit.load("])
def test_no_module_of_the_service_unpickles(call: str) -> None:
    sources = sorted(Path(cetacean_inference.__file__).parent.rglob("*.py"))
    assert sources
    assert [path.name for path in sources if call in path.read_text(encoding="utf-8")] == []
