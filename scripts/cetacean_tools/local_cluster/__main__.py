"""`python -m cetacean_tools.local_cluster`: start, use and end a Kubernetes cluster.

up            start it unless it is up, and print how to reach it
down          end it and remove everything that it has set up
status        print the state of each component
load-image    make an image archive available to pods
load-program  the same for a program that only tests run (prometheus, contour, …); prints the image's name
programs      build those programs, and download the other files that tests need
kubectl …     run its kubectl; helm … runs Helm
kubeconfig    print the path of its kubeconfig
env           print the variables by which a shell finds it: eval "$(python -m cetacean_tools.local_cluster env)"
run -- …      start it, run a command with KUBECONFIG set, end it
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cetacean_tools.local_cluster.builds import ensure_built
from cetacean_tools.local_cluster.layout import Layout
from cetacean_tools.local_cluster.pins import TESTING
from cetacean_tools.local_cluster.prerequisites import check
from cetacean_tools.local_cluster.program_images import ensure_program_image
from cetacean_tools.local_cluster.protocol import Cluster
from cetacean_tools.local_cluster.sources import monitoring_kinds
from cetacean_tools.local_cluster.use import choose, exclusive_use
from cetacean_tools.workspace import run_tool

PASSED_ON = ("kubectl", "helm", "run")
"""Commands whose arguments are another program's."""
BUILDING = ("up", "run", "programs")
"""Commands that may take minutes: what they need is checked first."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    passed_on: list[str] = []
    if given[:1] and given[0] in PASSED_ON:
        # Not argparse's REMAINDER, which takes no option right after the command.
        given, passed_on = given[:1], given[1:]
    options = _parser().parse_args(given)
    return run_tool(lambda: _run(options, passed_on))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="local_cluster", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name in ("up", "down", "status", "kubeconfig", "env", "programs"):
        commands.add_parser(name)
    load = commands.add_parser("load-image")
    load.add_argument("reference")
    load.add_argument("archive", type=Path, nargs="?")
    commands.add_parser("load-program").add_argument("name")
    for name in PASSED_ON:
        commands.add_parser(name)
    return parser


def _run(options: argparse.Namespace, passed_on: Sequence[str]) -> int:
    if options.command in BUILDING:
        check(programs=options.command == "programs")
    cluster = choose()
    match options.command:
        case "up":
            cluster.up()
            print(f"export KUBECONFIG={cluster.kubeconfig}\nkubectl: {cluster.kubectl}\nhelm: {cluster.helm}")
        case "down":
            cluster.down()
        case "status":
            for name, state in cluster.status():
                print(f"{name:<26}{state}")
            return 0 if cluster.is_up() else 3
        case "kubeconfig":
            print(cluster.kubeconfig)
        case "env":
            print("\n".join(shell_lines(cluster)))
        case "load-image":
            cluster.load_image(options.reference, options.archive)
        case "load-program":
            image = ensure_program_image(options.name)
            cluster.load_image(image.reference, image.archive)
            print(image.reference)
        case "programs":
            ensure_built(TESTING, Layout.default())
            monitoring_kinds()
        case "kubectl" | "helm":
            program = cluster.kubectl if options.command == "kubectl" else cluster.helm
            return subprocess.run([program, *passed_on], env=environment(cluster), check=False).returncode
        case "run":
            command = passed_on[1:] if passed_on[:1] == ["--"] else passed_on
            return run_against(cluster, command)
    return 0


def run_against(cluster: Cluster, command: Sequence[str]) -> int:
    """Run a command with the cluster to itself; a cluster that was up before is left up."""
    with exclusive_use(cluster), subprocess.Popen(command, env=environment(cluster)) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            # A terminal's Ctrl-C has reached the child too; a signal to this process alone has not.
            child.terminate()
            child.wait()
            raise


def environment(cluster: Cluster) -> dict[str, str]:
    """Return the environment in which a process finds the cluster and its tools."""
    host = "127.0.0.1,localhost,10.0.0.0/8"
    without_proxy = ",".join(filter(None, (os.environ.get("NO_PROXY", ""), host)))
    return {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig),
        "CETACEAN_KUBECTL": str(cluster.kubectl),
        "CETACEAN_HELM": str(cluster.helm),
        "NO_PROXY": without_proxy,
        "no_proxy": without_proxy,
    }


def shell_lines(cluster: Cluster) -> list[str]:
    """Return the commands after which a shell's kubectl and helm are the cluster's."""
    found = environment(cluster)
    lines = [f"export {name}={shlex.quote(found[name])}" for name in ("KUBECONFIG", "NO_PROXY", "no_proxy")]
    tools = {"helm": cluster.helm, "kubectl": cluster.kubectl}
    folders = dict.fromkeys(str(path.parent) for name, path in tools.items() if shutil.which(name) != str(path))
    if folders:
        lines.append(f'export PATH={shlex.quote(":".join(folders))}:"$PATH"')
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
