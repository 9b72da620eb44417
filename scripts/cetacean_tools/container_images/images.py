"""The images, the files that each is built from, and the tag that follows from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cetacean_tools.workspace import REPOSITORY, registry


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its Dockerfile and everything that the build reads, relative to the build's context."""

    name: str
    dockerfile: Path
    context: Path
    sources: tuple[Path, ...]
    build_args: tuple[tuple[str, str], ...] = field(default=())

    def reference(self, base: str) -> str:
        """Return the full name; its tag changes exactly if a file or argument of the build does."""
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


def _of_repository(root: Path, folder: str, *, extras: str | None = None) -> Image:
    return Image(
        name=f"cetacean-{folder}-{extras}" if extras else f"cetacean-{folder}",
        dockerfile=root / folder / "Dockerfile",
        context=root,
        sources=(
            root / folder / (f"requirements-{extras}.lock" if extras else "requirements.lock"),
            *(root / "models" / name for name in ("cetacean_logging", "cetacean_registry", "cetacean_signing")),
            root / folder / f"cetacean_{folder}",
        ),
        build_args=(("EXTRAS", extras),) if extras else (),
    )


def images(root: Path) -> dict[str, Image]:
    """Return the images built from the repository at `root`, by short name."""
    return {
        "operator": _of_repository(root, "operator"),
        "inference": _of_repository(root, "inference"),
        "inference-mask": _of_repository(root, "inference", extras="mask"),
    }


NAMED_IMAGES = images(REPOSITORY)
IMAGES = {name: image for name, image in NAMED_IMAGES.items() if not image.build_args}
"""Those without optional packages: the others are built only if they are named."""
