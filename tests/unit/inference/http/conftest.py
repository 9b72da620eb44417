"""Services with other settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.inference_world import FakePipeline, make_settings

from cetacean_inference.service import Service


@pytest.fixture
def service_of(tmp_path: Path, pipeline: FakePipeline) -> Iterator[Callable[..., Service]]:
    """Makes services that have loaded the fake weights, with the sections that are given."""
    made: list[Service] = []

    def make(**sections: Any) -> Service:
        service = Service(make_settings(tmp_path, **sections))
        service.begin(pipeline)
        made.append(service)
        return service

    yield make
    pipeline.go_on.set()
    for service in made:
        assert service.close(timeout_seconds=10)
