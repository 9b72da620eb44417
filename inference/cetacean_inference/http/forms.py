"""Bounds the parts of a multipart form: one file, and a few short fields.

Starlette keeps up to 1000 files and 1000 fields, each of up to 1 MiB in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response
from fastapi.routing import APIRoute

from cetacean_inference.settings import KIB

MAX_FILES: Final = 1
MAX_FIELDS: Final = 8
MAX_FIELD_BYTES: Final = 16 * KIB


class _BoundedRequest(Request):
    def form(self, **_: Any) -> Any:
        """Parse the form; 400 at the headers of a part too many, before its content is read."""
        return super().form(max_files=MAX_FILES, max_fields=MAX_FIELDS, max_part_size=MAX_FIELD_BYTES)


class OneFileRoute(APIRoute):
    """A route whose form has one file."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler, for a request with bounds."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            return await handler(_BoundedRequest(request.scope, request.receive))

        return handle
