"""What the runs have found: the verdict on each mutant, in mutmut's files."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

from mutation import type_errors
from mutation.workspace import Workspace

_SKIPPED = 34
"""mutmut's exit code for a mutant that is not to be run."""
_REJECTED_BY_TYPES = 37
_FINAL = frozenset({"killed", "caught by type check"})


@dataclass(frozen=True)
class Mutant:
    """One changed function."""

    module: str
    name: str
    status: str

    @property
    def function(self) -> str:
        """The function's name, after that of its class if it has one."""
        function, owner = orig_function_and_class_names_from_key(self.name)
        return f"{owner}.{function}" if owner else function


def read(workspace: Workspace, modules: Sequence[str]) -> list[Mutant]:
    """Return all mutants of these modules."""
    return [
        Mutant(module, name, status_by_exit_code[code])
        for module, data in _files(workspace)
        if module in modules
        for name, code in data.exit_code_by_key.items()
    ]


def select(workspace: Workspace, modules: Sequence[str]) -> int:
    """Make mutmut run only mutants of these modules that are not killed yet; return their number."""
    count = 0
    for module, data in _files(workspace):
        codes = data.exit_code_by_key
        to_do = {name for name, code in codes.items() if module in modules and status_by_exit_code[code] not in _FINAL}
        rejected = type_errors.rejected(workspace, str(data.path)) if to_do & _new(codes) else set()
        for name, code in codes.items():
            if name.rpartition(".")[2] in rejected:
                codes[name] = _REJECTED_BY_TYPES
            elif name in to_do:
                codes[name] = None
                count += 1
            elif code is None:
                codes[name] = _SKIPPED
        data.save()
    return count


def _new(codes: Mapping[str, int | None]) -> set[str]:
    return {name for name, code in codes.items() if code in {None, _SKIPPED}}


def change(workspace: Workspace, mutant: Mutant) -> str:
    """Return the lines that the mutant removes and adds."""
    with contextlib.chdir(workspace.folder):
        diff = get_diff_for_mutant(mutant.name, path=workspace.group.paths()[mutant.module])
    lines = [line for line in diff.splitlines() if line[:1] in "+-" and not line.startswith(("---", "+++"))]
    return "\n".join(f"{line[0]} {line[1:].strip()}" for line in lines)


def _files(workspace: Workspace) -> Iterator[tuple[str, SourceFileMutationData]]:
    with contextlib.chdir(workspace.folder):
        for module, path in workspace.group.paths().items():
            data = SourceFileMutationData(path=path)
            data.load()
            yield module, data
