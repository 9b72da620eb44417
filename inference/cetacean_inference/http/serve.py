"""The process: listens at once, loads the weights beside, ends in good order.

Probes, metrics and the identity answer while the weights load, so that a pod that takes long can be told from one that
is dead. When they cannot be loaded nothing was ever served, and the process ends with the reason.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Final, NoReturn

import uvicorn

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.http.app import create_app
from cetacean_inference.logs import configure
from cetacean_inference.masks import CutOut
from cetacean_inference.priority import give_way
from cetacean_inference.service import Service
from cetacean_inference.settings import HttpSettings, Settings
from cetacean_inference.types import Pipeline

logger = logging.getLogger(__name__)

SWITCH_INTERVAL: Final = 0.001
"""Seconds after which a thread that decodes lets the event loop go on; Python's own is five times that."""

Load = Callable[[Settings], Pipeline[Any]]


def run(settings: Settings, *, load: Load | None = None) -> int:
    """Serve until told to end; 0 when that went in good order.

    Args:
        settings: all of them.
        load: gives the pipeline; `pipeline.load_pipeline` unless said otherwise.

    Raises:
        errors.CannotGoOn: when the weights cannot be loaded, or the port not be had.
    """
    configure(settings.log)
    sys.setswitchinterval(SWITCH_INTERVAL)
    listener = listen(settings.http)
    service = Service(settings)
    server = _Server(_config(service), service)
    loading = _Loading(service, load or _load_pipeline, server)
    loading.start()
    with _signals_end(server):
        server.run(sockets=[listener])
    if loading.failure is not None:
        raise loading.failure
    remaining = max(0.0, server.deadline - time.monotonic())
    if loading.is_alive() or not service.close(timeout_seconds=remaining):
        _end_now(0 if loading.is_alive() else 1)
    logger.info("ended")
    return 0


def listen(settings: HttpSettings) -> socket.socket:
    """A listening socket.

    Raises:
        ConfigInvalid: when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    address = (settings.host, settings.port)
    try:
        listener = socket.create_server(
            address, family=family, backlog=2048, dualstack_ipv6=settings.host == "::" and socket.has_dualstack_ipv6()
        )
    except OSError as error:
        raise ConfigInvalid(
            f"http: cannot listen on {settings.host}:{settings.port}: {error.strerror or error}"
        ) from error
    # What is accepted inherits it: asyncio sets it only where the protocol is named, and without it the second part of
    # an answer waits 40 ms until the client has acknowledged the first.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    logger.info("listening on %s:%d", *listener.getsockname()[:2])
    return listener


@contextlib.contextmanager
def _signals_end(server: uvicorn.Server) -> Iterator[None]:
    """Take signals that come before uvicorn does, and what it raises again after it has ended in good order."""
    signals = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, server.handle_exit) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Server(uvicorn.Server):
    """uvicorn, with readiness taken away before anything else happens."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self.deadline = float("inf")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            self._service.drain()
            self.deadline = time.monotonic() + self._service.settings.http.grace_period_seconds
            logger.info("%s: answering what is under way, then ending", signal.Signals(sig).name)
        super().handle_exit(sig, frame)


class _Loading(threading.Thread):
    """Loads the weights; a daemon, because loading cannot be interrupted and the process must be able to end."""

    def __init__(self, service: Service, load: Load, server: uvicorn.Server) -> None:
        super().__init__(name="loading", daemon=True)
        self._service = service
        self._load = load
        self._server = server
        self.failure: Exception | None = None

    def run(self) -> None:
        give_way()  # the threads that compute are started from here
        try:
            settings = self._service.settings
            cut_out = _load_cut_out(settings)  # first: what is missing for it is known at once
            self._service.begin(self._load(settings), cut_out=cut_out)
        except Exception as error:  # noqa: BLE001 - raised again in the main thread
            self.failure = error
            self._server.should_exit = True


def _config(service: Service) -> uvicorn.Config:
    settings = service.settings.http
    return uvicorn.Config(
        create_app(service),
        log_config=None,
        access_log=False,
        http="h11",
        loop="asyncio",
        server_header=False,
        lifespan="on",
        timeout_keep_alive=settings.keep_alive_seconds,
        timeout_graceful_shutdown=settings.grace_period_seconds,
    )


def _load_pipeline(settings: Settings) -> Pipeline[Any]:
    from cetacean_inference.pipeline import load_pipeline  # noqa: PLC0415 - torch takes seconds, in which we answer

    return load_pipeline(settings)


def _load_cut_out(settings: Settings) -> CutOut | None:
    if not settings.mask.enabled:
        return None
    from cetacean_inference.remover import load_remover  # noqa: PLC0415 - as above

    return load_remover(settings)


def _end_now(status: int) -> NoReturn:
    """End without waiting for threads that cannot be interrupted: the interpreter's own end would abort in them."""
    logger.warning("ending with work under way: the weights were loading, or the grace period is over")
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
