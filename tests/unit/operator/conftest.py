"""A reconciler over an API server in memory."""

from __future__ import annotations

import pytest
from support.operator_world import manifest
from support.reconciler_bench import Bench


@pytest.fixture
def bench() -> Bench:
    """A resource that nothing has been done for yet."""
    made = Bench()
    made.watch(manifest())
    return made


@pytest.fixture
async def serving(bench: Bench) -> Bench:
    """The resource's only pod serves, and all is written down."""
    await bench.reconcile()
    bench.serve()
    await bench.reconcile()
    assert bench.condition("Ready")["status"] == "True"
    bench.api.calls.clear()
    return bench
