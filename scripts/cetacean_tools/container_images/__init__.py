"""Build the project's container images with Docker, or with buildah on a machine without it."""

from cetacean_tools.container_images.build import build
from cetacean_tools.container_images.images import IMAGES, NAMED_IMAGES, Image

__all__ = ["IMAGES", "NAMED_IMAGES", "Image", "build"]
