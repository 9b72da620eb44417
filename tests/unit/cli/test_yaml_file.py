"""YAML files that people name: each is read, or ends the command with one line."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from cetacean_cli import named_files
from cetacean_cli.calibration import Calibration
from cetacean_cli.errors import BadInputError
from cetacean_cli.yaml_file import read_yaml

NESTED = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))


@pytest.mark.parametrize("value", ["2026-02-30", "1" * 5000, "[" * 5000, "!!int ''", "!!bool foo", "!!timestamp abc"])
def test_a_value_that_cannot_be_read_is_one_line(tmp_path: Path, value: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"threshold: 0.5\ncalibrated_at: {value}\n")
    with pytest.raises(BadInputError) as caught:
        Calibration.load(file)
    message = caught.value.format_message()
    assert message.startswith(f"{file}: expected YAML: ")
    assert len(message) < len(str(file)) + 200


def test_a_date_of_nested_aliases_is_not_written_out(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"{NESTED}threshold: 0.5\ncalibrated_at: *a59\n")
    with pytest.raises(BadInputError, match="calibrated_at: Input should be a valid string"):
        Calibration.load(file)


@pytest.mark.parametrize("date", ["2026-05-01", "2026-05-01T10:00:00Z", "2026"])
def test_a_date_without_quotes_is_text(tmp_path: Path, date: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"threshold: 0.5\ncalibrated_at: {date}\n")
    assert str(Calibration.load(file).calibrated_at).startswith(date[:10])


def test_a_pipe_of_the_shell_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=("a: 1",))
    writer.start()
    assert read_yaml(tmp_path / "pipe") == {"a": 1}
    writer.join()


def test_a_file_without_an_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_files, "LARGEST_FILE", 100)
    with pytest.raises(BadInputError, match=r"^/dev/zero: expected at most 100 bytes, got more$"):
        read_yaml(Path("/dev/zero"))
