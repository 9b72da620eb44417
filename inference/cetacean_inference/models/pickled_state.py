"""Reads the pickle in a file of `torch.save` as data: no opcode can import or call anything.

Neither `pickle` nor torch reads it: the `weights_only=True` of torch was broken more than once (CVE-2025-32434,
CVE-2026-24747). The opcodes that a state dict needs are evaluated here, on dictionaries, lists, tuples and
descriptions of tensors. Any other opcode and any other global is an error that names it.
"""

from __future__ import annotations

import pickletools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

LARGEST_PICKLE_BYTES: Final = 64 * 2**20
"""The pickle has only names and sizes; that of a model with 1000 tensors has 200 KB."""
MOST_OPCODES: Final = 4_000_000
MOST_DIMENSIONS: Final = 16
LARGEST_SIZE: Final = 2**40
LARGEST_KEY: Final = 2**32 - 1
"""Optimisers number their parameters."""


class PickleRefused(ValueError):  # noqa: N818 - the reason of a refusal
    """The pickle is damaged, or has something that no state dict needs; the message says which."""


@dataclass(frozen=True, slots=True)
class Storage:
    """A record of the archive, with the elements of one or more tensors."""

    key: str
    kind: str
    """The storage's class, e.g. `FloatStorage`."""
    elements: int


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor's place in a storage; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Global:
    name: str


STORAGES: Final = frozenset(
    f"{kind}Storage" for kind in ("BFloat16", "Half", "Float", "Double", "Bool", "Byte", "Char", "Short", "Int", "Long")
)
_ORDERED_DICT: Final = "collections.OrderedDict"
_TENSOR: Final = "torch._utils._rebuild_tensor_v2"
_PARAMETER: Final = "torch._utils._rebuild_parameter"
_GLOBALS: Final = frozenset({_ORDERED_DICT, _TENSOR, _PARAMETER, *(f"torch.{name}" for name in STORAGES)})


def read_pickle(content: bytes) -> Any:
    """Evaluate a pickle of plain containers, numbers, strings and tensors.

    Returns:
        Its value; tensors are `StoredTensor`, ordered dictionaries are `dict`.

    Raises:
        PickleRefused: names the opcode or the global that no state dict needs, or the damage.
    """
    if len(content) > LARGEST_PICKLE_BYTES:
        raise PickleRefused(f"a pickle of {len(content)} bytes, expected at most {LARGEST_PICKLE_BYTES}")
    machine = _Machine()
    end = -1
    try:
        with warnings.catch_warnings(action="ignore"):  # Python warns of escape sequences that it does not know
            for opcode, argument, position in pickletools.genops(content):
                machine.step(opcode.name, argument)
                end = position or 0
    except PickleRefused:
        raise
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise PickleRefused("a damaged pickle") from error
    if end + 1 != len(content):
        raise PickleRefused("a pickle with bytes after its end")
    return machine.result()


class _Machine:
    """The stack and the memo of a pickle, with an effect for each opcode that is allowed."""

    def __init__(self) -> None:
        self._steps = 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._effects: dict[str, Callable[[Any], None]] = {
            **dict.fromkeys(("PROTO", "FRAME", "STOP"), self._ignore),
            **dict.fromkeys(
                ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"),
                self._stack.append,
            ),
            **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES"), self._stack.append),
            "NONE": lambda _: self._stack.append(None),
            "NEWTRUE": lambda _: self._stack.append(True),
            "NEWFALSE": lambda _: self._stack.append(False),
            "EMPTY_DICT": lambda _: self._stack.append({}),
            "EMPTY_LIST": lambda _: self._stack.append([]),
            "EMPTY_TUPLE": lambda _: self._stack.append(()),
            "MARK": lambda _: self._marks.append(len(self._stack)),
            "TUPLE": lambda _: self._stack.append(tuple(self._pop_to_mark())),
            "TUPLE1": lambda _: self._stack.append(tuple(self._pop_many(1))),
            "TUPLE2": lambda _: self._stack.append(tuple(self._pop_many(2))),
            "TUPLE3": lambda _: self._stack.append(tuple(self._pop_many(3))),
            "APPEND": lambda _: self._extend(self._pop_many(1)),
            "APPENDS": lambda _: self._extend(self._pop_to_mark()),
            "SETITEM": lambda _: self._set_items(self._pop_many(2)),
            "SETITEMS": lambda _: self._set_items(self._pop_to_mark()),
            **dict.fromkeys(("BINPUT", "LONG_BINPUT"), self._memorise),
            "MEMOIZE": lambda _: self._memorise(len(self._memo)),
            **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda index: self._stack.append(self._memo[index])),
            "GLOBAL": lambda name: self._push_global(*name.split(" ", 1)),
            "STACK_GLOBAL": lambda _: self._push_global(*self._pop_many(2)),
            "REDUCE": lambda _: self._reduce(*self._pop_many(2)),
            "BUILD": lambda _: self._build(),
            "BINPERSID": lambda _: self._push_storage(self._stack.pop()),
        }

    def step(self, opcode: str, argument: Any) -> None:
        """Evaluate one opcode.

        Raises:
            PickleRefused: it is not one of those that a state dict needs.
        """
        self._steps += 1
        if self._steps > MOST_OPCODES:
            raise PickleRefused(f"a pickle of more than {MOST_OPCODES} opcodes")
        if (effect := self._effects.get(opcode)) is None:
            raise PickleRefused(f"a pickle with the opcode {opcode}")
        effect(argument)

    def result(self) -> Any:
        """Return the value of the whole pickle."""
        if len(self._stack) != 1 or self._marks:
            raise PickleRefused("a damaged pickle")
        return self._stack[0]

    def _ignore(self, _: Any) -> None:
        pass

    def _pop_to_mark(self) -> list[Any]:
        return self._pop_from(self._marks.pop())

    def _pop_many(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise PickleRefused("a damaged pickle")
        return self._pop_from(len(self._stack) - count)

    def _pop_from(self, position: int) -> list[Any]:
        popped = self._stack[position:]
        del self._stack[position:]
        return popped

    def _memorise(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _extend(self, values: list[Any]) -> None:
        if not isinstance(self._stack[-1], list):
            raise PickleRefused("a pickle that appends to something else than a list")
        self._stack[-1].extend(values)

    def _set_items(self, items: list[Any]) -> None:
        target = self._stack[-1]
        # The hash of a deeply nested tuple overflows the C stack. Large integers and floats can be chosen so that all
        # have the same hash, which takes time that grows with the square of their number.
        keys_are_plain = all(
            isinstance(key, str) or (type(key) is int and 0 <= key <= LARGEST_KEY) for key in items[::2]
        )
        if not isinstance(target, dict) or len(items) % 2 or not keys_are_plain:
            raise PickleRefused("a pickle that sets items of something else than a dictionary with plain keys")
        target.update(zip(items[::2], items[1::2], strict=True))

    def _push_global(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise PickleRefused("a damaged pickle")
        if (full := f"{module}.{name}") not in _GLOBALS:
            raise PickleRefused(f"a pickle with the global {full[:200]!r}")
        self._stack.append(_Global(full))

    def _push_storage(self, identifier: Any) -> None:
        match identifier:
            case ("storage", _Global(name), str(key), str(), int(elements)) if elements >= 0:
                kind = name.removeprefix("torch.")
                if kind in STORAGES:
                    self._stack.append(Storage(key, kind, elements))
                    return
        raise PickleRefused("a pickle with a reference to something else than a tensor's storage")

    def _reduce(self, function: Any, arguments: Any) -> None:
        match function, arguments:
            case _Global(name), () if name == _ORDERED_DICT:
                self._stack.append({})
            case _Global(name), (Storage() as storage, int(offset), tuple(shape), tuple(strides), *_) if (
                name == _TENSOR
            ):
                self._stack.append(_stored_tensor(storage, offset, shape, strides))
            case _Global(name), (StoredTensor() as tensor, *_) if name == _PARAMETER:
                self._stack.append(tensor)
            case _Global(name), _:
                raise PickleRefused(f"a pickle that calls {name} with other arguments than torch.save writes")
            case _:
                raise PickleRefused("a pickle that calls something else than a global")

    def _build(self) -> None:
        # The state of a dictionary is the `_metadata` of a state dict, which nothing needs.
        self._stack.pop()
        if not isinstance(self._stack[-1], dict):
            raise PickleRefused("a pickle that sets the state of something else than a dictionary")


def _stored_tensor(storage: Storage, offset: int, shape: tuple[Any, ...], strides: tuple[Any, ...]) -> StoredTensor:
    numbers = (offset, *shape, *strides)
    if (
        len(shape) != len(strides)
        or len(shape) > MOST_DIMENSIONS
        or not all(type(number) is int and 0 <= number <= LARGEST_SIZE for number in numbers)
    ):
        raise PickleRefused("a pickle with a tensor of impossible sizes")
    count = 1
    for size in shape:
        count *= size
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    # As many elements as the storage has: no strides of zero, which make a small file a large tensor.
    if count > storage.elements or (count and last >= storage.elements):
        raise PickleRefused("a pickle with a tensor that is larger than its storage")
    return StoredTensor(storage, offset, shape, strides)
