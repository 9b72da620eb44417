"""Which model shall the Deployment serve: the active one, the one that serves, the one before, or none yet?"""

from __future__ import annotations

from dataclasses import dataclass

from cetacean_operator.api import names
from cetacean_operator.api.spec import Model, Spec
from cetacean_operator.api.status import HistoryEntry, Rollback, ServedModel, Status
from cetacean_operator.decisions.drift import DriftVerdict
from cetacean_operator.decisions.identity import label, reference, same_weights
from cetacean_registry import ModelMetrics, judge

PASSED, SERVED_BEFORE, DRIFT_ROLLBACK, ADOPTED = "GatePassed", "ServedBefore", "DriftRollback", "Adopted"


@dataclass(frozen=True, slots=True)
class Choice:
    """The model to serve, and why."""

    target: Model | None
    """None: nothing may be served yet."""
    gate: tuple[str, str, str]
    """Status, reason and message of the condition GatePassed; it is about the active model."""
    promotion: tuple[str, str] | None = None
    """Reason and words for the history where the target is another than the last."""
    rollback: Rollback | None = None
    """The rollback that stands."""
    rolled_back_now: bool = False
    refusal: str | None = None
    """Why drift brought no rollback although the resource asks for one."""


@dataclass(frozen=True, slots=True)
class ServingHistory:
    """What is known of the models that served."""

    status: Status
    served: tuple[ServedModel, ...]
    known: tuple[Model, ...]

    def has_served(self, model: Model) -> ServedModel | None:
        """Return the record of the same weights."""
        return next((item for item in reversed(self.served) if _is(item, model)), None)

    def listed(self, item: ServedModel) -> Model:
        """Return a served model as the registry has it now, or else as it was."""
        return next((model for model in self.known if _is(item, model)), item.entry)

    def entry(self, model: Model) -> Model:
        """Return a model that was read from a Deployment as it was promoted, where that is known."""
        served = (item.entry for item in reversed(self.served))
        return next((one for one in (*self.known, *served) if same_weights(one, model)), model)

    def metrics(self, model: Model) -> ModelMetrics | None:
        """Return a model's figures: as the registry has them now, or else as they were when it first served."""
        current = next((one for one in self.known if same_weights(one, model)), None)
        if current is not None and current.metrics is not None:
            return current.metrics
        item = self.has_served(model)
        return item.entry.metrics if item and item.entry.metrics else model.metrics

    def newest(self, *, other_than: Model | None = None) -> ServedModel | None:
        """Return the model that was promoted last and has served."""
        for entry in self.status.history:
            for item in self.served:
                if _records(entry, item) and not (other_than and _is(item, other_than)):
                    return item
        return None

    def last(self) -> Model | None:
        """Return the model of the last promotion, where it can still be told what it was."""
        if not self.status.history:
            return None
        newest = self.status.history[0]
        if listed := next((model for model in self.known if _names(newest, model)), None):
            return listed
        served = next((item.entry for item in reversed(self.served) if _records(newest, item)), None)
        # As it was promoted: it may have served before the registry named its digest.
        promoted = {"version": newest.version, "sha256": newest.digest, "weights_url": newest.weights_url}
        return served.model_copy(update=promoted) if served else None


def choose(
    *, spec: Spec, status: Status, served: tuple[ServedModel, ...], deployed: Model | None, drift: DriftVerdict, at: str
) -> Choice:
    """Decide for one model.

    Args:
        spec: what is wanted.
        status: what was decided before.
        served: the models that have served, those that report now included.
        deployed: the model in the live Deployment.
        drift: of the model that serves.
        at: the time now.
    """
    past = ServingHistory(status, served, spec.registry.models)
    candidate = spec.registry.active_model
    # What a person has written into the Deployment was not promoted: it counts where nothing else tells.
    current = past.last() or (past.entry(deployed) if deployed else None)
    if (standing := _standing(status.rollback, candidate, spec)) and (back := _restored(standing, past, current)):
        return _kept_back(standing, back, status)
    if current is None:
        return _first(candidate, spec)
    if same_weights(candidate, current):
        return _stay(candidate=candidate, current=current, past=past, spec=spec, drift=drift, at=at)
    if past.has_served(candidate):
        why = _back(candidate)
        return Choice(candidate, ("True", SERVED_BEFORE, why), (SERVED_BEFORE, why))
    stable = current if past.has_served(current) else None
    if stable is None and (item := past.newest()):
        stable = past.listed(item)
    passed, message = _judge(candidate, stable, past.metrics(stable) if stable else None, spec)
    if passed:
        return Choice(candidate, ("True", PASSED, message), (PASSED, message))
    kept = stable or current
    moved = None
    if not same_weights(kept, current):
        why = f"{label(current)} never served and is no longer asked for"
        moved = (SERVED_BEFORE, why)
    elif not (status.history and _names(status.history[0], kept)):
        moved = (ADOPTED, f"{label(kept)} was already rolled out when it was first seen")
    return Choice(kept, ("False", names.GATE_REFUSED, message), moved)


def _back(model: Model) -> str:
    return f"{label(model)} has served before: it comes back at once, without the gate"


def _first(candidate: Model, spec: Spec) -> Choice:
    passed, message = _judge(candidate, None, None, spec)
    if passed:
        return Choice(candidate, ("True", PASSED, message), (PASSED, message))
    return Choice(None, ("False", names.GATE_REFUSED, message))


def _stay(
    *, candidate: Model, current: Model, past: ServingHistory, spec: Spec, drift: DriftVerdict, at: str
) -> Choice:
    """The active model is in the Deployment: leave it there, unless it drifts and the one before promises better."""
    history = past.status.history
    if drift.alarm and spec.drift.on_alarm == "Rollback":
        rollback, refusal = _roll_back(candidate, past, drift, at)
        if rollback:
            back = _restored(rollback, past, None)
            assert back is not None  # noqa: S101 -- it was taken from the past just now
            gate = ("False", names.ROLLED_BACK, rollback.why)
            return Choice(back, gate, (DRIFT_ROLLBACK, rollback.why), rollback, rolled_back_now=True)
    else:
        refusal = None
    if history and _names(history[0], candidate):
        first = history[0]
        status = "Unknown" if first.reason == ADOPTED else "True"
        return Choice(candidate, (status, first.reason, first.why), refusal=refusal)
    # It was promoted, but not written down: the status was lost, and the Deployment does not tell either.
    if any(_is(item, candidate) for item in past.status.served):
        why = _back(candidate)
        return Choice(candidate, ("True", SERVED_BEFORE, why), (SERVED_BEFORE, why), refusal=refusal)
    before = past.newest(other_than=candidate)
    earlier = past.listed(before) if before else None
    passed, message = _judge(candidate, earlier, past.metrics(earlier) if earlier else None, spec)
    if passed:
        return Choice(candidate, ("True", PASSED, message), (PASSED, message), refusal=refusal)
    why = f"{label(current)} was already rolled out when it was first seen"
    return Choice(candidate, ("Unknown", ADOPTED, why), (ADOPTED, why), refusal=refusal)


def _judge(
    candidate: Model, serving: Model | None, serving_metrics: ModelMetrics | None, spec: Spec
) -> tuple[bool, str]:
    verdict = judge(
        candidate=candidate.name,
        metrics=candidate.metrics,
        policy=spec.gates,
        serving=serving.name if serving else None,
        serving_metrics=serving_metrics,
    )
    if candidate.deprecated:
        return False, f"{candidate.name} is refused: the registry says that it is deprecated"
    return verdict.passed, verdict.message


def _roll_back(model: Model, past: ServingHistory, drift: DriftVerdict, at: str) -> tuple[Rollback | None, str | None]:
    before = past.newest(other_than=model)
    if before is None:
        return None, "no rollback: no other model has served before"
    earlier = past.listed(before)
    metrics = past.metrics(earlier)
    promised = metrics.cetacean_score_mean if metrics else None
    mean = drift.shown.mean or 0.0
    if promised is None:
        return None, f"no rollback: {label(earlier)} has no baseline that would promise better"
    if drift.mean is None or promised <= drift.mean:
        return None, f"no rollback: the baseline {promised:g} of {label(earlier)} promises no better than {mean:.3f}"
    why = (
        f"{label(model)} drifted to a mean score of {mean:.3f}; {label(earlier)} served before and its baseline "
        f"{promised:g} promises better"
    )
    serving = past.has_served(model)
    return Rollback(
        rejected=reference(model, serving.digest if serving else None),
        rejected_url=model.weights_url,
        restored=reference(earlier, before.digest),
        at=at,
        why=why,
    ), None


def _standing(rollback: Rollback | None, candidate: Model, spec: Spec) -> Rollback | None:
    """A rollback stands as long as the registry goes on asking for the very weights that were rejected."""
    if rollback is None or spec.drift.on_alarm != "Rollback" or rollback.rejected.name != candidate.name:
        return None
    if candidate.sha256 is not None:
        return rollback if rollback.rejected.digest == candidate.sha256 else None
    return rollback if rollback.rejected_url == candidate.weights_url else None


def _restored(rollback: Rollback, past: ServingHistory, current: Model | None) -> Model | None:
    name, digest = rollback.restored.name, rollback.restored.digest
    for item in past.served:
        if (item.entry.name, item.digest) == (name, digest):
            return past.listed(item)
    # With the status lost, nothing is known to have served until a pod has answered: what was rejected must not come
    # back meanwhile. The digest may be one that pods found and nobody has written down.
    for model in (*past.known, current) if current else past.known:
        if (model.name, model.sha256) == (name, digest):
            return model
    return current if current and (current.name, current.sha256) == (name, None) else None


def _kept_back(standing: Rollback, back: Model, status: Status) -> Choice:
    promotion = None if status.history and _names(status.history[0], back) else (DRIFT_ROLLBACK, standing.why)
    return Choice(back, ("False", names.ROLLED_BACK, standing.why), promotion, standing)


def _is(item: ServedModel, model: Model) -> bool:
    if item.entry.name != model.name:
        return False
    if model.sha256 is not None:
        return item.digest == model.sha256
    return item.entry.weights_url == model.weights_url


def _names(entry: HistoryEntry, model: Model) -> bool:
    if entry.model != model.name:
        return False
    if entry.digest is not None and model.sha256 is not None:
        return entry.digest == model.sha256
    return entry.digest is None and entry.weights_url == model.weights_url and model.sha256 is None


def _records(entry: HistoryEntry, item: ServedModel) -> bool:
    if entry.model != item.entry.name:
        return False
    return item.digest == entry.digest if entry.digest is not None else item.entry.weights_url == entry.weights_url
