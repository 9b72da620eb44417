"""Fuzz for a given time: `python -m fuzz SECONDS [FOLDER]`; with PYTHONPATH as of the tests.

Calls the targets in turn with random inputs until the time is over, at last Schemathesis against the running service.
FOLDER keeps the inputs that failed; the next run begins with them. Exits with 1 after the first failure, and prints
its input and how to repeat it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Final

from support.fuzzing import CALLS, TARGETS, Target
from support.schemathesis_run import run_schemathesis

EXAMPLES: Final = 100
"""Inputs of one target before the next one has its turn."""
SHARE_OF_SCHEMATHESIS: Final = 0.1


def main(arguments: list[str] | None = None) -> int:
    """Run all targets; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("seconds", type=float, help="time for all targets together")
    parser.add_argument("database", type=Path, nargs="?", help="folder that keeps inputs which failed")
    parser.add_argument("--only", default="", metavar="TEXT", help="only targets whose name contains it")
    options = parser.parse_args(arguments)
    for name in [name for name in os.environ if name.startswith("CETACEAN_")]:
        del os.environ[name]
    for module in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"fuzz.{module.stem}")
    targets = [target for target in TARGETS if options.only in target.name]
    with tempfile.TemporaryDirectory() as temporary:
        database = options.database or Path(temporary)
        passed = _fuzz(targets, options.seconds * (1 - SHARE_OF_SCHEMATHESIS), database)
    if passed and not options.only:
        seconds = max(1, round(options.seconds * SHARE_OF_SCHEMATHESIS))
        print(f"schemathesis: {seconds} s", flush=True)
        passed, output = run_schemathesis(seconds=seconds, seed=random.randrange(2**32))
        print("" if passed else output, end="", flush=True)
    return 0 if passed else 1


def _fuzz(targets: list[Target], seconds: float, database: Path) -> bool:
    """Give each target its turns; return False after a failure."""
    spent = dict.fromkeys((target.name for target in targets), 0.0)
    deadline = time.monotonic() + seconds
    while targets and time.monotonic() < deadline:
        for target in targets:
            begun = time.monotonic()
            if begun >= deadline:
                break
            passed = _turn(target, database)
            spent[target.name] += time.monotonic() - begun
            print(f"{target.name}: {CALLS[target.name]} examples, {spent[target.name]:.0f} s", flush=True)
            if not passed:
                return False
    return True


def _turn(target: Target, database: Path) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            target.run(EXAMPLES, database=database)
    except Exception:  # noqa: BLE001 - any error is a finding
        print(f"FAILED: {target.name}", flush=True)
        traceback.print_exc(file=sys.stdout)  # the notes hold the input and its blob
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
