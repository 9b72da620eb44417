"""Check within seconds, and without changing anything, that the machine has what a cluster needs.

`python -m cetacean_tools.local_cluster.prerequisites [--images] [--programs]` does the same from the command line. It
needs the standard library only, and is run before the Python environment is set up, which takes minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from cetacean_tools.local_cluster.contexts import Context
from cetacean_tools.local_cluster.layout import CNI_PLUGINS, RUNC, Layout
from cetacean_tools.local_cluster.pins import (
    LOCAL,
    TESTING,
    Module,
    is_built,
    monitoring_kinds_folder,
    pause_archive,
)
from cetacean_tools.local_cluster.protocol import ClusterError, output
from cetacean_tools.local_cluster.tools import ANSWER_WITHIN, HELM, KIND, KUBECTL, check_go, kubectl
from cetacean_tools.workspace import (
    BUILDER_PACKAGES,
    REGISTRY_VARIABLE,
    MissingError,
    check_commands,
    docker_answers,
    registry,
    run_tool,
)

CONTEXT_VARIABLE = "KUBE_CONTEXT"
OLDEST_KUBERNETES = (1, 35)
"""As the charts' `kubeVersion`."""
PACKAGES = {
    "ip": "iproute2",
    "nft": "nftables",
    "conntrack": "conntrack",
    "openssl": "openssl",
    "gcc": "gcc",
    "/usr/include/stdio.h": "libc6-dev",
    "unshare": "util-linux",
    "mount": "mount",
    str(RUNC): "runc",
    str(CNI_PLUGINS / "ptp"): "containernetworking-plugins",
}
"""Debian packages that the local cluster needs, by a command or file of each."""
NAMESPACES = ("--mount", "--net", "--pid", "--ipc", "--uts", "--fork")


def check(environment: Mapping[str, str] = os.environ, *, images: bool = False, programs: bool = False) -> None:
    """Check what the cluster that `use.choose` takes needs.

    Every wait in it is bounded and they run side by side: it ends within five seconds.

    Args:
        environment: names the context, if there is one.
        images: images are built and loaded into the cluster.
        programs: the programs that only tests run are needed too.

    Raises:
        MissingError: the machine lacks something.
        ClusterError: the named context does not exist, does not answer, or is too old.
    """
    layout = Layout.default()
    checks: list[Callable[[], None]] = [partial(HELM.check, layout)]
    if name := environment.get(CONTEXT_VARIABLE):
        checks.append(partial(_check_context, Context.find(name), layout))
        if images:
            checks.append(_check_image_tools)
    elif docker_answers(ANSWER_WITHIN):
        checks += [partial(tool.check, layout) for tool in (KIND, KUBECTL)]
    else:
        checks = [partial(_check_machine, layout, images=images), *checks]
    if programs:
        checks.append(partial(_check_modules, TESTING, layout, monitoring_kinds_folder(layout)))
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(step) for step in checks]:
            done.result()


def _check_context(context: Context, layout: Layout) -> None:
    version = context.server_version()
    if version < OLDEST_KUBERNETES:
        oldest, found = ("{}.{}".format(*one) for one in (OLDEST_KUBERNETES, version))
        raise ClusterError(
            f"context {context.name}: expected Kubernetes {oldest} or later, got {found}; "
            f"upgrade it, or name another cluster with {CONTEXT_VARIABLE}"
        )
    kubectl(version).check(layout)


def _check_image_tools() -> None:
    if registry() is None:
        raise MissingError(
            f"missing: {REGISTRY_VARIABLE}, the registry that the cluster's nodes pull images from; "
            f"set it, as in {REGISTRY_VARIABLE}=registry.example.org/team"
        )
    if not docker_answers(ANSWER_WITHIN):
        check_commands(BUILDER_PACKAGES)


def _check_machine(layout: Layout, *, images: bool) -> None:
    """Check what the cluster made of processes needs."""
    try:
        check_root()
        check_commands(PACKAGES | (BUILDER_PACKAGES if images else {}))
        if shutil.which("unshare") is not None:  # its package is installed later
            output("unshare", *NAMESPACES, "true", within=ANSWER_WITHIN)
        _check_modules(LOCAL, layout, pause_archive(layout))
    except MissingError as error:
        raise MissingError(f"{error}; or start Docker, or name your own cluster with {CONTEXT_VARIABLE}") from error
    except ClusterError as error:
        raise MissingError(
            f"missing: the right to create namespaces ({error}); run it in a privileged container"
        ) from error


def check_root() -> None:
    """Raise MissingError unless this is Linux, and the user root."""
    if sys.platform != "linux":
        raise MissingError(f"missing: Linux, which the local cluster needs (this is {sys.platform})")
    if os.geteuid() != 0:
        raise MissingError("missing: root, which the local cluster's namespaces and mounts need; run it with sudo")


def _check_modules(modules: Iterable[Module], layout: Layout, file: Path) -> None:
    """Check that the modules are built and the file is made, or a Go is there that can do it."""
    missing = [module.name for module in modules if not is_built(module, layout)]
    if missing := [*missing, *([] if file.exists() else [file.name])]:
        check_go(f", to make {', '.join(missing)}", ANSWER_WITHIN)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check; 0 if nothing is missing, else 1 and one line that says what is."""
    parser = argparse.ArgumentParser(prog="prerequisites", description="Check what the cluster needs, within seconds.")
    parser.add_argument("--images", action="store_true", help="images are built and loaded into the cluster")
    parser.add_argument("--programs", action="store_true", help="the programs that only tests run are needed too")
    options = parser.parse_args(arguments)
    return run_tool(lambda: check(images=options.images, programs=options.programs))


if __name__ == "__main__":
    raise SystemExit(main())
