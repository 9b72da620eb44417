"""Results of the runs: the verdict on each mutant, in mutmut's files."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

from mutation.workspace import Workspace


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
    paths = workspace.group.paths()
    found = []
    with contextlib.chdir(workspace.folder):
        for module in modules:
            file = SourceFileMutationData(path=paths[module])
            file.load()
            found += [Mutant(module, name, status_by_exit_code[code]) for name, code in file.exit_code_by_key.items()]
    return found


def change(workspace: Workspace, mutant: Mutant) -> str:
    """Return the lines that the mutant removes and adds."""
    with contextlib.chdir(workspace.folder):
        diff = get_diff_for_mutant(mutant.name, path=workspace.group.paths()[mutant.module])
    lines = [line for line in diff.splitlines() if line[:1] in "+-" and not line.startswith(("---", "+++"))]
    return "\n".join(f"{line[0]} {line[1:].strip()}" for line in lines)
