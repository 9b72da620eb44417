"""Every test that docs/security.md names exists, and every attempt that it lists is shown by one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest
import yaml

from cetacean_registry.policy import BySpeciesPolicy, GatePolicy

REPOSITORY: Final = Path(__file__).resolve().parents[3]
PAGE: Final = (REPOSITORY / "docs/security.md").read_text(encoding="utf-8")
ACTORS: Final = "TCAWPOSVR"


@cache
def names_of_tests(path: str) -> frozenset[str]:
    """Return the names of a module's tests; none if it does not exist."""
    file = REPOSITORY / path
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if file.is_file() else ()
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return frozenset(name for name in functions if name.startswith("test_"))


def missing(page: str) -> list[str]:
    """Return the tests and the modules of tests that a page names and that do not exist."""
    named = re.findall(r"(tests/[\w/]+\.py)(?:::(\w+))?", page)
    return [
        f"{path}::{name}"
        for path, name in named
        if not names_of_tests(path) or (name and name not in names_of_tests(path))
    ]


def test_every_test_that_the_page_names_exists() -> None:
    assert len(re.findall(r"\.py::test_", PAGE)) > 100
    assert missing(PAGE) == []


@pytest.mark.parametrize(
    "named",
    [
        "tests/unit/docs/test_security.py::test_of_nothing",
        "tests/unit/docs/test_absent.py",
        "tests/unit/docs/test_security.py::missing",
    ],
)
def test_a_test_that_does_not_exist_is_found(named: str) -> None:
    assert missing(f"text\nT1  {named}\n") == [named if "::" in named else f"{named}::"]


@pytest.mark.parametrize("actor", ACTORS)
def test_each_attempt_of_an_actor_is_shown_by_a_test_and_what_is_left_is_listed(actor: str) -> None:
    (section,) = re.findall(rf"^## {actor}: .*?(?=^## )", PAGE, flags=re.MULTILINE | re.DOTALL)
    attempts = re.findall(rf"^\| ({actor}\d+) \|", section, flags=re.MULTILINE)
    shown = re.findall(rf"^({actor}\d+)  tests/[\w/]+\.py::test_\w+$", section, flags=re.MULTILINE)
    assert attempts == [f"{actor}{number}" for number in range(1, len(attempts) + 1)]
    assert sorted(set(shown)) == sorted(attempts)
    assert "**By design**" in section
    assert re.search(r"^Left:\n\n- ", section, flags=re.MULTILINE)


def fields_of_the_gate() -> set[str]:
    fields = (*GatePolicy.model_fields.items(), *BySpeciesPolicy.model_fields.items())
    return {str(field.alias or name) for name, field in fields}


def test_the_example_policy_covers_every_bound_of_the_gate_and_the_page_says_no_less() -> None:
    policy, *_ = yaml.safe_load_all((REPOSITORY / "examples/policies/lower-gates.yaml").read_text(encoding="utf-8"))
    messages = "\n".join(rule.get("messageExpression") or rule["message"] for rule in policy["spec"]["validations"])
    assert {field for field in fields_of_the_gate() if field not in messages} == set()
    (row,) = re.findall(r"^- The example policy .*?(?=^- )", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert {field for field in fields_of_the_gate() if f"`{field}`" in row} == set()
