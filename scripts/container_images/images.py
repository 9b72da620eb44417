"""Which images there are, what goes into them, and the tag that follows from it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

REGISTRY_VARIABLE = "IMAGE_REGISTRY"


def registry() -> str | None:
    """The registry (and path in it) that images are pushed to; None: they exist on this machine only."""
    return os.environ.get(REGISTRY_VARIABLE, "").rstrip("/") or None


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its Dockerfile and everything that the build reads, relative to the build's context."""

    name: str
    dockerfile: Path
    context: Path
    sources: tuple[Path, ...]
    build_args: tuple[tuple[str, str], ...] = field(default=())

    def reference(self, base: str) -> str:
        """The image's full name; its tag changes exactly when something that goes into the image does."""
        digest = hashlib.sha256(repr((base, self.build_args)).encode())
        digest.update(self.dockerfile.read_bytes())
        for path in sorted(self._source_files()):
            digest.update(f"{path.relative_to(self.context)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return f"{registry() or 'localhost'}/{self.name}:{digest.hexdigest()[:12]}"

    def _source_files(self) -> Iterator[Path]:
        for source in self.sources:
            if source.is_file():
                yield source
            for path in source.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    yield path


def _of_repository(name: str, root: Path, folder: str, package: str, *, extras: str | None = None) -> Image:
    return Image(
        name=name,
        dockerfile=root / folder / "Dockerfile",
        context=root,
        sources=(
            root / folder / (f"requirements-{extras}.lock" if extras else "requirements.lock"),
            root / "models/cetacean_logging",
            root / "models/cetacean_registry",
            root / folder / package,
        ),
        build_args=(("EXTRAS", extras),) if extras else (),
    )


def images(root: Path) -> dict[str, Image]:
    """The images built from the repository at `root`, by short name."""
    return {
        "operator": _of_repository("cetacean-operator", root, "operator", "cetacean_operator"),
        "inference": _of_repository("cetacean-inference", root, "inference", "cetacean_inference"),
    }


def images_with_extras(root: Path) -> dict[str, Image]:
    """Those that hold more than is usual: built only when they are named."""
    return {
        "inference-mask": _of_repository(
            "cetacean-inference-mask", root, "inference", "cetacean_inference", extras="mask"
        )
    }


ROOT = Path(__file__).resolve().parent.parent.parent
IMAGES = images(ROOT)
NAMED_IMAGES = IMAGES | images_with_extras(ROOT)
