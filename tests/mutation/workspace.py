"""A copy of the repository in the cache, laid out as mutmut needs it.

mutmut names a mutant after the path of its file, so each package must stand at the root, while the repository keeps it
in `operator`, `inference` or `models`. The copy has the packages at its root and links to them from these folders.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mutation.groups import Group

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = {
    "cetacean_cli": "operator",
    "cetacean_operator": "operator",
    "cetacean_evaluation": "inference",
    "cetacean_inference": "inference",
    "cetacean_logging": "models",
    "cetacean_registry": "models",
    "cetacean_signing": "models",
}
"""The folder of each package."""
_UNUSED_PLUGINS = ("cacheprovider", "xdist", "schemathesis", "anyio", "platformdirs")
"""Plugins of pytest that these tests do without: they would be set up once for each mutant."""
PATHS = ("operator", "inference", "models", "scripts", "tests")


@dataclass(frozen=True)
class Workspace:
    """The folder in which mutmut runs for one group."""

    group: Group
    folder: Path

    @property
    def copy(self) -> Path:
        """The copy of the repository whose package is mutated; its name is mutmut's."""
        return self.folder / "mutants"

    def run(self, *command: str) -> int:
        """Run a Python module in the folder; return its exit code, also after Ctrl-C."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(str(self.copy / path) for path in PATHS),
            "GOMP_SPINCOUNT": "0",
            "OMP_NUM_THREADS": "1",  # the process of a mutant is forked, and has none of torch's threads
        }
        environment.pop("MUTANT_UNDER_TEST", None)
        with subprocess.Popen([sys.executable, "-m", *command], cwd=self.folder, env=environment) as process:
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.wait()
                raise


def prepare(group: Group, cache: Path) -> Workspace:
    """Copy what changed since the last run; the results of functions that did not change stay."""
    workspace = Workspace(group, cache / group.name)
    workspace.copy.mkdir(parents=True, exist_ok=True)
    _copy_repository(workspace.copy)
    for package, root in PACKAGES.items():
        original = REPOSITORY / root / package
        mutated = package == group.package
        if mutated:
            _link(workspace.folder / package, original)
            _remove_deleted(workspace.copy / package, original)
            _remove_unreadable(workspace.copy / package)
        _link(workspace.copy / root / package, Path("..") / package if mutated else original)
        if not mutated:
            _link(workspace.copy / package, original)
    _write(workspace.folder / "pyproject.toml", _configuration(group))
    _write(workspace.folder / "mypy.ini", _MYPY)
    return workspace


def _copy_repository(target: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    packages = tuple(f"{root}/{package}/" for package, root in PACKAGES.items())
    files = {name for name in listed.split("\0") if name and not name.startswith(packages)}
    for name in files - {"pyproject.toml"}:
        source, copy = REPOSITORY / name, target / name
        if source.is_file() and not (copy.is_file() and _same(source, copy)):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    for copy in (target / "tests").rglob("*.py"):
        if copy.relative_to(target).as_posix() not in files:
            copy.unlink()


def _same(one: Path, other: Path) -> bool:
    return one.stat().st_size == other.stat().st_size and one.stat().st_mtime == other.stat().st_mtime


def _remove_deleted(copy: Path, original: Path) -> None:
    for path in copy.rglob("*.py"):
        if not (original / path.relative_to(copy)).exists():
            path.unlink()


def _remove_unreadable(copy: Path) -> None:
    """Forget the results of a module that mutmut was killed while writing: it writes them in place."""
    for path in copy.rglob("*.meta"):
        try:
            json.loads(path.read_bytes())
        except ValueError:
            path.unlink()


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    link.unlink(missing_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _without(test: str) -> str:
    return f"--deselect={test}" if "::" in test else f"--ignore={test}"


def _configuration(group: Group) -> str:
    arguments = ["-p", "mutation.plugin", "--hypothesis-profile=mutants", *(f"-pno:{name}" for name in _UNUSED_PLUGINS)]
    options: dict[str, object] = {
        "source_paths": [group.package],
        "only_mutate": list(group.paths().values()),
        "pytest_add_cli_args": [*arguments, *(_without(test) for test in group.left_out)],
        "pytest_add_cli_args_test_selection": list(group.tests),
        "use_git_change_detection": False,
        "on_dependency_change": "ignore",
        "use_setproctitle": False,
        # Of the clock, on a machine that has other work too; `run` bounds the processor time.
        "timeout_constant": 60.0,
    }
    # A list or a string of JSON is one of TOML too.
    lines = [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    return project + "\n[tool.mutmut]\n" + "\n".join(lines) + "\n"


# Only errors inside a mutant count, so the checks that mutmut's own additions would fail are off.
_MYPY = """[mypy]
python_version = 3.11
plugins = pydantic.mypy
mypy_path = .
explicit_package_bases = True
namespace_packages = True
follow_imports = silent
ignore_missing_imports = True
check_untyped_defs = True
strict_equality = True
warn_unreachable = False
"""
