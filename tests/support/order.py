"""The option `--order`: run the tests of each module in another order, to find those that need the tests before them.

A plugin of pytest; `tests/conftest.py` installs it.
"""

from __future__ import annotations

import itertools
import random

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        "--order",
        metavar="ORDER",
        help="of the tests within each module: `reversed`, or a number as seed of a random one",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Change the order within each module; modules stay in theirs."""
    order = config.getoption("--order")
    if order is None:
        return
    modules = [list(group) for _, group in itertools.groupby(items, key=lambda item: item.path)]
    # One generator for all workers of pytest-xdist: each must collect the same order.
    draws = None if order == "reversed" else random.Random(int(order))
    for module in modules:
        if draws is None:
            module.reverse()
        else:
            draws.shuffle(module)
    items[:] = itertools.chain.from_iterable(modules)
