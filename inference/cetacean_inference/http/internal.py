"""Endpoints that are not for clients: answered at the pod's internal port, which no Service has.

A person reaches that port through the API server's proxy, which asks for the right to `get` `pods/proxy`.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request

from cetacean_inference.rejected_requests import RequestRejected
from cetacean_inference.settings import HttpSettings


def internal_port_only(settings: HttpSettings) -> Callable[[Request], None]:
    """Return a dependency that rejects requests at any other port with 404."""

    def check(request: Request) -> None:
        # The address of the socket, not the header Host, which a client chooses.
        _, port = request.scope.get("server") or (None, None)
        if port is None or port != settings.internal_port:
            raise RequestRejected(
                404, "expected a request at the pod's internal port: this endpoint is not for clients"
            )

    return check
