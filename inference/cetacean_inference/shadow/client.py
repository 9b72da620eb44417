"""Asks another pod about a picture; whatever it sends is bounded in bytes and in time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import httpx

from cetacean_inference.monitoring.monitoring_file import ServedModel
from cetacean_inference.shadow.answers import MAX_ANSWER_BYTES, Answer, UnreadableAnswerError, read_answer
from cetacean_inference.shadow.connections import Transport

PATH: Final = "/v1/predict-shadow"
"""Answers as /v1/predict-single does, without being counted as an answer to a client."""
RUN_HEADER: Final = "X-Shadow-Run"
"""The run that a copy belongs to; a candidate answers each picture of a run once."""
SENDER_HEADER: Final = "X-Shadow-Sender"
"""The process that asks: a Service of several pods may lead to the pod that asks, which does not answer itself."""
CONNECT_SECONDS: Final = 2.0
MAX_HEAD_BYTES: Final = 16384
"""What an answer may have besides its body: its head, those before it, and the sizes of chunks."""


class Failure(StrEnum):
    """Why a picture could not be compared."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    STATUS = "status"
    """Another status than 200, 409 and 429."""
    UNREADABLE = "unreadable"
    WRONG_MODEL = "wrong_model"


class BusyError(Exception):
    """The other pod has pictures of clients to compute first (429)."""


class RepeatedError(Exception):
    """The candidate has answered another pod about the same picture (409): it is no new evidence."""


class OwnQuestionError(Exception):
    """The Service has led to the process that asks (409): its answer would only agree with itself."""


@dataclass(frozen=True, slots=True)
class FailedError(Exception):
    """There is no answer, for this reason."""

    failure: Failure
    detail: str


class ShadowClient:
    """Sends pictures to other pods, each over a connection of its own.

    A pod may close a connection that is kept at the moment when it is used again: its picture would count as failed.
    """

    def __init__(self, *, timeout_seconds: float, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Create a client; `timeout_seconds` bounds one picture, from connecting to the last byte."""
        self._timeout = timeout_seconds
        self._client = httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            transport=transport or Transport(max_bytes=MAX_HEAD_BYTES + MAX_ANSWER_BYTES),
            timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
        )

    async def ask(
        self, url: str, data: bytes, *, model: ServedModel, run: str | None = None, sender: str | None = None
    ) -> Answer:
        """Return the answer about one picture.

        Args:
            url: of the other pod or of its Service, without a path.
            data: the file, as the client sent it.
            model: the model that must answer.
            run: each picture of it is answered once; None: answer in any case.
            sender: the process that asks, which must not answer; None if the URL cannot lead to it.

        Raises:
            BusyError: ask about another picture later.
            RepeatedError: the picture was answered in this run.
            OwnQuestionError: the URL has led to the sender.
            FailedError: there is no answer of this model.
        """
        try:
            async with asyncio.timeout(self._timeout):
                return await self._ask(url, data, model, _headers(run, sender))
        except TimeoutError as error:
            raise FailedError(Failure.TIMEOUT, f"expected an answer within {self._timeout:g} s") from error
        except httpx.TimeoutException as error:
            raise FailedError(Failure.TIMEOUT, type(error).__name__) from error
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError) as error:
            raise FailedError(Failure.UNREACHABLE, f"{type(error).__name__}: {error}"[:500]) from error

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _ask(self, url: str, data: bytes, model: ServedModel, headers: dict[str, str]) -> Answer:
        request = self._client.build_request(
            "POST",
            url.rstrip("/") + PATH,
            files={"file": ("picture", data, "image/jpeg")},
            headers={"Accept-Encoding": "identity", **headers},
        )
        answer = await self._client.send(request, stream=True)
        try:
            body = await _read(answer)
        finally:
            await answer.aclose()
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise BusyError
        if answer.status_code == httpx.codes.CONFLICT and SENDER_HEADER in headers:
            raise OwnQuestionError
        if answer.status_code == httpx.codes.CONFLICT and RUN_HEADER in headers:
            raise RepeatedError
        if answer.status_code != httpx.codes.OK:
            raise FailedError(Failure.STATUS, f"expected status 200, got {answer.status_code}")
        if (found := _model_of(answer.headers)) != model.identity:
            raise FailedError(Failure.WRONG_MODEL, f"expected an answer of {model.identity}, got one of {found}"[:500])
        try:
            return read_answer(body, server_timing=answer.headers.get("Server-Timing", ""))
        except UnreadableAnswerError as error:
            raise FailedError(Failure.UNREADABLE, str(error)) from error


def _headers(run: str | None, sender: str | None) -> dict[str, str]:
    given = {RUN_HEADER: run, SENDER_HEADER: sender}
    return {name: value for name, value in given.items() if value}


async def _read(answer: httpx.Response) -> bytes:
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise FailedError(Failure.UNREADABLE, "expected an answer without Content-Encoding")
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise FailedError(Failure.UNREADABLE, f"expected at most {MAX_ANSWER_BYTES} bytes, got more")
    return bytes(body)


def _model_of(headers: httpx.Headers) -> tuple[str, str, str]:
    return (
        headers.get("X-Model-Name", ""),
        headers.get("X-Model-Version", ""),
        headers.get("X-Weights-SHA256", ""),
    )
