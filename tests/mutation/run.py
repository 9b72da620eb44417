"""Run the mutants of some modules, one module after the other; for the working directory, which has the configuration.

`mutmut run` does the same, but in an order of its own, and it runs all tests twice before the first mutant.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence

from mutmut.__main__ import collect_or_load_stats, create_mutants
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import copy_src_dir, setup_source_paths
from mutmut.utils.format_utils import mangled_name_from_mutant_name
from mutmut.workers.isolation import MutantRunner, get_mutant_runner

from mutation import type_errors

FINAL = frozenset({"killed", "caught by type check"})
"""Mutants with these verdicts do not run again."""
REJECTED_BY_TYPES = 37
"""mutmut's exit code for them."""


def main(paths: Sequence[str]) -> None:
    """Run what has no verdict yet, or survived; after Ctrl-C the next call goes on from there.

    Args:
        paths: files of the modules, as the configuration has them.
    """
    set_mutant_under_test("mutant_generation")
    copy_src_dir()
    setup_source_paths()
    create_mutants(_processes())
    files = {path: _load(path) for path in paths}
    new = [path for path, file in files.items() if None in file.exit_code_by_key.values()]
    for path, names in type_errors.rejected(new).items():
        codes = files[path].exit_code_by_key
        codes.update({name: REJECTED_BY_TYPES for name in codes if name.rpartition(".")[2] in names})
        files[path].save()
    if not any(_to_do(file) for file in files.values()):
        return
    print("Running the tests without a mutant: which of them reach which function?", flush=True)
    runner = get_mutant_runner(_processes())
    collect_or_load_stats(runner, apply_config_invalidation=True)
    set_mutant_under_test("")
    runner.startup()
    try:
        for path, file in files.items():
            _run(path, file, runner)
    finally:
        runner.stop_all_workers()
        runner.shutdown()


def _run(path: str, file: SourceFileMutationData, runner: MutantRunner) -> None:
    to_do = _to_do(file)
    waiting = iter(to_do)
    done, begun = 0, time.monotonic()
    while done < len(to_do):
        while runner.has_capacity() and (name := next(waiting, None)):
            _submit(name, runner)
        result = runner.wait_for_result()
        file.exit_code_by_key[result.mutant_name] = result.exit_code
        file.durations_by_key[result.mutant_name] = result.duration
        file.save()
        done += 1
        _show(path, done, len(to_do), file, time.monotonic() - begun)
    if to_do:
        print(flush=True)


def _submit(name: str, runner: MutantRunner) -> None:
    tests = sorted(state().tests_by_mangled_function_name.get(mangled_name_from_mutant_name(name), ()))
    seconds = sum(state().duration_by_test[test] for test in tests)
    runner.submit(name, tests, math.ceil(10 + 3 * seconds), seconds)


def _show(path: str, done: int, number: int, file: SourceFileMutationData, seconds: float) -> None:
    found = Counter(status_by_exit_code[code] for code in file.exit_code_by_key.values())
    text = f"{path}: {done} of {number} mutants, {found['survived'] + found['no tests']} survived, {seconds:.0f} s"
    # In a log one line for each tenth mutant, on a terminal one line that is written again.
    if sys.stdout.isatty():
        print(f"\r{text}", end="", flush=True)
    elif done % 10 == 0 or done == number:
        print(text, flush=True)


def _to_do(file: SourceFileMutationData) -> list[str]:
    return [name for name, code in file.exit_code_by_key.items() if status_by_exit_code[code] not in FINAL]


def _load(path: str) -> SourceFileMutationData:
    file = SourceFileMutationData(path=path)
    file.load()
    return file


def _processes() -> int:
    return os.cpu_count() or 1


if __name__ == "__main__":
    main(sys.argv[1:])
