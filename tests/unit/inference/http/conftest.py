"""Services with given settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.inference_world import FakePipeline, make_settings, start

from cetacean_inference.serving.service import Service


@pytest.fixture
def service_of(tmp_path: Path, pipeline: FakePipeline) -> Iterator[Callable[..., Service]]:
    """Makes services with the fake pipeline and the given sections of settings."""
    made: list[Service] = []

    def make(**sections: Any) -> Service:
        service = Service(make_settings(tmp_path, **sections))
        start(service, pipeline)
        made.append(service)
        return service

    yield make
    pipeline.release()
    for service in made:
        assert service.close(timeout_seconds=10)
