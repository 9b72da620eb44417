"""Commands that the cluster's tools run: their output, or one line that says what failed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cetacean_tools.local_cluster.protocol import ClusterError, output


def test_the_output_of_a_command_is_returned(tmp_path: Path) -> None:
    assert (
        output("sh", "-c", "echo $WORD; pwd", cwd=tmp_path, env={**os.environ, "WORD": "sea"}) == f"sea\n{tmp_path}\n"
    )


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ("sh", "-c", "echo one >&2; echo two >&2; exit 3"),
            "`sh -c 'echo one >&2; echo two >&2; exit 3'` failed: one two",
        ),
        (("sh", "-c", "echo out; exit 1"), "`sh -c 'echo out; exit 1'` failed: out"),
        (("/nowhere/program",), "`/nowhere/program` failed: No such file or directory"),
    ],
)
def test_a_command_that_fails_is_named_in_one_line(command: tuple[str, ...], message: str) -> None:
    with pytest.raises(ClusterError) as raised:
        output(*command)
    assert str(raised.value) == message


def test_a_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # nothing is ever written to it
    with pytest.raises(ClusterError, match=r"^`cat .*/fifo` did not end within 0.1 s$"):
        output("cat", tmp_path / "fifo", within=0.1)
