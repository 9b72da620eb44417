"""The fuzz tier's tests; the environment's CETACEAN_ variables are removed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def _no_settings_from_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CETACEAN_")]:
            patch.delenv(name)
        yield
