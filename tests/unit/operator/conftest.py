"""A reconciler over an API server in memory."""

from __future__ import annotations

import pytest
from support.operator_world import manifest
from support.reconciler_bench import Bench


@pytest.fixture
def bench() -> Bench:
    """A CetaceanModel that has not been reconciled yet."""
    made = Bench()
    made.put(manifest())
    return made


@pytest.fixture
async def serving(bench: Bench) -> Bench:
    """A CetaceanModel whose only pod serves, with its final status; no calls are recorded yet."""
    await bench.reconcile()
    bench.roll_out()
    await bench.reconcile()
    assert bench.condition("Ready")["status"] == "True"
    bench.api.calls.clear()
    return bench
