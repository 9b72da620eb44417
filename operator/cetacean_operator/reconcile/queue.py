"""A coalescing work queue over keys, after client-go's workqueue.

A key is handled by one worker at a time. Any number of requests that come while it waits count as one; a
request that comes while it is handled makes it due once more afterwards. A failed key waits twice as long each
time, with jitter, and a delayed request of one key delays no other.

Urgent keys go before others, as in controller-runtime's priority queue: changes that people make go before the events
that follow from them. If many urgent keys come within a second, more are expected, and other keys wait for those as
well. One key in sixteen is taken from the others all the same, and none of them waits for more than some seconds.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

from cetacean_operator.backoff import exponential

K = TypeVar("K", bound=Hashable)
_URGENT_IN_A_ROW = 15
"""Urgent keys that may be taken one after the other while others wait."""
_BURST = 8.0
"""Urgent keys within about a second that make a burst: more are expected."""
_LONGEST_HOLD = 10.0
"""Seconds that other keys wait during a burst, at most; then they take turns in a few slots until it ends."""
_BURST_SHARE = 6
"""One in so many of their slots stays free for other keys during a burst."""
_RECHECK = 0.2
"""Seconds after which the queue checks whether the burst is over."""


class Timer(Protocol):
    """A scheduled call that can be cancelled."""

    def cancel(self) -> None:
        """Do not call."""


class Clock(Protocol):
    """The part of an event loop that the queue needs; a test passes one whose time it moves itself."""

    def time(self) -> float:
        """Return monotonic seconds."""

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any) -> Timer:
        """Call `callback(*args)` at `when`, in the seconds of `time`."""


class QueueObserver(Protocol):
    """Is called for each change in the queue; for metrics."""

    def added(self) -> None:
        """A key was asked for."""

    def retried(self) -> None:
        """A key failed and waits for its back-off."""

    def taken(self, waited: float) -> None:
        """A worker took a key that had been due for `waited` seconds."""


class WorkQueue(Generic[K]):
    """Keys that are due, the urgent ones first, else in the order in which they became due."""

    def __init__(
        self,
        clock: Clock,
        *,
        backoff_base: float = 0.25,
        backoff_max: float = 120.0,
        other_slots: int = 12,
        observer: QueueObserver | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Create an empty queue.

        Args:
            clock: the event loop.
            backoff_base: seconds of the first delay after a failure, at most.
            backoff_max: seconds of the longest one.
            other_slots: keys that are not urgent and may be processed at the same time.
            observer: is called for each change.
            rng: gives the jitter of delays.
        """
        self._clock = clock
        self._base = backoff_base
        self._max = backoff_max
        self._other_slots = other_slots
        self._observer = observer
        self._rng = rng or random.Random()
        self._ready: OrderedDict[K, None] = OrderedDict()
        self._urgent: OrderedDict[K, None] = OrderedDict()
        self._in_a_row = 0
        self._burst = (0.0, 0.0)  # count of urgent keys, decaying within a second, and when it was taken
        self._recheck_timer: Timer | None = None
        self._due: dict[K, float] = {}  # since when; also keys that are due again while they are processed
        self._urgent_keys: set[K] = set()  # of these
        self._processing: dict[K, float] = {}
        self._others: set[K] = set()  # of these, those that are not urgent
        self._timers: dict[K, tuple[float, Timer]] = {}
        self._failures: dict[K, int] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """Return how many keys are due, those being processed not counted unless due again."""
        return len(self._due)

    def oldest(self) -> float:
        """Return for how many seconds the longest waiting or longest handled key has waited."""
        now = self._clock.time()
        since = [*self._due.values(), *self._processing.values()]
        return max((now - at for at in since), default=0.0)

    @property
    def has_urgent_backlog(self) -> bool:
        """True while urgent keys wait, or so many came just now that more are expected."""
        return bool(self._urgent) or self._recent_urgent() > _BURST

    def add(self, key: K, *, urgent: bool = False) -> None:
        """Make the key due now. A delayed request of it stays: it may be about a later time."""
        if self._observer:
            self._observer.added()
        if urgent:
            self._burst = (self._recent_urgent() + 1.0, self._clock.time())
        known, urgent_before = key in self._due, key in self._urgent_keys
        if known and (urgent_before or not urgent):
            return
        self._due.setdefault(key, self._clock.time())
        if urgent:
            self._urgent_keys.add(key)
        if key not in self._processing:
            self._ready.pop(key, None)
            self._push(key)

    def add_after(self, key: K, delay: float) -> None:
        """Make the key due in `delay` seconds, or earlier if an earlier request stands."""
        if delay <= 0:
            self.add(key)
            return
        when = self._clock.time() + delay
        if (standing := self._timers.get(key)) is not None:
            if standing[0] <= when:
                return
            standing[1].cancel()
        self._timers[key] = (when, self._clock.call_at(when, self._fire, key))

    def retry(self, key: K, *, not_before: float = 0.0) -> float:
        """Make a failed key due after its back-off, in `not_before` seconds at the earliest; return the delay."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = max(not_before, exponential(failures, base=self._base, longest=self._max, rng=self._rng))
        if self._observer:
            self._observer.retried()
        self.add_after(key, delay)
        return delay

    def succeeded(self, key: K) -> None:
        """Forget the key's failures."""
        self._failures.pop(key, None)

    async def take(self) -> K:
        """Wait for a due key and hand it out; the caller calls `done` in any case."""
        while not self._available():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                # This worker may have been woken for a key: wake another one.
                if waiter.done() and not waiter.cancelled() and self._available():
                    self._wake()
                raise
        key = self._next()
        since = self._due.pop(key)
        if key in self._urgent_keys:
            self._urgent_keys.discard(key)
        else:
            self._others.add(key)
        now = self._clock.time()
        self._processing[key] = now
        # This processing serves the delayed request too, and sets the next one.
        if (standing := self._timers.pop(key, None)) is not None:
            standing[1].cancel()
        if self._observer:
            self._observer.taken(now - since)
        return key

    def done(self, key: K) -> None:
        """Give the key back; it is due again at once if it was added meanwhile."""
        del self._processing[key]
        self._others.discard(key)
        if key in self._due:
            self._push(key)
        elif self._ready and self._waiters:
            self._wake()  # a slot has become free

    def _fire(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _recent_urgent(self) -> float:
        """Return how many urgent keys were added in about the last second."""
        count, at = self._burst
        return count * math.exp(at - self._clock.time())

    def _available(self) -> bool:
        """Return true if a key may be taken; if one must wait, set a timer for it."""
        if self._urgent or not self._ready or len(self._others) >= self._other_slots:
            return bool(self._urgent)
        longest = self._clock.time() - self._due[next(iter(self._ready))]
        if not self.has_urgent_backlog or (longest >= _LONGEST_HOLD and self._other_is_allowed()):
            return True
        if self._recheck_timer is None:
            self._recheck_timer = self._clock.call_at(self._clock.time() + _RECHECK, self._recheck)
        return False

    def _other_is_allowed(self) -> bool:
        """Return true if a key that is not urgent waits, and one of their slots is free; a burst leaves few of them."""
        slots = max(1, self._other_slots // _BURST_SHARE) if self.has_urgent_backlog else self._other_slots
        return bool(self._ready) and len(self._others) < slots

    def _recheck(self) -> None:
        self._recheck_timer = None
        if self._available():
            for _ in range(min(len(self._urgent) + len(self._ready), len(self._waiters))):
                self._wake()

    def _next(self) -> K:
        """Take a key out of those that are ready."""
        if self._urgent and (not self._other_is_allowed() or self._in_a_row < _URGENT_IN_A_ROW):
            self._in_a_row = self._in_a_row + 1 if self._ready else 0
            return self._urgent.popitem(last=False)[0]
        self._in_a_row = 0
        return self._ready.popitem(last=False)[0]

    def _push(self, key: K) -> None:
        # Also if it was there already: the worker that was woken for it may wait again, because the key had to wait.
        (self._urgent if key in self._urgent_keys else self._ready)[key] = None
        self._wake()

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
