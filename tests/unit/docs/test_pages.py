"""Pages written from code say what the code says; links of what stands outside of the site lead somewhere."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from support.documented import anchors, blocks
from support.known_series import known_series

from cetacean_operator.api import names
from cetacean_operator.api.crd import approval_crd, crd
from cetacean_tools.pages import metrics, reference

REPOSITORY = Path(__file__).resolve().parents[3]
DOCS = REPOSITORY / "docs"
OUTSIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


@pytest.mark.parametrize("page", [reference, metrics], ids=lambda page: str(page.__name__))
def test_the_page_is_not_stale(page: Any) -> None:
    name = page.__name__.rpartition(".")[2]
    assert (DOCS / f"{name}.md").read_text(encoding="utf-8") == page.document(), f"run `make {name}`"


def fields(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in schema.get("properties", {}).items():
        yield f"{path}{name}", child
        yield from fields(child, f"{path}{name}.")
    if "items" in schema:
        yield from fields(schema["items"], f"{path.removesuffix('.')}[].")


def test_every_field_of_spec_is_there_and_explained() -> None:
    spec = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    text = reference.document()
    for part, schema in spec["properties"].items():
        section = text.split(f"## spec.{part}\n")[1].split("\n## ")[0]
        for path, child in fields(schema, ""):
            assert child.get("description"), f"spec.{part}.{path} has no description"
            assert f"`{path}`" in section, path


def test_every_field_of_an_approval_is_there_and_explained() -> None:
    spec = approval_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    section = reference.document().split("## modelapproval.spec\n")[1]
    for path, child in fields(spec, ""):
        assert child.get("description"), f"modelapproval.spec.{path} has no description"
        assert f"`{path}`" in section, path


def test_every_series_is_there() -> None:
    text = metrics.document()
    for series in known_series():
        base = re.sub(r"_(bucket|sum|count|created)$", "", series)
        if not series.startswith(("process_", "python_")):
            assert {f"`{series}`", f"`{base}`", f"`{base}_total`"} & set(re.findall(r"`[^`]+`", text)), series


@pytest.mark.parametrize("name", OUTSIDE)
def test_every_link_leads_to_a_file(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("https://"):
            path, _, anchor = target.partition("#")
            assert (REPOSITORY / path).exists(), target
            assert not anchor or anchor in anchors((REPOSITORY / path).read_text(encoding="utf-8")), target
    for path in re.findall(r"`((?:docs|examples|charts|models|reports|scripts|configs)/[\w./-]*)`", text):
        assert (REPOSITORY / path).exists(), path


@pytest.mark.parametrize(
    "path", [*sorted(DOCS.glob("**/*.md")), *(REPOSITORY / name for name in OUTSIDE)], ids=lambda path: str(path.stem)
)
def test_every_module_that_a_page_runs_exists(path: Path) -> None:
    named = re.findall(r"python3?\s+-m\s+([\w.]+)", path.read_text(encoding="utf-8"))
    roots = {name for name in named if find_spec(name.partition(".")[0]) is None}
    assert roots == set()
    assert [name for name in named if find_spec(name) is None] == []


def test_the_tiers_of_tests_have_the_same_names_everywhere() -> None:
    contributing = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tiers = re.findall(r"^\| (\w+) \| `make test-\1` \|", contributing, flags=re.MULTILINE)
    assert len(tiers) == 5
    (line,) = re.findall(r"^make test +# (.*)$", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert line.endswith(f": {', '.join(tiers)}")


@pytest.mark.parametrize("path", sorted(DOCS.glob("**/*.md")), ids=lambda path: str(path.stem))
def test_every_condition_that_a_page_names_exists(path: Path) -> None:
    found = re.findall(r"\bconditions?\s+`?([A-Z][A-Za-z]+)", path.read_text(encoding="utf-8"))
    assert set(found) <= set(names.CONDITIONS)


def test_every_file_and_target_that_the_architecture_names_exists() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8").split("## What the operator puts into a pod")[0]
    roots = (REPOSITORY, REPOSITORY / "operator/cetacean_operator", REPOSITORY / "inference/cetacean_inference")
    paths = set(re.findall(r"`([\w.-]*/[\w./-]*|[\w-]+\.(?:py|md|yaml|sh|json|toml))`", text))
    found = {path for path in paths if any((root / path).exists() for root in roots)}
    assert len(paths) > 40
    assert paths - found == set()
    targets = set(re.findall(r"^([a-z][\w-]*):(?!=)", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"`make ([\w-]+)`", text)) <= targets


def test_each_skipped_block_of_getting_started_has_a_reason_and_is_a_command() -> None:
    found = list(blocks((DOCS / "getting-started.md").read_text(encoding="utf-8")))
    skipped = [block for block in found if block.not_run]
    assert len(skipped) < len(found) / 3
    targets = set(re.findall(r"^([a-z][\w-]*):(?!=)", (REPOSITORY / "Makefile").read_text(), flags=re.MULTILINE))
    for block in found:
        assert block.not_run is None or len(block.not_run) > 30
        assert subprocess.run(["bash", "-n", "-c", block.commands], check=False).returncode == 0, block.title
        assert set(re.findall(r"\bmake ([\w-]+)", block.commands)) <= targets, block.title
    assert sum(len(block.commands.splitlines()) for block in skipped) <= 5
