"""The models that were promoted and those that pods have served."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cetacean_operator.api.candidate import PassedStage, PersonDecision
from cetacean_operator.api.observed import Pod
from cetacean_operator.api.spec import Model
from cetacean_operator.api.status import HISTORY_LENGTH, HistoryEntry, ModelRef, Release, ServedModel, Status
from cetacean_operator.decisions.identity import Rollout, definition, reference
from cetacean_operator.decisions.lineage import may_report, reported_model, same_model, was_served_as
from cetacean_registry.figures import ModelMetrics
from cetacean_registry.urls import lacks_query, without_query

_SERVED_LIMIT = 128


@dataclass(frozen=True, slots=True)
class ServingHistory:
    """Promotions and served models, beside the registry's entries."""

    status: Status
    """With the promotions and the standing rollback."""
    served: tuple[ServedModel, ...]
    """Models that have served, those that pods report now included; oldest first."""
    known: tuple[Model, ...]
    """The registry's entries."""
    compared: tuple[Model, str] | None = None
    """The model that a live candidate runs, and the digest of its weights."""

    def served_record(self, model: Model) -> ServedModel | None:
        """Return the record of the model's weights, None if they have never served."""
        return next((item for item in reversed(self.served) if was_served_as(item, model)), None)

    def current_entry(self, item: ServedModel) -> Model:
        """Return a served model's entry in the registry, or the entry it served with if the registry dropped it."""
        return next((model for model in self.known if was_served_as(item, model)), item.entry)

    def full_entry(self, deployed: Model) -> Model:
        """Return the entry of a model that was read from a Deployment, which holds only a part of it."""
        served = (item.entry for item in reversed(self.served))
        return next((one for one in (*self.known, *served) if same_model(one, deployed)), deployed)

    def metrics(self, model: Model) -> ModelMetrics | None:
        """Return a model's metrics from the registry, or those that it named last if it has none any more."""
        current = next((one for one in self.known if same_model(one, model)), None)
        if current is not None and current.metrics is not None:
            return current.metrics
        item = self.served_record(model)
        return item.entry.metrics if item and item.entry.metrics else model.metrics

    def last_served(self, *, other_than: Model | None = None) -> ServedModel | None:
        """Return the model that was promoted last among those that have served.

        The same weights under another name are no other model, unless they are used otherwise.

        If the status was lost, the history has the last promotion only; a comparison that runs names the model before.
        """
        record = self.served_record(other_than) if other_than else None
        digests = {record.digest if record else None, other_than.sha256 if other_than else None}
        others = [
            item
            for item in self.served
            if not (
                other_than
                and (was_served_as(item, other_than) or item.digest in digests)
                and definition(item.entry) == definition(other_than)
            )
        ]
        for entry in self.status.history:
            for item in others:
                if was_served_as(item, entry):
                    return item
        if self.compared is None:
            return None
        model, digest = self.compared
        return next((item for item in others if item.digest == digest and was_served_as(item, model)), None)

    def is_available(self, item: ServedModel) -> bool:
        """Return whether pods can download a served model: the status keeps no queries of URLs, the registry does."""
        return not lacks_query(self.current_entry(item).weights_url)

    def last_promoted(self) -> Model | None:
        """Return the model of the last promotion, None if neither the registry nor a served model has its entry."""
        if not self.status.history:
            return None
        newest = self.status.history[0]
        if listed := next((model for model in self.known if same_model(newest, model)), None):
            return listed
        served = next((item.entry for item in reversed(self.served) if was_served_as(item, newest)), None)
        # The model may have served before the registry named its digest.
        return served.model_copy(update={"sha256": newest.digest}) if served else None

    def is_last_promoted(self, model: Model) -> bool:
        """Return whether the last promotion was of the model's weights."""
        return bool(self.status.history) and same_model(self.status.history[0], model)


def add_promotion(
    history: tuple[HistoryEntry, ...],
    model: Model,
    *,
    reason: str,
    why: str,
    at: str,
    release: Release | None = None,
    stages: tuple[PassedStage, ...] = (),
    decision: PersonDecision | None = None,
) -> tuple[HistoryEntry, ...]:
    """Return the history with a promotion before the others; newest first, of bounded length."""
    entry = HistoryEntry(
        model=model.name,
        version=model.version,
        digest=model.sha256,
        definition=definition(model),
        weights_url=without_query(model.weights_url),
        at=at,
        reason=reason,
        why=why,
        release=release,
        stages=stages or None,
        decision=decision,
    )
    return (entry, *history)[:HISTORY_LENGTH]


def add_served(
    status: Status,
    *,
    ready: Iterable[Pod],
    known: tuple[Model, ...],
    deployed: Rollout | None,
    compared: tuple[Model, str] | None = None,
    at: str,
) -> tuple[ServedModel, ...]:
    """Return the models that have served, with those that ready pods report now.

    A record has the values that the registry named last, so that the pods of a model stay as they are if its entry
    goes: its weights may have moved, and its figures may have been computed again. Models that neither the registry,
    the history nor the Deployment names any more are dropped.

    Args:
        status: the last status.
        ready: ready pods.
        known: the registry's entries.
        deployed: what the Deployment serves; the registry may have dropped its model.
        compared: the model that a live candidate runs, and its digest: it has served before.
        at: the time now.
    """
    served = {(item.entry.name, item.digest, definition(item.entry)): _renewed(item, known) for item in status.served}
    candidates = (*((deployed.model,) if deployed else ()), *((compared[0],) if compared else ()), *known)
    # Only a status that was lost lacks it. Otherwise the status says what has served, whatever the candidate's template
    # names.
    if compared and not served:
        model, digest = compared
        served[model.name, digest, definition(model)] = _record(model, digest, known, at)
    for pod in ready:
        reported = _reported(pod, deployed)
        if reported is None or reported.digest is None:
            continue
        found = next((model for model in candidates if may_report(model, reported)), None)
        if found is not None and (key := (reported.name, reported.digest, definition(found))) not in served:
            served[key] = _record(found, reported.digest, known, at)
    mentioned = {model.name for model in candidates} | {entry.model for entry in status.history}
    kept = [item for item in served.values() if item.entry.name in mentioned]
    comparable = (*((deployed.model,) if deployed else ()), *status.history)
    return tuple(_without_unused_figures(item, comparable) for item in kept[-_SERVED_LIMIT:])


def _record(found: Model, digest: str, known: Iterable[Model], at: str) -> ServedModel:
    """Return the record of a model, with the registry's entry if it has one."""
    listed = next((model for model in known if same_model(model, found)), found)
    return ServedModel(entry=_shortened(listed), digest=digest, first_served_at=at)


def _renewed(item: ServedModel, known: Iterable[Model]) -> ServedModel:
    listed = next((model for model in known if was_served_as(item, model)), None)
    if listed is None:
        return item
    entry = _shortened(listed)
    return item.model_copy(update={"entry": entry.model_copy(update={"metrics": entry.metrics or item.entry.metrics})})


def _shortened(model: Model) -> Model:
    return model.model_copy(
        update={"notes": None, "display_name": None, "weights_url": without_query(model.weights_url)}
    )


def _without_unused_figures(item: ServedModel, comparable: Iterable[Model | HistoryEntry]) -> ServedModel:
    """Return the record without the lists of figures that no decision can need, so that the status stays small.

    The gate compares a candidate only with a model of the history or of the Deployment. Distributions are only compared
    with those of a model that the registry still has.
    """
    metrics = item.entry.metrics
    if metrics is None or (metrics.by_species, metrics.reference) == (None, None):
        return item
    species = metrics.by_species if any(was_served_as(item, one) for one in comparable) else None
    bounded = metrics.model_copy(update={"reference": None, "by_species": species})
    return item.model_copy(update={"entry": item.entry.model_copy(update={"metrics": bounded})})


def _reported(pod: Pod, deployed: Rollout | None) -> ModelRef | None:
    """Return the model that a ready pod serves.

    A pod of the Deployment that the operator cannot reach has loaded the weights that its template names, or it would
    not be ready.
    """
    if pod.identity is None and pod.silent and deployed and pod.rollout_id == deployed.id:
        return reference(deployed.model)
    return reported_model(pod)
