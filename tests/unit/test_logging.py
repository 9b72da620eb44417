"""Log lines of the operator and of the inference service: JSON objects with fields, or text."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from cetacean_inference import log_setup
from cetacean_inference.settings import LogSettings
from cetacean_logging import configure_logging
from cetacean_operator.__main__ import QUIET_LOGGERS


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_json_line_has_the_extra_attributes_as_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json")
    logging.getLogger("x").info("it is %s", "done", extra={"resource": "sea/whales", "reason": "Applied"})
    logging.getLogger("x").debug("not shown")
    (line,) = capsys.readouterr().err.splitlines()
    record = json.loads(line)
    assert record["timestamp"]
    wanted = {"level": "INFO", "logger": "x", "message": "it is done", "resource": "sea/whales", "reason": "Applied"}
    assert {key: record[key] for key in wanted} == wanted


def test_a_text_line_has_level_logger_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("DEBUG", "text")
    logging.getLogger("x").debug("shown")
    assert "DEBUG   x shown" in capsys.readouterr().err


@pytest.mark.parametrize("name", QUIET_LOGGERS)
def test_quiet_loggers_log_only_warnings(capsys: pytest.CaptureFixture[str], name: str) -> None:
    configure_logging("INFO", "json", quiet_loggers=QUIET_LOGGERS)
    logging.getLogger(name).info("noise")
    assert capsys.readouterr().err == ""
    logging.getLogger(name).warning("signal")
    assert "signal" in capsys.readouterr().err


def test_the_context_adds_fields_to_every_record(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("INFO", "json", context=lambda: {"request": "7"})
    logging.getLogger("x").info("done")
    assert json.loads(capsys.readouterr().err)["request"] == "7"


def test_a_record_of_a_request_has_its_id(capsys: pytest.CaptureFixture[str]) -> None:
    log_setup.configure(LogSettings())
    token = log_setup.request_id.set("abc-1")
    logging.getLogger("x").info("inside", extra={"color_message": "with terminal codes"})
    log_setup.request_id.reset(token)
    logging.getLogger("x").info("outside")
    inside, outside = map(json.loads, capsys.readouterr().err.splitlines())
    assert inside["request_id"] == "abc-1"
    assert "request_id" not in outside
    assert "color_message" not in inside
