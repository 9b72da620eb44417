"""Change the pure modules in small ways, one at a time, and run their tests: which changes does no test notice?

`make mutants` does this for all of them, `make mutants MODULES="promotion gate"` for some. Ctrl-C ends it; the next
call goes on from there. Mutants that survived are tried again each time, so new tests count; those listed are not.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

from mutation import figures, groups, results, survivors
from mutation.survivors import Survivor
from mutation.workspace import REPOSITORY, Workspace, prepare


def main(wanted: list[str]) -> int:
    """Run the mutants, print a table of the modules and each new survivor; return the exit code."""
    cache = Path(os.environ["CETACEAN_CACHE"]) / "mutants" / REPOSITORY.name
    interrupted = False
    found: dict[str, figures.Score] = {}
    alive: list[Survivor] = []
    for group, modules in groups.selected(wanted):
        workspace = prepare(group, cache)
        try:
            if not interrupted and not _run(workspace, modules):
                return 1
        except KeyboardInterrupt:
            interrupted = True
        mutants = results.read(workspace, modules)
        found.update(
            {name: figures.count(mutant for mutant in mutants if mutant.module == name) for name in modules},
        )
        alive += [
            Survivor(mutant.module, mutant.function, results.change(workspace, mutant))
            for mutant in mutants
            if mutant.status in {"survived", "no tests"}
        ]
    return _report(found, alive) or (130 if interrupted else 0)


def _run(workspace: Workspace, modules: list[str]) -> bool:
    paths = workspace.group.paths()
    print(f"{workspace.group.name}: mutants are in {workspace.folder}", flush=True)
    listed = survivors.read()
    explained = [
        mutant.name
        for mutant in results.read(workspace, modules)
        if mutant.status == "survived"
        and Survivor(mutant.module, mutant.function, results.change(workspace, mutant)) in listed
    ]
    return workspace.run("mutation.run", *(paths[module] for module in modules), "--", *explained) == 0


def _report(found: dict[str, figures.Score], alive: list[Survivor]) -> int:
    listed = survivors.read()
    explained = Counter(one.module for one in alive if one in listed)
    print(f"\n{figures.table(found, explained)}\n")
    figures.publish(found, explained)
    new = [one for one in alive if one not in listed]
    stale = [
        one for one in listed if one.module in found and not found[one.module].unfinished and one not in set(alive)
    ]
    above = [name for name, one in found.items() if one.percent >= figures.BOUND]
    for one in new:
        print(f"No test notices this change. Write one, or list the change in {survivors.LIST}:\n{one.entry()}")
    for one in stale:
        print(f"Remove this entry from {survivors.LIST}, the change is noticed now:\n{one.entry()}")
    if above:
        print(f"Expected less than {figures.BOUND:.0f} % of the mutants to survive, found more: {', '.join(above)}")
    return 1 if new or stale or above else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ValueError as error:
        sys.exit(f"error: {error}")
