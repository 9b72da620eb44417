"""Builds the project's container images with what the machine has: docker, or buildah on a bare machine."""

from cetacean_tools.container_images.build import build
from cetacean_tools.container_images.images import IMAGES, NAMED_IMAGES, Image

__all__ = ["IMAGES", "NAMED_IMAGES", "Image", "build"]
