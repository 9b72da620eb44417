"""Run the mutants of some modules, one module after the other; for the working directory, which has the configuration.

mutmut writes the mutants and finds which tests reach which function. `mutmut run` then starts pytest once for each mutant;
here pytest collects once, and a process is forked for each mutant: a mutant that a test notices takes some milliseconds.
"""

from __future__ import annotations

import gc
import math
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Never

import pytest
from mutmut.__main__ import collect_or_load_stats, create_mutants
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.stats import status_by_exit_code
from mutmut.utils.file_utils import change_cwd, copy_src_dir, setup_source_paths
from mutmut.utils.format_utils import mangled_name_from_mutant_name
from mutmut.workers.isolation import get_mutant_runner

from mutation import type_errors

FINAL = frozenset({"killed", "caught by type check"})
"""Mutants with these verdicts do not run again."""
_REJECTED_BY_TYPES, _TIMEOUT, _NO_TESTS, _INTERRUPTED = 37, 36, 33, 2
"""mutmut's exit codes."""
_WAIT_SECONDS = 60


def main(paths: Sequence[str], explained: AbstractSet[str] = frozenset()) -> None:
    """Run what has no verdict yet, or survived; after Ctrl-C the next call goes on from there.

    Args:
        paths: files of the modules, as the configuration has them.
        explained: names of mutants that have survived and are not tried again.
    """
    set_mutant_under_test("mutant_generation")
    copy_src_dir()
    setup_source_paths()
    create_mutants(_processes())
    files = {path: _load(path) for path in paths}
    new = [path for path, file in files.items() if None in file.exit_code_by_key.values()]
    for path, names in type_errors.rejected(new).items():
        codes = files[path].exit_code_by_key
        codes.update({name: _REJECTED_BY_TYPES for name in codes if name.rpartition(".")[2] in names})
        files[path].save()
    to_do = {path: _to_do(file, explained) for path, file in files.items()}
    if not any(to_do.values()):
        return
    print("Running the tests without a mutant: which of them reach which function?", flush=True)
    collect_or_load_stats(get_mutant_runner(), apply_config_invalidation=True)
    set_mutant_under_test("")
    with change_cwd("mutants"):
        options = ["--rootdir=.", "-q", "--no-header", *config().pytest_add_cli_args]
        code = pytest.main([*options, *config().pytest_add_cli_args_test_selection], plugins=[_Loop(files, to_do)])
    sys.exit(code)


class _Loop:
    """Runs the mutants in place of the tests that pytest has collected."""

    def __init__(self, files: Mapping[str, SourceFileMutationData], to_do: Mapping[str, Sequence[str]]) -> None:
        self._files = files
        self._to_do = to_do
        self._running: dict[int, tuple[str, int]] = {}
        """The mutant of each process, and the pipe in which it names the test that has failed."""
        self._failed: Counter[str] = Counter()
        """Tests that have noticed mutants of the module: they often notice its next one."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        capture = session.config.pluginmanager.getplugin("capturemanager")
        capture.suspend_global_capture(in_=True)
        # What is there by now stays: each process would otherwise copy the memory while it searches for garbage in it.
        gc.collect()
        gc.freeze()
        for path, file in self._files.items():
            self._run(path, file, session)
        capture.resume_global_capture()
        return True

    def _run(self, path: str, file: SourceFileMutationData, session: pytest.Session) -> None:
        items = {item.nodeid: item for item in session.items}
        to_do = self._to_do[path]
        waiting = iter(to_do)
        self._failed.clear()
        done, begun = 0, time.monotonic()
        while done < len(to_do):
            while len(self._running) < _processes() and (name := next(waiting, None)):
                self._start(name, items, session)
            pid, status = os.wait()
            code = os.waitstatus_to_exitcode(status)
            name, pipe = self._running.pop(pid)
            with os.fdopen(pipe, encoding="utf-8") as stream:
                self._failed.update(stream.read().splitlines())
            file.exit_code_by_key[name] = _TIMEOUT if code == -signal.SIGVTALRM else code
            done += 1
            with change_cwd(".."):
                file.save()
            _show(path, done, len(to_do), file, time.monotonic() - begun)
        if to_do:
            print(flush=True)

    def _start(self, name: str, items: Mapping[str, pytest.Item], session: pytest.Session) -> None:
        """Run the mutant's tests in a process of its own, those of the module first, then the fastest."""
        durations = state().duration_by_test
        function = mangled_name_from_mutant_name(name)
        own = f"/test_{function.split('.')[-2]}.py::"
        reaching = (test for test in state().tests_by_mangled_function_name.get(function, ()) if test in items)
        tests = sorted(reaching, key=lambda test: (-self._failed[test], own not in test, durations[test], test))
        sys.stdout.flush()
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            _test(name, [(items[test], durations[test]) for test in tests], session, write)
        os.close(write)
        self._running[pid] = name, read


def _test(name: str, tests: Sequence[tuple[pytest.Item, float]], session: pytest.Session, pipe: int) -> Never:
    """Run the tests until one fails, and exit as mutmut's processes do: 0 if none has failed.

    Args:
        name: of the mutant.
        tests: with the seconds that each took without a mutant.
        session: the tests'.
        pipe: takes the name of the test that has failed.
    """
    code = _NO_TESTS
    try:
        session.config.pluginmanager.unregister(name="terminalreporter")
        # A mutant that sleeps takes no processor time; others may take most of the processors.
        signal.signal(signal.SIGALRM, lambda *_: os._exit(_TIMEOUT))
        signal.alarm(math.ceil(_WAIT_SECONDS + 10 * sum(seconds for _, seconds in tests)))
        set_mutant_under_test(name)
        for number, (item, seconds) in enumerate(tests, start=1):
            next_item = tests[number][0] if number < len(tests) else None
            signal.setitimer(signal.ITIMER_VIRTUAL, 5 + 5 * seconds)  # its signal ends the process
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=next_item)
            code = 1 if session.testsfailed else 0
            if code:
                os.write(pipe, item.nodeid.encode())
                break
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except BaseException:  # noqa: BLE001 -- whatever a mutant raises, it is noticed
        code = 1
    os._exit(code)


def _show(path: str, done: int, number: int, file: SourceFileMutationData, seconds: float) -> None:
    found = Counter(status_by_exit_code[code] for code in file.exit_code_by_key.values())
    text = f"{path}: {done} of {number} mutants, {found['survived'] + found['no tests']} survived, {seconds:.0f} s"
    # In a log one line for each tenth mutant, on a terminal one line that is written again.
    if sys.stdout.isatty():
        print(f"\r{text}", end="", flush=True)
    elif done % 10 == 0 or done == number:
        print(text, flush=True)


def _to_do(file: SourceFileMutationData, explained: AbstractSet[str]) -> list[str]:
    open_ = (name for name, code in file.exit_code_by_key.items() if status_by_exit_code[code] not in FINAL)
    return [name for name in open_ if name not in explained or file.exit_code_by_key[name] is None]


def _load(path: str) -> SourceFileMutationData:
    file = SourceFileMutationData(path=path)
    file.load()
    return file


def _processes() -> int:
    return os.cpu_count() or 1


if __name__ == "__main__":
    separator = sys.argv.index("--")
    main(sys.argv[1:separator], frozenset(sys.argv[separator + 1 :]))
