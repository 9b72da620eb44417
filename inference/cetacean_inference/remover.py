"""Cuts pictures out with rembg, an optional extra.

Its weights come from the cache, verified like all others: rembg itself would download them when the first picture
comes. Nothing else of it is used: it also has networks that send pictures elsewhere.
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
from cetacean_inference.settings import Settings
from cetacean_inference.weights.fetch import locate_mask, open_cache
from cetacean_inference.weights.verified import Verified

logger = logging.getLogger(__name__)

PACKAGES: Final = ("rembg", "onnxruntime")


class Remover:
    """rembg around a network of the cache; a `masks.CutOut`.

    Args:
        session: rembg's.
        verified: what keeps the network from being evicted.
    """

    def __init__(self, session: Any, verified: Verified) -> None:
        self._session = session
        self._verified = verified

    def __call__(self, image: Image.Image) -> Image.Image:
        """Cut one picture out, as rembg does unless told otherwise."""
        cut: Image.Image = importlib.import_module("rembg").remove(image, session=self._session)
        return cut

    def close(self) -> None:
        """Let go of the network's file."""
        self._verified.close()


def load_remover(settings: Settings) -> Remover:
    """What cuts pictures out.

    Raises:
        ConfigInvalid: when the extra is not installed.
        errors.CannotGoOn: when the weights are not there, damaged, or not such a network's.
    """
    if absent := [name for name in PACKAGES if find_spec(name) is None]:
        raise ConfigInvalid(
            f"mask.enabled: expected the package {' and '.join(absent)} (pip install 'cetacean[mask]'), got none"
        )
    blob = locate_mask(settings)
    with ExitStack() as held:
        verified = held.enter_context(Verified(open_cache(settings)))
        path = f"/dev/fd/{verified.open(blob).fileno()}"
        try:
            remover = Remover(_session(path, threads=settings.mask.threads), verified)
            _try(remover)
        except ImportError as error:
            raise ConfigInvalid(f"mask.enabled: expected packages that can be imported, got: {error}") from error
        except Exception as error:
            told = " ".join(str(error).split())[:500]
            raise CheckpointMismatch(f"{blob.url}: expected a U2-Net in ONNX, got: {told}") from error
        held.pop_all()
    logger.info("masks by %s, sha256:%s", blob.url, blob.sha256)
    return remover


def _session(path: str, *, threads: int) -> Any:
    """Rembg's own U2-Net around the file at `path`."""
    # rembg imports a library for matting, which no mask needs and which compiles for a minute where it cannot keep
    # what it compiled: on a read-only file system at each start.
    os.environ.setdefault("NUMBA_DISABLE_JIT", "1")
    runtime = importlib.import_module("onnxruntime")
    u2net = importlib.import_module("rembg.sessions.u2net_custom").U2netCustomSession

    class FromCache(u2net):  # type: ignore[misc,valid-type] # rembg is not there for whoever checks types
        """rembg's, which takes weights from a directory of its own only."""

        @classmethod
        def download_models(cls, *_: Any, **__: Any) -> str:
            return path

    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    return FromCache("u2net_custom", options, providers=["CPUExecutionProvider"], model_path=path)


def _try(cut_out: Remover) -> None:
    """Refuse a network that takes or gives something else before it meets a picture; it is warm afterwards."""
    grey = Image.linear_gradient("L").resize((80, 60)).convert("RGB")
    if (cut := cut_out(grey)).mode != "RGBA" or cut.size != grey.size:
        raise ValueError(f"RGBA of {grey.size} expected, got {cut.mode} of {cut.size}")
