"""Builds the project's container images with what the machine has: docker, or buildah on a bare machine."""

from container_images.build import BuiltImage, build
from container_images.images import IMAGES, NAMED_IMAGES, Image

__all__ = ["IMAGES", "NAMED_IMAGES", "BuiltImage", "Image", "build"]
