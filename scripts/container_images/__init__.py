"""Builds the project's container images with what the machine has: docker, or buildah on a bare machine."""

from container_images.build import BuiltImage, build
from container_images.images import IMAGES, Image

__all__ = ["IMAGES", "BuiltImage", "Image", "build"]
