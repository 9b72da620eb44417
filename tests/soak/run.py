"""One run: random changes and faults, and after each minute everything must add up."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from support.adds_up import discrepancies

from cetacean_tools.demo.environment import Environment
from cetacean_tools.demo.kubectl import CommandError
from cetacean_tools.demo.waiting import NotSoError, until
from cetacean_tools.local_cluster.local import LocalCluster
from soak.changes import Changes
from soak.faults import FAULTS, Faults
from soak.measurements import Process, idle_writes, operator_process

ROUND_SECONDS: Final = 60.0
SETTLED_WITHIN: Final = 300.0
"""An unreadable image is tried again after minutes at most; all else is quicker."""
SHARE_OF_FAULTS: Final = 0.15
ROUNDS_BEFORE_STAGE: Final = 3
"""Each third round is followed by a stage, so that one of five minutes has one."""
GROWTH: Final = 1.25
"""Memory of one process at the end, beside that at its first settled state."""
MORE_FILES: Final = 20


@dataclass(slots=True)
class Soak:
    """One run, and the figures that it found."""

    environment: Environment
    cluster: LocalCluster
    seed: int
    show: Callable[[str], None]
    done: Counter[str] = field(default_factory=Counter)
    settled_after: list[float] = field(default_factory=list)
    """Seconds from the last change of a round until everything added up."""
    processes: list[Process] = field(default_factory=list)

    def run(self, seconds: float) -> dict[str, Any]:
        """Run for a time and return the figures.

        Raises:
            NotSoError: something did not add up, memory or files grew, or the idle operator wrote.
        """
        changes = Changes(self.environment, random.Random(self.seed), self._note)
        faults = Faults(self.environment, self.cluster, random.Random(self.seed + 1), self._note)
        choose = random.Random(self.seed + 2)
        begun = time.monotonic()
        rounds = 0
        changes.create()
        self._settle(changes)
        while (passed := time.monotonic() - begun) < seconds:
            ends = time.monotonic() + min(ROUND_SECONDS, seconds - passed)
            # In the second half one process lives long enough to show that its memory does not grow.
            keep_operator = passed > seconds / 2
            while time.monotonic() < ends:
                if choose.random() < SHARE_OF_FAULTS:
                    faults.any(changes.any, keep_operator=keep_operator)
                else:
                    changes.any()
            self._settle(changes)
            rounds += 1
            if rounds % ROUNDS_BEFORE_STAGE == 0:
                self._stage(changes, faults, keep_operator=keep_operator)
        self._check_growth()
        if written := idle_writes(self.cluster, self.environment):
            raise NotSoError(f"expected no write of an idle operator in a minute, got {written}")
        return self.figures(time.monotonic() - begun)

    def figures(self, seconds: float) -> dict[str, Any]:
        """Return the results for a table and for JSON."""
        waits = sorted(self.settled_after)
        return {
            "seed": self.seed,
            "minutes": round(seconds / 60, 1),
            "done": dict(sorted(self.done.items())),
            "rounds": len(waits),
            "settled_after_s": {"median": round(waits[len(waits) // 2], 1), "longest": round(waits[-1], 1)},
            "operator_processes": len({one.pod for one in self.processes}),
            "resident_mb": [one.resident_mb for one in self.processes],
            "open_files": [one.open_files for one in self.processes],
        }

    def _note(self, line: str) -> None:
        self.show(line)
        if not line.startswith(" "):
            self.done[kind_of(line)] += 1

    def _stage(self, changes: Changes, faults: Faults, *, keep_operator: bool) -> None:
        """Begin a stage, cause a fault once the candidate's pod is ready, and go back."""
        if name := changes.replace():
            self._settle(changes)
            changes.begin_stage(name)
            until(f"the candidate of {name}", lambda: self._has_candidate(name), within=SETTLED_WITHIN)
            faults.any(changes.delete_pod, keep_operator=keep_operator)
            changes.end_stage(name)
            self._settle(changes)

    def _has_candidate(self, name: str) -> bool:
        try:
            candidate = self.environment.kubectl.get("deployment", f"{name}-candidate")
        except CommandError:
            return False
        return bool(candidate.get("status", {}).get("readyReplicas"))

    def _settle(self, changes: Changes) -> None:
        """Wait until everything adds up."""
        begun = time.monotonic()
        until("the API server to take changes", lambda: self._is_taken(changes), within=120)
        try:
            until(
                f"everything to add up (seed {self.seed})",
                lambda: self._discrepancies(changes) == [],
                within=SETTLED_WITHIN,
                shown=lambda: self._discrepancies(changes),
            )
        except NotSoError:
            self.show(self._objects())
            raise
        changes.settled = True
        self.settled_after.append(time.monotonic() - begun)
        self.processes.append(operator_process(self.environment))
        self.show(f"  adds up after {self.settled_after[-1]:.0f} s; {self.processes[-1]}")

    def _objects(self) -> str:
        """Return what is there, for whoever must find why it does not add up."""
        try:
            kubectl = self.environment.kubectl
            return "\n".join(
                [
                    kubectl("get", "cetaceanmodels,deployments,replicasets,pods", "-o", "wide"),
                    kubectl("describe", "cetaceanmodels,deployments,replicasets,pods"),
                    kubectl("get", "events", "--sort-by=.lastTimestamp"),
                ]
            )
        except CommandError as error:
            return str(error)

    def _is_taken(self, changes: Changes) -> bool:
        try:
            changes.repeat()
        except CommandError:
            return False
        return True

    def _discrepancies(self, changes: Changes) -> list[str]:
        try:
            return discrepancies(self.environment, changes.expected())
        except CommandError as error:
            return [str(error)]

    def _check_growth(self) -> None:
        for pod in {one.pod for one in self.processes}:
            first, *_, last = [one for one in self.processes if one.pod == pod] * 2
            if last.resident_mb > GROWTH * first.resident_mb or last.open_files > first.open_files + MORE_FILES:
                raise NotSoError(f"expected flat memory and open files, got {first} and later {last}")


def kind_of(line: str) -> str:
    """Return the fault that a line names, or the first words of a change."""
    fault = next((one for one in FAULTS if line.startswith(one)), None)
    words = line.split(maxsplit=2)
    return fault or " ".join(words[: 2 if words[0] == "kubectl" else 1])
