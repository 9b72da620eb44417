"""Shadow traffic: takes copies of answered pictures, asks the candidate, and counts how the answers differ.

Nothing here is waited for by an answer to a client: copies wait in a bounded queue, and one task asks about them.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from typing import Any, Final

from cetacean_inference.monitoring.monitoring_file import ShadowPlan
from cetacean_inference.settings import ShadowSettings
from cetacean_inference.shadow.agreement import Agreement, PairBounds
from cetacean_inference.shadow.answers import UNIT, Answer
from cetacean_inference.shadow.client import (
    BusyError,
    FailedError,
    Failure,
    OwnQuestionError,
    RepeatedError,
    ShadowClient,
)
from cetacean_inference.shadow.disagreements import Disagreements
from cetacean_inference.shadow.kept_pictures import KeptPictures
from cetacean_inference.shadow.samples import RequestSamples, Sample, SampleQueue

logger = logging.getLogger(__name__)

_NOISE_DIGIT: Final = -1
"""The digest's digit that decides whether a picture also goes to another pod of the served model: one in four does."""
_PEER_TRIES: Final = 3
"""Connections to the Service of the served model: of two pods, one in eight pictures then reaches no other one."""


class ShadowTraffic:
    """One process's part in comparing a candidate with the served model."""

    def __init__(
        self, settings: ShadowSettings, *, plan: ShadowPlan | None, client: ShadowClient | None = None
    ) -> None:
        """Copy pictures as the plan says; None copies none.

        Args:
            settings: bounds.
            plan: of the monitoring file.
            client: asks other pods.
        """
        self.sender: Final = secrets.token_hex(16)
        """Names this process to those that it asks, so that it does not answer itself."""
        self._settings = settings
        self._client = client or ShadowClient(timeout_seconds=settings.timeout_seconds)
        self.samples: Final = SampleQueue(max_pictures=settings.max_pictures, max_bytes=settings.max_bytes)
        self.pictures: Final = KeptPictures(settings.keep_folder, max_bytes=settings.keep_max_bytes)
        self._disagreements = Disagreements()
        self._listed_plan: ShadowPlan | None = None
        self._plan: ShadowPlan | None = None
        self._queued = asyncio.Event()
        self._restart(plan)

    @property
    def plan(self) -> ShadowPlan | None:
        """The plan in force."""
        return self._plan

    def configure(self, plan: ShadowPlan | None) -> None:
        """Apply a plan; another run begins with counts of zero, and another share or address keeps them."""
        if plan == self._plan:
            return
        if plan is None or self._plan is None or not plan.counts_go_on(self._plan):
            self._restart(plan)
        else:
            self._plan = self._listed_plan = plan

    def request(self) -> RequestSamples:
        """Begin a request of a client."""
        return RequestSamples(self.samples)

    def finish(self, request: RequestSamples, *, sent: bool) -> None:
        """End a request: its copies are compared if its answer has left. Called in the event loop."""
        if request.finish(sent=sent):
            self._queued.set()

    def report(self) -> dict[str, Any]:
        """Return all counts of this run."""
        plan = self._plan
        return {
            "run": plan.run if plan else None,
            "model": plan.candidate.model_dump() if plan else None,
            "sampled": self.samples.sampled,
            "dropped": self.samples.dropped,
            "busy": self._busy,
            "repeated": self._repeated,
            "failed": {failure.value: self._failed[failure] for failure in Failure},
            "candidate": self._candidate.report(),
            "noise": self._noise.report(),
        }

    def disagreements(self) -> dict[str, Any]:
        """Return the newest disagreements of this run; if none runs, those of the last one."""
        plan = self._listed_plan
        return {
            "run": plan.run if plan else None,
            "served": plan.served.model_dump() if plan else None,
            "candidate": plan.candidate.model_dump() if plan else None,
            "keeps_pictures": plan is not None and plan.keep_disagreements is not None and self.pictures.has_folder,
            "disagreements": self._disagreements.report(),
        }

    async def run(self) -> None:
        """Ask about copies, one after the other, until cancelled."""
        try:
            while True:
                if (sample := self.samples.take()) is None:
                    self._queued.clear()
                    await self._queued.wait()
                    continue
                try:
                    await self._compare(sample)
                except Exception:  # whatever happens here must not end the comparison, nor reach a client
                    logger.exception("a picture was not compared")
                finally:
                    self.samples.discard(sample)
        finally:
            await self._client.close()

    async def _compare(self, sample: Sample) -> None:
        plan, served = self._plan, sample.answer
        if plan is None or served is None:
            return
        try:
            other = await self._ask(plan, sample)
        except RepeatedError:  # the pod that sent it first has also asked for the noise floor
            self._repeated += self._goes_on(plan)
            return
        if not self._goes_on(plan):
            return  # the answer belongs to a run that is over
        bounds = PairBounds(plan.max_latency_ratio, round(plan.probability_offset * UNIT))
        if other is not None and not self._candidate.count(served, other, bounds):
            self._disagreements.add(sample.sha256, served, other)
            if plan.keep_disagreements is not None:
                self.pictures.keep(sample.sha256, sample.data, max_items=plan.keep_disagreements.max_items)
        if plan.peer_url is not None and sample.sha256[_NOISE_DIGIT] in "0123":
            await self._ask_peer(plan, plan.peer_url, sample, served)

    async def _ask(self, plan: ShadowPlan, sample: Sample) -> Answer | None:
        try:
            return await self._client.ask(plan.url, sample.data, model=plan.candidate, run=plan.run)
        except BusyError:
            if self._goes_on(plan):
                self._busy += 1
        except FailedError as error:
            if self._goes_on(plan):
                self._failed[error.failure] += 1
                logger.info("shadow: %s of %s: %s", error.failure, plan.candidate.name, error.detail)
        return None

    async def _ask_peer(self, plan: ShadowPlan, url: str, sample: Sample, served: Answer) -> None:
        """Ask another pod of the served model; a failure says nothing about the candidate and is not counted."""
        for _ in range(_PEER_TRIES):
            try:
                answer = await self._client.ask(url, sample.data, model=plan.served, sender=self.sender)
            except OwnQuestionError:
                continue  # a new connection may lead to another pod
            except (BusyError, FailedError):
                return
            if self._goes_on(plan):
                self._noise.count(served, answer)
            return

    def _goes_on(self, plan: ShadowPlan) -> bool:
        """Return true if the plan's run is still the one that is counted."""
        return self._plan is not None and self._plan.run == plan.run

    def _restart(self, plan: ShadowPlan | None) -> None:
        self._plan = plan
        self._candidate, self._noise = Agreement(), Agreement()
        self._failed: Counter[Failure] = Counter()
        self._busy = self._repeated = 0
        if plan is not None:  # without a run, those of the last one stay: they show why it ended
            self._listed_plan = plan
            self._disagreements.clear()
        self.samples.restart(plan.share if plan else 0.0)
