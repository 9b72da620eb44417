"""The components: their command lines, in what order they start, and how to tell that one is ready."""

from __future__ import annotations

from dataclasses import dataclass

from cetacean_tools.local_cluster.layout import API_PORT, NODE, POD_CIDR, SERVICE_CIDR, Layout, Link

_UNLIMITED = 1000
"""Requests a second: by default 20 and 50, which keep a hundred rollouts waiting on an idle machine."""


@dataclass(frozen=True, slots=True)
class Component:
    """One process of the cluster."""

    name: str
    command: tuple[str, ...]
    ready: str
    """A URL that answers 200 when it is ready, or the path of a socket that is there then."""
    after: tuple[str, ...] = ()
    """Components that must be ready before this one is started."""


def components(layout: Layout, link: Link) -> tuple[Component, ...]:
    """All of them, in the order of their starting."""
    config, pki = layout.config, layout.pki

    def command(name: str, **flags: object) -> tuple[str, ...]:
        arguments = (f"--{key.replace('_', '-')}={value}" for key, value in flags.items())
        return (str(layout.bin / name), *arguments)

    return (
        Component(
            "etcd",
            # What a crash may lose is thrown away with the cluster anyway.
            command(
                "etcd",
                data_dir=layout.state / "etcd",
                unsafe_no_fsync="true",
                listen_client_urls="http://127.0.0.1:2379",
                advertise_client_urls="http://127.0.0.1:2379",
                listen_peer_urls="http://127.0.0.1:2380",
                initial_cluster="default=http://127.0.0.1:2380",
                initial_advertise_peer_urls="http://127.0.0.1:2380",
                log_level="warn",
            ),
            ready="http://127.0.0.1:2379/health",
        ),
        Component(
            "containerd",
            (str(layout.bin / "containerd"), "--config", str(config / "containerd.toml")),
            ready="/run/containerd/containerd.sock",
        ),
        Component(
            "kube-apiserver",
            command(
                "kube-apiserver",
                advertise_address=link.node,
                allow_privileged="true",
                audit_log_path=layout.logs / "audit.log",
                audit_policy_file=config / "audit-policy.yaml",
                authorization_mode="Node,RBAC",
                bind_address="0.0.0.0",  # noqa: S104 -- of the cluster's own network namespace
                client_ca_file=pki / "ca.crt",
                enable_admission_plugins="NodeRestriction",
                etcd_servers="http://127.0.0.1:2379",
                kubelet_client_certificate=pki / "apiserver-kubelet-client.crt",
                kubelet_client_key=pki / "apiserver-kubelet-client.key",
                kubelet_preferred_address_types="InternalIP",
                proxy_client_cert_file=pki / "front-proxy-client.crt",
                proxy_client_key_file=pki / "front-proxy-client.key",
                requestheader_allowed_names="front-proxy-client",
                requestheader_client_ca_file=pki / "ca.crt",
                requestheader_extra_headers_prefix="X-Remote-Extra-",
                requestheader_group_headers="X-Remote-Group",
                requestheader_username_headers="X-Remote-User",
                secure_port=API_PORT,
                service_account_issuer="https://kubernetes.default.svc.cluster.local",
                service_account_key_file=pki / "service-account.pub",
                service_account_signing_key_file=pki / "service-account.key",
                service_cluster_ip_range=SERVICE_CIDR,
                tls_cert_file=pki / "apiserver.crt",
                tls_private_key_file=pki / "apiserver.key",
            ),
            ready=f"https://127.0.0.1:{API_PORT}/readyz",
            after=("etcd",),
        ),
        Component(
            "kube-controller-manager",
            command(
                "kube-controller-manager",
                authentication_kubeconfig=config / "kube-controller-manager.kubeconfig",
                authorization_kubeconfig=config / "kube-controller-manager.kubeconfig",
                bind_address="127.0.0.1",
                cluster_cidr=POD_CIDR,
                controllers="*,-bootstrap-signer-controller,-token-cleaner-controller",
                # 15 s by default: for clusters with hundreds of autoscalers.
                horizontal_pod_autoscaler_sync_period="2s",
                kube_api_burst=_UNLIMITED,
                kube_api_qps=_UNLIMITED,
                kubeconfig=config / "kube-controller-manager.kubeconfig",
                leader_elect="false",
                root_ca_file=pki / "ca.crt",
                service_account_private_key_file=pki / "service-account.key",
                use_service_account_credentials="true",
            ),
            ready="https://127.0.0.1:10257/healthz",
            after=("kube-apiserver",),
        ),
        Component(
            "kube-scheduler",
            command(
                "kube-scheduler",
                authentication_kubeconfig=config / "kube-scheduler.kubeconfig",
                authorization_kubeconfig=config / "kube-scheduler.kubeconfig",
                bind_address="127.0.0.1",
                kube_api_burst=_UNLIMITED,
                kube_api_qps=_UNLIMITED,
                kubeconfig=config / "kube-scheduler.kubeconfig",
                leader_elect="false",
            ),
            ready="https://127.0.0.1:10259/healthz",
            after=("kube-apiserver",),
        ),
        Component(
            "kube-proxy",
            command("kube-proxy", config=config / "kube-proxy.yaml"),
            ready="http://127.0.0.1:10256/livez",
            after=("kube-apiserver",),
        ),
        Component(
            "kubelet",
            command(
                "kubelet",
                config=config / "kubelet.yaml",
                hostname_override=NODE,
                kubeconfig=config / "kubelet.kubeconfig",
                node_ip=link.node,
                root_dir=layout.state / "kubelet",
            ),
            ready="http://127.0.0.1:10248/healthz",
            after=("kube-apiserver", "containerd"),
        ),
        Component(
            "coredns",
            (str(layout.bin / "coredns"), "-conf", str(config / "Corefile")),
            ready="http://127.0.0.1:8181/ready",
            after=("kube-apiserver",),
        ),
    )
