"""A plugin of pytest for the runs with mutants: few and fixed random examples."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

# No shrinking: that a test fails is enough. No database: what one mutant has failed with says nothing about the next.
settings.register_profile(
    "mutants",
    max_examples=20,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
