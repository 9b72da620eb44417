"""scripts/download_models.sh against a server on loopback: whole and verified, or not there and a non-zero exit."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.file_server import FileServer, serving

SCRIPT = Path(__file__).parents[3] / "scripts/download_models.sh"
CONTENT = os.urandom(200_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMPANIONS = ("encoder_classes.npy", "species_map.csv")


class Project:
    """A registry beside a server with the weights of its models."""

    def __init__(self, root: Path, server: FileServer) -> None:
        self.root, self.server = root, server
        self.models: list[dict[str, Any]] = []

    def add(self, name: str, content: bytes = CONTENT, **changes: Any) -> Path:
        """Add a model with its files; returns where its weights are to go."""
        folder = self.server.directory / name
        folder.mkdir()
        (folder / "a.ckpt").write_bytes(content)
        for companion in COMPANIONS:
            (folder / companion).write_text(f"{companion} of {name}")
        entry: dict[str, Any] = {
            "name": name,
            "version": "1.0.0",
            "weights_url": f"{self.server.url}/{name}/a.ckpt",
            "sha256": DIGEST,
        }
        self.models.append({**entry, **changes.pop("more", {}), **changes})
        registry = self.root / "models/registry.json"
        registry.parent.mkdir(exist_ok=True)
        registry.write_text(json.dumps({"active": self.models[0]["name"], "models": self.models}))
        return self.root / "models/weights" / name / "a.ckpt"

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(SCRIPT), "--registry", str(self.root / "models/registry.json"), "--pause", "0", *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "no_proxy": "127.0.0.1", **environment},
            cwd="/",
            timeout=60,
        )


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    served = tmp_path / "served"
    served.mkdir()
    with serving(served) as server:
        yield Project(tmp_path, server)


def test_all_models_with_what_lies_beside_them(project: Project) -> None:
    first = project.add("first")
    second = project.add("second", weights_path="elsewhere/b.ckpt")
    old = project.add("old", deprecated=True)
    done = project.run()
    assert done.returncode == 0, done.stderr
    assert first.read_bytes() == CONTENT
    assert (project.root / "elsewhere/b.ckpt").read_bytes() == CONTENT
    assert (first.parent / "species_map.csv").read_text() == "species_map.csv of first"
    assert sorted(path.name for path in first.parent.iterdir()) == ["a.ckpt", *COMPANIONS]
    assert not second.exists()
    assert not old.exists()
    assert f"{first}: sha256 as expected" in done.stderr


def test_one_model_and_the_weights_only(project: Project) -> None:
    project.add("first")
    second = project.add("second")
    assert project.run("second", "--weights-only").returncode == 0
    assert sorted(project.server.requests) == ["second/a.ckpt"]
    assert [path.name for path in second.parent.iterdir()] == ["a.ckpt"]
    assert project.run("--active", "--weights-only").returncode == 0
    assert sorted(project.server.requests) == ["first/a.ckpt", "second/a.ckpt"]


def test_another_sha256_is_an_error_and_leaves_nothing(project: Project) -> None:
    wrong = project.add("wrong", b"something else")
    good = project.add("good")
    done = project.run("--weights-only")
    assert done.returncode == 1
    found = hashlib.sha256(b"something else").hexdigest()
    assert f"/wrong/a.ckpt: expected sha256 {DIGEST}, got {found}" in done.stderr
    assert done.stderr.endswith("error: not complete: wrong\n")
    assert list(wrong.parent.iterdir()) == []
    assert good.read_bytes() == CONTENT, "one bad model does not keep the others from being there"


def test_on_a_terminal_it_shows_how_far_it_is(project: Project) -> None:
    project.add("first")
    terminal, its_end = pty.openpty()
    command = [str(SCRIPT), "--registry", str(project.root / "models/registry.json"), "--weights-only"]
    subprocess.run(command, stderr=its_end, check=True, env={**os.environ, "no_proxy": "127.0.0.1"}, timeout=60)
    os.close(its_end)
    shown = os.read(terminal, 65536)
    os.close(terminal)
    assert b"100.0%" in shown


def test_what_is_whole_is_not_asked_for_again(project: Project) -> None:
    path = project.add("first")
    assert project.run("--weights-only").returncode == 0
    assert project.run("--weights-only").returncode == 0
    assert project.server.requests["first/a.ckpt"] == 1
    path.write_bytes(b"damaged")
    done = project.run("--weights-only")
    assert "its sha256 is not the registry's" in done.stderr
    assert path.read_bytes() == CONTENT
    assert project.run("--weights-only", "--force").returncode == 0
    assert project.server.requests["first/a.ckpt"] == 3


def test_a_broken_connection_goes_on_where_it_ended(project: Project) -> None:
    path = project.add("first")
    project.server.cut_after = [70_000, 60_000]
    done = project.run("--weights-only")
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == CONTENT
    assert project.server.ranges == [None, "bytes=70000-", "bytes=130000-"]


def test_the_next_run_goes_on_where_the_last_one_ended(project: Project) -> None:
    path = project.add("first")
    project.server.cut_after = [70_000, *[0] * 4]
    assert project.run("--weights-only").returncode == 1
    assert not path.exists()
    before = len(project.server.ranges)
    assert project.run("--weights-only").returncode == 0
    assert project.server.ranges[before:] == ["bytes=70000-"]
    assert path.read_bytes() == CONTENT


def test_a_file_that_was_replaced_meanwhile_is_begun_anew(project: Project) -> None:
    path = project.add("first")
    served = project.server.directory / "first/a.ckpt"
    served.write_bytes(b"old" * 50_000)
    project.server.cut_after = [70_000, *[0] * 4]
    assert project.run("--weights-only").returncode == 1
    served.write_bytes(CONTENT)
    done = project.run("--weights-only")
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("strong", [True, False])
def test_a_beginning_that_does_not_fit_is_thrown_away(project: Project, strong: bool) -> None:
    path = project.add("first")
    project.server.strong_etag = strong
    path.parent.mkdir(parents=True)
    path.with_suffix(".ckpt.part").write_bytes(b"x" * 1000)
    etag = f'"{DIGEST[:16]}"'
    path.with_suffix(".ckpt.part.etag").write_text(f"{etag}\n")
    done = project.run("--weights-only")
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == CONTENT
    if strong:
        assert "what was begun earlier does not fit" in done.stderr
        assert project.server.ranges == ["bytes=1000-", None]


def test_a_passing_fault_of_the_server_is_tried_again(project: Project) -> None:
    path = project.add("first")
    project.server.statuses = [503, 429]
    assert project.run("--weights-only").returncode == 0
    assert path.read_bytes() == CONTENT


def test_a_file_that_is_not_there_is_named(project: Project) -> None:
    project.add("first")
    (project.server.directory / "first/species_map.csv").unlink()
    done = project.run()
    assert done.returncode == 1
    assert f"error: {project.server.url}/first/species_map.csv: expected 200, got 404" in done.stderr
    assert project.server.requests["first/species_map.csv"] == 1, "a 404 is not tried again"


def test_nobody_answers(project: Project) -> None:
    project.add("first", weights_url="http://127.0.0.1:1/a.ckpt")
    done = project.run("--weights-only")
    assert done.returncode == 1
    assert "error: http://127.0.0.1:1/a.ckpt: Failed to connect" in done.stderr


def test_without_a_digest_it_says_what_came(project: Project) -> None:
    project.add("first", sha256=None)
    done = project.run("--weights-only")
    assert done.returncode == 0
    assert f"sha256 {DIGEST} (the registry names none: not verified)" in done.stderr


def test_the_hub_gets_its_token_and_others_do_not(project: Project) -> None:
    project.add("first", weights_url="hf://sea/whales/first/a.ckpt@v1")
    project.add("second")
    hub = project.server.directory / "sea/whales/resolve/v1/first"
    hub.mkdir(parents=True)
    (hub / "a.ckpt").write_bytes(CONTENT)
    endpoint = project.server.url.replace("127.0.0.1", "localhost")
    done = project.run("--weights-only", HF_ENDPOINT=f"{endpoint}/", HF_TOKEN="secret", no_proxy="127.0.0.1,localhost")
    assert done.returncode == 0, done.stderr
    assert "secret" not in done.stderr
    assert list(project.server.requests) == ["sea/whales/resolve/v1/first/a.ckpt", "second/a.ckpt"]
    assert [headers.get("Authorization") for headers in project.server.headers] == ["Bearer secret", None]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--nope"], "--nope: no such option"),
        (["--out"], "--out: expected a value"),
        (["--pause", "long"], "--pause: expected seconds, got long"),
        (["third"], "expected one of the models first, got 'third'"),
        (["--registry", "/nowhere.json"], "No such file"),
    ],
)
def test_wrong_usage_is_2_and_one_line(project: Project, arguments: list[str], told: str) -> None:
    project.add("first")
    done = project.run(*arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert not project.server.requests


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"sha256": "abc"}, "expected 64 hex digits as sha256, got 'abc'"),
        ({"weights_url": "ftp://example.org/a"}, "expected http://, https:// or hf://"),
        ({"weights_path": "../../a.ckpt"}, "expected weights_path within"),
        ({"more": {"name": "../a"}}, "expected letters, digits"),
    ],
)
def test_a_bad_registry_is_2_and_nothing_is_asked_for(project: Project, changes: dict[str, Any], told: str) -> None:
    project.add("first", **changes)
    done = project.run()
    assert done.returncode == 2
    assert told in done.stderr
    assert not project.server.requests


def test_list_and_help_ask_nobody(project: Project) -> None:
    path = project.add("first")
    done = project.run("--list")
    assert done.stdout.splitlines()[0].split("\t") == ["first", f"{project.server.url}/first/a.ckpt", DIGEST, str(path)]
    assert "Exit codes: 0 all there" in project.run("--help").stdout
    assert not project.server.requests
