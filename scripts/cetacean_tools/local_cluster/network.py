"""The link between the machine and the cluster's network namespace."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from collections.abc import Iterator

from cetacean_tools.local_cluster.layout import Link
from cetacean_tools.local_cluster.protocol import ClusterError, output

_CANDIDATES = ipaddress.ip_network("10.201.0.0/16")


def free_link() -> Link:
    """Return two addresses of a small network that no route of this machine covers."""
    taken = list(_routed())
    for network in _CANDIDATES.subnets(new_prefix=30):
        if not any(network.overlaps(route) for route in taken):
            host, node = network.hosts()
            return Link(str(host), str(node))
    raise ClusterError(f"no free network among {_CANDIDATES}")


def connect(name: str, link: Link, pid: int) -> None:
    """Create the link from the machine to the network namespace of process `pid`."""
    disconnect(name)
    for command in (
        ["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(pid)],
        ["ip", "address", "add", f"{link.host}/{link.prefix}", "dev", name],
        ["ip", "link", "set", name, "up"],
    ):
        output(*command)


def disconnect(name: str) -> None:
    """Remove the link; the kernel has removed it already if the namespace has ended."""
    subprocess.run(["ip", "link", "delete", name], capture_output=True, check=False)


def _routed() -> Iterator[ipaddress.IPv4Network]:
    for route in json.loads(output("ip", "-json", "-4", "route") or "[]"):
        if route["dst"] != "default":
            yield ipaddress.IPv4Network(route["dst"], strict=False)
