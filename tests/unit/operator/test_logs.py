"""One object a line, with resource and reason as fields of their own."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from cetacean_operator import logs


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("INFO", "json")
    logging.getLogger("x").info("it is %s", "done", extra={"resource": "sea/whales", "reason": "Applied"})
    logging.getLogger("x").debug("not shown")
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert record["timestamp"]
    wanted = {"level": "INFO", "logger": "x", "message": "it is done", "resource": "sea/whales", "reason": "Applied"}
    assert {key: record[key] for key in wanted} == wanted


def test_text_lines(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("DEBUG", "text")
    logging.getLogger("x").debug("shown")
    assert "DEBUG   x shown" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["aiohttp.access", "kopf.objects"])
def test_a_line_for_each_request_or_event_is_left_out(capsys: pytest.CaptureFixture[str], name: str) -> None:
    logs.configure("INFO", "json")
    logging.getLogger(name).info("noise")
    assert capsys.readouterr().err == ""
