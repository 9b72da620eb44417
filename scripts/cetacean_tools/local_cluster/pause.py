"""The image that holds a pod's namespaces open: Kubernetes' own pause program, linked statically."""

from __future__ import annotations

from pathlib import Path

from cetacean_tools.local_cluster.configs import PAUSE_IMAGE
from cetacean_tools.local_cluster.layout import VERSION, Layout
from cetacean_tools.local_cluster.pins import KUBERNETES, pause_archive
from cetacean_tools.local_cluster.program_images import write_image
from cetacean_tools.local_cluster.protocol import output
from cetacean_tools.local_cluster.sources import module_folder


def ensure_pause_image(layout: Layout) -> Path:
    """Return a docker-archive of it, built once.

    Raises:
        ClusterError: it does not compile.
    """
    archive = pause_archive(layout)
    if archive.exists():
        return archive
    program = layout.bin / ".pause"
    source = module_folder(KUBERNETES.name, "k8s.io/kubernetes") / "build/pause/linux/pause.c"
    output("gcc", "-Os", "-Wall", "-static", f"-DVERSION={VERSION}", "-o", program, source)
    write_image(archive, reference=PAUSE_IMAGE, program=program, user="65535:65535")
    program.unlink()
    return archive
