"""A small JSON object as the body of a request: bounded in bytes and time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pydantic_core
from starlette.requests import ClientDisconnect, Request

from cetacean_inference.http.body import Body
from cetacean_inference.http_headers import decimal_header
from cetacean_inference.rejected_requests import RequestRejected

MEDIA_TYPE: Final = "application/json"
_KINDS: Final[Mapping[type, str]] = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}


async def read_object(request: Request, *, fields: str, limit: int, seconds: float) -> dict[str, Any]:
    """Return the object.

    Args:
        request: its body has not been read.
        fields: what the object has, for messages.
        limit: most bytes.
        seconds: time for the whole body.

    Raises:
        RequestRejected: 413, 415, 422, or 400 if the client has disconnected.
        HTTPException: 408, or 413 if no size was announced.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != MEDIA_TYPE:
        raise RequestRejected(415, f"expected a body of type {MEDIA_TYPE}, got {kind or 'none'}")
    announced = decimal_header(request.headers, "content-length")
    if announced is not None and announced > limit:
        raise RequestRejected(413, f"expected at most {limit} bytes, got {announced}")
    body = Body(request.receive, limit=limit, seconds=seconds)
    try:
        content = await Request(request.scope, body.receive).body()
    except ClientDisconnect as error:
        raise RequestRejected(400, "expected the whole body, got a part of it") from error
    try:
        found = pydantic_core.from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise RequestRejected(422, f"expected JSON, got a body that is none: {error}") from error
    if not isinstance(found, dict):
        raise RequestRejected(422, f"expected a JSON object with {fields}, got {_KINDS.get(type(found), 'a number')}")
    return found
