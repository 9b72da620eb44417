"""`python -m cetacean_tools.container_images [NAME …]`: build images and print their references."""

from __future__ import annotations

import argparse

from cetacean_tools.container_images.build import build
from cetacean_tools.container_images.images import IMAGES, NAMED_IMAGES
from cetacean_tools.workspace import run_tool


def main() -> int:
    """Build the named images, all of them if none is named."""
    parser = argparse.ArgumentParser(prog="container_images", description="Build the project's container images.")
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"which images: {', '.join(NAMED_IMAGES)}; default: {', '.join(IMAGES)}",
    )
    parser.add_argument("--base-image", help="the Debian 13 image to build on, instead of one made here")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMED_IMAGES):
        parser.error(f"no such image: {', '.join(sorted(unknown))}; there are: {', '.join(NAMED_IMAGES)}")
    return run_tool(lambda: _build(arguments.names or list(IMAGES), arguments.base_image))


def _build(names: list[str], base_image: str | None) -> None:
    for name in names:
        image = build(NAMED_IMAGES[name], base_image=base_image)
        print(f"{image.reference}\t{image.size / 1e9:.2f} GB\t{image.archive or 'in the Docker store'}")


if __name__ == "__main__":
    raise SystemExit(main())
