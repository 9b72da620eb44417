"""Check within seconds, and without changing anything, that the machine has what a cluster needs.

`python -m cetacean_tools.local_cluster.prerequisites [--images] [--programs]` does the same from the command line. It
needs the standard library only, and is run before the Python environment is set up, which takes minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from cetacean_tools.local_cluster.contexts import Context
from cetacean_tools.local_cluster.layout import CNI_PLUGINS, RUNC, Layout
from cetacean_tools.local_cluster.pins import LOCAL, TESTING, monitoring_kinds_folder, pause_archive
from cetacean_tools.local_cluster.protocol import ClusterError
from cetacean_tools.local_cluster.tools import (
    ANSWER_WITHIN,
    HELM,
    KIND,
    KUBECTL,
    PathPrograms,
    kubectl,
)
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
_OTHER_WAYS = f"or start Docker, or name your own cluster with {CONTEXT_VARIABLE}"

Check = Callable[[], None]


def check(environment: Mapping[str, str] = os.environ, *, images: bool = False, programs: bool = False) -> None:
    """Check what the cluster that `choice.choose` takes needs.

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
    name = environment.get(CONTEXT_VARIABLE)
    # Before the threads: the most common mistake is reported at once.
    context = Context.find(name) if name else None
    with ThreadPoolExecutor() as pool:
        asked = PathPrograms(pool)
        if context is not None:
            checks = [*([_check_registry, _check_builder] if images else []), *_of_context(context, asked, layout)]
        elif docker_answers(ANSWER_WITHIN):
            checks = [partial(asked.check_tool, tool, layout) for tool in (KIND, HELM, KUBECTL)]
        else:
            checks = _of_processes(asked, layout, images=images)
        if programs:
            checks.append(partial(asked.check_modules, TESTING, layout, [monitoring_kinds_folder(layout)]))
        for done in [pool.submit(step) for step in checks]:
            done.result()


def _of_context(context: Context, asked: PathPrograms, layout: Layout) -> list[Check]:
    def check_server() -> None:
        version = context.server_version(layout)
        if version is not None and version < OLDEST_KUBERNETES:
            raise ClusterError(
                f"context {context.name}: expected Kubernetes {_text(OLDEST_KUBERNETES)} or later, "
                f"got {_text(version)}; upgrade it, or name another cluster with {CONTEXT_VARIABLE}"
            )
        asked.check_tool(KUBECTL if version is None else kubectl(version), layout)

    return [check_server, partial(asked.check_tool, HELM, layout)]


def _of_processes(asked: PathPrograms, layout: Layout, *, images: bool) -> list[Check]:
    steps = (
        _check_root,
        partial(_check_packages, images=images),
        _check_namespaces,
        partial(asked.check_modules, LOCAL, layout, [pause_archive(layout)]),
        partial(asked.check_tool, HELM, layout),
    )
    return [partial(_or_another_way, step) for step in steps]


def _check_registry() -> None:
    if registry() is None:
        raise MissingError(
            f"missing: {REGISTRY_VARIABLE}, the registry that the cluster's nodes pull images from; "
            f"set it, as in {REGISTRY_VARIABLE}=registry.example.org/team"
        )


def _check_builder() -> None:
    if docker_answers(ANSWER_WITHIN):
        return
    try:
        check_commands(BUILDER_PACKAGES)
    except MissingError as error:
        raise MissingError(f"{error}; or start Docker: one of them builds the images") from error


def _or_another_way(step: Check) -> None:
    try:
        step()
    except MissingError as error:
        raise MissingError(f"{error}; {_OTHER_WAYS}") from error


def _check_root() -> None:
    if sys.platform != "linux":
        raise MissingError(f"missing: Linux, which the local cluster needs (this is {sys.platform})")
    if os.geteuid() != 0:
        raise MissingError("missing: root, which the local cluster's namespaces and mounts need; run it with sudo")


def _check_packages(*, images: bool) -> None:
    check_commands(PACKAGES | (BUILDER_PACKAGES if images else {}))


def _check_namespaces() -> None:
    if shutil.which("unshare") is None:  # its package is installed later
        return
    try:
        done = subprocess.run(
            ["unshare", *NAMESPACES, "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=ANSWER_WITHIN,
        )
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"missing: namespaces: `unshare` did not end within {ANSWER_WITHIN:.0f} s") from error
    if done.returncode != 0:
        reason = " ".join(done.stderr.split())
        raise MissingError(f"missing: the right to create namespaces ({reason}); run it in a privileged container")


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def main(arguments: Sequence[str] | None = None) -> int:
    """Check; 0 if nothing is missing, else 1 and one line that says what is."""
    parser = argparse.ArgumentParser(prog="prerequisites", description="Check what the cluster needs, within seconds.")
    parser.add_argument("--images", action="store_true", help="images are built and loaded into the cluster")
    parser.add_argument("--programs", action="store_true", help="the programs that only tests run are needed too")
    options = parser.parse_args(arguments)

    def work() -> int:
        check(images=options.images, programs=options.programs)
        return 0

    return run_tool(work)


if __name__ == "__main__":
    raise SystemExit(main())
