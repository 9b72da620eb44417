"""The networks as our service converts them."""

from __future__ import annotations

from contextlib import ExitStack

from cetacean_inference.engines.base import ConvertedNetworks
from cetacean_inference.engines.conversion_cache import converted_networks
from cetacean_inference.settings import Settings
from cetacean_inference.system.start_times import StartTimes
from cetacean_inference.weights.fetch import locate_all, open_own_cache


def converted(settings: Settings) -> ConvertedNetworks:
    """Return the networks of fetched weights; converts them if the service has not served them yet."""
    with ExitStack() as stack:
        return converted_networks(
            settings,
            files=locate_all(settings),
            cache=open_own_cache(settings),
            times=StartTimes(),
            until_compiled=stack,
            hold=stack.enter_context,
        )
