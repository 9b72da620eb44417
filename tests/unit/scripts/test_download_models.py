"""scripts/download_models.sh against a server on loopback: a complete and verified file, or none and a non-zero exit."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.file_server import FileServer, serving
from support.waiting import wait_until

SCRIPT = Path(__file__).parents[3] / "scripts/download_models.sh"
CONTENT = os.urandom(200_000)
CONTENT_2 = os.urandom(200_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMPANIONS = ("encoder_classes.npy", "species_map.csv")
RECORD = ".companions-of"


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
        self.write_registry()
        return self.root / "models/weights" / name / "a.ckpt"

    def upload_version_2(self, name: str = "first", file: str = "a.ckpt") -> None:
        """Replace all files of a model; its entry names the new ones."""
        (self.server.directory / name / file).write_bytes(CONTENT_2)
        for companion in COMPANIONS:
            (self.server.directory / name / companion).write_text(f"{companion} of version 2")
        (entry,) = (model for model in self.models if model["name"] == name)
        entry["weights_url"] = f"{self.server.url}/{name}/{file}"
        if entry["sha256"]:
            entry["sha256"] = hashlib.sha256(CONTENT_2).hexdigest()
        self.write_registry()

    def write_registry(self) -> None:
        registry = self.root / "models/registry.json"
        registry.parent.mkdir(exist_ok=True)
        registry.write_text(json.dumps({"active": self.models[0]["name"], "models": self.models}))

    def command(self, *arguments: str) -> list[str]:
        return [str(SCRIPT), "--registry", str(self.root / "models/registry.json"), "--pause", "0", *arguments]

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
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


def test_all_models_are_downloaded_with_their_companion_files(project: Project) -> None:
    first = project.add("first")
    second = project.add("second", weights_path="elsewhere/b.ckpt")
    old = project.add("old", deprecated=True)
    done = project.run()
    assert done.returncode == 0, done.stderr
    assert first.read_bytes() == CONTENT
    assert (project.root / "elsewhere/b.ckpt").read_bytes() == CONTENT
    assert (first.parent / "species_map.csv").read_text() == "species_map.csv of first"
    assert sorted(path.name for path in first.parent.iterdir()) == [RECORD, "a.ckpt", *COMPANIONS]
    assert not second.exists()
    assert not old.exists()
    assert f"{first}: sha256 as expected" in done.stderr


def test_one_model_can_be_downloaded_without_companion_files(project: Project) -> None:
    project.add("first")
    second = project.add("second")
    assert project.run("second", "--weights-only").returncode == 0
    assert sorted(project.server.requests) == ["second/a.ckpt"]
    assert [path.name for path in second.parent.iterdir()] == ["a.ckpt"]
    assert project.run("--active", "--weights-only").returncode == 0
    assert sorted(project.server.requests) == ["first/a.ckpt", "second/a.ckpt"]


def test_a_file_with_another_sha256_is_an_error_and_is_removed(project: Project) -> None:
    wrong = project.add("wrong", b"something else")
    good = project.add("good")
    done = project.run("--weights-only")
    assert done.returncode == 1
    found = hashlib.sha256(b"something else").hexdigest()
    assert f"/wrong/a.ckpt: expected sha256 {DIGEST}, got {found}" in done.stderr
    assert done.stderr.endswith("error: not complete: wrong\n")
    assert list(wrong.parent.iterdir()) == []
    assert good.read_bytes() == CONTENT, "one bad model does not keep the others from being there"


def test_a_companion_file_with_another_digest_is_an_error_and_is_removed(project: Project) -> None:
    good = hashlib.sha256(b"species_map.csv of first").hexdigest()
    first = project.add("first", files={"species_map.csv": good.upper(), "encoder_classes.npy": "ab" * 32})
    done = project.run()
    assert done.returncode == 1
    assert f"encoder_classes.npy: expected sha256 {'ab' * 32}, got " in done.stderr
    assert f"{first.parent / 'species_map.csv'}: sha256 as expected" in done.stderr
    assert sorted(path.name for path in first.parent.iterdir()) == [RECORD, "a.ckpt", "species_map.csv"]


def test_progress_is_shown_on_a_terminal(project: Project) -> None:
    project.add("first")
    terminal, its_end = pty.openpty()
    command = [str(SCRIPT), "--registry", str(project.root / "models/registry.json"), "--weights-only"]
    subprocess.run(command, stderr=its_end, check=True, env={**os.environ, "no_proxy": "127.0.0.1"}, timeout=60)
    os.close(its_end)
    shown = os.read(terminal, 65536)
    os.close(terminal)
    assert b"100.0%" in shown


def test_a_complete_file_is_not_requested_again(project: Project) -> None:
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


def test_a_broken_download_resumes_where_it_ended(project: Project) -> None:
    path = project.add("first")
    project.server.cut_after = [70_000, 60_000]
    done = project.run("--weights-only")
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == CONTENT
    assert project.server.ranges == [None, "bytes=70000-", "bytes=130000-"]


def test_the_next_run_resumes_where_the_last_one_ended(project: Project) -> None:
    path = project.add("first")
    project.server.cut_after = [70_000, *[0] * 4]
    assert project.run("--weights-only").returncode == 1
    assert not path.exists()
    before = len(project.server.ranges)
    assert project.run("--weights-only").returncode == 0
    assert project.server.ranges[before:] == ["bytes=70000-"]
    assert path.read_bytes() == CONTENT


def test_a_file_replaced_between_two_runs_is_downloaded_from_the_first_byte(project: Project) -> None:
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
def test_a_partial_file_of_another_version_is_thrown_away(project: Project, strong: bool) -> None:
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
        assert "the earlier part does not fit" in done.stderr
        assert project.server.ranges == ["bytes=1000-", None]


def test_a_part_whose_version_is_not_known_for_certain_is_thrown_away(project: Project) -> None:
    path = project.add("first", sha256=None)
    project.server.weak_etag = project.server.unconditional_ranges = True
    served = project.server.directory / "first/a.ckpt"
    served.write_bytes(b"old" * 50_000)
    project.server.cut_after = [70_000, *[0] * 4]
    assert project.run("--weights-only").returncode == 1
    served.write_bytes(CONTENT)
    before = len(project.server.ranges)
    done = project.run("--weights-only")
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == CONTENT, "no mixture of two versions"
    assert project.server.ranges[before:] == [None]


def test_a_part_with_a_digest_goes_on_without_a_version(project: Project) -> None:
    path = project.add("first")
    project.server.weak_etag = project.server.unconditional_ranges = True
    project.server.cut_after = [70_000]
    assert project.run("--weights-only").returncode == 0
    assert project.server.ranges == [None, "bytes=70000-"]
    assert path.read_bytes() == CONTENT


def killed_at(project: Project, size: int, *arguments: str) -> int:
    """Kill a run when its partial file has this size; return the size that it has then."""
    project.server.hang, project.server.hang_after = threading.Event(), size + 8192  # curl keeps some in its memory
    part = project.root / "models/weights/first/a.ckpt.part"
    environment = {**os.environ, "no_proxy": "127.0.0.1"}
    with subprocess.Popen(project.command("--quiet", *arguments), start_new_session=True, env=environment) as process:
        wait_until(lambda: part.exists() and part.stat().st_size >= size)
        os.killpg(process.pid, signal.SIGKILL)
    project.server.hang.set()
    project.server.hang = None
    return part.stat().st_size


@pytest.mark.parametrize("digest", [DIGEST, None], ids=["digest", "no digest"])
def test_a_run_that_was_killed_in_the_middle_of_a_file_is_continued(project: Project, digest: str | None) -> None:
    path = project.add("first", sha256=digest)
    size = killed_at(project, 100_000, "--weights-only")
    assert project.run("--weights-only").returncode == 0
    assert project.server.ranges == [None, f"bytes={size}-"]
    assert path.read_bytes() == CONTENT
    assert [one.name for one in path.parent.iterdir()] == ["a.ckpt"]


def test_a_part_of_an_earlier_version_is_not_continued_with_the_next_one_after_two_kills(project: Project) -> None:
    path = project.add("first", sha256=None)
    served = project.server.directory / "first/a.ckpt"
    served.write_bytes(b"old" * 50_000)
    project.server.cut_after = [70_000, *[0] * 4]
    assert project.run("--weights-only").returncode == 1
    served.write_bytes(CONTENT)
    killed_at(project, 60_000, "--weights-only")
    assert project.run("--weights-only").returncode == 0
    assert path.read_bytes() == CONTENT


@contextmanager
def running(project: Project, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "no_proxy": "127.0.0.1"}
    with subprocess.Popen(
        project.command(*arguments), start_new_session=True, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("force", [(), ("--force",)], ids=["", "force"])
def test_two_runs_at_once_take_turns(project: Project, force: tuple[str, ...]) -> None:
    path = project.add("first")
    project.server.hang, project.server.hang_after = threading.Event(), 70_000
    with running(project, "--weights-only", *force) as first:
        wait_until(lambda: project.server.requests["first/a.ckpt"] == 1)
        with running(project, "--weights-only") as second:
            assert second.stderr is not None
            assert second.stderr.readline() == "first\n"
            assert second.stderr.readline() == f"  {path.parent}: waiting for another run\n"
            project.server.hang.set()
            assert (first.wait(timeout=30), second.wait(timeout=30)) == (0, 0)
            assert second.stderr.read() == f"  {path}: there already, sha256 as expected\n"
    assert project.server.requests["first/a.ckpt"] == 1
    assert path.read_bytes() == CONTENT


def test_without_locks_the_files_are_downloaded_and_the_danger_is_named(project: Project, tmp_path: Path) -> None:
    path = project.add("first")
    program = tmp_path / "bin/flock"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 71\n")
    program.chmod(0o755)
    done = project.run("--weights-only", PATH=f"{program.parent}:{os.environ['PATH']}")
    assert done.returncode == 0
    assert f"  {path.parent}: cannot be locked, as its file system has no locks: start no other run" in done.stderr
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["a.ckpt", "a.ckpt.part", "species_map.csv"])
def test_a_folder_in_the_place_of_a_file_is_refused_before_the_first_request(project: Project, name: str) -> None:
    place = project.add("first").with_name(name)
    (place / "kept").mkdir(parents=True)
    done = project.run()
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"first: expected a file or nothing at {place}, got a folder" in done.stderr
    assert [one.name for one in place.iterdir()] == ["kept"]
    assert not project.server.requests


def test_a_transient_server_error_is_retried(project: Project) -> None:
    path = project.add("first")
    project.server.statuses = [503, 429]
    assert project.run("--weights-only").returncode == 0
    assert path.read_bytes() == CONTENT


def test_a_missing_file_is_named_and_not_retried(project: Project) -> None:
    project.add("first")
    (project.server.directory / "first/species_map.csv").unlink()
    done = project.run()
    assert done.returncode == 1
    assert f"error: {project.server.url}/first/species_map.csv: expected 200, got 404" in done.stderr
    assert project.server.requests["first/species_map.csv"] == 1, "a 404 is not tried again"


def test_a_server_that_does_not_respond_is_named(project: Project) -> None:
    project.add("first", weights_url="http://127.0.0.1:1/a.ckpt")
    done = project.run("--weights-only")
    assert done.returncode == 1
    assert "error: http://127.0.0.1:1/a.ckpt: Failed to connect" in done.stderr


def test_without_a_digest_it_prints_the_digest_of_the_file(project: Project) -> None:
    project.add("first", sha256=None)
    done = project.run("--weights-only")
    assert done.returncode == 0
    assert f"sha256 {DIGEST} (the registry names none: not verified)" in done.stderr


def test_only_the_hub_gets_the_token(project: Project) -> None:
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


@pytest.mark.parametrize("token", ["", "secret"])
def test_a_refusal_of_the_hub_says_what_is_missing(project: Project, token: str) -> None:
    project.add("first", weights_url="hf://sea/whales/a.ckpt")
    project.server.statuses = [401]
    done = project.run("--weights-only", HF_ENDPOINT=project.server.url, HF_TOKEN=token)
    assert done.returncode == 1
    hint = "and HF_TOKEN gives no access to it" if token else "set HF_TOKEN"
    assert f"expected 200, got 401: the repository is gated or private, {hint}\n" in done.stderr
    assert "secret" not in done.stderr


def test_a_query_is_sent_but_not_shown(project: Project) -> None:
    path = project.add("first")
    project.models[0]["weights_url"] += '?signature=secret"quoted\\'
    (project.root / "models/registry.json").write_text(json.dumps({"models": project.models}))
    done = project.run()
    assert done.returncode == 0, done.stderr
    assert "secret" not in done.stderr
    assert f"{project.server.url}/first/a.ckpt?…" in done.stderr
    assert "secret" not in project.run("--list").stdout
    (project.root / "models/weights/first/a.ckpt").write_bytes(CONTENT)
    assert path.name == "a.ckpt"


@pytest.mark.parametrize("name", ["a[1-3].ckpt", "a{b,c}.ckpt"])
def test_brackets_in_a_url_are_taken_as_they_are(project: Project, name: str) -> None:
    project.add("first", weights_url=f"{project.server.url}/first/{name}")
    (project.server.directory / "first" / name).write_bytes(CONTENT)
    done = project.run("--weights-only")
    assert done.returncode == 0, done.stderr
    assert (project.root / "models/weights/first" / name).read_bytes() == CONTENT
    assert list(project.server.requests) == [f"first/{name}"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 3\n", "a git-lfs pointer"),
        (b"<!DOCTYPE html>\n<html>sign in</html>", "an HTML page"),
        (b"<HTML>", "an HTML page"),
        (b'<?xml version="1.0"?><Error/>', "an XML document"),
        (b"", "an empty file"),
    ],
)
@pytest.mark.parametrize("companion", [True, False])
def test_a_page_instead_of_a_file_without_a_digest_is_an_error(
    project: Project, content: bytes, kind: str, *, companion: bool
) -> None:
    path = project.add("first", sha256=DIGEST if companion else None)
    name = "species_map.csv" if companion else "a.ckpt"
    (project.server.directory / "first" / name).write_bytes(content)
    done = project.run()
    assert done.returncode == 1
    assert f"error: {project.server.url}/first/{name}: expected the file, got {kind}\n" in done.stderr
    assert not (path.parent / name).exists()
    assert not (path.parent / f"{name}.part").exists()


def test_a_pointer_of_an_earlier_checkout_is_downloaded_again(project: Project) -> None:
    path = project.add("first", sha256=None)
    path.parent.mkdir(parents=True)
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert project.run("--weights-only").returncode == 0
    assert path.read_bytes() == CONTENT


def test_new_weights_come_with_their_own_classes(project: Project) -> None:
    path = project.add("first")
    assert project.run().returncode == 0
    path.write_bytes(b"earlier weights")
    (path.parent / "species_map.csv").write_text("of the earlier weights")
    assert project.run().returncode == 0
    assert (path.parent / "species_map.csv").read_text() == "species_map.csv of first"
    before = project.server.requests.copy()
    assert project.run().returncode == 0
    assert project.server.requests == before


def beside(path: Path) -> list[str]:
    """Return what the files beside weights say of whom they are."""
    return [(path.parent / name).read_text() if (path.parent / name).exists() else "absent" for name in COMPANIONS]


VERSION_1, VERSION_2 = ([f"{name} of {version}" for name in COMPANIONS] for version in ("first", "version 2"))


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("missing", [COMPANIONS[:1], COMPANIONS[1:], COMPANIONS])
def test_the_classes_of_earlier_weights_do_not_stay_if_the_new_ones_cannot_be_downloaded(
    project: Project, missing: tuple[str, ...], *, recorded: bool
) -> None:
    path = project.add("first")
    assert project.run().returncode == 0
    if not recorded:
        (path.parent / RECORD).unlink()  # as of an earlier version of the script
    project.upload_version_2()
    project.server.down = {f"first/{name}" for name in missing}
    expected = ["absent" if name in missing else f"{name} of version 2" for name in COMPANIONS]
    for _ in range(2):
        assert project.run().returncode == 1
        assert (path.read_bytes(), beside(path)) == (CONTENT_2, expected)
    project.server.down = set()
    assert project.run().returncode == 0
    assert (path.read_bytes(), beside(path)) == (CONTENT_2, VERSION_2)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("name", COMPANIONS)
def test_a_run_that_was_killed_after_the_weights_is_completed_by_the_next_one(
    project: Project, name: str, *, recorded: bool
) -> None:
    path = project.add("first")
    assert project.run().returncode == 0
    if not recorded:
        (path.parent / RECORD).unlink()
    project.upload_version_2()
    started: list[subprocess.Popen[bytes]] = []
    project.server.before = {f"first/{name}": lambda: os.killpg(started[0].pid, signal.SIGKILL)}
    with subprocess.Popen(
        project.command("--quiet"), start_new_session=True, env={**os.environ, "no_proxy": "127.0.0.1"}
    ) as process:
        started.append(process)
        assert process.wait(timeout=60) == -signal.SIGKILL
    assert path.read_bytes() == CONTENT_2
    project.server.before = {}
    assert project.run().returncode == 0
    assert beside(path) == VERSION_2


@pytest.mark.parametrize("recorded", [True, False])
def test_weights_that_came_alone_get_their_own_classes_later(project: Project, *, recorded: bool) -> None:
    path = project.add("first")
    assert project.run().returncode == 0
    if not recorded:
        (path.parent / RECORD).unlink()
    project.upload_version_2()
    assert project.run("--weights-only").returncode == 0
    assert (path.read_bytes(), beside(path)) == (CONTENT_2, VERSION_1), "nobody has asked for other classes yet"
    assert project.run().returncode == 0
    assert beside(path) == VERSION_2


def test_earlier_weights_that_are_still_there_get_their_own_classes_again(project: Project) -> None:
    path = project.add("first")
    assert project.run().returncode == 0
    before = json.loads(json.dumps(project.models))
    project.upload_version_2(file="b.ckpt")
    assert project.run().returncode == 0
    assert beside(path) == VERSION_2
    project.models = before
    project.write_registry()
    for name in COMPANIONS:
        (project.server.directory / "first" / name).write_text(f"{name} of first")
    assert project.run().returncode == 0
    assert beside(path) == VERSION_1
    assert (project.server.requests["first/a.ckpt"], project.server.requests["first/b.ckpt"]) == (1, 1)


def test_classes_without_a_digest_do_not_change_if_their_weights_cannot_be_downloaded(project: Project) -> None:
    path = project.add("first", sha256=None)
    assert project.run().returncode == 0
    project.upload_version_2()
    project.server.down = {"first/a.ckpt"}
    done = project.run("--force")
    assert done.returncode == 1
    assert f"{path.parent / COMPANIONS[0]}: not downloaded, because the weights were not" in done.stderr
    assert (path.read_bytes(), beside(path)) == (CONTENT, VERSION_1)
    assert project.run().returncode == 0
    assert (path.read_bytes(), beside(path)) == (CONTENT, VERSION_1)


def test_files_that_somebody_has_put_beside_complete_weights_stay(project: Project) -> None:
    path = project.add("first")
    path.parent.mkdir(parents=True)
    for name in COMPANIONS:
        (path.parent / name).write_text("by hand")
    assert project.run("--weights-only").returncode == 0
    assert beside(path) == ["by hand", "by hand"]
    (path.parent / RECORD).unlink()
    assert project.run().returncode == 0
    assert beside(path) == ["by hand", "by hand"]


@pytest.mark.parametrize("wanted", [(), ("second",)])
def test_two_models_in_one_folder_are_an_error_as_their_classes_differ(
    project: Project, wanted: tuple[str, ...]
) -> None:
    project.add("first", weights_path="shared/a.ckpt")
    project.add("second", weights_path="shared/b.ckpt")
    done = project.run(*wanted)
    assert done.returncode == 2
    assert "expected a folder for each, as their classes differ, got " in done.stderr
    assert done.stderr.count("\n") == 1
    assert not project.server.requests
    assert project.run("--weights-only").returncode == 0


def test_two_models_of_one_remote_folder_share_their_classes(project: Project) -> None:
    project.add("first", weights_path="shared/a.ckpt")
    project.add("second", weights_path="shared/b.ckpt", weights_url=f"{project.server.url}/first/a.ckpt")
    assert project.run().returncode == 0
    before = project.server.requests.copy()
    for wanted in ((), ("first",), ("second",)):
        assert project.run(*wanted).returncode == 0
    assert project.server.requests == before


def test_two_models_of_one_file_are_an_error(project: Project) -> None:
    project.add("first", weights_path="shared/a.ckpt")
    project.add("second", weights_path="shared/../shared/a.ckpt")
    done = project.run("--weights-only")
    assert done.returncode == 2
    assert "expected a file for each, got " in done.stderr


def test_a_folder_of_its_own_choice_is_not_the_registrys(project: Project) -> None:
    project.add("models", weights_url=f"{project.server.url}/models/registry.json", sha256=None)
    before = (project.root / "models/registry.json").read_bytes()
    done = project.run("--weights-only", "--force", "--out", str(project.root))
    assert done.returncode == 2
    assert "expected another file than the registry itself" in done.stderr
    assert (project.root / "models/registry.json").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nope"], "--nope: no such option"),
        (["--out"], "--out: expected a value"),
        (["--pause", "long"], "--pause: expected seconds, got long"),
        (["third"], "expected one of the models first, got 'third'"),
        (["--registry", "/nowhere.json"], "No such file"),
    ],
)
def test_wrong_usage_ends_with_2_and_one_line(project: Project, arguments: list[str], message: str) -> None:
    project.add("first")
    done = project.run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not project.server.requests


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sha256": "abc"}, "expected 64 hex digits as sha256, got 'abc'"),
        ({"weights_url": "ftp://example.org/a"}, "expected http://, https:// or hf://"),
        ({"weights_url": "s3://bucket/a.ckpt"}, "which this script reads"),
        ({"weights_url": "pvc://claim/a.ckpt"}, "which this script reads"),
        ({"weights_path": "../../a.ckpt"}, "expected weights_path within"),
        ({"weights_path": "models/registry.json"}, "expected weights_path to end in one of .safetensors, .ckpt"),
        ({"weights_path": "Makefile"}, "expected weights_path to end in one of"),
        ({"weights_path": ".git/hooks/a.pt"}, "expected a file that is not hidden"),
        ({"weights_path": "a\nb\thttp://c\t-\td.ckpt"}, "expected a file that is not hidden"),
        ({"weights_path": 7}, "expected weights_path to end in one of"),
        ({"weights_url": "https://user:secret@host/a.ckpt?secret"}, "without user:password@, got 'https://…@host/a"),
        ({"weights_url": "https://host"}, "expected a file that is not hidden"),
        ({"weights_url": "https://host/.."}, "expected a file that is not hidden"),
        ({"sha256": 7}, "expected 64 hex digits"),
        ({"files": {"species_map.csv": "abc"}}, "expected 64 hex digits as sha256, got 'abc'"),
        ({"files": "abc"}, "first: expected an object as files, got 'abc'"),
        ({"files": "a" * 64}, "first: expected an object as files, got 'aaaaaaaaaaaa"),
        ({"weights_url": "http://[bad/x"}, "first: expected http://, https:// or hf://"),
        ({"weights_url": "http://host/\ud800/a.ckpt"}, "first: expected http://, https:// or hf://"),
        ({"weights_url": "http://host/a.ckpt?\ud800"}, "first: expected http://, https:// or hf://"),
        ({"weights_path": "a\0b.ckpt"}, "expected a file that is not hidden"),
        ({"weights_path": "\ud800.ckpt"}, "expected a file that is not hidden"),
        ({"weights_path": f"{'a' * 300}.ckpt"}, "first: weights_path: cannot be used: "),
        ({"weights_path": f"{'a' * 248}.ckpt"}, "first: weights_path: cannot be used: "),
        ({"more": {"name": "../a"}}, "expected letters, digits"),
        ({"more": {"name": 7}}, "expected letters, digits"),
    ],
)
def test_a_bad_registry_ends_with_2_and_no_request(project: Project, changes: dict[str, Any], message: str) -> None:
    project.add("first", **changes)
    done = project.run()
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "secret" not in done.stderr
    assert not project.server.requests


SECOND: dict[str, Any] = {"name": "second", "weights_url": "https://example.org/b.ckpt"}


@pytest.mark.parametrize(
    ("models", "active", "message"),
    [
        ([SECOND | {"name": 7}], "first", "expected letters, digits, '-', '_' and '.' as a name, got 7"),
        ([SECOND | {"name": None}], "first", "as a name, got None"),
        ([SECOND | {"name": ["a"]}], "first", "as a name, got ['a']"),
        ([SECOND | {"weights_url": "http://[bad/x"}], "first", None),
        ([SECOND | {"weights_path": 7}], "first", "second: expected weights_path to end in one of"),
        (["second"], "first", "expected an object with models, each with a name"),
        ([], ["first"], "expected one of the models first, got ['first']"),
        ([], None, "expected one of the models first, got None"),
    ],
    ids=str,
)
def test_a_bad_entry_beside_the_wanted_one_is_one_line(
    project: Project, models: list[Any], active: object, message: str | None
) -> None:
    project.add("first")
    content = {"active": active, "models": [*project.models, *models]}
    (project.root / "models/registry.json").write_text(json.dumps(content))
    done = project.run("--active", "--weights-only")
    if message is None:
        assert done.returncode == 0, done.stderr
        return
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert message in done.stderr


@pytest.mark.parametrize("text", ['{"models": 7}', '{"models": {"a": 1}}', "[]", "7", '{"models": [[]]}', "\xff", "["])
def test_a_registry_that_is_none_is_one_line(project: Project, text: str) -> None:
    project.add("first")
    (project.root / "models/registry.json").write_bytes(text.encode("latin-1"))
    done = project.run()
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


def test_a_path_through_links_in_a_circle_is_one_line(project: Project) -> None:
    project.add("first", weights_path="circle/a.ckpt")
    (project.root / "circle").symlink_to("circle")
    done = project.run()
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "first: weights_path: cannot be used: " in done.stderr


def test_list_and_help_send_no_request(project: Project) -> None:
    path = project.add("first")
    done = project.run("--list")
    assert done.stdout.splitlines()[0].split("\t") == ["first", f"{project.server.url}/first/a.ckpt", DIGEST, str(path)]
    assert "Exit codes: 0 all files are complete" in project.run("--help").stdout
    assert not project.server.requests
