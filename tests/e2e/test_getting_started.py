"""Every command of docs/getting-started.md, run in its order in a checkout of the repository."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.documented import Block, Shell, blocks, missing
from support.plugin import environment as on_path
from support.plugin import install

from cetacean_tools.demo import installation
from cetacean_tools.demo.environment import Installed
from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.workspace import REPOSITORY

PAGE = REPOSITORY / "docs/getting-started.md"
BLOCKS = [block for block in blocks(PAGE.read_text(encoding="utf-8")) if not block.not_run]
NAMESPACE = "whales"


@pytest.fixture(scope="module")
def shell(operator: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """The shell of a newcomer, in a copy of the repository."""
    checkout, programs = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("programs")
    for entry in REPOSITORY.iterdir():
        if entry.name != "sample":
            (checkout / entry.name).symlink_to(entry)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # What the tests themselves are run by is not the newcomer's.
    given = {name: value for name, value in os.environ.items() if name not in {"KUBECONFIG", "MAKEFLAGS", "MAKELEVEL"}}
    install(programs)
    release = (installation.RELEASE, "--namespace", installation.OPERATOR_NAMESPACE)
    values = programs / "values.yaml"
    values.write_text(operator.kubectl.run_helm("get", "values", *release, "-o", "yaml"), encoding="utf-8")
    yield Shell(checkout, {**on_path(programs, given), "PORT": str(port)})
    operator.kubectl("delete", "namespace", NAMESPACE, "--wait=false", "--ignore-not-found")
    # The page ends by uninstalling what the other tests stand on.
    operator.kubectl.run_helm(
        "upgrade", "--install", *release[:1], str(installation.CHART), *release[1:], "--values", str(values), "--wait"
    )


# In their order: each begins where the one before it ended.
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.title)
def test_a_block_of_getting_started_gives_the_documented_output(shell: Shell, block: Block) -> None:
    done = shell.run(block.commands)
    assert done.returncode == 0, f"{block.commands}\n{done.stdout}"
    absent = missing(block.expected, done.stdout)
    assert absent is None, f"expected to see {absent!r} after\n{block.commands}\ngot:\n{done.stdout}"


def test_getting_started_leaves_no_resource_behind(shell: Shell, kubectl: Kubectl) -> None:
    assert (Path(shell.folder) / "sample/whales.yaml").exists(), "the blocks above have run"
    assert kubectl("get", "cetaceanmodels", "-n", NAMESPACE, "-o", "name") == ""
