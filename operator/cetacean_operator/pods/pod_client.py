"""Requests to one pod, bounded in time and bytes: a few in turn over one connection; a failure is a result."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, Self, TypeVar

import aiohttp

from cetacean_operator.api import names
from cetacean_operator.pods import feedback_response, shadow_response
from cetacean_operator.pods.feedback_response import parse_feedback_stats
from cetacean_operator.pods.pod_responses import (
    FEEDBACK_RECEIVED,
    BadAnswerError,
    PodMetrics,
    describe,
    parse_drift_stats,
    parse_identity,
    parse_metrics,
)
from cetacean_operator.pods.scrape import Scrape, Target
from cetacean_operator.pods.shadow_response import parse_shadow_stats

_LOG = logging.getLogger(__name__)
IDENTITY, DRIFT_STATS, METRICS = "/v1/identity", "/v1/drift-stats", "/metrics"
_CHUNK_BYTES = 16384
T = TypeVar("T")


class PodClient:
    """A client of the inference service. Use as an async context manager."""

    def __init__(self, *, timeout: float, max_bytes: int, count: Callable[[str], None] = lambda _result: None) -> None:
        """Bound the requests.

        Args:
            timeout: seconds for all requests to one pod together.
            max_bytes: of one answer.
            count: called with `ok`, or with the kind of the failure: timeout, bad_answer, unreachable.
        """
        self._timeout, self._max_bytes, self._count = timeout, max_bytes, count
        self._session: aiohttp.ClientSession | None = None
        self._parsing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Open the session."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=10),
            auto_decompress=False,  # the bound is on the bytes that are held in memory
            headers={"Accept-Encoding": "identity", "User-Agent": names.MANAGER},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def scrape(self, target: Target) -> Scrape:
        """Ask one pod for its identity, drift figures and metrics, and for a comparison and feedback if it has any."""
        try:
            async with asyncio.timeout(self._timeout):
                results = await self._answers(target)
        except TimeoutError:
            self._count("timeout")
            return Scrape(error=f"no answer within {self._timeout:g} s", hung=True)
        scrape, kinds = Scrape(), []
        for name, result in results.items():
            if isinstance(result, BadAnswerError):
                kinds.append("bad_answer")
            elif isinstance(result, Exception):
                kinds.append("unreachable")
            elif name == "metrics":
                scrape = replace(scrape, metrics=result.plain, rejections=result.rejections, durations=result.durations)
                continue
            else:
                scrape = replace(scrape, **{name: result})
                continue
            scrape = replace(scrape, error=scrape.error or describe(result))
        self._count(kinds[0] if kinds else "ok")
        if scrape.error:
            _LOG.debug("scrape: %s: %s", target.url, scrape.error, extra={"resource": "/".join(target.key)})
        return scrape

    async def _answers(self, target: Target) -> dict[str, Any]:
        """Return the answers by the name of the scrape's field, in the order in which the pod is asked."""
        results: dict[str, Any] = {}
        parts: dict[str, Callable[[], Awaitable[Any]]] = {
            "identity": partial(self._parsed, partial(parse_identity, IDENTITY), target, IDENTITY),
            "drift_stats": partial(self._parsed, partial(parse_drift_stats, DRIFT_STATS), target, DRIFT_STATS),
            "metrics": partial(self._parsed, parse_metrics, target, METRICS),
        }
        if target.compares:
            parts["shadow"] = partial(self._parsed, parse_shadow_stats, target, shadow_response.PATH)
        last: Any = None
        for name, ask in parts.items():
            # If nobody listens, one attempt is enough.
            last = results[name] = last if isinstance(last, aiohttp.ClientConnectorError) else await _result(ask)
        metrics = results["metrics"]
        if isinstance(metrics, PodMetrics) and metrics.plain.get(FEEDBACK_RECEIVED):
            results["feedback"] = await _result(
                partial(self._parsed, parse_feedback_stats, target, feedback_response.PATH)
            )
        return results

    async def _get(self, target: Target, path: str) -> bytes:
        assert self._session is not None, "use it as a context manager"  # noqa: S101 -- a programmer's error
        async with self._session.get(target.url + path, allow_redirects=False) as response:
            if response.status != 200:
                raise BadAnswerError(f"{path}: expected status 200, got {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
                body += chunk
                if len(body) > self._max_bytes:
                    raise BadAnswerError(f"{path}: expected at most {self._max_bytes} bytes, got more")
            return bytes(body)

    async def _parsed(self, parse: Callable[[bytes], T], target: Target, path: str) -> T:
        """Return a pod's answer, parsed in a turn of the event loop of its own: many may arrive at the same time."""
        body = await self._get(target, path)
        async with self._parsing:
            await asyncio.sleep(0)
            return parse(body)


async def _result(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Return a pod's answer, or the error."""
    try:
        return await ask()
    except (BadAnswerError, aiohttp.ClientError, OSError, TimeoutError) as error:
        return error
