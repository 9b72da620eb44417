"""Watches the pods of a namespace: the time of each event is that of its arrival."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any, Self

import httpx
from benchmarks.switch.timeline import Pod


class PodWatch:
    """A context manager that keeps the first event of each pod, and the one with which it was ready.

    Args:
        proxy: base URL of `kubectl proxy`.
        namespace: of the pods.
        label: selects them.
    """

    def __init__(self, proxy: str, namespace: str, label: str) -> None:
        self._url = f"{proxy}/api/v1/namespaces/{namespace}/pods"
        self._label = label
        self._created: dict[str, float] = {}
        self._ready: dict[str, float] = {}
        self._changed = threading.Condition()
        self._client = httpx.Client(timeout=None, trust_env=False)  # noqa: S113 - a watch lasts
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def new_pod(self, begun: float, *, within: float) -> tuple[str, Pod]:
        """Return the first pod that came after a Unix time, when it is ready.

        Raises:
            TimeoutError: none was in time.
        """
        with self._changed:
            found = self._changed.wait_for(lambda: self._found(begun), timeout=within)
            if found is None:
                raise TimeoutError(f"expected a new pod to be ready within {within:g} s, got {self._created}")
            return found

    def _found(self, begun: float) -> tuple[str, Pod] | None:
        ready = [name for name, at in self._created.items() if at >= begun and name in self._ready]
        return (ready[0], Pod(self._created[ready[0]], self._ready[ready[0]])) if ready else None

    def _watch(self) -> None:
        query = {"labelSelector": self._label, "watch": "true"}
        try:
            with self._client.stream("GET", self._url, params=query) as answer:
                for line in answer.iter_lines():
                    now = time.time()
                    self._take(now, json.loads(line)["object"])
        except (httpx.HTTPError, RuntimeError):  # closed at the end
            return

    def _take(self, now: float, pod: Mapping[str, Any]) -> None:
        name = pod["metadata"]["name"]
        conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", ())}
        with self._changed:
            self._created.setdefault(name, now)
            if conditions.get("Ready") == "True":
                self._ready.setdefault(name, now)
            self._changed.notify_all()
