"""A new weights scheme takes one module and one line: then operator, registry and service know it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = ("models/cetacean_registry", "models/cetacean_logging")
OPERATOR = ("operator/cetacean_operator", *SHARED)
SERVICE = ("inference/cetacean_inference", "models/cetacean_signing", *SHARED)
LINE = '    WeightsScheme("whale", "whale.WhaleSource", r"[a-z]+/[a-z.]+", "whale://pod/name"),\n'
MODULE = '''
from contextlib import contextmanager

from cetacean_inference.weights.sources.source import Body, Source


class WhaleSource(Source):
    """A file whose content is its URL."""

    credential_keys = ("WHALE_SONG",)

    @contextmanager
    def open(self, wanted):
        yield Body(chunks=iter([self.url.encode()]), offset=0, total=None, validator=None, etag=None)
'''
OPERATOR_PROGRAM = """
from cetacean_operator.api.crd import crd, render
from cetacean_registry.registry import ModelEntry

entry = ModelEntry(name="whale", version="1.0.0", architecture="A", weights_url="whale://pod/a.ckpt")
print(entry.weights_url, "whale://[a-z]+/[a-z.]+" in render(crd()))
"""
SERVICE_PROGRAM = """
from pathlib import Path

from cetacean_inference.settings import FetchSettings, ModelSettings
from cetacean_inference.weights.cache import WeightsCache
from cetacean_inference.weights.fetch import fetch
from cetacean_inference.weights.sources import CREDENTIAL_KEYS

model = ModelSettings(name="whale", version="1.0.0", weights_url="whale://pod/a.ckpt")
cache = WeightsCache(Path("cache"), limit_bytes=10_000, keep_unused_seconds=0)
cache.prepare()
blob = fetch(model.weights_url, sha256=None, cache=cache, settings=FetchSettings())
print(blob.path.read_text(), "WHALE_SONG" in CREDENTIAL_KEYS)
"""


def add_scheme(folder: Path) -> None:
    """Make the change that docs/architecture.md describes: one line, and one module if the service is there."""
    table = folder / "cetacean_registry/weights_schemes.py"
    text = table.read_text(encoding="utf-8")
    begin = "SCHEMES: Final = (\n"
    assert begin in text
    table.write_text(text.replace(begin, begin + LINE), encoding="utf-8")
    sources = folder / "cetacean_inference/weights/sources"
    if sources.is_dir():
        (sources / "whale.py").write_text(MODULE, encoding="utf-8")


@pytest.mark.parametrize(
    ("packages", "program"), [(OPERATOR, OPERATOR_PROGRAM), (SERVICE, SERVICE_PROGRAM)], ids=["operator", "service"]
)
def test_one_line_and_one_module_add_a_weights_scheme(tmp_path: Path, packages: tuple[str, ...], program: str) -> None:
    for package in packages:
        copytree(REPOSITORY / package, tmp_path / Path(package).name, ignore=ignore_patterns("__pycache__"))
    add_scheme(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["whale://pod/a.ckpt", "True"], done.stderr
