"""The components' configuration files."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import yaml

from cetacean_tools.local_cluster.layout import CNI_PLUGINS, CONTAINERD_SOCKET, NODE, POD_CIDR, RUNC, Layout, Link

PAUSE_IMAGE = "localhost/pause:1"


def write_all(layout: Layout, link: Link) -> None:
    """Write every file; `pki.create` must have run."""
    layout.config.mkdir(parents=True, exist_ok=True)
    (layout.config / "cni").mkdir(exist_ok=True)
    (layout.config / "resolv.conf").touch()
    files: dict[str, str] = {
        "containerd.toml": _containerd(layout),
        "kubelet.yaml": yaml.safe_dump(_kubelet(layout, link)),
        "kube-proxy.yaml": yaml.safe_dump(_kube_proxy(layout)),
        "cni/10-local.conflist": json.dumps(_cni(layout)),
        "Corefile": _corefile(layout, link),
        "audit-policy.yaml": yaml.safe_dump(_AUDIT_POLICY),
    }
    for name, content in files.items():
        (layout.config / name).write_text(content, encoding="utf-8")
    for client in ("kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "coredns"):
        content = yaml.safe_dump(kubeconfig(layout, link, client))
        (layout.config / f"{client}.kubeconfig").write_text(content, encoding="utf-8")


def kubeconfig(layout: Layout, link: Link, client: str) -> dict[str, Any]:
    """A kubeconfig that holds all it needs, for one of `pki.clients`."""

    def data(name: str) -> str:
        return base64.b64encode((layout.pki / name).read_bytes()).decode()

    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "local",
        "clusters": [
            {"name": "local", "cluster": {"server": link.api, "certificate-authority-data": data("ca.crt")}},
        ],
        "users": [
            {
                "name": client,
                "user": {
                    "client-certificate-data": data(f"{client}.crt"),
                    "client-key-data": data(f"{client}.key"),
                },
            }
        ],
        "contexts": [{"name": "local", "context": {"cluster": "local", "user": client}}],
    }


def _containerd(layout: Layout) -> str:
    # Without CAP_SYS_RESOURCE a container's oom_score_adj cannot be lowered, and every sandbox would fail.
    return f"""version = 3
root = "{layout.images}"
state = "/run/containerd"

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
path = "{layout.state}/opt"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{CNI_PLUGINS}"]
conf_dir = "{layout.config}/cni"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "{RUNC}"
SystemdCgroup = false
"""


def _kubelet(layout: Layout, link: Link) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": link.node,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.name}",
        "clusterDNS": [link.node],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "localStorageCapacityIsolation": False,
        "nodeStatusUpdateFrequency": "5s",
        "podLogsDir": str(layout.state / "pod-logs"),
        "resolvConf": str(layout.config / "resolv.conf"),
        "serializeImagePulls": False,
        "shutdownGracePeriod": "0s",
        "syncFrequency": "10s",
    }


def _kube_proxy(layout: Layout) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": POD_CIDR,
        "hostnameOverride": NODE,
        "clientConnection": {"kubeconfig": str(layout.config / "kube-proxy.kubeconfig")},
        "conntrack": {"maxPerCore": 0},
    }


def _cni(layout: Layout) -> dict[str, Any]:
    # ptp routes every packet, so that Services work between pods of one node without bridge netfilter.
    return {
        "cniVersion": "1.0.0",
        "name": "local",
        "plugins": [
            {
                "type": "ptp",
                "mtu": 1500,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(layout.state / "cni"),
                    "ranges": [[{"subnet": POD_CIDR}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        ],
    }


def _corefile(layout: Layout, link: Link) -> str:
    # There is nothing outside to forward to: other names do not exist.
    return f"""cluster.local:53 in-addr.arpa:53 {{
    bind {link.node}
    errors
    ready 127.0.0.1:8181
    loadbalance
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {layout.config}/coredns.kubeconfig local
        pods insecure
    }}
}}
.:53 {{
    bind {link.node}
    errors
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
"""


_AUDIT_POLICY: Mapping[str, Any] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}

COREDNS_RBAC: list[dict[str, Any]] = [
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "system:coredns"},
        "rules": [
            {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        ],
    },
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "system:coredns"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:coredns"}],
    },
]
