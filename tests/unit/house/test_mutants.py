"""`make mutants` knows all pure modules, and its list of survivors names what exists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from mutation import figures, groups, survivors
from mutation.results import Mutant
from mutation.survivors import Survivor
from mutation.workspace import prepare

REPOSITORY = Path(__file__).resolve().parents[3]
SOURCES = {module: REPOSITORY / group.root / path for group in groups.GROUPS for module, path in group.paths().items()}


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    methods = {
        f"{owner.name}.{node.name}"
        for owner in tree.body
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return methods | {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(
    ("folder", "group"),
    [
        ("operator/cetacean_operator/decisions", groups.DECISIONS),
        ("models/cetacean_registry", groups.REGISTRY),
        ("models/cetacean_signing", groups.SIGNING),
    ],
    ids=lambda one: getattr(one, "name", one),
)
def test_each_pure_module_with_a_function_is_mutated(folder: str, group: groups.Group) -> None:
    found = {path.stem for path in (REPOSITORY / folder).glob("*.py") if _functions(path)}
    assert found == {name.removeprefix("decisions.") for name in group.modules}


def test_each_named_module_and_each_named_test_exists() -> None:
    tests = {path for group in groups.GROUPS for path in (*group.tests, *group.left_out)}
    files = {REPOSITORY / test.partition("::")[0] for test in tests}
    assert not [path for path in (*SOURCES.values(), *files) if not path.exists()]
    named = [test.split("::") for test in tests if "::" in test]
    assert not [name for path, name in named if name not in (REPOSITORY / path).read_text(encoding="utf-8")]


def test_modules_are_selected_by_the_ends_of_their_names() -> None:
    [(group, modules)] = groups.selected(["gate", "cetacean_registry.metrics"])
    assert (group.name, modules) == ("registry", ["cetacean_registry.gate", "cetacean_registry.metrics"])
    assert [group for group, _ in groups.selected([])] == list(groups.GROUPS)
    with pytest.raises(ValueError, match=r"expected modules out of .*, got promotions$"):
        groups.selected(["promotion", "promotions"])


def test_each_listed_survivor_is_in_a_function_that_exists() -> None:
    missing = [one for one in survivors.read() if one.function not in _functions(SOURCES[one.module])]
    assert not missing


def test_a_listed_survivor_needs_a_reason_and_is_listed_once(tmp_path: Path) -> None:
    path, survivor = tmp_path / "survivors.toml", Survivor("gate", "judge", "- a\n+ b")
    path.write_text(survivor.entry("equal"))
    assert survivors.read(path) == {survivor: "equal"}
    path.write_text(survivor.entry("equal") * 2)
    with pytest.raises(ValueError, match=r"gate\.judge is listed twice"):
        survivors.read(path)
    path.write_text(survivor.entry())
    with pytest.raises(ValueError, match=r"expected a reason for gate\.judge"):
        survivors.read(path)


def test_the_percentage_is_of_the_mutants_that_tests_have_to_notice(tmp_path: Path) -> None:
    verdicts = {"killed": 17, "timeout": 1, "survived": 1, "no tests": 1, "caught by type check": 30, "not checked": 5}
    found = figures.count(
        Mutant("gate", f"x__mutmut_{n}", verdict) for verdict, n in verdicts.items() for _ in range(n)
    )
    assert (found.mutants, found.types, found.survived, found.unfinished, found.percent) == (55, 30, 2, 5, 10.0)
    assert figures.table({"gate": found}, {"gate": 1}).splitlines() == [
        "module  mutants  types  killed  timeout  survived  explained  to do  percent",
        "gate         55     30      17        1         2          1      5     10.0",
    ]


def test_results_that_a_killed_run_left_half_written_are_forgotten(tmp_path: Path) -> None:
    kept = prepare(groups.SIGNING, tmp_path).copy / "cetacean_signing" / "keys.py.meta"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("{}")
    half = kept.with_name("sign.py.meta")
    half.write_text('{"exit_code_by_key": {"cetacean_sig')
    prepare(groups.SIGNING, tmp_path)
    assert (kept.exists(), half.exists()) == (True, False)
