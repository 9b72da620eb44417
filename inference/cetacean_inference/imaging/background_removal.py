"""Removes the background of pictures with rembg, an optional extra.

The network's weights come from the cache and are verified; rembg itself would download them for the first picture.
No other network of rembg is used: some of them send pictures to a server.
"""

from __future__ import annotations

import importlib
import logging
import os
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any, Final

from PIL import Image

from cetacean_inference.errors import CheckpointMismatch, ConfigInvalid
from cetacean_inference.messages import one_line
from cetacean_inference.settings import Settings
from cetacean_inference.weights.fetch import locate_mask, open_verified
from cetacean_inference.weights.verified import VerifiedFiles

logger = logging.getLogger(__name__)

PACKAGES: Final = ("rembg", "onnxruntime")


class BackgroundRemover:
    """rembg with a network of the cache; a `masks.RemoveBackground`.

    Args:
        session: rembg's session.
        verified: open files of the network, which keep it from being evicted.
    """

    def __init__(self, session: Any, verified: VerifiedFiles) -> None:
        self._session = session
        self._verified = verified

    def __call__(self, image: Image.Image) -> Image.Image:
        """Make the background transparent, with rembg's default options."""
        cut: Image.Image = importlib.import_module("rembg").remove(image, session=self._session)
        return cut

    def close(self) -> None:
        """Close the network's file."""
        self._verified.close()


def load_background_remover(settings: Settings) -> BackgroundRemover:
    """Load the network from the cache and try it once.

    Raises:
        ConfigInvalid: the extra is not installed.
        errors.FatalError: the weights are missing, damaged, or of another kind of network.
    """
    if absent := [name for name in PACKAGES if find_spec(name) is None]:
        raise ConfigInvalid(
            f"mask.enabled: expected the package {' and '.join(absent)} (pip install 'cetacean[mask]'), got none"
        )
    blob = locate_mask(settings)
    with ExitStack() as on_failure:
        verified = on_failure.enter_context(open_verified(settings))
        path = f"/dev/fd/{verified.open(blob).fileno()}"
        try:
            remover = BackgroundRemover(_session(path, threads=settings.mask.threads), verified)
            _check(remover)
        except ImportError as error:
            raise ConfigInvalid(f"mask.enabled: expected packages that can be imported, got: {error}") from error
        except Exception as error:
            raise CheckpointMismatch(
                f"{blob.url}: expected a U2-Net in ONNX, got: {one_line(error, limit=500)}"
            ) from error
        on_failure.pop_all()
    logger.info("masks by %s, sha256:%s", blob.url, blob.sha256)
    return remover


def _session(path: str, *, threads: int) -> Any:
    """Open rembg's own U2-Net session for the file at `path`."""
    # rembg imports a matting library, which masks do not use. Without this setting it compiles code for a minute, on a
    # read-only file system at each start.
    os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
    runtime = importlib.import_module("onnxruntime")
    u2net = importlib.import_module("rembg.sessions.u2net_custom").U2netCustomSession

    class FromCache(u2net):  # type: ignore[misc,valid-type] # rembg is not installed where types are checked
        """rembg's session, which otherwise takes weights from a directory of its own only."""

        @classmethod
        def download_models(cls, *_: Any, **__: Any) -> str:
            return path

    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    return FromCache("u2net_custom", options, providers=["CPUExecutionProvider"], model_path=path)


def _check(remover: BackgroundRemover) -> None:
    """Raise if the network has another input or output; also warms it up."""
    grey = Image.linear_gradient("L").resize((80, 60)).convert("RGB")
    if (cut := remover(grey)).mode != "RGBA" or cut.size != grey.size:
        raise ValueError(f"RGBA of {grey.size} expected, got {cut.mode} of {cut.size}")
