"""Changes as people and clients make them: of resources, their children and their status."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from support.adds_up import Expected

from cetacean_tools.demo.environment import POD_LABEL, Environment
from cetacean_tools.demo.kubectl import CommandError

NAMES: Final = ("soak-a", "soak-b")
SERVABLE: Final = ("demo_v1", "demo_v2")
REFUSED: Final = ("demo_v3", "demo_permuted")
THRESHOLDS: Final = (None, 0.55, 0.6)
DRIFT: Final = {"window": 100, "minSamples": 50, "scrapeIntervalSeconds": 5}
MAX_REGRESSION: Final = 0.5
"""Changes come in any order, so each servable model must pass beside the other; the refused ones miss a minimum."""
STAGE: Final = {"shadow": {"share": 1.0, "require": {"pictures": 300}}, "timeoutSeconds": 3600}
_DRAWN_CHILDREN: Final = ("deployment", "service", "configmap")


@dataclass(slots=True)
class Wanted:
    """One resource as it was applied last."""

    active: str
    serves: str
    replicas: int = 1
    threshold: float | None = None
    staged: bool = False
    """True while the active model is a candidate in a stage that nothing ends: no client sends pictures."""


@dataclass(slots=True)
class Changes:
    """Random changes, and what they must lead to."""

    environment: Environment
    random: random.Random
    show: Callable[[str], None]
    resources: dict[str, Wanted] = field(default_factory=dict)
    settled: bool = False
    """True until the next change: what serves is then known to be what must serve."""

    def expected(self) -> list[Expected]:
        """Return what must be true once nothing changes any more."""
        return [
            Expected(name, active=one.active, serves=one.serves, replicas=one.replicas)
            for name, one in self.resources.items()
        ]

    def any(self) -> None:
        """Make one change."""
        kinds: dict[Callable[[], None], int] = {
            self.create: 4,
            self.promote: 6,
            self.offer_refused: 2,
            self.scale: 2,
            self.set_threshold: 1,
            self.delete: 1,
            self.edit_deployment: 2,
            self.delete_child: 2,
            self.lose_status: 2,
            self.delete_pod: 2,
        }
        (kind,) = self.random.choices(list(kinds), list(kinds.values()))
        kind()

    def create(self) -> None:
        """Create a resource that does not exist, again if it was deleted."""
        for name in NAMES:
            if name not in self.resources:
                self._create(name)
                return

    def promote(self) -> None:
        """Promote the other model, or go back to it."""
        if name := self._any_resource():
            one = self.resources[name]
            one.active = one.serves = next(model for model in SERVABLE if model != one.serves)
            self._apply(name, "promote")

    def offer_refused(self) -> None:
        """Offer a candidate that the gate refuses."""
        # Beside a rollout that goes on, what serves is one model or the other: only the settled state is certain.
        if self.settled and (name := self._any_resource()):
            self.resources[name].active = self.random.choice(REFUSED)
            self._apply(name, "offer")

    def replace(self) -> str | None:
        """Delete a resource and create it again; return its name. A model that has served would skip its stages."""
        if name := self._any_resource():
            del self.resources[name]
            self._kubectl("delete", "cetaceanmodel", name)
            self._create(name)
        return name

    def begin_stage(self, name: str) -> None:
        """Offer the other model as a candidate that a stage compares with what serves."""
        one = self.resources[name]
        one.active, one.staged = next(model for model in SERVABLE if model != one.serves), True
        self._apply(name, "begin a stage of")

    def end_stage(self, name: str) -> None:
        """Go back to what serves."""
        one = self.resources[name]
        one.active, one.staged = one.serves, False
        self._apply(name, "end the stage of")

    def scale(self) -> None:
        """Ask for one pod or for two."""
        if name := self._any_resource():
            one = self.resources[name]
            one.replicas = 3 - one.replicas
            self._apply(name, "scale")

    def set_threshold(self) -> None:
        """Change the gate's threshold: the pods are replaced."""
        if name := self._any_resource():
            one = self.resources[name]
            one.threshold = self.random.choice([value for value in THRESHOLDS if value != one.threshold])
            self._apply(name, "set the threshold of")

    def delete(self) -> None:
        """Delete a resource without waiting."""
        if name := self._any_resource():
            del self.resources[name]
            self._kubectl("delete", "cetaceanmodel", name, "--wait=false")

    def edit_deployment(self) -> None:
        """Edit a Deployment by hand, as the operator does not want it."""
        if name := self._any_resource():
            edits: list[tuple[str, ...]] = [
                ("set", "image", f"deployment/{name}", "serve=localhost/other:1"),
                ("scale", f"deployment/{name}", "--replicas=3"),
                ("set", "env", f"deployment/{name}", "-c", "serve", "MODEL_VERSION=9.9.9"),
                ("rollout", "undo", f"deployment/{name}"),
                ("rollout", "pause", f"deployment/{name}"),
            ]
            self._kubectl(*self.random.choice(edits))

    def delete_child(self) -> None:
        """Delete a child by hand."""
        if name := self._any_resource():
            kind = self.random.choice(_DRAWN_CHILDREN)
            if kind == "deployment" and not self.settled:
                return  # with a lost status nothing would know any more which model has served
            self._kubectl("delete", kind, "-l", f"{POD_LABEL}={name}", "--wait=false")
            self.settled = False

    def lose_status(self) -> None:
        """Remove the status of a resource."""
        if (name := self._any_resource()) and self.settled:
            patch = json.dumps([{"op": "remove", "path": "/status"}])
            self._kubectl("patch", "cetaceanmodel", name, "--subresource=status", "--type=json", "-p", patch)
            self.settled = False

    def delete_pod(self) -> None:
        """Delete the pods of a resource, or force one away."""
        if name := self._any_resource():
            self._kubectl("delete", "pods", "-l", f"{POD_LABEL}={name}", "--wait=false")

    def _create(self, name: str) -> None:
        model = self.random.choice(SERVABLE)
        self.resources[name] = Wanted(model, model)
        self._apply(name, "create")

    def _any_resource(self) -> str | None:
        return self.random.choice(sorted(self.resources)) if self.resources else None

    def _apply(self, name: str, what: str) -> None:
        one = self.resources[name]
        self.show(f"{what} {name}: active {one.active}, {one.replicas} pods, threshold {one.threshold}")
        self.settled = False
        try:
            self.environment.kubectl.apply(self._manifest(name))
        except CommandError as error:
            self._not_done(error)

    def repeat(self) -> None:
        """Apply and delete once more: a change may have come while the API server was away.

        Raises:
            CommandError: the API server is still away.
        """
        for name in self.resources:
            self.environment.kubectl.apply(self._manifest(name))
        if gone := [name for name in NAMES if name not in self.resources]:
            self.environment.kubectl("delete", "cetaceanmodel", *gone, "--ignore-not-found", "--wait=false")

    def _manifest(self, name: str) -> Mapping[str, Any]:
        one = self.resources[name]
        manifest = self.environment.manifest(
            name, active=one.active, replicas=one.replicas, threshold=one.threshold, drift=DRIFT
        )
        manifest["spec"]["gates"]["maxRegression"] = MAX_REGRESSION
        if one.staged:
            manifest["spec"]["rollout"] = {"stages": [STAGE]}
        return manifest

    def _kubectl(self, *arguments: str) -> None:
        self.show(f"kubectl {' '.join(arguments)}")
        try:
            self.environment.kubectl(*arguments)
        except CommandError as error:
            # What was to be edited may not be there yet, or no more.
            self._not_done(error)

    def _not_done(self, error: CommandError) -> None:
        self.show(f"  not done: {str(error).splitlines()[-1][:160]}")
