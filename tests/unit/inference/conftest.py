"""Fixtures of the inference service's tests; the environment's CETACEAN_ variables are removed."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from support.inference_world import FakePipeline, client_of, make_settings, start
from support.tiny_weights import write_weights

from cetacean_inference.serving.service import Service
from cetacean_inference.settings import Settings


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny weights, in files that no test changes."""
    directory = tmp_path_factory.mktemp("weights")
    write_weights(directory)
    return directory


@pytest.fixture(autouse=True)
def _no_settings_from_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CETACEAN_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
def pipeline() -> FakePipeline:
    return FakePipeline()


@pytest.fixture
def service(settings: Settings, pipeline: FakePipeline) -> Iterator[Service]:
    """A service with the fake pipeline."""
    service = Service(settings)
    start(service, pipeline)
    yield service
    pipeline.release()
    assert service.close(timeout_seconds=10)


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(service) as client:
        yield client


@pytest.fixture
def _restored_logging() -> Iterator[None]:
    """Restores the logging that the server configures for its process, here the process of the tests."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level = handlers, level
